"""A project in production on this machine, and as many releases of it as are asked for.

The production stack is the real one: synthesized, configured by ``pipeline.configuration`` and
deployed by CloudFormation. What a pipeline does before (build, train, evaluate, approve) is done
once and without it: the images are built, and every release serves the same model.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from container.inference import Inference
from local_cloud.api_client import ApiClient
from local_cloud.apigateway import address
from local_cloud.cloud import LocalCloud
from local_cloud.images import STORE, Registry, build
from mlsystem import archive, settings
from mlsystem.artifacts import GoldenRequest, GoldenRequests
from mlsystem.names import Names
from mlsystem.predictor import read_model
from pipeline import configuration
from pipeline.environment import BuildEnvironment

__all__ = ["BODIES", "KEY", "ROOT", "Production", "machine", "share_images", "small_model"]

ROOT = Path(__file__).parents[1]
KEY = "churn-p-1"
BUCKET = f"{KEY}-data"
STACK = f"{KEY}-prod"

_JSON = "application/json"
_SETTINGS = """
model: {name: churn, problem: binary, target: churn, algorithm: xgboost}
evaluate: {metric: roc_auc, threshold: 0.5}
"""
#: Requests to the small model.
BODIES = [
    json.dumps({"instances": [{"x": x, "y": 2, "size": size}]})
    for x in range(-3, 4)
    for size in ("high", "low", None)
]
_TOLERANCE = 1e-5
_DEADLINE_SECONDS = 300
_POLL_SECONDS = 0.1
_RUNS_IN = "ecs-tasks.amazonaws.com"


def share_images(root: Path) -> None:
    """Let an account in the folder `root` use the repository's images."""
    (ROOT / STORE).mkdir(parents=True, exist_ok=True)
    (root / "docker").symlink_to(ROOT / STORE)


