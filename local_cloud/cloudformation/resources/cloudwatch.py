"""AWS::CloudWatch: alarms and dashboards."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    ITEM,
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
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import ARN, with_arn

__all__ = ["TYPES"]

_call = partial(Call, "cloudwatch")
_MISSING = ("ResourceNotFound", "ResourceNotFoundException")

_ALARM = given(
    "ActionsEnabled",
    "AlarmActions",
    "AlarmDescription",
    "AlarmName",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationPeriods",
    "ExtendedStatistic",
    "InsufficientDataActions",
    "MetricName",
    "Metrics",
    "Namespace",
    "OKActions",
    "Period",
    "Statistic",
    "Threshold",
    "TreatMissingData",
    "Unit",
)
_DESCRIBE = _call(
    "DescribeAlarms", {"AlarmNames": Source(lambda state: [state.properties["AlarmName"]])}
)


def _find(deployer: Deployer, state: State) -> dict[str, Any]:
    """The alarm; CloudWatch's answer about one that does not exist is an empty list."""
    found = _DESCRIBE.run(deployer, state)["MetricAlarms"]
    return dict(found[0]) if found else {}


def _put(deployer: Deployer, state: State) -> None:
    """Make the alarm, unless there is one of that name, which would be written over."""
    if _find(deployer, state):
        raise ResourceError(f"{state.properties['AlarmName']} already exists")
    _PUT_NEW.run(deployer, state)


_PUT_NEW = _call("PutMetricAlarm", {**_ALARM, **given("Tags")})

ALARM = ResourceType(
    name="AWS::CloudWatch::Alarm",
    create=Code(_put, (_PUT_NEW,), _DESCRIBE.operations),
    id=prop("AlarmName"),
    named="AlarmName",
    longest_name=255,
    parts=(
        Setting(_call("PutMetricAlarm", _ALARM), made_with_resource=True),
        tags(
            _call("TagResource", {"ResourceARN": attr("Arn"), "Tags": ITEM}),
            _call("UntagResource", {"ResourceARN": attr("Arn"), "TagKeys": TAG_KEYS}),
        ),
    ),
    read=Code(_find, (), _DESCRIBE.operations),
    attributes={"Arn": "AlarmArn"},
    delete=(
        _call(
            "DeleteAlarms", {"AlarmNames": Source(lambda state: [state.properties["AlarmName"]])}
        ),
    ),
    missing=_MISSING,
)


def _dashboard_arn(deployer: Deployer, state: State) -> str:
    name = state.properties["DashboardName"]
    return f"arn:aws:cloudwatch::{deployer.cloud.account_id}:dashboard/{name}"


_DASHBOARD = given("DashboardBody", "DashboardName")
_GET_DASHBOARD = _call("GetDashboard", {"DashboardName": naming("DashboardName")})

DASHBOARD = ResourceType(
    name="AWS::CloudWatch::Dashboard",
    exists=_GET_DASHBOARD,
    create=_call("PutDashboard", {**_DASHBOARD, **given("Tags")}),
    id=prop("DashboardName"),
    named="DashboardName",
    parts=(
        Setting(_call("PutDashboard", _DASHBOARD), made_with_resource=True),
        tags(
            with_arn(_call("TagResource", {"ResourceARN": ARN, "Tags": ITEM}), _dashboard_arn),
            with_arn(
                _call("UntagResource", {"ResourceARN": ARN, "TagKeys": TAG_KEYS}), _dashboard_arn
            ),
        ),
    ),
    delete=(
        _call(
            "DeleteDashboards",
            {"DashboardNames": Source(lambda state: [state.properties["DashboardName"]])},
        ),
    ),
    missing=_MISSING,
)

TYPES = (ALARM, DASHBOARD)
