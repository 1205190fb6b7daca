"""Synthesis: from the CDK's constructs to a plain template in a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from aws_cdk import App

from infrastructure.files import write_whole
from infrastructure.stack import TrainingStack

__all__ = ["TEMPLATE_NAME", "app", "synthesize", "template"]

TEMPLATE_NAME = "workflow.json"
_STACK = "workflow"


def synthesize(output: Path) -> Path:
    """Write the template into the folder `output`; return its path."""
    path = output / TEMPLATE_NAME
    with tempfile.TemporaryDirectory() as folder:
        document = template(app(Path(folder)))
    # Without spaces it is short enough (51,200 bytes) to be deployed without a bucket.
    write_whole(path, json.dumps(document, separators=(",", ":")) + "\n")
    return path


def app(scratch: Path) -> App:
    """Return the CDK app; `scratch` is a folder for the files that the CDK makes beside it."""
    made = App(analytics_reporting=False, outdir=str(scratch))
    TrainingStack(made, _STACK)
    return made


def template(made: App) -> dict[str, Any]:
    """Return the CloudFormation template that `made` synthesizes to."""
    found: dict[str, Any] = made.synth().get_stack_by_name(_STACK).template
    return found
