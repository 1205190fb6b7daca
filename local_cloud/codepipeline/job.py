"""What an action has to work with, and what it comes to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_cloud.codepipeline.artifacts import Artifact, Store, file_in
from local_cloud.codepipeline.declaration import Action
from local_cloud.iam import Credentials

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PRINCIPAL", "AbandonedError", "ActionError", "Approval", "Job", "Result", "Revision"]

PRINCIPAL = "codepipeline.amazonaws.com"
_POLL_SECONDS = 0.1


class ActionError(Exception):
    """An action failed: code and text for ``errorDetails``."""

    def __init__(self, message: str, code: str = "JobFailed") -> None:
        super().__init__(message)
        self.code = code


class AbandonedError(Exception):
    """The execution was stopped and does not wait for its actions."""


@dataclass(frozen=True)
class Revision:
    """What a source action found."""

    id: str
    summary: str = ""


@dataclass(frozen=True)
class Approval:
    """A person's answer."""

    status: str
    summary: str
    by: str


@dataclass
class Result:
    """What an action leaves."""

    variables: dict[str, str] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    summary: str = ""
    revision: Revision | None = None
    updated_by: str = ""


@dataclass
class Job:
    """One run of one action.

    Parameters
    ----------
    cloud, action
        The account, and what is declared.
    id
        Of the action's execution.
    pipeline, stage
        Names.
    role_arn
        Of the pipeline.
    configuration
        With every variable resolved.
    store, inputs
        Where artifacts go, and those that the action takes, the primary one first.
    revision
        Revision that the start of the execution asked of this source; empty without.
    note
        Called with the id and address of what the action has started elsewhere.
    abandoned
        Set when nobody waits for the action any more.
    """

    cloud: LocalCloud
    action: Action
    id: str
    pipeline: str
    stage: str
    role_arn: str
    configuration: Mapping[str, str]
    store: Store
    inputs: list[Artifact]
    revision: str
    note: Callable[[str, str], None]
    abandoned: threading.Event
    token: str = ""
    approval: Approval | None = None

    def client(self, service: str) -> Any:
        """boto3 client with the action's role, assumed by the pipeline's, or the pipeline's own."""
        source_arn = (
            f"arn:aws:codepipeline:{self.cloud.region}:{self.cloud.account_id}:{self.pipeline}"
        )
        if not self.action.role_arn:
            return self._pipeline_client(service, source_arn)
        keys = self._pipeline_client("sts", source_arn).assume_role(
            RoleArn=self.action.role_arn, RoleSessionName=self.id
        )["Credentials"]
        assumed = Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        return self.cloud.client_as(service, assumed)

    def _pipeline_client(self, service: str, source_arn: str) -> Any:
        return self.cloud.client(
            service, role_arn=self.role_arn, service_principal=PRINCIPAL, source_arn=source_arn
        )

    def required(self, name: str) -> str:
        """A value of the configuration that must be there."""
        value = self.configuration.get(name)
        if not value:
            raise ActionError(f"{name} is missing in the configuration", "ConfigurationError")
        return value

    def file(self, reference: str) -> bytes:
        """The file that ``<artifact>::<path>`` names."""
        name, separator, path = reference.partition("::")
        if not separator:
            raise ActionError(f"{reference!r}: <artifact>::<path> is needed", "ConfigurationError")
        return file_in(self.client("s3"), self.input(name), path)

    def input(self, name: str) -> Artifact:
        """An input artifact by its name."""
        for artifact in self.inputs:
            if artifact.name == name:
                return artifact
        raise ActionError(f"the action takes no artifact {name}", "ConfigurationError")

    def wait(self, look: Callable[[], Any], seconds: float | None = None) -> Any:
        """The first true value of `look`, asked ten times a second; ``None`` when time is over.

        Raises
        ------
        AbandonedError
            When nobody waits any more.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not (value := look()):
            if deadline is not None and time.monotonic() > deadline:
                return None
            if self.abandoned.wait(_POLL_SECONDS):
                raise AbandonedError
        return value
