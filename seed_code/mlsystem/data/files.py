"""Which files of a folder are data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

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
    """The data files of a folder, sorted by name, and a note about each other file."""

    format: Format
    files: tuple[RawFile, ...]
    notes: tuple[str, ...]


def find(folder: Path, format: Format | None) -> RawFiles:
    """Return the data files below `folder`; hidden files do not count.

    Parameters
    ----------
    folder
        Searched with all its subfolders.
    format
        What to look for; ``None`` to tell by the endings.

    Raises
    ------
    DataError
        The folder cannot be read or has no data file, or both formats and `format` is ``None``,
        or a data file is empty.
    """
    visible = _visible_files(folder)
    by_format = {
        known: tuple(file for file in visible if file.name.lower().endswith(_ENDINGS[known]))
        for known in get_args(Format)
    }
    found = _choose(folder, by_format, format)
    if not by_format[found]:
        others = f"only {_listed(visible)}" if visible else "no file"
        endings = " or ".join(_ENDINGS[format] if format else sum(_ENDINGS.values(), ()))
        raise DataError(str(folder), others, f"files that end in {endings}", "Add the data")
    for file in by_format[found]:
        if file.path.stat().st_size == 0:
            raise DataError(
                file.name, "0 bytes", "a line of names and lines of values",
                "Upload it again, or remove it",
            )  # fmt: skip
    ignored = tuple(file for file in visible if file not in by_format[found])
    notes = (f"not data, ignored: {_listed(ignored)}",) if ignored else ()
    return RawFiles(found, by_format[found], notes)


def _visible_files(folder: Path) -> tuple[RawFile, ...]:
    def refuse(error: OSError) -> None:
        raise DataError(
            str(error.filename), error.strerror or str(error), "a readable folder of data files"
        ) from error

    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(folder.absolute(), onerror=refuse)
        for name in names
    ]
    files = (RawFile(path.relative_to(folder.absolute()).as_posix(), path) for path in paths)
    return tuple(sorted((file for file in files if not _is_hidden(file)), key=lambda f: f.name))


def _is_hidden(file: RawFile) -> bool:
    return any(part.startswith(".") for part in file.name.split("/"))


def _choose(
    folder: Path, by_format: dict[Format, tuple[RawFile, ...]], format: Format | None
) -> Format:
    if format:
        return format
    present = [known for known, files in by_format.items() if files]
    if len(present) > 1:
        both = " and ".join(by_format[known][0].name for known in present)
        raise DataError(
            str(folder), f"CSV and Parquet files ({both})", "one format",
            "Set data/format in project.yml to the one that counts",
        )  # fmt: skip
    return present[0] if present else "csv"


def _listed(files: tuple[RawFile, ...]) -> str:
    names = ", ".join(file.name for file in files[:5])
    return names if len(files) <= 5 else f"{names} and {len(files) - 5} more"
