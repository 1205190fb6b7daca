"""Buckets: whose they are, and the steps that fill, empty and delete them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from scripts.account import Account, code_of
from scripts.errors import ScriptError

__all__ = ["DeleteBucket", "Owner", "Upload", "owner_of", "require_ours", "text_at"]

_BATCH = 1000  # the most that DeleteObjects takes
_ABSENT = {"404", "NoSuchBucket", "NoSuchKey"}


class Owner(Enum):
    """Whose bucket of a name it is."""

    NOBODY = "nobody"
    US = "us"
    SOMEBODY_ELSE = "somebody else"


def owner_of(account: Account, bucket: str) -> Owner:
    """Whose a bucket is."""
    try:
        account.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return Owner.NOBODY
        if code_of(error) in {"403", "AccessDenied", "301"}:
            return Owner.SOMEBODY_ELSE
        raise
    return Owner.US


def require_ours(bucket: str, owner: Owner) -> None:
    """Refuse a bucket that another account has, or that these credentials may not see.

    Raises
    ------
    ScriptError
        When it is so.
    """
    if owner is Owner.SOMEBODY_ELSE:
        raise ScriptError(
            f"Bucket {bucket}",
            "it belongs to another account or region, or these credentials may not see it",
            "one of this account is required",
            "Choose another name: bucket names are unique in the world",
        )


def text_at(account: Account, bucket: str, key: str) -> str | None:
    """The text of an object; ``None`` when there is none."""
    try:
        answer = account.client("s3").get_object(
            Bucket=bucket, Key=key, ExpectedBucketOwner=account.id
        )
    except ClientError as error:
        if code_of(error) in _ABSENT:
            return None
        raise
    body: bytes = answer["Body"].read()
    return body.decode()


@dataclass(frozen=True)
class Upload:
    """Put an object; it is private, and encrypted as its bucket says."""

    bucket: str
    key: str
    content: bytes = field(repr=False)
    tags: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"upload s3://{self.bucket}/{self.key} ({len(self.content):,} bytes)"

    def run(self, account: Account) -> None:
        """Put it there, unless the bucket is somebody else's."""
        account.client("s3").put_object(
            Bucket=self.bucket,
            Key=self.key,
            Body=self.content,
            ExpectedBucketOwner=account.id,
            **({"Tagging": urlencode(self.tags)} if self.tags else {}),
        )


@dataclass(frozen=True)
class DeleteBucket:
    """Delete a bucket with every version of every object, and with uploads that never ended."""

    bucket: str

    def __str__(self) -> str:
        return f"empty and delete the bucket {self.bucket}"

    def run(self, account: Account) -> None:
        """Do it; that it is gone is fine.

        Raises
        ------
        ScriptError
            When an object is locked or may not be deleted.
        """
        s3 = account.client("s3")
        owned = {"Bucket": self.bucket, "ExpectedBucketOwner": account.id}
        try:
            for upload in list(self._uploads(account)):
                s3.abort_multipart_upload(Key=upload["Key"], UploadId=upload["UploadId"], **owned)
            while batch := list(islice(self._versions(account), _BATCH)):
                answer = s3.delete_objects(Delete={"Objects": batch, "Quiet": True}, **owned)
                self._require_none(answer.get("Errors", []))
            s3.delete_bucket(**owned)
        except ClientError as error:
            if code_of(error) not in _ABSENT:
                raise

    def _uploads(self, account: Account) -> Iterator[dict[str, Any]]:
        return account.pages("s3", "list_multipart_uploads", "Uploads", Bucket=self.bucket)

    def _versions(self, account: Account) -> Iterator[dict[str, str]]:
        pages = account.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=self.bucket, ExpectedBucketOwner=account.id):
            for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                yield {"Key": item["Key"], "VersionId": item["VersionId"]}

    def _require_none(self, errors: list[dict[str, str]]) -> None:
        if errors:
            first = errors[0]
            raise ScriptError(
                f"s3://{self.bucket}/{first['Key']}",
                f"{first['Code']} {first.get('Message', '')}".strip().rstrip("."),
                "it must be possible to delete it",
            )
