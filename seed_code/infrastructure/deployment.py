"""DeployEndpoint: the registered package serves, without losing a request.

A Parallel state with one branch, so that its states share one Catch and count as one stage::

    CreateModel → CreateEndpointConfig → FindEndpoint ─┬─ missing ──────────────▶ CreateEndpoint ─┐
                                                       ├─ Failed ─ DeleteFailed… ─▶               │
                                                       └─ else ─────────────────▶ UpdateEndpoint ─┤
      EndpointServes ◀── in service with this release ── CheckEndpoint ◀ Describe… ◀ WaitForEndpoint
                                                          └─ still changing ─ CountWait ──▲

An update that SageMaker rolled back ends in service with the *old* configuration: a failure.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infrastructure.failures import expect
from infrastructure.tasks import Retry, call

__all__ = ["deploy_endpoint"]

_WAIT_SECONDS = 15
_MOST_WAITS = 240  # an hour; SageMaker gives an update up by itself before
_UPDATE_SECONDS = 3_000

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack")

# That the endpoint is missing is told by the same error as throttling: the first deployment of a
# project waits for these few seconds.
_FIND_RETRIES = (Retry(("SageMaker.SageMakerException", "SageMaker.SdkClientException"), 2, 3, 5),)
# While an endpoint is being changed by somebody else, or deleted, it refuses: wait for minutes.
_CHANGE_RETRIES = (
    Retry(("SageMaker.ResourceLimitExceededException",), 60, 15, 300),
    Retry(("SageMaker.SageMakerException", "SageMaker.SdkClientException"), 15, 10, 60),
)

# SageMaker's own way when none is given, written down so that its time limit is ours: a second
# fleet comes up, takes all the traffic at once, and the first leaves. A canary or a bake time
# would add nothing without alarms that could stop it.
_BLUE_GREEN = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 0,
        "MaximumExecutionTimeoutInSeconds": _UPDATE_SECONDS,
    }
}

_ENDPOINT = {"EndpointName.$": "$.deploy.endpoint_name"}
_ENDPOINT_AND_CONFIG = {**_ENDPOINT, "EndpointConfigName.$": "$.deploy.endpoint_config_name"}


def deploy_endpoint(scope: Construct, role_arn: str, key_arn: str) -> sfn.Parallel:
    """Return the stage; it puts ``endpoint_name`` and ``endpoint_config_name`` in ``$.deployment``.

    The role is the endpoint's; the key encrypts its volumes.
    """
    stage = sfn.Parallel(
        scope,
        "DeployEndpoint",
        parameters={
            "deploy.$": "$.deploy",
            "tags.$": "$.tags",
            "model_package_arn.$": "$.registration.model_package_arn",
            "waits": {"count": 0},
        },
        result_selector={
            "endpoint_name.$": "$[0].deploy.endpoint_name",
            "endpoint_config_name.$": "$[0].deploy.endpoint_config_name",
        },
        result_path="$.deployment",
    )
    stage.branch(
        _create_model(scope, role_arn)
        .next(_create_config(scope, key_arn))
        .next(_find_endpoint(scope, _wait_until_served(scope)))
    )
    return stage


def _create_model(scope: Construct, role_arn: str) -> sfn.CustomState:
    return call(
        scope,
        "CreateModel",
        "sagemaker:createModel",
        {
            "ModelName.$": "$.deploy.model_name",
            "PrimaryContainer": {"ModelPackageName.$": "$.model_package_arn"},
            "ExecutionRoleArn": role_arn,
            "EnableNetworkIsolation": True,
            "Tags.$": "$.tags",
        },
    )


def _create_config(scope: Construct, key_arn: str) -> sfn.CustomState:
    return call(
        scope,
        "CreateEndpointConfig",
        "sagemaker:createEndpointConfig",
        {
            "EndpointConfigName.$": "$.deploy.endpoint_config_name",
            "ProductionVariants": [
                {
                    "VariantName": "primary",
                    "ModelName.$": "$.deploy.model_name",
                    "InstanceType.$": "$.deploy.instance_type",
                    "InitialInstanceCount.$": "$.deploy.instance_count",
                    "InitialVariantWeight": 1,
                }
            ],
            "KmsKeyId": key_arn,
            "Tags.$": "$.tags",
        },
    )


def _find_endpoint(scope: Construct, until_served: sfn.IChainable) -> sfn.CustomState:
    create = _change(
        scope, "CreateEndpoint", "createEndpoint", {**_ENDPOINT_AND_CONFIG, "Tags.$": "$.tags"}
    )
    update = _change(
        scope, "UpdateEndpoint", "updateEndpoint",
        {**_ENDPOINT_AND_CONFIG, "DeploymentConfig": _BLUE_GREEN},
    )  # fmt: skip
    # Such an endpoint serves nobody, and deleting it is all that AWS lets one do with it. Its
    # name is free some seconds later, which the retries of CreateEndpoint wait for.
    delete = _change(scope, "DeleteFailedEndpoint", "deleteEndpoint", _ENDPOINT)
    create.next(until_served)
    update.next(until_served)
    delete.next(create)
    find = call(
        scope,
        "FindEndpoint",
        "sagemaker:describeEndpoint",
        _ENDPOINT,
        result={"EndpointStatus.$": "$.EndpointStatus"},
        result_path="$.found",
        retries=_FIND_RETRIES,
    )
    expect(scope, find, "Could not find endpoint", create, question="IsEndpointMissing")
    find.next(
        sfn.Choice(scope, "ChooseChange")
        .when(sfn.Condition.string_equals("$.found.EndpointStatus", "Failed"), delete)
        .otherwise(update)
    )
    return find


def _change(
    scope: Construct, name: str, operation: str, parameters: dict[str, Any]
) -> sfn.CustomState:
    return call(scope, name, f"sagemaker:{operation}", parameters, retries=_CHANGE_RETRIES)


def _wait_until_served(scope: Construct) -> sfn.Wait:
    wait = sfn.Wait(
        scope, "WaitForEndpoint", time=sfn.WaitTime.duration(Duration.seconds(_WAIT_SECONDS))
    )
    describe = call(
        scope, "DescribeEndpoint", "sagemaker:describeEndpoint", _ENDPOINT,
        result_path="$.endpoint",
    )  # fmt: skip
    count = sfn.Pass(
        scope,
        "CountWait",
        parameters={"count.$": "States.MathAdd($.waits.count, 1)"},
        result_path="$.waits",
    )
    wait.next(describe).next(_check_endpoint(scope, count.next(wait)))
    return wait


def _check_endpoint(scope: Construct, again: sfn.IChainable) -> sfn.Choice:
    status = "$.endpoint.EndpointStatus"
    serves_this_release = sfn.Condition.and_(
        sfn.Condition.string_equals(status, "InService"),
        sfn.Condition.string_equals_json_path(
            "$.endpoint.EndpointConfigName", "$.deploy.endpoint_config_name"
        ),
    )
    is_changing = sfn.Condition.or_(
        *(sfn.Condition.string_equals(status, changing) for changing in _CHANGING)
    )
    has_time = sfn.Condition.number_less_than("$.waits.count", _MOST_WAITS)
    check = sfn.Choice(scope, "CheckEndpoint")
    check.when(serves_this_release, sfn.Pass(scope, "EndpointServes"))
    check.when(sfn.Condition.and_(is_changing, has_time), again)
    check.when(
        sfn.Condition.is_present("$.endpoint.FailureReason"),
        sfn.Fail(
            scope, "EndpointFailed", error="EndpointFailed", cause_path="$.endpoint.FailureReason"
        ),
    )
    check.otherwise(
        sfn.Fail(
            scope,
            "EndpointDoesNotServe",
            error="EndpointDoesNotServe",
            cause_path="States.Format('Endpoint {}: {} with {}; InService with {}. "
            "Its log group is /aws/sagemaker/Endpoints/{}.', $.deploy.endpoint_name, "
            "$.endpoint.EndpointStatus, $.endpoint.EndpointConfigName, "
            "$.deploy.endpoint_config_name, $.deploy.endpoint_name)",
        )
    )
    return check
