"""How long a release that traffic has left stays: no longer than its requests may take."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from api import draining

pytestmark = pytest.mark.exhaustive

RELEASE = {
    "Release": "r-1",
    "Version": "arn:aws:lambda:eu-west-1:123456789012:function:churn-p-1-api:7",
    "TimeoutSeconds": "10",
}


class S3:
    def __init__(self, passed: bool | None) -> None:
        self._passed = passed

    def list_objects_v2(self, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Prefix) == ("bucket", "releases/r-1/deployment/before.json")
        return {} if self._passed is None else {"Contents": [{"Key": Prefix}]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert self.list_objects_v2(Bucket, Key)
        return {"Body": io.BytesIO(json.dumps({"passed": self._passed}).encode())}


class CloudWatch:
    def __init__(self, slowest_ms: list[float]) -> None:
        self._slowest_ms = slowest_ms
        self.asked: dict[str, Any] = {}

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        self.asked = asked
        return {"Datapoints": [{"Maximum": ms} for ms in self._slowest_ms]}


def seconds(*slowest_ms: float, passed: bool | None = True) -> float:
    clients = {"cloudwatch": CloudWatch(list(slowest_ms)), "s3": S3(passed)}
    return draining.seconds_in_use(RELEASE, "churn-p-1", "bucket", clients.__getitem__)


def test_it_stays_as_long_as_its_slowest_request_took():
    assert seconds(200.0, 1300.0) == 1 + 1.3


def test_nobody_waits_longer_than_a_request_may_take():
    assert seconds(60_000.0) == 1 + 10


@pytest.mark.parametrize("passed", [True, None], ids=["passed", "no report"])
def test_what_is_not_measured_yet_may_take_as_long_as_it_may(passed):
    assert seconds(passed=passed) == 1 + 10


def test_what_never_had_traffic_goes_at_once():
    assert seconds(passed=False) == 0


def test_only_requests_that_came_by_the_alias_count():
    cloudwatch = CloudWatch([1.0])
    draining.seconds_in_use(RELEASE, "churn-p-1", "bucket", {"cloudwatch": cloudwatch}.__getitem__)
    assert {each["Name"]: each["Value"] for each in cloudwatch.asked["Dimensions"]} == {
        "FunctionName": "churn-p-1-api",
        "Resource": "churn-p-1-api:live",
        "ExecutedVersion": "7",
    }
    assert cloudwatch.asked["MetricName"] == "Duration"
