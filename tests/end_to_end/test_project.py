"""Projects of the real templates, from their birth on: what their pipelines do with good and bad.

The tests share two projects of one model, because a birth takes a while; each starts a release of
its own and needs nothing of the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud import blueprint, organization, project
from local_cloud.cloud import LocalCloud
from local_cloud.organization import Organization
from local_cloud.project import Project
from local_cloud.release import Approval, Release
from local_cloud.sagemaker import address
from local_cloud.summary import PipelineStage
from tests.end_to_end.conftest import ROOT, share_caches

SAGEMAKER = "sagemaker.amazonaws.com"
FORM = {"ModelName": "churn", "Production": "no"}
DEADLINE_SECONDS = 240
pytestmark = pytest.mark.xdist_group("projects")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An account whose images and build Pythons are the repository's."""
    root = tmp_path_factory.mktemp("projects")
    share_caches(root)
    with LocalCloud(root, wait_factor=0.02) as started:
        yield started


@dataclass
class Member:
    """A data scientist at work in a project."""

    cloud: LocalCloud
    people: Organization
    project: Project
    folder: Path

    @property
    def client(self) -> Callable[[str], Any]:
        return partial(
            self.cloud.client,
            role_arn=self.people.data_scientist,
            service_principal=SAGEMAKER,
        )

    @property
    def approver(self) -> Callable[[str], Any]:
        return partial(
            self.cloud.client, role_arn=self.people.approver, service_principal=SAGEMAKER
        )

    def asked(self, release: Release) -> Approval:
        """What a release asks, when it does."""
        wait(lambda: release.approval() or release.is_over())
        found = release.approval()
        assert found, self.stages(release)
        return found

    @property
    def pipeline(self) -> str:
        return self.project.outputs["PipelineName"]

    @property
    def first(self) -> Release:
        return Release(self.client, self.pipeline, self.releases()[-1])

    def releases(self) -> list[str]:
        found = self.client("codepipeline").list_pipeline_executions(pipelineName=self.pipeline)
        return [each["pipelineExecutionId"] for each in found["pipelineExecutionSummaries"]]

    def git(self, *arguments: str) -> str:
        keys = self.cloud.role_environment(self.people.data_scientist, SAGEMAKER)
        helper = f"!{sys.executable} -m local_cloud.codecommit"
        answer = subprocess.run(
            ["git", "-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true",
             "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **keys,
                 "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def push(self, **changes: Callable[[str], str]) -> Release:
        """The release of a commit: the first commit's files, some of them changed."""
        before = self.releases()
        for name, change in changes.items():
            path = self.folder / name.replace("__", "/").replace("_dot_", ".")
            path.write_text(change(path.read_text()))
        self.git("commit", "--quiet", "--all", "--allow-empty", "--message", "A change")
        self.git("push", "--quiet")
        self.git("checkout", "--quiet", "first", "--", ".")
        return self.started(before)

    def started(self, before: list[str]) -> Release:
        """The one release that is there and was not before."""
        deadline = time.monotonic() + 30
        while not (found := [each for each in self.releases() if each not in before]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return Release(self.client, self.pipeline, found[0])

    def stages(self, release: Release) -> dict[str, PipelineStage]:
        return {stage.name: stage for stage in release.look(self.cloud.logs).stages}

    def ended(self, release: Release) -> dict[str, PipelineStage]:
        """The stages of a release that is over."""
        wait(release.is_over)
        return self.stages(release)

    def error(self, stage: PipelineStage) -> str:
        return next(action.error for action in stage.actions if action.error)

    def log(self, stage: PipelineStage) -> str:
        return Path(stage.actions[-1].log).read_text()


def wait(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def people(cloud: LocalCloud) -> Organization:
    """The published template; its Build runs a few of the seed's tests."""
    seed = cloud.root / "seed_code"
    organization.seed(blueprint.find("churn"), seed)
    buildspec = seed / "buildspec.yml"
    whole = buildspec.read_text()
    few = whole.replace(
        'pytest tests -q -n auto -m "not exhaustive"', "pytest tests/test_settings.py"
    )
    assert few != whole
    buildspec.write_text(few)
    return organization.publish(cloud, seed)


@pytest.fixture(scope="module")
def members(cloud: LocalCloud, people: Organization, tmp_path_factory) -> tuple[Member, Member]:
    """Two projects of one model, created at the same time."""
    made: dict[str, Project] = {}

    def create(name: str) -> None:
        made[name] = project.create(cloud, people.data_scientist, name, FORM, lambda _: None)

    threads = [threading.Thread(target=create, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = []
    for name in ("left", "right"):
        member = Member(cloud, people, made[name], tmp_path_factory.mktemp(name))
        member.git("clone", "--quiet", made[name].outputs["RepositoryCloneUrl"], ".")
        member.git("tag", "first")
        found.append(member)
    return found[0], found[1]


@pytest.fixture(scope="module")
def left(members: tuple[Member, Member]) -> Member:
    """A project that others push to as well; its first release is approved, so that they get by."""
    member, first = members[0], members[0].first
    asked = member.asked(first)
    first.decide(member.approver, asked, "Approved", "fine")
    assert member.ended(first)["Dev"].status == "SUCCEEDED"
    return member


def test_two_projects_of_one_model_come_to_their_approvals(members):
    for member in members:
        wait(lambda first=member.first: first.approval() or first.is_over())
        assert "DevStackName" in member.project.outputs
    names = [set(member.project.stacks) for member in members]
    assert not names[0] & names[1]
    endpoints = {
        f"{member.project.outputs['ProjectKey']}-dev": address(
            f"{member.project.outputs['ProjectKey']}-dev"
        )
        for member in members
    }
    assert len(set(endpoints.values())) == 2
    sagemaker = members[0].cloud.client("sagemaker")
    for name in endpoints:
        assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"


def test_who_may_not_approve_is_refused_a_rejection_fails_the_stage_and_a_retry_asks_again(members):
    member = members[1]
    release = member.first
    asked = member.asked(release)
    assert "roc_auc" in asked.text
    assert release.id in asked.text
    with pytest.raises(ClientError) as refused:
        release.decide(member.client, asked, "Approved", "by myself")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "codepipeline:PutApprovalResult" in str(refused.value)

    release.decide(member.approver, asked, "Rejected", "the report looks odd")
    stages = member.ended(release)
    assert (release.status(), stages["Dev"].status) == ("Failed", "FAILED")
    assert "the report looks odd" in member.error(stages["Dev"])

    member.client("codepipeline").retry_stage_execution(
        pipelineName=member.pipeline,
        stageName="Dev",
        pipelineExecutionId=release.id,
        retryMode="FAILED_ACTIONS",
    )
    release.decide(member.approver, member.asked(release), "Approved", "looked again")
    assert member.ended(release)["Dev"].status == "SUCCEEDED"
    assert release.status() == "Succeeded"


def test_documentation_alone_does_not_train(left):
    release = left.push(README_dot_md=lambda text: text + "\nMore.\n")
    stages = left.ended(release)
    assert {name: stage.status for name, stage in stages.items()} == {
        "Source": "SUCCEEDED", "Build": "SUCCEEDED", "Train": "SKIPPED", "Dev": "SKIPPED",
    }  # fmt: skip
    assert "Train: no" in left.log(stages["Build"])


def test_a_push_that_breaks_the_tests_fails_in_build_and_the_log_says_where(left):
    release = left.push(project_dot_yml=lambda text: text.replace("target: churn", "targt: churn"))
    build = left.ended(release)["Build"]
    assert build.status == "FAILED"
    assert "pytest" in left.error(build)
    assert "Did you mean 'target'?" in left.log(build)


def test_a_dockerfile_that_does_not_build_fails_in_build(left):
    release = left.push(
        container__Dockerfile=lambda text: text.replace("RUN pip install", "RUN pip instal")
    )
    build = left.ended(release)["Build"]
    assert build.status == "FAILED"
    assert "python -m pipeline build" in left.error(build)
    assert "container/Dockerfile: docker build ended with" in left.log(build)


def test_a_buildspec_error_fails_in_build(left):
    release = left.push(buildspec_dot_yml=lambda text: text.replace("commands:", "comands:", 1))
    build = left.ended(release)["Build"]
    assert build.status == "FAILED"
    assert "comands" in left.error(build)


def test_data_that_cannot_be_read_fail_in_train_and_are_named(left):
    left.ended(left.push())
    before = left.releases()
    bucket = left.project.outputs["DataBucketName"]
    left.client("s3").put_object(Bucket=bucket, Key="data/broken.csv", Body=b'a,"b\n1,2,3\n\0\xff')
    release = left.started(before)
    stages = left.ended(release)
    # Versioned: what was there is there still.
    left.cloud.client("s3").delete_object(Bucket=bucket, Key="data/broken.csv")
    assert stages["Train"].status == "FAILED", stages
    error = left.error(stages["Train"])
    assert "PrepareFailed" in error
    assert "broken.csv" in error


def test_a_pipeline_started_twice_at_once_queues_both(left):
    client = left.client("codepipeline")
    first = left.git("rev-parse", "first").strip()  # the branch may end in another test's mistake
    code = {"actionName": "Code", "revisionType": "COMMIT_ID", "revisionValue": first}
    ids = [
        client.start_pipeline_execution(name=left.pipeline, sourceRevisions=[code])[
            "pipelineExecutionId"
        ]
        for _ in range(2)
    ]
    releases = [Release(left.client, left.pipeline, each) for each in ids]
    for release in releases:
        left.ended(release)
        assert release.status() == "Succeeded"
    starts = [release.look(left.cloud.logs).stages[1].actions[0] for release in releases]
    assert all(action.status == "SUCCEEDED" for action in starts)


def test_a_name_that_is_taken_is_refused(left):
    with pytest.raises(ClientError, match="left"):
        project.create(left.cloud, left.people.data_scientist, "left", FORM, lambda _: None)
