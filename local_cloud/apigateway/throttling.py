"""How many requests are let through: token buckets, and quotas by the calendar.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

__all__ = ["Buckets", "Quotas"]


class Buckets:
    """Token buckets by whatever they belong to.

    Parameters
    ----------
    clock
        Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def take(self, key: Hashable, rate: float, burst: float) -> bool:
        """Take one token of a bucket that holds `burst` and gets `rate` a second, if it has one."""
        now = self._clock()
        with self._lock:
            tokens, before = self._buckets.get(key, (burst, now))
            tokens = min(burst, tokens + (now - before) * rate)
            has_one = tokens >= 1
            self._buckets[key] = (tokens - 1 if has_one else tokens, now)
            return has_one


class Quotas:
    """How many requests each has made in the period that is now.

    Parameters
    ----------
    today
        Tells the date, in UTC.
    """

    def __init__(
        self, today: Callable[[], dt.date] = lambda: dt.datetime.now(dt.UTC).date()
    ) -> None:
        self._today = today
        self._lock = threading.Lock()
        self._used: dict[Hashable, tuple[str, int]] = {}

    def take(self, key: Hashable, quota: Mapping[str, Any]) -> bool:
        """Count a request, if the quota (``limit``, ``period``, ``offset``) is not used up."""
        period = _period(self._today(), quota["period"])
        with self._lock:
            known, used = self._used.get(key, (period, quota.get("offset", 0)))
            if known != period:
                used = 0
            if used >= quota["limit"]:
                return False
            self._used[key] = (period, used + 1)
            return True


def _period(day: dt.date, period: str) -> str:
    if period == "DAY":
        return day.isoformat()
    if period == "WEEK":
        return "{}-{}".format(*day.isocalendar()[:2])
    return f"{day:%Y-%m}"
