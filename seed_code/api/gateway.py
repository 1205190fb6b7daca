"""Requests as API Gateway hands them to a function, and answers as it wants them back.

References
----------
https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
(input and output format of Lambda proxy integration, REST API).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlsystem.errors import RequestError

__all__ = ["Request", "Response"]

# InvokeEndpoint takes 64 characters; a space at the end would not survive a header.
_INFERENCE_ID: Final = re.compile(r"[\x21-\x7e]{1,64}")


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Parameters
    ----------
    path
        The API's resource, for instance ``/predict``, whatever stage or domain it is reached by.
    headers
        By their names in lower case.
    request_id
        API Gateway's, which is in its access log too.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """Return the request in `event`; raises RequestError when its body cannot be decoded."""
        # What is no text becomes what is no UTF-8, which the decoder refuses.
        body = (event.get("body") or "").encode(errors="surrogatepass")
        return cls(
            method=event.get("httpMethod") or "",
            path=event.get("resource") or "",
            headers={name.lower(): text for name, text in (event.get("headers") or {}).items()},
            body=_decoded(body) if event.get("isBase64Encoded") else body,
            request_id=(event.get("requestContext") or {}).get("requestId") or "",
        )

    @property
    def inference_id(self) -> str:
        """The client's own name for the prediction, or the request's.

        Raises
        ------
        RequestError
            The client's cannot be one.
        """
        given = self.headers.get("x-inference-id")
        if given is not None and not _INFERENCE_ID.fullmatch(given):
            raise RequestError(
                "X-Inference-Id", repr(given[:80]), "1 to 64 ASCII characters, no spaces"
            )
        return given or self.request_id


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise RequestError("body", "not base64", "what the gateway encoded") from error


@dataclass(frozen=True)
class Response:
    """What the client gets."""

    status: int
    content_type: str
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_event(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer for API Gateway, with more `headers`."""
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": self.content_type, **headers, **self.headers},
            "body": self.body,
            "isBase64Encoded": False,
        }
