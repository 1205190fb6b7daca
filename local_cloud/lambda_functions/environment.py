"""An execution environment: one process of a version's image, which handles one event at a time.

What AWS's runtime does, the image's own does here: the process asks the Runtime API for events and
gives its answers back. Its end, whoever has wanted it, is the end of the environment.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import datetime as dt
import json
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.errors import LocalCloudError
from local_cloud.json_api import ApiError
from local_cloud.lambda_functions import embedded_metrics, file_systems, vpc_endpoints
from local_cloud.lambda_functions.configuration import PRINCIPAL
from local_cloud.lambda_functions.invocation import Invocation, Outcome, failure
from local_cloud.lambda_functions.runtime_api import RuntimeApi
from local_cloud.logs import LogStream
from local_cloud.sagemaker.containers import close_log

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud
    from local_cloud.lambda_functions.function import Version

__all__ = ["ExecutionEnvironment"]

#: AWS gives the start ten seconds, and tries it once more within the function's timeout.
_START_SECONDS = 10.0
#: How often the memory of a process that works is looked at.
_LOOK_SECONDS = 0.02
_TAIL_LINES = 100
_TAIL_BYTES = 4096
_TAIL_SECONDS = 1.0
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class _Event:
    """What a process has done."""

    kind: str
    request_id: str = ""
    payload: bytes = b""


class ExecutionEnvironment:
    """A process that runs a version of a function.

    Parameters
    ----------
    cloud
        The account.
    version
        What runs.
    on_free
        Called with this environment when it waits for an event.
    on_end
        Called with this environment when its process has ended.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        version: Version,
        on_free: Callable[[ExecutionEnvironment], None],
        on_end: Callable[[ExecutionEnvironment], None],
    ) -> None:
        self.id = secrets.token_hex(16)
        self.free_since = time.monotonic()
        self._cloud = cloud
        self._version = version
        self._on_free = on_free
        self._on_end = on_end
        self._place = cloud.root / "functions" / f"{version.name}-{self.id[:12]}"
        self._inbox: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._is_started = False
        self._init_ms: float | None = None
        self._peak_bytes = 0
        self._is_out_of_memory = False
        self._process: subprocess.Popen[bytes] | None = None
        self._runtime: RuntimeApi | None = None
        self._log: LogStream | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._reported: dict[str, threading.Event] = {}
        #: Held while somebody may still write to the log.
        self._working = threading.RLock()

    # ---------------------------------------------------------------- life

    def start(self) -> Outcome | None:
        """Start the process and wait until it asks for its first event.

        Returns
        -------
        The error that every event is answered with; `None` when the function is loaded.
        """
        with self._working:
            return self._start()

    def _start(self) -> Outcome | None:
        began = time.monotonic()
        try:
            self._spawn()
        except (ApiError, BotoCoreError, ClientError, LocalCloudError, OSError) as error:
            self._clean_up()
            return failure("Runtime.InvalidEntrypoint", str(error))
        event = self._next_event(began + _START_SECONDS + self._version.settings["Timeout"])
        init_ms = 1000 * (time.monotonic() - began)
        if event is not None and event.kind == "free":
            self._init_ms = init_ms
            self._is_started = True
            self._become_free()
            return None
        outcome = self._init_failure(event)
        status = "timeout" if event is None else "error"
        self._say(
            f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}\t"
            f"Error Type: {_kind(outcome)}"
        )
        self.stop()
        return outcome

    def run(self, invocation: Invocation, *, with_tail: bool = False) -> Outcome:
        """Have the process handle an event; the environment must be free."""
        with self._working:
            return self._run(invocation, with_tail=with_tail)

    def _run(self, invocation: Invocation, *, with_tail: bool) -> Outcome:
        timeout = self._version.settings["Timeout"]
        deadline_ms = int(1000 * (time.time() + timeout))
        began = time.monotonic()
        request_id = invocation.request_id
        self._tail.clear()
        if with_tail:
            self._reported[request_id] = threading.Event()
        self._say(f"START RequestId: {request_id} Version: {self._version.number}")
        self._inbox.put(replace(invocation, deadline_ms=deadline_ms))
        event = self._next_event(began + timeout, request_id)
        outcome = self._outcome(event, request_id, timeout)
        duration_ms = 1000 * (time.monotonic() - began)
        self._report(request_id, duration_ms, event)
        if event is None or event.kind == "exited":
            self.stop()
        tail = self._log_tail(request_id) if with_tail else ""
        return replace(
            outcome, version=self._version.number, duration_ms=duration_ms, log_tail=tail
        )

    def stop(self) -> None:
        """End the process at once, as AWS does; its folder and server go when it has ended."""
        self._inbox.put(None)
        if self._process is not None:
            self._cloud.processes.stop(self._process, grace_seconds=0)

    # ---------------------------------------------------------------- the runtime API's side

    def next_invocation(self) -> Invocation | None:
        """Wait for the next event; `None` when there will be none any more."""
        if self._is_started:
            self._become_free()
        else:
            self._events.put(_Event("free"))
        return self._inbox.get()

    def answered(self, request_id: str, payload: bytes) -> None:
        """The function has returned."""
        self._events.put(_Event("answered", request_id, payload))

    def failed(self, request_id: str, payload: bytes) -> None:
        """The function has raised an exception."""
        self._events.put(_Event("failed", request_id, payload))

    def failed_to_start(self, payload: bytes) -> None:
        """The function could not be loaded."""
        self._events.put(_Event("failed to start", payload=payload))

    def _become_free(self) -> None:
        self.free_since = time.monotonic()
        self._on_free(self)

    # ---------------------------------------------------------------- what happens

    def _next_event(self, deadline: float, request_id: str = "") -> _Event | None:
        """What the process does next for this event; `None` when it does nothing in time."""
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=min(left, _LOOK_SECONDS))
            except queue.Empty:
                self._look_at_memory()
                continue
            self._look_at_memory()
            if event.kind == "exited":
                return event
            if event.request_id == request_id and not self._is_out_of_memory:
                return event
        return None

    def _outcome(self, event: _Event | None, request_id: str, timeout: int) -> Outcome:
        if event is None:
            message = f"Task timed out after {timeout:.2f} seconds"
            now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
            self._say(f"{now}Z {request_id} {message}")
            return failure("Sandbox.Timedout", f"RequestId: {request_id} Error: {message}")
        if event.kind == "exited":
            message = f"RequestId: {request_id} Error: Runtime exited with error: {self._ending()}"
            self._say(f"{message}\nRuntime.ExitError")
            return failure("Runtime.ExitError", message)
        return Outcome(event.payload, is_error=event.kind == "failed")

    def _init_failure(self, event: _Event | None) -> Outcome:
        if event is None:
            return failure("Sandbox.Timedout", "Error: the function was not loaded in time")
        if event.kind == "failed to start":
            return Outcome(event.payload, is_error=True)
        return failure("Runtime.ExitError", f"Runtime exited with error: {self._ending()}")

    def _ending(self) -> str:
        code = self._process.poll() if self._process is not None else None
        if code is None or code >= 0:
            return f"exit status {code}"
        name = signal.Signals(-code).name
        return "signal: killed" if name == "SIGKILL" else f"signal: {name}"

    def _look_at_memory(self) -> None:
        """End a process that has used more than it may, as the kernel does on AWS."""
        process = self._process
        if process is None:
            return
        self._peak_bytes = max(self._peak_bytes, _peak_bytes(process.pid))
        limit = self._version.settings["MemorySize"] * _MEGABYTE
        if self._peak_bytes > limit and not self._is_out_of_memory:
            self._is_out_of_memory = True
            process.kill()

    # ---------------------------------------------------------------- the process

    def _spawn(self) -> None:
        version, cloud = self._version, self._cloud
        for folder in ("home", "tmp"):
            (self._place / folder).mkdir(parents=True, exist_ok=True)
        group = version.settings["LoggingConfig"]["LogGroup"]
        day = dt.datetime.now(dt.UTC).strftime("%Y/%m/%d")
        stream = f"{day}/[{version.number}]{self.id}"
        role_arn = version.settings["Role"]
        client = cloud.client("logs", role_arn=role_arn, service_principal=PRINCIPAL)
        self._log = cloud.logs.stream(group, stream, client=client, on_line=self._read_line)
        self._runtime = RuntimeApi(self)
        image = version.image
        config = version.settings.get("ImageConfig", {})
        process = cloud.processes.spawn(
            image.command(config.get("Command", ()), entrypoint=config.get("EntryPoint")),
            cwd=self._working_directory(),
            env=self._variables(group, stream),
            stdout=self._log,
            name=f"function {version.name}:{version.number}",
        )
        self._process = process
        threading.Thread(
            target=self._wait, args=(process,), name=f"function {version.name}", daemon=True
        ).start()

    def _working_directory(self) -> Path:
        image = self._version.image
        chosen = self._version.settings.get("ImageConfig", {}).get("WorkingDirectory")
        return image.rootfs / str(chosen).strip("/") if chosen else image.workdir

    def _variables(self, group: str, stream: str) -> dict[str, str]:
        version, cloud = self._version, self._cloud
        folders = file_systems.mounts(cloud, version.settings)
        given = version.settings.get("Environment", {}).get("Variables", {})
        own = vpc_endpoints.here(cloud, version.settings, given)
        platform = {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.settings["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_NAME": version.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version.number,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_LAMBDA_RUNTIME_API": self._runtime.address if self._runtime else "",
            "HOME": str(self._place / "home"),
            "LAMBDA_TASK_ROOT": str(self._working_directory()),
            "TMPDIR": str(self._place / "tmp"),
            "TZ": ":UTC",
        }
        return {
            **version.image.environment(),
            **{name: file_systems.here(value, folders) for name, value in own.items()},
            **self._credentials(),
            **platform,
        }

    def _credentials(self) -> dict[str, str]:
        arn = self._version.arn.removesuffix(f":{self._version.number}")
        role_arn = self._version.settings["Role"]
        credentials = self._cloud.credentials(role_arn, PRINCIPAL, source_arn=arn)
        return {
            **self._cloud.environment(),
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._events.put(_Event("exited"))
        self._on_end(self)
        self._clean_up()

    def _clean_up(self) -> None:
        self._inbox.put(None)
        if self._runtime is not None:
            self._runtime.stop()
        with self._working:
            log, self._log = self._log, None
        if log is not None:
            close_log(log)
        shutil.rmtree(self._place, ignore_errors=True)

    # ---------------------------------------------------------------- the log

    def _say(self, text: str) -> None:
        if self._log is not None:
            self._log.write(f"{text}\n")

    def _report(self, request_id: str, duration_ms: float, event: _Event | None) -> None:
        self._say(f"END RequestId: {request_id}")
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {int(duration_ms) + 1} ms",
            f"Memory Size: {self._version.settings['MemorySize']} MB",
            f"Max Memory Used: {self._peak_bytes // _MEGABYTE} MB",
        ]
        if self._init_ms is not None:
            parts.append(f"Init Duration: {self._init_ms:.2f} ms")
            self._init_ms = None
        if event is None:
            parts.append("Status: timeout")
        elif event.kind == "exited":
            kind = "OutOfMemory" if self._is_out_of_memory else "ExitError"
            parts += ["Status: error", f"Error Type: Runtime.{kind}"]
        self._say("\t".join(parts))

    def _read_line(self, line: str) -> None:
        """Look at each line of the log: some are metrics, some end an event's lines."""
        embedded_metrics.collect(self._cloud, line)
        if self._reported:
            self._tail.append(line)
            if line.startswith("REPORT RequestId: "):
                reported = self._reported.get(line.split()[2])
                if reported is not None:
                    reported.set()

    def _log_tail(self, request_id: str) -> str:
        self._reported[request_id].wait(_TAIL_SECONDS)
        del self._reported[request_id]
        text = "\n".join(self._tail) + "\n"
        return text.encode()[-_TAIL_BYTES:].decode(errors="ignore")


def _kind(outcome: Outcome) -> str:
    """Type of an error; the function's own may be anything."""
    try:
        return str(json.loads(outcome.payload)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Runtime.Unknown"


def _peak_bytes(process_id: int) -> int:
    """Most memory that a process has had so far; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    found: Any = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return 1024 * int(found.split()[1]) if found else 0
