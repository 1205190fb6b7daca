"""Production of a project of the real templates, and releases of it that are good or have a fault.

The project is born, trained and released once, by its pipeline. Further releases are updates of its
production stack, as the pipeline's last stage makes them: with the project's role for that, under
constant traffic, but without another training.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_cloud import blueprint, organization, project, scenarios
from local_cloud.api_client import Answer, ApiClient
from local_cloud.apigateway import address
from local_cloud.cloud import LocalCloud
from local_cloud.images import Registry, build
from local_cloud.project import Project
from local_cloud.release import Release
from local_cloud.traffic import Traffic
from mlsystem.names import Names

ROOT = Path(__file__).parents[3]
SAGEMAKER = "sagemaker.amazonaws.com"
FORM = {"ModelName": "churn", "Production": "yes", "NotificationEmail": "team@example.com"}
DEADLINE_SECONDS = 240
REQUESTS_PER_SECOND = 40.0
AFTERWARDS_SECONDS = 1.0
#: Most that the canary is given, of all requests.
SHARE = 0.1
#: Other tests may keep this machine busy; those about slow releases say how slow.
PATIENT = """\
  by: pipeline
  production:
    checks: {latency_p50_ms: 60000, latency_p99_ms: 60000}
    alarms: {latency_p99_ms: 60000}
"""

Edit = tuple[str, str, str]
"""A file of the seed code, a text in it, and what is there instead."""


def wait(condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """What `condition` returns when it is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
    return found


def _change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, f"{path}: {before}"
    path.write_text(text.replace(before, after, 1))


@dataclass
class Ended:
    """What a release came to."""

    id: str
    status: str
    """Of the stack."""
    reasons: list[str]
    """What the stack says about what failed."""
    deployment: dict[str, Any]
    """What CodeDeploy says about the newest deployment that the release has begun."""
    reports: dict[str, dict[str, Any]]
    """Of the guards, by their names."""
    mails: str
    """What was sent meanwhile."""
    seconds: float
    answers: list[Answer] = field(default_factory=list)
    """Of the API, from before the release to after it."""

    @property
    def failed(self) -> list[Answer]:
        return Traffic.failed(self.answers)

    @property
    def answered(self) -> list[Answer]:
        """What this release has answered."""
        return [answer for answer in self.answers if answer.release == self.id]

    @property
    def guard(self) -> str:
        """CodeDeploy's code."""
        return str(self.deployment.get("errorInformation", {}).get("code", ""))

    def __str__(self) -> str:
        counts = f"{len(self.failed)} of {len(self.answers)} requests failed"
        shown = sorted({f"{answer.status} {answer.text[:200]}" for answer in self.failed})
        return (
            f"{self.status} in {self.seconds:.1f} s, {self.guard or 'no deployment'}; {counts}; "
            f"{len(self.answered)} by the release; {self.reasons}; {shown}; "
            f"{ {name: report['reason'] for name, report in self.reports.items()} }"
        )


