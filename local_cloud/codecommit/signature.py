"""User name and password with which git signs in, made from an account's keys.

What ``aws codecommit credential-helper`` makes: Signature Version 4 over a request whose method is
``GIT`` and whose only header is the host, without its port. The password is the time and the
signature; it is good for fifteen minutes.

Source: https://docs.aws.amazon.com/codecommit/latest/userguide/setting-up-https-unixes.html
"""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

__all__ = ["Place", "is_password", "password", "username"]

_TIME = "%Y%m%dT%H%M%S"
_GOOD_FOR = dt.timedelta(minutes=15)
#: A timestamp with its ``Z``.
_TIME_LENGTH = 16


def username(access_key: str, session_token: str) -> str:
    """The access key, with the session token of an assumed role behind it."""
    return f"{access_key}%{session_token}" if session_token else access_key


@dataclass(frozen=True)
class Place:
    """What a password is good for: the repository at a path of a host, in a region."""

    region: str
    host: str
    path: str


def password(access_key: str, secret_key: str, place: Place) -> str:
    """The password that is good from now on."""
    timestamp = dt.datetime.now(dt.UTC).strftime(_TIME)
    return f"{timestamp}Z{_signature(access_key, secret_key, place, timestamp)}"


def is_password(given: str, access_key: str, secret_key: str, place: Place) -> bool:
    """Whether a password was made with this key for this repository, not long ago."""
    timestamp, signature = given[: _TIME_LENGTH - 1], given[_TIME_LENGTH:]
    try:
        made = dt.datetime.strptime(f"{timestamp}+0000", f"{_TIME}%z")
    except ValueError:
        return False
    if abs(dt.datetime.now(dt.UTC) - made) > _GOOD_FOR:
        return False
    expected = _signature(access_key, secret_key, place, timestamp)
    return hmac.compare_digest(expected.encode(), signature.encode())


def _signature(access_key: str, secret_key: str, place: Place, timestamp: str) -> str:
    name = place.host.partition(":")[0]
    request = AWSRequest(method="GIT", url=f"https://{name}{place.path}")
    request.context["timestamp"] = timestamp
    signer = SigV4Auth(BotocoreCredentials(access_key, secret_key), "codecommit", place.region)
    canonical = f"GIT\n{place.path}\n\nhost:{name}\n\nhost\n"
    signature: str = signer.signature(signer.string_to_sign(request, canonical), request)
    return signature
