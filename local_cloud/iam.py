"""Who is who in the account, and what each may do.

There is one administrator, who may do everything, and there are roles, which a service, another
role or the administrator assumes when the role's trust policy says so. What a role may do is
decided by :mod:`local_cloud.policies` from the role's inline and managed policies, its permissions
boundary, the policy of its session, and the policy of the bucket, the key or the role that is asked
for.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import Role, iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeBucket, s3_backends
from moto.sts.models import AssumedRole, sts_backends

from local_cloud.actions import CONDITION_KEYS, Need, copy_source, needs
from local_cloud.errors import LocalCloudError, TrustError
from local_cloud.parity import Parity
from local_cloud.policies import Decision, Policies, Request, decide
from local_cloud.requests import Call
from local_cloud.resource_tags import completed, tags_of

__all__ = ["PARITY", "Account", "Credentials", "DeniedError", "Identity"]

PARITY = [
    Parity(
        "IAM",
        "exact",
        "Every call is signed, by the administrator or an assumed role, and a role is held to its"
        " inline and managed policies, permissions boundary, session policy, trust policies, bucket"
        " and key policies, with conditions; passing of roles; tags at creation; keys of encrypted"
        " objects",
    ),
    Parity(
        "IAM",
        "partial",
        "Loopback counts as TLS (aws:SecureTransport is true); kms:CreateGrant for volumes is not"
        " checked; AWS-managed policies are not in the account",
    ),
    Parity(
        "IAM",
        "refused",
        "Users, groups' keys, NotPrincipal, condition keys without a value here"
        " (aws:ResourceTag but for EC2, EFS, KMS, API Gateway and stacks, …), calls of a role whose"
        " permissions are not in local_cloud/actions.py",
    ),
]

_PARTITION = "aws"
_ADMINISTRATOR = "administrator"
_LAMBDA = "lambda.amazonaws.com"


class DeniedError(LocalCloudError):
    """A call is not allowed; the text is AWS's, for whoever made the call."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


@dataclass(frozen=True)
class Credentials:
    """A key pair, with the session token of an assumed role; empty for the administrator."""

    access_key: str
    secret_key: str
    session_token: str = ""


@dataclass(frozen=True)
class Identity:
    """Who makes a call.

    Parameters
    ----------
    arn
        As GetCallerIdentity says it.
    is_administrator
        Whether everything is allowed.
    role
        The role that was assumed; ``None`` for the administrator, and when it was deleted since:
        then nothing is allowed.
    session_policy
        Policy given when the role was assumed, JSON; empty without.
    expired
        Whether the session is over.
    """

    arn: str
    credentials: Credentials
    is_administrator: bool = False
    role: Role | None = None
    session_policy: str = ""
    expired: bool = False


