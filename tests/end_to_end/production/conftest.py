"""A project in production, and releases of it that are good or have a fault.

The production stack is the real one, with all that a release has (`bench.production`): endpoint,
functions, hooks, alarms, a deployment that moves traffic. Every release serves the same small
model; a fault is a changed line in the code of one of its images.
"""

from __future__ import annotations

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench import production as bench
from bench.production import BODIES, KEY, ROOT, STACK, share_images, small_model
from local_cloud.api_client import Answer
from local_cloud.cloud import LocalCloud
from local_cloud.scenarios import RARE_NUMBER
from local_cloud.traffic import Traffic
from mlsystem.names import Names

WAIT_FACTOR = 0.02
DEADLINE_SECONDS = 240
REQUESTS_PER_SECOND = 20.0
AROUND_SECONDS = 0.5
#: How long a container may take to answer its first ping, on this machine.
HEALTHY_SECONDS = 30
#: Most that the canary is given, of all requests.
SHARE = 0.1
#: A request with a number that no test row has.
RARE = json.dumps({"instances": [{"x": RARE_NUMBER, "y": 2, "size": "low"}]})
#: Other tests may keep this machine busy; those about slow releases say how slow.
PATIENT: dict[str, Any] = {
    "checks": {"latency_requests": 10, "latency_p50_ms": 60_000, "latency_p99_ms": 60_000},
    "alarms": {"latency_p99_ms": 60_000},
}
AT_ONCE = {"TrafficShift": "CodeDeployDefault.LambdaAllAtOnce"}
#: Long enough for the rarest of faults to be seen; an alarm ends it.
CANARY = {"TrafficShift": "CodeDeployDefault.LambdaCanary10Percent10Minutes"}

Edit = tuple[str, str, str]
"""A file of the seed code, a text in it, and what is there instead."""


