"""Metrics: counted by the minute, told by statistic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.metrics import Distribution, Metric, Metrics, percentile

SOLD = Metric.of("Shop", "Sold", {"Till": "1", "Floor": "2"})
VALUES = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=200)


@given(VALUES, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_right_to_half_a_percent(values: list[float], share: float) -> None:
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    exact = sorted(values)[max(0, math.ceil(round(share * len(values), 9)) - 1)]
    found = distribution.statistic(f"p{share * 100:g}")
    assert found == pytest.approx(exact, rel=0.0051)


@given(VALUES)
def test_the_other_statistics_are_exact(values: list[float]) -> None:
    metrics = Metrics(1.0)
    metrics.record("Shop", {"Floor": "2", "Till": "1"}, {"Sold": values}, at=90.0)
    read = metrics.read(SOLD, 1, 1)
    assert read.statistic("SampleCount") == len(values)
    assert read.statistic("Sum") == pytest.approx(sum(values), abs=1e-3)
    assert read.statistic("Average") == pytest.approx(sum(values) / len(values), abs=1e-3)
    assert read.statistic("Minimum") == min(values)
    assert read.statistic("Maximum") == max(values)


def test_a_value_counts_in_its_minute_only() -> None:
    metrics = Metrics(0.1)  # a minute is over after six seconds
    for moment in (5.9, 6.0, 11.9, 12.0):
        metrics.record("Shop", {"Till": "1", "Floor": "2"}, {"Sold": 1.0}, at=moment)
    assert [metrics.read(SOLD, minute, 1).count for minute in range(4)] == [1, 2, 1, 0]
    assert metrics.read(SOLD, 0, 1000).count == 4


def test_a_minute_beyond_the_end_does_not_count() -> None:
    metrics = Metrics(1.0)
    metrics.record("Shop", {"Till": "1", "Floor": "2"}, {"Sold": 1.0}, at=120.0)
    assert [metrics.read(SOLD, 0, count).count for count in (1, 2, 3, 4)] == [0, 0, 1, 1]


def test_a_unit_is_a_filter() -> None:
    metrics = Metrics(1.0)
    for unit, value in (("Seconds", 1.0), ("Milliseconds", 1000.0)):
        metrics.record("n", {}, {"Time": value}, units={"Time": unit}, at=0.0)
    metric = Metric.of("n", "Time", {})
    assert metrics.read(metric, 0, 1, "Seconds").total == 1.0
    assert metrics.read(metric, 0, 1).total == 1001.0


def test_nothing_recorded_has_no_statistic() -> None:
    assert Metrics(1.0).read(SOLD, 0, 1).statistic("Sum") is None


def test_statistics_made_elsewhere_tell_no_percentile() -> None:
    made = Distribution(10.0, 20.0, 1.0, 5.0, is_counted=False)
    metrics = Metrics(1.0)
    metrics.record_distribution(SOLD, made, unit="Count", at=0.0)
    read = metrics.read(SOLD, 0, 1)
    assert read.statistic("Average") == 2.0
    assert read.statistic("p50") is None


def test_old_minutes_are_forgotten() -> None:
    metrics = Metrics(1.0)
    for minute in range(10_085):
        metrics.record("Shop", {"Till": "1", "Floor": "2"}, {"Sold": 1.0}, at=minute * 60.0)
    assert metrics.read(SOLD, 0, 5).count == 0
    assert metrics.read(SOLD, 0, 20_000).count == 10_080


def test_percentiles_are_told_apart_from_other_statistics() -> None:
    assert percentile("p99.9") == pytest.approx(0.999)
    assert [percentile(name) for name in ("Sum", "px", "p-1", "p100.1")] == [None] * 4
