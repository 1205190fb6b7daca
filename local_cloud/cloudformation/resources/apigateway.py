"""AWS::ApiGateway: REST APIs and what they are made of, stages, keys, usage plans.

API Gateway changes things by patch operations: each property is a path with a value.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.intrinsics import Unknown, text_of
from local_cloud.cloudformation.resources.calls import (
    ID,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    item,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "apigateway")
_MISSING = ("NotFoundException",)
_API = {"restApiId": naming("RestApiId")}


def _text(value: Any) -> Any:
    if isinstance(value, Mapping | list):
        return json.dumps(value, separators=(",", ":"))
    return value if isinstance(value, Unknown) else text_of(value)


def _replacing(paths: Mapping[str, tuple[str, Any]]) -> Source:
    """Patch operations that set what the template says, or what a new thing has: path -> property.

    A default of `None` takes the setting away.
    """

    def operations(state: State) -> list[dict[str, Any]]:
        found = []
        for path, (name, default) in paths.items():
            value = state.properties.get(name, default)
            if value is None:
                found.append({"op": "remove", "path": path})
            else:
                found.append({"op": "replace", "path": path, "value": _text(value)})
        return found

    return Source(operations, tuple(name for name, _ in paths.values()))


def _updated(
    operation: str, which: Mapping[str, Source], paths: Mapping[str, tuple[str, Any]]
) -> Setting:
    call = _call(operation, {**which, "patchOperations": _replacing(paths)})
    return Setting(call, made_with_resource=True)


def _tag_map(tagged: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tagged}


def _tags(kind: str) -> Items:
    """Tags of what an ARN with this path names."""

    def arn(deployer: Deployer, state: State) -> str:
        path = kind.format(id=state.physical_id, **state.properties)
        return f"arn:aws:apigateway:{deployer.cloud.region}::{path}"

    def tag(deployer: Deployer, state: State) -> None:
        found = {"resourceArn": arn(deployer, state), "tags": _tag_map(state.item)}
        deployer.call("apigateway", "TagResource", found)

    def untag(deployer: Deployer, state: State) -> None:
        keys = [entry["Key"] for entry in state.item]
        found = {"resourceArn": arn(deployer, state), "tagKeys": keys}
        deployer.call("apigateway", "UntagResource", found)

    return tags(
        Code(tag, extra_operations=(("apigateway", "TagResource"),)),
        Code(untag, extra_operations=(("apigateway", "UntagResource"),)),
    )


_TAGGED = {"tags": prop("Tags", _tag_map)}

# ------------------------------------------------------------------------------ the API itself


def _media_type(verb: str) -> Call:
    def operations(state: State) -> list[dict[str, str]]:
        return [{"op": verb, "path": f"/binaryMediaTypes/{state.item.replace('/', '~1')}"}]

    return _call("UpdateRestApi", {"restApiId": ID, "patchOperations": Source(operations)})


REST_API = ResourceType(
    name="AWS::ApiGateway::RestApi",
    create=_call(
        "CreateRestApi",
        {
            **given(
                "ApiKeySourceType",
                "BinaryMediaTypes",
                "Description",
                "DisableExecuteApiEndpoint",
                "EndpointConfiguration",
                "Name",
            ),
            **_TAGGED,
        },
    ),
    made={"RestApiId": "id", "RootResourceId": "rootResourceId"},
    id=attr("RestApiId"),
    named="Name",
    parts=(
        _updated(
            "UpdateRestApi",
            {"restApiId": ID},
            {
                "/apiKeySource": ("ApiKeySourceType", "HEADER"),
                "/description": ("Description", ""),
                "/disableExecuteApiEndpoint": ("DisableExecuteApiEndpoint", False),
                "/name": ("Name", None),
            },
        ),
        Items(
            prop("BinaryMediaTypes"),
            _media_type("add"),
            _media_type("remove"),
            made_with_resource=True,
        ),
        _tags("/restapis/{id}"),
    ),
    delete=(_call("DeleteRestApi", {"restApiId": ID}),),
    missing=_MISSING,
    immutable=("EndpointConfiguration",),
)

RESOURCE = ResourceType(
    name="AWS::ApiGateway::Resource",
    create=_call("CreateResource", given("ParentId", "PathPart", "RestApiId")),
    made={"ResourceId": "id"},
    id=attr("ResourceId"),
    delete=(_call("DeleteResource", {**_API, "resourceId": ID}),),
    missing=_MISSING,
)

# ------------------------------------------------------------------------------ methods

_METHOD = {**_API, "resourceId": naming("ResourceId"), "httpMethod": naming("HttpMethod")}
_OF_METHOD = given(
    "ApiKeyRequired",
    "AuthorizationType",
    "OperationName",
    "RequestModels",
    "RequestParameters",
    "RequestValidatorId",
)
_PUT_METHOD = _call(
    "PutMethod",
    {**given("HttpMethod", "ResourceId", "RestApiId"), **_OF_METHOD},
)
_NEW_METHOD = _call("PutMethod", {**_METHOD, **_OF_METHOD})
_DELETE_METHOD = _call("DeleteMethod", _METHOD)


def _of_integration(name: str) -> Source:
    return prop("Integration", lambda integration: integration.get(name))


_PUT_INTEGRATION = _call(
    "PutIntegration",
    {
        **_METHOD,
        "type": _of_integration("Type"),
        "integrationHttpMethod": _of_integration("IntegrationHttpMethod"),
        "uri": _of_integration("Uri"),
        "timeoutInMillis": _of_integration("TimeoutInMillis"),
        "passthroughBehavior": _of_integration("PassthroughBehavior"),
        "contentHandling": _of_integration("ContentHandling"),
    },
)
_PUT_METHOD_RESPONSE = _call(
    "PutMethodResponse",
    {
        **_METHOD,
        "statusCode": item("StatusCode"),
        "responseModels": item("ResponseModels"),
        "responseParameters": item("ResponseParameters"),
    },
)
_METHOD_PARTS = ("Integration", "MethodResponses")


def _complete(deployer: Deployer, state: State) -> None:
    """Give a new method its integration and responses."""
    if "Integration" in state.properties:
        _PUT_INTEGRATION.run(deployer, state)
    for response in state.properties.get("MethodResponses", []):
        _PUT_METHOD_RESPONSE.run(deployer, dataclasses.replace(state, item=response))


def _make_method(deployer: Deployer, state: State) -> None:
    _PUT_METHOD.run(deployer, state)
    _complete(deployer, state)


def _remake_method(deployer: Deployer, state: State) -> None:
    """Make a method anew: what is deployed is a copy, which this does not touch."""
    _DELETE_METHOD.run(deployer, state)
    _NEW_METHOD.run(deployer, state)
    _complete(deployer, state)


METHOD = ResourceType(
    name="AWS::ApiGateway::Method",
    create=Code(
        _make_method,
        (_PUT_METHOD, _PUT_INTEGRATION),
        _PUT_METHOD_RESPONSE.operations,
        _METHOD_PARTS,
    ),
    id=Source(
        lambda state: "|".join(
            str(state.properties[name]) for name in ("RestApiId", "ResourceId", "HttpMethod")
        )
    ),
    parts=(
        Setting(
            Code(
                _remake_method,
                (_NEW_METHOD, _PUT_INTEGRATION),
                (*_DELETE_METHOD.operations, *_PUT_METHOD_RESPONSE.operations),
                _METHOD_PARTS,
            ),
            made_with_resource=True,
        ),
    ),
    delete=(_DELETE_METHOD,),
    missing=_MISSING,
)

# ------------------------------------------------------------------------------ models, answers

MODEL = ResourceType(
    name="AWS::ApiGateway::Model",
    create=_call("CreateModel", given("ContentType", "Description", "Name", "RestApiId", "Schema")),
    id=prop("Name"),
    named="Name",
    parts=(
        _updated(
            "UpdateModel",
            {**_API, "modelName": ID},
            {"/description": ("Description", ""), "/schema": ("Schema", {})},
        ),
    ),
    delete=(_call("DeleteModel", {**_API, "modelName": ID}),),
    missing=_MISSING,
)

_VALIDATOR = {**_API, "requestValidatorId": ID}

VALIDATOR = ResourceType(
    name="AWS::ApiGateway::RequestValidator",
    create=_call(
        "CreateRequestValidator",
        given("Name", "RestApiId", "ValidateRequestBody", "ValidateRequestParameters"),
    ),
    made={"RequestValidatorId": "id"},
    id=attr("RequestValidatorId"),
    parts=(
        _updated(
            "UpdateRequestValidator",
            _VALIDATOR,
            {
                "/validateRequestBody": ("ValidateRequestBody", False),
                "/validateRequestParameters": ("ValidateRequestParameters", False),
            },
        ),
    ),
    delete=(_call("DeleteRequestValidator", _VALIDATOR),),
    missing=_MISSING,
)

_RESPONSE = {**_API, "responseType": naming("ResponseType")}
_OF_RESPONSE = given("ResponseParameters", "ResponseTemplates", "StatusCode")

GATEWAY_RESPONSE = ResourceType(
    name="AWS::ApiGateway::GatewayResponse",
    create=_call("PutGatewayResponse", {**given("ResponseType", "RestApiId"), **_OF_RESPONSE}),
    id=Source(lambda state: state.name),
    parts=(
        Setting(
            _call("PutGatewayResponse", {**_RESPONSE, **_OF_RESPONSE}), made_with_resource=True
        ),
    ),
    delete=(_call("DeleteGatewayResponse", _RESPONSE),),
    missing=_MISSING,
)

# ------------------------------------------------------------------------------ what is reachable

DEPLOYMENT = ResourceType(
    name="AWS::ApiGateway::Deployment",
    create=_call("CreateDeployment", given("Description", "RestApiId")),
    made={"DeploymentId": "id"},
    id=attr("DeploymentId"),
    parts=(
        _updated(
            "UpdateDeployment",
            {**_API, "deploymentId": ID},
            {"/description": ("Description", "")},
        ),
    ),
    delete=(_call("DeleteDeployment", {**_API, "deploymentId": ID}),),
    missing=_MISSING,
)

_STAGE = {**_API, "stageName": naming("StageName")}
#: Member of a method's settings -> what its path ends with.
_METHOD_SETTINGS = {
    "DataTraceEnabled": "logging/dataTrace",
    "LoggingLevel": "logging/loglevel",
    "MetricsEnabled": "metrics/enabled",
    "ThrottlingBurstLimit": "throttling/burstLimit",
    "ThrottlingRateLimit": "throttling/rateLimit",
}


def _place(settings: Mapping[str, Any]) -> str:
    """Path of a method's settings; ``/*`` is every resource."""
    path = settings["ResourcePath"]
    return f"/{'*' if path == '/*' else path.replace('/', '~1')}/{settings['HttpMethod']}"