class Account:
    """Identities and permissions of one account, kept where moto keeps them.

    Parameters
    ----------
    region, account_id
        Where everything is.
    """

    def __init__(self, region: str, account_id: str) -> None:
        self.region = region
        self.account_id = account_id
        self.administrator = self._create_administrator()
        self._functions: dict[str, str] = {}  # access key -> the function that calls with it

    def identity(self, access_key: str) -> Identity | None:
        """Whose access key it is; ``None`` when nobody's."""
        if access_key == self.administrator.credentials.access_key:
            return self.administrator
        assumed = self._sts.get_assumed_role_from_access_key(access_key)
        if assumed is None:
            return None
        return Identity(
            assumed.arn,
            _credentials(assumed),
            role=self.role(assumed.role_arn),
            session_policy=assumed.policy or "",
            expired=assumed.expiration < utcnow(),
        )

    def role(self, role_arn: str) -> Role | None:
        """A role of the account, or ``None``."""
        found = (role for role in list(self._iam.roles.values()) if role.arn == role_arn)
        return next(found, None)

    def assume(
        self, role_arn: str, service_principal: str, source_arn: str | None = None
    ) -> Credentials:
        """Credentials of a role for the service that assumes it; raises like `check_trust`."""
        self.check_trust(role_arn, service_principal, source_arn)
        assumed = self._sts.assume_role(
            region_name=self.region,
            role_session_name=service_principal.partition(".")[0],
            role_arn=role_arn,
            policy="",
            duration=int(dt.timedelta(days=365).total_seconds()),  # a service renews its session
            external_id="",
        )
        if service_principal == _LAMBDA and source_arn is not None:
            self._functions[assumed.access_key_id] = source_arn
        return _credentials(assumed)

    def check_trust(
        self, role_arn: str, service_principal: str, source_arn: str | None = None
    ) -> None:
        """Return when a role lets a service assume it.

        Parameters
        ----------
        role_arn, service_principal
            The role, and who assumes it, for instance ``sagemaker.amazonaws.com``.
        source_arn
            The resource for which the service works, for trust policies with ``aws:SourceArn``.

        Raises
        ------
        TrustError
            When there is no such role, or its trust policy does not let the service assume it.
        """
        role = self.role(role_arn)
        decision = Decision(False, "there is no such role")
        if role is not None:
            decision = self._trusts(role, service_principal, source_arn)
        if not decision.allowed:
            raise TrustError(
                f"IAM role {role_arn}",
                f"{service_principal} wants to assume it, {decision.reason}",
                f"its trust policy must allow sts:AssumeRole to {service_principal}",
            )

    def identity_of(self, role_arn: str) -> Identity:
        """A role as an identity, to ask what it may do; it cannot make calls."""
        return Identity(role_arn, Credentials("", ""), role=self.role(role_arn))

    def authorize(self, identity: Identity, call: Call, user_agent: str = "") -> None:
        """Return when a call is allowed.

        Raises
        ------
        DeniedError
            When it is not, in AWS's words.
        UnsupportedError
            When the permissions of the call, or a policy, are beyond what is known here.
        """
        if call.service == "s3" and self._is_of_another_account(call):
            raise DeniedError("Access Denied")
        if call.service == "sts" and call.operation == "AssumeRole":
            self._authorize_assuming(identity, call)
        elif not identity.is_administrator:
            whole = completed(call, self.account_id, self.region)
            wanted = needs(whole, self.region, self.account_id)
            self.check(identity, [*wanted, *self._object_needs(call)], user_agent)

    def check(self, identity: Identity, wanted: Iterable[Need], user_agent: str = "") -> None:
        """Return when a role has every one of these permissions; raise like :meth:`authorize`."""
        for need in wanted:
            resource = self._arn(need)
            context = {
                **self._boundary_context(need.action, resource),
                **self._object_tags(need.action, resource),
                **_resource_tags(resource),
                **need.context,
            }
            request = self._request(identity, need.action, resource, context, user_agent)
            _raise_if_denied(identity, request, decide(self._policies(identity, resource), request))

    # ---------------------------------------------------------------- assuming roles

    def _trusts(self, role: Role, service_principal: str, source_arn: str | None) -> Decision:
        context = {
            "aws:sourceaccount": (self.account_id,),
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (service_principal,),
            **({"aws:sourcearn": (source_arn,)} if source_arn else {}),
        }
        request = Request(
            "sts:AssumeRole",
            role.arn,
            self._moment() | context,
            CONDITION_KEYS["sts"],
            frozenset({service_principal}),
        )
        return decide(self._trust_policies(role), request)

    def _authorize_assuming(self, identity: Identity, call: Call) -> None:
        (need,) = needs(call, self.region, self.account_id)
        request = self._request(identity, need.action, need.resource, need.context, "")
        role = self.role(need.resource)
        if role is None:
            _raise_if_denied(identity, request, Decision(False, "because it does not exist"))
            return
        own = self._policies(identity, "")
        trust = self._trust_policies(role, own.identity, own.boundary, own.session)
        _raise_if_denied(identity, request, decide(trust, request))

    @staticmethod
    def _trust_policies(
        role: Role,
        identity: tuple[Mapping[str, Any], ...] = (),
        boundary: Mapping[str, Any] | None = None,
        session: Mapping[str, Any] | None = None,
    ) -> Policies:
        trust = _parsed(role.assume_role_policy_document)
        return Policies(identity, boundary, session, trust, resource_decides=True)

    # ---------------------------------------------------------------- what is known

    def _request(
        self,
        identity: Identity,
        action: str,
        resource: str,
        context: Mapping[str, tuple[str, ...]],
        user_agent: str,
    ) -> Request:
        role = identity.role
        known = self._moment() | {
            "aws:principalarn": (role.arn if role else identity.arn,),
            "aws:principalaccount": (self.account_id,),
            "aws:principaltype": ("AssumedRole" if role else "User",),
            "aws:principalisawsservice": ("false",),
            "aws:useragent": (user_agent,),
            **self._function(identity),
            **(_principal_tags(role) if role else {}),
        }
        return Request(
            action,
            resource,
            {**known, **context},
            CONDITION_KEYS.get(action.partition(":")[0], frozenset()),
            frozenset({identity.arn, role.arn if role else identity.arn}),
            frozenset({self.account_id, f"arn:{_PARTITION}:iam::{self.account_id}:root"}),
        )

    def _function(self, identity: Identity) -> dict[str, tuple[str, ...]]:
        """The function whose code calls: it may be held to less than Lambda itself, its role's."""
        arn = self._functions.get(identity.credentials.access_key)
        return {} if arn is None else {"lambda:sourcefunctionarn": (arn,)}

    def _moment(self) -> dict[str, tuple[str, ...]]:
        now = dt.datetime.now(dt.UTC)
        return {
            "aws:currenttime": (now.isoformat(),),
            "aws:epochtime": (str(int(now.timestamp())),),
            "aws:requestedregion": (self.region,),
            "aws:resourceaccount": (self.account_id,),
            "aws:securetransport": ("true",),
            "aws:sourceip": ("127.0.0.1",),
            "aws:viaawsservice": ("false",),
        }

    def _policies(self, identity: Identity, resource: str) -> Policies:
        resource_policy = self._resource_policy(resource)
        is_key = resource.startswith("arn:") and resource.split(":")[2] == "kms"
        role = identity.role
        if role is None:
            documents = (_EVERYTHING,) if identity.is_administrator else ()
            return Policies(documents, resource=resource_policy, resource_decides=is_key)
        managed = [_default_version(policy) for policy in role.managed_policies.values()]
        return Policies(
            tuple(_parsed(document) for document in [*role.policies.values(), *managed]),
            self._boundary(role),
            _parsed(identity.session_policy) if identity.session_policy else None,
            resource_policy,
            resource_decides=is_key,
        )

    def _boundary(self, role: Role) -> Mapping[str, Any] | None:
        if not role.permissions_boundary_arn:
            return None
        boundary = self._iam.managed_policies.get(role.permissions_boundary_arn)
        return _NOTHING if boundary is None else _parsed(_default_version(boundary))

    def _resource_policy(self, resource: str) -> Mapping[str, Any] | None:
        if resource.startswith("arn:aws:s3:::"):
            bucket = self._bucket(resource.removeprefix("arn:aws:s3:::").partition("/")[0])
            return _parsed(bucket.policy.decode()) if bucket and bucket.policy else None
        if ":key/" in resource:
            key = self._kms.keys.get(resource.partition(":key/")[2])
            return _parsed(key.policy) if key else None
        return None

    # ---------------------------------------------------------------- encrypted objects

    def _object_needs(self, call: Call) -> list[Need]:
        """What reading or writing an object needs besides the object's own permission."""
        if call.service != "s3":
            return []
        parameters = call.parameters
        found = []
        if call.operation in _READS:
            found += self._reading(parameters["Bucket"], parameters["Key"], parameters)
        if call.operation in _COPIES:
            bucket, _, key = copy_source(parameters).partition("/")
            found += self._reading(bucket, key, {})
        if call.operation in _WRITES:
            found += self._writing(call)
        return found

    def _reading(
        self, bucket_name: str, key_name: str, parameters: Mapping[str, Any]
    ) -> list[Need]:
        bucket = self._bucket(bucket_name)
        if bucket is None or parameters.get("VersionId"):
            return []
        found = bucket.keys.get(key_name)
        if found is None:  # who may not list is not told that an object does not exist
            return [Need("s3:ListBucket", f"arn:aws:s3:::{bucket_name}")]
        if getattr(found, "encryption", None) != "aws:kms" or not found.kms_key_id:
            return []
        return [self._kms_need("kms:Decrypt", found.kms_key_id, bucket_name, key_name, bucket)]

    def _writing(self, call: Call) -> list[Need]:
        parameters = call.parameters
        bucket = self._bucket(parameters["Bucket"])
        if bucket is None:
            return []
        default = _default_encryption(bucket)
        algorithm = parameters.get("ServerSideEncryption") or default.get("SSEAlgorithm")
        key = parameters.get("SSEKMSKeyId") or default.get("KMSMasterKeyID")
        if algorithm != "aws:kms" or not key:
            return []
        actions = ["kms:GenerateDataKey"]
        if call.operation == "CreateMultipartUpload":  # its parts are put together again
            actions.append("kms:Decrypt")
        names = (parameters["Bucket"], parameters["Key"])
        return [self._kms_need(action, key, *names, bucket) for action in actions]

    def _kms_need(
        self, action: str, key: str, bucket_name: str, key_name: str, bucket: FakeBucket
    ) -> Need:
        with_bucket_key = _rule(bucket).get("BucketKeyEnabled") in {True, "true"}
        encrypted = bucket_name if with_bucket_key else f"{bucket_name}/{key_name}"
        return Need(
            action,
            key,
            {
                "kms:viaservice": (f"s3.{self.region}.amazonaws.com",),
                "kms:calleraccount": (self.account_id,),
                "kms:encryptioncontext:aws:s3:arn": (f"arn:aws:s3:::{encrypted}",),
            },
        )

    def _arn(self, need: Need) -> str:
        """ARN of what a permission names by an id, an alias, or a name without its path."""
        if need.resource in {"*", ""}:
            return need.resource
        if need.action.startswith("kms:"):
            return self._key_arn(need)
        if need.action.startswith("iam:") and ":role/" in need.resource:
            role = self._role_named(need.resource.rpartition("/")[2])
            return need.resource if role is None else str(role.arn)
        return need.resource

    def _role_named(self, name: str) -> Role | None:
        return next((role for role in list(self._iam.roles.values()) if role.name == name), None)

    def _boundary_context(self, action: str, resource: str) -> dict[str, tuple[str, ...]]:
        """The boundary of a role that is there: what may be done to it can depend on that."""
        role = self.role(resource) if action.startswith("iam:") else None
        if role is None or not role.permissions_boundary_arn:
            return {}
        return {"iam:permissionsboundary": (role.permissions_boundary_arn,)}

    def _object_tags(self, action: str, resource: str) -> dict[str, tuple[str, ...]]:
        """Tags of the object that is read."""
        if action not in _TAGGED_READS:
            return {}
        bucket_name, _, key_name = resource.removeprefix("arn:aws:s3:::").partition("/")
        bucket = self._bucket(bucket_name)
        found = bucket.keys.get(key_name) if bucket else None
        if found is None:
            return {}
        backend = s3_backends[self.account_id][_PARTITION]
        tags: Mapping[str, str] = backend.tagger.get_tag_dict_for_resource(found.arn)
        return {f"s3:existingobjecttag/{key.lower()}": (value,) for key, value in tags.items()}

    def _key_arn(self, need: Need) -> str:
        name = need.resource.rpartition(":")[2].removeprefix("key/")
        key_id = self._kms.get_key_id_from_alias(name) if name.startswith("alias/") else name
        return f"arn:{_PARTITION}:kms:{self.region}:{self.account_id}:key/{key_id or name}"

    # ---------------------------------------------------------------- where moto keeps it

    @property
    def _iam(self) -> Any:
        return iam_backends[self.account_id][_PARTITION]

    @property
    def _sts(self) -> Any:
        return sts_backends[self.account_id][_PARTITION]

    @property
    def _kms(self) -> Any:
        return kms_backends[self.account_id][self.region]

    def _bucket(self, name: str) -> FakeBucket | None:
        found: FakeBucket | None = s3_backends[self.account_id][_PARTITION].buckets.get(name)
        return found

    def _is_of_another_account(self, call: Call) -> bool:
        """Whether a bucket is somebody else's; to create it has an answer of its own."""
        owner = s3_backends.bucket_accounts.get(call.parameters.get("Bucket"))
        is_theirs = owner is not None and owner[1] != self.account_id
        return is_theirs and call.operation != "CreateBucket"

    def _create_administrator(self) -> Identity:
        """A user, so that GetCallerIdentity has something true to say."""
        user = self._iam.create_user(self.region, _ADMINISTRATOR)
        key = self._iam.create_access_key(_ADMINISTRATOR)
        credentials = Credentials(key.access_key_id, key.secret_access_key)
        return Identity(user.arn, credentials, is_administrator=True)


