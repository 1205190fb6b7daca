"""The main job: a blueprint through the whole workflow to an endpoint that answers.

It does what a project's pipeline does, with the same programs: ``python -m infrastructure`` writes
the template and the execution's input, CloudFormation makes the state machine, Step Functions runs
it. Nothing here knows what the jobs do.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local_cloud import endpoint_client, execution, foundation
from local_cloud.blueprint import Blueprint, find
from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError, MachineError
from local_cloud.images import STORE, Image, build
from local_cloud.progress import Progress
from local_cloud.sagemaker import address
from local_cloud.summary import EXIT_CODES, Summary

__all__ = ["INTERRUPTED", "run"]

SEED_CODE = Path(__file__).parent.parent / "seed_code"
INTERRUPTED = 130

#: Kept from run to run, because making it takes half a minute.
_CACHES = {STORE.name, ".image", "run.lock"}
_STACK_NAME = "workflow"
_POLL_SECONDS = 0.2
_WAIT_FACTOR = 0.02


def run(name: str, *, root: Path, console: Console, port: int = 0, stay: bool = False) -> int:
    """Release the blueprint `name`, write ``<root>/summary.json``, show it; return the exit code.

    Parameters
    ----------
    name
        Of a blueprint in ``blueprints/``, or the path of a folder.
    root
        The ``.local`` folder; what an earlier run left there is removed, but for the images.
    console
        Where progress and summary go.
    port
        Of the account's address; 0 chooses a free one.
    stay
        Whether the account stays up after the release, until Ctrl-C.

    Returns
    -------
    0 the release succeeded; 3 the gate said no; 1 it failed; 130 it was interrupted.
    """
    summary = Summary(blueprint=name, release=str(uuid.uuid4()))
    started = time.monotonic()
    try:
        with _interruptible(), _only_run(root):
            _clear(root)
            blueprint = find(name)
            summary.blueprint = blueprint.name
            with LocalCloud(root, port=port, wait_factor=_WAIT_FACTOR) as cloud:
                with Progress(console) as progress:
                    _release(cloud, blueprint, summary, progress)
                summary.seconds = time.monotonic() - started
                _conclude(summary, root, console)
                if stay:
                    _stay(cloud, console)
            return EXIT_CODES[summary.status]
    except KeyboardInterrupt:
        if summary.seconds:
            return EXIT_CODES[summary.status]
        summary.error, code = "Interrupted; everything that was started is stopped.", INTERRUPTED
    except (LocalCloudError, ClientError, BotoCoreError, OSError) as error:
        summary.error, code = _message(error), EXIT_CODES["FAILED"]
    summary.status = "FAILED"
    summary.seconds = time.monotonic() - started
    _conclude(summary, root, console)
    return code


def _conclude(summary: Summary, root: Path, console: Console) -> None:
    try:
        summary.write(root / "summary.json")
    except OSError as error:
        problem = f"{root / 'summary.json'}: {error.strerror}; room for a few kilobytes."
        summary.error = f"{summary.error}\n{problem}" if summary.error else problem
        summary.status = "FAILED"
    summary.show(console, root)


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'this machine'}: {error.strerror or error}"
    return str(error)


# --- the release --------------------------------------------------------------------------------


def _release(cloud: LocalCloud, blueprint: Blueprint, summary: Summary, progress: Progress) -> None:
    """Make one release of `blueprint`; `summary` is filled as far as it comes."""
    work = cloud.root / "work"
    work.mkdir(parents=True, exist_ok=True)
    synthesis = _start_infrastructure("synth", "--output", str(work))
    try:
        progress.step("Checking project.yml")
        project = _project_settings(blueprint)["model"]["name"]
        progress.step("Building the image")
        image = _image(cloud.root / STORE.name, progress)
        progress.step("Making key, bucket and image repository")
        laid = foundation.lay(cloud, project, image)
        inputs = _workflow_input(blueprint, summary.release, laid, work)
        progress.step("Uploading data")
        _upload(cloud, blueprint, inputs, work, laid.bucket_name)
        progress.step("Synthesizing the workflow")
        _finish_infrastructure(synthesis)
    finally:
        if synthesis.poll() is None:
            synthesis.kill()
            synthesis.wait()
    progress.step("Creating the workflow's stack")
    state_machine_arn = _deploy_workflow(cloud, work / "workflow.json", project, laid)
    _execute(cloud, state_machine_arn, inputs, summary, progress)
    _read_evaluation(cloud, inputs, summary)
    if summary.status == "SUCCEEDED":
        _read_release(cloud, inputs, summary)
        if summary.endpoint:
            progress.step("Asking the endpoint")
            _predict(cloud, inputs, work, summary)


def _image(store: Path, progress: Progress) -> Image:
    return build(SEED_CODE, SEED_CODE / "container/Dockerfile", store, report=progress.step)


def _upload(
    cloud: LocalCloud, blueprint: Blueprint, inputs: dict[str, Any], work: Path, bucket: str
) -> None:
    data_prefix = _location(inputs["prepare"]["inputs"], "data").rstrip("/").split("/", 3)[3]
    files = blueprint.data_files()
    foundation.upload(cloud, bucket, data_prefix, blueprint.data_path, files)
    settings_key = _location(inputs["prepare"]["inputs"], "settings").split("/", 3)[3]
    cloud.client("s3").upload_file(str(work / "project.json"), bucket, settings_key)


def _location(inputs: list[dict[str, Any]], name: str) -> str:
    return next(str(item["S3Input"]["S3Uri"]) for item in inputs if item["InputName"] == name)


def _deploy_workflow(
    cloud: LocalCloud, template: Path, project: str, laid: foundation.Foundation
) -> str:
    """Create the workflow's stack from its template; return the state machine's ARN."""
    client = cloud.client("cloudformation")
    client.create_stack(
        StackName=f"{project}-{_STACK_NAME}",
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
    stack = _settled(client, f"{project}-{_STACK_NAME}")
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise LocalCloudError(
            f"stack {stack['StackName']}",
            f"{stack['StackStatus']}: {_failures(client, stack['StackName'])}",
            "CREATE_COMPLETE",
        )
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
    return str(outputs["StateMachineArn"])


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
        events = _history(client, execution_arn)
        summary.stages = execution.stages(events, datetime.now(UTC))
        progress.update(summary.stages, cloud.logs.last_line("/aws/sagemaker/", ""))
        if description["status"] != "RUNNING":
            break
        time.sleep(_POLL_SECONDS)
    if description["status"] == "SUCCEEDED":
        summary.status = "SUCCEEDED"
        return
    summary.error = description.get("cause") or description["status"]
    rejected = any(stage.status == "REJECTED" for stage in summary.stages)
    summary.status = "REJECTED" if rejected else "FAILED"


def _history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


def _read_evaluation(cloud: LocalCloud, inputs: dict[str, Any], summary: Summary) -> None:
    """Copy metrics and verdict from ``evaluation.json``, where the release came that far."""
    s3 = cloud.client("s3")
    where = inputs["evaluate"]
    try:
        answer = s3.get_object(Bucket=where["bucket"], Key=where["key"])
    except s3.exceptions.NoSuchKey:
        return
    evaluation = json.loads(answer["Body"].read())
    summary.metrics = evaluation["metrics"]
    summary.gate = evaluation["gate"]


def _read_release(cloud: LocalCloud, inputs: dict[str, Any], summary: Summary) -> None:
    """Read back what the workflow registered and deployed."""
    registered, deployed = inputs["register"], inputs["deploy"]
    sagemaker = cloud.client("sagemaker")
    packages = sagemaker.list_model_packages(
        ModelPackageGroupName=registered["model_package_group"],
        SortBy="CreationTime",
        SortOrder="Descending",
    )["ModelPackageSummaryList"]
    summary.model = {
        "archive": registered["model_archive_uri"],
        "package_arn": packages[0]["ModelPackageArn"],
    }
    if deployed["by"] == "workflow":
        url = f"{address(deployed['endpoint_name'])}/invocations"
        summary.endpoint = {"name": deployed["endpoint_name"], "url": url}


def _predict(cloud: LocalCloud, inputs: dict[str, Any], work: Path, summary: Summary) -> None:
    """Ask the endpoint the project's examples, and test rows whose answers are known."""
    assert summary.endpoint is not None  # noqa: S101 - the caller's condition, for the type checker
    settings = json.loads((work / "project.json").read_text(encoding="utf-8"))
    golden = _golden_requests(cloud, inputs)
    url = summary.endpoint["url"]
    summary.golden_requests = endpoint_client.check(url, golden)
    summary.predictions = endpoint_client.ask(
        url,
        settings["deploy"]["examples"],
        golden,
        labels=settings["model"]["problem"] == "multiclass",
    )
    if summary.golden_requests["answered"] < summary.golden_requests["sent"]:
        summary.status = "FAILED"
        summary.error = (
            f"{url}: {summary.golden_requests['answered']} of {summary.golden_requests['sent']} "
            "test rows answered as evaluated; all of them."
        )


