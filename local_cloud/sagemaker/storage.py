"""S3 as a job's or model's role sees it: inputs fetched, outputs stored, refusals explained."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.sagemaker.roles import Role

__all__ = ["Storage", "StorageError"]

_CHUNK_BYTES = 1024**2
_TRANSFER = TransferConfig(
    use_threads=False, multipart_threshold=64 * 1024**2, multipart_chunksize=64 * 1024**2
)


class StorageError(Exception):
    """S3 refused, or has not what was asked for; the text says role, action and resource."""


class Storage:
    """S3 with the credentials of a role.

    Parameters
    ----------
    role
        Role of the job or model.
    """

    def __init__(self, role: Role) -> None:
        self._role_arn = role.arn
        self._client = role.client("s3")

    def download_prefix(self, uri: str, folder: Path) -> None:
        """Fetch every object whose key starts with the URI's, as S3DataType ``S3Prefix`` does.

        The part of the key behind the prefix is the path below the folder; an object that is named
        exactly is stored under its last name.
        """
        bucket, prefix = _split(uri)
        found = False
        for key in self._keys(bucket, prefix):
            relative = _relative(key, prefix)
            if key.endswith("/"):
                continue  # the console's mark of an empty folder
            found = True
            self._fetch(bucket, key, _place(folder, relative, bucket, key))
        if not found:
            raise StorageError(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please '
                "ensure that the bucket exists in the selected region, that objects exist under "
                f'that S3 prefix, and that the role "{self._role_arn}" has "s3:ListBucket" '
                f'permissions on bucket "{bucket}"'
            )

    def download_manifest(self, uri: str, folder: Path) -> None:
        """Fetch the objects that a manifest lists, as S3DataType ``ManifestFile`` does.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
        """
        bucket, key = _split(uri)
        with self._explained("s3:GetObject", bucket, key):
            text = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            first, *names = json.loads(text)
            prefix = first["prefix"]
            if not prefix.startswith("s3://") or not all(isinstance(_, str) for _ in names):
                raise ValueError(f"prefix {prefix!r}")
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"Manifest {uri} is not valid ({error!r}); it must be a JSON list: "
                '[{"prefix": "s3://bucket/path/"}, "name", ...]'
            ) from error
        for name in names:
            bucket, key = _split(prefix + name)
            self._fetch(bucket, key, _place(folder, name, bucket, key))

    def download_file(self, uri: str, path: Path) -> None:
        """Fetch one object."""
        bucket, key = _split(uri)
        self._fetch(bucket, key, path)

    def upload_file(self, path: Path, uri: str, kms_key: str | None = None) -> None:
        """Store one file, encrypted with a key where one is given."""
        bucket, key = _split(uri)
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        with self._explained("s3:PutObject", bucket, key), path.open("rb") as file:
            self._client.upload_fileobj(file, bucket, key, ExtraArgs=extra, Config=_TRANSFER)

    def upload_folder(self, folder: Path, uri: str, kms_key: str | None = None) -> None:
        """Store every file below a folder under the URI."""
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise StorageError(f"{path} is a link or special file; only files are uploaded")
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                self.upload_file(path, f"{uri.rstrip('/')}/{name}", kms_key)

    def _keys(self, bucket: str, prefix: str) -> Iterator[str]:
        with self._explained("s3:ListBucket", bucket, ""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            for page in pages:
                yield from (entry["Key"] for entry in page.get("Contents", []))

    def _fetch(self, bucket: str, key: str, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (
                self._explained("s3:GetObject", bucket, key),
                path.open("xb") as file,
            ):
                body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
                for chunk in body.iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise StorageError(
                f"Failed to download data. Cannot download s3://{bucket}/{key}, a previously "
                "downloaded file/folder clashes with it"
            ) from error

    @contextlib.contextmanager
    def _explained(self, action: str, bucket: str, key: str) -> Iterator[None]:
        """Turn a refusal into a text that names role, action and resource."""
        resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        try:
            yield
        except ClientError as error:
            details = error.response["Error"]
            raise StorageError(
                f"{details.get('Code')}: {details.get('Message')} (role {self._role_arn}, "
                f"action {action}, resource {resource})"
            ) from error
        except BotoCoreError as error:
            raise StorageError(f"{error} (action {action}, resource {resource})") from error


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _relative(key: str, prefix: str) -> str:
    """Path below the input's folder of an object found under a prefix."""
    if key == prefix:
        return PurePosixPath(key).name
    if prefix and not prefix.endswith("/") and not key.startswith(f"{prefix}/"):
        # The prefix ends inside a name: "data/tra" finds "data/train.csv".
        return key[prefix.rfind("/") + 1 :]
    return key[len(prefix) :].removeprefix("/")


def _place(folder: Path, relative: str, bucket: str, key: str) -> Path:
    parts = relative.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise StorageError(
            f"Failed to download data. S3 key: s3://{bucket}/{key} has an illegal char "
            "sub-sequence in it: an empty part, '.' or '..'"
        )
    return folder.joinpath(*parts)
