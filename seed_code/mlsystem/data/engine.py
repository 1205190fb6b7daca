"""The query engine: DuckDB behind Ibis, within a budget of memory.

What does not fit in memory is spilled to a folder, so the size of the data is limited by the disk.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir

from mlsystem.errors import DataError

__all__ = ["Engine", "EngineError", "disk_full", "open_engine"]

# The engine could not do what was asked: for a file, that it is not what its ending says.
EngineError = duckdb.Error

# Each thread holds a batch of every column and, while it writes a file, a group of rows.
_MEMORY_MB_PER_THREAD = 512
_MEMORY_MB_PER_THREAD_AND_COLUMN = 1
_MOST_THREADS = 8
# A group of rows of a Parquet file is held in memory whole: wide data gets shorter groups.
_VALUES_PER_ROW_GROUP = 2_500_000
_LEAST_ROWS_PER_GROUP, _MOST_ROWS_PER_GROUP = 2_048, 122_880


class Engine:
    """Reads and writes Parquet, reads CSV, and answers Ibis expressions.

    Every method raises DataError when the disk is full or the memory is too small for a step that
    cannot spill, and otherwise `EngineError`.
    """

    def __init__(self, connection: ibis.backends.duckdb.Backend, spill: Path) -> None:
        self._connection = connection
        self._spill = spill
        (available,) = connection.con.sql("SELECT current_setting('threads')").fetchall()[0]
        self._n_threads = min(available, _MOST_THREADS)
        connection.raw_sql(f"SET threads = {self._n_threads}")
        self.set_budget(0)

    def set_budget(self, n_columns: int) -> None:
        """Use no more memory than tables of `n_columns` need; what is beyond goes to the disk."""
        per_thread = _MEMORY_MB_PER_THREAD + _MEMORY_MB_PER_THREAD_AND_COLUMN * n_columns
        self._connection.raw_sql(f"SET memory_limit = '{self._n_threads * per_thread}MB'")

    def read_csv(
        self, paths: Sequence[Path], columns: Sequence[str], options: Mapping[str, Any]
    ) -> ir.Table:
        """Return the rows of regular CSV files as text; `filename` says whose each is.

        `options` are DuckDB's: ``delim``, ``header``, ``new_line``.
        """
        # Nothing is detected: columns.py decides by rules that a person can read.
        with self._limits():
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
        with self._limits():
            return self._connection.read_parquet(escaped, hive_partitioning=False, **options)

    def parquet_names(self, path: Path) -> set[str]:
        """Return the names in a Parquet file as they were written."""
        # DuckDB renames columns whose names differ only in case; this is where it tells.
        with self._limits():
            found = self._connection.con.execute(
                "SELECT name FROM parquet_schema(?)", [glob.escape(str(path))]
            )
            return {name for (name,) in found.fetchall()}

    def write_parquet(self, table: ir.Table, path: Path) -> None:
        """Write `table` to `path`."""
        rows = _VALUES_PER_ROW_GROUP // len(table.columns)
        rows = max(_LEAST_ROWS_PER_GROUP, min(_MOST_ROWS_PER_GROUP, rows))
        # Not Ibis' to_parquet: it quotes the path as Python would, which is not SQL.
        quoted = str(path).replace("'", "''")
        with self._limits():
            self._connection.raw_sql(
                f"COPY ({self._connection.compile(table)}) TO '{quoted}'"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows})"
            )

    def keep(self, table: ir.Table) -> ir.Table:
        """Return `table` computed once and kept until the engine is closed."""
        with self._limits():
            return self._connection.create_table(ibis.util.gen_name("kept"), table, temp=True)

    def rows(self, table: ir.Table) -> list[dict[str, Any]]:
        """Return the rows of a small `table`."""
        with self._limits():
            rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
            return rows

    def value(self, scalar: ir.Scalar) -> Any:
        """Return the value of `scalar`."""
        with self._limits():
            return scalar.to_pyarrow().as_py()

    @contextmanager
    def _limits(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            # The space to spill is limited to what is free, and its end reported as lack of memory.
            if "No space left" in str(error) or "max_temp_directory_size" in str(error):
                raise disk_full(self._spill) from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise DataError(
                    "prepare", "out of memory", "a larger machine, or fewer columns",
                    "Choose an instances/prepare/type with more CPUs: memory is used by CPU",
                ) from error  # fmt: skip
            raise


def disk_full(folder: Path) -> DataError:
    """Return the error that says that `folder` has no space left."""
    return DataError(
        str(folder), "no space left on the disk", "room for about four times the data",
        "Raise instances/prepare/volume_gb in project.yml, or free some space",
    )  # fmt: skip


@contextmanager
def open_engine(spill: Path) -> Iterator[Engine]:
    """Give an engine that spills to the folder `spill`, and close it."""
    connection = ibis.duckdb.connect(
        temp_directory=str(spill),
        autoinstall_known_extensions=False,  # nothing is loaded over the network
    )
    try:
        yield Engine(connection, spill)
    finally:
        connection.disconnect()