class Production:
    """A project in production.

    Parameters
    ----------
    born
        Whose pipeline has made the first release.
    """

    def __init__(self, cloud: LocalCloud, born: Project, first: str) -> None:
        self.cloud = cloud
        self.born = born
        self.key = born.outputs["ProjectKey"]
        self.first = Names(self.key, first)
        self.stack = self.first.prod_stack
        self.cloudformation = cloud.client("cloudformation")
        template = self.cloudformation.get_template(StackName=self.stack)["TemplateBody"]
        self.template = template if isinstance(template, str) else json.dumps(template)
        self.parameters = {
            item["ParameterKey"]: item["ParameterValue"] for item in self.describe()["Parameters"]
        }
        bucket, names = born.outputs["DataBucketName"], self.first
        golden = cloud.client("s3").get_object(Bucket=bucket, Key=names.golden_requests_key)
        self.golden = json.loads(golden["Body"].read())
        self._images: dict[tuple[Edit, ...], str] = {}

    # ---------------------------------------------------------------- what is there

    def describe(self) -> dict[str, Any]:
        (found,) = self.cloudformation.describe_stacks(StackName=self.stack)["Stacks"]
        return dict(found)

    @property
    def outputs(self) -> dict[str, str]:
        return {item["OutputKey"]: item["OutputValue"] for item in self.describe()["Outputs"]}

    @property
    def serving(self) -> str:
        """The release that answers."""
        api = self.api
        release = api.predict(self.golden["requests"][0]["body"]).release
        api.close()
        return release

    @property
    def api(self) -> ApiClient:
        url = address(self.cloud, self.outputs["ApiUrl"])
        return ApiClient(url, self.cloud.region, self.cloud.environment())

    def as_pipeline(self, service: str) -> Any:
        """Client of the programs in the pipeline's last stage."""
        found = self.cloudformation.describe_stack_resource(
            StackName=self.born.stack_name, LogicalResourceId="ReleaseRole"
        )["StackResourceDetail"]
        cloud = self.cloud
        role = cloud.client("iam").get_role(RoleName=found["PhysicalResourceId"])["Role"]
        place = f"{cloud.region}:{cloud.account_id}"
        return cloud.client(
            service,
            role_arn=role["Arn"],
            service_principal="codebuild.amazonaws.com",
            source_arn=f"arn:aws:codebuild:{place}:project/{self.key}-release",
        )

    @property
    def alarms(self) -> dict[str, str]:
        """State of each alarm."""
        found = self.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=self.stack)
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found["MetricAlarms"]}

    def traffic(self, *, rare: bool = True) -> Traffic:
        """Clients, half of which ask about a rare number if `rare`."""
        known = [str(request["body"]) for request in self.golden["requests"]]
        bodies = scenarios.requests(self.golden) if rare else known
        return Traffic(self.api, bodies, REQUESTS_PER_SECOND)

    # ---------------------------------------------------------------- releases

    def image(self, parameter: str, *edits: Edit) -> str:
        """URI of the image in `parameter` with changed code."""
        if edits not in self._images:
            folder = self.cloud.root / "variants" / str(len(self._images))
            ignored = shutil.ignore_patterns("data", "tests", "__pycache__", ".*")
            shutil.copytree(ROOT / "seed_code", folder, ignore=ignored)
            for name, before, after in edits:
                _change(folder / name, before, after)
            kind = "api" if parameter == "ApiImageUri" else "container"
            image = build(folder, folder / kind / "Dockerfile", self.cloud.root / "docker")
            repository = self.parameters[parameter].partition("/")[2].partition("@")[0]
            self._images[edits] = Registry(self.cloud).push(
                image, repository, f"variant-{len(self._images)}"
            )
        return self._images[edits]

    def model(self, *edits: Edit) -> dict[str, str]:
        """Parameters of a release whose container has changed code."""
        return {"ImageUri": self.image("ImageUri", *edits)}

    def function(self, *edits: Edit) -> dict[str, str]:
        """Parameters of a release whose function has changed code."""
        return {"ApiImageUri": self.image("ApiImageUri", *edits)}

    def begin(self, **changes: str) -> Begun:
        """Begin to release the first release's model again, with changed parameters."""
        names = Names(self.key, str(uuid.uuid4()))
        self._copy(names)
        bucket = self.born.outputs["DataBucketName"]
        changed = {
            **self.parameters,
            "ReleaseId": names.release,
            "Release": names.label,
            "ModelArchiveUri": f"s3://{bucket}/{names.model_archive_key}",
            **changes,
        }
        begun = Begun(self, names)
        act = self.cloudformation.update_stack if self._exists() else self._create
        act(
            StackName=self.stack,
            TemplateBody=self.template,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in changed.items()],
            Capabilities=["CAPABILITY_IAM"],
            RoleARN=self.born.outputs["ProductionRoleArn"],
        )
        return begun

    def release(self, *, traffic: Traffic | None = None, **changes: str) -> Ended:
        """Release with changed parameters under constant traffic, until it is over."""
        with traffic or self.traffic() as asking:
            time.sleep(AFTERWARDS_SECONDS)
            ended = self.begin(**changes).end()
            time.sleep(AFTERWARDS_SECONDS)
        ended.answers = asking.answers()
        return ended

    def make_sure(self) -> str:
        """The good release that serves; one is made when there is none."""
        if self._exists() and self.describe()["StackStatus"] not in (
            "CREATE_COMPLETE",
            "UPDATE_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE",
        ):
            self.delete()
        if not self._exists():
            ended = self.begin().end()
            assert ended.status == "CREATE_COMPLETE", ended
        return self.outputs["ServingRelease"]

    def delete(self) -> None:
        """Delete production."""
        self.cloudformation.delete_stack(StackName=self.stack)
        wait(lambda: not self._exists())

    def _create(self, **parameters: Any) -> None:
        self.cloudformation.create_stack(**parameters)

    def _exists(self) -> bool:
        try:
            self.describe()
        except self.cloudformation.exceptions.ClientError:
            return False
        return True

    def _copy(self, names: Names) -> None:
        """Have the release's files, which are the first one's."""
        s3, bucket = self.cloud.client("s3"), self.born.outputs["DataBucketName"]
        for before, after in (
            (self.first.model_archive_key, names.model_archive_key),
            (self.first.golden_requests_key, names.golden_requests_key),
        ):
            s3.copy_object(Bucket=bucket, Key=after, CopySource={"Bucket": bucket, "Key": before})


