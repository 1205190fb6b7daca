"""AWS::CodeDeploy: applications, deployment groups and configurations for Lambda."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ITEM,
    Call,
    State,
    given,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import ARN, with_arn

__all__ = ["TYPES"]

_call = partial(Call, "codedeploy")


def _arn(deployer: Deployer, state: State) -> str:
    cloud = deployer.cloud
    properties = state.properties
    place = f"arn:aws:codedeploy:{cloud.region}:{cloud.account_id}"
    if "DeploymentGroupName" in properties:
        name = f"{properties['ApplicationName']}/{properties['DeploymentGroupName']}"
        return f"{place}:deploymentgroup:{name}"
    return f"{place}:application:{properties['ApplicationName']}"


def _tags() -> Items:
    return tags(
        with_arn(_call("TagResource", {"ResourceArn": ARN, "Tags": ITEM}), _arn),
        with_arn(_call("UntagResource", {"ResourceArn": ARN, "TagKeys": TAG_KEYS}), _arn),
    )


_APPLICATION = {"ApplicationName": naming("ApplicationName")}

APPLICATION = ResourceType(
    name="AWS::CodeDeploy::Application",
    create=_call("CreateApplication", given("ApplicationName", "ComputePlatform", "Tags")),
    id=prop("ApplicationName"),
    named="ApplicationName",
    longest_name=100,
    parts=(_tags(),),
    delete=(_call("DeleteApplication", _APPLICATION),),
    missing=("ApplicationDoesNotExistException",),
)

_SETTINGS = {
    # What a template does not set any more is turned off.
    "AlarmConfiguration": prop("AlarmConfiguration", default={"Enabled": False, "Alarms": []}),
    "AutoRollbackConfiguration": prop(
        "AutoRollbackConfiguration", default={"Enabled": False, "Events": []}
    ),
    "TriggerConfigurations": prop("TriggerConfigurations", default=[]),
    **given("DeploymentConfigName", "DeploymentStyle", "ServiceRoleArn"),
}

DEPLOYMENT_GROUP = ResourceType(
    name="AWS::CodeDeploy::DeploymentGroup",
    create=_call(
        "CreateDeploymentGroup",
        {**_SETTINGS, **given("ApplicationName", "DeploymentGroupName", "Tags")},
    ),
    id=prop("DeploymentGroupName"),
    named="DeploymentGroupName",
    longest_name=100,
    parts=(
        Setting(
            _call(
                "UpdateDeploymentGroup",
                {
                    **_SETTINGS,
                    **_APPLICATION,
                    "CurrentDeploymentGroupName": naming("DeploymentGroupName"),
                },
            ),
            made_with_resource=True,
        ),
        _tags(),
    ),
    delete=(
        _call(
            "DeleteDeploymentGroup",
            {**_APPLICATION, "DeploymentGroupName": naming("DeploymentGroupName")},
        ),
    ),
    missing=("ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException"),
)

DEPLOYMENT_CONFIG = ResourceType(
    name="AWS::CodeDeploy::DeploymentConfig",
    create=_call(
        "CreateDeploymentConfig",
        given("ComputePlatform", "DeploymentConfigName", "TrafficRoutingConfig"),
    ),
    id=prop("DeploymentConfigName"),
    named="DeploymentConfigName",
    longest_name=100,
    delete=(
        _call("DeleteDeploymentConfig", {"DeploymentConfigName": naming("DeploymentConfigName")}),
    ),
    missing=("DeploymentConfigDoesNotExistException",),
)

TYPES = (APPLICATION, DEPLOYMENT_GROUP, DEPLOYMENT_CONFIG)
