"""What every serving of a release is held to, whoever asks: Dev's test and production's guards.

Refusals say what is wrong as ``application/problem+json`` (RFC 9457).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mlsystem.artifacts import Check, GoldenRequest

__all__ = ["Ask", "golden", "latency", "percentile", "refusals"]

#: Status, and body as parsed JSON (``None`` when it is none), of the answer to a body of a type.
Ask = Callable[[str, str], tuple[int, Any]]

_JSON = "application/json"
_MOST_SHOWN = 3


def golden(mistakes: Sequence[str]) -> Check:
    """Return the check of golden requests, given what is wrong with each answer; "" for nothing."""
    wrong = [f"request {number}: {text}" for number, text in enumerate(mistakes, start=1) if text]
    detail = f"{len(mistakes) - len(wrong)} of {len(mistakes)} answered as evaluated"
    return Check("golden", not wrong, "; ".join([detail, *wrong[:_MOST_SHOWN]]))


def refusals(ask: Ask, request: GoldenRequest) -> Iterator[Check]:
    """Yield whether each of the mistakes that can be made with `request` is refused."""
    yield _refusal(ask, "content_type", request.body, "application/x-unknown", 415)
    yield _refusal(ask, "width", _too_wide(request), _JSON, 400)
    yield _refusal(ask, "syntax", '{"instances": [', _JSON, 400)


def latency(p50_ms: float, p99_ms: float, most_p50_ms: float, most_p99_ms: float) -> Check:
    """Return whether the measured latencies are within the budgets, milliseconds."""
    measured = (("p50", p50_ms, most_p50_ms), ("p99", p99_ms, most_p99_ms))
    detail = ", ".join(
        f"{name} {found:.1f} ms (at most {most:g})" for name, found, most in measured
    )
    return Check("latency", all(found <= most for _, found, most in measured), detail)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that `share` (0 to 1) of them do not exceed (nearest rank).

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _too_wide(request: GoldenRequest) -> str:
    """Return the body of `request` as a list with one value too many."""
    (row,) = json.loads(request.body)["instances"]
    return json.dumps({"instances": [[*row.values(), None]]})


def _refusal(ask: Ask, name: str, body: str, content_type: str, status: int) -> Check:
    found, problem = ask(body, content_type)
    if found != status:
        return Check(name, passed=False, detail=f"status {found} instead of {status}")
    if not (
        isinstance(problem, dict) and problem.get("status") == status and problem.get("detail")
    ):
        detail = f"status {status}, but not a problem with status and detail (RFC 9457)"
        return Check(name, passed=False, detail=detail)
    return Check(name, passed=True, detail=f"refused with {status}")
