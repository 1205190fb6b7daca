"""On which side of the split a row falls: train, validation or test.

``row`` and ``group`` take the MD5 of the seed and of what the row is (its features, or its group),
read as a fraction of the largest hash. So a side depends on nothing but the row: neither on other
rows, nor on the order or format of the files, nor on the version of a library, as long as the same
columns are features. Rows with the same features are on the same side even when their targets
differ.

``time`` sorts the rows and cuts between two different times, where that comes nearest to the
shares: rows of one time stay together.
"""

from __future__ import annotations

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from mlsystem.data.columns import (
    Column,
    Statistics,
    canonical,
    first_value,
    number,
    require_numbers,
)
from mlsystem.data.engine import Engine
from mlsystem.data.functions import epoch_us, md5
from mlsystem.data.staging import Staged
from mlsystem.errors import DataError
from mlsystem.settings import Split

__all__ = ["SIDES", "column_key", "row_key", "side"]

SIDES = ("train", "validation", "test")

_HASH_DIGITS = 32


def row_key(features: ir.StringValue, split: Split) -> ir.StringValue:
    """Return what decides about a row: a hash of the text of all its `features`."""
    return md5(ibis.literal(f"{split.seed};").concat(features))


def column_key(
    staged: Staged, column: Column, statistics: Statistics, split: Split, engine: Engine
) -> ir.Value:
    """Return what decides about a row of a split by time or group; NULL when it is missing.

    Raises
    ------
    DataError
        The column has no value, or one in a column of times is neither a number nor a time.
    """
    if not statistics.n_present:
        raise DataError(
            "project.yml data/split/column", f"{column.name!r}, which has no value",
            f"a column of {split.by}s", "Split by another column, or by row",
        )  # fmt: skip
    text = staged.table[column.id]
    if split.by == "group":
        group = canonical(number(text) if statistics.is_number else text)
        return text.notnull().ifelse(row_key(group, split), ibis.null(str))
    if statistics.is_mostly_number:
        require_numbers(staged, column, statistics, engine)
        return number(text)
    time = text.try_cast(dt.Timestamp(timezone="UTC"))
    if engine.value((text.notnull() & time.isnull()).any()):
        where, found = first_value(staged, column, time.isnull(), engine)
        raise DataError(
            where, found,
            "a number, a date (2024-05-31) or a time (2024-05-31T17:00:00Z) to sort by",
            "Write times as ISO 8601 does, or split by row",
        )  # fmt: skip
    return epoch_us(time)


def side(rows: ir.Table, key: str, split: Split, engine: Engine) -> ir.IntegerValue:
    """Return the index in `SIDES` of the side of each row, from its `key` column."""
    train, both = split.train, split.train + split.validation
    if split.by == "time":
        newest = _newest(rows, key, (train, both), engine)
        is_train, is_validation = (rows[key] <= time for time in newest)
    else:
        is_train, is_validation = rows[key] < _hash_at(train), rows[key] < _hash_at(both)
    return ibis.cases((is_train, 0), (is_validation, 1), else_=2)


def _hash_at(share: float) -> str:
    """Return the hash below which `share` of all hashes are."""
    return f"{int(share * 16**_HASH_DIGITS):0{_HASH_DIGITS}x}"


def _newest(rows: ir.Table, key: str, shares: tuple[float, float], engine: Engine) -> list[float]:
    """Return the newest time of the oldest rows, for each of the `shares`."""
    counts = rows.group_by(key).aggregate(n=rows.count())
    older = engine.keep(
        counts.mutate(n_older=counts.n.sum().over(ibis.cumulative_window(order_by=key)))
    )
    n_rows = engine.value(rows.count())
    newest: list[float] = []
    for share in shares:
        distance = (older.n_older - share * n_rows).abs()
        nearest = engine.rows(older.order_by([distance, key]).limit(1))
        newest.extend(row[key] for row in nearest)
    return newest
