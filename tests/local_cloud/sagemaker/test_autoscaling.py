"""Application Auto Scaling: instances come and go with the traffic, and no request is lost."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from local_cloud.autoscaling.policy import HIGH, LOW, Policy
from local_cloud.autoscaling.target import Target
from local_cloud.cloud import LocalCloud
from local_cloud.sagemaker import address
from tests.local_cloud.cloudformation.conftest import Driver
from tests.local_cloud.conftest import MakeRole

NAMES = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
INVOCATIONS = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
OTHER = {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A minute lasts 0.3 seconds."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.005) as started:
        yield started


@pytest.fixture(scope="module")
def scaling(account) -> Any:
    return account.cloud.client("application-autoscaling")


@pytest.fixture
def endpoint(account) -> Iterator[str]:
    name = account.endpoint(account.config(account.model("scaled")))
    yield name
    account.client.delete_endpoint(EndpointName=name)


def of(endpoint: str, **changes: Any) -> dict[str, Any]:
    return {**NAMES, "ResourceId": f"endpoint/{endpoint}/variant/primary", **changes}


def tracking(value: float, **changes: Any) -> dict[str, Any]:
    configuration = {
        "TargetValue": value, "PredefinedMetricSpecification": INVOCATIONS, **changes,
    }  # fmt: skip
    return {
        "PolicyName": "tracking",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
    }


def count(account, endpoint: str) -> int:
    (variant,) = account.client.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    return int(variant["CurrentInstanceCount"])


def alarms(account, endpoint: str) -> list[dict[str, Any]]:
    client = account.cloud.client("cloudwatch")
    prefix = f"TargetTracking-endpoint/{endpoint}/"
    return list(client.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"])


class Traffic:
    """Requests one after the other, with a pause that may change; what failed is kept."""

    def __init__(self, endpoint: str) -> None:
        self.pause = 0.0
        self.failures: list[str] = []
        self._over = threading.Event()
        self._netloc = urlsplit(address(endpoint)).netloc
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(self.pause):
            connection = http.client.HTTPConnection(self._netloc, timeout=10)
            try:
                connection.request("POST", "/invocations", b"1,2")
                status = connection.getresponse().status
                if status != 200:
                    self.failures.append(str(status))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            finally:
                connection.close()


def test_instances_follow_the_traffic_and_no_request_is_lost(account, scaling, endpoint):
    scaling.register_scalable_target(**of(endpoint, MinCapacity=1, MaxCapacity=3))
    put = scaling.put_scaling_policy(
        **of(endpoint, **tracking(8, ScaleOutCooldown=0, ScaleInCooldown=0))
    )
    assert [HIGH in alarm["AlarmName"] for alarm in put["Alarms"]] == [True, False]
    with Traffic(endpoint) as traffic:
        account.poll(lambda: count(account, endpoint) == 3)
        traffic.pause = 0.06  # five in a minute
        account.poll(lambda: count(account, endpoint) < 3)
        account.settled(endpoint)
    assert traffic.failures == []
    activities = scaling.describe_scaling_activities(**of(endpoint))["ScalingActivities"]
    last, first = activities[0], activities[-1]
    assert {activity["StatusCode"] for activity in activities} <= {"Successful", "InProgress"}
    assert HIGH in first["Cause"]
    assert LOW in last["Cause"]
    scaling.deregister_scalable_target(**of(endpoint))
    assert not alarms(account, endpoint)


def test_bounds_hold_at_once(account, scaling, endpoint):
    scaling.register_scalable_target(**of(endpoint, MinCapacity=2, MaxCapacity=3))
    account.poll(lambda: count(account, endpoint) == 2)
    scaling.register_scalable_target(**of(endpoint, MinCapacity=1))
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert count(account, endpoint) == 2  # within the bounds, so nothing is done
    scaling.deregister_scalable_target(**of(endpoint))


def test_suspended_scaling_and_cooldowns_are_honoured(account, scaling, endpoint):
    scaling.register_scalable_target(
        **of(endpoint, MinCapacity=1, MaxCapacity=9,
             SuspendedState={"DynamicScalingOutSuspended": True})
    )  # fmt: skip
    scaling.put_scaling_policy(**of(endpoint, **tracking(4, DisableScaleIn=True)))
    cloudwatch = account.cloud.client("cloudwatch")
    (alarm,) = alarms(account, endpoint)
    with Traffic(endpoint):
        account.poll(lambda: state(cloudwatch, alarm["AlarmName"]) == "ALARM")
    assert count(account, endpoint) == 1
    scaling.deregister_scalable_target(**of(endpoint))


def state(cloudwatch: Any, name: str) -> str:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarm["StateValue"])


# ------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("current", "value", "expected"),
    [(1, 100, 1), (1, 101, 2), (2, 300, 6), (4, 24, 1), (3, 90, 3), (5, 0, 1), (2, 900, 8)],
)
def test_how_many_instances_keep_the_metric_at_its_target(current, value, expected):
    target = Target("endpoint/e/variant/v", 1, 8, "role")
    configuration = {"TargetValue": 100, "PredefinedMetricSpecification": INVOCATIONS}
    assert Policy("p", target, configuration).wanted(current, value) == expected


# ------------------------------------------------------------------------------ refusals


def fails(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_what_is_not_taken_is_named(scaling, endpoint):
    register, put = scaling.register_scalable_target, scaling.put_scaling_policy
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    for call, code in [
        (lambda: register(**of("nobody", **bounds)), "ValidationException"),
        (lambda: register(**{**of(endpoint, **bounds),
                             "ResourceId": f"endpoint/{endpoint}/variant/other"}),
         "ValidationException"),
        (lambda: register(**{**of(endpoint, **bounds), "ResourceId": "service/x"}),
         "ValidationException"),
        (lambda: register(**of(endpoint)), "ValidationException"),
        (lambda: register(**of(endpoint, MinCapacity=3, MaxCapacity=2)), "ValidationException"),
        (lambda: register(**{**of(endpoint, **bounds), "ServiceNamespace": "ecs"}),
         "LocalCloudUnsupported"),
        (lambda: put(**of(endpoint, **tracking(1))), "ObjectNotFoundException"),
        (lambda: scaling.deregister_scalable_target(**of(endpoint)), "ObjectNotFoundException"),
    ]:  # fmt: skip
        assert fails(call)[0] == code
    register(**of(endpoint, **bounds))
    for policy, code in [
        ({"PolicyName": "p", "PolicyType": "StepScaling"}, "LocalCloudUnsupported"),
        (tracking(1, PredefinedMetricSpecification=OTHER), "LocalCloudUnsupported"),
        ({**tracking(1), "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 1}},
         "ValidationException"),
    ]:  # fmt: skip
        assert fails(lambda policy=policy: put(**of(endpoint, **policy)))[0] == code
    scaling.deregister_scalable_target(**of(endpoint))


def test_a_role_needs_what_the_service_does_for_it(account, endpoint, make_role: MakeRole):
    role_arn = make_role(("application-autoscaling:*", "*"))
    client = account.cloud.client(
        "application-autoscaling", role_arn=role_arn, service_principal="sagemaker.amazonaws.com"
    )
    code, message = fails(
        lambda: client.register_scalable_target(**of(endpoint, MinCapacity=1, MaxCapacity=2))
    )
    assert code == "AccessDeniedException"
    assert "sagemaker:DescribeEndpoint" in message


# ------------------------------------------------------------------------------ stacks


def test_a_stack_scales_an_endpoint(account, scaling, endpoint):
    def template(most: int, value: float) -> dict[str, Any]:
        return {
            "Resources": {
                "Target": {
                    "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
                    "Properties": of(
                        endpoint, MinCapacity=1, MaxCapacity=most,
                        Tags=[{"Key": "most", "Value": str(most)}],
                    ),
                },
                "Policy": {
                    "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
                    "Properties": {**tracking(value), "ScalingTargetId": {"Ref": "Target"}},
                },
            }
        }  # fmt: skip

    stacks = Driver(account.cloud.client("cloudformation"))
    assert stacks.create("scaled", template(2, 5))["StackStatus"] == "CREATE_COMPLETE"
    assert stacks.physical_ids("scaled")["Target"] == (
        f"endpoint/{endpoint}/variant/primary|sagemaker:variant:DesiredInstanceCount|sagemaker"
    )
    assert stacks.update("scaled", template(4, 7))["StackStatus"] == "UPDATE_COMPLETE"
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert target["MaxCapacity"] == 4
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 7
    tags = scaling.list_tags_for_resource(ResourceARN=target["ScalableTargetARN"])["Tags"]
    assert tags == {"most": "4"}
    thresholds = sorted(alarm["Threshold"] for alarm in alarms(account, endpoint))
    assert thresholds == pytest.approx([6.3, 7.0])
    assert stacks.delete("scaled")["StackStatus"] == "DELETE_COMPLETE"
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
