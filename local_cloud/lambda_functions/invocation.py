"""One event for a function, and what comes of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

__all__ = [
    "MOST_EVENT_BYTES",
    "MOST_REQUEST_BYTES",
    "MOST_RESPONSE_BYTES",
    "Invocation",
    "Outcome",
    "failure",
]

#: Limits of payloads: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_REQUEST_BYTES = 6_291_456
MOST_RESPONSE_BYTES = 6_291_556
MOST_EVENT_BYTES = 1_048_576


@dataclass(frozen=True)
class Invocation:
    """An event on its way to a function.

    Parameters
    ----------
    payload
        The event, JSON.
    function_arn
        As it was called: with the alias or version, where one was named.
    deadline_ms
        When the function is stopped, in milliseconds since 1970.
    client_context
        What the caller has passed on, JSON; empty without.
    request_id
        Unique.
    """

    payload: bytes
    function_arn: str
    deadline_ms: int = 0
    client_context: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def headers(self) -> dict[str, str]:
        """What the process is told besides the event."""
        trace = self.request_id.replace("-", "")
        headers = {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{trace[:8]}-{trace[8:]};Sampled=0",
        }
        if self.client_context:
            headers["Lambda-Runtime-Client-Context"] = self.client_context
        return headers


@dataclass(frozen=True)
class Outcome:
    """What came of an event.

    Parameters
    ----------
    payload
        What the function returned, or the error as JSON.
    is_error
        Whether it is an error.
    version
        Which version answered.
    duration_ms
        How long it took, without the start of the environment.
    log_tail
        Last lines of its log; empty when nobody asked.
    """

    payload: bytes
    is_error: bool = False
    version: str = ""
    duration_ms: float = 0.0
    log_tail: str = ""


def failure(kind: str, message: str) -> Outcome:
    """An error that the platform reports, not the function."""
    payload = json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":"))
    return Outcome(payload.encode(), is_error=True)
