"""A container of SageMaker: an image's command as a process with SageMaker's environment."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.images import Image
from local_cloud.logs import LogStream
from local_cloud.sagemaker.roles import Role

__all__ = ["Container", "close_log"]

#: A process that left its container's process group may hold the log open; that long we wait.
_LOG_CLOSE_SECONDS = 5.0


@dataclass(frozen=True)
class Container:
    """What runs, where, and with whose permissions.

    Parameters
    ----------
    image
        The image.
    place
        Folder of this container: ``ml`` stands for ``/opt/ml``, ``home`` and ``tmp`` for those.
    role
        Role whose credentials the code gets; none with network isolation, as on AWS.
    isolated
        Whether network isolation is on.
    environment
        The request's and the platform's variables; they win over the image's.
    """

    image: Image
    place: Path
    role: Role
    isolated: bool
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> Path:
        """Folder that stands for ``/opt/ml``."""
        return self.place / "ml"

    def start(
        self,
        arguments: Sequence[str],
        *,
        stdout: Any,
        name: str,
        entrypoint: Sequence[str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the container's process."""
        for folder in ("home", "tmp", "ml"):
            (self.place / folder).mkdir(parents=True, exist_ok=True)
        return self.role.cloud.processes.spawn(
            self.image.command(arguments, entrypoint=entrypoint),
            cwd=self.image.workdir,
            env=self._environment(),
            stdout=stdout,
            name=name,
        )

    def _environment(self) -> dict[str, str]:
        region = self.role.cloud.region
        platform = {
            "HOME": str(self.place / "home"),
            "TMPDIR": str(self.place / "tmp"),
            "SAGEMAKER_BASE_DIR": str(self.base),
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        credentials = {} if self.isolated else self.role.environment()
        return {**self.image.environment(), **credentials, **self.environment, **platform}


def close_log(log: LogStream) -> None:
    """Wait for a container's last lines, but not for ever."""
    closer = threading.Thread(target=log.close, name="close log", daemon=True)
    closer.start()
    closer.join(_LOG_CLOSE_SECONDS)
