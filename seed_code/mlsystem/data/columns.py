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
6. Everything else, ``true`` and ``false`` too, is a `category`. Numbers in another notation
   (``0,5``, ``1,000``, ``$5``, ``12 %``) are text to these rules; the report notes them.

The target is not a feature. Neither is the column of ``data/split``, unless ``data/types`` names
it. Parquet columns follow the same rules as the text of their values. Infinity is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import ibis.expr.types as ir

from mlsystem.data.engine import Engine
from mlsystem.data.functions import strlen
from mlsystem.data.staging import Staged, column_ids
from mlsystem.data.wording import listed, shortened
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
    "require_varying",
]

_MOSTLY = 0.9
_ENOUGH_ROWS = 100
# The estimate of different values is within ten percent: below this share there is no doubt.
_SURELY_NOT_MOSTLY = 0.75
_DATE = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[A-Za-z]+|[+-]\d{2}(:?\d{2})?)?)?$"
)
_OTHER_NOTATION_NOTE = "numbers with a comma, a currency or a unit are taken for text"
_OTHER_NOTATION = r"^[-+]?[$€£]?\s*\d{1,3}([., ]?\d{3})*([.,]\d+)?\s*[%€$£]?$"
# The engine's time to plan a query grows faster than its number of expressions.
_COLUMNS_PER_QUERY = 100


@dataclass(frozen=True)
class Column:
    """A raw column.

    Parameters
    ----------
    id
        Its name in the staged table.
    name
        Its name in the files.
    kind
        What it is.
    reason
        Why it is ignored.
    note
        What is unusual about it.
    """

    id: str
    name: str
    kind: Literal["number", "category", "ignore"] = "category"
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Statistics:
    """What the values of a column read as; counts are of rows."""

    n_rows: int
    n_present: int
    n_numbers: int
    n_infinite: int
    n_integers: int
    n_distinct: int
    """An estimate, good to ten percent."""
    is_constant: bool
    """Whether there is one value only."""
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
    """Return the text of a typed `value`; with ``;`` between, texts of different rows differ."""
    if isinstance(value, ir.StringValue):
        # The length keeps a separator inside a value from looking like the one between values.
        text = strlen(value).cast("string").concat(":", value)
    else:
        text = value.cast("string")
    return text.coalesce("")


# --- statistics ---------------------------------------------------------------------------------


def measure(staged: Staged, engine: Engine) -> dict[str, Statistics]:
    """Return the statistics of each column, by its id."""
    return {
        column: Statistics(staged.n_rows, **values)
        for some in _batches(column_ids(staged.source.names))
        for column, values in _measure(staged.table, some, engine).items()
    }


def _measure(table: ir.Table, columns: Sequence[str], engine: Engine) -> dict[str, dict[str, Any]]:
    metrics: dict[str, ir.Scalar] = {}
    for column in columns:
        text, value = table[column], table[column].try_cast("float64")
        metrics |= {
            f"{column} n_present": text.count(),
            f"{column} n_numbers": value.count(),
            f"{column} n_infinite": value.isinf().sum().coalesce(0),
            f"{column} n_integers": (value % 1 == 0).sum().coalesce(0),
            f"{column} n_distinct": text.approx_nunique(),
            f"{column} is_constant": (text.min() == text.max()).coalesce(False),
            f"{column} least": value.min(),
            f"{column} greatest": value.max(),
        }
    (measured,) = engine.rows(table.aggregate(**metrics))
    values: dict[str, dict[str, Any]] = {column: {} for column in columns}
    for metric, value in measured.items():
        column, name = metric.split()
        values[column][name] = value
    return values


