"""Repositories that one can clone from and push to."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole, wait_for

HELPER = f"!{sys.executable} -m local_cloud.codecommit"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def codecommit(cloud: LocalCloud) -> Any:
    return cloud.client("codecommit")


@pytest.fixture
def name(codecommit: Any) -> str:
    """A new repository with one commit."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    codecommit.create_repository(repositoryName=name, tags={"a": "b"})
    codecommit.create_commit(
        repositoryName=name,
        branchName="main",
        commitMessage="First",
        authorName="Ada",
        email="ada@example.com",
        putFiles=[
            {"filePath": "a file.txt", "fileContent": b"one\n"},
            {"filePath": "bin/run", "fileContent": b"#!/bin/sh\n", "fileMode": "EXECUTABLE"},
        ],
    )
    return name


def git(
    *arguments: str, cwd: Path, keys: dict[str, str], fails: bool = False
) -> subprocess.CompletedProcess[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        **keys,
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }
    options = ["-c", f"credential.helper={HELPER}", "-c", "credential.useHttpPath=true"]
    answer = subprocess.run(
        ["git", *options, *arguments],
        check=False,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert bool(answer.returncode) is fails, answer.stderr
    return answer


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_what_was_committed_is_read(codecommit: Any, name: str) -> None:
    commit_id = codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"]
    commit = codecommit.get_commit(repositoryName=name, commitId=commit_id)["commit"]
    assert (commit["message"], commit["author"]["name"], commit["parents"]) == ("First", "Ada", [])
    file = codecommit.get_file(repositoryName=name, filePath="a file.txt")
    assert (file["fileContent"], file["commitId"]) == (b"one\n", commit_id)
    run = codecommit.get_file(repositoryName=name, commitSpecifier="main", filePath="bin/run")
    assert run["fileMode"] == "EXECUTABLE"
    metadata = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]
    assert metadata["defaultBranch"] == "main"
    assert codecommit.list_branches(repositoryName=name)["branches"] == ["main"]
    tags = codecommit.list_tags_for_resource(resourceArn=metadata["Arn"])["tags"]
    assert tags == {"a": "b"}


def test_a_clone_is_changed_and_pushed(
    cloud: LocalCloud, codecommit: Any, name: str, tmp_path: Path
) -> None:
    url = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]["cloneUrlHttp"]
    keys = cloud.environment()
    git("clone", url, "work", cwd=tmp_path, keys=keys)
    work = tmp_path / "work"
    assert (work / "a file.txt").read_text() == "one\n"
    assert os.access(work / "bin" / "run", os.X_OK)
    (work / "new.txt").write_text("x" * 2_000_000)
    git("add", "-A", cwd=work, keys=keys)
    git("commit", "-m", "Second", cwd=work, keys=keys)
    git("push", "origin", "HEAD:main", cwd=work, keys=keys)
    tip = git("rev-parse", "HEAD", cwd=work, keys=keys).stdout.strip()
    branch = codecommit.get_branch(repositoryName=name, branchName="main")["branch"]
    assert branch["commitId"] == tip


def test_a_role_may_pull_but_not_push(
    cloud: LocalCloud, codecommit: Any, name: str, make_role: MakeRole, tmp_path: Path
) -> None:
    metadata = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]
    role = make_role(("codecommit:GitPull", metadata["Arn"]))
    keys = cloud.role_environment(role, "sagemaker.amazonaws.com")
    git("clone", metadata["cloneUrlHttp"], "work", cwd=tmp_path, keys=keys)
    said = git("push", "origin", "HEAD:other", cwd=tmp_path / "work", keys=keys, fails=True).stderr
    assert "403" in said
    assert codecommit.list_branches(repositoryName=name)["branches"] == ["main"]


@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_keys_are_turned_away(
    cloud: LocalCloud, codecommit: Any, name: str, wrong: str, tmp_path: Path
) -> None:
    url = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]["cloneUrlHttp"]
    keys = {**cloud.environment(), wrong: "AKIAWRONG"}
    said = git("clone", url, "work", cwd=tmp_path, keys=keys, fails=True).stderr
    assert "403" in said


def test_who_does_not_sign_in_is_asked_to(
    cloud: LocalCloud, codecommit: Any, name: str, tmp_path: Path
) -> None:
    url = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]["cloneUrlHttp"]
    said = git("-c", "credential.helper=", "ls-remote", url, cwd=tmp_path, keys={}, fails=True)
    assert "could not read Username" in said.stderr