class Begun:
    """A release that is being made."""

    def __init__(self, production: Production, names: Names) -> None:
        self.names = names
        self._production = production
        self._mails = production.cloud.root / "mail"
        self._known = set(self._mails.glob("*.eml"))
        self._deployments = set(self.deployments())
        self._began = time.time()

    def deployments(self) -> list[str]:
        """Ids of the project's deployments that moved the alias, newest first."""
        client = self._production.cloud.client("codedeploy")
        name = self._production.stack
        try:
            found = client.list_deployments(applicationName=name, deploymentGroupName=name)
        except client.exceptions.ClientError:  # there is no stack
            return []
        return list(found["deployments"])

    def deployment(self) -> str:
        """Id of the release's deployment, once there is one."""
        return next(iter(set(self.deployments()) - self._deployments), "")

    def end(self) -> Ended:
        """What it came to."""
        status = wait(self._status)
        seconds = time.time() - self._began
        return Ended(
            id=self.names.release,
            status=status,
            reasons=self._reasons(),
            deployment=self._deployment(),
            reports=self._reports(),
            mails=self._sent(),
            seconds=seconds,
        )

    def _status(self) -> str:
        status = str(self._production.describe()["StackStatus"])
        return "" if status.endswith("_IN_PROGRESS") else status

    def _reasons(self) -> list[str]:
        pages = self._production.cloudformation.get_paginator("describe_stack_events")
        events = [
            event
            for page in pages.paginate(StackName=self._production.stack)
            for event in page["StackEvents"]
            if event["Timestamp"].timestamp() >= self._began - 1
        ]
        return [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in str(event)
        ]

    def _deployment(self) -> dict[str, Any]:
        client = self._production.cloud.client("codedeploy")
        for each in set(self.deployments()) - self._deployments:
            found = client.get_deployment(deploymentId=each)["deploymentInfo"]
            if found["creator"] == "user":
                return dict(found)
        return {}

    def _reports(self) -> dict[str, dict[str, Any]]:
        s3, bucket = (
            self._production.cloud.client("s3"),
            self._production.born.outputs["DataBucketName"],
        )
        found = s3.list_objects_v2(Bucket=bucket, Prefix=self.names.deployment_prefix + "/")
        return {
            Path(item["Key"]).stem: json.loads(
                s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            )
            for item in found.get("Contents", [])
            if Path(item["Key"]).stem in ("before", "after")
        }

    def _sent(self) -> str:
        return "\n".join(
            path.read_text() for path in sorted(set(self._mails.glob("*.eml")) - self._known)
        )


# --------------------------------------------------------------------- fixtures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Production after the first release that the project's own pipeline made."""
    root = tmp_path_factory.mktemp("production")
    for name in ("docker", "python"):
        (ROOT / ".local" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(ROOT / ".local" / name)
    with LocalCloud(root, wait_factor=0.02) as cloud:
        yield _born(cloud)


def _born(cloud: LocalCloud) -> Production:
    seed = cloud.root / "seed_code"
    organization.seed(blueprint.find("churn"), seed)
    _change(
        seed / "buildspec.yml",
        'pytest tests -q -n auto -m "not exhaustive"',
        "pytest tests/test_settings.py",
    )
    _change(seed / "project.yml", "  by: pipeline\n", PATIENT)
    people = organization.publish(cloud, seed)
    born = project.create(cloud, people.data_scientist, "churn", FORM, lambda _: None)
    look = partial(cloud.client, role_arn=people.data_scientist, service_principal=SAGEMAKER)
    approver = partial(cloud.client, role_arn=people.approver, service_principal=SAGEMAKER)
    pipeline = born.outputs["PipelineName"]
    (first,) = wait(
        lambda: look("codepipeline").list_pipeline_executions(pipelineName=pipeline)[
            "pipelineExecutionSummaries"
        ]
    )
    release = Release(look, pipeline, first["pipelineExecutionId"])
    asked = wait(lambda: release.approval() or release.is_over())
    assert not isinstance(asked, bool), release.look(cloud.logs)
    release.decide(approver, asked, "Approved", "fine")
    wait(release.is_over)
    assert release.status() == "Succeeded", release.look(cloud.logs)
    return Production(cloud, born, release.id)


@pytest.fixture
def production(made: Production) -> Production:
    """Production that serves a good release."""
    made.make_sure()
    return made
