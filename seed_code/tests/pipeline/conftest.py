"""AWS as its own SDK knows it, answering as a test says; a Docker that notes what it did."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from pipeline.environment import AcceptanceEnvironment, BuildEnvironment

KEY = "churn-p-1"
RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
BUCKET = f"{KEY}-data"
PACKAGES = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{KEY}"
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

VARIABLES = {
    "PROJECT_KEY": KEY,
    "RELEASE": RELEASE,
    "RETRAIN": "when-changed",
    "SAGEMAKER_PROJECT_NAME": "Churn",
    "SAGEMAKER_PROJECT_ID": "p-1",
    "PIPELINE_NAME": KEY,
    "DATA_BUCKET": BUCKET,
    "KMS_KEY_ARN": "arn:aws:kms:eu-west-1:123456789012:key/1",
    "CONTAINER_REPOSITORY": f"{KEY}-container",
    "CONTAINER_REPOSITORY_URI": f"{REGISTRY}/{KEY}-container",
    "MODEL_PACKAGE_GROUP": KEY,
    "PERMISSIONS_BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/boundary",
    "PRODUCTION": "no",
    "API_REPOSITORY": f"{KEY}-api",
    "API_REPOSITORY_URI": f"{REGISTRY}/{KEY}-api",
    "PRODUCTION_ACCESS_ROLE_ARN": "none",
    "ENDPOINT_NAME": f"{KEY}-dev",
}


class Aws:
    """Makes clients whose requests and answers are checked against AWS's API models.

    A request that no test announced, or with other parameters than announced, fails.
    """

    def __init__(self) -> None:
        self._stubbed: dict[str, tuple[Any, Stubber]] = {}
        self._elsewhere: tuple[dict[str, str], Aws] | None = None

    def __call__(self, service: str, **credentials: str) -> Any:
        if not credentials:
            return self._of(service)[0]
        assert self._elsewhere is not None
        assumed, there = self._elsewhere
        assert credentials == assumed
        return there(service)

    def assumes(self, role_arn: str, session: str) -> Aws:
        """Announce that the role is assumed; return the account that it leads to."""
        given = {"AccessKeyId": "A" * 16, "SecretAccessKey": "secret", "SessionToken": "token"}
        self.answers(
            "sts", "assume_role", {"Credentials": {**given, "Expiration": 0}},
            RoleArn=role_arn, RoleSessionName=session,
        )  # fmt: skip
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        there = Aws()
        self._elsewhere = dict(zip(names, given.values(), strict=True)), there
        return there

    def _of(self, service: str) -> tuple[Any, Stubber]:
        if service not in self._stubbed:
            client = boto3.client(
                service,
                region_name="eu-west-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            stubber = Stubber(client)
            stubber.activate()
            self._stubbed[service] = (client, stubber)
        return self._stubbed[service]

    def answers(self, service: str, operation: str, answer: dict[str, Any], **request: Any) -> None:
        """Announce a request; parameters that are not given may be anything."""
        stubber = self._of(service)[1]
        stubber.add_response(operation, answer, request or None)

    def refuses(self, service: str, operation: str, code: str, **more: Any) -> None:
        """Announce a request that AWS refuses; `more` is in the answer."""
        self._of(service)[1].add_client_error(
            operation, code, more.pop("message", "no"), modeled_fields=more or None
        )

    def object(self, key: str, text: str) -> None:
        """Announce that the object `key` is read."""
        body = StreamingBody(BytesIO(text.encode()), len(text.encode()))
        self.answers("s3", "get_object", {"Body": body}, Bucket=BUCKET, Key=key)

    def listing(self, prefix: str, *keys: str) -> None:
        """Announce that the first key with `prefix` is asked for."""
        contents = {"Contents": [{"Key": key} for key in keys]}
        self.answers("s3", "list_objects_v2", contents, Bucket=BUCKET, Prefix=prefix, MaxKeys=1)

    def written(self, key: str, body: Any = ANY, **request: Any) -> None:
        """Announce that the object `key` is written."""
        self.answers("s3", "put_object", {}, Bucket=BUCKET, Key=key, Body=body, **request)

    def packages(self, *packages: dict[str, Any], status: str | None = "Approved") -> None:
        """Announce that the versions of the group are listed, the newest first, and each is read.

        A package is what it has besides the default answer, with its ``number``.
        """
        arns = [f"{PACKAGES}/{package['number']}" for package in packages]
        listed = [
            {"ModelPackageArn": arn, "ModelPackageStatus": "Completed", "CreationTime": 0}
            for arn in arns
        ]
        request = {
            "ModelPackageGroupName": KEY,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
        }
        self.answers(
            "sagemaker", "list_model_packages", {"ModelPackageSummaryList": listed},
            **request, **({"ModelApprovalStatus": status} if status else {}),
        )  # fmt: skip
        for arn, package in zip(arns, packages, strict=True):
            self.package(arn, package)

    def package(self, arn: str, package: dict[str, Any]) -> None:
        """Announce that the version `arn` is read."""
        known = {key: value for key, value in package.items() if key != "number"}
        answer = {
            "ModelPackageName": "m", "ModelPackageArn": arn, "CreationTime": 0,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
        }  # fmt: skip
        self.answers(
            "sagemaker", "describe_model_package", {**answer, **known}, ModelPackageName=arn
        )

    def check_all_asked(self) -> None:
        for _, stubber in self._stubbed.values():
            stubber.assert_no_pending_responses()
        if self._elsewhere is not None:
            self._elsewhere[1].check_all_asked()


@pytest.fixture
def aws() -> Iterator[Aws]:
    made = Aws()
    yield made
    made.check_all_asked()


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that pipeline.yml gives to builds."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return dict(VARIABLES)


@pytest.fixture
def environment() -> BuildEnvironment:
    from pipeline.environment import read

    return read(BuildEnvironment, VARIABLES)


@pytest.fixture
def acceptance_environment() -> AcceptanceEnvironment:
    from pipeline.environment import read

    return read(AcceptanceEnvironment, VARIABLES)


class Docker:
    """A program called docker, first on the PATH, that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls"
        program = folder / "docker"
        program.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys\n"
            "given = sys.stdin.read()\n"
            f"open({str(self._log)!r}, 'a').write(json.dumps([sys.argv[1:], given]) + '\\n')\n"
            "print('step 1 of', sys.argv[1], flush=True)\n"
            f"fails = os.path.exists({str(folder)!r} + '/fail-' + sys.argv[1])\n"
            "if fails: print('ERROR: exit code: 2', file=sys.stderr)\n"
            "sys.exit(2 if fails else 0)\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def fails_at(self, verb: str) -> None:
        (self.folder / f"fail-{verb}").touch()

    @property
    def calls(self) -> list[tuple[list[str], str]]:
        if not self._log.exists():
            return []
        return [tuple(json.loads(line)) for line in self._log.read_text().splitlines()]

    @property
    def verbs(self) -> list[str]:
        return [arguments[0] for arguments, _ in self.calls]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Docker(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project's repository, as small as one can be."""
    root = tmp_path / "repository"
    texts = {
        "project.yml": "model: {name: churn, problem: binary, target: churn}\n"
        "evaluate: {metric: roc_auc, threshold: 0.9}\ndeploy: {by: pipeline}\n",
        "README.md": "# Churn\n",
        "container/Dockerfile": "FROM python\nCOPY container/requirements.txt requirements.txt\n"
        "COPY --chown=1:1 mlsystem \\\n  mlsystem\n",
        "container/requirements.txt": "",
        "api/Dockerfile": "FROM python\nCOPY mlsystem mlsystem\n",
        "mlsystem/model.py": "A = 1\n",
        "infrastructure/stack.py": "",
        "tests/test_model.py": "",
        "docs/how.txt": "",
        "data/churn.csv": "a,churn\n1,yes\n",
        "data/README.md": "# Data\n",
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
