"""Events that nobody waits for: queued, tried, and tried again when the function fails.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from local_cloud.json_api import ApiError
from local_cloud.lambda_functions.registry import Functions, Reference

__all__ = ["Events"]

_WORKERS = 8
_DEFAULT_RETRIES = 2
_DEFAULT_AGE_SECONDS = 21_600
#: Before the first and the second retry of an event whose function has failed.
_PAUSES_SECONDS = (60.0, 120.0)
#: Before an event whose function was throttled is tried again.
_THROTTLED_SECONDS = 1.0


@dataclass(order=True)
class _Event:
    due: float
    number: int
    reference: Reference = field(compare=False)
    payload: bytes = field(compare=False)
    client_context: str = field(compare=False)
    queued: float = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Events:
    """The queue of asynchronous events.

    Parameters
    ----------
    functions
        Who handles them.
    """

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._factor = functions.cloud.wait_factor
        self._changed = threading.Condition()
        self._waiting: list[_Event] = []
        self._numbers = itertools.count()
        self._is_closed = False
        self._workers = ThreadPoolExecutor(_WORKERS, "function event")
        threading.Thread(target=self._deliver, name="function events", daemon=True).start()

    def put(self, reference: Reference, payload: bytes, client_context: str = "") -> None:
        """Have an event handled soon."""
        moment = time.monotonic()
        event = _Event(
            moment, next(self._numbers), reference, payload, client_context, queued=moment
        )
        self._queue(event)

    def stop(self) -> None:
        """Drop what waits."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _queue(self, event: _Event) -> None:
        with self._changed:
            if not self._is_closed:
                heapq.heappush(self._waiting, event)
                self._changed.notify_all()

    def _deliver(self) -> None:
        with self._changed:
            while not self._is_closed:
                moment = time.monotonic()
                if not self._waiting:
                    self._changed.wait()
                elif self._waiting[0].due > moment:
                    self._changed.wait(self._waiting[0].due - moment)
                else:
                    self._workers.submit(self._handle, heapq.heappop(self._waiting))

    def _handle(self, event: _Event) -> None:
        try:
            outcome = self._functions.invoke(
                event.reference, event.payload, client_context=event.client_context
            )
        except ApiError as error:
            if error.code == "TooManyRequestsException":
                self._again(event, _THROTTLED_SECONDS)
            return
        if outcome.is_error:
            event.attempts += 1
            if event.attempts <= self._retries(event):
                self._again(event, _PAUSES_SECONDS[event.attempts - 1])

    def _again(self, event: _Event, pause_seconds: float) -> None:
        event.due = time.monotonic() + pause_seconds * self._factor
        longest = self._config(event).get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)
        if event.due - event.queued < longest:
            self._queue(event)

    def _retries(self, event: _Event) -> int:
        return int(self._config(event).get("MaximumRetryAttempts", _DEFAULT_RETRIES))

    def _config(self, event: _Event) -> dict[str, int]:
        reference = event.reference
        try:
            configs = self._functions.get(reference.name).event_configs
        except ApiError:  # deleted in between
            return {"MaximumRetryAttempts": 0}
        return configs.get(reference.qualifier or "$LATEST", {})
