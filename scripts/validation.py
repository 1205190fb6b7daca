"""``validate-tpl.sh``: the templates and the seed code, before anything is uploaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import UnknownRegionError

from scripts.errors import ScriptError
from scripts.publication import FIRST, read_sources
from scripts.template_text import part

__all__ = ["TEMPLATES", "validate"]

TEMPLATES = ("studio.yml", "pipeline.yml")
#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_BODY_BYTES = 51_200
_ANY_REGION = "us-east-1"


def validate(root: Path, region: str | None = None) -> None:
    """Return when templates and seed code can be published.

    Parameters
    ----------
    root
        The folder of ``studio.yml``, ``pipeline.yml`` and ``seed_code``.
    region
        Where they are to be valid; us-east-1 when none is given, or it is not one of AWS's.

    Raises
    ------
    ScriptError
        When cfn-lint is not installed or finds something, or something is too large.
    """
    first = len(part(read_sources(root).studio, FIRST).encode())
    if first > _BODY_BYTES:
        raise ScriptError(
            str(root / "studio.yml"),
            f"its buckets and key alone have {first:,} bytes",
            f"CloudFormation takes at most {_BODY_BYTES:,} without a bucket",
        )
    command = [
        _linter(),
        "--regions",
        _region(region),
        "--",
        *(str(root / name) for name in TEMPLATES),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ScriptError(
            "cfn-lint",
            f"findings:\n{(result.stdout + result.stderr).strip()}\n",
            "none is required",
        )


def _linter() -> str:
    """cfn-lint, the one of this Python's environment before others."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    found = shutil.which("cfn-lint", path=os.pathsep.join(folders))
    if found is None:
        raise ScriptError(
            "cfn-lint",
            "it is not installed",
            "templates are published only when it finds nothing",
            "Install it: python3 -m pip install cfn-lint",
        )
    return found


def _region(region: str | None) -> str:
    """The region to check for; cfn-lint itself would take the environment's, whatever that is."""
    try:
        boto3.session.Session().get_partition_for_region(region or "")
    except UnknownRegionError:
        return _ANY_REGION
    return str(region)
