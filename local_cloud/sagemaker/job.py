"""One job of SageMaker: fetched, run, stored, and always ended with a status and a reason.

Each job has one thread: it fetches the inputs with the job's role, runs the image's command, and
stores the outputs. Whatever happens in it, the job ends in a terminal status.
"""

from __future__ import annotations

import abc
import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError, TrustError
from local_cloud.images import Image, ImageNotFoundError, Registry
from local_cloud.logs import LogStream
from local_cloud.sagemaker import archives
from local_cloud.sagemaker.containers import Container, close_log
from local_cloud.sagemaker.parameters import ANY, Accepted, Parameters, only
from local_cloud.sagemaker.roles import Role
from local_cloud.sagemaker.storage import Storage, StorageError

__all__ = [
    "S3_DATA_TYPES",
    "S3_DISTRIBUTIONS",
    "VPC",
    "Job",
    "JobFailure",
    "fetch",
    "read_text",
    "resource_configuration",
    "write_json",
]

#: What requests of all kinds of jobs honour.
VPC: Accepted = {"SecurityGroupIds": ANY, "Subnets": ANY}
S3_DATA_TYPES: Accepted = only("S3Prefix", "ManifestFile")
# With one instance both give every object to that instance.
S3_DISTRIBUTIONS: Accepted = only("FullyReplicated", "ShardedByS3Key")

#: AWS' default for a job without a StoppingCondition.
_MAX_RUNTIME_SECONDS = 86_400
#: From SIGTERM to SIGKILL.
_GRACE_SECONDS = 120.0
#: How often a running job looks at its clock and for a request to stop.
_LOOK_SECONDS = 0.05
#: Length limits of FailureReason and ExitMessage.
_REASON_LENGTH = 1024
_HOST = "algo-1"


class JobFailure(Exception):  # noqa: N818 - it is an outcome, with the text that AWS gives
    """The job has failed; the text is its FailureReason."""


class _Stopped(Exception):  # noqa: N818 - not an error
    """The job was stopped before its container ran."""


