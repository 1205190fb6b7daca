"""What is asked of metrics: statistics and expressions, one value per window of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_cloud.alarms.expressions import Expression, ExpressionError, Series
from local_cloud.errors import UnsupportedError
from local_cloud.metrics import STATISTICS, Metric, Metrics, percentile

__all__ = ["Queries", "QueryError", "Window", "check_statistic", "metric_of"]

_MINUTE = 60
#: Members of a query that are honoured.
_MEMBERS = {"Id", "MetricStat", "Expression", "Label", "ReturnData", "Period"}
_STAT_MEMBERS = {"Metric", "Period", "Stat", "Unit"}


class QueryError(ValueError):
    """A query that CloudWatch does not take."""


@dataclass(frozen=True)
class Window:
    """Minutes whose values become one value."""

    first: int
    count: int


@dataclass(frozen=True)
class _Statistic:
    metric: Metric
    name: str
    unit: str | None

    def values(self, metrics: Metrics, windows: Sequence[Window]) -> Series:
        return [
            metrics.read(self.metric, window.first, window.count, self.unit).statistic(self.name)
            for window in windows
        ]


class Queries:
    """The queries of an alarm or of GetMetricData, which may mention each other.

    Parameters
    ----------
    queries
        As the API takes them: ``MetricDataQueries``.

    Raises
    ------
    QueryError
        When CloudWatch would not take them.
    UnsupportedError
        When they ask for what is not here.
    """

    def __init__(self, queries: Sequence[Mapping[str, Any]]) -> None:
        self.entries = {query["Id"]: query for query in queries}
        if len(self.entries) < len(queries):
            raise QueryError("The ids of MetricDataQueries must differ from each other.")
        self._statistics: dict[str, _Statistic] = {}
        self._expressions: dict[str, Expression] = {}
        periods = set()
        for query in queries:
            periods |= self._add(query)
        if len(periods) > 1:
            raise UnsupportedError(
                "CloudWatch", f"metrics of different periods {sorted(periods)}", "one for all is"
            )
        if not periods:
            raise QueryError("At least one metric is required besides expressions.")
        (self.period_seconds,) = periods
        self._order = self._ordered()

    @property
    def returned(self) -> list[str]:
        """Ids of those whose values are asked for, not only mentioned."""
        return [name for name, query in self.entries.items() if query.get("ReturnData", True)]

    def values(self, metrics: Metrics, windows: Sequence[Window]) -> dict[str, Series]:
        """Values of every query in every window."""
        found: dict[str, Series] = {
            name: statistic.values(metrics, windows) for name, statistic in self._statistics.items()
        }
        for name in self._order:
            found[name] = self._expressions[name].evaluate(found)
        return found

    def _add(self, query: Mapping[str, Any]) -> set[int]:
        """Take a query; return its period, where it says one."""
        name = query["Id"]
        for member in sorted(set(query) - _MEMBERS):
            raise UnsupportedError("CloudWatch", f"{member} of query {name}", "it is not here")
        if ("MetricStat" in query) == ("Expression" in query):
            raise QueryError(f"Query {name} needs either MetricStat or Expression.")
        if "Expression" in query:
            self._expressions[name] = _expression(query["Expression"])
            return {query["Period"]} if "Period" in query else set()
        stat = query["MetricStat"]
        for member in sorted(set(stat) - _STAT_MEMBERS):
            raise UnsupportedError("CloudWatch", f"{member} of query {name}", "it is not here")
        check_statistic(stat["Stat"])
        if stat["Period"] % _MINUTE:
            raise UnsupportedError(
                "CloudWatch", f"a period of {stat['Period']} s", "whole minutes are supported"
            )
        self._statistics[name] = _Statistic(
            metric_of(stat["Metric"]), stat["Stat"], stat.get("Unit")
        )
        return {stat["Period"]}

    def _ordered(self) -> list[str]:
        """Expressions so that each comes after those that it mentions."""
        order: list[str] = []
        known, left = set(self._statistics), dict(self._expressions)
        while left:
            ready = [name for name, expression in left.items() if expression.names <= known]
            if not ready:
                name, expression = next(iter(left.items()))
                missing = sorted(expression.names - set(self.entries)) or [name]
                raise QueryError(
                    f"Error in expression '{name}': unknown or circular id {', '.join(missing)}"
                )
            order += ready
            known |= set(ready)
            left = {name: left[name] for name in left if name not in ready}
        return order


def check_statistic(name: str) -> None:
    """Return when a statistic is known.

    Raises
    ------
    UnsupportedError
        For trimmed means and the like.
    """
    if name not in STATISTICS and percentile(name) is None:
        raise UnsupportedError(
            "CloudWatch", f"the statistic {name}", f"{', '.join(STATISTICS)} and p0 to p100 are"
        )


def metric_of(described: Mapping[str, Any]) -> Metric:
    """A metric as the API describes it."""
    dimensions = {item["Name"]: item["Value"] for item in described.get("Dimensions", [])}
    return Metric.of(described["Namespace"], described["MetricName"], dimensions)


def _expression(text: str) -> Expression:
    try:
        return Expression(text)
    except ExpressionError as error:
        raise QueryError(str(error)) from error
