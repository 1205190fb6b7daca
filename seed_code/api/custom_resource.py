"""CloudFormation's custom resources: what a stack asks of a function, and the answer it waits for.

CloudFormation waits for an answer at a presigned address for up to an hour. So whatever happens, an
answer is sent; a failure's carries the reason, which becomes the stack's.

References
----------
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html,
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html (the body may
have 4,096 bytes)
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["Outcome", "respond"]

_MOST_BYTES: Final = 4096
_ATTEMPTS: Final = 4
_SECONDS: Final = 10


@dataclass(frozen=True)
class Outcome:
    """What there is now.

    Parameters
    ----------
    physical_id
        Another one than before is a replacement: CloudFormation deletes the former later.
    attributes
        For ``Fn::GetAtt``.
    reason
        Why it failed; empty when it did not.
    """

    physical_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def respond(
    event: Mapping[str, Any], outcome: Outcome, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Tell CloudFormation the outcome of what it asked in `event`.

    Raises
    ------
    OSError
        It could not be told, in several attempts.
    """
    answer = {
        "Status": "FAILED" if outcome.reason else "SUCCESS",
        "Reason": outcome.reason,
        "PhysicalResourceId": outcome.physical_id,
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": dict(outcome.attributes),
    }
    body = _bounded(answer)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _put(event["ResponseURL"], body)
        except OSError:  # urllib's errors are some
            if attempt == _ATTEMPTS:
                raise
            sleep(2**attempt)
        else:
            return


def _bounded(answer: dict[str, Any]) -> bytes:
    """Return `answer` as JSON with as much of its reason as CloudFormation takes."""
    body = json.dumps(answer).encode()
    while len(body) > _MOST_BYTES and answer["Reason"]:
        # A character takes 12 bytes at most: a pair of escaped surrogates.
        excess = max(1, (len(body) - _MOST_BYTES) // 12)
        answer = {**answer, "Reason": answer["Reason"][:-excess]}
        body = json.dumps(answer).encode()
    return body


def _put(url: str, body: bytes) -> None:
    if urlsplit(url).scheme not in ("https", "http"):
        raise ValueError("ResponseURL: another scheme than https")
    # Signed without a content type: urllib would send one of its own.
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
        response.read()
