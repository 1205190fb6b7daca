"""When a schedule fires: ``rate(...)`` and ``cron(...)`` of EventBridge, in UTC.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ScheduleError", "seconds_until_next"]

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
_MONTHS = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}  # fmt: skip
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS),
    _Field("year", 1970, 2199),
)
#: A leap day comes within eight years.
_SEARCHED_DAYS = 8 * 366


class ScheduleError(ValueError):
    """An expression that EventBridge, or this module, does not take."""


@dataclass(frozen=True)
class _Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]

    def has_day(self, day: dt.date) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 + 1 in self.weekdays
        )


def seconds_until_next(expression: str, now: dt.datetime) -> float:
    """Seconds from `now` until a schedule fires next.

    Parameters
    ----------
    expression
        ``rate(5 minutes)`` or ``cron(0 6 ? * MON-FRI *)``.
    now
        In UTC.

    Raises
    ------
    ScheduleError
        When the expression is none, uses ``L``, ``W`` or ``#``, or never fires again.
    """
    rate = _RATE.fullmatch(expression)
    if rate is not None:
        number, unit, plural = rate.groups()
        if (number == "1") == bool(plural):
            raise ScheduleError(f"{expression}: 1 needs the singular, other numbers the plural")
        return float(int(number) * _UNIT_SECONDS[unit])
    cron = _CRON.fullmatch(expression)
    if cron is None:
        raise ScheduleError(
            f"{expression}: rate(<number> minutes|hours|days) or cron(<six fields>) is required"
        )
    return (_next(_parsed(expression, cron.groups()), expression, now) - now).total_seconds()


def _parsed(expression: str, fields: tuple[str, ...]) -> _Cron:
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(f"{expression}: exactly one of day of month and day of week is '?'")
    return _Cron(*(_values(expression, *pair) for pair in zip(fields, _FIELDS, strict=True)))


def _values(expression: str, text: str, allowed: _Field) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        try:
            first, last = _span(span, allowed)
            if slash and "-" not in span:
                last = allowed.high
            values.update(range(first, last + 1, int(step) if slash else 1))
        except ValueError as error:
            raise ScheduleError(
                f"{expression}: {part!r} in the field {allowed.name}; numbers from {allowed.low} to"
                f" {allowed.high}, names, '*', '?', '-', ',' and '/' are supported"
            ) from error
    return frozenset(values)


def _span(text: str, allowed: _Field) -> tuple[int, int]:
    if text in {"*", "?"}:
        return allowed.low, allowed.high
    first, _, last = text.partition("-")
    low, high = (allowed.names.get(part) or int(part) for part in (first, last or first))
    if not allowed.low <= low <= high <= allowed.high:
        raise ValueError(text)
    return low, high


def _next(cron: _Cron, expression: str, now: dt.datetime) -> dt.datetime:
    for offset in range(_SEARCHED_DAYS):
        day = (now + dt.timedelta(days=offset)).date()
        if not cron.has_day(day):
            continue
        for hour in sorted(cron.hours):
            for minute in sorted(cron.minutes):
                moment = dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=dt.UTC)
                if moment > now:
                    return moment
    raise ScheduleError(f"{expression}: it never fires again")
