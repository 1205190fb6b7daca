"""Processes that never outlive the runner.

Each process leads its own session, so a Ctrl-C in the terminal reaches the runner alone, which
then stops things in order. A second, tiny process, the *reaper*, holds the read end of a pipe whose
write end only the runner has. When the runner ends for whatever reason, SIGKILL included, the pipe
closes and the reaper ends every process group that is still registered.

A process is registered before it starts: it waits as ``/bin/sh`` at a gate (its standard input)
until the reaper knows it, then becomes the program. If the runner dies in between, the gate closes
and the shell leaves. So there is no moment in which a process is unknown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from local_cloud.errors import MachineError

__all__ = ["Processes"]

_REAPER = Path(__file__).with_name("reaper.py")
_GATE = 'read -r _ && exec "$@" </dev/null'


class Processes:
    """Starts and stops process groups, and guarantees that they end with the runner."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._closed = False
        # -I -S: the reaper needs the standard library only, and must start at once.
        read_end, self._pipe = os.pipe()
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_REAPER)], stdin=read_end, start_new_session=True
        )
        os.close(read_end)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: int | IO[Any] | Any,
        name: str,
    ) -> subprocess.Popen[bytes]:
        """Start a program in its own session; its standard error goes where its output goes.

        Parameters
        ----------
        argv
            Program and arguments; the program is looked up on ``env["PATH"]``.
        cwd
            Working directory.
        env
            The whole environment of the process; nothing of the runner's is inherited.
        stdout
            What ``subprocess.Popen`` accepts; anything with a ``fileno()``.
        name
            What the process is, for messages, for instance ``training job churn-1``.

        Raises
        ------
        MachineError
            When the program or the working directory does not exist, or the local cloud stops.
        """
        program = shutil.which(argv[0], path=env.get("PATH", os.defpath))
        if program is None:
            raise MachineError(
                name,
                f"program {argv[0]!r} was not found",
                f"it must exist on PATH={env.get('PATH', os.defpath)}",
            )
        if not cwd.is_dir():
            raise MachineError(name, f"directory {cwd} was not found", "it must exist")
        gate_read, gate_write = os.pipe()
        try:
            with self._lock:
                if self._closed:
                    raise MachineError(
                        name, "the local cloud is stopping", "a process starts only while it runs"
                    )
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _GATE, "sh", program, *argv[1:]],
                    cwd=cwd,
                    env=dict(env),
                    stdin=gate_read,
                    stdout=stdout,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running[process.pid] = process
                self._tell_reaper(f"+{process.pid}\n")
            os.write(gate_write, b"\n")
        finally:
            os.close(gate_read)
            os.close(gate_write)
        threading.Thread(
            target=self._watch, args=(process,), name=f"watch {name}", daemon=True
        ).start()
        return process

    def stop(self, process: subprocess.Popen[bytes], *, grace_seconds: float) -> int:
        """Stop a process as AWS stops a container; return its exit code (negative: signal).

        SIGTERM goes to the process alone, as to a container's first process; whatever of its group
        is left after ``grace_seconds`` gets SIGKILL.
        """
        process.terminate()
        return _end(process, time.monotonic() + grace_seconds)

    def stop_all(self, *, grace_seconds: float = 5.0) -> None:
        """Stop every process at once, refuse new ones, and let the reaper go."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        deadline = time.monotonic() + grace_seconds
        for process in running:
            _end(process, deadline)
        self._release_reaper()

    def _release_reaper(self) -> None:
        with self._lock:
            with contextlib.suppress(MachineError):  # it ended before its time
                for group_id in self._running:  # its watcher may not have come to it yet
                    self._tell_reaper(f"-{group_id}\n")
            self._running.clear()
            os.close(self._pipe)
        self._reaper.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """End what the first process leaves behind, as a container's end does."""
        process.wait()
        _kill_group(process.pid)
        with self._lock:
            if self._running.pop(process.pid, None) is not None:
                with contextlib.suppress(MachineError):  # the next start says it
                    self._tell_reaper(f"-{process.pid}\n")

    def _tell_reaper(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError as error:
            raise MachineError(
                "Process reaper",
                f"it ended with code {self._reaper.poll()}",
                "it must live as long as the local cloud",
                "Start the local cloud again",
            ) from error


def _end(process: subprocess.Popen[bytes], deadline: float) -> int:
    """Exit code of a process that was asked to end; its group is killed at the deadline."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    _kill_group(process.pid)
    return process.wait()


def _kill_group(group_id: int) -> None:
    # Nothing may be left of it; macOS answers EPERM for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group_id, signal.SIGKILL)
