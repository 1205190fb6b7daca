"""``rm_s3.sh``: deletes a bucket with everything in it, unless a stack still has it."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from scripts import buckets
from scripts.account import Account
from scripts.buckets import DeleteBucket, Owner
from scripts.errors import ScriptError
from scripts.plan import Plan

__all__ = ["Found", "look", "plan"]


@dataclass(frozen=True)
class Found:
    """What there is of a bucket."""

    bucket: str
    owner: Owner
    stack: str | None = None


def look(account: Account, bucket: str) -> Found:
    """Whose the bucket is, and the stack that has it; nothing is changed."""
    return Found(bucket, buckets.owner_of(account, bucket), _stack_of(account, bucket))


def _stack_of(account: Account, bucket: str) -> str | None:
    try:
        answer = account.client("cloudformation").describe_stack_resources(
            PhysicalResourceId=bucket
        )
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    held = [
        item["StackName"]
        for item in answer["StackResources"]
        if item.get("PhysicalResourceId") == bucket
        and item["ResourceType"] == "AWS::S3::Bucket"
        and item["ResourceStatus"] not in ("DELETE_COMPLETE", "DELETE_SKIPPED")
    ]
    return held[0] if held else None


def plan(found: Found) -> Plan:
    """The deletion; nothing when there is no such bucket.

    Raises
    ------
    ScriptError
        When it is somebody else's, or a stack's.
    """
    buckets.require_ours(found.bucket, found.owner)
    if found.stack is not None:
        raise ScriptError(
            f"Bucket {found.bucket}",
            f"the stack {found.stack} has it",
            "one that no stack has is required",
            "Delete the stack first: a project's with scripts/rm_prj.sh",
        )
    if found.owner is Owner.NOBODY:
        return Plan(())
    return Plan((DeleteBucket(found.bucket),))
