"""One build: its phases in order, each with a status, and what it leaves.

Sources: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases,
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import events
from local_cloud.codebuild.buildspec import PHASES, Artifacts, Buildspec, Phase, parse
from local_cloud.codebuild.machine import Machine
from local_cloud.codebuild.shell import Shell
from local_cloud.errors import LocalCloudError, TrustError
from local_cloud.logs import LogStream

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PRINCIPAL", "Build", "Place"]

PRINCIPAL = "codebuild.amazonaws.com"
_GRACE_SECONDS = 5.0


class _StepError(Exception):
    """A phase failed: code and text of its context."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _EndError(Exception):
    """The build ends here: stopped, or out of time."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Place:
    """An archive in S3."""

    bucket: str
    key: str


@dataclass
class _Phase:
    kind: str
    started: dt.datetime
    status: str = ""
    ended: dt.datetime | None = None
    context: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"phaseType": self.kind, "startTime": self.started}
        if self.ended is not None:
            answer["phaseStatus"] = self.status
            answer["endTime"] = self.ended
            answer["durationInSeconds"] = int((self.ended - self.started).total_seconds())
            answer["contexts"] = [self.context] if self.context else []
        return answer


@dataclass
class Build:
    """A build, from its start to its end.

    Parameters
    ----------
    cloud
        The account.
    id, number
        ``<project>:<uuid>``, and how many builds the project had.
    project
        The project as it was when the build started, in the words of the API.
    source, secondary_sources
        Archives that are unpacked into the source folders.
    artifacts, secondary_artifacts
        Where the archives of what the build leaves go.
    buildspec
        Text, or the path of a file in the source.
    variables
        Environment of the project and of the start of the build.
    initiator
        Who started it.
    """

    cloud: LocalCloud
    id: str
    number: int
    project: Mapping[str, Any]
    source: Place | None
    secondary_sources: Mapping[str, Place]
    artifacts: Place | None
    secondary_artifacts: Mapping[str, Place]
    buildspec: str
    variables: Mapping[str, str]
    initiator: str
    source_version: str = ""
    status: str = "IN_PROGRESS"
    exported: dict[str, str] = field(default_factory=dict)
    started: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    ended: dt.datetime | None = None

    def __post_init__(self) -> None:
        self._phases: list[_Phase] = []
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = time.monotonic() + 60 * self.project["timeoutInMinutes"]
        self._thread = threading.Thread(target=self._run, name=f"build {self.id}", daemon=True)

    # ---------------------------------------------------------------- from outside

    def start(self) -> None:
        """Let it run behind the caller's back."""
        self._pass("SUBMITTED")
        self._thread.start()

    def stop(self) -> None:
        """End it; its status becomes STOPPED soon."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            self.cloud.processes.stop(process, grace_seconds=_GRACE_SECONDS)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    @property
    def arn(self) -> str:
        """ARN of the build."""
        return f"arn:aws:codebuild:{self.cloud.region}:{self.cloud.account_id}:build/{self.id}"

    def describe(self) -> dict[str, Any]:
        """The build in the words of BatchGetBuilds."""
        group, stream = self._log_names()
        prefix = f"arn:aws:logs:{self.cloud.region}:{self.cloud.account_id}:log-group"
        artifacts = {}
        if self.artifacts:
            artifacts["location"] = f"arn:aws:s3:::{self.artifacts.bucket}/{self.artifacts.key}"
        return {
            "id": self.id,
            "arn": self.arn,
            "buildNumber": self.number,
            "startTime": self.started,
            "endTime": self.ended,
            "currentPhase": self._phases[-1].kind,
            "buildStatus": self.status,
            "buildComplete": self.ended is not None,
            "projectName": self.project["name"],
            "phases": [phase.describe() for phase in list(self._phases)],
            "source": self.project["source"],
            "sourceVersion": self.source_version or None,
            "artifacts": artifacts,
            "environment": self.project["environment"],
            "serviceRole": self.project["serviceRole"],
            "timeoutInMinutes": self.project["timeoutInMinutes"],
            "initiator": self.initiator,
            "logs": {
                "groupName": group,
                "streamName": stream,
                "cloudWatchLogsArn": f"{prefix}:{group}:log-stream:{stream}",
            },
            "exportedEnvironmentVariables": [
                {"name": name, "value": value} for name, value in self.exported.items()
            ],
        }

    # ---------------------------------------------------------------- its life

    def _run(self) -> None:
        status, machine = "FAULT", None
        try:
            self._pass("QUEUED")
            with self._phase("PROVISIONING"):
                machine = Machine(self._folder(), self.cloud.root / "docker")
                self._credentials()  # who cannot assume the role gets no log either
            with self._open_log() as log:
                status = self._work(machine, log)
        except _EndError as error:
            status = error.status
        except _StepError:
            status = "FAILED"
        except TrustError as error:  # the role went away between two phases
            status = "FAILED"
            self._phases[-1].status = "FAILED"
            self._phases[-1].context = {"statusCode": "ACCESS_DENIED", "message": str(error)}
        finally:
            if machine is not None:
                machine.remove()
            self._pass("FINALIZING")
            self._finish(status)

    def _work(self, machine: Machine, log: LogStream) -> str:
        """Status of the build after its phases."""
        with self._phase("DOWNLOAD_SOURCE", log):
            self._download(machine)
            buildspec = self._read_buildspec(machine.source)
            machine.choose_python()
        environment = self._environment(machine, buildspec)
        shell = Shell(machine.scripts, buildspec.shell, machine.source)
        self._note_python(buildspec, log)
        is_good = True
        for name in PHASES:
            succeeding = {"CODEBUILD_BUILD_SUCCEEDING": str(int(is_good))}
            commands = partial(self._run_commands, shell, environment, succeeding, log)
            try:
                with self._phase(name.upper(), log), _lock(machine, name):
                    self._run_phase(buildspec.phases.get(name), commands)
            except _StepError:
                is_good = False
                if not buildspec.phases[name].goes_on:
                    return "FAILED"
        found = shell.exported(environment)
        self.exported = {name: found.get(name, "") for name in buildspec.exported}
        with self._phase("UPLOAD_ARTIFACTS", log):
            self._make_report_groups(buildspec)
            self._upload(buildspec, machine.source)
        return "SUCCEEDED" if is_good else "FAILED"

    def _finish(self, status: str) -> None:
        self.ended = dt.datetime.now(dt.UTC)
        self._phases.append(_Phase("COMPLETED", self.ended))
        self.status = status
        detail = {
            "build-status": status,
            "project-name": self.project["name"],
            "build-id": self.arn,
            "version": "1",
        }
        kind = "CodeBuild Build State Change"
        events.emit(self.cloud, "aws.codebuild", kind, detail, [self.arn])

    # ---------------------------------------------------------------- phases

    def _pass(self, kind: str) -> None:
        now = dt.datetime.now(dt.UTC)
        self._phases.append(_Phase(kind, now, "SUCCEEDED", now))

    @contextlib.contextmanager
    def _phase(self, kind: str, log: LogStream | None = None) -> Iterator[None]:
        phase = _Phase(kind, dt.datetime.now(dt.UTC))
        self._phases.append(phase)
        say = log.write if log is not None else _nobody
        say(f"[Container] Entering phase {kind}\n")
        try:
            self._look()
            yield
            phase.status = "SUCCEEDED"
        except _EndError as error:
            phase.status = error.status
            raise
        except _StepError as error:
            phase.status = "FAILED"
            phase.context = {"statusCode": error.code, "message": str(error)}
            raise
        except (LocalCloudError, ClientError, BotoCoreError, OSError) as error:
            phase.status = "FAILED"
            phase.context = {"statusCode": _CODES.get(kind, "CLIENT_ERROR"), "message": str(error)}
            raise _StepError("", str(error)) from error
        except Exception as error:  # a defect of ours: the build must say so too
            phase.status = "FAULT"
            phase.context = {"statusCode": "INTERNAL_ERROR", "message": repr(error)}
            raise
        finally:
            phase.ended = dt.datetime.now(dt.UTC)
            reason = f": {phase.context['message']}" if phase.context else ""
            say(f"[Container] Phase complete: {kind} State: {phase.status}{reason}\n")

    def _look(self) -> None:
        if self._stopping.is_set():
            raise _EndError("STOPPED")
        if time.monotonic() > self._deadline:
            raise _EndError("TIMED_OUT")

    def _run_phase(self, phase: Phase | None, run: Callable[[tuple[str, ...]], None]) -> None:
        if phase is None:
            return
        try:
            run(phase.commands)
        finally:
            if not self._stopping.is_set():
                run(phase.finally_)

    def _run_commands(
        self,
        shell: Shell,
        environment: Mapping[str, str],
        variables: Mapping[str, str],
        log: LogStream,
        commands: tuple[str, ...],
    ) -> None:
        if not commands:
            return
        self._process = self.cloud.processes.spawn(
            shell.script(commands, variables),
            cwd=self._folder(),
            env=environment,
            stdout=log,
            name=f"build {self.id}",
        )
        try:
            code = self._process.wait(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            self.cloud.processes.stop(self._process, grace_seconds=_GRACE_SECONDS)
            raise _EndError("TIMED_OUT") from error
        self._look()
        if code:
            command = commands[shell.command_at()].strip()
            raise _StepError(
                "COMMAND_EXECUTION_ERROR",
                f"Error while executing command: {command}. Reason: exit status {code}",
            )

    # ---------------------------------------------------------------- what it works with

    def _folder(self) -> Path:
        return self.cloud.root / "codebuild" / self.id.replace(":", "/")

    def _project_arn(self) -> str:
        return self.arn.rpartition(":")[0].replace(":build/", ":project/")

    def _credentials(self) -> Any:
        return self.cloud.credentials(
            self.project["serviceRole"], PRINCIPAL, source_arn=self._project_arn()
        )

    def _client(self, service: str) -> Any:
        return self.cloud.client(
            service,
            role_arn=self.project["serviceRole"],
            service_principal=PRINCIPAL,
            source_arn=self._project_arn(),
        )

    def _log_names(self) -> tuple[str, str]:
        logs = self.project.get("logsConfig", {}).get("cloudWatchLogs", {})
        name, _, uuid = self.id.partition(":")
        stream = f"{logs['streamName']}/{uuid}" if logs.get("streamName") else uuid
        return logs.get("groupName") or f"/aws/codebuild/{name}", stream

    def _open_log(self) -> LogStream:
        return self.cloud.logs.stream(*self._log_names(), client=self._client("logs"))

    def _environment(self, machine: Machine, buildspec: Buildspec) -> dict[str, str]:
        credentials = self._credentials()
        group, stream = self._log_names()
        own = {
            **self.cloud.environment(),
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            "CI": "true",
            "CODEBUILD_BUILD_ARN": self.arn,
            "CODEBUILD_BUILD_ID": self.id,
            "CODEBUILD_BUILD_IMAGE": self.project["environment"]["image"],
            "CODEBUILD_BUILD_NUMBER": str(self.number),
            "CODEBUILD_INITIATOR": self.initiator,
            "CODEBUILD_LOG_PATH": f"{group}/{stream}",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": self.source_version,
            "CODEBUILD_SOURCE_VERSION": self.source_version,
            "CODEBUILD_SRC_DIR": str(machine.source),
            "CODEBUILD_START_TIME": str(int(self.started.timestamp() * 1000)),
            **{
                f"CODEBUILD_SRC_DIR_{name}": str(_beside(machine.source, name))
                for name in self.secondary_sources
            },
        }
        return machine.environment({**buildspec.variables, **self.variables, **own})

    def _download(self, machine: Machine) -> None:
        places = {
            **({machine.source: self.source} if self.source else {}),
            **{
                _beside(machine.source, name): place
                for name, place in self.secondary_sources.items()
            },
        }
        for folder, place in places.items():
            folder.mkdir(exist_ok=True)
            answer = self._client("s3").get_object(Bucket=place.bucket, Key=place.key)
            _unpack(answer["Body"].read(), folder, f"s3://{place.bucket}/{place.key}")

    def _read_buildspec(self, source: Path) -> Buildspec:
        text = self.buildspec
        if "\n" not in text:
            path = source / (text or "buildspec.yml")
            if not path.is_file():
                raise _StepError("YAML_FILE_ERROR", f"YAML file does not exist: {path.name}")
            text = path.read_text()
        return parse(text)

    @staticmethod
    def _note_python(buildspec: Buildspec, log: LogStream) -> None:
        here = ".".join(str(part) for part in sys.version_info[:2])
        if buildspec.python and buildspec.python not in {here, "latest"}:
            log.write(
                f"[Container] runtime-versions: Python {here} of this machine stands for"
                f" {buildspec.python}\n"
            )

    def _make_report_groups(self, buildspec: Buildspec) -> None:
        client = self._client("codebuild")
        for name in buildspec.report_groups:
            if name.startswith("arn:"):
                continue  # one that somebody else has made
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_report_group(
                    name=f"{self.project['name']}-{name}",
                    type="TEST",
                    exportConfig={"exportConfigType": "NO_EXPORT"},
                )

    def _upload(self, buildspec: Buildspec, source: Path) -> None:
        if self.artifacts is not None:
            if buildspec.artifacts is None:
                raise _StepError("CLIENT_ERROR", "no definition for artifacts in the buildspec")
            self._put(buildspec.artifacts, source, self.artifacts)
        for name, place in self.secondary_artifacts.items():
            if name not in buildspec.secondary_artifacts:
                text = f"no definition for secondary artifact {name} in the buildspec"
                raise _StepError("CLIENT_ERROR", text)
            self._put(buildspec.secondary_artifacts[name], source, place)

    def _put(self, artifacts: Artifacts, source: Path, place: Place) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, name in artifacts.paths(source):
                archive.write(path, name)
        key = self.project.get("encryptionKey")
        options = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self._client("s3").put_object(
            Bucket=place.bucket, Key=place.key, Body=content.getvalue(), **options
        )


#: Phase -> code of its context where a service or the machine refused something.
_CODES = {
    "DOWNLOAD_SOURCE": "YAML_FILE_ERROR",
    "PROVISIONING": "ACCESS_DENIED",
    "UPLOAD_ARTIFACTS": "CLIENT_ERROR",
}


def _lock(machine: Machine, phase: str) -> contextlib.AbstractContextManager[None]:
    """Builds that share a Python install one after the other."""
    return machine.installing() if phase == "install" else contextlib.nullcontext()


_nobody: Callable[[str], object] = len


def _beside(source: Path, name: str) -> Path:
    return source.with_name(f"src-{hashlib.sha256(name.encode()).hexdigest()[:8]}")


def _unpack(content: bytes, folder: Path, where: str) -> None:
    """Unpack an archive with its modes; a name that leads out of the folder is refused."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise _StepError("CLIENT_ERROR", f"{where} is no ZIP archive: {error}") from error
    with archive:
        for entry in archive.infolist():
            path = folder / entry.filename
            if not path.resolve().is_relative_to(folder.resolve()):
                raise _StepError("CLIENT_ERROR", f"{where}: {entry.filename!r} leads out of it")
            archive.extract(entry, folder)
            mode = entry.external_attr >> 16 & 0o777
            if mode and not entry.is_dir():
                os.chmod(path, mode | 0o600)  # noqa: PTH101
