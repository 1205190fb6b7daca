"""Parameters and tags of the project's stacks, as CloudFormation actions of a pipeline read them.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/continuous-delivery-codepipeline-cfn-artifacts.html
"""

from __future__ import annotations

from typing import Any

from infrastructure.workflow_input import PROJECT_TAG
from mlsystem.names import Names
from mlsystem.settings import Api, Production, Settings, Strategy
from pipeline.environment import BuildEnvironment

__all__ = ["OF_PROJECT", "dev", "production", "tags", "workflow"]

# Of the production stack: what is the project's, whichever release is deployed.
OF_PROJECT = frozenset(
    {
        "AccessPointArn", "DataBucketName", "DataKeyArn", "FileSystemArn", "FunctionSecurityGroup",
        "KmsKeyArn", "NotificationTopicArn", "PermissionsBoundaryArn", "PrivateSubnetA",
        "PrivateSubnetB", "ProjectName", "RepositoryName", "VpcId",
    }
)  # fmt: skip

# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
_CANARIES = {minutes: f"LambdaCanary10Percent{minutes}Minutes" for minutes in (5, 10, 15, 30)}
_LINEARS = {
    minutes: f"LambdaLinear10PercentEvery{minutes}Minute{'' if minutes == 1 else 's'}"
    for minutes in (1, 2, 3, 10)
}
_NAMED_PERCENT = 10


def tags(environment: BuildEnvironment) -> dict[str, str]:
    """Return the tags of everything that the project makes; Studio finds it by the first two."""
    return {
        "sagemaker:project-name": environment.sagemaker_project_name,
        "sagemaker:project-id": environment.sagemaker_project_id,
        PROJECT_TAG: environment.project_key,
    }


def workflow(environment: BuildEnvironment) -> dict[str, Any]:
    """Return the configuration of the workflow's stack."""
    return {"Parameters": _project(environment), "Tags": tags(environment)}


def dev(
    environment: BuildEnvironment, settings: Settings, names: Names, image_uri: str
) -> dict[str, Any]:
    """Return the configuration of the dev endpoint's stack for the release `names`."""
    machines = settings.instances.endpoint
    of_release = {
        "Release": names.label,
        "ImageUri": image_uri,
        "ModelArchiveUri": f"s3://{environment.data_bucket}/{names.model_archive_key}",
        "InstanceType": machines.type,
        "InstanceCount": str(machines.count),
    }
    return {"Parameters": {**_project(environment), **of_release}, "Tags": tags(environment)}


def production(
    environment: BuildEnvironment,
    settings: Settings,
    names: Names,
    image_uri: str,
    api_image_uri: str,
) -> dict[str, Any]:
    """Return the configuration of the production stack for the release `names`.

    Without what production uses of the account that it is in, which may be another one:
    :func:`pipeline.production.approve` adds it.
    """
    of_release = {
        "ReleaseId": names.release,
        "Release": names.label,
        "ImageUri": image_uri,
        "ApiImageUri": api_image_uri,
        "ModelArchiveUri": f"s3://{environment.data_bucket}/{names.model_archive_key}",
        "Serving": settings.deploy.serving,
        **_machines(settings.deploy.production),
        **_traffic(settings.deploy.production),
        **_api(settings.deploy.api),
    }
    of_project = {**_named(environment), "DataKeyArn": environment.kms_key_arn}
    return {"Parameters": {**of_project, **of_release}, "Tags": tags(environment)}


def _machines(production: Production) -> dict[str, str]:
    machines = production.instances
    return {
        "InstanceType": machines.type,
        "InstancesMin": str(machines.min),
        "InstancesMax": str(machines.max),
        "TargetInvocationsPerMinute": _text(machines.target_invocations_per_minute),
        "CapturePercent": str(production.capture_percent),
    }


def _traffic(production: Production) -> dict[str, str]:
    strategy, alarms, checks = production.strategy, production.alarms, production.checks
    return {
        "TrafficShift": _shift(strategy),
        "TrafficKind": strategy.kind,
        "TrafficPercent": str(strategy.percent),
        "TrafficMinutes": str(strategy.minutes),
        "AlarmsStop": "yes",
        "AlarmCrashes": str(alarms.crashes),
        "AlarmModelErrors": str(alarms.model_errors),
        "AlarmErrorPercent": _text(alarms.error_percent),
        "AlarmApiErrorPercent": _text(alarms.api_error_percent),
        "AlarmLatencyMs": _text(alarms.latency_p99_ms),
        "CheckRequests": str(checks.latency_requests),
        "CheckP50Ms": _text(checks.latency_p50_ms),
        "CheckP99Ms": _text(checks.latency_p99_ms),
    }


def _shift(strategy: Strategy) -> str:
    """Return CodeDeploy's name for `strategy`, or ``own`` when it has none."""
    if strategy.kind == "all-at-once":
        name = "LambdaAllAtOnce"
    else:
        named = _CANARIES if strategy.kind == "canary" else _LINEARS
        name = named.get(strategy.minutes, "") if strategy.percent == _NAMED_PERCENT else ""
    return f"CodeDeployDefault.{name}" if name else "own"


def _api(api: Api) -> dict[str, str]:
    return {
        "ApiAuth": api.auth,
        "ApiRatePerSecond": _text(api.rate_per_second),
        "ApiBurst": str(api.burst),
        "ApiQuotaPerDay": str(api.quota_per_day or 0),
        "ApiMemoryMb": str(api.memory_mb),
        "ApiTimeoutSeconds": str(api.timeout_seconds),
    }


def _text(number: float) -> str:
    """Return `number` as CloudFormation reads it: without an exponent."""
    return f"{number:f}".rstrip("0").rstrip(".")


def _project(environment: BuildEnvironment) -> dict[str, str]:
    return {
        **_named(environment),
        "KmsKeyArn": environment.kms_key_arn,
        "PermissionsBoundaryArn": environment.permissions_boundary_arn,
    }


def _named(environment: BuildEnvironment) -> dict[str, str]:
    return {
        "ProjectName": environment.project_key,
        "DataBucketName": environment.data_bucket,
        "RepositoryName": environment.container_repository,
    }
