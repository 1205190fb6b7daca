"""Answers of the gateway itself: when a request does not reach its function, or nothing usable
comes back.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.apigateway.definition import Definition

__all__ = ["TYPES", "Answer", "RefusedError", "filled", "response_to"]

#: Response type -> status.
TYPES: dict[str, int | None] = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
_JSON = "application/json"
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Answer:
    """What a client gets.

    Parameters
    ----------
    status
        HTTP status.
    headers
        Name and value, in order; a name may come more than once.
    body
        Its bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class RefusedError(Exception):
    """A request ends here; says which gateway response is the answer.

    Parameters
    ----------
    kind
        Response type.
    message
        For the client.
    error_type
        Value of the header ``x-amzn-ErrorType``.
    status
        Where the response type alone does not say it.
    details
        More variables of ``$context``, for instance ``error.validationErrorString``.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        error_type: str,
        *,
        status: int | None = None,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.error_type = error_type
        self.status = status or TYPES[kind] or _SERVER_ERROR
        self.details = dict(details or {})

    def variables(self) -> dict[str, str]:
        """What it adds to ``$context``."""
        return {
            "error.message": self.message,
            "error.messageString": json.dumps(self.message),
            "error.responseType": self.kind,
            **self.details,
        }


@dataclass(frozen=True)
class _Template:
    text: str = '{"message":$context.error.messageString}'
    media_type: str = _JSON
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def response_to(
    refusal: RefusedError, definition: Definition | None, accept: str, context: Mapping[str, Any]
) -> Answer:
    """The answer to a request that ended.

    Parameters
    ----------
    refusal
        Why.
    definition
        Of the API, whose gateway responses say what the answer looks like; `None` without one.
    accept
        The client's header ``Accept``.
    context
        Variables of ``$context``.
    """
    template = _template(refusal, definition, accept)
    status = template.status or refusal.status
    known = {**context, **refusal.variables(), "status": str(status)}
    headers = {
        "Content-Type": template.media_type,
        "x-amzn-ErrorType": refusal.error_type,
        **template.headers,
    }
    body = filled(template.text, known, missing="").encode()
    return Answer(status, tuple(headers.items()), body)


def _template(refusal: RefusedError, definition: Definition | None, accept: str) -> _Template:
    default = "DEFAULT_5XX" if refusal.status >= _SERVER_ERROR else "DEFAULT_4XX"
    responses = definition.responses if definition else {}
    found = responses.get(refusal.kind) or responses.get(default)
    if found is None:
        return _Template()
    templates = found["responseTemplates"] or {_JSON: _Template.text}
    wanted = accept.partition(",")[0].partition(";")[0].strip()
    media_type = wanted if wanted in templates else _JSON if _JSON in templates else (
        next(iter(templates))
    )  # fmt: skip
    headers = {
        name.removeprefix("gatewayresponse.header."): value[1:-1]
        for name, value in found["responseParameters"].items()
    }
    status = int(found["statusCode"]) if "statusCode" in found else None
    return _Template(templates[media_type], media_type, status, headers)


_VARIABLE = re.compile(r"\$(context|stageVariables)\.([A-Za-z0-9_.-]*[A-Za-z0-9_-])")


def filled(template: str, variables: Mapping[str, Any], *, missing: str) -> str:
    """A template with its variables replaced; `missing` stands where there is no value.

    Examples
    --------
    >>> filled("$context.status $context.nothing", {"status": "200"}, missing="-")
    '200 -'
    """

    def value(match: re.Match[str]) -> str:
        name = match[2] if match[1] == "context" else f"stageVariables.{match[2]}"
        found = variables.get(name)
        return missing if found is None or found == "" else str(found)

    return _VARIABLE.sub(value, template)
