"""CSV files: parsed by the engine, and explained or made regular where it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import ibis.expr.types as ir

from mlsystem.data.delimited import (
    REWRITTEN,
    Record,
    first_record,
    records,
    rewrite,
    sniff_delimiter,
)
from mlsystem.data.engine import Engine, EngineError
from mlsystem.data.files import RawFile, RawFiles
from mlsystem.data.staging import (
    Staged,
    column_ids,
    require_different,
    require_same_names,
    stage,
)
from mlsystem.data.wording import plural
from mlsystem.errors import DataError
from mlsystem.settings import Data

__all__ = ["CsvSource"]


class CsvSource:
    """A :class:`~mlsystem.data.staging.Source`; all files are written in the same way.

    Raises
    ------
    DataError
        A file cannot be read, or the files' columns differ or have impossible names.
    """

    def __init__(self, raw: RawFiles, data: Data) -> None:
        self.raw = raw
        self._data = data
        self._delimiter = _require_delimiter(data) or sniff_delimiter(raw.files[0])
        firsts = [first_record(file, self._delimiter) for file in raw.files]
        self.names = self._name_columns(firsts[0])
        # The engine takes the first line for the header, so a file must begin with it.
        self._is_regular = all(first.last_line == 1 and not first.was_quoted for first in firsts)
        for file, first in zip(raw.files, firsts, strict=True):
            self._require_same_columns(file, first)

    def _name_columns(self, first: Record) -> tuple[str, ...]:
        where = f"{self.raw.files[0].name}:{first.line}"
        n_values = len(first.values)
        if n_values == 1:
            raise DataError(
                where, "a single column", f"two or more, with {self._delimiter!r} between them",
                "Correct data/delimiter in project.yml",
            )  # fmt: skip
        if self._data.header:
            names = _header(first)
            require_different(names, where, ", or set data/header: false if the line is data")
            return names
        names = self._data.columns or tuple(f"column_{position}" for position in range(n_values))
        if len(names) != n_values:
            raise DataError(
                where, plural(n_values, "value"), f"{len(names):,}, as many as data/columns names",
                "Correct data/columns in project.yml",
            )  # fmt: skip
        require_different(names, "project.yml data/columns")
        return names

    def _require_same_columns(self, file: RawFile, first: Record) -> None:
        first_file = self.raw.files[0]
        if self._data.header:
            require_same_names(file, _header(first), first_file, self.names)
        elif len(first.values) != len(self.names):
            raise DataError(
                f"{file.name}:{first.line}", plural(len(first.values), "value"),
                f"{len(self.names):,}, as in {first_file.name}", "Make the files alike",
            )  # fmt: skip

    def stage(self, engine: Engine, folder: Path) -> Staged:
        """Return all rows; see :class:`~mlsystem.data.staging.Source`."""
        columns = column_ids(self.names)
        if self._is_regular:
            paths = [file.path for file in self.raw.files]
            options = {"delim": self._delimiter, "header": self._data.header}
            with suppress(EngineError):  # the second way finds the line and the reason
                raw = engine.read_csv(paths, columns, options)
                table = stage(raw, columns, self._data, engine, folder)
                return self._staged(table, paths, (), engine)
        paths, notes = self._rewrite(folder)
        try:
            raw = engine.read_csv(paths, columns, REWRITTEN)
            table = stage(raw, columns, self._data, engine, folder)
        except EngineError as error:
            raise DataError(
                self.raw.files[0].name, f"not readable ({str(error).splitlines()[0]})",
                "CSV with lines of at most 2 MB", "Convert it to Parquet",
            ) from error  # fmt: skip
        return self._staged(table, paths, notes, engine)

    def _staged(
        self, table: ir.Table, paths: Sequence[Path], notes: Sequence[str], engine: Engine
    ) -> Staged:
        counts = engine.rows(table.group_by("filename").aggregate(n=table.count()))
        by_path = {count["filename"]: count["n"] for count in counts}
        rows = tuple(by_path.get(str(path), 0) for path in paths)
        return Staged(table, self, rows, tuple(notes))

    def _rewrite(self, folder: Path) -> tuple[list[Path], list[str]]:
        paths, notes = [], []
        for index, file in enumerate(self.raw.files):
            paths.append(folder / f"{index:06}.csv")
            n_quoted = rewrite(self._rows(file), file.name, len(self.names), paths[-1])
            if n_quoted:
                notes.append(f"{file.name}: removed the quotes around {n_quoted:,} whole lines")
        return paths, notes

    def _rows(self, file: RawFile) -> Iterator[Record]:
        return itertools.islice(records(file, self._delimiter), int(self._data.header), None)

    def place(self, file: RawFile, index: int) -> str:
        """Return file and line of a row, both as an editor shows them."""
        record = next(itertools.islice(self._rows(file), index, None))
        return f"{file.name}:{record.line}"


def _require_delimiter(data: Data) -> str | None:
    if data.delimiter in {'"', "\r", "\n"}:
        raise DataError(
            "project.yml data/delimiter", repr(data.delimiter), "a character that may be in a line",
            "Remove it to have the delimiter recognized",
        )  # fmt: skip
    return data.delimiter


def _header(record: Record) -> tuple[str, ...]:
    return tuple(
        value.strip() or f"column_{position}" for position, value in enumerate(record.values)
    )