_READS = frozenset({"GetObject", "HeadObject", "GetObjectAttributes"})
_TAGGED_READS = frozenset({"s3:GetObject", "s3:GetObjectTagging"})
_WRITES = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})
_COPIES = frozenset({"CopyObject", "UploadPartCopy"})

_EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_NOTHING: dict[str, Any] = {"Statement": []}


def _raise_if_denied(identity: Identity, request: Request, decision: Decision) -> None:
    if not decision.allowed:
        raise DeniedError(
            f"User: {identity.arn} is not authorized to perform: {request.action} on resource: "
            f"{request.resource} {decision.reason}"
        )


@functools.lru_cache(maxsize=512)
def _parsed_text(document: str) -> Mapping[str, Any]:
    parsed: Mapping[str, Any] = json.loads(document)
    return parsed


def _parsed(document: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return _parsed_text(document) if isinstance(document, str) else document


def _default_version(policy: Any) -> str:
    versions = {version.version_id: version.document for version in policy.versions}
    document: str = versions[policy.default_version_id]
    return document


def _resource_tags(resource: str) -> dict[str, tuple[str, ...]]:
    return {f"aws:resourcetag/{key.lower()}": (tag,) for key, tag in tags_of(resource).items()}


def _principal_tags(role: Role) -> dict[str, tuple[str, ...]]:
    return {f"aws:principaltag/{tag['Key'].lower()}": (tag["Value"],) for tag in role.tags or []}


def _rule(bucket: FakeBucket) -> Mapping[str, Any]:
    rule: Mapping[str, Any] = (bucket.encryption or {}).get("Rule", {})
    return rule


def _default_encryption(bucket: FakeBucket) -> Mapping[str, Any]:
    default: Mapping[str, Any] = _rule(bucket).get("ApplyServerSideEncryptionByDefault", {})
    return default


def _credentials(assumed: AssumedRole) -> Credentials:
    return Credentials(assumed.access_key_id, assumed.secret_access_key, assumed.session_token)
