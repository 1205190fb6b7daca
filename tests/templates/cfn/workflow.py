"""The stacks that a project's own code defines (seed_code/infrastructure), with its parameters."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cfn.evaluation import ACCOUNT, REGION, ROOT, Stack, evaluate

__all__ = ["KEY", "OTHERWISE", "stack", "stacks", "templates"]

#: Key of the project that pipeline.yml comes to without parameters.
KEY = "model-p-default"

_VALUES = {
    "ProjectName": KEY,
    "ProjectKey": KEY,
    "DataBucketName": f"{KEY}-data",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key",
    "DataKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key",
    "RepositoryName": f"{KEY}-container",
    "PermissionsBoundaryArn": (
        f"arn:aws:iam::{ACCOUNT}:policy/mlsystem-organization/"
        f"mlsystem-permissions-boundary-{REGION}"
    ),
    "Release": "5b1f-c831bf9b",
    "ReleaseId": "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000",
    "NotificationTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{KEY}-notifications",
    "FileSystemArn": f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/FileSystem",
    "AccessPointArn": f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/AccessPoint",
    "VpcId": "Vpc",
    "PrivateSubnetA": "PrivateSubnetA",
    "PrivateSubnetB": "PrivateSubnetB",
    "FunctionSecurityGroup": "JobSecurityGroup",
    "ImageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{KEY}-container@sha256:0",
    "ApiImageUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{KEY}-api@sha256:0",
    "Serving": "endpoint",
    "TrafficShift": "CodeDeployDefault.LambdaAllAtOnce",
    "TrafficKind": "canary",
    "AlarmsStop": "yes",
    "ApiAuth": "iam",
    "ApiQuotaPerDay": "0",
}

#: What else production can come to.
OTHERWISE = {
    "Serving": "lambda",
    "TrafficShift": "own",
    "ApiAuth": "key",
    "ApiQuotaPerDay": "1",
}


@functools.cache
def templates() -> dict[str, dict[str, Any]]:
    """Return the synthesized templates by the name of their file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "infrastructure", "synth", "--output", folder],
            cwd=ROOT / "seed_code", check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        files = sorted(Path(folder).glob("*.json"))
        return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in files}


def stack(name: str, **parameters: str) -> Stack:
    """Return what the template of that name comes to in the project :data:`KEY`."""
    template = templates()[f"{name}.json"]
    return evaluate(template, {**_parameters(template), **parameters})


@functools.cache
def stacks() -> tuple[Stack, ...]:
    """Return what all of them come to; production in both ways."""
    names = (name.removesuffix(".json") for name in templates())
    return (*map(stack, names), stack("prod", **OTHERWISE))


def _parameters(template: dict[str, Any]) -> dict[str, str]:
    declared = template.get("Parameters", {})
    return {
        name: _VALUES.get(name, "unknown")
        for name, rule in declared.items()
        if "Default" not in rule or name in _VALUES
    }
