"""Questions to a live endpoint over plain HTTP, as an application asks them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from local_cloud.errors import LocalCloudError
from local_cloud.summary import Prediction

__all__ = ["ask", "check"]

_TIMEOUT_SECONDS = 30
_MOST_GOLDEN_SHOWN = 3


def ask(
    url: str, examples: Sequence[str], golden: dict[str, Any], *, labels: bool
) -> list[Prediction]:
    """Return the endpoint's answers to `examples` (CSV rows), or to a few test rows without any.

    Answers are text where they are `labels` (a multiclass problem), numbers otherwise.

    Raises
    ------
    LocalCloudError
        The endpoint did not answer with 200; the message has its reason.
    """
    if examples:
        return [
            Prediction(row, _value(_post(url, row, "text/csv", "text/csv"), labels))
            for row in examples
        ]
    return [
        Prediction(
            json.loads(request["body"])["instances"][0],
            _value(_post(url, request["body"], request["content_type"], "text/csv"), labels),
        )
        for request in golden["requests"][:_MOST_GOLDEN_SHOWN]
    ]


def check(url: str, golden: dict[str, Any]) -> dict[str, int]:
    """Send every golden request; return how many were ``sent`` and how many ``answered`` right."""
    right = 0
    for request in golden["requests"]:
        answer = json.loads(_post(url, request["body"], request["content_type"], request["accept"]))
        right += _equal(answer["predictions"][0], request["expected"], golden["tolerance"])
    return {"sent": len(golden["requests"]), "answered": right}


def _equal(answer: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and answer.keys() == expected.keys()
            and all(_equal(answer[key], expected[key], tolerance) for key in expected)
        )
    if isinstance(expected, float | int) and not isinstance(expected, bool):
        return isinstance(answer, float | int) and abs(answer - expected) <= tolerance
    return bool(answer == expected)


def _post(url: str, body: str, content_type: str, accept: str) -> str:
    request = urllib.request.Request(  # noqa: S310 - always http, on the loopback address
        url, body.encode(), {"Content-Type": content_type, "Accept": accept}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        problem = error.read().decode(errors="replace")
        raise LocalCloudError(
            url, f"{error.code} {problem}", "200 for a request of the project's own",
            "Correct deploy.examples in project.yml",
        ) from error  # fmt: skip


def _value(text: str, is_label: bool) -> str | float:
    """A CSV answer of one row."""
    return text.strip() if is_label else float(text)
