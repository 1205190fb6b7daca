"""CloudWatch's metrics of the account: recorded often, asked for rarely.

A value is not kept. It is counted in the *minute* in which it was recorded: how many, their sum,
the least, the greatest, and how many in each of many narrow bands, which is what percentiles need.
So thousands of values a second cost a few dictionary entries. A minute lasts as long as the factor
of all waits makes it: with 0.01 it is over after 0.6 seconds.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["STATISTICS", "Distribution", "Metric", "Metrics", "percentile"]

#: Statistics with a name of their own.
STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
#: A band is one percent wide: a percentile is right to half a percent.
_BANDS_PER_E = 100.0
_FIRST_BAND = 100_000
#: No minute is shorter: what measures needs a moment to tell.
_SHORTEST_MINUTE_SECONDS = 0.05
#: Minutes that are kept of each metric: a week.
_KEPT = 10_080


@dataclass(frozen=True)
class Metric:
    """What was measured, of what.

    Parameters
    ----------
    namespace
        For instance ``AWS/SageMaker``.
    name
        For instance ``Invocations``.
    dimensions
        Pairs of name and value, sorted.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
        """The metric with these dimensions, in whatever order they are given."""
        return cls(namespace, name, tuple(sorted(dimensions.items())))


@dataclass
class Distribution:
    """Values of one metric in one or more minutes.

    Parameters
    ----------
    count, total, least, greatest
        How many values, their sum, the least and the greatest.
    bands
        Band -> how many values.
    is_counted
        Whether every value is in a band; statistics that somebody else made are not.
    """

    count: float = 0.0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    bands: dict[int, float] = field(default_factory=dict)
    is_counted: bool = True

    def add(self, value: float, count: float = 1.0) -> None:
        """Count a value, so many times."""
        self.count += count
        self.total += value * count
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        band = _band(value)
        self.bands[band] = self.bands.get(band, 0.0) + count

    def merge(self, other: Distribution) -> None:
        """Count all that another one has counted."""
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        self.is_counted = self.is_counted and other.is_counted
        for band, count in other.bands.items():
            self.bands[band] = self.bands.get(band, 0.0) + count

    def statistic(self, name: str) -> float | None:
        """``Sum``, ``Average``, ``p99.9`` and so on; ``None`` when the values do not tell it."""
        if not self.count:
            return None
        share = percentile(name)
        if share is not None:
            return self._percentile(share)
        return {
            "SampleCount": self.count,
            "Average": self.total / self.count,
            "Sum": self.total,
            "Minimum": self.least,
            "Maximum": self.greatest,
        }[name]

    def _percentile(self, share: float) -> float | None:
        if self.least == self.greatest:
            return self.least
        if not self.is_counted:
            return None
        wanted, seen = share * self.count, 0.0
        for band in sorted(self.bands):
            seen += self.bands[band]
            if seen >= wanted:
                return min(max(_middle(band), self.least), self.greatest)
        return self.greatest


def percentile(statistic: str) -> float | None:
    """The share that ``p99.9`` asks for, 0 to 1; ``None`` for another statistic.

    Examples
    --------
    >>> percentile("p50"), percentile("Sum"), percentile("p101")
    (0.5, None, None)
    """
    if not statistic.startswith("p"):
        return None
    try:
        percent = float(statistic[1:])
    except ValueError:
        return None
    return percent / 100 if 0 <= percent <= 100 else None  # noqa: PLR2004 - percent


class Metrics:
    """Every metric of the account.

    Parameters
    ----------
    wait_factor
        What a minute is multiplied with.

    Examples
    --------
    >>> metrics = Metrics(1.0)
    >>> metrics.record("Shop", {"Till": "1"}, {"Sold": [2.0, 3.0]}, at=30.0)
    >>> metrics.read(Metric.of("Shop", "Sold", {"Till": "1"}), 0, 1).total
    5.0
    """

    def __init__(self, wait_factor: float) -> None:
        self.minute_seconds = max(60 * wait_factor, _SHORTEST_MINUTE_SECONDS)
        self._lock = threading.Lock()
        #: Metric -> unit -> minute -> what was recorded in it.
        self._recorded: dict[Metric, dict[str, dict[int, Distribution]]] = {}

    def record(
        self,
        namespace: str,
        dimensions: Mapping[str, str],
        values: Mapping[str, float | Iterable[float]],
        *,
        units: Mapping[str, str] | None = None,
        at: float | None = None,
    ) -> None:
        """Record values of metrics that share their dimensions.

        Parameters
        ----------
        namespace
            For instance ``AWS/Lambda``.
        dimensions
            Name -> value.
        values
            Name of the metric -> its value, or values.
        units
            Name of the metric -> unit, where it has one, for instance ``Milliseconds``.
        at
            When they were measured, in seconds since the epoch; now, without it.
        """
        units = units or {}
        minute = self.minute_at(time.time() if at is None else at)
        for name, given in values.items():
            metric = Metric.of(namespace, name, dimensions)
            counted = given if isinstance(given, Iterable) else (given,)
            with self._lock:
                distribution = self._minute(metric, units.get(name, "None"), minute)
                for value in counted:
                    distribution.add(value)

    def record_distribution(
        self, metric: Metric, distribution: Distribution, *, unit: str, at: float
    ) -> None:
        """Record values that were counted elsewhere."""
        with self._lock:
            self._minute(metric, unit, self.minute_at(at)).merge(distribution)

    def minute_at(self, at: float) -> int:
        """Number of the minute at a time, in seconds since the epoch."""
        return math.floor(at / self.minute_seconds)

    def read(self, metric: Metric, first: int, count: int, unit: str | None = None) -> Distribution:
        """What was recorded in `count` minutes from the minute `first` on.

        Parameters
        ----------
        metric
            Of which metric.
        first, count
            Which minutes.
        unit
            Only values of this unit; of all without it.
        """
        found = Distribution()
        with self._lock:
            for minutes in self._of(metric, unit):
                wanted: Iterable[int] = range(first, first + count)
                if count > len(minutes):
                    wanted = [minute for minute in minutes if first <= minute < first + count]
                for minute in wanted:
                    if minute in minutes:
                        found.merge(minutes[minute])
        return found

    def names(self) -> list[Metric]:
        """Every metric that was ever recorded."""
        with self._lock:
            return list(self._recorded)

    def _of(self, metric: Metric, unit: str | None) -> Iterator[dict[int, Distribution]]:
        for name, minutes in self._recorded.get(metric, {}).items():
            if unit is None or name == unit:
                yield minutes

    def _minute(self, metric: Metric, unit: str, minute: int) -> Distribution:
        minutes = self._recorded.setdefault(metric, {}).setdefault(unit, {})
        if minute not in minutes:
            minutes[minute] = Distribution()
            if len(minutes) > _KEPT:
                del minutes[min(minutes)]
        return minutes[minute]


def _band(value: float) -> int:
    """Number of the band of a value; greater values have greater numbers."""
    if value == 0:
        return 0
    band = math.floor(math.log(abs(value)) * _BANDS_PER_E) + _FIRST_BAND
    return band if value > 0 else -band


def _middle(band: int) -> float:
    if band == 0:
        return 0.0
    size = math.exp((abs(band) - _FIRST_BAND + 0.5) / _BANDS_PER_E)
    return size if band > 0 else -size
