"""Metric math, and the verdict on the values of an alarm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.alarms.evaluation import EXTRA_PERIODS, Rule, verdict
from local_cloud.alarms.expressions import Expression, ExpressionError
from local_cloud.alarms.queries import Queries, QueryError, Window
from local_cloud.errors import UnsupportedError
from local_cloud.metrics import Metrics

A, B = [1.0, 2.0, None, 4.0], [2.0, None, None, 0.0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a + b", [3.0, None, None, 4.0]),
        ("a / b", [0.5, None, None, None]),  # nothing is divided by zero
        ("-a * 2 - 1", [-3.0, -5.0, None, -9.0]),
        ("2 + 3 * a", [5.0, 8.0, None, 14.0]),
        ("(2 + 3) * a", [5.0, 10.0, None, 20.0]),
        ("8 - a - 1", [6.0, 5.0, None, 3.0]),
        ("a > 1.5", [0.0, 1.0, None, 1.0]),
        ("a >= 2 AND a != 4", [0.0, 1.0, None, 0.0]),
        ("a < 2 || a == 4", [1.0, 0.0, None, 1.0]),
        ("FILL(a, 0)", [1.0, 2.0, 0.0, 4.0]),
        ("FILL(b, REPEAT)", [2.0, 2.0, 2.0, 0.0]),
        ("FILL(b, a)", [2.0, 2.0, None, 0.0]),
        ("IF(a > 1, b, 9)", [9.0, None, None, 0.0]),
        ("IF(FILL(a, 0) <= 1, 7)", [7.0, None, 7.0, None]),
        ("1e2 * FILL(a,.5)", [100.0, 200.0, 50.0, 400.0]),
    ],
)
def test_what_an_expression_makes(text: str, values: list[float | None]) -> None:
    assert Expression(text).evaluate({"a": A, "b": B}) == values


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9), st.sampled_from("+-*"))
def test_signs_bind_as_in_python(a: int, b: int, c: int, sign: str) -> None:
    text = f"a {sign} b * c - a"
    expected = float(eval(text, {}, {"a": a, "b": b, "c": c}))
    assert Expression(text).evaluate({"a": [a], "b": [b], "c": [c]}) == [expected]


@pytest.mark.parametrize("text", ["a +", "a b", "(a", "IF(a)", ")", "a ; b", "1 + 1", "", "* a"])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize("text", ["SUM([a, b])", "a ^ 2", "FILL(a, LINEAR)", "ABS(a)"])
def test_what_is_refused_by_name(text: str) -> None:
    with pytest.raises((UnsupportedError, ExpressionError)) as caught:
        Expression(text)
    assert isinstance(caught.value, UnsupportedError) or "[" in str(caught.value)


# ------------------------------------------------------------------------------ queries


def stat(name: str, period: int = 60) -> dict[str, Any]:
    metric = {"Namespace": "n", "MetricName": name}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}


def test_expressions_may_mention_each_other_in_any_order() -> None:
    metrics = Metrics(1.0)
    metrics.record("n", {}, {"a": 3.0}, at=0.0)
    queries = Queries(
        [{"Id": "e2", "Expression": "e1 + 1"}, {"Id": "e1", "Expression": "a * 2"}, stat("a")]
    )
    values = queries.values(metrics, [Window(0, 1), Window(1, 1)])
    assert values["e2"] == [7.0, None]


@pytest.mark.parametrize(
    "queries",
    [
        [stat("a"), stat("a")],
        [{"Id": "e", "Expression": "other + 1"}, stat("a")],
        [{"Id": "e", "Expression": "f"}, {"Id": "f", "Expression": "e"}, stat("a")],
        [{"Id": "e"}],
    ],
)
def test_queries_that_cloudwatch_does_not_take(queries: list[dict[str, Any]]) -> None:
    with pytest.raises(QueryError):
        Queries(queries)


def test_metrics_of_different_periods_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="different periods"):
        Queries([stat("a"), stat("b", 300)])


# ------------------------------------------------------------------------------ verdicts

KEPT = "as it was"


def states(points: str, needed: int) -> list[str]:
    """Verdicts on AWS's pictures of values, by treatment: missing, ignore, breaching, not."""
    values = [{"0": 0.0, "X": 2.0, "-": None}[point] for point in points.split()]
    return [
        verdict(Rule("GreaterThanThreshold", 1.0, 3, needed, missing), values, KEPT)[0]
        for missing in ("missing", "ignore", "breaching", "notBreaching")
    ]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ("0 - X - X", ["OK"] * 4),
        ("- - - - 0", ["OK"] * 4),
        ("- - - - -", ["INSUFFICIENT_DATA", KEPT, "ALARM", "OK"]),
        ("0 X X - X", ["ALARM"] * 4),
        ("- - X - -", ["ALARM", KEPT, "ALARM", "OK"]),
    ],
)
def test_three_of_three_as_in_awss_table(points: str, expected: list[str]) -> None:
    assert states(points, 3) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ("0 - X - X", ["ALARM"] * 4),
        ("0 0 X 0 X", ["ALARM"] * 4),
        ("0 - X - -", ["OK", "OK", "ALARM", "OK"]),
        ("- - - - 0", ["OK", "OK", "ALARM", "OK"]),
        ("- - - X -", ["ALARM", KEPT, "ALARM", "OK"]),
    ],
)
def test_two_of_three_as_in_awss_table(points: str, expected: list[str]) -> None:
    assert states(points, 2) == expected


def test_one_bad_value_alone_decides_nothing_yet() -> None:
    assert states("- - - - X", 3) == [KEPT, KEPT, "ALARM", "OK"]


POINT = st.sampled_from([None, 0.0, 2.0])


@given(st.integers(1, 5), st.data())
def test_with_every_value_there_the_treatment_of_missing_ones_does_not_count(
    periods: int, data: st.DataObject
) -> None:
    needed = data.draw(st.integers(1, periods))
    length = periods + EXTRA_PERIODS
    values = data.draw(st.lists(st.sampled_from([0.0, 2.0]), min_size=length, max_size=length))
    n_breaching = sum(value > 1 for value in values[-periods:])
    for missing in ("missing", "ignore", "breaching", "notBreaching"):
        rule = Rule("GreaterThanThreshold", 1.0, periods, needed, missing)
        expected = "ALARM" if n_breaching >= needed else "OK"
        assert verdict(rule, values, KEPT)[0] == expected


@given(st.lists(POINT, min_size=5, max_size=5))
def test_a_good_value_never_becomes_an_alarm_by_itself(values: list[float | None]) -> None:
    rule = Rule("GreaterThanThreshold", 1.0, 3, 3, "notBreaching")
    if sum(value == 2.0 for value in values) < 3:
        assert verdict(rule, values, KEPT)[0] == "OK"
