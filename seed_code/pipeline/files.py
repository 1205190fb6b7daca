"""Digests of files: the same for the same paths, contents and rights to run, wherever they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["below", "digest"]

_MADE_BY_RUNNING = {".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".hypothesis"}


def below(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, without what running its programs leaves there."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _MADE_BY_RUNNING)
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            yield Path(parent) / name


def digest(root: Path, paths: Iterable[Path]) -> str:
    """Return the SHA-256, hexadecimal, of the files `paths` with their paths below `root`."""
    lines = sorted(f"{path.relative_to(root).as_posix()}\0{_identity(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _identity(path: Path) -> str:
    if path.is_symlink():
        return f"link\0{path.readlink()}"
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{'program' if os.access(path, os.X_OK) else 'file'}\0{content}"
