"""The raw files as one table of text, whatever their format.

Everything becomes text first, also what Parquet stores as numbers. So a value has one spelling,
the same rules decide about columns of both formats, and the same row falls on the same side of the
split wherever it was stored. A number survives: DuckDB writes the shortest text that reads back as
the same one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ibis
import ibis.expr.types as ir

from mlsystem.data.engine import Engine
from mlsystem.data.files import RawFile, RawFiles
from mlsystem.data.functions import trim
from mlsystem.data.wording import listed
from mlsystem.errors import DataError
from mlsystem.settings import Data

__all__ = [
    "Source",
    "Staged",
    "column_ids",
    "require_different",
    "require_same_names",
    "stage",
]

# Whatever the engine reads as NaN: it is a missing value in every format.
_NAN = r"[+-]?(?i:nan)(\(.*\))?"


class Source(Protocol):
    """Raw files whose columns are known and whose rows are not read yet."""

    raw: RawFiles
    names: tuple[str, ...]
    """Of the columns, in the order of the first file."""

    def stage(self, engine: Engine, folder: Path) -> Staged:
        """Return all rows, parsed once and kept as Parquet in `folder`.

        Raises
        ------
        DataError
            Some of them cannot be read, or there are none.
        """

    def place(self, file: RawFile, index: int) -> str:
        """Return where in `file` its row `index` (from 0) is, for a message."""


@dataclass(frozen=True)
class Staged:
    """The rows of all files.

    Parameters
    ----------
    table
        ``row`` (int64, from 0, in the order of the files), then a text column for each of the
        source's, named by :func:`column_ids`; without spaces around, NULL when missing.
    source
        Where they came from.
    rows
        Number of rows in each file.
    notes
        What was unusual.
    """

    table: ir.Table
    source: Source
    rows: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Number of rows in all files."""
        return sum(self.rows)

    def place(self, row: int) -> str:
        """Return file and line of the row numbered `row`."""
        for file, n_rows in zip(self.source.raw.files, self.rows, strict=True):
            if row < n_rows:
                return self.source.place(file, row)
            row -= n_rows
        raise IndexError(row)


def column_ids(names: Sequence[str]) -> tuple[str, ...]:
    """Return what the columns called `names` are called inside.

    People's names may hold anything, or clash with ours: they come back when the prepared files
    are written.
    """
    return tuple(f"c{position}" for position in range(len(names)))


def stage(
    raw: ir.Table, columns: Sequence[str], data: Data, engine: Engine, folder: Path
) -> ir.Table:
    """Return the table of :class:`Staged` made of the text `columns` of `raw`, and all others."""
    others = [name for name in raw.columns if name not in columns]
    # As a pattern, because the engine turns a long IN into a join, one for each column.
    missing = f"^({'|'.join([_NAN, '', *map(re.escape, data.null_values)])})$"
    trimmed = raw.select(*others, **{column: trim(raw[column]) for column in columns})
    present = {
        column: trimmed[column].re_search(missing).ifelse(ibis.null(str), trimmed[column])
        for column in columns
    }
    path = folder / "staged.parquet"
    engine.write_parquet(trimmed.select(*others, **present), path)
    return engine.read_parquet([path], file_row_number=True).rename(row="file_row_number")


# --- names --------------------------------------------------------------------------------------


def require_different(names: Sequence[str], where: str, hint: str = "") -> None:
    """Raise DataError when two of the columns' `names` are the same but for their case."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(name.casefold(), position)
        if first != position:
            called = repr(name) if names[first] == name else f"{names[first]!r} and {name!r}"
            raise DataError(
                where, f"columns {first + 1} and {position + 1} are called {called}",
                "names that differ, and not only in case", f"Rename one of them{hint}",
            )  # fmt: skip


def require_same_names(
    file: RawFile, names: Sequence[str], first: RawFile, expected: Sequence[str]
) -> None:
    """Raise DataError unless `file` has the columns of the `first` one, in its order."""
    if tuple(names) == tuple(expected):
        return
    missing = [f"no {name!r}" for name in expected if name not in names]
    extra = [f"also {name!r}" for name in names if name not in expected]
    found = listed(missing + extra) or f"another order ({listed(names)})"
    raise DataError(
        file.name, f"other columns than in {first.name}: {found}", "the same in every file",
        "Make the files alike",
    )  # fmt: skip
