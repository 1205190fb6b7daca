"""The raw files as one table of text, whatever their format.

Everything becomes text first, also what Parquet stores as numbers. So a value has one spelling,
the same rules decide about columns of both formats, and the same row falls on the same side of the
split wherever it was stored. A number survives: DuckDB writes the shortest text that reads back as
the same one.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import ibis
import ibis.expr.types as ir

from mlsystem.data.delimited import (
    REWRITTEN,
    Record,
    first_record,
    records,
    rewrite,
    sniff_delimiter,
)
from mlsystem.data.engine import Engine, is_exhausted
from mlsystem.data.files import RawFile, RawFiles
from mlsystem.errors import DataError
from mlsystem.settings import Data

__all__ = ["Source", "Staged", "column_id", "nearest", "open_source"]


# Whatever the engine reads as NaN: it is a missing value in every format.
_NAN = r"[+-]?(?i:nan)(\(.*\))?"


class Source(Protocol):
    """Raw files whose columns are known and whose rows are not read yet."""

    raw: RawFiles
    names: tuple[str, ...]
    """Of the columns, in the order of the first file."""

    def stage(self, engine: Engine, folder: Path) -> Staged:
        """Return all rows, parsed once and kept as Parquet in `folder`."""

    def place(self, file: RawFile, index: int) -> str:
        """Return where in `file` the row `index` (from 0) is, for a message."""


@dataclass(frozen=True)
class Staged:
    """The rows of all files.

    Parameters
    ----------
    table
        ``row`` (int64, from 0, in the order of the files), then a text column per raw column,
        named by :func:`column_id`; without spaces around, NULL when missing.
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


def column_id(position: int) -> str:
    """Return the name that the raw column at `position` has inside.

    Names of people's columns may hold anything, or clash with ours: they come back when the
    prepared files are written.
    """
    return f"c{position}"


