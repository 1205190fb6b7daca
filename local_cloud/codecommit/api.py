"""CodeCommit's API on bare git repositories.

Sources: https://docs.aws.amazon.com/codecommit/latest/APIReference/Welcome.html,
https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_cloud import events
from local_cloud.codecommit.http import PREFIX
from local_cloud.codecommit.repository import Commit, File, Repository
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Repositories"]

_NAME = re.compile(r"[\w.-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_COMMIT = "0" * 40


@dataclass
class _Entry:
    """A repository with what CodeCommit knows besides its content."""

    name: str
    repository: Repository
    description: str
    kms_key_id: str | None
    tags: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    modified: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))


class Repositories:
    """The account's repositories, and the operations on them."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.RLock()

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            "CreateCommit": self._create_commit,
            "CreateRepository": self._create,
            "DeleteRepository": self._delete,
            "GetBranch": self._get_branch,
            "GetCommit": self._get_commit,
            "GetFile": self._get_file,
            "GetRepository": self._get,
            "ListBranches": self._list_branches,
            "ListRepositories": self._list,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateDefaultBranch": self._update_default_branch,
            "UpdateRepositoryDescription": self._update_description,
            "UpdateRepositoryEncryptionKey": self._update_key,
            "UpdateRepositoryName": self._rename,
        }

    def find(self, name: str) -> Repository | None:
        """The git repository of a name."""
        entry = self._entries.get(name)
        return entry.repository if entry else None

    def pushed(
        self, name: str, before: dict[str, str], after: dict[str, str], identity: Identity
    ) -> None:
        """Tell what a push changed, one event for each branch."""
        entry = self._entry(name)
        entry.modified = dt.datetime.now(dt.UTC)
        if before == {} and entry.repository.default_branch() not in after and after:
            entry.repository.set_default_branch(next(iter(after)))  # the first one pushed
        for branch in sorted({*before, *after}):
            old, new = before.get(branch), after.get(branch)
            if old != new:
                self._tell(entry, branch, old, new, identity)

    # ---------------------------------------------------------------- repositories

    def _create(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        name = _checked_name(asked["repositoryName"])
        with self._lock:
            if name in self._entries:
                raise ApiError(
                    "RepositoryNameExistsException", f"Repository named {name} already exists"
                )
            repository = Repository(self._folder / name)
            repository.create()
            self._entries[name] = _Entry(
                name,
                repository,
                asked.get("repositoryDescription", ""),
                asked.get("kmsKeyId"),
                dict(asked.get("tags", {})),
            )
        return {"repositoryMetadata": self._metadata(self._entries[name])}

    def _delete(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        with self._lock:
            entry = self._entries.pop(asked["repositoryName"], None)
        if entry is None:
            return {}
        entry.repository.delete()
        return {"repositoryId": entry.id}

    def _get(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return {"repositoryMetadata": self._metadata(self._entry(asked["repositoryName"]))}

    def _list(self, _: Parameters, __: Identity) -> dict[str, Any]:
        entries = sorted(self._entries.items())
        return {
            "repositories": [
                {"repositoryName": name, "repositoryId": entry.id} for name, entry in entries
            ]
        }

    def _rename(self, asked: Parameters, _: Identity) -> None:
        new = _checked_name(asked["newName"])
        with self._lock:
            entry = self._entry(asked["oldName"])
            if new in self._entries:
                raise ApiError(
                    "RepositoryNameExistsException", f"Repository named {new} already exists"
                )
            moved = self._folder / new
            entry.repository.path.rename(moved)
            del self._entries[entry.name]
            entry.name, entry.repository = new, Repository(moved)
            self._entries[new] = entry

    def _update_description(self, asked: Parameters, _: Identity) -> None:
        entry = self._entry(asked["repositoryName"])
        entry.description = asked.get("repositoryDescription", "")

    def _update_key(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        entry = self._entry(asked["repositoryName"])
        old, entry.kms_key_id = entry.kms_key_id, asked["kmsKeyId"]
        return {"repositoryId": entry.id, "kmsKeyId": entry.kms_key_id, "originalKmsKeyId": old}

    def _update_default_branch(self, asked: Parameters, _: Identity) -> None:
        entry = self._entry(asked["repositoryName"])
        self._branch(entry, asked["defaultBranchName"])
        entry.repository.set_default_branch(asked["defaultBranchName"])

    # ---------------------------------------------------------------- tags

    def _list_tags(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return {"tags": self._of_arn(asked["resourceArn"]).tags}

    def _tag(self, asked: Parameters, _: Identity) -> None:
        self._of_arn(asked["resourceArn"]).tags.update(asked["tags"])

    def _untag(self, asked: Parameters, _: Identity) -> None:
        tags = self._of_arn(asked["resourceArn"]).tags
        for key in asked["tagKeys"]:
            tags.pop(key, None)

    # ---------------------------------------------------------------- content

    def _list_branches(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        return {"branches": sorted(self._entry(asked["repositoryName"]).repository.branches())}

    def _get_branch(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        _require(asked, "repositoryName", "branchName")
        name = asked["branchName"]
        commit = self._branch(self._entry(asked["repositoryName"]), name)
        return {"branch": {"branchName": name, "commitId": commit}}

    def _get_commit(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        repository = self._entry(asked["repositoryName"]).repository
        commit_id = asked["commitId"]
        if not _COMMIT.fullmatch(commit_id) or repository.resolve(commit_id) != commit_id:
            raise ApiError("CommitIdDoesNotExistException", f"Could not find commit {commit_id}")
        return {"commit": _commit(repository.commit(commit_id))}

    def _get_file(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        repository = self._entry(asked["repositoryName"]).repository
        specifier = asked.get("commitSpecifier") or repository.default_branch()
        commit_id = repository.resolve(specifier)
        if commit_id is None:
            raise ApiError("CommitDoesNotExistException", f"Could not find commit {specifier}")
        found = repository.file(commit_id, asked["filePath"])
        if found is None:
            raise ApiError("FileDoesNotExistException", f"Could not find path {asked['filePath']}")
        file, blob = found
        return {
            "commitId": commit_id,
            "blobId": blob,
            "filePath": file.path,
            "fileMode": "EXECUTABLE" if file.is_executable else "NORMAL",
            "fileSize": len(file.content),
            "fileContent": file.content,
        }

    def _create_commit(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("codecommit:CreateCommit", asked, _COMMIT_PARAMETERS)
        entry = self._entry(asked["repositoryName"])
        branch = asked["branchName"]
        with self._lock:
            before = entry.repository.branches()
            _check_parent(branch, before.get(branch), asked.get("parentCommitId"))
            commit_id = entry.repository.add_commit(
                branch,
                [_file(item) for item in asked.get("putFiles", [])],
                deleted=[item["filePath"] for item in asked.get("deleteFiles", [])],
                parent=before.get(branch),
                message=asked.get("commitMessage", ""),
                author=(asked.get("authorName") or identity.arn, asked.get("email", "")),
            )
            self.pushed(entry.name, before, entry.repository.branches(), identity)
        return {"commitId": commit_id, "treeId": entry.repository.commit(commit_id).tree}

    # ---------------------------------------------------------------- parts

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(_checked_name(name))
        if entry is None:
            raise ApiError("RepositoryDoesNotExistException", f"{name} does not exist")
        return entry

    def _of_arn(self, arn: str) -> _Entry:
        return self._entry(arn.rpartition(":")[2])

    @staticmethod
    def _branch(entry: _Entry, branch: str) -> str:
        commit = entry.repository.branches().get(branch)
        if commit is None:
            raise ApiError("BranchDoesNotExistException", f"Branch {branch} does not exist")
        return commit

    def _arn(self, name: str) -> str:
        return f"arn:aws:codecommit:{self._cloud.region}:{self._cloud.account_id}:{name}"

    def _metadata(self, entry: _Entry) -> dict[str, Any]:
        branches = entry.repository.branches()
        default = entry.repository.default_branch()
        url = f"{self._cloud.endpoint_url}{PREFIX}{entry.name}"
        return {
            "accountId": self._cloud.account_id,
            "repositoryId": entry.id,
            "repositoryName": entry.name,
            "repositoryDescription": entry.description,
            "defaultBranch": default if default in branches else None,
            "lastModifiedDate": entry.modified,
            "creationDate": entry.created,
            "cloneUrlHttp": url,
            "cloneUrlSsh": url.replace("http://", "ssh://"),
            "Arn": self._arn(entry.name),
            "kmsKeyId": entry.kms_key_id,
        }

    def _tell(
        self, entry: _Entry, branch: str, old: str | None, new: str | None, identity: Identity
    ) -> None:
        """Send the event of a branch that was made, moved or deleted."""
        kind = "referenceUpdated" if old and new else "referenceCreated" if new else None
        detail = {
            "event": kind or "referenceDeleted",
            "repositoryName": entry.name,
            "repositoryId": entry.id,
            "referenceType": "branch",
            "referenceName": branch,
            "referenceFullName": f"refs/heads/{branch}",
            "callerUserArn": identity.arn,
            **({"commitId": new} if new else {}),
            "oldCommitId": old or _NO_COMMIT,
        }
        if old is None:
            del detail["oldCommitId"]
        events.emit(
            self._cloud,
            "aws.codecommit",
            "CodeCommit Repository State Change",
            detail,
            [self._arn(entry.name)],
        )


_COMMIT_PARAMETERS = {
    "authorName", "branchName", "commitMessage", "deleteFiles", "email", "keepEmptyFolders",
    "parentCommitId", "putFiles", "repositoryName",
}  # fmt: skip


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name in {".", ".."} or name.endswith(".git"):
        raise ApiError(
            "InvalidRepositoryNameException",
            f"Invalid repository name: {name!r}; letters, digits, '.', '_' and '-' are valid, at"
            " most 100, not ending in .git",
        )
    return name


def _require(asked: Parameters, *names: str) -> None:
    for name in names:
        if not asked.get(name):
            raise ApiError("InvalidRequestException", f"{name} is required")


def _check_parent(branch: str, tip: str | None, parent: str | None) -> None:
    if tip is not None and parent is None:
        raise ApiError(
            "ParentCommitIdRequiredException", f"Branch {branch} has commits: give parentCommitId"
        )
    if tip != parent:
        raise ApiError(
            "ParentCommitIdOutdatedException", f"The tip of branch {branch} is {tip}, not {parent}"
        )


def _file(item: Parameters) -> File:
    if "fileContent" not in item:
        raise ApiError("FileContentRequiredException", f"{item['filePath']}: give fileContent")
    path = str(item["filePath"])
    if not path or {"", ".", "..", ".git"} & set(path.split("/")):
        raise ApiError("InvalidPathException", f"{path!r} is no path in a repository")
    return File(path, item["fileContent"], item.get("fileMode") == "EXECUTABLE")


def _commit(commit: Commit) -> dict[str, Any]:
    author, committer = (
        {"name": name, "email": email, "date": when}
        for name, email, when in (commit.author, commit.committer)
    )
    return {
        "commitId": commit.id,
        "treeId": commit.tree,
        "parents": list(commit.parents),
        "message": commit.message,
        "author": author,
        "committer": committer,
        "additionalData": "",
    }
