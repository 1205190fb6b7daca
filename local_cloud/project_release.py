"""The whole way of a release: from the published template to an approved dev endpoint.

Each person's part is a module: :mod:`local_cloud.organization` publishes,
:mod:`local_cloud.project` creates; the pipeline works alone; here somebody watches and approves.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from local_cloud import foundation, organization, project, release, results
from local_cloud.blueprint import Blueprint
from local_cloud.cloud import LocalCloud
from local_cloud.execution import is_rejected
from local_cloud.organization import Organization
from local_cloud.progress import Progress
from local_cloud.project import Project
from local_cloud.release import Release
from local_cloud.summary import Summary

__all__ = ["release_project"]

_SAGEMAKER = "sagemaker.amazonaws.com"
_POLL_SECONDS = 0.3


def release_project(
    cloud: LocalCloud, blueprint: Blueprint, model: str, summary: Summary, progress: Progress
) -> None:
    """Have a project of `blueprint` born and its first release approved.

    `model` is the model's name; `summary` is filled as far as it comes.
    """
    progress.step("Publishing the template")
    seed_code = cloud.root / "work/seed_code"
    has_data = organization.seed(blueprint, seed_code)
    people = organization.publish(cloud, seed_code)
    progress.step("Creating the project")
    born = project.create(cloud, people.data_scientist, model, model, progress.step)
    summary.project = {"name": born.name, "id": born.id, "stacks": born.stacks}
    client = partial(cloud.client, role_arn=people.data_scientist, service_principal=_SAGEMAKER)
    if not has_data:
        progress.step("Uploading data")
        bucket = born.outputs["DataBucketName"]
        foundation.upload(client("s3"), bucket, "data", blueprint.data_path, blueprint.data_files())
    last = None
    for found in release.each(client, born.outputs["PipelineName"]):
        _follow(cloud, found, people, summary, progress)
        if last is None or found.workflow():  # the others had nothing to train on
            last = found
    assert last is not None  # noqa: S101 - the first one is awaited
    _conclude(cloud, last, born, summary, progress)


def _follow(
    cloud: LocalCloud, found: Release, people: Organization, summary: Summary, progress: Progress
) -> None:
    """Watch the release to its end, and approve it when it asks."""
    approver = partial(cloud.client, role_arn=people.approver, service_principal=_SAGEMAKER)
    is_over = False
    while not is_over:
        is_over = found.is_over()
        _look(cloud, found, summary)
        progress.update(summary.rows(), cloud.logs.last_line("/aws/", ""))
        approval = found.approval()
        if approval:
            progress.say(approval.text)
            found.decide(approver, approval, "Approved", "make run approves what passed its tests")
        time.sleep(_POLL_SECONDS)


def _look(cloud: LocalCloud, found: Release, summary: Summary) -> dict[str, Any] | None:
    """Copy how far the release is; return its workflow's input, once that has been started."""
    workflow = found.workflow()
    summary.release = found.id
    summary.pipeline = found.look(cloud.logs)
    summary.stages = workflow[1] if workflow else []
    return workflow[0] if workflow else None


def _conclude(
    cloud: LocalCloud, found: Release, born: Project, summary: Summary, progress: Progress
) -> None:
    inputs = _look(cloud, found, summary)
    if inputs:
        results.read_evaluation(cloud.client, inputs, summary)
    if found.status() != "Succeeded":
        summary.error = _failure(summary)
        summary.status = "REJECTED" if is_rejected(summary.stages) else "FAILED"
        return
    summary.status = "SUCCEEDED"
    if inputs:
        results.read_model(cloud.client, inputs, summary)
        progress.step("Asking the endpoint")
        results.ask(cloud.client, inputs, _endpoint(cloud, born), summary)


def _endpoint(cloud: LocalCloud, born: Project) -> str:
    """Name of the dev endpoint, as its stack says."""
    name = born.outputs["DevStackName"]
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    return str(outputs["EndpointName"])


def _failure(summary: Summary) -> str:
    """Say where the release failed and why: the workflow's own words before the pipeline's."""
    said = next((state.error for state in summary.stages if state.error), None)
    if said:
        return said
    for stage in summary.pipeline.stages if summary.pipeline else ():
        for action in stage.actions:
            if action.error:
                log = f"\nIts log: {action.log}" if action.log else ""
                return f"{stage.name}/{action.name}: {action.error}{log}"
    return "The release was stopped; its pipeline says by whom."
