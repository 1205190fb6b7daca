"""The HTTP server of the local cloud: loopback only, HTTP/1.1 with connections kept alive.

Werkzeug's development server closes each connection and waits 10 ms for stray bytes after each
answer; a state machine that polls and an endpoint that is called in a loop feel both. This one
reads every request whole before it is answered (moto does so anyway), therefore it may keep the
connection, and it closes the kept ones when it stops, so that no client talks to a server that is
gone.
"""

from __future__ import annotations

import errno
import io
import socket
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer

from local_cloud.errors import MachineError

__all__ = ["HOST", "Server"]

#: The only address anything listens on.
HOST = "127.0.0.1"


class _RequestHandler(MotoRequestHandler):  # type: ignore[misc]
    """Answers requests of one connection, one after the other, until the client closes it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle_expect_100(self) -> bool:
        allowed: bool = super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the body
        return allowed

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        body = self._read_body(environ)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        started: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            started.update(status=status, headers=headers)

        chunks: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        self._send(started["status"], started["headers"], content)

    def _read_body(self, environ: dict[str, Any]) -> bytes:
        stream = environ["wsgi.input"]
        is_chunked = isinstance(stream, DechunkedInput)
        body: bytes = stream.read(-1 if is_chunked else int(environ.get("CONTENT_LENGTH") or 0))
        return body

    def _send(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "date", "server"}:
                self.send_header(name, value)
        without_body = self.command == "HEAD" or code.startswith("1") or code in {"204", "304"}
        if "content-length" not in names and not without_body:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not without_body:
            self.wfile.write(content)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: every call of every job would drown what a person wants to read."""


class _ThreadedServer(ThreadedWSGIServer):
    def __init__(self, listener: socket.socket, app: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(
            HOST, listener.getsockname()[1], app, _RequestHandler, fd=listener.fileno()
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the application answers its errors, and this client speaks no HTTP."""


class Server:
    """A running HTTP server for one WSGI application.

    Parameters
    ----------
    app
        WSGI application; called from one thread per connection.
    port
        Port on the loopback address; 0 lets the system choose a free one.

    Raises
    ------
    MachineError
        When the port is taken or may not be used.
    """

    def __init__(self, app: Any, port: int = 0) -> None:
        with _listen(port) as listener:
            self._server = _ThreadedServer(listener, app)
        self.port: int = self._server.port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-cloud-server", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the server, for instance ``http://127.0.0.1:41235``."""
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        """Stop listening and close every kept connection."""
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise MachineError(
            "Local cloud",
            f"port {port} of {HOST} is {'taken by another program' if taken else 'not usable'}",
            "a free port is needed",
            "Stop that program, choose another port, or give none and a free one is chosen",
        ) from error
    return listener
