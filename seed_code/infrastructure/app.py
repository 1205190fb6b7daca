"""Synthesis: from the CDK's constructs to plain templates in files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from aws_cdk import App

from infrastructure.dev import DevStack
from infrastructure.files import write_whole
from infrastructure.production import ProductionStack
from infrastructure.stack import TrainingStack

__all__ = ["STACKS", "app", "synthesize", "templates"]

# Name of a stack, which is its template's file name too -> what is in it.
STACKS = {"workflow": TrainingStack, "dev": DevStack, "prod": ProductionStack}


def synthesize(output: Path) -> list[Path]:
    """Write a template for each of :data:`STACKS` into the folder `output`; return their paths."""
    with tempfile.TemporaryDirectory() as folder:
        documents = templates(app(Path(folder)))
    paths = []
    for name, document in documents.items():
        path = output / f"{name}.json"
        # Without spaces it is short enough (51,200 bytes) to be deployed without a bucket.
        write_whole(path, json.dumps(document, separators=(",", ":")) + "\n")
        paths.append(path)
    return paths


def app(scratch: Path) -> App:
    """Return the CDK app; `scratch` is a folder for the files that the CDK makes beside it."""
    made = App(analytics_reporting=False, outdir=str(scratch))
    for name, kind in STACKS.items():
        kind(made, name)
    return made


def templates(made: App) -> dict[str, dict[str, Any]]:
    """Return the CloudFormation templates that `made` synthesizes to, by the stack's name."""
    assembly = made.synth()
    return {name: assembly.get_stack_by_name(name).template for name in STACKS}
