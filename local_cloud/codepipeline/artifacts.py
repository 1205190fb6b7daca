"""Artifacts: archives in the pipeline's bucket that actions hand to each other."""

from __future__ import annotations

import io
import secrets
import zipfile
from dataclasses import dataclass
from typing import Any

__all__ = ["Artifact", "ArtifactError", "Store", "file_in"]


class ArtifactError(Exception):
    """An artifact does not hold what is asked for."""


@dataclass(frozen=True)
class Artifact:
    """Where an archive is."""

    name: str
    bucket: str
    key: str

    def describe(self) -> dict[str, Any]:
        """The artifact in the words of the API."""
        return {"name": self.name, "s3location": {"bucket": self.bucket, "key": self.key}}


@dataclass(frozen=True)
class Store:
    """The bucket of one pipeline, and the key that encrypts what is put there."""

    pipeline: str
    bucket: str
    kms_key_id: str

    def place(self, name: str) -> Artifact:
        """A new place for an artifact, named as CodePipeline names them."""
        key = f"{self.pipeline[:20]}/{name[:10]}/{secrets.token_hex(4)[:7]}"
        return Artifact(name, self.bucket, key)

    def put(self, s3: Any, name: str, content: bytes) -> Artifact:
        """Put an archive, with the role whose client this is."""
        artifact = self.place(name)
        options = {"ServerSideEncryption": "aws:kms"}
        if self.kms_key_id:
            options["SSEKMSKeyId"] = self.kms_key_id
        s3.put_object(Bucket=artifact.bucket, Key=artifact.key, Body=content, **options)
        return artifact


def file_in(s3: Any, artifact: Artifact, path: str) -> bytes:
    """A file of an artifact.

    Raises
    ------
    ArtifactError
        When it is no archive, or has no such file.
    """
    body = s3.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return archive.read(path)
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"artifact {artifact.name} is no ZIP archive") from error
    except KeyError as error:
        raise ArtifactError(f"artifact {artifact.name} has no file {path}") from error
