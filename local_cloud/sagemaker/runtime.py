"""InvokeEndpoint: a request to an endpoint through the API, as AWS answers it."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import Any, ClassVar

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from local_cloud.errors import UnsupportedError
from local_cloud.sagemaker.capture import Exchange
from local_cloud.sagemaker.endpoints import Endpoints
from local_cloud.server import HOST

__all__ = ["RuntimeApi"]

#: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
_MAX_BODY_BYTES = 6 * 1024**2
#: Headers that a container sees, under the names of the API.
_FORWARDED = (
    "Content-Type",
    "Accept",
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Inference-Id",
)
_RETURNED = ("x-Amzn-Invoked-Production-Variant", "X-Amzn-SageMaker-Custom-Attributes")
#: Parameters that choose among what is not here.
_REFUSED = (
    "X-Amzn-SageMaker-Target-Model",
    "X-Amzn-SageMaker-Target-Variant",
    "X-Amzn-SageMaker-Target-Container-Hostname",
    "X-Amzn-SageMaker-Enable-Explanations",
    "X-Amzn-SageMaker-Inference-Component",
    "X-Amzn-SageMaker-Session-Id",
    "X-Amzn-SageMaker-Prefix-Aware-Id",
)
#: A container has 60 seconds for an answer; the balancer ends the wait, this is a bound behind it.
_TIMEOUT_SECONDS = 70


class InvalidInvocation(ServiceException):  # type: ignore[misc]
    """The request cannot be given to a container."""

    code = "ValidationError"


class Unavailable(ServiceException):  # type: ignore[misc]
    """The endpoint did not take the request."""

    code = "ServiceUnavailable"


class RuntimeApi(SageMakerRuntimeResponse):  # type: ignore[misc]
    """Operations of ``sagemaker-runtime``; moto makes one object for each request."""

    endpoints: ClassVar[Endpoints]
    use_raw_body = True

    def invoke_endpoint(self) -> Any:
        """Give the body to the endpoint's load balancer, and its answer back."""
        name = self.path.split("/")[2]
        for header in _REFUSED:
            if self.headers.get(header):
                raise UnsupportedError(
                    "Local cloud, InvokeEndpoint", f"header {header}", "it cannot be honoured here"
                )
        body = self.raw_body
        if len(body) > _MAX_BODY_BYTES:
            raise InvalidInvocation(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: Member "
                f"must have length less than or equal to {_MAX_BODY_BYTES}"
            )
        port = self.endpoints.port(name)
        if port is None:
            account_id = self.endpoints.account_id
            raise InvalidInvocation(f"Endpoint {name} of account {account_id} not found.")
        headers = {_: self.headers[_] for _ in _FORWARDED if self.headers.get(_)}
        try:
            answer, content = _post(port, headers, body)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"Endpoint {name} did not answer: {error}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return self._model_error(name, answer.status, content)
        returned = {_: value for _ in _RETURNED if (value := answer.getheader(_))}
        content_type = answer.getheader("Content-Type", "application/octet-stream")
        self._capture(name, answer, content)
        return 200, {"Content-Type": content_type, **returned}, content

    def _capture(self, name: str, answer: http.client.HTTPResponse, content: bytes) -> None:
        capture = self.endpoints.capture(name)
        variant = answer.getheader(_RETURNED[0], "")
        if capture is None or not variant:
            return
        content_types = (
            self.headers.get("Content-Type", ""),
            answer.getheader("Content-Type", ""),
        )
        capture.take(
            Exchange(
                variant,
                content_types,
                (self.raw_body, content),
                self.headers.get("X-Amzn-SageMaker-Inference-Id", ""),
                self.headers.get("X-Amzn-SageMaker-Custom-Attributes", ""),
            )
        )

    def invoke_endpoint_async(self) -> ActionResult:
        """Refuse: asynchronous endpoints are not here."""
        raise UnsupportedError(
            "Local cloud", "InvokeEndpointAsync", "InvokeEndpoint is supported", ""
        )

    def _model_error(self, name: str, status: int, content: bytes) -> Any:
        """What AWS answers when the container answers with an error."""
        region, account_id = self.endpoints.region, self.endpoints.account_id
        text = content.decode(errors="replace")
        kind = "client" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server"
        group = f"/aws/sagemaker/Endpoints/{name}"
        message = (
            f'Received {kind} error ({status}) from primary with message "{text}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {account_id} for more information."
        )
        error = {
            "ErrorCode": f"{kind.upper()}_ERROR_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{region}:{account_id}:log-group:{group}",
            "Message": message,
            "OriginalMessage": text,
            "OriginalStatusCode": status,
        }
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "ModelError"}
        headers["status"] = str(HTTPStatus.FAILED_DEPENDENCY.value)
        return HTTPStatus.FAILED_DEPENDENCY.value, headers, json.dumps(error)


def _post(
    port: int, headers: dict[str, str], body: bytes
) -> tuple[http.client.HTTPResponse, bytes]:
    # One connection for each request: a kept one would hold up every update of the endpoint.
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", "/invocations", body, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()
