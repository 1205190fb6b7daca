"""Where custom resources answer: addresses that are good for one answer each.

On AWS a response URL is a presigned one of S3; here it is one of the account's own server. Who has
it may answer, once, without a signature, as there.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

__all__ = ["PREFIX", "Responses", "WrongResponseError", "responses"]

#: Below which every response URL is.
PREFIX = "/cloudformation-custom-resource-response/"
_MOST_BYTES = 4096


class WrongResponseError(Exception):
    """What came is no response; the message is for the stack's event."""


class Responses:
    """The addresses that somebody waits for; a WSGI application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: set[str] = set()
        self._received: dict[str, bytes] = {}

    def expect(self) -> str:
        """Path of a new address."""
        path = f"{PREFIX}{secrets.token_urlsafe(32)}"
        with self._lock:
            self._expected.add(path)
        return path

    def take(self, path: str) -> dict[str, Any] | None:
        """The response that came to an address; `None` when there is none yet.

        Raises
        ------
        WrongResponseError
            When it is none.
        """
        with self._lock:
            body = self._received.pop(path, None)
        if body is None:
            return None
        if len(body) > _MOST_BYTES:
            raise WrongResponseError("Response object is too long.")
        try:
            response = json.loads(body)
        except ValueError as error:
            raise WrongResponseError("Invalid response: it is not JSON") from error
        if not isinstance(response, dict):
            raise WrongResponseError("Invalid response: it is no object")
        return response

    def forget(self, path: str) -> None:
        """Let an address be good for nothing any more."""
        with self._lock:
            self._expected.discard(path)
            self._received.pop(path, None)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Take a response; an address that nobody waits for is forbidden, as an expired one is."""
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read()
        with self._lock:
            is_good = environ["REQUEST_METHOD"] == "PUT" and path in self._expected
            if is_good:
                self._expected.discard(path)
                self._received[path] = body
        status = HTTPStatus.OK if is_good else HTTPStatus.FORBIDDEN
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/xml")])
        return [b""]


#: Of this process.
responses = Responses()
