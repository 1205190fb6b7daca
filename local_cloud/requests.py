"""What an HTTP request to AWS asks for: service, operation, parameters.

The service comes from the scope that the request is signed for, the operation and its parameters
from the service's own model, for every protocol in use: JSON (``X-Amz-Target``), query
(``Action``), REST-JSON and REST-XML (method and path). moto's router and parsers do it; this module
chooses the service and bounds what is read.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hmac
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from werkzeug.exceptions import NotFound

from local_cloud.services import SERVICES

__all__ = [
    "Call",
    "Signature",
    "UnknownOperationError",
    "identify",
    "is_signed_with",
    "read_signature",
]


#: A week has six digits of seconds, the longest that a presigned address may be good.
_MOST_DIGITS = 7
_SCOPE = re.compile(r"([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request")


class UnknownOperationError(Exception):
    """The request asks for nothing that the service's model knows."""


@dataclass(frozen=True)
class Signature:
    """The claims of a request about who signed it, Signature Version 4.

    Parameters
    ----------
    access_key, date, region, service
        The credential scope; ``date`` is ``YYYYMMDD``, ``service`` the signing name.
    headers
        Names of the signed headers, lower case.
    value
        The signature, 64 hexadecimal digits.
    timestamp
        ``YYYYMMDDTHHMMSSZ``.
    token
        Session token of an assumed role, empty without.
    presigned_seconds
        How long a presigned address is good; ``None`` when the signature is in a header.
    """

    access_key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    value: str
    timestamp: str
    token: str
    presigned_seconds: int | None = None

    def is_over(self) -> bool:
        """Whether this is a presigned address whose time is over, or that says no good time."""
        if self.presigned_seconds is None:
            return False
        try:
            signed = dt.datetime.strptime(f"{self.timestamp}+0000", "%Y%m%dT%H%M%SZ%z")
        except ValueError:
            return True
        return dt.datetime.now(dt.UTC) > signed + dt.timedelta(seconds=self.presigned_seconds)


@dataclass(frozen=True)
class Call:
    """One operation of one service with its parameters, as one would write it in boto3."""

    service: str
    operation: str
    parameters: dict[str, Any]


def read_signature(request: Request) -> Signature | None:
    """Who a request says has signed it; ``None`` when it is not signed, or not in this version.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
    """
    header = request.headers.get("Authorization", "")
    if header.startswith("AWS4-HMAC-SHA256 "):
        fields = dict(
            part.strip().partition("=")[::2] for part in header.partition(" ")[2].split(",")
        )
        timestamp = request.headers.get("X-Amz-Date", "")
        token = request.headers.get("X-Amz-Security-Token", "")
        return _signature(fields, "", timestamp, token)
    query = {name: values[0] for name, values in parse_qs(request.query_string.decode()).items()}
    if query.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256":
        timestamp = query.get("X-Amz-Date", "")
        token = query.get("X-Amz-Security-Token", "")
        expires = query.get("X-Amz-Expires", "")
        seconds = int(expires) if expires.isdecimal() and len(expires) < _MOST_DIGITS else 0
        return _signature(query, "X-Amz-", timestamp, token, seconds)
    return None


def _signature(
    fields: dict[str, str], prefix: str, timestamp: str, token: str, seconds: int | None = None
) -> Signature | None:
    scope = _SCOPE.fullmatch(fields.get(f"{prefix}Credential", ""))
    if scope is None:
        return None
    access_key, date, region, service = scope.groups()
    headers = tuple(fields.get(f"{prefix}SignedHeaders", "").lower().split(";"))
    value = fields.get(f"{prefix}Signature", "")
    return Signature(access_key, date, region, service, headers, value, timestamp, token, seconds)


def is_signed_with(request: Request, signature: Signature, secret_key: str) -> bool:
    """Whether the request's signature is the one that this secret key makes.

    botocore computes it as it does when it signs. Of an object's bytes the declared digest is
    signed, not checked, which costs nothing on one machine.
    """
    url, _, query = request.raw_url.partition("?")
    pairs = [pair for pair in query.split("&") if pair and not pair.startswith("X-Amz-Signature=")]
    signed = AWSRequest(
        method=request.method,
        url=f"{url}?{'&'.join(pairs)}" if pairs else url,
        headers={name: request.headers.get(name, "") for name in signature.headers},
        data=b"" if signature.service == "s3" else request.get_data(),
    )
    signed.context["timestamp"] = signature.timestamp
    signer = _signer(signature)(
        BotocoreCredentials(signature.access_key, secret_key), signature.service, signature.region
    )
    text = signer.string_to_sign(signed, signer.canonical_request(signed))
    expected: str = signer.signature(text, signed)
    return hmac.compare_digest(expected, signature.value)


def _signer(signature: Signature) -> Any:
    if signature.presigned_seconds is not None:
        return S3SigV4QueryAuth
    return S3SigV4Auth if signature.service == "s3" else SigV4Auth


def identify(request: Request, signing_name: str) -> Call:
    """The operation that a request asks for.

    Parameters
    ----------
    request
        The whole request; it is read, so give a copy to whoever reads it afterwards.
    signing_name
        Service of the credential scope, a key of :data:`local_cloud.services.SERVICES`.

    Raises
    ------
    UnknownOperationError
        When no operation of that service's model has this protocol, method, path or name, or its
        body cannot be read as the model says.
    """
    if request.args.get("Action") and request.form.get("Action"):
        raise UnknownOperationError("Action: two are asked for, in the address and in the body")
    for service in SERVICES[signing_name]:
        try:
            operation, path_parameters = get_service_router(service).match(request)
        except (NotFound, NotImplementedError):
            continue
        return Call(service, operation.name, _parse(request, operation, path_parameters))
    asked = request.headers.get("X-Amz-Target") or request.values.get("Action") or request.path
    raise UnknownOperationError(f"{signing_name}: {request.method} {asked}")


def _parse(
    request: Request, operation: OperationModel, path_parameters: dict[str, Any]
) -> dict[str, Any]:
    protocol = determine_request_protocol(operation.service_model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](operation)
    try:
        parsed: dict[str, Any] = parser.parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": _body(request, operation),
                "url_path": request.path,
                "url_params": path_parameters,
            }
        )
    except (RequestParserError, ValueError, TypeError, AttributeError, OSError) as error:
        raise UnknownOperationError(
            f"{operation.name}: the body cannot be read: {error}"
        ) from error
    return parsed


def _body(request: Request, operation: OperationModel) -> bytes:
    """What the parameters are in; an object's or a prediction's bytes are none of our business."""
    if operation.has_streaming_input or _has_blob_payload(operation):
        return b""
    if request.content_encoding == "gzip":  # PutMetricData above 10 KiB
        return gzip.decompress(request.data)
    body: bytes = request.data
    return body


def _has_blob_payload(operation: OperationModel) -> bool:
    shape = operation.input_shape
    if shape is None or "payload" not in shape.serialization:
        return False
    return bool(shape.members[shape.serialization["payload"]].type_name == "blob")
