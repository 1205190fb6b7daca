"""Errors as clients get them: ``application/problem+json``.

References
----------
RFC 9457.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

__all__ = ["MEDIA_TYPE", "problem"]

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, detail: str) -> bytes:
    """Return the body of an answer with `status`; `detail` says what to do about it."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
