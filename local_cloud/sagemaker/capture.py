"""Data capture: a share of an endpoint's requests and answers, kept in S3 as SageMaker keeps them.

Lines of JSON are gathered for a minute, or until there are many, and stored with the role of the
model under ``<destination>/<endpoint>/<variant>/<year>/<month>/<day>/<hour>/``.

Source:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.sagemaker.roles import Role
from local_cloud.sagemaker.storage import Storage, StorageError

__all__ = ["Capture", "Exchange", "describe"]

_WHOLE = 100
#: As many lines are stored at once, at the most.
_MOST_LINES = 1_000
_MODES = {"Input": ("Input",), "Output": ("Output",), "InputAndOutput": ("Input", "Output")}


@dataclass(frozen=True)
class Exchange:
    """A request and its answer.

    Parameters
    ----------
    variant
        Who answered.
    content_types, bodies
        Of the request and of the answer.
    inference_id, custom_attributes
        What the caller says about the request; may be empty.
    """

    variant: str
    content_types: tuple[str, str]
    bodies: tuple[bytes, bytes]
    inference_id: str = ""
    custom_attributes: str = ""


class Capture:
    """What one endpoint configuration captures.

    Parameters
    ----------
    cloud
        The account.
    endpoint_name
        The endpoint.
    config
        ``DataCaptureConfig``; capture may be turned off in it.
    roles
        Variant -> role of its model.
    folder
        Where files are made before they are stored.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        endpoint_name: str,
        config: Mapping[str, Any],
        roles: Mapping[str, Role],
        folder: Path,
    ) -> None:
        self._cloud = cloud
        self._endpoint_name = endpoint_name
        self._roles = roles
        self._folder = folder
        self._is_on = bool(config.get("EnableCapture", False))
        self._share = config["InitialSamplingPercentage"] / _WHOLE
        self._destination = str(config["DestinationS3Uri"]).rstrip("/")
        self._key = config.get("KmsKeyId")
        options = [option["CaptureMode"] for option in config["CaptureOptions"]]
        self._modes = {mode for option in options for mode in _MODES[option]}
        types = config.get("CaptureContentTypeHeader") or {}
        self._encodings = {
            **dict.fromkeys(types.get("CsvContentTypes", []), "CSV"),
            **dict.fromkeys(types.get("JsonContentTypes", []), "JSON"),
        }
        self._lock = threading.Lock()
        self._lines: dict[str, list[str]] = {}
        self._timer: threading.Timer | None = None

    def take(self, exchange: Exchange) -> None:
        """Keep an exchange, or not, as the share of the captured requests decides."""
        if not self._is_on or exchange.variant not in self._roles:  # a variant that has gone
            return
        if random.random() >= self._share:  # noqa: S311 - a sample
            return
        line = json.dumps(self._record(exchange))
        with self._lock:
            lines = self._lines.setdefault(exchange.variant, [])
            lines.append(line)
            is_full = len(lines) >= _MOST_LINES
            if self._timer is None and not is_full:
                self._timer = threading.Timer(self._cloud.metrics.minute_seconds, self.store)
                self._timer.daemon = True
                self._timer.start()
        if is_full:
            self.store()

    def store(self) -> None:
        """Store what was gathered."""
        with self._lock:
            gathered, self._lines = self._lines, {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for variant, lines in gathered.items():
            self._store(variant, lines)

    def _store(self, variant: str, lines: Sequence[str]) -> None:
        now = dt.datetime.now(dt.UTC)
        name = f"{now:%M-%S}-{now.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
        place = f"{self._endpoint_name}/{variant}/{now:%Y/%m/%d/%H}"
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            storage = Storage(self._roles[variant])
            storage.upload_file(path, f"{self._destination}/{place}/{name}", self._key)
        except (StorageError, LocalCloudError, OSError) as error:
            self._log(variant, f"{len(lines)} records were not captured: {error}")
        finally:
            path.unlink(missing_ok=True)

    def _log(self, variant: str, text: str) -> None:
        """As on AWS, what goes wrong is in a log stream beside those of the containers."""
        group = f"/aws/sagemaker/Endpoints/{self._endpoint_name}"
        path = self._cloud.logs.path(group, f"{variant}/data-log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{dt.datetime.now(dt.UTC).isoformat()} {text}\n")

    # ---------------------------------------------------------------- records

    def _record(self, exchange: Exchange) -> dict[str, Any]:
        captured = {
            f"endpoint{mode}": self._side(mode, content_type, body)
            for mode, content_type, body in zip(
                ("Input", "Output"), exchange.content_types, exchange.bodies, strict=True
            )
            if mode in self._modes
        }
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
        if exchange.custom_attributes:
            metadata["customAttributes"] = [exchange.custom_attributes]
        if exchange.inference_id:
            metadata["inferenceId"] = exchange.inference_id
        metadata["inferenceTime"] = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}

    def _side(self, mode: str, content_type: str, body: bytes) -> dict[str, str]:
        encoding = self._encodings.get(content_type.partition(";")[0].strip(), "BASE64")
        if encoding == "BASE64":
            data = base64.b64encode(body).decode("ascii")
        else:
            data = body.decode(errors="replace")
        return {
            "observedContentType": content_type,
            "mode": mode.upper(),
            "data": data,
            "encoding": encoding,
        }


def describe(config: Mapping[str, Any]) -> dict[str, Any]:
    """``DataCaptureConfig`` of DescribeEndpoint."""
    is_on = config.get("EnableCapture", False)
    return {
        "EnableCapture": is_on,
        "CaptureStatus": "Started" if is_on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
