"""The execution environments of one version: started when events wait, kept while they come.

An event takes the environment that was free last. Where none is free, one is started, and the event
takes whichever is free first, that one or another. AWS starts one for each event that is handled at
the same time; a machine with a few processors is not made faster by that, so there are at most
:data:`MOST` here, and further events wait.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from local_cloud.lambda_functions.environment import ExecutionEnvironment
from local_cloud.lambda_functions.invocation import Invocation, Outcome, failure

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud
    from local_cloud.lambda_functions.function import Version

__all__ = ["MOST", "Pool"]

_PROCESSORS = os.cpu_count() or 1
#: Environments of one version at the same time.
MOST = max(8, 2 * _PROCESSORS)
#: How long an event waits for an environment that works before another is started: one that has
#: just answered is about to be free.
_PATIENCE_SECONDS = 0.01


class Pool:
    """Execution environments of one version of a function.

    Parameters
    ----------
    cloud
        The account.
    version
        What they run.
    """

    def __init__(self, cloud: LocalCloud, version: Version) -> None:
        self._cloud = cloud
        self._version = version
        self._changed = threading.Condition()
        self._free: list[ExecutionEnvironment] = []
        self._all: set[ExecutionEnvironment] = set()
        self._starting = 0
        self._waiting = 0
        self._failures: list[Outcome] = []
        self._is_closed = False
        self._is_stopped = False

    def run(self, invocation: Invocation, *, with_tail: bool = False) -> Outcome:
        """Have an event handled, as soon as an environment is free."""
        found = self._take()
        if isinstance(found, Outcome):
            return found
        return found.run(invocation, with_tail=with_tail)

    def close(self) -> None:
        """End what is free now, and the rest when no event waits for it any more."""
        with self._changed:
            self._is_closed = True
            free, self._free = self._free, []
        for environment in free:
            environment.stop()

    def stop(self) -> None:
        """End every environment at once; events that wait are failures."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
            environments = list(self._all)
        for environment in environments:
            environment.stop()

    def end_idle(self, seconds: float) -> None:
        """End the environments that were free for so long."""
        before = time.monotonic() - seconds
        with self._changed:
            idle = [environment for environment in self._free if environment.free_since < before]
            self._free = [environment for environment in self._free if environment not in idle]
        for environment in idle:
            environment.stop()

    def _take(self) -> ExecutionEnvironment | Outcome:
        patience_ends = time.monotonic() + _PATIENCE_SECONDS
        with self._changed:
            self._waiting += 1
            try:
                while True:
                    if self._free:
                        return self._free.pop()
                    if self._failures:
                        return self._failures.pop()
                    if self._is_stopped:
                        return failure("Runtime.ExitError", "The local cloud is stopping")
                    left = patience_ends - time.monotonic() if self._all else 0.0
                    if left <= 0:
                        self._start_more()
                    self._changed.wait(left if left > 0 else None)
            finally:
                self._waiting -= 1
                if not self._waiting:
                    self._failures.clear()

    def _start_more(self) -> None:
        # More starts at the same time than processors would only delay each other.
        wanted = min(self._waiting, _PROCESSORS)
        while self._starting < wanted and len(self._all) < MOST:
            environment = ExecutionEnvironment(self._cloud, self._version, self._freed, self._ended)
            self._all.add(environment)
            self._starting += 1
            threading.Thread(
                target=self._start, args=(environment,), name="function start", daemon=True
            ).start()

    def _start(self, environment: ExecutionEnvironment) -> None:
        try:
            outcome = environment.start()
        except Exception as error:  # whatever it is, an event waits for it
            outcome = failure("Runtime.ExitError", f"{type(error).__name__}: {error}")
            environment.stop()
        with self._changed:
            self._starting -= 1
            if outcome is not None:
                self._all.discard(environment)
                if self._waiting:
                    self._failures.append(outcome)
            self._changed.notify_all()

    def _freed(self, environment: ExecutionEnvironment) -> None:
        with self._changed:
            if self._waiting or not self._is_closed:
                self._free.append(environment)
                self._changed.notify()
                return
        # Not here: this is the thread that the environment's end waits for.
        threading.Thread(target=environment.stop, name="function end", daemon=True).start()

    def _ended(self, environment: ExecutionEnvironment) -> None:
        with self._changed:
            self._all.discard(environment)
            if environment in self._free:
                self._free.remove(environment)
            self._changed.notify_all()
