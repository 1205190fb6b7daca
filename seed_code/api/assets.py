"""A release's assets in an immutable folder of the file system, before anyone is sent to it.

===================== ==============================================================================
file                  is
===================== ==============================================================================
model.json            the model's contract
model.onnx            the model, as the contract's digest says
golden_requests.json  requests with the answers that ``evaluate`` computed
openapi.json          the API's document (:mod:`api.openapi`)
assets.json           SHA-256 of each of them
===================== ==============================================================================

The folder ``releases/<release>`` appears whole, by one renaming, or not at all. It goes when the
release's stack resource goes: a release is brought back by copying it again. Backs
``Custom::ReleaseAssets``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api import openapi
from api.aws import client
from api.custom_resource import Outcome, respond
from api.environment import AssetsEnvironment, read
from mlsystem import archive, artifacts
from mlsystem.artifacts import Artifact, GoldenRequests, ModelContract
from mlsystem.errors import ArtifactError, MLSystemError, UserError
from mlsystem.names import Names

__all__ = ["Assets", "Manifest", "handler"]

_ARCHIVE_FILES: Final = ("model.json", "model.onnx")
_GOLDEN: Final = "golden_requests.json"
_OPENAPI: Final = "openapi.json"
_MANIFEST: Final = "assets.json"
_RELEASES: Final = "releases"
_PHYSICAL_ID: Final = re.compile(rf"{_RELEASES}/([a-zA-Z0-9][a-zA-Z0-9-]*)")
_URL: Final = re.compile(r"s3://([^/]+)/(.+)")


@dataclass(frozen=True)
class Manifest(Artifact):
    """The files of a release's folder."""

    release: str
    files: dict[str, str]
    """SHA-256 by name."""


def handler(event: Mapping[str, Any], context: object) -> None:  # noqa: ARG001
    """Do what CloudFormation asks of a ``Custom::ReleaseAssets``, and tell it."""
    outcome = _outcome(event)
    facts = {"request": event["RequestType"], "id": outcome.physical_id, "reason": outcome.reason}
    print(json.dumps(facts))
    respond(event, outcome)


def _outcome(event: Mapping[str, Any]) -> Outcome:
    properties = event["ResourceProperties"]
    release = properties.get("Release", "")
    physical_id = event.get("PhysicalResourceId") or f"{_RELEASES}/{release}"
    try:
        assets = Assets(read(AssetsEnvironment, os.environ), client("s3"))
        if event["RequestType"] == "Delete":
            return assets.remove(physical_id)
        return assets.put(release, properties.get("ModelDataUrl", ""))
    except MLSystemError as error:
        return Outcome(physical_id, reason=str(error))
    except Exception as error:  # CloudFormation would wait an hour for a crash
        return Outcome(physical_id, reason=f"{type(error).__name__}: {error}")


