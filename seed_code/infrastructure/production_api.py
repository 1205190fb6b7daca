"""The prediction API: who may ask, how much, and what a request must look like.

What is checked here does not change from release to release: a body with a list of rows, of a size
that can be answered. What a row must be only the release knows that answers, so it checks that
itself (docs/decisions/0040). Everything leads to the alias ``live``, so nothing can be asked
before a release has passed its checks.

Errors of the gateway itself are ``application/problem+json`` (RFC 9457), as the releases' are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, CfnCondition, CfnOutput, CfnResource, Fn, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infrastructure.grants import acknowledge, arn
from infrastructure.parameters import choice, number
from infrastructure.production_functions import MOST_INSTANCES, log_group
from infrastructure.production_release import Release, condition
from infrastructure.production_traffic import STAGE

__all__ = ["make_api"]

_JSON = "application/json"
_MOST_QUOTA = 1_000_000_000

# https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
_REQUEST_SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "PredictionRequest",
    "type": "object",
    "required": ["instances"],
    "properties": {
        "instances": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_INSTANCES,
            "items": {"type": ["object", "array"]},
        }
    },
    "additionalProperties": False,
}

# Who asked for what, and how it went. Nothing of what was sent, and nothing of the answer; nor a
# message, which may quote what was sent: the kind of the error says why.
_LOGGED = {
    "time": "$context.requestTime",
    "request": "$context.requestId",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    "function_latency_ms": "$context.integrationLatency",
    "response_bytes": "$context.responseLength",
    "caller": "$context.identity.userArn",
    "api_key": "$context.identity.apiKeyId",
    "source": "$context.identity.sourceIp",
    "refused": "$context.error.responseType",
}

# Kind of the gateway's answer -> what the detail of the problem is.
_PROBLEMS = {
    "BadBody": ("BAD_REQUEST_BODY", '"$context.error.validationErrorString"'),
    "Refused": ("DEFAULT_4XX", "$context.error.messageString"),
    "Failed": ("DEFAULT_5XX", "$context.error.messageString"),
}


def make_api(scope: Construct, release: Release, alias: lambda_.CfnAlias) -> None:
    """Make the API in front of `alias`."""
    access = _Access.declare(scope)
    api = apigateway.CfnRestApi(
        scope,
        "Api",
        name=release.api_name,
        description="Predictions of the release that is in production",
        endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(
            types=["REGIONAL"]
        ),
    )
    acknowledge(
        api,
        "AwsSolutions-APIG2",
        "BodyValidator validates; the rule knows one by the CDK's class alone",
    )
    definition = _definition(scope, api, alias, access)
    _permission(scope, api, alias)
    stage = _stage(scope, release, api, _deployment(scope, api, definition, access), access)
    _key(scope, release, api, stage, access)
    CfnOutput(
        scope,
        "ApiUrl",
        value=f"https://{api.ref}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}/{STAGE}",
        description="Where to POST /predict",
    )
    CfnOutput(scope, "ApiId", value=api.ref, description="The API, for who may execute-api:Invoke")


@dataclass(frozen=True)
class _Access:
    """Who may ask."""

    with_key: CfnCondition
    with_iam: CfnCondition
    rate: float
    burst: int

    @classmethod
    def declare(cls, scope: Construct) -> _Access:
        auth = choice(
            scope, "ApiAuth", "Who may ask: signed requests, or requests with a key.", "iam", "key"
        )
        is_key = Fn.condition_equals(auth, "key")
        return cls(
            with_key=condition(scope, "UsesKey", is_key),
            with_iam=condition(scope, "UsesIam", Fn.condition_not(is_key)),
            rate=number(
                scope, "ApiRatePerSecond", "Requests in the long run.", least=0, most=10_000
            ),
            burst=number(scope, "ApiBurst", "Requests at once.", least=1, most=5_000),
        )

    @property
    def of_method(self) -> dict[str, Any]:
        key = self.with_key.logical_id
        return {
            "AuthorizationType": Fn.condition_if(key, "NONE", "AWS_IAM"),
            "ApiKeyRequired": Fn.condition_if(key, True, False),
        }


# --- what a deployment of the API holds ----------------------------------------------------------


def _definition(
    scope: Construct, api: apigateway.CfnRestApi, alias: lambda_.CfnAlias, access: _Access
) -> _Maker:
    """Make resources, methods and answers of the API; return who made them."""
    make = _Maker(scope, api)
    validator = make(
        "BodyValidator",
        "RequestValidator",
        {"Name": "body", "ValidateRequestBody": True, "ValidateRequestParameters": False},
    )
    model = make(
        "PredictionRequest",
        "Model",
        {"Name": "PredictionRequest", "ContentType": _JSON, "Schema": _REQUEST_SCHEMA},
    )
    checked = {"RequestValidatorId": validator.ref, "RequestModels": {_JSON: model.ref}}
    for name, path, verb, more in (
        ("Predict", "predict", "POST", checked),
        ("Health", "health", "GET", {}),
    ):
        root = {"ParentId": api.attr_root_resource_id, "PathPart": path}
        resource = make(f"{name}Path", "Resource", root)
        make(
            name,
            "Method",
            {
                "ResourceId": resource.ref,
                "HttpMethod": verb,
                **access.of_method,
                **more,
                "Integration": _integration(alias),
            },
        )
    for name, (kind, detail) in _PROBLEMS.items():
        make(f"{name}Answer", "GatewayResponse", _problem(kind, detail))
    return make


class _Maker:
    """Makes the parts of an API, and remembers them."""

    def __init__(self, scope: Construct, api: apigateway.CfnRestApi) -> None:
        self._scope, self._api = scope, api
        self.made: list[CfnResource] = []
        self.digest = hashlib.sha256()

    def __call__(self, name: str, kind: str, properties: Mapping[str, Any]) -> CfnResource:
        known = {"RestApiId": self._api.ref, **properties}
        resource = CfnResource(self._scope, name, type=f"AWS::ApiGateway::{kind}", properties=known)
        resolved = Stack.of(self._scope).resolve(known)
        self.digest.update(json.dumps([name, resolved], sort_keys=True).encode())
        self.made.append(resource)
        return resource


def _integration(alias: lambda_.CfnAlias) -> dict[str, Any]:
    functions = f"arn:{Aws.PARTITION}:apigateway:{Aws.REGION}:lambda:path/2015-03-31/functions"
    return {
        "Type": "AWS_PROXY",
        "IntegrationHttpMethod": "POST",
        "Uri": f"{functions}/{alias.ref}/invocations",
    }


def _problem(kind: str, detail: str) -> dict[str, Any]:
    title = "$context.error.messageString"
    return {
        "ResponseType": kind,
        "ResponseTemplates": {
            _JSON: f'{{"type":"about:blank","title":{title},"detail":{detail}}}',
        },
        "ResponseParameters": {"gatewayresponse.header.Content-Type": "'application/problem+json'"},
    }


# --- what makes it reachable --------------------------------------------------------------------


def _deployment(
    scope: Construct, api: apigateway.CfnRestApi, definition: _Maker, access: _Access
) -> str:
    """Return the id of the deployment: a copy of the definition, which is what is reachable.

    It is named after what it copies, so that a change of the definition makes another one; and
    there is one for each kind of access, so that a change of that does too.
    """
    digest = definition.digest.hexdigest()[:8]
    ids = {}
    for kind, holds in (("Iam", access.with_iam), ("Key", access.with_key)):
        deployment = apigateway.CfnDeployment(
            scope, f"Deployment{digest}{kind}", rest_api_id=api.ref
        )
        deployment.cfn_options.condition = holds
        for part in definition.made:
            deployment.add_resource_dependency(part)
        ids[kind] = deployment.ref
    chosen: str = Fn.condition_if(access.with_key.logical_id, ids["Key"], ids["Iam"]).to_string()
    return chosen


def _permission(scope: Construct, api: apigateway.CfnRestApi, alias: lambda_.CfnAlias) -> None:
    lambda_.CfnPermission(
        scope,
        "ApiMayAsk",
        action="lambda:InvokeFunction",
        function_name=alias.ref,
        principal="apigateway.amazonaws.com",
        source_account=Aws.ACCOUNT_ID,
        source_arn=arn("execute-api", f"{api.ref}/{STAGE}/*/*"),
    )


def _stage(
    scope: Construct,
    release: Release,
    api: apigateway.CfnRestApi,
    deployment: str,
    access: _Access,
) -> apigateway.CfnStage:
    log = log_group(scope, release, "AccessLog", f"/aws/apigateway/{release.project.name}-api")
    stage = apigateway.CfnStage(
        scope,
        "ApiStage",
        rest_api_id=api.ref,
        stage_name=STAGE,
        deployment_id=deployment,
        access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
            destination_arn=log.attr_arn, format=json.dumps(_LOGGED, separators=(",", ":"))
        ),
        method_settings=[
            apigateway.CfnStage.MethodSettingProperty(
                resource_path="/*",
                http_method="*",
                metrics_enabled=True,
                # Its group would be API Gateway's: kept for ever, and longer than the project.
                logging_level="OFF",
                data_trace_enabled=False,
                throttling_rate_limit=access.rate,
                throttling_burst_limit=access.burst,
            )
        ],
    )
    acknowledge(
        stage,
        "AwsSolutions-APIG6",
        "The access log has each request's status and kind of error; the log of executions adds "
        "messages that may quote requests, in a group that no template makes",
    )
    acknowledge(
        stage,
        "AwsSolutions-APIG3",
        "A firewall has a monthly price, and unsigned requests are refused without one: whoever "
        "wants it associates the organization's with the stage",
    )
    return stage


def _key(
    scope: Construct,
    release: Release,
    api: apigateway.CfnRestApi,
    stage: apigateway.CfnStage,
    access: _Access,
) -> None:
    """Make a key with its limits, where requests carry one."""
    quota = number(scope, "ApiQuotaPerDay", "Of the key; 0 for none.", least=0, most=_MOST_QUOTA)
    has_quota = condition(scope, "HasQuota", Fn.condition_not(Fn.condition_equals(quota, "0")))
    key = apigateway.CfnApiKey(
        scope,
        "ApiKey",
        name=release.api_name,
        description="Of who asks the prediction API",
        enabled=True,
    )
    plan = apigateway.CfnUsagePlan(
        scope,
        "UsagePlan",
        usage_plan_name=release.api_name,
        description="What a key may ask of the prediction API",
        api_stages=[apigateway.CfnUsagePlan.ApiStageProperty(api_id=api.ref, stage=stage.ref)],
        throttle=apigateway.CfnUsagePlan.ThrottleSettingsProperty(
            rate_limit=access.rate, burst_limit=access.burst
        ),
        quota=Fn.condition_if(
            has_quota.logical_id, {"Limit": quota, "Period": "DAY"}, Aws.NO_VALUE
        ),
    )
    joined = apigateway.CfnUsagePlanKey(
        scope, "UsagePlanKey", key_id=key.ref, key_type="API_KEY", usage_plan_id=plan.ref
    )
    for resource in (key, plan, joined):
        resource.cfn_options.condition = access.with_key
    told = CfnOutput(
        scope,
        "ApiKeyId",
        value=key.ref,
        description="What `apigateway get-api-key` shows the key of",
    )
    told.condition = access.with_key
