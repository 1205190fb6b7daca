"""Whether an alarm's metric is in alarm: M of N periods, and what a missing one counts.

Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_cloud.alarms.expressions import Series

__all__ = ["ALARM", "COMPARISONS", "EXTRA_PERIODS", "INSUFFICIENT_DATA", "OK", "Rule", "verdict"]

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
#: Periods before those of the alarm in which CloudWatch looks for what is missing.
EXTRA_PERIODS = 2
#: Operator -> what it does, and its words in a reason.
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
}


@dataclass(frozen=True)
class Rule:
    """When an alarm is on.

    Parameters
    ----------
    comparison
        Key of :data:`COMPARISONS`.
    threshold
        What a value is compared with.
    periods, needed
        N and M: of the last N periods, M must breach.
    missing
        ``missing``, ``ignore``, ``breaching`` or ``notBreaching``: what a period without a value
        is taken for.
    """

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        """Whether a value is on the wrong side of the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


def verdict(rule: Rule, values: Series, state: str) -> tuple[str, Sequence[int]]:
    """The state that values make, and which of them it was made of.

    Parameters
    ----------
    rule
        The alarm's.
    values
        Of the evaluation range, oldest first: N periods and :data:`EXTRA_PERIODS` before them.
    state
        As it is: where too little is known, it stays.

    Returns
    -------
    State, and places of the values that count, oldest first.
    """
    present = [place for place, value in enumerate(values) if value is not None]
    if len(present) >= rule.periods:
        counted = present[-rule.periods :]
        n_breaching = _n_breaching(rule, values, counted)
        return (ALARM if n_breaching >= rule.needed else OK), counted
    n_breaching = _n_breaching(rule, values, present)
    n_missing = rule.periods - len(present)
    if rule.missing == "breaching":
        return (ALARM if n_breaching + n_missing >= rule.needed else OK), present
    if rule.missing == "notBreaching":
        return (ALARM if n_breaching >= rule.needed else OK), present
    return _partly_known(rule, values, present, n_breaching, state), present


def _n_breaching(rule: Rule, values: Series, places: Sequence[int]) -> int:
    found = (values[place] for place in places)
    return sum(1 for value in found if value is not None and rule.breaches(value))


def _partly_known(
    rule: Rule, values: Series, present: Sequence[int], n_breaching: int, state: str
) -> str:
    """The state where a missing period is neither good nor bad."""
    if n_breaching >= rule.needed:
        return ALARM
    if n_breaching < len(present):  # one that is there is good
        return OK
    if rule.missing == "ignore":
        return state
    if not present:
        return INSUFFICIENT_DATA
    # All that is there breaches: an alarm once the oldest is as old as M periods, not before, for
    # what comes next may be good.
    is_old = len(values) - present[0] >= rule.needed
    return ALARM if is_old else state
