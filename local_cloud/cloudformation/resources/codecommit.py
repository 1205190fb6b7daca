"""AWS::CodeCommit: repositories, filled once with the content of an archive in S3."""

from __future__ import annotations

import io
import zipfile
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import as_map

__all__ = ["TYPES"]

_call = partial(Call, "codecommit")
_NAME = {"repositoryName": naming("RepositoryName")}
_ARN = {"resourceArn": attr("Arn")}
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-codecommit-repository-code.html
_ARCHIVE_BYTES = 20 * 2**20
#: Of the files together: an archive that unpacks to more is no source code.
_FILES_BYTES = 16 * _ARCHIVE_BYTES


def _fill(deployer: Deployer, state: State) -> None:
    """Commit the files of the archive to the default branch."""
    code = state.properties["Code"]
    commit = {
        "repositoryName": state.properties["RepositoryName"],
        "branchName": code.get("BranchName", "main"),
        "commitMessage": "Initial commit by AWS CloudFormation",
        "putFiles": _files(_archive(deployer, code["S3"]), code["S3"]["Key"]),
    }
    deployer.call("codecommit", "CreateCommit", commit)


def _archive(deployer: Deployer, place: dict[str, str]) -> bytes:
    names = {"Bucket": "Bucket", "Key": "Key", "ObjectVersion": "VersionId"}
    which = {names[key]: value for key, value in place.items()}
    answer = deployer.call("s3", "GetObject", which)
    if answer["ContentLength"] > _ARCHIVE_BYTES:
        raise ResourceError(
            f"s3://{place['Bucket']}/{place['Key']} has {answer['ContentLength']} bytes;"
            f" an archive of at most {_ARCHIVE_BYTES} bytes is required"
        )
    body: bytes = answer["Body"].read()
    return body


def _files(archive: bytes, key: str) -> list[dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > _FILES_BYTES:
                raise ResourceError(f"{key} unpacks to more than {_FILES_BYTES} bytes")
            return [_file(entry, opened.read(entry)) for entry in entries]
    except zipfile.BadZipFile as error:
        raise ResourceError(f"{key} is no ZIP archive: {error}") from error


def _file(entry: zipfile.ZipInfo, content: bytes) -> dict[str, Any]:
    is_executable = bool(entry.external_attr >> 16 & 0o100)
    return {
        "filePath": entry.filename,
        "fileMode": "EXECUTABLE" if is_executable else "NORMAL",
        "fileContent": content,
    }


class _OnceAtCreation(Setting):
    """What the documentation says of Code: later changes of it are ignored."""

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        if before is None:
            super().apply(deployer, before, after)


REPOSITORY = ResourceType(
    name="AWS::CodeCommit::Repository",
    create=_call(
        "CreateRepository",
        {
            **given("KmsKeyId", "RepositoryDescription", "RepositoryName"),
            "tags": prop("Tags", as_map),
        },
    ),
    made={
        "Arn": "repositoryMetadata.Arn",
        "CloneUrlHttp": "repositoryMetadata.cloneUrlHttp",
        "CloneUrlSsh": "repositoryMetadata.cloneUrlSsh",
        "Name": "repositoryMetadata.repositoryName",
        "RepositoryId": "repositoryMetadata.repositoryId",
    },
    id=attr("RepositoryId"),
    parts=(
        _OnceAtCreation(
            Code(_fill, (), (("s3", "GetObject"), ("codecommit", "CreateCommit")), ("Code",))
        ),
        Setting(
            _call(
                "UpdateRepositoryName",
                {"oldName": attr("Name"), "newName": prop("RepositoryName")},
            ),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "UpdateRepositoryDescription",
                {**_NAME, "repositoryDescription": prop("RepositoryDescription", default="")},
            ),
            made_with_resource=True,
        ),
        Setting(
            _call("UpdateRepositoryEncryptionKey", {**_NAME, **given("KmsKeyId")}),
            made_with_resource=True,
        ),
        tags(
            _call("TagResource", {**_ARN, "tags": Source(lambda state: as_map(state.item))}),
            _call("UntagResource", {**_ARN, "tagKeys": TAG_KEYS}),
        ),
    ),
    delete=(_call("DeleteRepository", _NAME),),
    missing=("RepositoryDoesNotExistException",),
)

TYPES = (REPOSITORY,)
