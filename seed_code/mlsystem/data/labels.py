"""The labels of a classification target, in the order of their indices."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from mlsystem.data.columns import Column, Statistics, number
from mlsystem.data.engine import Engine
from mlsystem.data.source import Staged, nearest
from mlsystem.errors import DataError
from mlsystem.settings import Model, Settings

__all__ = ["Labels", "find_labels"]

MOST_LABELS = 1_000
_YES = {"yes", "true", "1", "y", "t", "positive"}
# Above it, integers and doubles no longer map one to one.
_LARGEST_INTEGER = 2**53


@dataclass(frozen=True)
class Labels:
    """Labels; in a binary problem the negative one, then the positive one, else sorted."""

    names: tuple[str, ...]
    is_number: bool

    def index(self, text: ir.StringValue) -> ir.IntegerValue:
        """Return the index of the label in the column `text`; NULL where it is missing."""
        label = _label(text, self.is_number)
        cases = [(label == name, index) for index, name in enumerate(self.names)]
        return ibis.cases(*cases).cast("int32")


def find_labels(
    staged: Staged, target: Column, statistics: Statistics, settings: Settings, engine: Engine
) -> Labels:
    """Return the labels in the column `target`.

    Raises
    ------
    DataError
        There are too few or too many of them for the problem, or the positive one is not there.
    """
    model = settings.model
    # Numbers have many spellings (1, 1.0, 1e0), and Parquet may have stored integers as floats.
    is_number = statistics.is_number and settings.data.types.get(target.name) != "category"
    label = _label(staged.table[target.id], is_number).name("label")
    counts = label.as_table().drop_null().group_by("label").aggregate(n=ibis._.count())
    rows = engine.rows(counts.order_by(ibis.desc("n"), "label").limit(MOST_LABELS + 1))
    found = {row["label"]: row["n"] for row in rows}
    names = sorted(found, key=float) if is_number else sorted(found)
    _require_possible(f"column {target.name!r}", names, is_number, model)
    if model.problem == "binary":
        positive = _positive(f"column {target.name!r}", names, found, model.positive_label)
        names.sort(key=lambda name: name == positive)
    return Labels(tuple(names), is_number)


def _label(text: ir.StringValue, is_number: bool) -> ir.StringValue:
    if not is_number:
        return text
    value = number(text)
    is_integer = (value % 1 == 0) & (value.abs() < _LARGEST_INTEGER)
    return is_integer.ifelse(value.try_cast("int64").cast("string"), value.cast("string"))


def _require_possible(where: str, names: list[str], is_number: bool, model: Model) -> None:
    if len(names) < 2:
        only = f"only the label {names[0]!r}" if names else "no label"
        raise DataError(
            where, only, "two labels to tell apart at least",
            "Add rows with another label, or correct model/target in project.yml",
        )  # fmt: skip
    if model.problem == "binary" and len(names) > 2:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(
            where, f"{_count(names)} labels ({listed})", "two, for a binary problem",
            f"Set model/problem: {_other_problem(names, is_number)} in project.yml",
        )  # fmt: skip
    if model.problem == "multiclass" and len(names) == 2:
        raise DataError(
            where, f"two labels ({', '.join(names)})", "three or more, for a multiclass problem",
            "Set model/problem: binary in project.yml",
        )  # fmt: skip
    if len(names) > MOST_LABELS:
        raise DataError(
            where, f"{_count(names)} labels", f"{MOST_LABELS:,} at most",
            "Set model/problem: regression in project.yml" if is_number else
            "Correct model/target in project.yml, or put rare labels together",
        )  # fmt: skip


def _count(names: list[str]) -> str:
    return f"more than {MOST_LABELS:,}" if len(names) > MOST_LABELS else f"{len(names):,}"


def _other_problem(names: list[str], is_number: bool) -> str:
    return "regression" if is_number and len(names) > 20 else "multiclass"


def _positive(where: str, names: list[str], counts: dict[str, int], given: str | None) -> str:
    if given is not None:
        if given not in counts:
            raise DataError(
                where, f"labels {names[0]!r} and {names[1]!r}",
                f"the positive label {given!r} among them",
                nearest(given, names) or "Correct model/positive_label in project.yml",
            )  # fmt: skip
        return given
    affirmative = [name for name in names if name.lower() in _YES]
    if len(affirmative) == 1:
        return affirmative[0]
    return min(reversed(names), key=lambda name: counts[name])
