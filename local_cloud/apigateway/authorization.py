"""Who asks, and whether they may: signed requests with a policy, and API keys with a plan.

Sources:
https://docs.aws.amazon.com/apigateway/latest/developerguide/permissions.html,
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moto.core.request import Request

from local_cloud.actions import Need
from local_cloud.apigateway.apis import Api, Apis
from local_cloud.apigateway.request import ClientRequest
from local_cloud.apigateway.responses import RefusedError
from local_cloud.apigateway.throttling import Buckets, Quotas
from local_cloud.iam import DeniedError
from local_cloud.requests import Signature, is_signed_with, read_signature

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud
    from local_cloud.iam import Identity

__all__ = ["Keys", "identify"]

#: How much the time of a signature may differ from ours.
_SKEW = dt.timedelta(minutes=5)
_NO_LIMIT = float("inf")


def identify(cloud: LocalCloud, request: Request, resource_arn: str) -> Identity:
    """Who has signed a request, and may make it.

    Parameters
    ----------
    cloud
        The account.
    request
        As the server got it.
    resource_arn
        What is asked for: ``arn:aws:execute-api:<region>:<account>:<api>/<stage>/<verb>/<path>``.

    Raises
    ------
    RefusedError
        When nobody has, or they may not; in AWS's words.
    """
    signature = read_signature(request)
    if signature is None:
        raise _unsigned(request)
    _check_scope(cloud, signature)
    identity = cloud.account.identity(signature.access_key)
    if identity is None or signature.token != identity.credentials.session_token:
        raise RefusedError(
            "INVALID_SIGNATURE",
            "The security token included in the request is invalid.",
            "UnrecognizedClientException",
        )
    if not _is_signed(request, signature, identity.credentials.secret_key):
        raise _bad_signature(
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method. Consult the service documentation for "
            "details."
        )
    if identity.expired:
        raise RefusedError(
            "EXPIRED_TOKEN",
            "The security token included in the request is expired",
            "ExpiredTokenException",
        )
    try:
        if not identity.is_administrator:
            needs = [Need("execute-api:Invoke", resource_arn)]
            cloud.account.check(identity, needs, request.headers.get("User-Agent", ""))
    except DeniedError as error:
        place = f"arn:aws:execute-api:{cloud.region}:"
        shown = resource_arn.replace(f"{place}{cloud.account_id}", f"{place}********")
        message = (
            f"User: {identity.arn} is not authorized to perform: execute-api:Invoke on resource: "
            f"{shown}"
        )
        raise RefusedError("ACCESS_DENIED", message, "AccessDeniedException") from error
    return identity


def _unsigned(request: Request) -> RefusedError:
    header = request.headers.get("Authorization", "")
    if not header:
        return RefusedError(
            "MISSING_AUTHENTICATION_TOKEN",
            "Missing Authentication Token",
            "MissingAuthenticationTokenException",
        )
    digest = hashlib.sha256(header.encode()).hexdigest()
    return RefusedError(
        "INVALID_SIGNATURE",
        "Authorization header requires 'Credential' parameter. Authorization header requires "
        "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        f"(Hashed with SHA-256 and encoded with Base64) Authorization={digest}",
        "IncompleteSignatureException",
    )


def _check_scope(cloud: LocalCloud, signature: Signature) -> None:
    if signature.service != "execute-api":
        raise _bad_signature("Credential should be scoped to correct service: 'execute-api'. ")
    if signature.region != cloud.region:
        raise _bad_signature(
            f"Credential should be scoped to a valid region, not '{signature.region}'. "
        )
    try:
        signed = dt.datetime.strptime(f"{signature.timestamp}+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        raise _bad_signature("Date must be in ISO-8601 'basic format'.") from None
    now = dt.datetime.now(dt.UTC)
    if abs(now - signed) > _SKEW and signature.presigned_seconds is None:
        raise _bad_signature(
            f"Signature expired: {signature.timestamp} is now earlier than "
            f"{now - _SKEW:%Y%m%dT%H%M%SZ} ({now:%Y%m%dT%H%M%SZ} - 5 min.)"
        )


def _is_signed(request: Request, signature: Signature, secret_key: str) -> bool:
    """Whether the signature is right; a digest that the client names is that of the body."""
    named = request.headers.get("X-Amz-Content-SHA256", "")
    if named and named != "UNSIGNED-PAYLOAD":
        body: bytes = request.get_data()
        if named != hashlib.sha256(body).hexdigest():
            return False
    return is_signed_with(request, signature, secret_key) and not signature.is_over()


def _bad_signature(message: str) -> RefusedError:
    return RefusedError("INVALID_SIGNATURE", message, "InvalidSignatureException")


class Keys:
    """Admits requests by their API key, as far as the key's usage plan goes.

    Parameters
    ----------
    apis
        Where keys and plans are.
    """

    def __init__(self, apis: Apis) -> None:
        self._apis = apis
        self._buckets = Buckets()
        self._quotas = Quotas()

    def admit(self, api: Api, request: ClientRequest) -> Mapping[str, Any]:
        """The key of a request that it lets through.

        Raises
        ------
        RefusedError
            When there is no such key for this stage, or it has asked enough.
        """
        given = request.header("X-Api-Key")
        key = next((_ for _ in list(self._apis.keys.values()) if _["value"] == given), None)
        plan = self._plan(api, request.stage, key) if key else None
        if key is None or plan is None or not key["enabled"]:
            raise RefusedError("INVALID_API_KEY", "Forbidden", "ForbiddenException")
        owner = (plan["id"], key["id"])
        throttle = plan.get("throttle") or {}
        rate, burst = throttle.get("rateLimit", _NO_LIMIT), throttle.get("burstLimit", _NO_LIMIT)
        if throttle and not self._buckets.take((*owner, api.id, request.stage), rate, burst):
            raise RefusedError("THROTTLED", "Too Many Requests", "TooManyRequestsException")
        if plan.get("quota") and not self._quotas.take(owner, plan["quota"]):
            raise RefusedError("QUOTA_EXCEEDED", "Limit Exceeded", "LimitExceededException")
        return key

    def _plan(self, api: Api, stage: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
        plans = self._apis.plans_of(api.id, stage)
        return next((_ for _ in plans if key["id"] in self._apis.plan_keys.get(_["id"], [])), None)
