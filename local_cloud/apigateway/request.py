"""A client's request, as API Gateway sees it."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["MOST_BYTES", "ClientRequest"]

#: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MOST_BYTES = 10_485_760
_LOCAL_NAMES = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")


@dataclass(frozen=True)
class ClientRequest:
    """What a client sent.

    Parameters
    ----------
    verb
        HTTP method.
    stage
        First part of the path.
    path
        What follows the stage; begins with a slash.
    headers
        Name -> values, names as ``Content-Type``.
    query
        Name -> values.
    body
        Its bytes.
    source_ip
        Where it comes from.
    domain
        Host name of the API.
    protocol
        For instance ``HTTP/1.1``.
    id, extended_id, trace_id
        Unique.
    moment
        When it came, in seconds since 1970.
    """

    verb: str
    stage: str
    path: str
    headers: Mapping[str, list[str]]
    query: Mapping[str, list[str]]
    body: bytes
    source_ip: str
    domain: str
    protocol: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_id: str = field(default_factory=lambda: secrets.token_urlsafe(11) + "=")
    moment: float = field(default_factory=time.time)

    @classmethod
    def read(cls, environ: Mapping[str, Any], path: str, domain: str, body: bytes) -> ClientRequest:
        """The request of a WSGI environment.

        Parameters
        ----------
        environ
            Of the server.
        path
            Stage and path in it.
        domain
            Host name of the API.
        body
            Of the request.
        """
        _, stage, rest = f"{path}/".split("/", 2)
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
            query.setdefault(name, []).append(value)
        return cls(
            verb=environ["REQUEST_METHOD"],
            stage=stage,
            path=f"/{rest.removesuffix('/')}",
            headers=_headers(environ, domain),
            query=query,
            body=body,
            source_ip=environ.get("REMOTE_ADDR", "127.0.0.1"),
            domain=domain,
            protocol=environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        )

    @property
    def trace_id(self) -> str:
        """Value of ``X-Amzn-Trace-Id``."""
        return f"Root=1-{int(self.moment):08x}-{self.id.replace('-', '')[:24]}"

    @property
    def time(self) -> str:
        """When it came, as access logs write it."""
        return dt.datetime.fromtimestamp(self.moment, dt.UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")

    def header(self, name: str) -> str:
        """The last value of a header; empty when there is none."""
        values = self.headers.get(name, [])
        return values[-1] if values else ""

    def plain_headers(self) -> dict[str, str]:
        """Last value by lower-case name."""
        return {name.lower(): values[-1] for name, values in self.headers.items()}


def _headers(environ: Mapping[str, Any], domain: str) -> dict[str, list[str]]:
    found = {
        _title(key.removeprefix("HTTP_")): [str(value)]
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            found[_title(key)] = [str(environ[key])]
    if _LOCAL_NAMES.fullmatch(found.get("Host", [""])[0]):
        found["Host"] = [domain]
    return found


def _title(key: str) -> str:
    return key.replace("_", "-").title()