def open_source(raw: RawFiles, data: Data, engine: Engine) -> Source:
    """Return the source that reads `raw` as `data` says.

    Raises
    ------
    DataError
        A file cannot be read, or the files' columns differ or have impossible names.
    """
    if raw.format == "parquet":
        return _ParquetSource(raw, data, engine)
    return _CsvSource(raw, data)


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a question after the one of `names` that was probably meant, or nothing."""
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}?" if close else ""


# --- CSV ----------------------------------------------------------------------------------------


class _CsvSource:
    def __init__(self, raw: RawFiles, data: Data) -> None:
        self.raw = raw
        self._data = data
        self._delimiter = data.delimiter or sniff_delimiter(raw.files[0])
        firsts = [first_record(file, self._delimiter) for file in raw.files]
        # The engine takes the first line for the header, so a file must begin with it.
        self._is_regular = all(first.last_line == 1 and not first.was_quoted for first in firsts)
        self.names = self._names(firsts[0].values)
        self._ids = [column_id(position) for position in range(len(self.names))]
        for file, first in zip(raw.files, firsts, strict=True):
            self._require_same_columns(file, first.values)

    def _names(self, values: Sequence[str]) -> tuple[str, ...]:
        where = f"{self.raw.files[0].name}:1"
        if len(values) < 2:
            raise DataError(
                where, "a single column", f"two or more, with {self._delimiter!r} between",
                "Correct data/delimiter in project.yml",
            )  # fmt: skip
        if self._data.header:
            names = _header(values)
        elif self._data.columns is None:
            names = tuple(f"column_{position}" for position in range(len(values)))
        else:
            names = self._data.columns
        if len(names) != len(values):
            raise DataError(
                where, f"{len(values):,} values", f"{len(names):,}, as many as data/columns names",
                "Correct data/columns in project.yml",
            )  # fmt: skip
        hint = ", or set data/header: false if the line is data" if self._data.header else ""
        _require_distinct(names, where, hint)
        return names

    def _require_same_columns(self, file: RawFile, values: Sequence[str]) -> None:
        first = self.raw.files[0].name
        if self._data.header:
            _require_equal(file, _header(values), first, self.names)
        elif len(values) != len(self.names):
            raise DataError(
                f"{file.name}:1", f"{len(values):,} values", f"{len(self.names):,}, as in {first}",
                "Make the files alike",
            )  # fmt: skip

    def stage(self, engine: Engine, folder: Path) -> Staged:
        if self._is_regular:
            paths = [file.path for file in self.raw.files]
            try:
                raw = engine.read_csv(
                    paths, self._ids, delim=self._delimiter, header=self._data.header
                )
                return self._stage(raw, paths, (), engine, folder)
            except duckdb.Error as error:
                if is_exhausted(error):
                    raise
        # Whatever the engine refused: this says where it is, or makes it regular.
        paths, notes = self._rewrite(folder)
        try:
            raw = engine.read_csv(paths, self._ids, header=False, **REWRITTEN)
            return self._stage(raw, paths, notes, engine, folder)
        except duckdb.Error as error:
            if is_exhausted(error):
                raise
            raise DataError(
                self.raw.files[0].name, f"not readable as CSV ({str(error).splitlines()[0]})",
                "lines of at most 2 MB of text", "Correct it, or convert it to Parquet",
            ) from error  # fmt: skip

    def _rewrite(self, folder: Path) -> tuple[list[Path], tuple[str, ...]]:
        paths, notes = [], []
        for index, file in enumerate(self.raw.files):
            paths.append(folder / f"{index:06}.csv")
            n_quoted = rewrite(self._rows(file), file.name, len(self.names), paths[-1])
            if n_quoted:
                notes.append(f"{file.name}: removed the quotes around {n_quoted:,} whole lines")
        return paths, tuple(notes)

    def _stage(
        self,
        raw: ir.Table,
        paths: Sequence[Path],
        notes: tuple[str, ...],
        engine: Engine,
        folder: Path,
    ) -> Staged:
        table = _write(_clean(raw, self._ids, self._data.null_values, "filename"), engine, folder)
        counts = {
            row["filename"]: row["rows"]
            for row in engine.rows(table.group_by("filename").aggregate(rows=table.count()))
        }
        return _staged(table, self, tuple(counts.get(str(path), 0) for path in paths), notes)

    def _rows(self, file: RawFile) -> Iterator[Record]:
        return itertools.islice(records(file, self._delimiter), int(self._data.header), None)

    def place(self, file: RawFile, index: int) -> str:
        record = next(itertools.islice(self._rows(file), index, None))
        return f"{file.name}:{record.line}"


def _header(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(value.strip() or f"column_{position}" for position, value in enumerate(values))


# --- Parquet ------------------------------------------------------------------------------------


class _ParquetSource:
    def __init__(self, raw: RawFiles, data: Data, engine: Engine) -> None:
        self.raw = raw
        self._data = data
        schemas = [_parquet_schema(file, engine) for file in raw.files]
        self.names = tuple(schemas[0].names)
        self._ids = [column_id(position) for position in range(len(self.names))]
        _require_distinct(self.names, raw.files[0].name)
        for file, schema in zip(raw.files, schemas, strict=True):
            # By name: the order of columns may differ.
            _require_equal(file, sorted(schema.names), raw.files[0].name, sorted(self.names))
            self._require_plain_types(file, schema)

    def _require_plain_types(self, file: RawFile, schema: ibis.Schema) -> None:
        for name, kind in schema.items():
            if self._data.types.get(name) == "ignore":
                continue
            if kind.is_nested() or kind.is_binary():
                raise DataError(
                    f"{file.name}, column {name!r}", f"values of type {kind}",
                    "numbers, text, booleans or dates",
                    f"Set data/types/{name}: ignore in project.yml, or flatten it",
                )  # fmt: skip

    def stage(self, engine: Engine, folder: Path) -> Staged:
        paths = [file.path for file in self.raw.files]
        try:
            raw = engine.read_parquet(paths, union_by_name=True)
            columns = zip(self.names, self._ids, strict=True)
            texts = raw.select([raw[name].cast("string").name(column) for name, column in columns])
            table = _write(_clean(texts, self._ids, self._data.null_values), engine, folder)
            rows = tuple(engine.value(engine.read_parquet([path]).count()) for path in paths)
        except duckdb.Error as error:
            if is_exhausted(error):
                raise
            raise _unreadable_parquet(self.raw.files[0], error) from error
        return _staged(table, self, rows, ())

    def place(self, file: RawFile, index: int) -> str:
        return f"{file.name}, row {index + 1:,}"


def _parquet_schema(file: RawFile, engine: Engine) -> ibis.Schema:
    try:
        return engine.read_parquet([file.path]).schema()
    except duckdb.Error as error:
        raise _unreadable_parquet(file, error) from error


def _unreadable_parquet(file: RawFile, error: duckdb.Error) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(
        file.name, f"not readable as Parquet ({reason})", "a whole Parquet file",
        "Write it again, or remove it",
    )  # fmt: skip


# --- both ---------------------------------------------------------------------------------------


@ibis.udf.scalar.builtin
def trim(text: str) -> str:  # type: ignore[empty-body]
    """Without spaces around; DuckDB's is many times faster than Ibis' `strip`."""


def _clean(
    table: ir.Table, ids: Sequence[str], null_values: Sequence[str], *others: str
) -> ir.Table:
    """Return the columns `ids` without spaces around and NULL when missing, then `others`."""
    trimmed = table.select(*others, **{column: trim(table[column]) for column in ids})
    # As a pattern, because the engine turns a long IN into a join, one for each column.
    missing = "|".join([_NAN, "", *map(re.escape, null_values)])
    return trimmed.select(
        *others,
        **{
            column: trimmed[column]
            .re_search(f"^({missing})$")
            .ifelse(ibis.null(str), trimmed[column])
            for column in ids
        },
    )


def _write(table: ir.Table, engine: Engine, folder: Path) -> ir.Table:
    path = folder / "staged.parquet"
    engine.write_parquet(table, path)
    staged = engine.read_parquet([path], file_row_number=True)
    return staged.rename(row="file_row_number")


def _staged(
    table: ir.Table, source: Source, rows: tuple[int, ...], notes: tuple[str, ...]
) -> Staged:
    files = source.raw.files
    if not sum(rows):
        raise DataError(
            files[0].name, "no rows", "at least one for each side of the split",
            "Add data",
        )  # fmt: skip
    empty = [
        f"{file.name}: no rows" for file, n_rows in zip(files, rows, strict=True) if not n_rows
    ]
    return Staged(table, source, rows, (*source.raw.notes, *notes, *empty))


def _require_distinct(names: Sequence[str], where: str, hint: str = "") -> None:
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(name.casefold(), position)
        if first != position:
            twice = f"{name!r}" if names[first] == name else f"{names[first]!r} and {name!r}"
            raise DataError(
                where, f"columns {first + 1} and {position + 1} are called {twice}",
                "names that differ, and not only in case", f"Rename one of them{hint}",
            )  # fmt: skip


def _require_equal(
    file: RawFile, names: Sequence[str], first: str, expected: Sequence[str]
) -> None:
    if tuple(names) == tuple(expected):
        return
    missing = [f"no {name!r}" for name in expected if name not in names]
    extra = [f"also {name!r}" for name in names if name not in expected]
    found = ", ".join((missing + extra)[:5]) or f"the columns in another order ({', '.join(names)})"
    raise DataError(
        file.name, f"other columns than {first}: {found}", "the same columns in every file",
        "Make the files alike",
    )  # fmt: skip
