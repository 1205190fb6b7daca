"""The target: its labels in the order of their indices, or its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis
import ibis.expr.types as ir

from mlsystem.data.columns import Column, Statistics, number, require_numbers
from mlsystem.data.engine import Engine
from mlsystem.data.staging import Staged
from mlsystem.data.wording import listed, nearest, shortened
from mlsystem.errors import DataError
from mlsystem.settings import Model, Settings

__all__ = ["Labels", "find_labels", "require_numeric_target"]

_BINARY: Final = 2
_MOST_LABELS: Final = 1_000
# More different numbers than this are measured rather than told apart.
_MOST_NUMERIC_LABELS: Final = 20
_YES: Final = {"yes", "true", "1", "y", "t", "positive"}
# Above it, integers and doubles no longer map one to one.
_LARGEST_INTEGER: Final = 2**53


@dataclass(frozen=True)
class Labels:
    """Labels; in a binary problem the negative one, then the positive one, else sorted.

    Parameters
    ----------
    names
        The labels in the order of their indices.
    are_numbers
        Whether ``1``, ``1.0`` and ``1e0`` are the same label, and sorted by value. Parquet may
        have stored integers as floats.
    """

    names: tuple[str, ...]
    are_numbers: bool

    def index(self, text: ir.StringValue) -> ir.IntegerValue:
        """Return the index of the label in the column `text`; NULL where it is missing."""
        label = _label(text, self.are_numbers)
        cases = [(label == name, index) for index, name in enumerate(self.names)]
        return ibis.cases(*cases).cast("int32")


def find_labels(
    staged: Staged, target: Column, statistics: Statistics, settings: Settings, engine: Engine
) -> Labels:
    """Return the labels in the column `target`, which has these `statistics`.

    Raises
    ------
    DataError
        There are too few or too many of them for the problem, or the positive one is not there.
    """
    are_numbers = statistics.is_number and settings.data.types.get(target.name) != "category"
    label = _label(staged.table[target.id], are_numbers).name("label")
    counts = label.as_table().drop_null().group_by("label").aggregate(n=ibis._.count())
    rows = engine.rows(counts.order_by(ibis.desc("n"), "label").limit(_MOST_LABELS + 1))
    n_rows = {row["label"]: row["n"] for row in rows}
    names = sorted(n_rows, key=float) if are_numbers else sorted(n_rows)
    _require_possible(target, names, are_numbers, settings.model)
    if settings.model.problem == "binary":
        positive = _positive(target, names, n_rows, settings.model)
        names.sort(key=lambda name: name == positive)
    return Labels(tuple(names), are_numbers)


def require_numeric_target(
    staged: Staged, target: Column, statistics: Statistics, settings: Settings, engine: Engine
) -> None:
    """Raise DataError unless the column `target` holds different numbers, for a regression."""
    where = f"column {target.name!r}"
    is_text = settings.data.types.get(target.name) == "category"
    if is_text or not statistics.is_mostly_number:
        raise DataError(
            where, "text", "numbers, for a regression problem",
            "Set model/problem to binary or multiclass in project.yml, or correct model/target",
        )  # fmt: skip
    require_numbers(staged, target, statistics, engine)
    if statistics.least == statistics.greatest:
        found = "the same value in every row" if statistics.n_present else "no value"
        raise DataError(
            where, found, "different values to predict", "Correct model/target in project.yml"
        )


def _label(text: ir.StringValue, is_number: bool) -> ir.StringValue:
    if not is_number:
        return text
    value = number(text)
    is_integer = (value % 1 == 0) & (value.abs() < _LARGEST_INTEGER)
    return is_integer.ifelse(value.try_cast("int64").cast("string"), value.cast("string"))


def _require_possible(target: Column, names: list[str], are_numbers: bool, model: Model) -> None:
    where = f"column {target.name!r}"
    found = f"{len(names):,} labels ({listed(names)})"
    if len(names) > _MOST_LABELS:
        found = f"more than {_MOST_LABELS:,} labels ({listed(names)})"
    if len(names) < _BINARY:
        raise DataError(
            where, f"one label ({names[0]})" if names else "no label", "two or more to tell apart",
            "Add rows with another label, or correct model/target in project.yml",
        )  # fmt: skip
    if model.problem == "binary" and len(names) > _BINARY:
        is_regression = are_numbers and len(names) > _MOST_NUMERIC_LABELS
        problem = "regression" if is_regression else "multiclass"
        raise DataError(
            where, found, "two, for a binary problem",
            f"Set model/problem: {problem} in project.yml",
        )  # fmt: skip
    if model.problem == "multiclass" and len(names) == _BINARY:
        raise DataError(
            where, found, "three or more, for a multiclass problem",
            "Set model/problem: binary in project.yml",
        )  # fmt: skip
    if len(names) > _MOST_LABELS:
        raise DataError(
            where, found, f"{_MOST_LABELS:,} at most",
            "Set model/problem: regression in project.yml" if are_numbers else
            "Put rare labels together, or correct model/target in project.yml",
        )  # fmt: skip


def _positive(target: Column, names: list[str], n_rows: dict[str, int], model: Model) -> str:
    given = model.positive_label
    if given is None:
        affirmative = [name for name in names if name.lower() in _YES]
        if len(affirmative) == 1:
            return affirmative[0]
        return min(reversed(names), key=lambda name: n_rows[name])
    if given not in names:
        raise DataError(
            f"column {target.name!r}", f"the labels {listed(names)}",
            f"the positive one, {shortened(given)!r}, among them",
            nearest(given, names) or "Correct model/positive_label in project.yml",
        )  # fmt: skip
    return given
