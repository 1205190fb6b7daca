"""AWS::Lambda: functions, versions, aliases, permissions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.intrinsics import text_of
from local_cloud.cloudformation.resources import alias_updates
from local_cloud.cloudformation.resources.calls import (
    ID,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType, Wait

__all__ = ["TYPES"]

_call = partial(Call, "lambda")
_MISSING = ("ResourceNotFoundException",)
_FUNCTION = {"FunctionName": naming("FunctionName")}


def _tag_map(tagged: list[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tagged}


def _log_group(state: State) -> dict[str, Any]:
    default = {
        "LogFormat": "Text",
        "LogGroup": f"/aws/lambda/{state.properties.get('FunctionName')}",
    }
    return {**default, **state.properties.get("LoggingConfig", {})}


#: What a template does not set any more falls back to what AWS gives a new function.
_CONFIGURATION = {
    "Description": prop("Description", default=""),
    "Environment": prop("Environment", default={"Variables": {}}),
    "EphemeralStorage": prop("EphemeralStorage", default={"Size": 512}),
    "FileSystemConfigs": prop("FileSystemConfigs", default=[]),
    "ImageConfig": prop("ImageConfig", default={}),
    "KMSKeyArn": prop("KmsKeyArn", default=""),
    "LoggingConfig": Source(_log_group, ("LoggingConfig",)),
    "MemorySize": prop("MemorySize", default=128),
    "Timeout": prop("Timeout", default=3),
    "VpcConfig": prop("VpcConfig", default={"SubnetIds": [], "SecurityGroupIds": []}),
    **given("Role", "SnapStart", "TracingConfig"),
}

FUNCTION = ResourceType(
    name="AWS::Lambda::Function",
    create=_call(
        "CreateFunction",
        {
            "KMSKeyArn": prop("KmsKeyArn"),
            "Tags": prop("Tags", _tag_map),
            **given(
                "Architectures",
                "Code",
                "Description",
                "Environment",
                "EphemeralStorage",
                "FileSystemConfigs",
                "FunctionName",
                "ImageConfig",
                "LoggingConfig",
                "MemorySize",
                "PackageType",
                "Role",
                "SnapStart",
                "Timeout",
                "TracingConfig",
                "VpcConfig",
            ),
        },
    ),
    id=prop("FunctionName"),
    named="FunctionName",
    longest_name=64,
    parts=(
        Setting(
            _call(
                "UpdateFunctionCode",
                {
                    **_FUNCTION,
                    "Architectures": prop("Architectures", default=["x86_64"]),
                    "ImageUri": prop("Code", lambda code: code.get("ImageUri")),
                },
            ),
            made_with_resource=True,
        ),
        Setting(
            _call("UpdateFunctionConfiguration", {**_FUNCTION, **_CONFIGURATION}),
            made_with_resource=True,
        ),
        Setting(
            _call("PutFunctionConcurrency", {**_FUNCTION, **given("ReservedConcurrentExecutions")}),
            _call("DeleteFunctionConcurrency", _FUNCTION),
        ),
        tags(
            _call(
                "TagResource",
                {"Resource": attr("Arn"), "Tags": Source(lambda state: _tag_map(state.item))},
            ),
            _call("UntagResource", {"Resource": attr("Arn"), "TagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("GetFunction", _FUNCTION),
    attributes={"Arn": "Configuration.FunctionArn"},
    wait=Wait(
        status="Configuration.LastUpdateStatus",
        ready=frozenset({"Successful"}),
        failed=frozenset({"Failed"}),
        reason="Configuration.LastUpdateStatusReason",
        gone=frozenset({"Deleted"}),
    ),
    delete=(_call("DeleteFunction", _FUNCTION),),
    missing=_MISSING,
)

_PUBLISH = _call("PublishVersion", given("CodeSha256", "Description", "FunctionName"))
_LIST_VERSIONS = _call("ListVersionsByFunction", _FUNCTION)


def _publish(deployer: Deployer, state: State) -> Mapping[str, Any]:
    """Publish a version; Lambda gives the last one again when nothing has changed since."""
    before = _LIST_VERSIONS.run(deployer, state)["Versions"]
    answer = _PUBLISH.run(deployer, state)
    if any(version["Version"] == answer["Version"] for version in before):
        raise ResourceError(
            f"A version for this Lambda function exists ( {answer['Version']} ). Modify the "
            "function to create a new version."
        )
    return answer


VERSION = ResourceType(
    name="AWS::Lambda::Version",
    create=Code(_publish, (_PUBLISH,), _LIST_VERSIONS.operations),
    made={"FunctionArn": "FunctionArn", "Version": "Version"},
    id=attr("FunctionArn"),
    delete=(_call("DeleteFunction", {**_FUNCTION, "Qualifier": attr("Version")}),),
    missing=_MISSING,
)


def _weights(routing: Mapping[str, Any]) -> dict[str, Any]:
    listed = routing.get("AdditionalVersionWeights", [])
    weights = {text_of(item["FunctionVersion"]): item["FunctionWeight"] for item in listed}
    return {"AdditionalVersionWeights": weights}


_ALIAS = {**_FUNCTION, "Name": naming("Name")}
_GET_ALIAS = _call("GetAlias", _ALIAS)
_UPDATE_ALIAS = _call(
    "UpdateAlias",
    {
        **_ALIAS,
        "Description": prop("Description", default=""),
        "RoutingConfig": prop("RoutingConfig", _weights, default={}),
        **given("FunctionVersion"),
    },
)


def _update_alias(deployer: Deployer, state: State) -> None:
    """Have CodeDeploy move the traffic where the update policy says so; set what is left."""
    before = _GET_ALIAS.run(deployer, state)
    moved = alias_updates.move(deployer, state, before["FunctionVersion"])
    if not moved or before.get("Description", "") != state.properties.get("Description", ""):
        _UPDATE_ALIAS.run(deployer, state)


ALIAS = ResourceType(
    name="AWS::Lambda::Alias",
    create=_call(
        "CreateAlias",
        {
            "RoutingConfig": prop("RoutingConfig", _weights),
            **given("Description", "FunctionName", "FunctionVersion", "Name"),
        },
    ),
    made={"AliasArn": "AliasArn"},
    id=attr("AliasArn"),
    parts=(
        Setting(
            Code(
                _update_alias,
                (_UPDATE_ALIAS,),
                (*_GET_ALIAS.operations, *alias_updates.OPERATIONS),
            ),
            made_with_resource=True,
        ),
    ),
    delete=(_call("DeleteAlias", _ALIAS),),
    missing=_MISSING,
    update_policies=alias_updates.POLICY,
)

_ADD_PERMISSION = _call(
    "AddPermission",
    {
        "StatementId": Source(lambda state: state.name),
        **given("Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"),
    },
)


def _add_permission(deployer: Deployer, state: State) -> Mapping[str, Any]:
    _ADD_PERMISSION.run(deployer, state)
    return {"Id": state.name}


PERMISSION = ResourceType(
    name="AWS::Lambda::Permission",
    create=Code(_add_permission, (_ADD_PERMISSION,)),
    made={"Id": "Id"},
    id=attr("Id"),
    longest_name=100,
    delete=(_call("RemovePermission", {**_FUNCTION, "StatementId": ID}),),
    missing=_MISSING,
)

_EVENT_CONFIG = {**_FUNCTION, "Qualifier": naming("Qualifier")}

EVENT_INVOKE_CONFIG = ResourceType(
    name="AWS::Lambda::EventInvokeConfig",
    create=_call(
        "PutFunctionEventInvokeConfig",
        given("FunctionName", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "Qualifier"),
    ),
    id=Source(lambda state: "|".join(state.properties[_] for _ in ("FunctionName", "Qualifier"))),
    parts=(
        Setting(
            _call(
                "UpdateFunctionEventInvokeConfig",
                {
                    **_EVENT_CONFIG,
                    "MaximumEventAgeInSeconds": prop("MaximumEventAgeInSeconds", default=21_600),
                    "MaximumRetryAttempts": prop("MaximumRetryAttempts", default=2),
                },
            ),
            made_with_resource=True,
        ),
    ),
    delete=(_call("DeleteFunctionEventInvokeConfig", _EVENT_CONFIG),),
    missing=_MISSING,
)

TYPES = (FUNCTION, VERSION, ALIAS, PERMISSION, EVENT_INVOKE_CONFIG)
