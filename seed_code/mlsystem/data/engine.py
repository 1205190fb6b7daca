"""The query engine: DuckDB behind Ibis, within a budget of memory.

What does not fit in memory is spilled to a folder, so the size of the data is limited by the disk.
"""

from __future__ import annotations

import errno
import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from mlsystem.errors import DataError

__all__ = ["Engine", "is_exhausted", "open_engine"]

# Each thread holds a batch of every column and, while it writes a file, a group of rows.
_MEMORY_MB_PER_THREAD = 512
_MEMORY_MB_PER_THREAD_AND_COLUMN = 1
_MOST_THREADS = 8
# A group of rows of a Parquet file is held in memory whole: wide data gets shorter groups.
_VALUES_PER_ROW_GROUP = 2_500_000
_LEAST_ROWS_PER_GROUP, _MOST_ROWS_PER_GROUP = 2_048, 122_880


class Engine:
    """Reads and writes Parquet and CSV, and answers Ibis expressions."""

    def __init__(self, connection: ibis.backends.duckdb.Backend) -> None:
        self._connection = connection
        (available,) = connection.con.sql("SELECT current_setting('threads')").fetchall()[0]
        self._n_threads = min(available, _MOST_THREADS)
        connection.raw_sql(f"SET threads = {self._n_threads}")
        self.set_budget(0)

    def set_budget(self, n_columns: int) -> None:
        """Use no more memory than tables of `n_columns` need; what is beyond goes to the disk."""
        per_thread = _MEMORY_MB_PER_THREAD + _MEMORY_MB_PER_THREAD_AND_COLUMN * n_columns
        self._connection.raw_sql(f"SET memory_limit = '{self._n_threads * per_thread}MB'")

    def read_csv(self, paths: Sequence[Path], columns: Sequence[str], **options: Any) -> ir.Table:
        """Return the rows of regular CSV files as text; `filename` says whose each is.

        `options` are DuckDB's: ``delim``, ``header``, ``new_line``.
        """
        # Nothing is detected: columns.py decides by rules that a person can read.
        return self._connection.read_csv(
            [glob.escape(str(path)) for path in paths],
            columns=dict.fromkeys(columns, "VARCHAR"),
            quote='"',
            escape='"',
            filename=True,
            hive_partitioning=False,
            **options,
        )

    def read_parquet(self, paths: Sequence[Path], **options: bool) -> ir.Table:
        """Return the rows of Parquet files; `options` are DuckDB's."""
        escaped = [glob.escape(str(path)) for path in paths]
        return self._connection.read_parquet(escaped, hive_partitioning=False, **options)

    def write_parquet(self, table: ir.Table, path: Path) -> None:
        """Write `table` to `path`."""
        n_columns = len(table.columns)
        rows = max(
            _LEAST_ROWS_PER_GROUP, min(_MOST_ROWS_PER_GROUP, _VALUES_PER_ROW_GROUP // n_columns)
        )
        # Ibis quotes the path as Python would, which is not SQL.
        literal = "'" + str(path).replace("'", "''") + "'"
        self._connection.raw_sql(
            f"COPY ({self._connection.compile(table)}) TO {literal}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows})"
        )

    def keep(self, table: ir.Table) -> ir.Table:
        """Return `table` computed once and kept until the engine is closed."""
        name = ibis.util.gen_name("kept")
        return self._connection.create_table(name, table, temp=True)

    def rows(self, table: ir.Table) -> list[dict[str, Any]]:
        """Return the rows of a small `table`."""
        rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
        return rows

    def value(self, scalar: ir.Scalar) -> Any:
        """Return the value of `scalar`."""
        return scalar.to_pyarrow().as_py()


@contextmanager
def open_engine(folder: Path) -> Iterator[Engine]:
    """Give an engine that spills to `folder`, and close it.

    Raises
    ------
    DataError
        The disk is full, or the memory is too small for a step that cannot spill.
    """
    connection = ibis.duckdb.connect(
        temp_directory=str(folder),
        # Nothing is loaded over the network, and text without a time zone is UTC everywhere.
        autoinstall_known_extensions=False,
        TimeZone="UTC",
    )
    try:
        yield Engine(connection)
    except (duckdb.Error, OSError) as error:
        if is_exhausted(error):
            raise _too_small(error, folder) from error
        raise
    finally:
        connection.disconnect()


def is_exhausted(error: Exception) -> bool:
    """Return whether a larger disk or memory would have avoided `error`."""
    return (
        isinstance(error, duckdb.OutOfMemoryException)
        or "No space left" in str(error)
        or getattr(error, "errno", None) == errno.ENOSPC
    )


def _too_small(error: Exception, folder: Path) -> DataError:
    # DuckDB limits what it spills to the free space, and reports the limit as lack of memory.
    is_memory = isinstance(error, duckdb.OutOfMemoryException) and "temp_directory" not in str(
        error
    )
    if is_memory:
        return DataError(
            "prepare", "out of memory", f"more than {_MEMORY_MB_PER_THREAD} MB for each CPU",
            "Choose an instances/prepare/type with more CPUs, or leave out columns",
        )  # fmt: skip
    return DataError(
        str(folder.parent), "no space left on the disk", "room for about four times the data",
        "Raise instances/prepare/volume_gb in project.yml, or free some space",
    )  # fmt: skip
