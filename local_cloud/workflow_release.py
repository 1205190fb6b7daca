"""The short way of a release: a training workflow that deploys its endpoint itself.

For settings that say ``deploy.by: workflow``, where the workflow is the whole system. It does what
a person does by hand, with the project's own programs: ``python -m infrastructure`` writes template
and input of the workflow, CloudFormation makes it, Step Functions runs it.
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_cloud import execution, foundation, programs, results
from local_cloud.blueprint import Blueprint
from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.images import STORE, build
from local_cloud.progress import Progress
from local_cloud.stack_outputs import outputs_of
from local_cloud.summary import Summary

__all__ = ["release_workflow"]

_POLL_SECONDS = 0.2


def release_workflow(
    cloud: LocalCloud, blueprint: Blueprint, project: str, summary: Summary, progress: Progress
) -> None:
    """Make one release of `blueprint`, whose names begin with `project`.

    `summary` is filled as far as it comes.
    """
    summary.release = str(uuid.uuid4())
    work = cloud.root / "work"
    work.mkdir(parents=True, exist_ok=True)
    synthesis = programs.start(programs.SEED_CODE, "infrastructure", "synth", "--output", str(work))
    try:
        progress.step("Building the image")
        dockerfile = programs.SEED_CODE / "container/Dockerfile"
        image = build(programs.SEED_CODE, dockerfile, cloud.root / STORE.name, report=progress.step)
        progress.step("Making key, bucket and image repository")
        laid = foundation.lay(cloud, project, image)
        inputs = _workflow_input(blueprint, summary.release, laid, work)
        progress.step("Uploading data")
        _upload(cloud, blueprint, inputs, work, laid.bucket_name)
        progress.step("Synthesizing the workflow")
        programs.finish(synthesis)
    finally:
        if synthesis.poll() is None:
            synthesis.kill()
            synthesis.wait()
    progress.step("Creating the workflow's stack")
    state_machine_arn = _deploy(cloud, work / "workflow.json", project, laid)
    _execute(cloud, state_machine_arn, inputs, summary, progress)
    results.read_evaluation(cloud.client, inputs, summary)
    if summary.status == "SUCCEEDED":
        results.read_model(cloud.client, inputs, summary)
        progress.step("Asking the endpoint")
        results.ask(cloud.client, inputs, inputs["deploy"]["endpoint_name"], summary)


def _workflow_input(
    blueprint: Blueprint, release_id: str, laid: foundation.Foundation, work: Path
) -> dict[str, Any]:
    programs.finish(programs.start(
        programs.SEED_CODE, "infrastructure", "workflow-input",
        "--project", str(blueprint.settings_path.absolute()),
        "--release", release_id,
        "--bucket", laid.bucket_name,
        "--image", laid.image_uri,
        "--output", str(work / "workflow-input.json"),
        "--settings-output", str(work / "project.json"),
    ))  # fmt: skip
    inputs: dict[str, Any] = json.loads((work / "workflow-input.json").read_text("utf-8"))
    return inputs


def _upload(
    cloud: LocalCloud, blueprint: Blueprint, inputs: dict[str, Any], work: Path, bucket: str
) -> None:
    data_prefix = results.location(inputs, "data").rstrip("/").split("/", 3)[3]
    files = blueprint.data_files()
    foundation.upload(cloud.client("s3"), bucket, data_prefix, blueprint.data_path, files)
    settings_key = results.location(inputs, "settings").split("/", 3)[3]
    cloud.client("s3").upload_file(str(work / "project.json"), bucket, settings_key)


def _deploy(cloud: LocalCloud, template: Path, project: str, laid: foundation.Foundation) -> str:
    """Create the workflow's stack from its template; return the state machine's ARN."""
    client = cloud.client("cloudformation")
    name = f"{project}-workflow"
    client.create_stack(
        StackName=name,
        TemplateBody=template.read_text(encoding="utf-8"),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in (
                ("ProjectName", project),
                ("DataBucketName", laid.bucket_name),
                ("KmsKeyArn", laid.kms_key_arn),
                ("RepositoryName", laid.repository_name),
            )
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    stack = _settled(client, name)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise LocalCloudError(
            f"stack {name}", f"{stack['StackStatus']}: {_failures(client, name)}", "CREATE_COMPLETE"
        )
    return outputs_of(client, name)["StateMachineArn"]


def _settled(client: Any, stack_name: str) -> dict[str, Any]:
    """Describe the stack when nothing is being done to it any more."""
    while True:
        (stack,) = client.describe_stacks(StackName=stack_name)["Stacks"]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return dict(stack)
        time.sleep(_POLL_SECONDS)


def _failures(client: Any, stack_name: str) -> str:
    """Say which resources failed, and why."""
    events = client.describe_stack_events(StackName=stack_name)["StackEvents"]
    return "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
    )


def _execute(
    cloud: LocalCloud,
    state_machine_arn: str,
    inputs: dict[str, Any],
    summary: Summary,
    progress: Progress,
) -> None:
    """Start the workflow and follow it to its end."""
    client = cloud.client("stepfunctions")
    execution_arn = client.start_execution(
        stateMachineArn=state_machine_arn, name=summary.release, input=json.dumps(inputs)
    )["executionArn"]
    while True:
        description = client.describe_execution(executionArn=execution_arn)
        events = execution.history(client, execution_arn)
        summary.stages = execution.stages(events, datetime.now(UTC))
        progress.update(summary.stages, cloud.logs.last_line("/aws/sagemaker/", ""))
        if description["status"] != "RUNNING":
            break
        time.sleep(_POLL_SECONDS)
    if description["status"] == "SUCCEEDED":
        summary.status = "SUCCEEDED"
        return
    summary.error = description.get("cause") or description["status"]
    summary.status = "REJECTED" if execution.is_rejected(summary.stages) else "FAILED"