def _set_method(state: State) -> list[dict[str, str]]:
    place = _place(state.item)
    return [
        {"op": "replace", "path": f"{place}/{end}", "value": _text(state.item[name])}
        for name, end in _METHOD_SETTINGS.items()
        if name in state.item
    ]


def _reset_method(state: State) -> list[dict[str, str]]:
    return [*_unset_method(state), *_set_method(state)]


def _unset_method(state: State) -> list[dict[str, str]]:
    return [{"op": "remove", "path": _place(state.item)}]


def _member_operations(verb: str, folder: str, of: Callable[[Any], tuple[str, str]]) -> Source:
    def operations(state: State) -> list[dict[str, str]]:
        name, value = of(state.item)
        return [{"op": verb, "path": f"{folder}{name}", "value": value}]

    return Source(operations)


def _update_stage(operations: Source) -> Call:
    return _call("UpdateStage", {**_STAGE, "patchOperations": operations})


def _access_log(state: State) -> list[dict[str, str]]:
    settings = state.properties.get("AccessLogSetting")
    if settings is None:
        return [{"op": "remove", "path": "/accessLogSettings"}]
    paths = {"DestinationArn": "destinationArn", "Format": "format"}
    return [
        {"op": "replace", "path": f"/accessLogSettings/{path}", "value": settings[name]}
        for name, path in paths.items()
        if name in settings
    ]