def test_a_push_starts_what_waits_for_it(
    cloud: LocalCloud, codecommit: Any, name: str, tmp_path: Path, make_role: MakeRole
) -> None:
    """The event is seen by a rule, which starts a state machine with it."""
    states = cloud.client("stepfunctions")
    machine = states.create_state_machine(
        name="pushed",
        definition='{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}',
        roleArn=make_role(service="states.amazonaws.com"),
    )["stateMachineArn"]
    events = cloud.client("events")
    metadata = codecommit.get_repository(repositoryName=name)["repositoryMetadata"]
    events.put_rule(
        Name="pushed",
        EventPattern=f'{{"source": ["aws.codecommit"], "resources": ["{metadata["Arn"]}"],'
        ' "detail": {"event": ["referenceUpdated"], "referenceName": ["main"]}}',
    )
    role = make_role(("states:StartExecution", machine), service="events.amazonaws.com")
    events.put_targets(Rule="pushed", Targets=[{"Id": "m", "Arn": machine, "RoleArn": role}])
    keys = cloud.environment()
    git("clone", metadata["cloneUrlHttp"], "work", cwd=tmp_path, keys=keys)
    work = tmp_path / "work"
    git("commit", "--allow-empty", "-m", "Second", cwd=work, keys=keys)
    git("push", "origin", "HEAD:main", "HEAD:refs/heads/side", cwd=work, keys=keys)
    found = wait_for(lambda: states.list_executions(stateMachineArn=machine)["executions"], 30)
    execution = states.describe_execution(executionArn=found[0]["executionArn"])
    tip = git("rev-parse", "HEAD", cwd=work, keys=keys).stdout.strip()
    assert f'"commitId": "{tip}"' in execution["input"]
    assert len(found) == 1


def test_the_parent_of_a_commit_is_checked(codecommit: Any, name: str) -> None:
    change = {
        "repositoryName": name,
        "branchName": "main",
        "putFiles": [{"filePath": "b", "fileContent": b""}],
    }
    with pytest.raises(ClientError) as error:
        codecommit.create_commit(**change)
    assert code(error) == "ParentCommitIdRequiredException"
    with pytest.raises(ClientError) as error:
        codecommit.create_commit(**change, parentCommitId="0" * 40)
    assert code(error) == "ParentCommitIdOutdatedException"
    tip = codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"]
    codecommit.create_commit(**change, parentCommitId=tip, deleteFiles=[{"filePath": "a file.txt"}])
    with pytest.raises(ClientError) as error:
        codecommit.get_file(repositoryName=name, filePath="a file.txt")
    assert code(error) == "FileDoesNotExistException"


@pytest.mark.parametrize("path", ["../x", "a//b", ".git/config", ""])
def test_a_path_stays_in_the_repository(codecommit: Any, name: str, path: str) -> None:
    with pytest.raises(ClientError):
        codecommit.create_commit(
            repositoryName=name,
            branchName="other",
            putFiles=[{"filePath": path, "fileContent": b""}],
        )
    assert codecommit.list_branches(repositoryName=name)["branches"] == ["main"]


@pytest.mark.parametrize("name", ["..", "a/b", "a.git", "a b"])
def test_a_name_is_no_path(cloud: LocalCloud, name: str) -> None:
    with pytest.raises(ClientError) as error:
        cloud.client("codecommit").create_repository(repositoryName=name)
    assert code(error) in {"InvalidRepositoryNameException", "ValidationException"}


def test_a_repository_is_renamed_and_deleted(cloud: LocalCloud, codecommit: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        codecommit.create_repository(repositoryName=name)
    assert code(error) == "RepositoryNameExistsException"
    codecommit.update_repository_name(oldName=name, newName="renamed")
    assert codecommit.get_file(repositoryName="renamed", filePath="bin/run")["fileContent"]
    codecommit.delete_repository(repositoryName="renamed")
    assert not (cloud.root / "git" / "renamed").exists()
    with pytest.raises(ClientError) as error:
        codecommit.get_repository(repositoryName="renamed")
    assert code(error) == "RepositoryDoesNotExistException"


def test_other_operations_are_refused_by_name(codecommit: Any) -> None:
    with pytest.raises(ClientError, match="ListPullRequests") as error:
        codecommit.list_pull_requests(repositoryName="x")
    assert code(error) == "LocalCloudUnsupported"
