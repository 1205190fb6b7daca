"""What earlier releases were made of: each leaves a note beside its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlsystem.errors import ArtifactError
from mlsystem.names import Names
from pipeline.changes import ReleaseInputs
from pipeline.storage import exists

__all__ = ["newest_trained"]

# It will come to a verdict; of the others those count that have.
_RUNNING = "InProgress"


def newest_trained(
    codepipeline: Any, s3: Any, pipeline: str, bucket: str, names: Names
) -> tuple[str, ReleaseInputs] | None:
    """Return the newest release but `names` that was trained, or is being trained, if any.

    A release that failed before its model was evaluated was not: the next one tries again.
    """
    for release, status in _executions(codepipeline, pipeline):
        other = Names(names.project, release)
        if release == names.release or not exists(s3, bucket, other.inputs_key):
            continue
        if status == _RUNNING or exists(s3, bucket, other.evaluation_key):
            known = _inputs(s3, bucket, other.inputs_key)
            return None if known is None else (release, known)
    return None


def _executions(codepipeline: Any, pipeline: str) -> Iterator[tuple[str, str]]:
    """Yield id and status of the pipeline's executions, newest first."""
    pages = codepipeline.get_paginator("list_pipeline_executions").paginate(pipelineName=pipeline)
    for page in pages:
        for execution in page["pipelineExecutionSummaries"]:
            yield execution["pipelineExecutionId"], execution["status"]


def _inputs(s3: Any, bucket: str, key: str) -> ReleaseInputs | None:
    """Return the note, or nothing when another version of this program wrote it."""
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    try:
        return ReleaseInputs.from_json(text, f"s3://{bucket}/{key}")
    except ArtifactError as error:
        print(f"Training again, because of {error}")
        return None
