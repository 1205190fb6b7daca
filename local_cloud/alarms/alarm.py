"""One alarm: what it watches, when it is on, and what it has been."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from local_cloud.alarms.evaluation import (
    ALARM,
    COMPARISONS,
    EXTRA_PERIODS,
    INSUFFICIENT_DATA,
    OK,
    Rule,
    verdict,
)
from local_cloud.alarms.queries import Queries, QueryError, Window
from local_cloud.errors import UnsupportedError
from local_cloud.metrics import Metrics

__all__ = ["Alarm", "Change"]

_MINUTE = 60
_DAY = 86_400
_MISSING = ("missing", "ignore", "breaching", "notBreaching")
#: What of PutMetricAlarm is honoured.
_MEMBERS = {
    "ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "ComparisonOperator",
    "DatapointsToAlarm", "Dimensions", "EvaluateLowSampleCountPercentile", "EvaluationPeriods",
    "ExtendedStatistic", "InsufficientDataActions", "MetricName", "Metrics", "Namespace",
    "OKActions", "Period", "Statistic", "Tags", "Threshold", "TreatMissingData", "Unit",
}  # fmt: skip
_ACTIONS = {ALARM: "AlarmActions", OK: "OKActions", INSUFFICIENT_DATA: "InsufficientDataActions"}
#: Who can be told.
_RECEIVERS = ("sns", "autoscaling")
_WHY = "Unchecked: Initial alarm creation"

#: Beginning of a period, and its value.
_Point = tuple[dt.datetime, float]


class Change:
    """A state with its reason."""

    def __init__(self, state: str, reason: str, data: str = "") -> None:
        self.state = state
        self.reason = reason
        self.data = data
        self.time = dt.datetime.now(dt.UTC)


class Alarm:
    """A metric alarm.

    Parameters
    ----------
    request
        Parameters of PutMetricAlarm.
    arn
        Its ARN.

    Raises
    ------
    QueryError
        When CloudWatch would not take it.
    UnsupportedError
        When it asks for what is not here.
    """

    def __init__(self, request: Mapping[str, Any], arn: str) -> None:
        _refuse(request)
        self.request = {name: value for name, value in request.items() if name != "Tags"}
        self.arn = arn
        self.name: str = request["AlarmName"]
        self.queries = Queries(_queries(request))
        self.metrics = _described(self.queries)
        self._watched = _watched(self.queries)
        self.rule = _rule(request)
        _check_length(self.rule.periods, self.queries.period_seconds)
        self.configured = dt.datetime.now(dt.UTC)
        self.current = Change(INSUFFICIENT_DATA, _WHY)
        self.transitioned = self.current.time

    def actions(self, state: str) -> Sequence[str]:
        """ARNs of those that are told when it comes to a state."""
        if not self.request.get("ActionsEnabled", True):
            return []
        return self.request.get(_ACTIONS[state]) or []

    def evaluate(self, metrics: Metrics, minute: int) -> Change:
        """What its metrics say when the periods end with the beginning of a minute.

        Returns
        -------
        The present state, with its reason, when nothing has changed.
        """
        length = self.queries.period_seconds // _MINUTE
        count = self.rule.periods + EXTRA_PERIODS
        windows = [Window(minute - (count - place) * length, length) for place in range(count)]
        values = self.queries.values(metrics, windows)[self._watched]
        state, counted = verdict(self.rule, values, self.current.state)
        if state == self.current.state:
            return self.current
        begins = [_begin(window, metrics) for window in windows]
        points = [(begins[place], value) for place in counted
                  if (value := values[place]) is not None]  # fmt: skip
        return Change(state, _reason(self.rule, state, points), self._data(begins[0], points))

    def describe(self) -> dict[str, Any]:
        """Entry of DescribeAlarms."""
        return {
            "ActionsEnabled": True,
            "OKActions": [],
            "AlarmActions": [],
            "InsufficientDataActions": [],
            "Dimensions": [],
            **self.request,
            "AlarmArn": self.arn,
            "AlarmConfigurationUpdatedTimestamp": self.configured,
            "StateValue": self.current.state,
            "StateReason": self.current.reason,
            "StateReasonData": self.current.data,
            "StateUpdatedTimestamp": self.current.time,
            "StateTransitionedTimestamp": self.transitioned,
        }

    def _data(self, begin: dt.datetime, points: Sequence[_Point]) -> str:
        evaluated = [
            {"timestamp": _time(moment), "value": value, "threshold": self.rule.threshold}
            for moment, value in reversed(points)
        ]
        return json.dumps(
            {
                "version": "1.0",
                "queryDate": _time(dt.datetime.now(dt.UTC)),
                "startDate": _time(begin),
                "period": self.queries.period_seconds,
                "recentDatapoints": [value for _, value in points],
                "threshold": self.rule.threshold,
                "evaluatedDatapoints": evaluated,
            }
        )


# ------------------------------------------------------------------------------ reading


def _refuse(request: Mapping[str, Any]) -> None:
    for member in sorted(set(request) - _MEMBERS):
        raise UnsupportedError(
            "cloudwatch:PutMetricAlarm", member, f"{', '.join(sorted(_MEMBERS))} are supported"
        )
    if request.get("EvaluateLowSampleCountPercentile", "evaluate") != "evaluate":
        raise UnsupportedError(
            "cloudwatch:PutMetricAlarm", "EvaluateLowSampleCountPercentile", "evaluate is supported"
        )
    for name in _ACTIONS.values():
        for arn in request.get(name) or []:
            if arn.split(":")[2:3] not in [[service] for service in _RECEIVERS]:
                raise UnsupportedError(
                    "cloudwatch:PutMetricAlarm",
                    f"{name} {arn}",
                    f"an action of {' or '.join(_RECEIVERS)} is supported",
                )


def _queries(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    metric = {name: request[name] for name in ("Namespace", "MetricName") if name in request}
    if bool(request.get("Metrics")) == bool(metric):
        raise QueryError("An alarm needs either MetricName with Namespace, or Metrics.")
    if request.get("Metrics"):
        queries: Sequence[Mapping[str, Any]] = request["Metrics"]
        return queries
    statistic = request.get("Statistic") or request.get("ExtendedStatistic")
    if "Statistic" in request and "ExtendedStatistic" in request:
        raise QueryError("Statistic or ExtendedStatistic is required, not both.")
    for name, value in (
        ("MetricName", metric.get("MetricName")),
        ("Namespace", metric.get("Namespace")),
        ("Period", request.get("Period")),
        ("Statistic or ExtendedStatistic", statistic),
    ):
        if not value:
            raise QueryError(f"The parameter {name} is required for an alarm of one metric.")
    unit = {"Unit": request["Unit"]} if "Unit" in request else {}
    dimensions = request.get("Dimensions") or []
    stat = {
        "Metric": {**metric, "Dimensions": dimensions},
        "Period": request["Period"],
        "Stat": statistic,
        **unit,
    }
    return [{"Id": "m1", "MetricStat": stat, "ReturnData": True}]


def _watched(queries: Queries) -> str:
    if len(queries.returned) != 1:
        raise QueryError("Exactly one element of the metrics list should return data.")
    return queries.returned[0]


def _rule(request: Mapping[str, Any]) -> Rule:
    periods = request["EvaluationPeriods"]
    needed = request.get("DatapointsToAlarm") or periods
    missing = request.get("TreatMissingData") or "missing"
    comparison = request["ComparisonOperator"]
    if comparison not in COMPARISONS or "Threshold" not in request:
        raise UnsupportedError(
            "cloudwatch:PutMetricAlarm",
            f"{comparison} {'with' if 'Threshold' in request else 'without'} a threshold",
            f"{', '.join(COMPARISONS)} with a threshold are supported",
        )
    if not 1 <= needed <= periods:
        raise QueryError("DatapointsToAlarm must be at least 1 and at most EvaluationPeriods.")
    if missing not in _MISSING:
        raise QueryError(
            f"The value {missing} is not supported for TreatMissingData parameter. Supported values"
            " are [breaching, notBreaching, ignore, missing]."
        )
    return Rule(comparison, float(request["Threshold"]), periods, needed, missing)


def _check_length(periods: int, period_seconds: int) -> None:
    limit = _DAY if period_seconds < 60 * _MINUTE else 7 * _DAY
    if periods * period_seconds > limit:
        raise QueryError(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be"
            f" <= {limit})."
        )


def _described(queries: Queries) -> list[dict[str, Any]]:
    """The queries as events describe them: names begin with a small letter."""
    return [_lowered(query) for query in queries.entries.values()]


def _lowered(value: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, item in value.items():
        if name == "Dimensions":
            found["dimensions"] = {pair["Name"]: pair["Value"] for pair in item}
        elif name == "MetricName":
            found["name"] = item
        else:
            key = name[0].lower() + name[1:]
            found[key] = _lowered(item) if isinstance(item, Mapping) else item
    return found


# ------------------------------------------------------------------------------ words


def _reason(rule: Rule, state: str, points: Sequence[_Point]) -> str:
    """Why an alarm is in a state, in CloudWatch's words."""
    if state == INSUFFICIENT_DATA:
        be = _be(rule.periods)
        return f"Insufficient Data: {_plural(rule.periods, 'datapoint')} {be} unknown."
    if not points:
        n_missing = rule.periods
        return (
            f"Threshold Crossed: no datapoints were received for {_plural(n_missing, 'period')} and"
            f" {_plural(n_missing, 'missing datapoint')} {_be(n_missing)} treated as"
            f" [{rule.missing[0].upper()}{rule.missing[1:]}]."
        )
    is_on = state == ALARM
    told = [(moment, value) for moment, value in points if rule.breaches(value) == is_on]
    shown = ", ".join(f"{value} ({moment:%d/%m/%y %H:%M:%S})" for moment, value in told)
    return (
        f"Threshold Crossed: {len(told)} out of the last {_plural(rule.periods, 'datapoint')}"
        f" [{shown}] {_be(len(told))}{'' if is_on else ' not'} {COMPARISONS[rule.comparison][1]}"
        f" the threshold ({rule.threshold}) (minimum {_plural(rule.needed, 'datapoint')} for"
        " OK -> ALARM transition)."
    )


def _begin(window: Window, metrics: Metrics) -> dt.datetime:
    return dt.datetime.fromtimestamp(window.first * metrics.minute_seconds, dt.UTC)


def _time(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _be(count: int) -> str:
    return "was" if count == 1 else "were"
