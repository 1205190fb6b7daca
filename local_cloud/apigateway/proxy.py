"""Lambda proxy integration: a request as the function's event, its answer as a response.

Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from local_cloud.apigateway.definition import Definition, Route
from local_cloud.apigateway.request import ClientRequest
from local_cloud.apigateway.responses import Answer, RefusedError

__all__ = ["answer_of", "event_of"]

#: Headers of an answer that API Gateway sets itself; a function's go under another name.
#: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = frozenset(
    {"authorization", "connection", "content-length", "content-md5", "date", "expect", "host",
     "server", "te", "transfer-encoding", "user-agent", "via", "www-authenticate"}
)  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LEAST_STATUS, _MOST_STATUS = 100, 599


def event_of(
    request: ClientRequest,
    route: Route,
    definition: Definition,
    stage: Mapping[str, Any],
    context: Mapping[str, Any],
) -> bytes:
    """The event, JSON.

    Parameters
    ----------
    request
        The client's.
    route
        The method that it asks for.
    definition
        Of the API, as deployed.
    stage
        The stage, as the API shows it.
    context
        ``requestContext``.
    """
    headers = _with_forwarding(request)
    is_binary = definition.matches_binary(request.header("Content-Type"))
    body: str | None = None
    if request.body:
        body = (
            base64.b64encode(request.body).decode()
            if is_binary
            else request.body.decode(errors="replace")
        )
    event = {
        "resource": route.resource["path"],
        "path": request.path,
        "httpMethod": request.verb,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {_: values[-1] for _, values in request.query.items()} or None,
        "multiValueQueryStringParameters": request.query or None,
        "pathParameters": dict(route.path_parameters) or None,
        "stageVariables": stage.get("variables") or None,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": is_binary and body is not None,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _with_forwarding(request: ClientRequest) -> dict[str, list[str]]:
    """The client's headers, with those that AWS's front adds; a signature is not passed on."""
    headers = {
        name: values
        for name, values in request.headers.items()
        if name not in {"Connection", "Content-Length"}
        and not (name == "Authorization" and values[-1].startswith("AWS4-HMAC-SHA256"))
    }
    return {
        **headers,
        "X-Amzn-Trace-Id": [request.trace_id],
        "X-Forwarded-For": [request.source_ip],
        "X-Forwarded-Port": ["443"],
        "X-Forwarded-Proto": ["https"],
    }


def answer_of(payload: bytes, request: ClientRequest, definition: Definition) -> Answer:
    """The response that a function's answer asks for.

    Raises
    ------
    RefusedError
        When it is none: 502.
    """
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise malformed() from None
    if not isinstance(found, dict):
        raise malformed()
    status = _status(found.get("statusCode"))
    headers = _headers(found)
    body = found.get("body")
    if body is not None and not isinstance(body, str):
        raise malformed()
    content = (body or "").encode(errors="replace")
    accepted = request.header("Accept").partition(",")[0]
    if found.get("isBase64Encoded") is True and definition.matches_binary(accepted):
        content = _decoded(content)
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return Answer(status, tuple(headers), content)


def malformed() -> RefusedError:
    """What a client gets when the function has not answered as it must."""
    return RefusedError(
        "DEFAULT_5XX", "Internal server error", "InternalServerErrorException", status=502
    )


def _status(value: Any) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError, OverflowError):
        raise malformed() from None
    if not _LEAST_STATUS <= status <= _MOST_STATUS:
        raise malformed()
    return status


def _headers(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    single = found.get("headers") or {}
    several = found.get("multiValueHeaders") or {}
    if not isinstance(single, dict) or not isinstance(several, dict):
        raise malformed()
    named = {name.lower() for name in several}
    pairs = [(name, value) for name, value in single.items() if name.lower() not in named]
    for name, values in several.items():
        if not isinstance(values, list):
            raise malformed()
        pairs += [(name, value) for value in values]
    return [(_named(name), _text(value)) for name, value in pairs]


def _named(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise malformed()
    return f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise malformed()
    # Headers are bytes; what is not ASCII goes as UTF-8.
    return _CONTROL.sub(" ", str(value)).encode(errors="replace").decode("latin-1")


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise malformed() from None
