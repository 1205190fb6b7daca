"""CloudWatch's API: metrics and alarms are ours, dashboards are kept by moto."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from moto.cloudwatch.exceptions import (
    InvalidFormat,
    InvalidParameterCombination,
    InvalidParameterValue,
    ResourceNotFound,
    ValidationError,
)
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from local_cloud.alarms.alarm import Alarm, Change
from local_cloud.alarms.monitor import Alarms
from local_cloud.alarms.queries import Queries, QueryError, Window, check_statistic
from local_cloud.errors import UnsupportedError
from local_cloud.metrics import Distribution, Metric, Metrics

__all__ = ["CloudWatchApi"]

_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
_MOST_DATAPOINTS = 1_440
_MOST_VALUES = 100_800
_OLDEST = dt.timedelta(days=14)
_NEWEST = dt.timedelta(hours=2)
_OPERATIONS = {
    "DeleteAlarms", "DeleteDashboards", "DescribeAlarmHistory", "DescribeAlarms",
    "DescribeAlarmsForMetric", "DisableAlarmActions", "EnableAlarmActions", "GetDashboard",
    "GetMetricData", "GetMetricStatistics", "ListDashboards", "ListMetrics",
    "ListTagsForResource", "PutDashboard", "PutMetricAlarm", "PutMetricData", "SetAlarmState",
    "TagResource", "UntagResource",
}  # fmt: skip


class CloudWatchApi(CloudWatchResponse):  # type: ignore[misc]
    """Operations of ``cloudwatch``; moto makes one object for each request."""

    alarms: ClassVar[Alarms]
    metrics: ClassVar[Metrics]

    def call_action(self) -> Any:
        """Answer the request, or refuse an operation that is not here."""
        operation = self._get_action()
        if operation not in _OPERATIONS:
            raise UnsupportedError(
                "CloudWatch",
                f"the operation {operation}",
                f"{', '.join(sorted(_OPERATIONS))} are supported",
            )
        return super().call_action()

    # ---------------------------------------------------------------- metrics

    def put_metric_data(self) -> ActionResult:
        """PutMetricData."""
        parameters = self._get_params()
        if parameters.get("EntityMetricData"):
            raise UnsupportedError("cloudwatch:PutMetricData", "EntityMetricData", "MetricData is")
        namespace = parameters["Namespace"]
        if namespace.startswith("AWS/"):
            raise InvalidParameterValue(
                "The value AWS/ for parameter Namespace is invalid: it is reserved."
            )
        for datum in parameters.get("MetricData", []):
            dimensions = {_["Name"]: _["Value"] for _ in datum.get("Dimensions", [])}
            self.metrics.record_distribution(
                Metric.of(namespace, datum["MetricName"], dimensions),
                _distribution(datum),
                unit=datum.get("Unit", "None"),
                at=_moment(datum.get("Timestamp")),
            )
        return EmptyResult()

    def get_metric_data(self) -> ActionResult:
        """GetMetricData."""
        parameters = self._get_params()
        try:
            queries = Queries(parameters["MetricDataQueries"])
        except QueryError as error:
            raise ValidationError(str(error)) from error
        begins, windows = self._windows(parameters, queries.period_seconds, _MOST_VALUES)
        values = queries.values(self.metrics, windows)
        oldest_first = parameters.get("ScanBy") == "TimestampAscending"
        results = [
            _result(queries.entries[name], begins, values[name], oldest_first=oldest_first)
            for name in queries.returned
        ]
        return ActionResult({"MetricDataResults": results, "Messages": []})

    def get_metric_statistics(self) -> ActionResult:
        """GetMetricStatistics."""
        parameters = self._get_params()
        simple = parameters.get("Statistics") or []
        extended = parameters.get("ExtendedStatistics") or []
        if bool(simple) == bool(extended):
            raise InvalidParameterCombination(
                "Must specify either Statistics or ExtendedStatistics, and not both"
            )
        for name in (*simple, *extended):
            check_statistic(name)
        dimensions = {_["Name"]: _["Value"] for _ in parameters.get("Dimensions", [])}
        metric = Metric.of(parameters["Namespace"], parameters["MetricName"], dimensions)
        begins, windows = self._windows(parameters, parameters["Period"], _MOST_DATAPOINTS)
        points = []
        for begin, window in zip(begins, windows, strict=True):
            read = self.metrics.read(metric, window.first, window.count, parameters.get("Unit"))
            if read.count:
                points.append(_datapoint(begin, read, simple, extended, parameters.get("Unit")))
        return ActionResult({"Label": metric.name, "Datapoints": points})

    def list_metrics(self) -> ActionResult:
        """ListMetrics."""
        parameters = self._get_params()
        wanted = [(_["Name"], _.get("Value")) for _ in parameters.get("Dimensions") or []]
        found = [
            {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions],
            }
            for metric in self.metrics.names()
            if parameters.get("Namespace") in {None, metric.namespace}
            and parameters.get("MetricName") in {None, metric.name}
            and all(_has(metric, name, value) for name, value in wanted)
        ]
        return ActionResult({"Metrics": found})

    def _windows(
        self, parameters: Mapping[str, Any], period_seconds: int, most: int
    ) -> tuple[list[dt.datetime], list[Window]]:
        """Periods of real time, oldest first, and the minutes whose values become theirs."""
        start, end = (_moment(parameters[name]) for name in ("StartTime", "EndTime"))
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than the parameter EndTime")
        first = math.floor(start / period_seconds)
        last = math.ceil(end / period_seconds)
        if last - first > most:
            raise InvalidParameterCombination(
                f"You have requested up to {last - first} datapoints, which exceeds the limit of"
                f" {most}."
            )
        minute = self.metrics.minute_seconds
        begins, windows = [], []
        for period in range(first, last):
            edges = [math.ceil(_ * period_seconds / minute) for _ in (period, period + 1)]
            begins.append(dt.datetime.fromtimestamp(period * period_seconds, dt.UTC))
            windows.append(Window(edges[0], edges[1] - edges[0]))
        return begins, windows

    # ---------------------------------------------------------------- alarms

    def put_metric_alarm(self) -> ActionResult:
        """PutMetricAlarm."""
        try:
            self.alarms.put(_without_nothing(self._get_params()))
        except QueryError as error:
            raise ValidationError(str(error)) from error
        return EmptyResult()

    def delete_alarms(self) -> ActionResult:
        """DeleteAlarms."""
        self.alarms.delete(self._get_param("AlarmNames", []))
        return EmptyResult()

    def describe_alarms(self) -> ActionResult:
        """DescribeAlarms; all of them come in one page."""
        parameters = self._get_params()
        for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if parameters.get(name):
                raise UnsupportedError("cloudwatch:DescribeAlarms", name, "metric alarms are here")
        found = [alarm.describe() for alarm in self.alarms.all() if _is_wanted(alarm, parameters)]
        only_composite = parameters.get("AlarmTypes") == ["CompositeAlarm"]
        return ActionResult(
            {"MetricAlarms": [] if only_composite else found, "CompositeAlarms": []}
        )

    def describe_alarms_for_metric(self) -> ActionResult:
        """DescribeAlarmsForMetric."""
        parameters = self._get_params()
        wanted = _pairs(parameters.get("Dimensions"))
        found = [
            alarm.describe()
            for alarm in self.alarms.all()
            if alarm.request.get("MetricName") == parameters["MetricName"]
            and alarm.request.get("Namespace") == parameters["Namespace"]
            and _pairs(alarm.request.get("Dimensions")) == wanted
        ]
        return ActionResult({"MetricAlarms": found})

    def describe_alarm_history(self) -> ActionResult:
        """DescribeAlarmHistory; all of it comes in one page."""
        parameters = self._get_params()
        items = [
            item
            for item in self.alarms.history()
            if parameters.get("AlarmName") in {None, item["AlarmName"]}
            and parameters.get("HistoryItemType") in {None, item["HistoryItemType"]}
            and _is_within(item["Timestamp"], parameters)
        ]
        if parameters.get("ScanBy") == "TimestampAscending":
            items.reverse()
        return ActionResult({"AlarmHistoryItems": items[: parameters.get("MaxRecords")]})

    def set_alarm_state(self) -> ActionResult:
        """SetAlarmState."""
        parameters = self._get_params()
        alarm = self.alarms.find(parameters["AlarmName"])
        if alarm is None:
            raise ResourceNotFound("Unknown")
        state = parameters["StateValue"]
        if state not in _STATES:
            raise InvalidParameterValue(
                f"The value {state} is not supported for StateValue; {', '.join(_STATES)} are."
            )
        data = parameters.get("StateReasonData") or ""
        if data and not _is_json(data):
            raise InvalidFormat("StateReasonData was not valid JSON")
        self.alarms.set_state(alarm, Change(state, parameters["StateReason"], data))
        return EmptyResult()

    def enable_alarm_actions(self) -> ActionResult:
        """EnableAlarmActions."""
        return self._enable(enabled=True)

    def disable_alarm_actions(self) -> ActionResult:
        """DisableAlarmActions."""
        return self._enable(enabled=False)

    def _enable(self, *, enabled: bool) -> ActionResult:
        for name in self._get_param("AlarmNames", []):
            alarm = self.alarms.find(name)
            if alarm is not None:
                alarm.request["ActionsEnabled"] = enabled
        return EmptyResult()

    # ---------------------------------------------------------------- dashboards

    def put_dashboard(self) -> ActionResult:
        """PutDashboard."""
        answer: ActionResult = super().put_dashboard()
        given = self._get_param("Tags") or []
        self.alarms.keep_dashboard(self._dashboard_arn(self._get_param("DashboardName")), given)
        return answer

    def delete_dashboards(self) -> ActionResult:
        """DeleteDashboards."""
        answer: ActionResult = super().delete_dashboards()
        for name in self._get_param("DashboardNames", []):
            self.alarms.forget_dashboard(self._dashboard_arn(name))
        return answer

    def _dashboard_arn(self, name: str) -> str:
        return f"arn:aws:cloudwatch::{self.current_account}:dashboard/{name}"

    # ---------------------------------------------------------------- tags

    def list_tags_for_resource(self) -> ActionResult:
        """ListTagsForResource."""
        tags = self._tags()
        return ActionResult({"Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]})

    def tag_resource(self) -> ActionResult:
        """TagResource."""
        self._tags().update({tag["Key"]: tag["Value"] for tag in self._get_param("Tags", [])})
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        """UntagResource."""
        tags = self._tags()
        for key in self._get_param("TagKeys", []):
            tags.pop(key, None)
        return EmptyResult()

    def _tags(self) -> dict[str, str]:
        arn = self._get_param("ResourceARN")
        tags = self.alarms.tags(arn)
        if tags is None:
            raise ResourceNotFound(f"{arn}: there is no such alarm or dashboard")
        return tags


# ------------------------------------------------------------------------------ reading


def _without_nothing(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _moment(value: Any) -> float:
    """Seconds since the epoch of a time; now, without one."""
    now = dt.datetime.now(dt.UTC)
    if value is None:
        return now.timestamp()
    aware: dt.datetime = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return aware.timestamp()


def _distribution(datum: Mapping[str, Any]) -> Distribution:
    when = datum.get("Timestamp")
    age = dt.datetime.now(dt.UTC).timestamp() - _moment(when)
    if not -_NEWEST.total_seconds() <= age <= _OLDEST.total_seconds():
        raise InvalidParameterValue(
            f"The parameter MetricData.member.1.Timestamp {when} must specify a time within the"
            " past two weeks or the next two hours."
        )
    given = datum.get("StatisticValues")
    if given is not None:
        return Distribution(
            given["SampleCount"],
            given["Sum"],
            given["Minimum"],
            given["Maximum"],
            is_counted=False,
        )
    values = datum.get("Values") or [datum.get("Value")]
    counts = datum.get("Counts") or [1.0] * len(values)
    if None in values or len(values) != len(counts):
        raise InvalidParameterCombination(
            "One of Value, Values with as many Counts, and StatisticValues is required for"
            f" MetricData of {datum['MetricName']}."
        )
    distribution = Distribution()
    for value, count in zip(values, counts, strict=True):
        if not math.isfinite(value):
            raise InvalidParameterValue(f"The value {value} is not supported for a metric.")
        distribution.add(value, count)
    return distribution


def _result(
    query: Mapping[str, Any],
    begins: Sequence[dt.datetime],
    values: Sequence[float | None],
    *,
    oldest_first: bool,
) -> dict[str, Any]:
    points = [(begin, value) for begin, value in zip(begins, values, strict=True)
              if value is not None]  # fmt: skip
    if not oldest_first:
        points.reverse()
    metric = query.get("MetricStat", {}).get("Metric", {}).get("MetricName")
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or metric or query["Id"],
        "Timestamps": [begin for begin, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "Complete",
    }


def _datapoint(
    begin: dt.datetime,
    read: Distribution,
    simple: Sequence[str],
    extended: Sequence[str],
    unit: str | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"Timestamp": begin, "Unit": unit or "None"}
    found |= {name: read.statistic(name) for name in simple}
    values = {name: read.statistic(name) for name in extended}
    told = {name: value for name, value in values.items() if value is not None}
    return {**found, **({"ExtendedStatistics": told} if extended else {})}


def _has(metric: Metric, name: str, value: str | None) -> bool:
    return any(key == name and value in {None, found} for key, found in metric.dimensions)


def _pairs(dimensions: Any) -> set[tuple[str, str]]:
    return {(item["Name"], item["Value"]) for item in dimensions or []}


def _is_wanted(alarm: Alarm, parameters: Mapping[str, Any]) -> bool:
    names = parameters.get("AlarmNames")
    prefix = parameters.get("ActionPrefix") or ""
    actions: Iterator[str] = (arn for state in _STATES for arn in alarm.actions(state))
    return (
        (not names or alarm.name in names)
        and alarm.name.startswith(parameters.get("AlarmNamePrefix") or "")
        and parameters.get("StateValue") in {None, alarm.current.state}
        and (not prefix or any(arn.startswith(prefix) for arn in actions))
    )


def _is_within(moment: dt.datetime, parameters: Mapping[str, Any]) -> bool:
    start, end = parameters.get("StartDate"), parameters.get("EndDate")
    after = start is None or moment.timestamp() >= _moment(start)
    return after and (end is None or moment.timestamp() <= _moment(end))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
