"""What each column is: a number, a category, or not a feature.

``data/types`` in ``project.yml`` decides; for a column that is not named there, these rules do, in
this order. A value is *missing* when it is empty, NaN or one of ``data/null_values``; spaces around
a value do not count.

1. A column without any value is an error.
2. At least 90 % of the values read as numbers (``12``, ``-0.5``, ``1e3``): `number`. The other
   values are then errors, each with its file and line, because a stray text in a numeric column
   would silently turn it into thousands of categories.
3. Such a column of at least 100 different integers without a gap counts the rows: ignored.
4. At least 90 % of the values read as dates (``2024-05-31``, ``2024-05-31 17:00``,
   ``31/05/2024``): ignored.
5. At least 100 values of which more than 90 % are different: an identifier, ignored.
6. Everything else, ``true`` and ``false`` too, is a `category`.

The target and the column of ``data/split`` are not features; a `group` or `time` column becomes one
when ``data/types`` names it. Parquet columns follow the same rules as the text of their values.
Infinity is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from mlsystem.data.engine import Engine
from mlsystem.data.source import Staged, column_id
from mlsystem.errors import DataError
from mlsystem.settings import Data, Settings

__all__ = [
    "Column",
    "Statistics",
    "canonical",
    "classify",
    "first_value",
    "measure",
    "number",
    "require_numbers",
]

_MOSTLY = 0.9
_ENOUGH_ROWS = 100
_DATE = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[A-Za-z]+|[+-]\d{2}(:?\d{2})?)?)?$"
)
# The engine's time to plan a query grows faster than its number of expressions.
_COLUMNS_PER_QUERY = 100


@dataclass(frozen=True)
class Column:
    """A raw column; `id` is its name in the staged table, `reason` why it is ignored."""

    id: str
    name: str
    kind: Literal["number", "category", "ignore"] = "category"
    reason: str = ""


@dataclass(frozen=True)
class Statistics:
    """What the values of a column read as; counts are of rows."""

    n_rows: int
    n_present: int
    n_numbers: int
    n_infinite: int
    n_distinct: int
    """An estimate, good to a few percent; 0 and 1 are exact."""
    n_integers: int
    least: float | None
    greatest: float | None

    @property
    def is_number(self) -> bool:
        """Whether every value reads as a number."""
        return self.n_numbers == self.n_present

    @property
    def is_mostly_number(self) -> bool:
        """Whether the values are numbers but for a few, which must be mistakes."""
        return self.n_numbers >= _MOSTLY * self.n_present


# --- expressions --------------------------------------------------------------------------------


def number(text: ir.StringValue) -> ir.FloatingValue:
    """Return the number that `text` reads as, or NULL; zero has no sign."""
    return text.try_cast("float64") + 0.0


def canonical(value: ir.Value) -> ir.StringValue:
    """Return the text of a typed `value`, such that joined texts are equal only for equal values."""
    if isinstance(value, ir.StringValue):
        # The length keeps a separator inside a value from looking like the one between values.
        text = _strlen(value).cast("string").concat(":", value)
    else:
        text = value.cast("string")
    return text.coalesce("")


@ibis.udf.scalar.builtin(name="strlen")
def _strlen(text: str) -> dt.int64:  # type: ignore[empty-body, valid-type]
    """Length in bytes, which costs less than in characters."""


# --- statistics ---------------------------------------------------------------------------------


def measure(staged: Staged, ids: Sequence[str], engine: Engine) -> dict[str, Statistics]:
    """Return the statistics of the columns `ids`, in one pass over each."""
    return {
        id: Statistics(staged.n_rows, **values)
        for some in _batches(ids)
        for id, values in _measure_some(staged.table, some, engine).items()
    }


def _measure_some(table: ir.Table, ids: Sequence[str], engine: Engine) -> dict[str, dict[str, Any]]:
    metrics = {}
    for id in ids:
        text, value = table[id], table[id].try_cast("float64")
        metrics |= {
            f"{id} n_present": text.count(),
            f"{id} n_numbers": value.count(),
            f"{id} n_infinite": value.isinf().sum().coalesce(0),
            f"{id} n_distinct": text.approx_nunique(),
            f"{id} n_integers": (value % 1 == 0).sum().coalesce(0),
            f"{id} least": value.min(),
            f"{id} greatest": value.max(),
        }
    (row,) = engine.rows(table.aggregate(**metrics))
    values: dict[str, dict[str, Any]] = {id: {} for id in ids}
    for key, value in row.items():
        id, name = key.split()
        values[id][name] = value
    return values


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (
        ids[start : start + _COLUMNS_PER_QUERY] for start in range(0, len(ids), _COLUMNS_PER_QUERY)
    )


# --- the rules ----------------------------------------------------------------------------------


def classify(
    staged: Staged, statistics: Mapping[str, Statistics], settings: Settings, engine: Engine
) -> tuple[Column, ...]:
    """Return what each raw column but the target is, in order; `statistics` by column id.

    Raises
    ------
    DataError
        A column has no value, a numeric one holds text or infinity, or no feature is left.
    """
    columns = tuple(
        _classify(staged, Column(column_id(position), name), statistics, settings.data, engine)
        for position, name in enumerate(staged.source.names)
        if name != settings.model.target
    )
    if all(column.kind == "ignore" for column in columns):
        reasons = ", ".join(f"{column.name} ({column.reason})" for column in columns[:5])
        raise DataError(
            "data", f"every column is ignored: {reasons}", "a feature at least",
            "Name it in data/types in project.yml, as number or category",
        )  # fmt: skip
    return columns


def _classify(
    staged: Staged,
    column: Column,
    statistics: Mapping[str, Statistics],
    data: Data,
    engine: Engine,
) -> Column:
    given = data.types.get(column.name)
    if given == "ignore":
        return replace(column, kind="ignore", reason="data/types says so")
    if given is None and column.name == data.split.column:
        return replace(column, kind="ignore", reason=f"splits the rows by {data.split.by}")
    _require_values(column, statistics[column.id])
    decided = (
        replace(column, kind=given)
        if given
        else _infer(staged.table[column.id], column, statistics[column.id], engine)
    )
    if decided.kind == "number":
        require_numbers(staged, decided, statistics[column.id], engine)
    return decided


def _infer(text: ir.StringValue, column: Column, statistics: Statistics, engine: Engine) -> Column:
    if statistics.is_mostly_number:
        if _counts_rows(text, statistics, engine):
            return replace(column, kind="ignore", reason="numbers the rows")
        return replace(column, kind="number")
    if engine.value(text.re_search(_DATE).mean()) >= _MOSTLY:
        return replace(column, kind="ignore", reason="dates")
    if _identifies(text, statistics, engine):
        reason = "an identifier: more than 90 % of its values are different"
        return replace(column, kind="ignore", reason=reason)
    return column


def _counts_rows(text: ir.StringValue, statistics: Statistics, engine: Engine) -> bool:
    n_rows = statistics.n_rows
    if n_rows < _ENOUGH_ROWS or statistics.n_integers < n_rows:
        return False
    if statistics.least is None or statistics.greatest is None:
        return False
    is_dense = statistics.greatest - statistics.least + 1 == n_rows
    return is_dense and _n_distinct(number(text), engine) == n_rows


def _identifies(text: ir.StringValue, statistics: Statistics, engine: Engine) -> bool:
    if statistics.n_present < _ENOUGH_ROWS:
        return False
    # The estimate settles the clear cases without the cost of counting.
    is_possible = statistics.n_distinct > 0.8 * statistics.n_present
    return is_possible and _n_distinct(text, engine) > _MOSTLY * statistics.n_present


def _n_distinct(value: ir.Value, engine: Engine) -> int:
    # As rows of a table, because those spill to the disk.
    distinct = value.name("value").as_table().drop_null().distinct()
    count: int = engine.value(distinct.count())
    return count


def _require_values(column: Column, statistics: Statistics) -> None:
    if not statistics.n_present:
        raise DataError(
            f"column {column.name!r}", f"no value in any of {statistics.n_rows:,} rows",
            "some values",
            f"Set data/types/{column.name}: ignore in project.yml, or remove the column",
        )  # fmt: skip


def require_numbers(staged: Staged, column: Column, statistics: Statistics, engine: Engine) -> None:
    """Raise DataError at the first value of `column` that is not a finite number."""
    n_texts = statistics.n_present - statistics.n_numbers
    if not n_texts and not statistics.n_infinite:
        return
    text = staged.table[column.id]
    value = text.try_cast("float64")
    place, found = first_value(staged, text, value.isnull() if n_texts else value.isinf(), engine)
    n_others = (n_texts or statistics.n_infinite) - 1
    others = f" (and {n_others:,} more such values)" if n_others else ""
    is_header = place.endswith(":1")  # the line of a header, in a file that shall have none
    raise DataError(
        f"{place}, column {column.name!r}", f"{found}{others}",
        "a number" if n_texts else "a finite number",
        "If the line is a header, set data/header: true in project.yml" if is_header else
        "Correct it, or, if it means a missing value, add it to data/null_values in project.yml"
        f"{f', or set data/types/{column.name}: category' if n_texts else ''}",
    )  # fmt: skip


def first_value(
    staged: Staged, text: ir.StringValue, condition: ir.BooleanValue, engine: Engine
) -> tuple[str, str]:
    """Return place and shortened text of the first value that meets `condition`; one does."""
    matching = staged.table.filter(text.notnull() & condition).select("row", value=text)
    (first,) = engine.rows(matching.order_by("row").limit(1))
    shown = repr(first["value"])
    return staged.place(first["row"]), shown if len(shown) <= 80 else shown[:77] + "..."
