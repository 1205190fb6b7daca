"""What a request is, and what its answer shall be: ``Content-Type`` and ``Accept``.

References
----------
RFC 9110, sections 8.3 (Content-Type) and 12.5.1 (Accept); RFC 4180 for ``header=present``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from mlsystem import answers, requests
from mlsystem.errors import RequestError

__all__ = ["ANSWERS", "Body", "answer_type", "body_type"]

ANSWERS: Final[tuple[answers.MediaType, ...]] = (
    "application/json",
    "application/jsonlines",
    "text/csv",
)

_UNSUPPORTED: Final = 415
_NOT_ACCEPTABLE: Final = 406


class Body(NamedTuple):
    """How the body of a request is to be read."""

    media_type: requests.MediaType
    has_header: bool


def body_type(content_type: str, supported: Sequence[requests.MediaType]) -> Body:
    """Return how to read a body of `content_type`, the header's value.

    Raises
    ------
    RequestError
        Status 415: not among `supported`, or not UTF-8.
    """
    name, parameters = _parse(content_type)
    for media_type in supported:
        if media_type == name:
            break
    else:
        raise RequestError(
            "Content-Type", repr(content_type[:100]), f"one of {', '.join(supported)}",
            status=_UNSUPPORTED,
        )  # fmt: skip
    charset = parameters.get("charset", "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise RequestError(
            "Content-Type", f"charset {charset[:40]!r}", "utf-8", status=_UNSUPPORTED
        )
    return Body(media_type, parameters.get("header") == "present")


def answer_type(accept: str, request: requests.MediaType) -> answers.MediaType:
    """Return the media type of the answer to a request of type `request`.

    What the client likes best; as the request, or else JSON, among what it likes alike.

    Raises
    ------
    RequestError
        Status 406: `accept` excludes all of `ANSWERS`.
    """
    preferred = sorted(ANSWERS, key=lambda answer: answer != request)
    ranges = [_parse(item) for item in accept.split(",") if item.strip()]
    if not ranges:
        return preferred[0]
    best = max(preferred, key=lambda answer: _quality(answer, ranges))
    if _quality(best, ranges) <= 0:
        raise RequestError(
            "Accept", repr(accept[:100]), f"one of {', '.join(ANSWERS)}", status=_NOT_ACCEPTABLE
        )
    return best


def _quality(media_type: str, ranges: list[tuple[str, dict[str, str]]]) -> float:
    """Return the weight that the most specific of `ranges` gives to `media_type`."""
    family = media_type.partition("/")[0]
    for pattern in (media_type, f"{family}/*", "*/*"):
        for name, parameters in ranges:
            if name == pattern:
                return _weight(parameters.get("q", "1"))
    return 0.0


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _parse(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type and its parameters, in lower case."""
    name, *parameters = value.lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return name.strip(), {key.strip(): text.strip().strip('"') for key, _, text in pairs}
