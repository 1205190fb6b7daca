"""AWS::S3: buckets and their policies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import ID, Call, Code, State, given, prop
from local_cloud.cloudformation.resources.parts import Setting
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "s3")
_BUCKET = {"Bucket": ID}


def _create(deployer: Deployer, state: State) -> dict[str, str]:
    name, region = state.properties["BucketName"], deployer.cloud.region
    deployer.call(
        "s3",
        "CreateBucket",
        {"Bucket": name, "CreateBucketConfiguration": {"LocationConstraint": region}},
    )
    return {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{region}.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
    }


def _renamed(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): item for key, item in value.items()}


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    by_default = {"ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault"}
    rules = value["ServerSideEncryptionConfiguration"]
    return {"Rules": [_renamed(rule, by_default) for rule in rules]}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A template spells what S3 nests; a rule without a filter is about every object."""
    found = dict(rule)
    expiration = {
        name: found.pop(key)
        for key, name in (
            ("ExpirationInDays", "Days"),
            ("ExpirationDate", "Date"),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
        )
        if key in found
    }
    if expiration:
        found["Expiration"] = expiration
    if "NoncurrentVersionExpirationInDays" in found:
        days = found.pop("NoncurrentVersionExpirationInDays")
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    for key, days in (("Transitions", "Days"), ("NoncurrentVersionTransitions", "NoncurrentDays")):
        if key in found:
            names = {"TransitionInDays": days, "TransitionDate": "Date"}
            found[key] = [_renamed(transition, names) for transition in found[key]]
    found["Filter"] = {"Prefix": found.pop("Prefix", "")}
    return _renamed(found, {"Id": "ID"})


def _notifications(value: Mapping[str, Any]) -> dict[str, Any]:
    """EventBridge only: an empty configuration turns it on, none turns it off."""
    found = dict(value)
    if found.pop("EventBridgeConfiguration", {}).get("EventBridgeEnabled"):
        found["EventBridgeConfiguration"] = {}
    return found


def _logging(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"DestinationBucketName": "TargetBucket", "LogFilePrefix": "TargetPrefix"}
    return {"LoggingEnabled": {"TargetPrefix": "", **_renamed(value, names)}}


def _cors(value: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ExposedHeaders": "ExposeHeaders", "Id": "ID", "MaxAge": "MaxAgeSeconds"}
    return {"CORSRules": [_renamed(rule, names) for rule in value["CorsRules"]]}


BUCKET = ResourceType(
    name="AWS::S3::Bucket",
    create=Code(
        _create, extra_operations=(("s3", "CreateBucket"),), extra_properties=("BucketName",)
    ),
    made={
        name: name
        for name in (
            "Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL",
        )
    },
    id=prop("BucketName"),
    named="BucketName",
    longest_name=63,
    parts=(
        Setting(
            _call(
                "PutBucketEncryption",
                {
                    **_BUCKET,
                    "ServerSideEncryptionConfiguration": prop("BucketEncryption", _encryption),
                },
            ),
            _call("DeleteBucketEncryption", _BUCKET),
        ),
        Setting(
            _call("PutPublicAccessBlock", {**_BUCKET, **given("PublicAccessBlockConfiguration")}),
            _call("DeletePublicAccessBlock", _BUCKET),
        ),
        Setting(
            _call(
                "PutBucketOwnershipControls",
                {**_BUCKET, "OwnershipControls": prop("OwnershipControls")},
            ),
            _call("DeleteBucketOwnershipControls", _BUCKET),
        ),
        Setting(
            _call(
                "PutBucketVersioning",
                {
                    **_BUCKET,
                    "VersioningConfiguration": prop(
                        "VersioningConfiguration", default={"Status": "Suspended"}
                    ),
                },
            ),
        ),
        Setting(
            _call(
                "PutBucketLifecycleConfiguration",
                {**_BUCKET, "LifecycleConfiguration": prop("LifecycleConfiguration", _lifecycle)},
            ),
            _call("DeleteBucketLifecycle", _BUCKET),
        ),
        Setting(
            _call(
                "PutBucketNotificationConfiguration",
                {
                    **_BUCKET,
                    "NotificationConfiguration": prop(
                        "NotificationConfiguration", _notifications, default={}
                    ),
                },
            ),
        ),
        Setting(
            _call(
                "PutBucketLogging",
                {**_BUCKET, "BucketLoggingStatus": prop("LoggingConfiguration", _logging, {})},
            ),
        ),
        Setting(
            _call(
                "PutBucketCors",
                {**_BUCKET, "CORSConfiguration": prop("CorsConfiguration", _cors)},
            ),
            _call("DeleteBucketCors", _BUCKET),
        ),
        Setting(
            _call(
                "PutBucketTagging",
                {**_BUCKET, "Tagging": prop("Tags", lambda tags: {"TagSet": tags})},
            ),
            _call("DeleteBucketTagging", _BUCKET),
        ),
    ),
    delete=(_call("DeleteBucket", _BUCKET),),
    missing=("NoSuchBucket",),
)  # fmt: skip

_POLICY = {"Bucket": prop("Bucket")}

BUCKET_POLICY = ResourceType(
    name="AWS::S3::BucketPolicy",
    exists=_call("GetBucketPolicy", _POLICY),
    id=prop("Bucket"),
    parts=(
        Setting(
            _call("PutBucketPolicy", {**_POLICY, "Policy": prop("PolicyDocument")}),
            _call("DeleteBucketPolicy", _POLICY),
            undone_before_deletion=True,
        ),
    ),
    missing=("NoSuchBucketPolicy", "NoSuchBucket"),
)

TYPES = (BUCKET, BUCKET_POLICY)