class Production:
    """A project, whose production stack is made by its first release.

    Parameters
    ----------
    cloud
        An account, without a project.
    model
        Folder of ``model.onnx`` and ``model.json``.
    bodies
        JSON requests that the model answers: they become the golden requests.
    """

    def __init__(self, cloud: LocalCloud, model: Path, bodies: list[str]) -> None:
        self.cloud = cloud
        self._archive = model.with_suffix(".tar.gz")
        archive.pack(model, self._archive)
        self._golden = _golden(model, bodies)
        self.template = _template(cloud.root / "synthesized")
        self._environment = _make_project(cloud)
        self._place = _make_place(cloud, self._environment)
        self._images = [self.image(unit, ROOT / "seed_code") for unit in ("container", "api")]

    # ---------------------------------------------------------------- releases

    def release(self, deploy: dict[str, Any], **parameters: str) -> str:
        """Bring a release into production; return its id.

        Parameters
        ----------
        deploy
            The section of project.yml.
        **parameters
            Of the stack, in the place of what its settings make of them.
        """
        release = self.start_release(deploy, **parameters)
        self.wait()
        return release

    def start_release(self, deploy: dict[str, Any], template: str = "", **parameters: str) -> str:
        """Begin with a release, as `release` does; `wait` waits until it is in production.

        `template` is another one than the project's.
        """
        release, configured = self.configure(deploy, **parameters)
        cloudformation = self.cloud.client("cloudformation")
        change = cloudformation.update_stack if self.exists() else cloudformation.create_stack
        change(
            StackName=STACK,
            TemplateBody=template or self.template,
            Parameters=_pairs(configured["Parameters"], "Parameter"),
            Tags=_pairs(configured["Tags"], ""),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        return release

    def configure(self, deploy: dict[str, Any], **parameters: str) -> tuple[str, dict[str, Any]]:
        """Return a new release, whose files are there, and the configuration of its stack."""
        names = Names(KEY, str(uuid.uuid4()))
        self._upload(names)
        chosen = settings.loads(_SETTINGS + f"deploy: {json.dumps(deploy)}\n")
        configured = configuration.production(
            replace(self._environment, release=names.release), chosen, names, *self._images
        )
        values = {**configured["Parameters"], **self._place, **parameters}
        return names.release, {**configured, "Parameters": values}

    def exists(self) -> bool:
        """Whether there is a production stack."""
        stacks = self.cloud.client("cloudformation").list_stacks()["StackSummaries"]
        return any(
            stack["StackName"] == STACK and stack["StackStatus"] != "DELETE_COMPLETE"
            for stack in stacks
        )

    def _upload(self, names: Names) -> None:
        s3, folder = self.cloud.client("s3"), f"releases/{names.release}"
        s3.put_object(Bucket=BUCKET, Key=names.model_archive_key, Body=self._archive.read_bytes())
        golden = f"{folder}/evaluation/golden_requests.json"
        s3.put_object(Bucket=BUCKET, Key=golden, Body=self._golden.encode())

    def wait(self, look: Callable[[], object] = lambda: None) -> None:
        """Return when the release that was begun is in production; `look` is called meanwhile."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (status := self.describe()["StackStatus"]).endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, self.failures()
            look()
            time.sleep(_POLL_SECONDS)
        assert status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, self.failures()

    def image(self, unit: str, context: Path) -> str:
        """Return the URI of the image ``container`` or ``api`` of the code in `context`."""
        dockerfile = context / unit / "Dockerfile"
        image = build(context, dockerfile, self.cloud.root / "docker", report=lambda _: None)
        repository = getattr(self._environment, f"{unit}_repository")
        return Registry(self.cloud).push(image, repository, uuid.uuid4().hex)

    # ---------------------------------------------------------------- what is seen of it

    def describe(self) -> dict[str, Any]:
        """Return what CloudFormation says of the production stack."""
        found: dict[str, Any]
        (found,) = self.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return found

    @property
    def outputs(self) -> dict[str, str]:
        """Outputs of the production stack."""
        return {item["OutputKey"]: item["OutputValue"] for item in self.describe()["Outputs"]}

    @property
    def url(self) -> str:
        """Where the API's stage is reached on this machine."""
        return address(self.cloud, self.outputs["ApiUrl"])

    def failures(self) -> list[str]:
        """Return what went wrong with the stack, oldest first."""
        client = self.cloud.client("cloudformation")
        events = client.describe_stack_events(StackName=STACK)["StackEvents"]
        return [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
            for event in reversed(events)
            if "FAILED" in event["ResourceStatus"] or "ROLLBACK" in event["ResourceStatus"]
        ]

    def is_moving(self) -> bool:
        """Whether two releases answer."""
        functions = self.cloud.client("lambda")
        alias = functions.get_alias(FunctionName=f"{KEY}-api", Name="live")
        return bool(alias.get("RoutingConfig", {}).get("AdditionalVersionWeights"))

    def alarms(self) -> list[str]:
        """Return the names of the releases' alarms that have ever gone off."""
        client = self.cloud.client("cloudwatch")
        history = client.describe_alarm_history(HistoryItemType="StateUpdate")
        return [
            item["AlarmName"]
            for item in history["AlarmHistoryItems"]
            if item["AlarmName"].startswith(STACK) and "to ALARM" in item["HistorySummary"]
        ]

    def client(self) -> ApiClient:
        """Return an application that may ask the API and nothing else."""
        return ApiClient(self.url, self.cloud.region, self.credentials())

    def credentials(self) -> dict[str, str]:
        """Return the credentials of an application, as variables of its environment."""
        iam, name = self.cloud.client("iam"), f"application-{next(_NUMBERS)}"
        trust = {
            "Effect": "Allow", "Principal": {"Service": _RUNS_IN}, "Action": "sts:AssumeRole",
        }  # fmt: skip
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]
        may = {
            "Effect": "Allow",
            "Action": "execute-api:Invoke",
            "Resource": f"arn:aws:execute-api:*:*:{self.outputs['ApiId']}/prod/*",
        }
        iam.put_role_policy(RoleName=name, PolicyName="ask", PolicyDocument=_policy(may))
        return self.cloud.role_environment(role["Arn"], _RUNS_IN)


_NUMBERS = itertools.count()


def small_model(folder: Path) -> Path:
    """Make the seed tests' small model in `folder`, and return it: ``x``, ``y``, ``size``."""
    path = ROOT / "seed_code" / "tests" / "conftest.py"
    found = importlib.util.spec_from_file_location("seed_conftest", path)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    module._save_model(folder)  # noqa: SLF001 - a fixture hands it to tests
    return folder


def machine() -> dict[str, Any]:
    """Return what measured."""
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    return {"cpu": model, "cpus": os.cpu_count(), "python": platform.python_version()}


def _golden(model: Path, bodies: list[str]) -> str:
    """Return golden requests: `bodies` with what the model answers."""
    inference = Inference(*read_model(model))
    exchange = inference.agree(_JSON.encode(), _JSON.encode())
    requests = []
    for body in bodies:
        (answer,) = inference.answer(exchange, [body.encode()])
        (prediction,) = json.loads(answer.body)["predictions"]
        requests.append(GoldenRequest(_JSON, _JSON, body, prediction))
    return GoldenRequests("churn", _TOLERANCE, tuple(requests)).to_json()


