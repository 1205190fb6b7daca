"""Questions to S3 that more than one of these programs asks."""

from __future__ import annotations

from typing import Any

__all__ = ["exists"]


def exists(s3: Any, bucket: str, key: str) -> bool:
    """Return whether there is such an object.

    Asked by listing: who may not list the whole bucket is refused what is missing.
    """
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return any(item["Key"] == key for item in found)
