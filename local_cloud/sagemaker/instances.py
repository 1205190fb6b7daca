"""One instance of an endpoint: a model container that runs, answers ``/ping``, and can die.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import http.client
import secrets
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from local_cloud.cloud import LocalCloud
from local_cloud.logs import LogStream
from local_cloud.sagemaker import archives
from local_cloud.sagemaker.containers import Container, close_log
from local_cloud.sagemaker.ports import Port
from local_cloud.sagemaker.registry import ServedModel
from local_cloud.server import HOST

__all__ = ["Instance", "Unhealthy", "Variant"]

#: From SIGTERM to SIGKILL.
_GRACE_SECONDS = 30.0
#: A container must answer a ping within two seconds.
_PING_TIMEOUT_SECONDS = 2.0
_PING_INTERVAL_SECONDS = 0.05
_LAST_LINES = 5


class Unhealthy(Exception):  # noqa: N818 - an outcome, with the text that AWS gives
    """The container did not answer its health check."""


@dataclass(frozen=True)
class Variant:
    """A production variant of an endpoint configuration, its model found.

    Parameters
    ----------
    name
        Its name.
    model
        The model.
    archive
        The model's ``model.tar.gz`` on this machine; ``None`` for a model without data.
    count
        How many instances.
    weight
        Share of the requests, relative to the other variants.
    startup_seconds
        How long a container may take until it answers ``/ping``.
    """

    name: str
    model: ServedModel
    archive: Path | None
    count: int
    weight: float
    startup_seconds: float


class Instance:
    """A model container as a real process.

    Parameters
    ----------
    cloud
        The account.
    endpoint_name
        Endpoint that it belongs to, for its logs.
    variant
        What it serves.
    folder
        Where its folder is made.
    """

    def __init__(
        self, cloud: LocalCloud, endpoint_name: str, variant: Variant, folder: Path
    ) -> None:
        self.id = f"i-{secrets.token_hex(9)[:17]}"
        self.variant = variant
        self._cloud = cloud
        self._port = Port()
        self._log_name = (f"/aws/sagemaker/Endpoints/{endpoint_name}", f"{variant.name}/{self.id}")
        self._place = folder / self.id
        self._process: subprocess.Popen[bytes] | None = None
        self._log: LogStream | None = None

    @property
    def port(self) -> int:
        """Port on the loopback address."""
        return self._port.number

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Unpack the model and start the container.

        Raises
        ------
        Unhealthy
            When the model's archive is damaged or hostile.
        """
        model = self.variant.model
        environment = {
            **model.environment,
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
            "SERVE_HOST": HOST,
        }
        container = Container(model.image, self._place, model.role, model.isolated, environment)
        folder = container.base / "model"
        if self.variant.archive is None:
            folder.mkdir(parents=True)
        else:
            _unpack(self.variant.archive, folder, model.model_data_url)
        self._log = self._cloud.logs.stream(*self._log_name, client=model.role.client("logs"))
        self._process = container.start(
            ["serve"], stdout=self._log, name=f"endpoint instance {self.id}"
        )

    def wait_until_healthy(self, cancelled: threading.Event) -> None:
        """Return when ``/ping`` answers 200.

        Raises
        ------
        Unhealthy
            When it does not within the variant's time, or the container has ended, or the wait was
            cancelled.
        """
        deadline = time.monotonic() + self.variant.startup_seconds
        while not self._pings():
            if cancelled.wait(_PING_INTERVAL_SECONDS):
                raise Unhealthy("The endpoint was deleted while it was being created.")
            if not self.alive:
                raise self._unhealthy(f"The container ended with {self._ending()}.")
            if time.monotonic() > deadline:
                seconds = self.variant.startup_seconds
                raise self._unhealthy(f"It did not answer GET /ping with 200 in {seconds:g} s.")

    def stop(self) -> None:
        """End the process, SIGKILL after the grace; then its port and folder are free again."""
        if self._process is not None:
            grace_seconds = _GRACE_SECONDS * self._cloud.wait_factor
            self._cloud.processes.stop(self._process, grace_seconds=grace_seconds)
        if self._log is not None:
            close_log(self._log)
        self._port.release()
        shutil.rmtree(self._place, ignore_errors=True)

    def _pings(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_PING_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _ending(self) -> str:
        code = self._process.poll() if self._process is not None else None
        if code is None or code >= 0:
            return f"exit code {code}"
        return signal.Signals(-code).name

    def _unhealthy(self, why: str) -> Unhealthy:
        group, stream = self._log_name
        if self._log is not None and not self.alive:
            close_log(self._log)  # so that its last lines have arrived
        return Unhealthy(
            f"The primary container for production variant {self.variant.name} did not pass the "
            f"ping health check. Please check CloudWatch logs for this endpoint. {why} Last lines "
            f"of {group} {stream}: {self._last_lines()}"
        )

    def _last_lines(self) -> str:
        path = self._cloud.logs.path(*self._log_name)
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            return "(none)"
        said = [line.strip() for line in lines if line.strip()]
        return " | ".join(said[-_LAST_LINES:]) or "(none)"


def _unpack(archive: Path, folder: Path, url: str) -> None:
    try:
        archives.unpack(archive, folder)
    except archives.ArchiveError as error:
        raise Unhealthy(
            f'Failed to extract model data archive from URL "{url}". Please ensure that the object '
            f"located at the URL is a valid tar.gz archive. ({error})"
        ) from error