def _variables(state: State) -> list[dict[str, str]]:
    """Each of the map's entries, as a list."""
    entries = state.properties.get("Variables") or {}
    return [{"Key": name, "Value": value} for name, value in entries.items()]


_VARIABLE = partial(_member_operations, folder="/variables/", of=lambda _: (_["Key"], _["Value"]))

STAGE = ResourceType(
    name="AWS::ApiGateway::Stage",
    create=_call(
        "CreateStage",
        {
            **given(
                "DeploymentId",
                "Description",
                "RestApiId",
                "StageName",
                "TracingEnabled",
                "Variables",
            ),
            **_TAGGED,
        },
    ),
    id=prop("StageName"),
    parts=(
        _updated(
            "UpdateStage",
            _STAGE,
            {"/deploymentId": ("DeploymentId", None), "/description": ("Description", "")},
        ),
        Setting(_update_stage(Source(_access_log, ("AccessLogSetting",)))),
        Items(
            prop("MethodSettings"),
            _update_stage(Source(_set_method)),
            _update_stage(Source(_unset_method)),
            key=("ResourcePath", "HttpMethod"),
            update=_update_stage(Source(_reset_method)),
        ),
        Items(
            Source(_variables, ("Variables",)),
            _update_stage(_VARIABLE("replace")),
            _update_stage(_VARIABLE("remove")),
            key=("Key",),
            made_with_resource=True,
        ),
        _tags("/restapis/{RestApiId}/stages/{StageName}"),
    ),
    delete=(_call("DeleteStage", _STAGE),),
    missing=_MISSING,
    immutable=("TracingEnabled",),
)