def _golden_requests(cloud: LocalCloud, inputs: dict[str, Any]) -> dict[str, Any]:
    where = inputs["evaluate"]
    key = where["key"].replace("evaluation.json", "golden_requests.json")
    body = cloud.client("s3").get_object(Bucket=where["bucket"], Key=key)["Body"].read()
    golden: dict[str, Any] = json.loads(body)
    return golden


# --- the project's own programs -----------------------------------------------------------------


def _start_infrastructure(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infrastructure", *arguments],
        cwd=SEED_CODE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def _finish_infrastructure(process: subprocess.Popen[str]) -> str:
    """Wait for the program; return what it printed, or raise with its own error message."""
    printed, problem = process.communicate()
    if process.returncode:
        raise _ProgramError(problem.strip() or printed.strip())
    return printed


class _ProgramError(LocalCloudError):
    """One of the project's programs failed and said why: its message, unchanged."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def _project_settings(blueprint: Blueprint) -> dict[str, Any]:
    """The blueprint's settings as the project's own program reads them."""
    process = _start_infrastructure(
        "settings", "--project", str(blueprint.settings_path.absolute())
    )
    settings: dict[str, Any] = json.loads(_finish_infrastructure(process))
    return settings


def _workflow_input(
    blueprint: Blueprint, release: str, laid: foundation.Foundation, work: Path
) -> dict[str, Any]:
    _finish_infrastructure(_start_infrastructure(
        "workflow-input",
        "--project", str(blueprint.settings_path.absolute()),
        "--release", release,
        "--bucket", laid.bucket_name,
        "--image", laid.image_uri,
        "--output", str(work / "workflow-input.json"),
        "--settings-output", str(work / "project.json"),
    ))  # fmt: skip
    inputs: dict[str, Any] = json.loads((work / "workflow-input.json").read_text("utf-8"))
    return inputs


# --- the run itself -----------------------------------------------------------------------------


@contextlib.contextmanager
def _only_run(root: Path) -> Iterator[None]:
    """Hold ``<root>/run.lock``: two runs in one folder would clear each other's files."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                str(root), "another run is using it", "one run at a time", "Wait, or stop that one"
            ) from error
        yield


def _clear(root: Path) -> None:
    for path in root.iterdir():
        if path.name in _CACHES:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that every way out stops what was started."""

    def interrupt(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _stay(cloud: LocalCloud, console: Console) -> None:
    """Print how to talk to the account, and wait for Ctrl-C."""
    exports = "".join(f"export {key}={value}\n" for key, value in cloud.environment().items())
    path = cloud.root / "environment"
    path.write_text(exports, encoding="utf-8")
    path.chmod(0o600)
    console.print()
    console.print(exports, markup=False, highlight=False, soft_wrap=True, end="")
    console.print(f"The same in {path}: `source` it. Up until Ctrl-C.", highlight=False)
    signal.pause()
