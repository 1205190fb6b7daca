"""From raw files to split, typed Parquet files, a schema and a report: the steps in order."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ibis
import ibis.expr.types as ir

from mlsystem import artifacts
from mlsystem.artifacts import DataReport, DataSchema, DroppedRows, Feature, IgnoredColumn
from mlsystem.data.columns import (
    Column,
    Statistics,
    canonical,
    classify,
    measure,
    number,
    require_varying,
)
from mlsystem.data.csv_source import CsvSource
from mlsystem.data.engine import Engine, disk_full, open_engine
from mlsystem.data.files import find
from mlsystem.data.functions import md5_number_lower, md5_number_upper
from mlsystem.data.labels import Labels, find_labels, require_numeric_target
from mlsystem.data.parquet_source import ParquetSource
from mlsystem.data.split import SIDES, column_key, row_key, side
from mlsystem.data.staging import Source, Staged, column_ids
from mlsystem.data.wording import listed, nearest, plural
from mlsystem.errors import DataError
from mlsystem.settings import Settings

__all__ = ["prepare"]

Progress = Callable[[str], None]


def prepare(settings: Settings, source: Path, destination: Path, progress: Progress) -> DataReport:
    """Write prepared data and return the report about it.

    Parameters
    ----------
    settings
        Of the project; `data` and `model` count here.
    source
        Folder of CSV or Parquet files.
    destination
        Folder that gets ``train/ validation/ test/`` (Parquet, rows in the order of the files),
        ``schema/schema.json`` and ``report/report.json``: all of them, or nothing.
    progress
        Takes a line for people after each step.

    Raises
    ------
    DataError
        The data cannot be used; nothing is written.
    """
    # Inside the destination, not beside it: SageMaker may mount it as a disk of its own, the only
    # one whose size the settings choose.
    scratch = (destination / ".prepare.partial").absolute()
    shutil.rmtree(scratch, ignore_errors=True)
    finished = scratch / "finished"
    finished.mkdir(parents=True)
    try:
        with open_engine(scratch) as engine:
            staged = _stage(settings, source, scratch, engine, progress)
            typed = _type(settings, staged, scratch, engine, progress)
            report = _split(settings, typed, finished, engine, progress)
        _publish(finished, destination)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(destination) from error
        raise
    finally:
        shutil.rmtree(scratch)
    return report


# --- files become one table ---------------------------------------------------------------------


def _stage(
    settings: Settings, folder: Path, scratch: Path, engine: Engine, progress: Progress
) -> Staged:
    raw = find(folder, settings.data.format)
    source: Source = (
        CsvSource(raw, settings.data)
        if raw.format == "csv"
        else ParquetSource(raw, settings.data, engine)
    )
    _require_target(source, settings)
    _require_named_columns(source, settings)
    engine.set_budget(len(source.names))
    staged = source.stage(engine, scratch)
    progress(f"{plural(len(raw.files), 'file')}, {plural(staged.n_rows, 'row')} read")
    if not staged.n_rows:
        raise DataError(raw.files[0].name, "no rows", "rows to split in three", "Add data")
    empty = [
        f"{file.name}: no rows"
        for file, n_rows in zip(raw.files, staged.rows, strict=True)
        if not n_rows
    ]
    return replace(staged, notes=(*raw.notes, *staged.notes, *empty))


def _require_target(source: Source, settings: Settings) -> None:
    target, names = settings.model.target, source.names
    if target in names:
        return
    where = source.raw.files[0].name
    if source.raw.format == "csv" and settings.data.header and _look_like_data(names):
        raise DataError(
            f"{where}:1", f"a header that reads as data ({listed(names)})",
            f"names of columns, {target!r} among them",
            "If the file has no header, set data/header: false in project.yml",
        )  # fmt: skip
    raise DataError(
        where, f"no column {target!r}, only {listed(names)}", "the column that model/target names",
        nearest(target, names) or "Correct model/target in project.yml",
    )  # fmt: skip


def _look_like_data(names: Sequence[str]) -> bool:
    def is_number(name: str) -> bool:
        try:
            float(name)
        except ValueError:
            return False
        return True

    return sum(map(is_number, names)) >= len(names) / 2


def _require_named_columns(source: Source, settings: Settings) -> None:
    named = {f"data/types/{name}": name for name in settings.data.types}
    by = settings.data.split.column
    if by is not None:
        named["data/split/column"] = by
    for pointer, name in named.items():
        if name not in source.names:
            raise DataError(
                f"project.yml {pointer}", f"no column {name!r} in the data",
                f"one of {listed(source.names)}", nearest(name, source.names),
            )  # fmt: skip
    if by == settings.model.target:
        raise DataError(
            "project.yml data/split/column", f"the target, {by!r}", "another column",
            "Split by row, or by what the rows have in common",
        )  # fmt: skip


# --- columns get their types --------------------------------------------------------------------


@dataclass(frozen=True)
class _Typed:
    """The rows that have a target.

    `table` has ``row``, ``target``, ``split_key``, the features by their ids and, where duplicates
    are dropped, ``key_high`` and ``key_low``: a hash of all raw columns.
    """

    table: ir.Table
    staged: Staged
    columns: tuple[Column, ...]
    labels: Labels | None

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind != "ignore")

    @property
    def notes(self) -> tuple[str, ...]:
        noted = (column for column in self.columns if column.note)
        return (
            *self.staged.notes,
            *(f"column {column.name!r}: {column.note}" for column in noted),
        )


def _type(
    settings: Settings, staged: Staged, scratch: Path, engine: Engine, progress: Progress
) -> _Typed:
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
    typed = _Typed(engine.read_parquet([path]), staged, columns, labels)
    _tell_columns(typed, progress)
    return typed


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


def _tell_columns(typed: _Typed, progress: Progress) -> None:
    kinds = [column.kind for column in typed.columns]
    progress(
        f"{plural(len(typed.features), 'feature')}: {kinds.count('number'):,} numeric, "
        f"{kinds.count('category'):,} categorical; {kinds.count('ignore'):,} ignored"
    )
    for column in typed.columns:
        if column.kind == "ignore":
            progress(f"ignored column {column.name!r}: {column.reason}")
    for note in typed.notes:
        progress(note)


# --- rows get their sides -----------------------------------------------------------------------


def _split(
    settings: Settings, typed: _Typed, finished: Path, engine: Engine, progress: Progress
) -> DataReport:
    kept, dropped = _drop(settings, typed, engine)
    for drop in dropped:
        progress(f"dropped {plural(drop.rows, 'row')}: {drop.reason}")
    sided = kept.mutate(side=side(kept, "split_key", settings.data.split, engine))
    report = _report(typed, sided, dropped, engine)
    _require_usable(settings, report)
    for index, name in enumerate(SIDES):
        (finished / name).mkdir()
        rows = _finished(settings, typed, sided.filter(sided.side == index))
        engine.write_parquet(rows, finished / name / "part-00000.parquet")
    schema = DataSchema(
        problem=settings.model.problem,
        target=settings.model.target,
        labels=typed.labels.names if typed.labels else (),
        features=tuple(Feature(c.name, c.kind) for c in typed.columns if c.kind != "ignore"),
    )
    artifacts.write(schema, finished / "schema" / "schema.json")
    artifacts.write(report, finished / "report" / "report.json")
    progress("rows: " + ", ".join(f"{name} {rows:,}" for name, rows in report.splits.items()))
    return report


def _drop(
    settings: Settings, typed: _Typed, engine: Engine
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


def _finished(settings: Settings, typed: _Typed, rows: ir.Table) -> ir.Table:
    """Return `rows` as training reads them."""
    # In the order of the files: training sees the same rows in the same order, whatever the number
    # of threads here.
    ordered = rows.order_by("row")
    features = [ordered[column.id].name(column.name) for column in typed.features]
    return ordered.select(*features, ordered.target.name(settings.model.target))


def _report(
    typed: _Typed, sided: ir.Table, dropped: tuple[DroppedRows, ...], engine: Engine
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


def _publish(finished: Path, destination: Path) -> None:
    """Move the finished files to their folders; take them back when one cannot be moved."""
    moved: list[Path] = []
    try:
        for folder in sorted(finished.iterdir()):
            target = destination / folder.name
            target.mkdir(exist_ok=True)
            for old in target.iterdir():
                old.unlink()
            for file in folder.iterdir():
                moved.append(target / file.name)
                shutil.move(file, moved[-1])  # the folders may be on different disks
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise
