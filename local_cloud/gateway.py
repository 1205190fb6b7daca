"""The door of the local cloud: who asks, for what, may they; then moto answers.

Every answer that this module gives itself has the form that the asked service gives its errors, so
that SDKs raise what they raise on AWS. What AWS could do and this cloud cannot is answered with
status 501 and the code ``LocalCloudUnsupported``, naming the service and the operation.
"""

from __future__ import annotations

import errno
import json
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from moto.core.request import Request
from moto.core.utils import get_service_model

from local_cloud.errors import LocalCloudError, UnsupportedError
from local_cloud.iam import Account, DeniedError, Identity
from local_cloud.requests import (
    Call,
    Signature,
    UnknownOperationError,
    identify,
    is_signed_with,
    read_signature,
)
from local_cloud.services import REFUSED, SERVICES

__all__ = ["Gateway"]

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]
#: Whether an application answers a request: its WSGI environment, and who says to have signed it.
Claims = Callable[[Mapping[str, Any], Signature | None], bool]


class _AnswerError(Exception):
    """An error to answer with: code by protocol, status, message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


#: Kind of error -> (code in JSON protocols, code in XML protocols, code of S3, status).
_CODES = {
    "missing": (
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "AccessDenied",
    ),
    "unknown": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
    "signature": ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
    "token": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"),
    "expired": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "denied": ("AccessDeniedException", "AccessDenied", "AccessDenied"),
    "operation": ("UnknownOperationException", "InvalidAction", "MethodNotAllowed"),
    "unsupported": ("LocalCloudUnsupported",) * 3,
    "internal": ("InternalFailure", "InternalFailure", "InternalError"),
}
_STATUS = {
    "operation": HTTPStatus.BAD_REQUEST,
    "unsupported": HTTPStatus.NOT_IMPLEMENTED,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
}


#: Services whose requests are signed for one region of AWS, wherever one is.
_GLOBAL = frozenset({"iam", "sts"})


class Gateway:
    """WSGI application in front of moto.

    Parameters
    ----------
    application
        moto.
    account
        Who is who, and what each may do.
    log
        File to which unexpected failures are appended, with their traceback.
    """

    def __init__(self, application: WSGIApplication, account: Account, log: Path) -> None:
        self._application = application
        self._account = account
        self._log = log
        self._doors: dict[str, WSGIApplication] = {}
        self._others: list[tuple[Claims, WSGIApplication]] = []

    def open(self, prefix: str, application: WSGIApplication) -> None:
        """Let `application` answer what is asked below a path; it must ask who is there itself."""
        self._doors[prefix] = application

    def hand_over(self, claims: Claims, application: WSGIApplication) -> None:
        """Let `application` answer what it claims, signed or not; it must ask who is there."""
        self._others.append((claims, application))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The answer to one request; never an exception."""
        body = environ["wsgi.input"].read()
        request = _request(environ, body)
        signature = read_signature(request)
        try:
            environ["wsgi.input"] = BytesIO(body)
            if door := self._door(environ, signature):
                return door(environ, start_response)
            self._admit(request, signature)
            return self._application(environ, start_response)
        except _AnswerError as error:
            return _answer(request, signature, error, start_response)
        except Exception as error:
            self._note(error)
            return _answer(request, signature, _internal(error), start_response)

    def _door(
        self, environ: Mapping[str, Any], signature: Signature | None
    ) -> WSGIApplication | None:
        path = environ["PATH_INFO"]
        open_doors = self._doors.items() if signature is None else ()
        found = [door for prefix, door in open_doors if path.startswith(prefix)]
        found += [door for claims, door in self._others if claims(environ, signature)]
        return found[0] if found else None

    def _admit(self, request: Request, signature: Signature | None) -> None:
        if signature is None:
            raise _AnswerError("missing", "Missing Authentication Token")
        identity = self._authenticate(request, signature)
        try:
            call = identify(request, signature.service)
        except UnknownOperationError as error:
            raise _AnswerError("operation", f"{error}: there is no such operation") from error
        reason = REFUSED.get((call.service, call.operation))
        if reason is not None:
            raise _refusal(call, reason)
        self._authorize(identity, call, request)

    def _authenticate(self, request: Request, signature: Signature) -> Identity:
        self._check_place(signature)
        identity = self._account.identity(signature.access_key)
        if identity is None:
            raise _AnswerError("unknown", "The security token included in the request is invalid.")
        credentials = identity.credentials
        if not is_signed_with(request, signature, credentials.secret_key):
            raise _AnswerError(
                "signature",
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.",
            )
        if signature.token != credentials.session_token:
            raise _AnswerError("token", "The security token included in the request is invalid.")
        if identity.expired:
            raise _AnswerError("expired", "The security token included in the request is expired")
        if signature.is_over():
            raise _AnswerError("denied", "Request has expired")
        return identity

    def _check_place(self, signature: Signature) -> None:
        """Return when a request is for a service and a region that are here."""
        by_address = signature.presigned_seconds is not None
        if signature.service not in SERVICES or (by_address and signature.service != "s3"):
            raise _AnswerError(
                "unsupported",
                f"{signature.service}: this service is not part of the local cloud; it has "
                f"{', '.join(SERVICES)} (docs/parity.md)",
            )
        if signature.region != self._account.region and signature.service not in _GLOBAL:
            raise _AnswerError(
                "unsupported",
                f"{signature.region}: this region is not part of the local cloud; it has "
                f"{self._account.region} (docs/parity.md)",
            )

    def _authorize(self, identity: Identity, call: Call, request: Request) -> None:
        try:
            self._account.authorize(identity, call, request.headers.get("User-Agent", ""))
        except DeniedError as error:
            raise _AnswerError("denied", str(error)) from error
        except UnsupportedError as error:
            raise _AnswerError("unsupported", str(error)) from error

    def _note(self, error: Exception) -> None:
        if isinstance(error, LocalCloudError | NotImplementedError):
            return
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a") as file:
                traceback.print_exception(error, file=file)
        except OSError:
            return  # the answer says what happened