ACCOUNT = ResourceType(
    name="AWS::ApiGateway::Account",
    id=Source(lambda state: state.name),
    parts=(
        Setting(
            _call(
                "UpdateAccount",
                {"patchOperations": _replacing({"/cloudwatchRoleArn": ("CloudWatchRoleArn", "")})},
            )
        ),
    ),
)

# ------------------------------------------------------------------------------ keys, plans

API_KEY = ResourceType(
    name="AWS::ApiGateway::ApiKey",
    create=_call(
        "CreateApiKey",
        {**given("CustomerId", "Description", "Enabled", "Name", "Value"), **_TAGGED},
    ),
    made={"APIKeyId": "id"},
    id=attr("APIKeyId"),
    named="Name",
    parts=(
        _updated(
            "UpdateApiKey",
            {"apiKey": ID},
            {
                "/customerId": ("CustomerId", ""),
                "/description": ("Description", ""),
                "/enabled": ("Enabled", False),
            },
        ),
        _tags("/apikeys/{id}"),
    ),
    delete=(_call("DeleteApiKey", {"apiKey": ID}),),
    missing=_MISSING,
)

_PLAN = {"usagePlanId": ID}


def _limits(state: State) -> list[dict[str, str]]:
    """Quota and throttling as the template says, or none."""
    members = {
        "Quota": {"Limit": "limit", "Offset": "offset", "Period": "period"},
        "Throttle": {"BurstLimit": "burstLimit", "RateLimit": "rateLimit"},
    }
    found = []
    for name, paths in members.items():
        place, wanted = f"/{name.lower()}", state.properties.get(name) or {}
        found.append({"op": "remove", "path": place})
        found += [
            {"op": "replace", "path": f"{place}/{path}", "value": _text(wanted[member])}
            for member, path in paths.items()
            if member in wanted
        ]
    return found


def _stage_of_plan(verb: str) -> Call:
    def operations(state: State) -> list[dict[str, str]]:
        stage = f"{state.item['ApiId']}:{state.item['Stage']}"
        return [{"op": verb, "path": "/apiStages", "value": stage}]

    return _call("UpdateUsagePlan", {**_PLAN, "patchOperations": Source(operations)})


USAGE_PLAN = ResourceType(
    name="AWS::ApiGateway::UsagePlan",
    create=_call(
        "CreateUsagePlan",
        {
            "Name": prop("UsagePlanName"),
            **given("ApiStages", "Description", "Quota", "Throttle"),
            **_TAGGED,
        },
    ),
    made={"Id": "id"},
    id=attr("Id"),
    named="UsagePlanName",
    parts=(
        _updated(
            "UpdateUsagePlan",
            _PLAN,
            {"/description": ("Description", ""), "/name": ("UsagePlanName", None)},
        ),
        Setting(
            _call(
                "UpdateUsagePlan",
                {**_PLAN, "patchOperations": Source(_limits, ("Quota", "Throttle"))},
            ),
            made_with_resource=True,
        ),
        Items(
            prop("ApiStages"),
            _stage_of_plan("add"),
            _stage_of_plan("remove"),
            made_with_resource=True,
            undone_before_deletion=True,
        ),
        _tags("/usageplans/{id}"),
    ),
    delete=(_call("DeleteUsagePlan", _PLAN),),
    missing=_MISSING,
)

USAGE_PLAN_KEY = ResourceType(
    name="AWS::ApiGateway::UsagePlanKey",
    create=_call("CreateUsagePlanKey", given("KeyId", "KeyType", "UsagePlanId")),
    made={"Id": "id"},
    id=Source(lambda state: f"{state.attributes['Id']}:{state.properties['UsagePlanId']}"),
    delete=(
        _call(
            "DeleteUsagePlanKey",
            {"usagePlanId": naming("UsagePlanId"), "keyId": naming("KeyId")},
        ),
    ),
    missing=_MISSING,
)

TYPES = (
    REST_API,
    RESOURCE,
    METHOD,
    MODEL,
    VALIDATOR,
    GATEWAY_RESPONSE,
    DEPLOYMENT,
    STAGE,
    ACCOUNT,
    API_KEY,
    USAGE_PLAN,
    USAGE_PLAN_KEY,
)
