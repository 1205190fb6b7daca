"""Logs of jobs and endpoints: live in a file, and in CloudWatch Logs.

What a process prints goes through a pipe to one thread per stream, which appends each piece to
``.local/logs/<group>/<stream>.log`` at once and sends whole lines, a few at a time, to the
CloudWatch Logs API of the local cloud with the time at which they were read.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.errors import LocalCloudError
from local_cloud.parity import Parity

__all__ = ["PARITY", "LogStream", "Logs"]

PARITY = [
    Parity("CloudWatch Logs", "exact", "Groups and streams; put, get and filter of log events"),
    Parity(
        "CloudWatch Logs",
        "partial",
        "Lines of jobs and endpoints arrive within a quarter of a second; empty lines are left out",
    ),
    Parity(
        "CloudWatch Logs", "refused", "Insights queries, subscriptions, metric filters, exports"
    ),
]

#: Longest time a line waits before it is sent to CloudWatch Logs.
_BATCH_SECONDS = 0.25
#: PutLogEvents takes 10,000 events and 1 MiB at most, and counts 26 bytes for each event.
#: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_BATCH_BYTES = 1_048_576
_EVENT_BYTES = 26
_BATCH_LINES = 10_000
#: Longer lines are cut for CloudWatch Logs, whose limit for one event is 256 KiB; the file has all.
_LINE_BYTES = 200_000


class Logs:
    """Opens log streams and knows the last line of each.

    Parameters
    ----------
    root
        Folder of the log files, ``.local/logs``.
    client
        Gives a CloudWatch Logs client (the administrator's).
    """

    def __init__(self, root: Path, client: Callable[[], Any]) -> None:
        self.root = root
        self._client = client
        self._last_lines: dict[tuple[str, str], str] = {}

    def stream(
        self,
        group: str,
        stream: str,
        *,
        client: Any = None,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> LogStream:
        """Open a stream that ``subprocess.Popen`` takes as ``stdout``; create it where missing.

        Parameters
        ----------
        group
            Log group, for instance ``/aws/sagemaker/TrainingJobs``.
        stream
            Log stream, for instance ``churn-1/algo-1``.
        client
            CloudWatch Logs client that writes the lines: a job's lines are written with its role.
            Where that role may not, the file says so and CloudWatch stays empty, as on AWS.
        on_line
            Called with each line, in order.
        """
        path = self.path(group, stream)
        path.parent.mkdir(parents=True, exist_ok=True)

        def seen(line: str) -> None:
            self._remember(group, stream, line.rpartition("\r")[2])
            on_line(line)

        return LogStream(path, _CloudWatchStream(client or self._client(), group, stream), seen)

    def path(self, group: str, stream: str) -> Path:
        """File of a stream: ``.local/logs/<group>/<stream>.log``."""
        parts = f"{group.strip('/')}/{stream}".split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise LocalCloudError(
                "Logs",
                f"log group {group!r} with stream {stream!r}",
                "names without empty, '.' or '..' parts are needed to be a file's path",
            )
        return self.root.joinpath(*parts[:-1], f"{parts[-1]}.log")

    def last_line(self, group_prefix: str, stream_prefix: str) -> str | None:
        """Newest line that is not blank, of all streams with these prefixes; ``None`` without."""
        for (group, stream), line in reversed(list(self._last_lines.items())):
            if group.startswith(group_prefix) and stream.startswith(stream_prefix):
                return line
        return None

    def _remember(self, group: str, stream: str, line: str) -> None:
        self._last_lines.pop((group, stream), None)  # so that the newest is always the last entry
        self._last_lines[group, stream] = line


class LogStream:
    """One open stream; give it to ``Popen`` as ``stdout``, or write to it.

    Leaving the context (or :meth:`close`) waits until everything that was printed has arrived.
    """

    def __init__(
        self, path: Path, cloudwatch: _CloudWatchStream, on_line: Callable[[str], None]
    ) -> None:
        self._cloudwatch = cloudwatch
        self._on_line = on_line
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._read_end, self._write_end = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._read_end, selectors.EVENT_READ)
        self._closed = False
        self._thread = threading.Thread(target=self._pump, name=f"log {path.stem}", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Descriptor to write to."""
        return self._write_end

    def write(self, text: str) -> int:
        """Append text, which ends with a line break; return the number of its characters."""
        rest = memoryview(text.encode())
        while rest:
            rest = rest[os.write(self._write_end, rest) :]
        return len(text)

    def close(self) -> None:
        """Wait for the last line; every process that writes here must have ended."""
        if not self._closed:
            self._closed = True
            os.close(self._write_end)
            self._thread.join()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _pump(self) -> None:
        rest = b""
        while piece := self._read():
            self._append(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)
        self._cloudwatch.send()
        self._selector.close()
        os.close(self._read_end)
        self._file.close()

    def _read(self) -> bytes:
        """Next piece of output; empty at the end. Sends waiting lines when their time is up."""
        while not self._selector.select(self._cloudwatch.patience()):
            self._cloudwatch.send()
        return os.read(self._read_end, 65_536)

    def _append(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:  # a full disk must not stop the job that prints
            self._cloudwatch.add(f"[local cloud] log file {self._file.name}: {error.strerror}")

    def _line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if not text:
            return
        self._on_line(text)
        self._cloudwatch.add(text)
        if self._cloudwatch.refusal:
            self._append(f"[local cloud] CloudWatch Logs: {self._cloudwatch.refusal}\n".encode())
            self._cloudwatch.refusal = ""


class _CloudWatchStream:
    """Lines on their way to one stream of CloudWatch Logs, sent a few at a time."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._waiting: list[dict[str, Any]] = []
        self._waiting_bytes = 0
        self._since = 0.0
        self._usable = True
        self.refusal = ""
        if not self._is_in_group():
            self._call("create_log_group", logGroupName=group)
            self._call("create_log_stream", **self._names)

    def add(self, text: str) -> None:
        message = text.encode()[:_LINE_BYTES]
        size = len(message) + _EVENT_BYTES
        if self._waiting_bytes + size > _BATCH_BYTES or len(self._waiting) == _BATCH_LINES:
            self.send()
        if not self._waiting:
            self._since = time.monotonic()
        now = time.time_ns() // 1_000_000
        self._waiting.append({"timestamp": now, "message": message.decode(errors="ignore")})
        self._waiting_bytes += size
        if self.patience() == 0.0:
            self.send()

    def patience(self) -> float | None:
        """Seconds until the oldest line must be sent; ``None`` when there is none."""
        if not self._waiting:
            return None
        return max(0.0, self._since + _BATCH_SECONDS - time.monotonic())

    def send(self) -> None:
        lines, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if lines:
            self._call("put_log_events", logEvents=lines, **self._names)

    def _is_in_group(self) -> bool:
        """Make the stream, unless there is no such group: a role may know no more than its own."""
        try:
            self._client.create_log_stream(**self._names)
        except ClientError as error:
            return bool(error.response["Error"]["Code"] == "ResourceAlreadyExistsException")
        except BotoCoreError:
            return False
        return True

    def _call(self, operation: str, **parameters: Any) -> None:
        if not self._usable:
            return
        try:
            getattr(self._client, operation)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                self._give_up(error)
        except BotoCoreError as error:  # the local cloud stops before this stream
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        self.refusal = str(error)