class Assets:
    """The releases' folders.

    Parameters
    ----------
    s3
        Client of S3.
    """

    def __init__(self, environment: AssetsEnvironment, s3: Any) -> None:
        self._environment = environment
        self._s3 = s3
        self._releases = environment.assets_dir / _RELEASES

    def put(self, release: str, model_data_url: str) -> Outcome:
        """Return the release's folder, made of the model archive at `model_data_url`.

        A folder that is there and whole stays as it is; a damaged one is replaced.

        Raises
        ------
        ArtifactError
            The archive, the contract, the model or the golden requests cannot be used.
        UserError
            `release` or `model_data_url` cannot be one.
        """
        names = self._names(release)
        folder = self._releases / release
        if not _is_whole(folder):
            self._releases.mkdir(parents=True, exist_ok=True)
            self._clear(f".partial-{release}.")
            prefix = f".partial-{release}."
            with tempfile.TemporaryDirectory(prefix=prefix, dir=self._releases) as scratch:
                content = self._content(Path(scratch), names, model_data_url)
                self._place(content, folder)
        self._publish(folder, names)
        contract = artifacts.read(ModelContract, folder / "model.json")
        attributes = {"Folder": str(folder), "OnnxSha256": contract.onnx_sha256}
        return Outcome(f"{_RELEASES}/{release}", attributes)

    def remove(self, physical_id: str) -> Outcome:
        """Remove the folder of that id, if it is one of ours and there."""
        found = _PHYSICAL_ID.fullmatch(physical_id)
        if found:
            self._discard(self._releases / found[1])
            self._clear(f".removed-{found[1]}.")
        return Outcome(physical_id)

    def _names(self, release: str) -> Names:
        try:
            return Names(self._environment.project_key, release)
        except ValueError as error:
            raise UserError("Custom::ReleaseAssets#/Release", str(error), "a release id") from error

    def _content(self, scratch: Path, names: Names, model_data_url: str) -> Path:
        url = _URL.fullmatch(model_data_url)
        if not url:
            raise UserError(
                "Custom::ReleaseAssets#/ModelDataUrl", repr(model_data_url), "s3://<bucket>/<key>"
            )
        packed, content = scratch / "model.tar.gz", scratch / "content"
        self._download(url[1], url[2], packed)
        archive.extract(packed, content, names=_ARCHIVE_FILES)
        contract = artifacts.read(ModelContract, content / "model.json")
        _check_model(contract, content / "model.onnx")
        bucket = self._environment.data_bucket
        self._download(bucket, names.golden_requests_key, content / _GOLDEN)
        artifacts.read(GoldenRequests, content / _GOLDEN)
        document = openapi.document(
            contract,
            names.release,
            auth=self._environment.auth,
            max_instances=self._environment.max_instances,
        )
        (content / _OPENAPI).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        digests = {path.name: _digest(path) for path in sorted(content.iterdir())}
        artifacts.write(Manifest(names.release, digests), content / _MANIFEST)
        return content

    def _download(self, bucket: str, key: str, path: Path) -> None:
        found = self._s3.get_object(Bucket=bucket, Key=key)
        with found["Body"] as body, path.open("wb") as file:
            shutil.copyfileobj(body, file)

    def _place(self, content: Path, folder: Path) -> None:
        self._discard(folder)  # damaged, or not there
        try:
            content.rename(folder)
        except OSError:
            if not _is_whole(folder):  # unless another attempt was faster
                raise

    def _publish(self, folder: Path, names: Names) -> None:
        """Put the document where people find it."""
        self._s3.put_object(
            Bucket=self._environment.data_bucket,
            Key=f"{names.deployment_prefix}/{_OPENAPI}",
            Body=(folder / _OPENAPI).read_bytes(),
            ContentType="application/json",
        )

    def _discard(self, folder: Path) -> None:
        """Take `folder` away at once; what is slow comes after."""
        if not folder.exists():
            return
        removed = Path(tempfile.mkdtemp(prefix=f".removed-{folder.name}.", dir=self._releases))
        folder.rename(removed / "content")
        shutil.rmtree(removed)

    def _clear(self, prefix: str) -> None:
        """Remove what an attempt left behind that was stopped."""
        if self._releases.exists():
            for path in self._releases.iterdir():
                if path.name.startswith(prefix):
                    shutil.rmtree(path)


def _is_whole(folder: Path) -> bool:
    try:
        manifest = artifacts.read(Manifest, folder / _MANIFEST)
        found = {path.name: _digest(path) for path in folder.iterdir() if path.name != _MANIFEST}
    except (ArtifactError, OSError):
        return False
    return found == manifest.files


def _check_model(contract: ModelContract, path: Path) -> None:
    digest = _digest(path)
    if digest != contract.onnx_sha256:
        raise ArtifactError(
            path.name, f"SHA-256 {digest}", f"{contract.onnx_sha256}, as model.json says",
            "Deploy both files of one model",
        )  # fmt: skip


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
