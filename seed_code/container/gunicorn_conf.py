"""Settings of gunicorn that do not depend on where it runs; :mod:`container.serve` gives the rest.

Reference: https://docs.gunicorn.org/en/stable/settings.html
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, ClassVar, Final

import uvicorn.lifespan.on
import uvicorn.loops.uvloop  # noqa: F401
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

__all__ = ["WholeResponses", "Worker"]

_MEMORY: Final = "/dev/shm"  # noqa: S108


class WholeResponses:
    """A transport that writes what comes in one turn of the event loop in one piece.

    uvicorn writes the head of a response, then its body. A worker that is killed in between would
    leave half a response, about which nginx can do nothing; for one that never began, it asks
    another worker. It is one system call instead of two, too.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write `data` at the end of this turn."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Write what there is to write, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class _Protocol(HttpToolsProtocol):  # type: ignore[misc]  # it has no types
    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(WholeResponses(transport))


class Worker(UvicornWorker):  # type: ignore[misc]  # it has no types
    """An ASGI worker without what nginx does already.

    All that it needs is imported above, in the master process: workers may not have the right to
    read the files.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": _Protocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "server_header": False,
        "date_header": False,
        "proxy_headers": False,
    }


wsgi_app = "container.app:create()"
worker_class = Worker
# The files are read and the libraries imported once, by the master, with its rights. So a worker
# takes the place of a dead one in milliseconds, and their memory is shared.
preload_app = True
# A heartbeat that fails for so long ends the worker; loading a large model comes before the first.
timeout = 120
# Longer than nginx keeps idle connections (60 s): only one side should close them.
keepalive = 75
# Only nginx, which runs as the same user, needs the socket.
umask = 0o077
control_socket_disable = True
loglevel = "warning"
if os.access(_MEMORY, os.W_OK):  # heartbeats must not wait for a disk
    worker_tmp_dir = _MEMORY
