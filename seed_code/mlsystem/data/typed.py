"""Rows of text become rows of numbers, categories and labels, with hashes to compare them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from mlsystem.data.columns import (
    Column,
    Statistics,
    canonical,
    classify,
    measure,
    number,
    require_varying,
)
from mlsystem.data.engine import Engine
from mlsystem.data.functions import md5_number_lower, md5_number_upper
from mlsystem.data.labels import Labels, find_labels, require_numeric_target
from mlsystem.data.split import column_key, row_key
from mlsystem.data.staging import Staged, column_ids
from mlsystem.settings import Settings

__all__ = ["Typed", "type_columns"]


@dataclass(frozen=True)
class Typed:
    """The rows that have a target.

    Parameters
    ----------
    table
        ``row``, ``target``, ``split_key``, the features by their ids and, where duplicates are
        dropped, ``key_high`` and ``key_low``: a hash of all raw columns.
    staged
        Where the rows came from.
    columns
        What each raw column but the target is.
    labels
        Of the target; ``None`` for regression.
    """

    table: ir.Table
    staged: Staged
    columns: tuple[Column, ...]
    labels: Labels | None

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns to learn from."""
        return tuple(column for column in self.columns if column.kind != "ignore")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was unusual about the files and the columns."""
        noted = (column for column in self.columns if column.note)
        return (
            *self.staged.notes,
            *(f"column {column.name!r}: {column.note}" for column in noted),
        )


def type_columns(settings: Settings, staged: Staged, scratch: Path, engine: Engine) -> Typed:
    """Return the `staged` rows that have a target, typed, computed once and kept in `scratch`.

    Raises
    ------
    DataError
        A column or the target cannot be used.
    """
    statistics = measure(staged, engine)
    columns = classify(staged, statistics, settings, engine)
    names = staged.source.names
    position = names.index(settings.model.target)
    target = Column(column_ids(names)[position], names[position])
    labels = None
    if settings.model.problem == "regression":
        require_numeric_target(staged, target, statistics[target.id], settings, engine)
    else:
        labels = find_labels(staged, target, statistics[target.id], settings, engine)
    require_varying(columns, statistics)
    text = staged.table[target.id]
    values = {
        "row": staged.table.row,
        "target": labels.index(text) if labels else number(text),
        **_column_values(settings, staged, columns, statistics, engine),
    }
    table = _hash(settings, staged.table.select(**values), columns)
    path = scratch / "typed.parquet"
    engine.write_parquet(table.filter(table.target.notnull()), path)
    return Typed(engine.read_parquet([path]), staged, columns, labels)


def _column_values(
    settings: Settings,
    staged: Staged,
    columns: Sequence[Column],
    statistics: Mapping[str, Statistics],
    engine: Engine,
) -> dict[str, ir.Value]:
    """Return the typed value of each column, and the key of a split by a column."""
    values: dict[str, ir.Value] = {}
    split = settings.data.split
    for column in columns:
        text = staged.table[column.id]
        values[column.id] = number(text) if column.kind == "number" else text
        if column.name == split.column:
            key = column_key(staged, column, statistics[column.id], split, engine)
            values["split_key"] = key
    return values


def _hash(settings: Settings, rows: ir.Table, columns: Sequence[Column]) -> ir.Table:
    """Return `rows` with their keys, without the ignored columns."""
    ignored = [column.id for column in columns if column.kind == "ignore"]
    # By name: a side does not depend on the order of the columns.
    features = sorted((c for c in columns if c.kind != "ignore"), key=lambda c: c.name)
    kept = [name for name in rows.columns if name not in ignored]
    # In steps, because the engine would compute the text of a row once for each use of it.
    texts = rows.select(
        *kept,
        features_text=_joined(rows, [column.id for column in features]),
        others_text=_joined(rows, ["target", *ignored]),
    )
    keys = {}
    if settings.data.split.by == "row":
        keys["split_key"] = row_key(texts.features_text, settings.data.split)
    if settings.data.duplicates == "drop":
        whole = texts.features_text.concat(";", texts.others_text)
        keys["key_high"] = md5_number_upper(whole)
        keys["key_low"] = md5_number_lower(whole)
    return texts.select(*kept, **keys)


def _joined(rows: ir.Table, columns: Sequence[str]) -> ir.StringValue:
    return ibis.literal(";").join([canonical(rows[column]) for column in columns])
