"""The Lambda Runtime API: how an execution environment's process gets events and gives answers.

Each environment has a server of its own on the loopback address, as each has one of its own on AWS,
because nothing in a request says which environment it comes from.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import re
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Protocol

from local_cloud.lambda_functions.invocation import MOST_RESPONSE_BYTES, Invocation
from local_cloud.server import HOST

__all__ = ["Environment", "RuntimeApi"]

_PREFIX = "/2018-06-01/runtime"
_ANSWER = re.compile(rf"{_PREFIX}/invocation/([^/]+)/(response|error)")
_LOOK_SECONDS = 0.2
_ACCEPTED = b'{"status":"OK"}\n'
_TOO_LARGE = (
    b'{"errorMessage":"Exceeded maximum allowed payload size","errorType":"RequestEntityTooLarge"}'
)


class Environment(Protocol):
    """The execution environment whose process talks to the API."""

    def next_invocation(self) -> Invocation | None:
        """Wait for the next event; `None` when there will be none any more."""

    def answered(self, request_id: str, payload: bytes) -> None:
        """The function has returned."""

    def failed(self, request_id: str, payload: bytes) -> None:
        """The function has raised an exception."""

    def failed_to_start(self, payload: bytes) -> None:
        """The function could not be loaded."""


class RuntimeApi:
    """A running server for one execution environment.

    Parameters
    ----------
    environment
        Whose it is.
    """

    def __init__(self, environment: Environment) -> None:
        self._server = _Server(environment)
        threading.Thread(
            target=self._server.serve_forever,
            args=(_LOOK_SECONDS,),
            name="runtime api",
            daemon=True,
        ).start()

    @property
    def address(self) -> str:
        """Host and port, for ``AWS_LAMBDA_RUNTIME_API``."""
        return f"{HOST}:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Requests of one connection, one after the other."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Give the next event."""
        if self.path != f"{_PREFIX}/invocation/next":
            self._send(HTTPStatus.NOT_FOUND, {}, b"")
            return
        invocation = self.server.environment.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        self._send(HTTPStatus.OK, invocation.headers(), invocation.payload)

    def do_POST(self) -> None:
        """Take an answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = _ANSWER.fullmatch(self.path)
        if self.path == f"{_PREFIX}/init/error":
            self.server.environment.failed_to_start(body)
        elif found is None:
            self._send(HTTPStatus.NOT_FOUND, {}, b"")
            return
        elif found[2] == "error":
            self.server.environment.failed(found[1], body)
        elif len(body) > MOST_RESPONSE_BYTES:
            self.server.environment.failed(found[1], _response_too_large(len(body)))
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}, _TOO_LARGE)
            return
        else:
            self.server.environment.answered(found[1], body)
        self._send(HTTPStatus.ACCEPTED, {}, _ACCEPTED)

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _response_too_large(size: int) -> bytes:
    return (
        f'{{"errorMessage":"Response payload size ({size} bytes) exceeded maximum allowed payload '
        f'size ({MOST_RESPONSE_BYTES} bytes).","errorType":"Function.ResponseSizeTooLarge"}}'
    ).encode()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the process has ended, which is noticed elsewhere."""
