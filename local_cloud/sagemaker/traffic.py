"""What an endpoint's load balancer tells about its requests, as CloudWatch metrics.

The balancer writes a line for each request into a named pipe, many lines at a time. Most lines are
the same as others, so they are counted as they are, and only different ones are read.

Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.cloud import LocalCloud
from local_cloud.metrics import Distribution, Metric

__all__ = ["FORMAT", "Traffic"]

#: Of a request: variant, status, seconds in the instances it was given to, seconds altogether.
FORMAT = "$variant|$status|$upstream_response_time|$request_time"
_NAMESPACE = "AWS/SageMaker"
_STOP = b"|stop||\n"
_PIPE_BYTES = 1 << 20
#: So long lines gather before they are read: waking up for each piece would cost the requests.
_GATHER_SECONDS = 0.05
_MICROSECONDS = 1e6
#: nginx's word for a client that did not wait for the answer.
_CLIENT_LEFT = 499
_UNITS = {"ModelLatency": "Microseconds", "OverheadLatency": "Microseconds"}
_ERRORS = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")


@dataclass
class _Counted:
    """Requests to one variant."""

    metrics: dict[str, Distribution] = field(default_factory=dict)

    def add(self, name: str, value: float, count: int) -> None:
        self.metrics.setdefault(name, Distribution()).add(value, count)


class Traffic:
    """Counts the requests of one endpoint.

    Parameters
    ----------
    cloud
        The account.
    endpoint_name
        The endpoint.
    path
        Of the named pipe; its folder exists.
    counts
        Gives the number of instances of each variant.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        endpoint_name: str,
        path: Path,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._cloud = cloud
        self._endpoint_name = endpoint_name
        self._counts = counts
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        # Open for both: it is never at an end, and whoever writes never waits for a reader.
        self._pipe = os.open(path, os.O_RDWR)
        _enlarge(self._pipe)
        self._thread = threading.Thread(
            target=self._read, name=f"traffic of {endpoint_name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Count what was written so far, and no more."""
        os.write(self._pipe, _STOP)
        self._thread.join()
        os.close(self._pipe)

    def _read(self) -> None:
        rest = b""
        while True:
            *lines, rest = (rest + os.read(self._pipe, _PIPE_BYTES)).split(b"\n")
            found = Counter(lines)
            stopped = found.pop(_STOP.rstrip(), 0)
            self._record(found)
            if stopped:
                return
            time.sleep(_GATHER_SECONDS)

    def _record(self, lines: Mapping[bytes, int]) -> None:
        instances = self._counts()
        variants: dict[str, _Counted] = {}
        for line, count in lines.items():
            variant, status, model, whole = line.decode(errors="replace").split("|")
            if variant:
                counted = variants.setdefault(variant, _Counted())
                _count(counted, int(status), model, float(whole), count)
                counted.add("InvocationsPerInstance", 1 / instances.get(variant, 1), count)
        now = time.time()
        for variant, counted in variants.items():
            dimensions = {"EndpointName": self._endpoint_name, "VariantName": variant}
            for name, distribution in counted.metrics.items():
                metric = Metric.of(_NAMESPACE, name, dimensions)
                unit = _UNITS.get(name, "None")
                self._cloud.metrics.record_distribution(metric, distribution, unit=unit, at=now)


def _count(counted: _Counted, status: int, model: str, whole: float, count: int) -> None:
    kind = 0 if status == _CLIENT_LEFT else status // 100
    is_error = (kind == 4, kind == 5, kind not in {0, 2})  # noqa: PLR2004 - 4XX, 5XX, not 2XX
    counted.add("Invocations", 1.0, count)
    for name, happened in zip(_ERRORS, is_error, strict=True):
        counted.add(name, float(happened), count)
    tries = [float(_) for _ in model.replace(":", ",").split(",") if _.strip() not in {"", "-"}]
    if tries:
        seconds = sum(tries)
        counted.add("ModelLatency", seconds * _MICROSECONDS, count)
        counted.add("OverheadLatency", max(whole - seconds, 0.0) * _MICROSECONDS, count)


def _enlarge(pipe: int) -> None:
    """Make room for a pause of this process, in which the balancer must not wait."""
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        fcntl.fcntl(pipe, set_size, _PIPE_BYTES)