def _batches(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        yield columns[start : start + _COLUMNS_PER_QUERY]


# --- the rules ----------------------------------------------------------------------------------


def classify(
    staged: Staged, statistics: Mapping[str, Statistics], settings: Settings, engine: Engine
) -> tuple[Column, ...]:
    """Return what each column but the target is, in order.

    Parameters
    ----------
    staged
        The rows.
    statistics
        What :func:`measure` returned for them.
    settings
        Of the project.
    engine
        Which holds the rows.

    Raises
    ------
    DataError
        A column has no value, or a numeric one holds text or infinity.
    """
    names = staged.source.names
    return tuple(
        _classify(staged, Column(column, name), statistics[column], settings.data, engine)
        for column, name in zip(column_ids(names), names, strict=True)
        if name != settings.model.target
    )


def _classify(
    staged: Staged, column: Column, statistics: Statistics, data: Data, engine: Engine
) -> Column:
    given = data.types.get(column.name)
    if given == "ignore":
        return replace(column, kind="ignore", reason="data/types says so")
    if given is None and column.name == data.split.column:
        return replace(column, kind="ignore", reason=f"splits the rows by {data.split.by}")
    _require_values(column, statistics)
    text = staged.table[column.id]
    decided = replace(column, kind=given) if given else _infer(text, column, statistics, engine)
    if decided.kind == "number":
        require_numbers(staged, decided, statistics, engine)
    if statistics.is_constant and decided.kind != "ignore":
        return replace(decided, note="the same value in every row")
    return decided


def _infer(text: ir.StringValue, column: Column, statistics: Statistics, engine: Engine) -> Column:
    if statistics.is_mostly_number:
        if _counts_rows(text, statistics, engine):
            return replace(column, kind="ignore", reason="numbers the rows")
        return replace(column, kind="number")
    if _is_mostly(text, _DATE, engine):
        return replace(column, kind="ignore", reason="dates")
    note = _OTHER_NOTATION_NOTE if _is_mostly(text, _OTHER_NOTATION, engine) else ""
    if _identifies(text, statistics, engine):
        reason = note or "an identifier: more than 90 % of its values are different"
        return replace(column, kind="ignore", reason=reason)
    return replace(column, note=note)


def _is_mostly(text: ir.StringValue, pattern: str, engine: Engine) -> bool:
    share: float = engine.value(text.re_search(pattern).mean())
    return share >= _MOSTLY


def _counts_rows(text: ir.StringValue, statistics: Statistics, engine: Engine) -> bool:
    n_rows = statistics.n_rows
    if n_rows < _ENOUGH_ROWS or statistics.n_integers < n_rows:
        return False
    if statistics.least is None or statistics.greatest is None:
        return False
    is_dense = statistics.greatest - statistics.least + 1 == n_rows
    return is_dense and _n_distinct(number(text), engine) == n_rows


def _identifies(text: ir.StringValue, statistics: Statistics, engine: Engine) -> bool:
    n_present = statistics.n_present
    if n_present < _ENOUGH_ROWS or statistics.n_distinct < _SURELY_NOT_MOSTLY * n_present:
        return False
    return _n_distinct(text, engine) > _MOSTLY * n_present


def _n_distinct(value: ir.Value, engine: Engine) -> int:
    # As rows of a table, because those spill to the disk.
    distinct = value.name("value").as_table().drop_null().distinct()
    count: int = engine.value(distinct.count())
    return count


# --- what is refused ----------------------------------------------------------------------------


def require_varying(columns: Sequence[Column], statistics: Mapping[str, Statistics]) -> None:
    """Raise DataError when no feature among `columns` tells the rows apart."""
    if all(c.kind == "ignore" or statistics[c.id].is_constant for c in columns):
        why = listed([f"{column.name}: {column.reason or column.note}" for column in columns])
        raise DataError(
            "data", f"no column to learn from ({why})", "one at least",
            "Name one in data/types in project.yml as number or category, or add columns",
        )  # fmt: skip


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
    n_wrong = n_texts or statistics.n_infinite
    if not n_wrong:
        return
    value = staged.table[column.id].try_cast("float64")
    is_wrong = value.isnull() if n_texts else value.isinf()
    where, found = first_value(staged, column, is_wrong, engine)
    others = f" (and {n_wrong - 1:,} more such values)" if n_wrong > 1 else ""
    fix = "Correct it, or, if it means a missing value, add it to data/null_values in project.yml"
    if n_texts:
        fix += f"; or set data/types/{column.name}: category"
    if ":1," in where:  # the line of a header, in a file that shall have none
        fix = "If the line is a header, set data/header: true in project.yml"
    raise DataError(where, found + others, "a finite number", fix)


def first_value(
    staged: Staged, column: Column, is_wrong: ir.BooleanValue, engine: Engine
) -> tuple[str, str]:
    """Return where the first wrong value of `column` is, and its text; there must be one."""
    text = staged.table[column.id]
    wrong = staged.table.filter(text.notnull() & is_wrong).select("row", value=text)
    (first,) = engine.rows(wrong.order_by("row").limit(1))
    where = f"{staged.place(first['row'])}, column {column.name!r}"
    return where, shortened(repr(first["value"]))
