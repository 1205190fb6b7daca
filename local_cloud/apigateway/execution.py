"""A request's way through an API: who, how often, what; then the function, and back.

Order of the checks: method, signature or key, usage plan, throttling, parameters and body. The
function's process is asked last, and only with the leave of its policy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTimeError
from typing import TYPE_CHECKING, Any

from moto.core.request import Request

from local_cloud.apigateway import authorization, proxy, validation
from local_cloud.apigateway.api import PRINCIPAL, function_of
from local_cloud.apigateway.apis import Api, Apis, Deployment
from local_cloud.apigateway.authorization import Keys
from local_cloud.apigateway.definition import Definition, Route
from local_cloud.apigateway.request import MOST_BYTES, ClientRequest
from local_cloud.apigateway.responses import Answer, RefusedError, filled, response_to
from local_cloud.apigateway.throttling import Buckets
from local_cloud.json_api import ApiError
from local_cloud.lambda_functions import functions
from local_cloud.lambda_functions.invocation import MOST_REQUEST_BYTES, Outcome
from local_cloud.logs import LogStream

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud
    from local_cloud.iam import Identity

__all__ = ["Execution"]

_WORKERS = 128
_CLIENT_ERROR, _SERVER_ERROR, _END = 400, 500, 600
_UNITS = {
    "4XXError": "Count",
    "5XXError": "Count",
    "Count": "Count",
    "IntegrationLatency": "Milliseconds",
    "Latency": "Milliseconds",
}


class Execution:
    """Answers requests to deployed APIs.

    Parameters
    ----------
    cloud
        The account.
    apis
        Its APIs.
    """

    def __init__(self, cloud: LocalCloud, apis: Apis) -> None:
        self.cloud = cloud
        self._apis = apis
        self._keys = Keys(apis)
        self._buckets = Buckets()
        self._workers = ThreadPoolExecutor(_WORKERS, "api gateway")
        self._logs = _Logs(cloud, apis)

    def stop(self) -> None:
        """Answer no more."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._logs.close()

    def answer(self, api_id: str, request: ClientRequest, raw: Request) -> Answer:
        """The answer to a client's request.

        Parameters
        ----------
        api_id
            Of which API.
        request
            What the client sent.
        raw
            The same as the server got it, for its signature.
        """
        api = self._apis.find(api_id)
        found = api.deployed(request.stage) if api else None
        if api is None or found is None:
            forbidden = RefusedError("ACCESS_DENIED", "Forbidden", "ForbiddenException")
            return response_to(forbidden, None, request.header("Accept"), {})
        return _Passage(self, api, *found, request).answer(raw)

    # ---------------------------------------------------------------- for passages

    def admit_key(self, api: Api, request: ClientRequest) -> Mapping[str, Any]:
        """The request's API key; raises `RefusedError`."""
        return self._keys.admit(api, request)

    def throttle(self, api: Api, stage: Mapping[str, Any], route: Route) -> None:
        """Count a request; raises `RefusedError` when there are too many."""
        settings = _method_settings(stage, route)
        if "throttlingRateLimit" not in settings:
            return
        key = (api.id, stage["stageName"], route.resource["path"], route.method["httpMethod"])
        rate = settings["throttlingRateLimit"]
        if not self._buckets.take(key, rate, settings.get("throttlingBurstLimit", 5000)):
            raise RefusedError("THROTTLED", "Too Many Requests", "TooManyRequestsException")

    def invoke(self, function_arn: str, source_arn: str, event: bytes, timeout_ms: int) -> Outcome:
        """What a function says to an event; raises `RefusedError` when it says nothing."""
        if len(event) > MOST_REQUEST_BYTES:
            raise RefusedError(
                "REQUEST_TOO_LARGE", "Request Too Long", "RequestEntityTooLargeException"
            )
        try:
            reference = functions().refer(function_arn)
            functions().check_service(PRINCIPAL, source_arn, reference)
        except ApiError as error:
            raise _internal(500) from error
        future = self._workers.submit(functions().invoke, reference, event)
        try:
            return future.result(timeout_ms / 1000)
        except NotInTimeError:
            raise RefusedError(
                "INTEGRATION_TIMEOUT", "Endpoint request timed out", "InternalServerErrorException"
            ) from None
        except ApiError as error:
            raise _internal(500) from error

    def write(self, api: Api, stage: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Write a request's line to the stage's access log, if it has one."""
        self._logs.write(api, stage, context)


class _Passage:
    """One request's way."""

    def __init__(
        self,
        execution: Execution,
        api: Api,
        stage: Mapping[str, Any],
        deployment: Deployment,
        request: ClientRequest,
    ) -> None:
        self._cloud = execution.cloud
        self._execution = execution
        self._api = api
        self._stage = stage
        self._deployment = deployment
        self._request = request
        self._route: Route | None = None
        self._identity: Identity | None = None
        self._key: Mapping[str, Any] = {}
        self._integration: dict[str, Any] = {}

    def answer(self, raw: Request) -> Answer:
        """Go the whole way, measure it and write it down."""
        began = time.perf_counter()
        refusal: dict[str, str] = {}
        definition = self._deployment.definition
        try:
            answer = self._served(raw, definition)
        except RefusedError as error:
            refusal = error.variables()
            accept = self._request.header("Accept")
            answer = response_to(error, definition, accept, self._context())
        latency_ms = 1000 * (time.perf_counter() - began)
        self._measure(answer, latency_ms)
        context = {
            **self._context(),
            **refusal,
            **{f"stageVariables.{_}": text for _, text in self._stage["variables"].items()},
            "responseLatency": round(latency_ms),
            "responseLength": len(answer.body),
            "status": answer.status,
        }
        self._execution.write(self._api, self._stage, context)
        request = self._request
        own = (
            ("x-amzn-RequestId", request.id),
            ("x-amz-apigw-id", request.extended_id),
            ("X-Amzn-Trace-Id", request.trace_id),
        )
        return Answer(answer.status, (*own, *answer.headers), answer.body)

    def _served(self, raw: Request, definition: Definition) -> Answer:
        request = self._request
        if len(request.body) > MOST_BYTES:
            message = f"HTTP content length exceeded {MOST_BYTES} bytes."
            raise RefusedError("REQUEST_TOO_LARGE", message, "RequestEntityTooLargeException")
        route = self._route = definition.find(request.path, request.verb)
        if route is None:
            raise RefusedError(
                "MISSING_AUTHENTICATION_TOKEN",
                "Missing Authentication Token",
                "MissingAuthenticationTokenException",
            )
        if route.method["authorizationType"] == "AWS_IAM":
            path = f"{request.stage}/{request.verb}{request.path}"
            self._identity = authorization.identify(self._cloud, raw, self._arn(path))
        if route.method["apiKeyRequired"]:
            self._key = self._execution.admit_key(self._api, request)
        self._execution.throttle(self._api, self._stage, route)
        validation.check(definition, route, request.plain_headers(), request.query, request.body)
        return self._integrated(route, definition)

    def _integrated(self, route: Route, definition: Definition) -> Answer:
        request, integration = self._request, route.method["methodIntegration"]
        event = proxy.event_of(request, route, definition, self._stage, self._event_context(route))
        began = time.perf_counter()
        try:
            outcome = self._execution.invoke(
                function_of(integration["uri"]) or "",
                self._arn(f"{request.stage}/{request.verb}{route.resource['path']}"),
                event,
                integration["timeoutInMillis"],
            )
        finally:
            latency_ms = 1000 * (time.perf_counter() - began)
            self._integration = {
                "integrationLatency": latency_ms,
                "integration.latency": latency_ms,
            }
        if outcome.is_error:
            self._integration |= {"integrationStatus": 200, "integration.integrationStatus": 200}
            raise _internal(502)
        return proxy.answer_of(outcome.payload, request, definition)

    def _arn(self, path: str) -> str:
        cloud = self._cloud
        return f"arn:aws:execute-api:{cloud.region}:{cloud.account_id}:{self._api.id}/{path}"

    # ---------------------------------------------------------------- what is known

    def _event_context(self, route: Route) -> dict[str, Any]:
        """``requestContext`` of the event."""
        request = self._request
        return {
            "resourceId": route.resource["id"],
            "resourcePath": route.resource["path"],
            "httpMethod": request.verb,
            "extendedRequestId": request.extended_id,
            "requestTime": request.time,
            "path": f"/{request.stage}{request.path}",
            "accountId": self._cloud.account_id,
            "protocol": request.protocol,
            "stage": request.stage,
            "domainPrefix": self._api.id,
            "requestTimeEpoch": int(1000 * request.moment),
            "requestId": request.id,
            "identity": self._caller(),
            "domainName": request.domain,
            "deploymentId": self._deployment.id,
            "apiId": self._api.id,
        }

    def _caller(self) -> dict[str, Any]:
        identity, request = self._identity, self._request
        caller: dict[str, Any] = {
            "cognitoIdentityPoolId": None,
            "accountId": None,
            "cognitoIdentityId": None,
            "caller": None,
            "sourceIp": request.source_ip,
            "principalOrgId": None,
            "accessKey": None,
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": None,
            "userAgent": request.header("User-Agent") or None,
            "user": None,
        }
        if identity is not None:
            user = identity.arn.rpartition("/")[2]
            caller |= {
                "accountId": self._cloud.account_id,
                "accessKey": identity.credentials.access_key,
                "caller": user,
                "user": user,
                "userArn": identity.arn,
            }
        if self._key:
            caller |= {"apiKey": self._key["value"], "apiKeyId": self._key["id"]}
        return caller

    def _context(self) -> dict[str, Any]:
        """Variables of ``$context``, by their dotted names."""
        request, route = self._request, self._route
        known: dict[str, Any] = {
            "accountId": self._cloud.account_id,
            "apiId": self._api.id,
            "deploymentId": self._deployment.id,
            "domainName": request.domain,
            "domainPrefix": self._api.id,
            "extendedRequestId": request.extended_id,
            "httpMethod": request.verb,
            "path": f"/{request.stage}{request.path}",
            "protocol": request.protocol,
            "requestId": request.id,
            "requestTime": request.time,
            "requestTimeEpoch": int(1000 * request.moment),
            "stage": request.stage,
            "xrayTraceId": None,
            **{f"identity.{name}": value for name, value in self._caller().items()},
            **{name: round(value) for name, value in self._integration.items()},
        }
        if route is not None:
            known |= {
                "resourceId": route.resource["id"],
                "resourcePath": route.resource["path"],
            }
        return known

    # ---------------------------------------------------------------- measuring

    def _measure(self, answer: Answer, latency_ms: float) -> None:
        values: dict[str, float] = {
            "4XXError": float(_CLIENT_ERROR <= answer.status < _SERVER_ERROR),
            "5XXError": float(_SERVER_ERROR <= answer.status < _END),
            "Count": 1.0,
            "Latency": latency_ms,
        }
        if "integrationLatency" in self._integration:
            values["IntegrationLatency"] = self._integration["integrationLatency"]
        whole = {"ApiName": self._api.name}
        sets = [whole, {**whole, "Stage": self._request.stage}]
        route = self._route
        if route is not None and _method_settings(self._stage, route).get("metricsEnabled"):
            method = {"Method": self._request.verb, "Resource": route.resource["path"]}
            sets.append({**sets[1], **method})
        for dimensions in sets:
            self._cloud.metrics.record("AWS/ApiGateway", dimensions, values, units=_UNITS)


class _Logs:
    """Access logs of stages, in the log groups that they name."""

    def __init__(self, cloud: LocalCloud, apis: Apis) -> None:
        self._cloud = cloud
        self._apis = apis
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, str], LogStream] = {}

    def write(self, api: Api, stage: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        """Append a request's line."""
        settings = stage.get("accessLogSettings") or {}
        if not (settings.get("format") and settings.get("destinationArn")):
            return
        line = filled(settings["format"], context, missing="-")
        group = settings["destinationArn"].rpartition(":log-group:")[2].removesuffix(":*")
        with self._lock:
            key = (group, f"{api.id}/{stage['stageName']}")
            if key not in self._streams:
                self._streams[key] = self._open(*key)
            self._streams[key].write(line.rstrip("\n") + "\n")

    def _open(self, group: str, name: str) -> LogStream:
        role_arn = self._apis.account["cloudwatchRoleArn"]
        client = self._cloud.client("logs", role_arn=role_arn, service_principal=PRINCIPAL)
        return self._cloud.logs.stream(group, name, client=client)

    def close(self) -> None:
        """Wait for the last lines."""
        with self._lock:
            for stream in self._streams.values():
                stream.close()
            self._streams.clear()


def _method_settings(stage: Mapping[str, Any], route: Route) -> Mapping[str, Any]:
    """What is set for a method: for itself, and else for all."""
    path = route.resource["path"].replace("/", "~1")
    settings = stage["methodSettings"]
    verb = route.method["httpMethod"]
    return {**settings.get("*/*", {}), **settings.get(f"{path}/{verb}", {})}


def _internal(status: int) -> RefusedError:
    return RefusedError(
        "API_CONFIGURATION_ERROR" if status == _SERVER_ERROR else "DEFAULT_5XX",
        "Internal server error",
        "InternalServerErrorException",
        status=status,
    )
