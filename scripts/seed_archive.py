"""The seed code as an archive, and the version of what is published."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from scripts.errors import ScriptError

__all__ = ["LIMIT_BYTES", "archive", "version_of"]

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-codecommit-repository-code.html
LIMIT_BYTES = 20 * 1024 * 1024
#: What tools leave behind; everything else below seed_code/ is published.
EXCLUDED = (
    ".*_cache", ".DS_Store", ".git", ".hypothesis", ".ipynb_checkpoints", ".local", ".venv",
    "*.egg-info", "*.pyc", "__pycache__", "cdk.out", "node_modules",
)  # fmt: skip
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_VERSION_LENGTH = 12
_EXECUTABLE = 0o100


def archive(folder: Path, limit: int = LIMIT_BYTES) -> bytes:
    """A zip file of a folder: the same bytes for the same content, whenever it is made.

    Raises
    ------
    ScriptError
        When it holds a symbolic link, is empty, or makes more than `limit` bytes.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, mode, data in _files(folder):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where it is made on Windows
            entry.external_attr = mode << 16
            target.writestr(entry, data)
    size = content.tell()
    if size > limit:
        raise ScriptError(
            str(folder),
            f"the archive has {size:,} bytes; the largest file is {_largest(folder)}",
            f"CodeCommit takes at most {limit:,}",
            "Move data to the data bucket, or delete the file",
        )
    return content.getvalue()


def version_of(template: str, folder: Path) -> str:
    """The version of a template and its seed code: a digest of their content.

    It is not a digest of the archive, whose bytes change with the compression library.
    """
    digest = hashlib.sha256()
    for name, mode, data in [("", 0, template.encode()), *_files(folder)]:
        digest.update(f"{name}\0{mode:o}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:_VERSION_LENGTH]


def _files(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    paths = sorted(_paths(folder), key=lambda path: path.relative_to(folder).as_posix())
    if not paths:
        raise ScriptError(str(folder), "no files", "the seed code of projects is required")
    for path in paths:
        mode = 0o100755 if path.stat().st_mode & _EXECUTABLE else 0o100644
        yield path.relative_to(folder).as_posix(), mode, path.read_bytes()


def _paths(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if any(fnmatch(part, each) for part in path.relative_to(folder).parts for each in EXCLUDED):
            continue
        if path.is_symlink():
            raise ScriptError(
                str(path), "a symbolic link", "the archive has files only", "Put the file there"
            )
        if path.is_file():
            yield path


def _largest(folder: Path) -> str:
    path = max(_paths(folder), key=lambda each: each.stat().st_size)
    return f"{path.relative_to(folder).as_posix()} ({path.stat().st_size:,} bytes)"
