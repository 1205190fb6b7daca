"""The prepared rows of a channel (train, validation, test), as arrays.

Parquet files in, numpy blocks out; nothing is held in memory but the block asked for. The rows
of a channel have one order everywhere: files by name, then rows in the file's order.
"""

# ruff: noqa: S608 - every name and value in a query is quoted, by _quoted() or _literal().

from __future__ import annotations

import functools
import glob
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from mlsystem.artifacts import DataSchema
from mlsystem.errors import ArtifactError, DataError

__all__ = [
    "MAX_CATEGORIES",
    "Batch",
    "Table",
    "Vocabulary",
    "count_common_rows",
    "load",
    "open_table",
    "read_batches",
    "read_rows",
    "vocabulary",
]

MAX_CATEGORIES: Final = 100
"""Known values of a category at most; a feature with more keeps the most frequent."""

_BATCH_ROWS: Final = 16_384

Vocabulary = tuple[tuple[str, ...], ...]
"""Known values of each category, sorted; the categories in the schema's order."""


@dataclass(frozen=True)
class Table:
    """The files of one channel, checked against the schema, not yet read."""

    folder: Path
    files: tuple[str, ...]
    schema: DataSchema
    n_rows: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the features in order, then of the target."""
        return (*(feature.name for feature in self.schema.features), self.schema.target)


@dataclass(frozen=True)
class Batch:
    """Some rows in a channel's order.

    Parameters
    ----------
    numbers
        float32 ``[n_rows, n_numbers]``, NaN where missing.
    categories
        str objects ``[n_rows, n_categories]``, ``""`` where missing.
    target
        ``[n_rows]``: int64 label indices, or float64 for regression.
    """

    numbers: npt.NDArray[np.float32]
    categories: npt.NDArray[np.object_]
    target: npt.NDArray[Any]


def open_table(folder: Path, schema: DataSchema) -> Table:
    """Return the channel in `folder`.

    Raises
    ------
    ArtifactError
        No Parquet file, a file that is not Parquet, or a column that is missing or of another
        type than `schema` says.
    """
    files = tuple(sorted(str(path) for path in folder.rglob("*.parquet")))
    if not files:
        found = "no *.parquet file" if folder.is_dir() else "no such folder"
        raise ArtifactError(str(folder), found, "the Parquet files that prepare wrote")
    with _connect() as connection:
        for file in files:
            _check_columns(connection, file, schema)
        n_rows = _count(connection, f"SELECT count(*) FROM {_scan(files)}")
    return Table(folder, files, schema, n_rows)


def vocabulary(table: Table) -> Vocabulary:
    """Return the values of each category that a model of `table` shall know.

    They are the `MAX_CATEGORIES` most frequent; of equally frequent ones, the first in sorting
    order. Every other value, like a missing one, is "unknown" to the model.
    """
    with _connect() as connection:
        return tuple(
            _frequent_values(connection, table, column) for column in table.schema.categories
        )


def load(
    table: Table, known: Vocabulary, n_rows: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Return the features and the target of the channel's first `n_rows` rows (default: all).

    Returns
    -------
    features
        float32 ``[n_rows, n_numbers + n_categories]``: the numbers, NaN where missing; then the
        categories as indices into `known`, -1 where the value is missing or not known.
    target
        ``[n_rows]``: int64 label indices, or float64 for regression.

    Raises
    ------
    DataError
        A number is infinite, or too large for float32.
    ArtifactError
        A target is missing, or is no label's index.
    """
    n_rows = table.n_rows if n_rows is None else min(n_rows, table.n_rows)
    n_numbers = len(table.schema.numbers)
    features = np.empty((n_rows, n_numbers + len(known)), dtype=np.float32)
    target = np.empty(n_rows, dtype=_target_type(table.schema))
    start = 0
    for record in _records(table, _coded(table.schema, known), n_rows):
        rows = slice(start, start + record.num_rows)
        _fill_numbers(features[rows], record, table)
        for column in range(n_numbers, features.shape[1]):
            features[rows, column] = record.column(column).to_numpy(zero_copy_only=False)
        target[rows] = _target(record, table)
        start = rows.stop
    return features, target


def read_batches(table: Table, n_rows: int | None = None) -> Iterator[Batch]:
    """Yield the channel's first `n_rows` rows (default: all), some ten thousand at a time.

    Raises what :func:`load` raises.
    """
    n_numbers, n_categories = len(table.schema.numbers), len(table.schema.categories)
    columns = [_quoted(name) for name in table.schema.numbers]
    columns += [f"coalesce({_quoted(name)}, '')" for name in table.schema.categories]
    n_rows = table.n_rows if n_rows is None else n_rows
    for record in _records(table, columns, n_rows):
        numbers = np.empty((record.num_rows, n_numbers), dtype=np.float32)
        categories = np.empty((record.num_rows, n_categories), dtype=np.object_)
        _fill_numbers(numbers, record, table)
        for index in range(n_categories):
            values = record.column(n_numbers + index).to_numpy(zero_copy_only=False)
            categories[:, index] = values
        yield Batch(numbers, categories, _target(record, table))


def read_rows(table: Table, positions: Collection[int]) -> list[dict[str, Any]]:
    """Return the features of the rows at `positions` (from 0), as stored, in the channel's order.

    Each row maps a feature's name to its value: float, str or None.
    """
    names = [feature.name for feature in table.schema.features]
    rows: list[dict[str, Any]] = []
    start = 0
    for record in _records(table, [_quoted(name) for name in names], table.n_rows):
        end = start + record.num_rows
        for position in sorted(position for position in positions if start <= position < end):
            values = (record.column(index)[position - start].as_py() for index in range(len(names)))
            rows.append(dict(zip(names, values, strict=True)))
        start = end
    return rows


