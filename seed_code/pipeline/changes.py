"""Whether there is something new to train on: code, settings or data that no release has had.

Documentation and tests are not code: a change to them changes no
model, so it trains none (docs/decisions/0020).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlsystem.artifacts import Artifact
from mlsystem.settings import Settings
from pipeline import files

__all__ = [
    "DOCUMENTATION",
    "Decision",
    "ReleaseInputs",
    "code_digest",
    "data_digest",
    "data_files",
    "decide",
    "settings_digest",
]

# At the top of the repository. Settings count as what they mean, not as their file's text; data, of
# the repository too, as what is in the bucket.
_NOT_CODE = {"data", "docs", "tests", "project.yml", "LICENSE"}
DOCUMENTATION = (".md", ".rst")


@dataclass(frozen=True)
class ReleaseInputs(Artifact):
    """What a release is made of, a digest each."""

    code: str
    settings: str
    data: str


@dataclass(frozen=True)
class Decision:
    """Whether to train, and why."""

    train: bool
    reason: str


def code_digest(root: Path, output: Path) -> str:
    """Return the digest of the repository's files at `root` that a model can depend on.

    `output`, which the build writes to, is not a part of the repository.
    """
    root, output = root.absolute(), output.absolute()
    return files.digest(root, [path for path in files.below(root) if _is_code(root, path, output)])


def _is_code(root: Path, path: Path, output: Path) -> bool:
    parts = path.relative_to(root).parts
    return not (
        parts[0] in _NOT_CODE
        or path.is_relative_to(output)
        or path.suffix in DOCUMENTATION
        or any(part.startswith(".") and part != ".dockerignore" for part in parts)
    )


def settings_digest(settings: Settings) -> str:
    """Return the digest of all settings, defaults included."""
    return hashlib.sha256(settings.to_json().encode()).hexdigest()


def data_files(s3: Any, bucket: str, prefix: str) -> list[list[Any]]:
    """Return name, size and entity tag of each object below `prefix`."""
    return [
        [item["Key"], item["Size"], item["ETag"]]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        for item in page.get("Contents", [])
    ]


def data_digest(listed: list[list[Any]]) -> str:
    """Return the digest of what :func:`data_files` found: not of contents."""
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def decide(inputs: ReleaseInputs, before: tuple[str, ReleaseInputs] | None) -> Decision:
    """Return whether `inputs` differ from those of the release `before`, the newest one trained."""
    if before is None:
        return Decision(train=True, reason="no release has been trained before")
    release, known = before
    changed = [
        part
        for part in ("code", "settings", "data")
        if getattr(inputs, part) != getattr(known, part)
    ]
    if changed:
        return Decision(train=True, reason=f"{', '.join(changed)} changed since release {release}")
    return Decision(train=False, reason=f"code, settings and data are those of release {release}")
