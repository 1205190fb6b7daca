"""The typed rows without duplicates, each on its side, with a schema and a report."""

from __future__ import annotations

from pathlib import Path

import ibis.expr.types as ir

from mlsystem import artifacts
from mlsystem.artifacts import DataReport, DataSchema, DroppedRows, Feature, IgnoredColumn
from mlsystem.data.engine import Engine
from mlsystem.data.split import SIDES, side
from mlsystem.data.typed import Typed
from mlsystem.data.wording import listed
from mlsystem.errors import DataError
from mlsystem.settings import Settings

__all__ = ["write_sides"]


def write_sides(settings: Settings, typed: Typed, folder: Path, engine: Engine) -> DataReport:
    """Write the rows of each side, the schema and the report to `folder`; return the report.

    Raises
    ------
    DataError
        The split leaves a side without rows, or without a label that it needs.
    """
    kept, dropped = _drop(settings, typed, engine)
    sided = kept.mutate(side=side(kept, "split_key", settings.data.split, engine))
    report = _report(typed, sided, dropped, engine)
    _require_usable(settings, report)
    for index, name in enumerate(SIDES):
        (folder / name).mkdir()
        rows = _finished(settings, typed, sided.filter(sided.side == index))
        engine.write_parquet(rows, folder / name / "part-00000.parquet")
    schema = DataSchema(
        problem=settings.model.problem,
        target=settings.model.target,
        labels=typed.labels.names if typed.labels else (),
        features=tuple(Feature(c.name, c.kind) for c in typed.columns if c.kind != "ignore"),
    )
    artifacts.write(schema, folder / "schema" / "schema.json")
    artifacts.write(report, folder / "report" / "report.json")
    return report


def _drop(
    settings: Settings, typed: Typed, engine: Engine
) -> tuple[ir.Table, tuple[DroppedRows, ...]]:
    """Return the rows to keep, and how many went why."""
    n_with_target = engine.value(typed.table.count())
    kept = typed.table.filter(typed.table.split_key.notnull())
    n_with_key = engine.value(kept.count())
    by = settings.data.split.column
    if not n_with_key:
        raise DataError(
            "project.yml data/split/column", f"{by!r}, which has no value where the target has one",
            "a column that has", "Split by another column, or by row",
        )  # fmt: skip
    dropped = [
        DroppedRows(
            f"no value in the target {settings.model.target!r}",
            typed.staged.n_rows - n_with_target,
        ),
        DroppedRows(f"no value in {by!r}, which splits the rows", n_with_target - n_with_key),
    ]
    if settings.data.duplicates == "drop":
        kept, n_repeated = _drop_repeated(kept, engine)
        dropped.append(DroppedRows("equal to an earlier row in every column", n_repeated))
    return kept, tuple(drop for drop in dropped if drop.rows)


def _drop_repeated(rows: ir.Table, engine: Engine) -> tuple[ir.Table, int]:
    # Hashes are grouped, not rows, and only those that occur again are joined: usually few.
    keys = ["key_high", "key_low"]
    groups = rows.group_by(keys).aggregate(first_row=rows.row.min(), n=rows.count())
    repeated = engine.keep(groups.filter(groups.n > 1))
    n_repeated: int = engine.value((repeated.n - 1).sum().coalesce(0))
    if not n_repeated:
        return rows, 0
    joined = rows.left_join(repeated, keys)
    is_first = joined.first_row.isnull() | (joined.first_row == joined.row)
    return joined.filter(is_first).select(*rows.columns), n_repeated


def _finished(settings: Settings, typed: Typed, rows: ir.Table) -> ir.Table:
    """Return `rows` as training reads them."""
    # In the order of the files: training sees the same rows in the same order, whatever the number
    # of threads here.
    ordered = rows.order_by("row")
    features = [ordered[column.id].name(column.name) for column in typed.features]
    return ordered.select(*features, ordered.target.name(settings.model.target))


def _report(
    typed: Typed, sided: ir.Table, dropped: tuple[DroppedRows, ...], engine: Engine
) -> DataReport:
    labels = typed.labels.names if typed.labels else ()
    missing = {column.id: sided[column.id].isnull().sum() for column in typed.features}
    by = ["side", "target"] if labels else ["side"]
    groups = engine.rows(sided.group_by(by).aggregate(n=sided.count(), **missing))
    splits = dict.fromkeys(SIDES, 0)
    target_counts = {name: dict.fromkeys(labels, 0) for name in SIDES if labels}
    for group in groups:
        name = SIDES[group["side"]]
        splits[name] += group["n"]
        if labels:
            target_counts[name][labels[group["target"]]] = group["n"]
    return DataReport(
        files=tuple(file.name for file in typed.staged.source.raw.files),
        rows_in=typed.staged.n_rows,
        rows_out=sum(splits.values()),
        dropped=dropped,
        splits=splits,
        target_counts=target_counts,
        missing={c.name: sum(group[c.id] for group in groups) for c in typed.features},
        ignored=tuple(IgnoredColumn(c.name, c.reason) for c in typed.columns if c.kind == "ignore"),
        notes=typed.notes,
    )


def _require_usable(settings: Settings, report: DataReport) -> None:
    """Refuse a split that could not be trained on or evaluated."""
    pointer = "project.yml data/split"
    fix = "Add rows, or change the shares"
    if settings.data.split.by != "time":
        fix += " or data/split/seed"
    sizes = listed([f"{name} {rows:,}" for name, rows in report.splits.items()])
    for name, rows in report.splits.items():
        if not rows:
            raise DataError(pointer, f"no row for {name} ({sizes})", "rows on each side", fix)
    # A binary problem is measured by both labels. Of more labels, a rare one may be missing where
    # it is only measured, but not where it is learned.
    needed = SIDES if settings.model.problem == "binary" else SIDES[:1]
    for name in needed:
        counts = report.target_counts.get(name, {})
        absent = [label for label, rows in counts.items() if not rows]
        if absent:
            found = listed([f"{label} {rows:,}" for label, rows in counts.items()])
            raise DataError(
                pointer, f"no row of {listed(absent)} in {name} ({found})", "rows of each label",
                fix,
            )  # fmt: skip