class Job(abc.ABC):
    """One job, from its request to its terminal status.

    Parameters
    ----------
    cloud
        The account.
    name
        Its name.
    request
        The checked request.
    """

    kind: ClassVar[str]
    log_group: ClassVar[str]

    def __init__(self, cloud: LocalCloud, name: str, request: Parameters) -> None:
        self.name = name
        self.arn = f"arn:aws:sagemaker:{cloud.region}:{cloud.account_id}:{self.kind}/{name.lower()}"
        self.request = request
        self.tags = list(request.get("Tags", []))
        self.creation_time = self.last_modified_time = utcnow()
        self.start_time: datetime | None = None
        self.end_time: datetime | None = None
        self.status = "InProgress"
        self.failure_reason = ""
        self.exit_message = ""
        self._cloud = cloud
        self._role = Role(cloud, request["RoleArn"], self.arn)
        self._role.check()
        self._place = cloud.root / "jobs" / self.kind / name
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._grace_seconds = _GRACE_SECONDS * cloud.wait_factor
        self._timed_out = False
        self._thread = threading.Thread(target=self._run, name=f"{self.kind} {name}", daemon=True)

    @property
    def base(self) -> Path:
        """Folder that stands for ``/opt/ml``."""
        return self._place / "ml"

    @property
    def ended(self) -> bool:
        """Whether the status is terminal."""
        return self.end_time is not None

    def start(self) -> None:
        """Let it run."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop: SIGTERM, and SIGKILL after the grace."""
        with self._lock:
            if self.ended:
                raise ValidationError(
                    f"The request was rejected because the {self.kind.replace('-', ' ')} is in "
                    f"status {self.status}."
                )
            self._set_status("Stopping")
            self._enter("Stopping", "Stopping the training job")
        self._stop.set()

    def abort(self, timeout_seconds: float) -> None:
        """Stop it at once, because the local cloud stops; wait for its thread."""
        self._grace_seconds = 0.5
        self._stop.set()
        self._thread.join(timeout_seconds)

    def describe(self) -> dict[str, Any]:
        """Answer of the Describe operation."""
        with self._lock:
            description = {
                **{name: value for name, value in self.request.items() if name != "Tags"},
                "CreationTime": self.creation_time,
                "LastModifiedTime": self.last_modified_time,
                **self._description(),
            }
            if self.failure_reason:
                description["FailureReason"] = self.failure_reason
        return description

    @abc.abstractmethod
    def _description(self) -> dict[str, Any]:
        """What the Describe operation says of this kind of job."""

    @property
    @abc.abstractmethod
    def _image_uri(self) -> str: ...

    @property
    @abc.abstractmethod
    def _isolated(self) -> bool: ...

    @abc.abstractmethod
    def _command(self) -> tuple[list[str], list[str] | None]:
        """Arguments, and the entry point where the request replaces the image's."""

    @abc.abstractmethod
    def _identity(self) -> dict[str, str]:
        """Environment variables that name the job."""

    @abc.abstractmethod
    def _write_configuration(self) -> None:
        """Write the files that tell the container what it was asked."""

    @abc.abstractmethod
    def _download(self, storage: Storage) -> None:
        """Fetch the inputs."""

    @abc.abstractmethod
    def _upload(self, storage: Storage, *, stopped: bool) -> None:
        """Store the outputs that are due, also when the job was stopped."""

    @abc.abstractmethod
    def _failure_text(self) -> str:
        """What the container says of its failure, for FailureReason."""

    @abc.abstractmethod
    def _enter(self, stage: str, message: str) -> None:
        """Note that a stage begins."""

    def _set_status(self, status: str) -> None:
        self.status = status
        self.last_modified_time = utcnow()

    def _run(self) -> None:
        """Run to the end; whatever is raised on the way becomes the job's status."""
        try:
            stopped = self._execute()
        except _Stopped:
            self._finish("Stopped")
        except (JobFailure, StorageError, LocalCloudError, OSError, ClientError) as error:
            self._finish("Failed", self._reason(error))
        except Exception as error:  # a mistake of ours must not leave the job in progress
            self._finish("Failed", f"InternalServerError: {type(error).__name__}: {error}")
        else:
            self._finish("Stopped" if stopped else "Completed")

    def _reason(self, error: Exception) -> str:
        if isinstance(error, JobFailure):
            return str(error)
        if isinstance(error, OSError):
            place = error.filename or self._place
            return f"InternalServerError: {place}: {error.strerror or error}"
        if isinstance(error, StorageError | ClientError | ImageNotFoundError | TrustError):
            return f"ClientError: {error}"
        return f"InternalServerError: {error}"

    def _finish(self, status: str, reason: str = "") -> None:
        if status == "Completed":
            shutil.rmtree(self._place, ignore_errors=True)
        with self._lock:
            self.failure_reason = reason[:_REASON_LENGTH]
            self.end_time = utcnow()
            self._set_status(status)
            self._enter(self._final_stage(status), reason)

    def _final_stage(self, status: str) -> str:
        return "MaxRuntimeExceeded" if status == "Stopped" and self._timed_out else status

    def _execute(self) -> bool:
        """Whether the job was stopped; raises when it failed."""
        shutil.rmtree(self._place, ignore_errors=True)
        self.base.mkdir(parents=True)
        with _failing_as("ClientError"):
            image = Registry(self._cloud, self._role.client("ecr")).resolve(self._image_uri)
            storage = Storage(self._role)
        self._write_configuration()
        self._next_stage("Downloading", "Downloading input data")
        with _failing_as("ClientError: Data download failed"):
            self._download(storage)
        self._next_stage("Training", "Training image download completed. Training in progress.")
        code = self._run_container(image)
        self.exit_message = self._read_exit_message()
        if code != 0 and not self._stop.is_set() and not self._timed_out:
            raise JobFailure(_algorithm_error(self._failure_text(), code))
        stopped = self._stop.is_set() or self._timed_out
        self._enter_locked("Uploading", "Uploading generated training model")
        with _failing_as("ClientError: Artifact upload failed"):
            self._upload(storage, stopped=stopped)
        return stopped

    def _next_stage(self, stage: str, message: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._enter_locked(stage, message)

    def _enter_locked(self, stage: str, message: str) -> None:
        with self._lock:
            self._enter(stage, message)

    def _run_container(self, image: Image) -> int:
        """Exit code as a container has it: 128 and the signal's number, when one ended it."""
        environment = {**self.request.get("Environment", {}), **self._identity()}
        container = Container(image, self._place, self._role, self._isolated, environment)
        arguments, entrypoint = self._command()
        with self._log() as log:
            self.start_time = utcnow()
            process = container.start(
                arguments, entrypoint=entrypoint, stdout=log, name=f"{self.kind} {self.name}"
            )
            code = self._wait(process)
        return code if code >= 0 else 128 - code

    @contextlib.contextmanager
    def _log(self) -> Iterator[LogStream]:
        stream = self._cloud.logs.stream(
            self.log_group,
            f"{self.name}/{_HOST}-{int(time.time())}",
            client=self._role.client("logs"),
        )
        try:
            yield stream
        finally:
            close_log(stream)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        condition = self.request.get("StoppingCondition", {})
        seconds = condition.get("MaxRuntimeInSeconds", _MAX_RUNTIME_SECONDS)
        deadline = time.monotonic() + seconds
        while True:
            try:
                return process.wait(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                self._timed_out = time.monotonic() > deadline
            if self._timed_out or self._stop.is_set():
                return self._cloud.processes.stop(process, grace_seconds=self._grace_seconds)

    def _read_exit_message(self) -> str:
        return read_text(self.base / "output" / "message")


@contextlib.contextmanager
def _failing_as(prefix: str) -> Iterator[None]:
    """Give refusals of AWS services, and unusable files, the prefix that AWS gives them."""
    try:
        yield
    except (StorageError, ClientError, ImageNotFoundError, TrustError) as error:
        raise JobFailure(f"{prefix}: {error}") from error
    except archives.ArchiveError as error:
        raise JobFailure(f"{prefix}: {error}") from error


def _algorithm_error(text: str, code: int) -> str:
    ending = f", exit code: {code}"
    return f"AlgorithmError: {text}"[: _REASON_LENGTH - len(ending)] + ending


def read_text(path: Path) -> str:
    """First part of what a container wrote for a person; empty without."""
    if path.is_symlink() or not path.is_file():
        return ""  # a link could show a file of the machine
    with path.open("rb") as file:
        return file.read(_REASON_LENGTH).decode(errors="ignore").strip()


def write_json(path: Path, value: Any) -> None:
    """Write a file that the container reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))


def resource_configuration(instance_type: str) -> dict[str, Any]:
    """Content of ``resourceconfig.json`` of a job on one machine."""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type}
    return {
        "current_host": _HOST,
        "current_instance_type": instance_type,
        "current_group_name": group["instance_group_name"],
        "hosts": [_HOST],
        "instance_groups": [{**group, "hosts": [_HOST]}],
        "network_interface_name": "lo",
    }


def fetch(storage: Storage, source: Mapping[str, Any], folder: Path) -> None:
    """Fetch what an S3 data source names."""
    folder.mkdir(parents=True, exist_ok=True)
    if source["S3DataType"] == "ManifestFile":
        storage.download_manifest(source["S3Uri"], folder)
    else:
        storage.download_prefix(source["S3Uri"], folder)