def wait(condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """What `condition` returns when it is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found


def _change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, f"{path}: {before}"
    path.write_text(text.replace(before, after, 1))


@dataclass
class Ended:
    """What a release came to."""

    id: str
    label: str
    status: str
    """Of the stack."""
    reasons: list[str]
    """What the stack says about what failed."""
    deployment: dict[str, Any]
    """What CodeDeploy says about the deployment that the release has begun."""
    reports: dict[str, dict[str, Any]]
    """Of the guards, by their names."""
    mails: list[str]
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

    @property
    def message(self) -> str:
        """CodeDeploy's."""
        return str(self.deployment.get("errorInformation", {}).get("message", ""))

    def told(self, *words: str) -> list[str]:
        """The mails that have all of these words."""
        return [mail for mail in self.mails if all(word in mail for word in words)]

    def __str__(self) -> str:
        counts = f"{len(self.failed)} of {len(self.answers)} requests failed"
        shown = sorted({f"{answer.status} {answer.text[:200]}" for answer in self.failed})
        return (
            f"{self.status} in {self.seconds:.1f} s, {self.guard or 'no deployment'}; {counts}; "
            f"{len(self.answered)} by the release; {self.reasons}; {shown}; "
            f"{ {name: report['reason'] for name, report in self.reports.items()} }"
        )


class Production(bench.Production):
    """A project in production, whose releases may end in any way."""

    def __init__(self, cloud: LocalCloud, model: Path) -> None:
        super().__init__(cloud, model, BODIES)
        self._variants: dict[tuple[str, tuple[Edit, ...]], str] = {}

    # ---------------------------------------------------------------- what is there

    @property
    def serving(self) -> str:
        """The release that answers."""
        api = self.client()
        release = api.predict(BODIES[0]).release
        api.close()
        return release

    @property
    def states(self) -> dict[str, str]:
        """State of each alarm."""
        found = self.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=STACK)
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found["MetricAlarms"]}

    def states_of(self, label: str) -> dict[str, str]:
        """State of each alarm of a release, by its own name."""
        prefix = f"{STACK}-{label}-"
        states = self.states.items()
        return {
            name.removeprefix(prefix): state for name, state in states if name.startswith(prefix)
        }

    def traffic(self, *, rare: bool = True) -> Traffic:
        """Clients, half of whose requests have a rare number if `rare`."""
        bodies = [each for body in BODIES for each in ((body, RARE) if rare else (body,))]
        return Traffic(self.client(), bodies, REQUESTS_PER_SECOND)

    # ---------------------------------------------------------------- releases

    def variant(self, unit: str, *edits: Edit) -> str:
        """URI of the image ``container`` or ``api`` with changed code."""
        key = (unit, edits)
        if key not in self._variants:
            folder = self.cloud.root / "variants" / str(len(self._variants))
            ignored = shutil.ignore_patterns("data", "tests", "__pycache__", ".*")
            shutil.copytree(ROOT / "seed_code", folder, ignore=ignored)
            for name, before, after in edits:
                _change(folder / name, before, after)
            self._variants[key] = self.image(unit, folder)
        return self._variants[key]

    def behind_endpoint(self, *edits: Edit, **more: str) -> dict[str, str]:
        """Parameters of a release whose endpoint has changed code."""
        return {"ImageUri": self.variant("container", *edits), **more}

    def in_function(self, *edits: Edit, **more: str) -> dict[str, str]:
        """Parameters of a release whose function has changed code, and answers itself."""
        return {"ApiImageUri": self.variant("api", *edits), "Serving": "lambda", **more}

    def begin(self, template: str = "", **changes: str) -> Begun:
        """Begin a release with changed parameters."""
        begun = Begun(self)
        deploy = {"serving": "endpoint", "production": PATIENT}
        begun.names = Names(KEY, self.start_release(deploy, template, **changes))
        return begun

    def attempt(self, template: str = "", **changes: str) -> Ended:
        """Release with changed parameters under constant traffic, until it is over."""
        with self.traffic() as traffic:
            time.sleep(AROUND_SECONDS)
            ended = self.begin(template, **changes).end()
            time.sleep(AROUND_SECONDS)
        ended.answers = traffic.answers()
        return ended

    def make_sure(self) -> str:
        """The good release that serves; one is made when there is none."""
        if not self.exists():
            self.begin()
            self.wait()
        return self.outputs["ServingRelease"]

    def log(self, function: str) -> str:
        """What a function has logged."""
        folder = self.cloud.root / "logs" / "aws" / "lambda" / f"{KEY}-{function}"
        return "\n".join(path.read_text() for path in folder.rglob("*.log"))

    def register(self, release: str) -> str:
        """Register a release's model, as its training does; return the group."""
        sagemaker = self.cloud.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName=KEY)
        sagemaker.create_model_package(
            ModelPackageGroupName=KEY,
            CustomerMetadataProperties={"release": release},
            InferenceSpecification={
                "Containers": [{"Image": self.image("container", ROOT / "seed_code")}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
        return KEY

    def delete(self) -> None:
        """Delete production."""
        self.cloud.client("cloudformation").delete_stack(StackName=STACK)
        wait(lambda: not self.exists())

    # ---------------------------------------------------------------- by a pipeline

    def declare_pipeline(self, **changes: str) -> Callable[[], str]:
        """Make a pipeline of the last stage alone, as pipeline.yml has it, that releases once.

        Returns
        -------
        What starts another release, and gives its execution.
        """
        cloud = self.cloud
        s3, client = cloud.client("s3"), cloud.client("codepipeline")
        where = {"LocationConstraint": cloud.region}
        s3.create_bucket(Bucket="sources", CreateBucketConfiguration=where)
        s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})

        def upload() -> None:
            _, configured = self.configure({"production": PATIENT}, **changes)
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                archive.writestr("prod.json", self.template)
                archive.writestr("prod-configuration.json", json.dumps(configured))
            s3.put_object(Bucket="sources", Key="release.zip", Body=content.getvalue())

        def start() -> str:
            upload()
            return str(client.start_pipeline_execution(name=KEY)["pipelineExecutionId"])

        upload()
        client.create_pipeline(
            pipeline=_pipeline(self._role("codepipeline"), self._role("cloudformation"))
        )
        return start

    def _role(self, service: str) -> str:
        iam, principal = self.cloud.client("iam"), {"Service": f"{service}.amazonaws.com"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        version = {"Version": "2012-10-17"}
        made = iam.create_role(
            RoleName=service, AssumeRolePolicyDocument=json.dumps({**version, "Statement": [trust]})
        )
        iam.put_role_policy(
            RoleName=service,
            PolicyName="all",
            PolicyDocument=json.dumps({**version, "Statement": [may]}),
        )
        return str(made["Role"]["Arn"])


def _pipeline(role_arn: str, deployer_arn: str) -> dict[str, Any]:
    def action(category: str, provider: str, **more: Any) -> dict[str, Any]:
        kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
        return {"name": provider, "actionTypeId": kind, **more}

    source = {"S3Bucket": "sources", "S3ObjectKey": "release.zip", "PollForSourceChanges": "false"}
    deploy = {
        "ActionMode": "CREATE_UPDATE",
        "StackName": STACK,
        "TemplatePath": "Release::prod.json",
        "TemplateConfiguration": "Release::prod-configuration.json",
        "Capabilities": "CAPABILITY_NAMED_IAM",
        "RoleArn": deployer_arn,
    }
    release = [{"name": "Release"}]
    return {
        "name": KEY,
        "roleArn": role_arn,
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "artifactStore": {"type": "S3", "location": "sources"},
        "stages": [
            {
                "name": "Source",
                "actions": [
                    action("Source", "S3", outputArtifacts=release, configuration=source),
                ],
            },
            {
                "name": "Prod",
                "actions": [
                    action("Deploy", "CloudFormation", inputArtifacts=release, configuration=deploy)
                ],
            },
        ],
    }


class Begun:
    """A release that is being made."""

    names: Names

    def __init__(self, production: Production) -> None:
        self._production = production
        self._mails = production.cloud.root / "mail"
        self._known = set(self._mails.glob("*.eml"))
        self._deployments = set(self.deployments())
        self._began = time.time()

    def deployments(self) -> list[str]:
        """Ids of the project's deployments, newest first."""
        client = self._production.cloud.client("codedeploy")
        try:
            found = client.list_deployments(applicationName=STACK, deploymentGroupName=STACK)
        except ClientError:  # there is no stack
            return []
        return list(found["deployments"])

    def deployment(self) -> str:
        """Id of the deployment that the release has begun, once there is one."""
        return str(self.describe().get("deploymentId", ""))

    def describe(self) -> dict[str, Any]:
        """What CodeDeploy says about it."""
        client = self._production.cloud.client("codedeploy")
        for each in set(self.deployments()) - self._deployments:
            found = client.get_deployment(deploymentId=each)["deploymentInfo"]
            if found["creator"] == "user":  # and not to take one back
                return dict(found)
        return {}

    def end(self) -> Ended:
        """What it came to."""
        status = wait(self._status)
        return Ended(
            id=self.names.release,
            label=self.names.label,
            status=status,
            reasons=self._reasons(),
            deployment=self.describe(),
            reports=self.reports(),
            mails=self.mails(),
            seconds=time.time() - self._began,
        )

    def reports(self) -> dict[str, dict[str, Any]]:
        """What the guards have written down."""
        s3, prefix = self._production.cloud.client("s3"), f"{self.names.deployment_prefix}/"
        found = s3.list_objects_v2(Bucket=bench.BUCKET, Prefix=prefix).get("Contents", [])
        return {
            Path(item["Key"]).stem: json.loads(
                s3.get_object(Bucket=bench.BUCKET, Key=item["Key"])["Body"].read()
            )
            for item in found
            if Path(item["Key"]).stem in ("before", "after")
        }

    def mails(self) -> list[str]:
        """Subject and text of each mail since it has begun."""
        messages = [
            message_from_bytes(path.read_bytes())
            for path in sorted(set(self._mails.glob("*.eml")) - self._known)
        ]
        return [
            f"{message['Subject']}\n{message.get_payload(decode=True).decode()}"
            for message in messages
        ]

    def _status(self) -> str:
        status = str(self._production.describe()["StackStatus"])
        return "" if status.endswith("_IN_PROGRESS") else status

    def _reasons(self) -> list[str]:
        client = self._production.cloud.client("cloudformation")
        pages = client.get_paginator("describe_stack_events").paginate(StackName=STACK)
        return [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for page in pages
            for event in page["StackEvents"]
            if event["Timestamp"].timestamp() >= self._began - 1
            and event["ResourceStatus"].endswith("_FAILED")
            and "cancelled" not in str(event)
        ]


# --------------------------------------------------------------------- fixtures


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """The project, for all tests of a module."""
    root = tmp_path_factory.mktemp("production")
    share_images(root)
    with LocalCloud(root, wait_factor=WAIT_FACTOR) as cloud:
        yield Production(cloud, small_model(root / "model"))


@pytest.fixture
def production(made: Production) -> Production:
    """Production that serves a good release."""
    made.make_sure()
    return made
