"""Constant traffic on a project's API while releases come and go: who answered, and how."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from local_cloud.api_client import Answer, ApiClient

__all__ = ["Traffic"]

_CLIENTS = 4
_SHOWN_SECONDS = 2.0
_OK = 200


class Traffic:
    """Clients that ask `bodies` in turn, `per_second` in all, while the context lasts."""

    def __init__(self, client: ApiClient, bodies: Sequence[str], per_second: float) -> None:
        self._client = client
        self._bodies = itertools.cycle(bodies)
        self._pause = _CLIENTS / per_second
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, name=f"client {number}", daemon=True)
            for number in range(_CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def answers(self, since: float = 0.0) -> list[Answer]:
        """Return the answers that came after `since` on the monotonic clock."""
        with self._lock:
            return [answer for answer in self._answers if answer.at > since]

    def shares(self) -> dict[str, float]:
        """Return which releases answered in the last two seconds, as shares of one."""
        counts = Counter(
            answer.release for answer in self.answers(time.monotonic() - _SHOWN_SECONDS)
        )
        return {release: count / counts.total() for release, count in counts.items() if release}

    @staticmethod
    def failed(answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers that are no predictions: all that is asked here is right."""
        return [answer for answer in answers if answer.status != _OK]

    def _ask(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                body = next(self._bodies)
            answer = self._client.predict(body)
            with self._lock:
                self._answers.append(answer)
            self._stopping.wait(self._pause)
        self._client.close()
