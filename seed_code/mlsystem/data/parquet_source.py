"""Parquet files: columns are matched by their names, values become text."""

from __future__ import annotations

from pathlib import Path

import ibis

from mlsystem.data.engine import Engine, EngineError
from mlsystem.data.files import RawFile, RawFiles
from mlsystem.data.staging import (
    Staged,
    column_ids,
    require_different,
    require_same_names,
    stage,
)
from mlsystem.errors import DataError
from mlsystem.settings import Data

__all__ = ["ParquetSource"]


class ParquetSource:
    """A :class:`~mlsystem.data.staging.Source`; columns may be in another order in each file.

    Raises
    ------
    DataError
        A file cannot be read, or the files' columns differ or have impossible names or types.
    """

    def __init__(self, raw: RawFiles, data: Data, engine: Engine) -> None:
        self.raw = raw
        self._data = data
        first = raw.files[0]
        schemas = [_schema(file, engine) for file in raw.files]
        self.names = tuple(schemas[0].names)
        for file, schema in zip(raw.files, schemas, strict=True):
            require_same_names(file, sorted(schema.names), first, sorted(self.names))
            self._require_plain_types(file, schema)

    def _require_plain_types(self, file: RawFile, schema: ibis.Schema) -> None:
        for name, kind in schema.items():
            is_read = self._data.types.get(name) != "ignore"
            if is_read and (kind.is_nested() or kind.is_binary()):
                raise DataError(
                    f"{file.name}, column {name!r}", f"values of type {kind}",
                    "numbers, text, booleans or dates",
                    f"Set data/types/{name}: ignore in project.yml, or flatten it",
                )  # fmt: skip

    def stage(self, engine: Engine, folder: Path) -> Staged:
        """Return all rows; see :class:`~mlsystem.data.staging.Source`."""
        columns = column_ids(self.names)
        paths = [file.path for file in self.raw.files]
        try:
            # Where files store a column differently, the type that holds both.
            raw = engine.read_parquet(paths, union_by_name=True)
            texts = raw.select(
                [
                    raw[name].cast("string").name(column)
                    for name, column in zip(self.names, columns, strict=True)
                ]
            )
            table = stage(texts, columns, self._data, engine, folder)
            rows = tuple(engine.value(engine.read_parquet([path]).count()) for path in paths)
        except EngineError as error:
            raise _unreadable(self.raw.files, error) from error
        return Staged(table, self, rows, ())

    def place(self, file: RawFile, index: int) -> str:
        """Return file and number (from 1) of a row."""
        return f"{file.name}, row {index + 1:,}"


def _schema(file: RawFile, engine: Engine) -> ibis.Schema:
    try:
        schema = engine.read_parquet([file.path]).schema()
        written = engine.parquet_names(file.path)
    except EngineError as error:
        raise _unreadable((file,), error) from error
    # The engine numbers a name that it has seen before, but for its case: X is X_1 after x.
    names = [name if name in written else name.rpartition("_")[0] for name in schema.names]
    require_different(names, file.name)
    return schema


def _unreadable(files: tuple[RawFile, ...], error: Exception) -> DataError:
    where = files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
    return DataError(
        where, f"not readable as Parquet ({str(error).splitlines()[0]})", "whole Parquet files",
        "Write them again, or remove what is damaged",
    )  # fmt: skip
