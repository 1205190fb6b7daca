"""CodeBuild's API: projects and their builds.

Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local_cloud.codebuild.build import PRINCIPAL, Build, Place
from local_cloud.codebuild.reports import ReportGroups
from local_cloud.errors import TrustError, UnsupportedError
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Builds"]

_NAME = re.compile(r"[A-Za-z0-9][\w-]{1,254}")
_PROJECT = {
    "artifacts", "concurrentBuildLimit", "description", "encryptionKey", "environment",
    "logsConfig", "name", "queuedTimeoutInMinutes", "secondaryArtifacts", "secondarySources",
    "serviceRole", "source", "tags", "timeoutInMinutes",
}  # fmt: skip
_START = {
    "artifactsOverride", "buildspecOverride", "environmentVariablesOverride", "idempotencyToken",
    "projectName", "secondaryArtifactsOverride", "secondarySourcesOverride",
    "sourceLocationOverride", "sourceTypeOverride", "sourceVersion", "timeoutInMinutesOverride",
}  # fmt: skip
_SOURCES = ("S3", "CODEPIPELINE", "NO_SOURCE")
_DEFAULT_MINUTES = 60


class Builds:
    """The account's projects and builds, and the operations on them."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._projects: dict[str, dict[str, Any]] = {}
        self._builds: dict[str, Build] = {}
        self._lock = threading.RLock()
        self._reports = ReportGroups(self._arn)

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            **self._reports.operations(),
            "BatchGetBuilds": self._batch_get_builds,
            "BatchGetProjects": self._batch_get_projects,
            "CreateProject": self._create_project,
            "DeleteProject": self._delete_project,
            "ListBuilds": self._list_builds,
            "ListBuildsForProject": self._list_builds,
            "ListProjects": self._list_projects,
            "StartBuild": self._start_build,
            "StopBuild": self._stop_build,
            "UpdateProject": self._update_project,
        }

    def stop(self) -> None:
        """End every build, and wait until each has told that it ended."""
        for build in self._builds.values():
            if build.ended is None:
                build.stop()
        for build in self._builds.values():
            build.join()

    # ---------------------------------------------------------------- projects

    def _create_project(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        with self._lock:
            name = asked["name"]
            if name in self._projects:
                raise ApiError(
                    "ResourceAlreadyExistsException",
                    f"Project already exists: {self._project_arn(name)}",
                )
            now = dt.datetime.now(dt.UTC)
            defaults = {"timeoutInMinutes": _DEFAULT_MINUTES, "created": now}
            return {"project": self._put(name, {**defaults, **asked})}

    def _update_project(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        with self._lock:
            project = self._project(asked["name"])
            return {"project": self._put(asked["name"], {**project, **asked})}

    def _put(self, name: str, project: dict[str, Any]) -> dict[str, Any]:
        self._check(name, project)
        arn = self._project_arn(name)
        self._projects[name] = {**project, "arn": arn, "lastModified": dt.datetime.now(dt.UTC)}
        return self._projects[name]

    def _check(self, name: str, project: Mapping[str, Any]) -> None:
        where = "codebuild project"
        if not _NAME.fullmatch(name):
            raise ApiError("InvalidInputException", f"Project name {name!r} is not valid")
        refuse_others(where, project, {*_PROJECT, "arn", "created", "lastModified", "cache"})
        if project.get("cache", {}).get("type", "NO_CACHE") != "NO_CACHE":
            raise UnsupportedError(where, f"cache {project['cache']['type']}", "none is supported")
        sources = [project["source"], *project.get("secondarySources", [])]
        for source in sources:
            if source["type"] not in _SOURCES:
                raise UnsupportedError(
                    where, f"source type {source['type']}", f"{', '.join(_SOURCES)} are supported"
                )
        if project["environment"]["type"] != "LINUX_CONTAINER":
            kind = project["environment"]["type"]
            raise UnsupportedError(where, f"environment {kind}", "LINUX_CONTAINER is supported")
        _variables(project["environment"].get("environmentVariables", []))
        try:
            source_arn = self._project_arn(name)
            self._cloud.account.check_trust(project["serviceRole"], PRINCIPAL, source_arn)
        except TrustError as error:
            raise ApiError(
                "InvalidInputException",
                f"CodeBuild is not authorized to perform: sts:AssumeRole on service role ({error})",
            ) from error

    def _delete_project(self, asked: Parameters, _: Identity) -> None:
        with self._lock:
            self._projects.pop(asked["name"].rpartition("/")[2], None)

    def _batch_get_projects(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        names = [name.rpartition("/")[2] for name in asked["names"]]
        return {
            "projects": [self._projects[name] for name in names if name in self._projects],
            "projectsNotFound": [name for name in names if name not in self._projects],
        }

    def _list_projects(self, _: Parameters, __: Identity) -> dict[str, Any]:
        return {"projects": sorted(self._projects)}

    # ---------------------------------------------------------------- builds

    def _start_build(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        refuse_others("codebuild:StartBuild", asked, _START)
        with self._lock:
            project = dict(self._project(asked["projectName"]))
            if "timeoutInMinutesOverride" in asked:
                project["timeoutInMinutes"] = asked["timeoutInMinutesOverride"]
            number = 1 + sum(_.project["name"] == project["name"] for _ in self._builds.values())
            build = self._new_build(project, number, asked, identity)
            self._builds[build.id] = build
        build.start()
        return {"build": build.describe()}

    def _new_build(
        self, project: dict[str, Any], number: int, asked: Parameters, identity: Identity
    ) -> Build:
        source = {
            **project["source"],
            **({"type": asked["sourceTypeOverride"]} if "sourceTypeOverride" in asked else {}),
            **(
                {"location": asked["sourceLocationOverride"]}
                if "sourceLocationOverride" in asked
                else {}
            ),
        }
        artifacts = asked.get("artifactsOverride", project["artifacts"])
        secondary = asked.get("secondarySourcesOverride", project.get("secondarySources", []))
        further = asked.get("secondaryArtifactsOverride", project.get("secondaryArtifacts", []))
        given = [
            *project["environment"].get("environmentVariables", []),
            *asked.get("environmentVariablesOverride", []),
        ]
        return Build(
            self._cloud,
            f"{project['name']}:{uuid.uuid4()}",
            number,
            project,
            source=_source_place(source),
            secondary_sources={_["sourceIdentifier"]: _required_place(_) for _ in secondary},
            artifacts=_artifact_place(artifacts),
            secondary_artifacts={
                _["artifactIdentifier"]: place for _ in further if (place := _artifact_place(_))
            },
            buildspec=asked.get("buildspecOverride") or source.get("buildspec", ""),
            variables=_variables(given),
            initiator=identity.arn.rpartition(":")[2],
            source_version=asked.get("sourceVersion", ""),
        )

    def _stop_build(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        build = self._build(asked["id"])
        if build is None:
            raise ApiError("ResourceNotFoundException", f"Build {asked['id']} does not exist")
        build.stop()
        return {"build": build.describe()}

    def _batch_get_builds(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        found = {build_id: self._build(build_id) for build_id in asked["ids"]}
        return {
            "builds": [build.describe() for build in found.values() if build],
            "buildsNotFound": [build_id for build_id, build in found.items() if not build],
        }

    def _list_builds(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        name = asked.get("projectName")
        if name is not None:
            self._project(name)
        ids = [_id for _id, _ in self._builds.items() if name in {None, _.project["name"]}]
        return {"ids": ids if asked.get("sortOrder") == "ASCENDING" else ids[::-1]}

    # ---------------------------------------------------------------- parts

    def _project(self, name: str) -> dict[str, Any]:
        project = self._projects.get(name.rpartition("/")[2])
        if project is None:
            raise ApiError(
                "ResourceNotFoundException", f"Project cannot be found: {self._project_arn(name)}"
            )
        return project

    def _build(self, build_id: str) -> Build | None:
        return self._builds.get(build_id.rpartition("/")[2])

    def _project_arn(self, name: str) -> str:
        return self._arn(f"project/{name}")

    def _arn(self, resource: str) -> str:
        return f"arn:aws:codebuild:{self._cloud.region}:{self._cloud.account_id}:{resource}"


def _variables(given: list[Mapping[str, str]]) -> dict[str, str]:
    for variable in given:
        if variable.get("type", "PLAINTEXT") != "PLAINTEXT":
            raise UnsupportedError(
                "codebuild environment variable",
                f"{variable['name']} of type {variable['type']}",
                "type PLAINTEXT is supported",
            )
    return {variable["name"]: variable.get("value", "") for variable in given}


def _source_place(source: Mapping[str, Any]) -> Place | None:
    if source["type"] == "NO_SOURCE":
        if "\n" not in source.get("buildspec", ""):
            raise ApiError("InvalidInputException", "NO_SOURCE needs a buildspec in the project")
        return None
    if source["type"] == "CODEPIPELINE":
        raise ApiError(
            "InvalidInputException", "a project with source CODEPIPELINE is started by a pipeline"
        )
    return _required_place(source)


def _required_place(source: Mapping[str, Any]) -> Place:
    bucket, _, key = str(source.get("location", "")).removeprefix("arn:aws:s3:::").partition("/")
    if source["type"] != "S3" or not key:
        raise ApiError(
            "InvalidInputException",
            f"source location {source.get('location')!r}; <bucket>/<key> of a ZIP is needed",
        )
    return Place(bucket, key)


def _artifact_place(artifacts: Mapping[str, Any]) -> Place | None:
    """Where an archive goes; a pipeline gives its place when it starts the build."""
    if artifacts["type"] in {"NO_ARTIFACTS", "CODEPIPELINE"}:
        return None
    if artifacts.get("packaging") != "ZIP":
        raise UnsupportedError("codebuild artifacts", "packaging NONE", "ZIP is supported")
    path = str(artifacts.get("path", "")).strip("/")
    name = artifacts.get("name", "")
    return Place(artifacts["location"], f"{path}/{name}" if path else name)
