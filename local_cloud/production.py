"""Production of a project, seen from outside: its API, who answers, and what a deployment said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local_cloud import programs
from local_cloud.api_client import ApiClient
from local_cloud.apigateway import address
from local_cloud.cloud import LocalCloud
from local_cloud.project import Project
from local_cloud.roles import make_role
from local_cloud.stack_outputs import outputs_of

__all__ = ["Refusal", "application", "go_back", "refusal", "serving_release"]

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
    place = f"{cloud.region}:{cloud.account_id}:{outputs['ApiId']}/prod/*"
    may = {"Action": "execute-api:Invoke", "Resource": f"arn:aws:execute-api:{place}"}
    role_arn = make_role(cloud, "application", _RUNS_IN, may)
    environment = cloud.role_environment(role_arn, _RUNS_IN)
    return ApiClient(address(cloud, outputs["ApiUrl"]), cloud.region, environment)


def go_back(born: Project, environment: Mapping[str, str]) -> str:
    """Return production to the release before, as whom `environment` says; return what was said.

    ``scripts/rollback.sh`` does the same.
    """
    key = born.outputs["ProjectKey"]
    return programs.finish(
        programs.start(programs.SEED_CODE, "pipeline", "rollback", key, environment=environment)
    )


def serving_release(cloud: LocalCloud, born: Project) -> str:
    """Return the release that production says it is."""
    return _outputs(cloud, born)["ServingRelease"]


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
    return born.outputs["ProdStackName"]


def _outputs(cloud: LocalCloud, born: Project) -> dict[str, str]:
    return outputs_of(cloud.client("cloudformation"), _stack_name(born))
