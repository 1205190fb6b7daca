"""What calls of CodeDeploy and Application Auto Scaling need.

Written from the Service Authorization Reference, as :mod:`local_cloud.actions`, whose tables these
are two of.

Sources:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodedeploy.html,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["AUTOSCALING", "CODEDEPLOY", "DEPLOYMENT_CONFIGS", "DEPLOYMENT_GROUPS"]

Parameters = Mapping[str, Any]
Resources = Callable[[Parameters], list[str]]
Rules = dict[str, list[tuple[str, Resources]]]

#: Deployment -> ``<application>/<deployment group>``: permissions on a deployment are its group's.
DEPLOYMENT_GROUPS: dict[str, str] = {}
#: ``<application>/<deployment group>`` -> its configuration, which whoever deploys must be let see.
DEPLOYMENT_CONFIGS: dict[str, str] = {}


def _same(operations: Mapping[str, Resources]) -> Rules:
    return {name: [(name, resources)] for name, resources in operations.items()}


def _anything(_: Parameters) -> list[str]:
    return ["*"]


def _tagged(parameters: Parameters) -> list[str]:
    return [str(parameters["ResourceArn"])]


# ------------------------------------------------------------------------------ CodeDeploy


def _application(parameters: Parameters) -> list[str]:
    return [f"application:{parameters['applicationName']}"]


def _any_application(_: Parameters) -> list[str]:
    return ["application:*"]


def _group(parameters: Parameters) -> list[str]:
    names = ("deploymentGroupName", "currentDeploymentGroupName")
    name = next((parameters[name] for name in names if parameters.get(name)), "*")
    return [f"deploymentgroup:{parameters.get('applicationName') or '*'}/{name}"]


def _group_of_deployment(parameters: Parameters) -> list[str]:
    place = DEPLOYMENT_GROUPS.get(str(parameters.get("deploymentId", "")), "*/*")
    return [f"deploymentgroup:{place}"]


def _config(parameters: Parameters) -> list[str]:
    return [f"deploymentconfig:{parameters['deploymentConfigName']}"]


def _config_of_group(parameters: Parameters) -> list[str]:
    place = f"{parameters.get('applicationName')}/{parameters.get('deploymentGroupName')}"
    name = parameters.get("deploymentConfigName") or DEPLOYMENT_CONFIGS.get(place, "*")
    return [f"deploymentconfig:{name}"]


CODEDEPLOY: Rules = {
    **_same(
        {
            "CreateApplication": _application,
            "CreateDeploymentConfig": _config,
            "CreateDeploymentGroup": _group,
            "DeleteApplication": _application,
            "DeleteDeploymentConfig": _config,
            "DeleteDeploymentGroup": _group,
            "GetApplication": _application,
            "GetDeployment": _group_of_deployment,
            "GetDeploymentConfig": _config,
            "GetDeploymentGroup": _group,
            "GetDeploymentTarget": _group_of_deployment,
            "ListApplications": _any_application,
            "ListDeploymentConfigs": _anything,
            "ListDeploymentGroups": _application,
            "ListDeploymentTargets": _group_of_deployment,
            "ListDeployments": _group,
            "ListTagsForResource": _tagged,
            "PutLifecycleEventHookExecutionStatus": _group_of_deployment,
            "StopDeployment": _group_of_deployment,
            "TagResource": _tagged,
            "UntagResource": _tagged,
            "UpdateDeploymentGroup": _group,
        }
    ),
    "CreateDeployment": [("CreateDeployment", _group), ("GetDeploymentConfig", _config_of_group)],
}

# ------------------------------------------------------------------------------ scaling


def _target(_: Parameters) -> list[str]:
    """A target has no name in a request: its ARN ends with an id that AWS gives it."""
    return ["scalable-target/*"]


def _tagged_target(parameters: Parameters) -> list[str]:
    return [str(parameters["ResourceARN"])]


AUTOSCALING: Rules = _same(
    {
        "DeleteScalingPolicy": _target,
        "DeregisterScalableTarget": _target,
        "DescribeScalableTargets": _anything,
        "DescribeScalingActivities": _anything,
        "DescribeScalingPolicies": _anything,
        "ListTagsForResource": _tagged_target,
        "PutScalingPolicy": _target,
        "RegisterScalableTarget": _target,
        "TagResource": _tagged_target,
        "UntagResource": _tagged_target,
    }
)