def _template(folder: Path) -> str:
    subprocess.run(
        [sys.executable, "-m", "infrastructure", "synth", "--output", str(folder)],
        cwd=ROOT / "seed_code", env={**os.environ, "PYTHONPATH": str(ROOT / "seed_code")},
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "prod.json").read_text(encoding="utf-8")


# --- what pipeline.yml makes --------------------------------------------------------------------


def _make_project(cloud: LocalCloud) -> BuildEnvironment:
    """Make what a release of the project needs."""
    where = {"LocationConstraint": cloud.region}
    cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    return BuildEnvironment(
        project_key=KEY,
        release="none",
        retrain="always",
        sagemaker_project_name="churn",
        sagemaker_project_id="p-1",
        pipeline_name=KEY,
        data_bucket=BUCKET,
        kms_key_arn=_key(cloud),
        container_repository=f"{KEY}-container",
        container_repository_uri=_repository(cloud, "container"),
        model_package_group=KEY,
        permissions_boundary_arn="no-permissions-boundary",
        production="yes",
        api_repository=f"{KEY}-api",
        api_repository_uri=_repository(cloud, "api"),
    )


def _make_place(cloud: LocalCloud, environment: BuildEnvironment) -> dict[str, str]:
    """Make what production uses of its account; return the parameters of its stack."""
    ec2, efs = cloud.client("ec2"), cloud.client("efs")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)[
            "Subnet"
        ]["SubnetId"]
        for number, zone in enumerate(zones[:2])
    ]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    files = efs.create_file_system(CreationToken=KEY)
    for subnet in subnets:
        efs.create_mount_target(FileSystemId=files["FileSystemId"], SubnetId=subnet)
    point = efs.create_access_point(
        ClientToken=KEY, FileSystemId=files["FileSystemId"], RootDirectory={"Path": "/assets"}
    )
    _let_gateways_log(cloud)
    return {
        "AccessPointArn": point["AccessPointArn"],
        "FileSystemArn": files["FileSystemArn"],
        "FunctionSecurityGroup": group,
        "KmsKeyArn": environment.kms_key_arn,
        "NotificationTopicArn": _topic(cloud),
        "PermissionsBoundaryArn": environment.permissions_boundary_arn,
        "PrivateSubnetA": subnets[0],
        "PrivateSubnetB": subnets[1],
        "VpcId": vpc,
    }


def _key(cloud: LocalCloud) -> str:
    account = {"AWS": f"arn:aws:iam::{cloud.account_id}:root"}
    logs = {"Service": f"logs.{cloud.region}.amazonaws.com"}
    may = [
        {"Effect": "Allow", "Principal": who, "Action": "kms:*", "Resource": "*"}
        for who in (account, logs)
    ]
    made = cloud.client("kms").create_key(Policy=_policy(*may))
    return str(made["KeyMetadata"]["Arn"])


def _let_gateways_log(cloud: LocalCloud) -> None:
    """Give API Gateway the account's role for logs, which an organization has once."""
    iam = cloud.client("iam")
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(RoleName="gateway", AssumeRolePolicyDocument=_policy(trust))["Role"]
    may = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    iam.put_role_policy(RoleName="gateway", PolicyName="log", PolicyDocument=_policy(may))
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role["Arn"]}
    cloud.client("apigateway").update_account(patchOperations=[patch])


def _repository(cloud: LocalCloud, unit: str) -> str:
    ecr, name = cloud.client("ecr"), f"{KEY}-{unit}"
    made = ecr.create_repository(repositoryName=name)
    pull = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }
    ecr.set_repository_policy(repositoryName=name, policyText=_policy(pull))
    return str(made["repository"]["repositoryUri"])


def _topic(cloud: LocalCloud) -> str:
    sns = cloud.client("sns")
    arn = str(sns.create_topic(Name=KEY)["TopicArn"])
    events = {"Service": "events.amazonaws.com"}
    tell = {"Effect": "Allow", "Principal": events, "Action": "sns:Publish", "Resource": arn}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=_policy(tell))
    sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="team@example.com")
    return arn


def _pairs(texts: dict[str, str], kind: str) -> list[dict[str, str]]:
    return [{f"{kind}Key": key, f"{kind}Value": text} for key, text in texts.items()]


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