def _request(environ: dict[str, Any], body: bytes) -> Request:
    """A request of its own for this module: whoever reads a form's body takes it away."""
    request = Request({**environ, "wsgi.input": BytesIO(body)})
    request.from_wsgi_server = True
    return request


def _refusal(call: Call, reason: str) -> _AnswerError:
    return _AnswerError(
        "unsupported",
        f"{call.service}:{call.operation} is not part of the local cloud: {reason} "
        "(docs/parity.md)",
    )


def _internal(error: Exception) -> _AnswerError:
    if isinstance(error, NotImplementedError):
        return _AnswerError("unsupported", f"{error} (docs/parity.md)")
    if isinstance(error, UnsupportedError):
        return _AnswerError("unsupported", str(error))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _AnswerError(
            "internal",
            f"{error.filename}: the disk is full; the object was not written. Free some space",
        )
    return _AnswerError("internal", f"{type(error).__name__}: {error}")


# ------------------------------------------------------------------------------ answers


def _answer(
    request: Request, signature: Signature | None, error: _AnswerError, start_response: Any
) -> list[bytes]:
    json_code, xml_code, s3_code = _CODES[error.kind]
    protocol = _protocol(request, signature)
    if protocol == "json":
        code, content_type, body = json_code, "application/x-amz-json-1.1", _json(json_code, error)
    elif protocol == "rest-xml":
        code, content_type, body = s3_code, "application/xml", _s3_xml(s3_code, error)
    else:
        code, content_type, body = xml_code, "text/xml", _query_xml(xml_code, error)
    status = _STATUS.get(error.kind, HTTPStatus.FORBIDDEN)
    if protocol == "json" and status is HTTPStatus.FORBIDDEN:
        status = HTTPStatus.BAD_REQUEST  # as these protocols do
    start_response(
        f"{status.value} {status.phrase}",
        [
            ("Content-Type", content_type),
            ("x-amzn-errortype", code),
            ("x-amzn-requestid", str(uuid.uuid4())),
        ],
    )
    return [body.encode()]


def _protocol(request: Request, signature: Signature | None) -> str:
    """How the caller's SDK reads errors: ``json``, ``query`` or ``rest-xml`` (S3)."""
    if signature is not None and signature.service in SERVICES:
        if "Action=" in request.query_string.decode() or request.form.get("Action"):
            return "query"
        model = get_service_model(SERVICES[signature.service][0])
        return {"query": "query", "rest-xml": "rest-xml"}.get(model.protocol, "json")
    if request.headers.get("X-Amz-Target") or "json" in (request.content_type or ""):
        return "json"
    if request.form.get("Action"):
        return "query"
    return "json" if signature is not None else "rest-xml"


def _json(code: str, error: _AnswerError) -> str:
    return json.dumps({"__type": code, "message": str(error), "Message": str(error)})


def _s3_xml(code: str, error: _AnswerError) -> str:
    text = escape(str(error))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    )


def _query_xml(code: str, error: _AnswerError) -> str:
    text = escape(str(error))
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{text}</Message></Error></ErrorResponse>"
    )
