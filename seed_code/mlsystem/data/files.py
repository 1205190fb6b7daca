"""Which files of a folder are data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mlsystem.data.wording import listed
from mlsystem.errors import DataError

__all__ = ["Format", "RawFile", "RawFiles", "find"]

Format = Literal["csv", "parquet"]

_ENDINGS: dict[Format, tuple[str, ...]] = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)}


@dataclass(frozen=True)
class RawFile:
    """A data file; `name` is its path below the folder, as messages show it."""

    name: str
    path: Path


@dataclass(frozen=True)
class RawFiles:
    """The data files of a folder, sorted by name, and a note when there are other files."""

    format: Format
    files: tuple[RawFile, ...]
    notes: tuple[str, ...]


def find(folder: Path, wanted: Format | None) -> RawFiles:
    """Return the data files below `folder`; hidden files do not count.

    Parameters
    ----------
    folder
        Searched with all its subfolders.
    wanted
        The format to look for; ``None`` to tell by the endings.

    Raises
    ------
    DataError
        The folder cannot be read or has no data file, it has both formats and none is wanted, or a
        data file is empty.
    """
    visible = _visible_files(folder)
    by_format = {
        known: tuple(file for file in visible if file.name.lower().endswith(_ENDINGS[known]))
        for known in get_args(Format)
    }
    chosen = wanted or _only_format(folder, by_format)
    files = by_format[chosen]
    if not files:
        endings = (
            _ENDINGS[wanted] if wanted else [end for ends in _ENDINGS.values() for end in ends]
        )
        raise DataError(
            str(folder), f"only {_names(visible)}" if visible else "no file",
            f"files that end in {' or '.join(endings)}", "Add the data",
        )  # fmt: skip
    for file in files:
        _require_content(file)
    ignored = tuple(file for file in visible if file not in files)
    return RawFiles(chosen, files, (f"not data: {_names(ignored)}",) if ignored else ())


def _visible_files(folder: Path) -> tuple[RawFile, ...]:
    def refuse(error: OSError) -> None:
        raise DataError(
            str(error.filename), str(error.strerror), "a readable folder of data files"
        ) from error

    root = folder.absolute()
    paths = (
        Path(parent, name) for parent, _, names in os.walk(root, onerror=refuse) for name in names
    )
    files = (RawFile(path.relative_to(root).as_posix(), path) for path in paths)
    return tuple(sorted((file for file in files if not _is_hidden(file)), key=lambda f: f.name))


def _is_hidden(file: RawFile) -> bool:
    return any(part.startswith(".") for part in file.name.split("/"))


def _only_format(folder: Path, by_format: dict[Format, tuple[RawFile, ...]]) -> Format:
    present = [known for known, files in by_format.items() if files]
    if len(present) > 1:
        both = " and ".join(by_format[known][0].name for known in present)
        raise DataError(
            str(folder), f"CSV and Parquet files ({both})", "one format",
            "Set data/format in project.yml to the one that counts",
        )  # fmt: skip
    return present[0] if present else "csv"


def _require_content(file: RawFile) -> None:
    try:
        size = file.path.stat().st_size
    except OSError as error:
        raise DataError(file.name, str(error.strerror), "a readable file") from error
    if size == 0:
        raise DataError(file.name, "0 bytes", "rows of data", "Upload it again, or remove it")


def _names(files: tuple[RawFile, ...]) -> str:
    return listed([file.name for file in files])
