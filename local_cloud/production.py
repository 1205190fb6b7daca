"""Production of a project, seen from outside: its API, who answers, and what a deployment said."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from local_cloud.api_client import ApiClient
from local_cloud.apigateway import address
from local_cloud.cloud import LocalCloud
from local_cloud.project import Project

__all__ = ["Refusal", "application", "refusal", "serving_release"]

#: Whoever asks runs somewhere; this is the service that its role trusts.
_RUNS_IN = "ecs-tasks.amazonaws.com"


@dataclass(frozen=True)
class Refusal:
    """Why a deployment ended without success."""

    guard: str
    """CodeDeploy's code, for instance ``ALARM_ACTIVE`` or ``HEALTH_CONSTRAINTS``."""
    reason: str


def application(cloud: LocalCloud, born: Project) -> ApiClient:
    """Return an application that may ask the project's API and nothing else."""
    outputs = _outputs(cloud, born)
    iam, name = cloud.client("iam"), "application"
    trust = {"Effect": "Allow", "Principal": {"Service": _RUNS_IN}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]
    place = f"{cloud.region}:{cloud.account_id}:{outputs['ApiId']}/prod/*"
    may = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": f"arn:aws:execute-api:{place}",
    }
    iam.put_role_policy(RoleName=name, PolicyName="ask", PolicyDocument=_policy(may))
    environment = cloud.role_environment(role["Arn"], _RUNS_IN)
    return ApiClient(address(cloud, outputs["ApiUrl"]), cloud.region, environment)


def serving_release(cloud: LocalCloud, born: Project) -> str:
    """Return the release that production says it is."""
    return str(_outputs(cloud, born)["ServingRelease"])


def refusal(cloud: LocalCloud, born: Project) -> Refusal | None:
    """Return why the newest deployment that failed did."""
    client = cloud.client("codedeploy")
    name = _stack_name(born)
    for group in client.list_deployment_groups(applicationName=name)["deploymentGroups"]:
        ids = client.list_deployments(
            applicationName=name,
            deploymentGroupName=group,
            includeOnlyStatuses=["Failed", "Stopped"],
        )["deployments"]
        for each in ids:
            found = client.get_deployment(deploymentId=each)["deploymentInfo"]
            error = found.get("errorInformation")
            if error:
                return Refusal(error["code"], error["message"])
    return None


def _stack_name(born: Project) -> str:
    return f"{born.outputs['ProjectKey']}-prod"


def _outputs(cloud: LocalCloud, born: Project) -> dict[str, Any]:
    client = cloud.client("cloudformation")
    (stack,) = client.describe_stacks(StackName=_stack_name(born))["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