def count_common_rows(table: Table, other: Table, spill: Path) -> int:
    """Return how many rows of `table` are in `other` too: all features and the target equal.

    A missing value equals a missing value. The tables have the same schema. What does not fit in
    memory goes to the folder `spill`.
    """
    same = " AND ".join(
        f"a.{_quoted(name)} IS NOT DISTINCT FROM b.{_quoted(name)}" for name in table.columns
    )
    tables = f"{_scan(table.files)} a SEMI JOIN {_scan(other.files)} b"
    with _database(str(spill)) as connection:
        return _count(connection, f"SELECT count(*) FROM {tables} ON {same}")


# --- DuckDB -------------------------------------------------------------------------------------


def _database(spill: str = "") -> duckdb.DuckDBPyConnection:
    """Return a database of this process alone, which fetches nothing from anywhere."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # What was read is not kept: the memory is training's, and files may be written again.
            "enable_external_file_cache": "false",
            "preserve_insertion_order": "true",
            "temp_directory": spill,
        }
    )


# To make a database takes 10 ms, so all readers share one.
_shared_database = functools.cache(_database)


def _connect() -> duckdb.DuckDBPyConnection:
    """Return a connection of its own to the database that all readers share."""
    return _shared_database().cursor()


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _scan(files: tuple[str, ...]) -> str:
    # Names are names: DuckDB would expand "*" in them, and read columns out of "a=b".
    names = ", ".join(_literal(glob.escape(file)) for file in files)
    return f"read_parquet([{names}], hive_partitioning = false)"


def _check_columns(connection: duckdb.DuckDBPyConnection, file: str, schema: DataSchema) -> None:
    try:
        relation = connection.sql(f"SELECT * FROM {_scan((file,))}")
        found = dict(zip(relation.columns, map(str, relation.types), strict=True))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(file, f"not a Parquet file ({reason})", "a whole one") from error
    types = {"number": "DOUBLE", "category": "VARCHAR"}
    required = {feature.name: types[feature.kind] for feature in schema.features}
    required[schema.target] = "DOUBLE" if schema.problem == "regression" else "INTEGER"
    for name, kind in required.items():
        if found.get(name) != kind:
            raise ArtifactError(
                f"{file} column {name!r}", f"type {found[name]}" if name in found else "missing",
                f"type {kind}, as the schema says",
                "Schema and rows come from different runs of prepare: take both from one",
            )  # fmt: skip


def _frequent_values(
    connection: duckdb.DuckDBPyConnection, table: Table, column: str
) -> tuple[str, ...]:
    name = _quoted(column)
    rows = connection.execute(
        f"SELECT {name} FROM {_scan(table.files)} WHERE {name} <> '' "
        f"GROUP BY {name} ORDER BY count(*) DESC, {name} LIMIT {MAX_CATEGORIES}"
    ).fetchall()
    return tuple(sorted(row[0] for row in rows))


def _coded(schema: DataSchema, known: Vocabulary) -> list[str]:
    """Return the SQL of each feature: numbers as they are, categories as indices into `known`."""
    codes = [_code(name, values) for name, values in zip(schema.categories, known, strict=True)]
    return [*map(_quoted, schema.numbers), *codes]


def _code(column: str, values: tuple[str, ...]) -> str:
    if not values:
        return "-1"
    kind = f"ENUM({', '.join(map(_literal, values))})"
    return f"coalesce(enum_code(try_cast({_quoted(column)} AS {kind})), -1)"


def _records(table: Table, columns: list[str], n_rows: int) -> Iterator[Any]:
    """Yield Arrow record batches: `columns` (SQL), then the target."""
    query = (
        f"SELECT {', '.join([*columns, _quoted(table.schema.target)])} "
        f"FROM {_scan(table.files)} LIMIT {n_rows}"
    )
    with _connect() as connection:
        yield from connection.sql(query).to_arrow_reader(_BATCH_ROWS)


def _fill_numbers(block: npt.NDArray[np.float32], record: Any, table: Table) -> None:
    """Write the numbers of `record`, its first columns, to the first columns of `block`."""
    for index, name in enumerate(table.schema.numbers):
        values = record.column(index).to_numpy(zero_copy_only=False)
        with np.errstate(over="ignore"):
            block[:, index] = values
        unusable = np.flatnonzero(np.isinf(block[:, index]))
        if unusable.size:
            raise DataError(
                f"{table.folder} column {name!r}", f"{values[unusable[0]]:g}",
                "finite numbers below 3.4e38 (float32)", "Correct or leave out such rows",
            )  # fmt: skip


def _target_type(schema: DataSchema) -> type[np.generic]:
    return np.float64 if schema.problem == "regression" else np.int64


def _target(record: Any, table: Table) -> npt.NDArray[Any]:
    """Return the target of `record`, its last column."""
    column = record.column(record.num_columns - 1)
    schema, where = table.schema, f"{table.folder} column {table.schema.target!r}"
    if column.null_count:
        raise ArtifactError(where, f"{column.null_count} missing targets", "one for each row")
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    values = values.astype(_target_type(schema))
    if schema.problem == "regression":
        unusable = values[~np.isfinite(values)]
        required = "finite numbers"
    else:
        unusable = values[(values < 0) | (values >= len(schema.labels))]
        required = f"an index of the {len(schema.labels)} labels"
    if unusable.size:
        raise ArtifactError(where, f"{unusable[0]}", required)
    return values
