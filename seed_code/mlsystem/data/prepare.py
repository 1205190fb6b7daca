"""From raw files to split, typed Parquet files, a schema and a report."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
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
    require_numbers,
)
from mlsystem.data.engine import Engine, open_engine
from mlsystem.data.files import find
from mlsystem.data.labels import Labels, find_labels
from mlsystem.data.source import Source, Staged, column_id, nearest, open_source
from mlsystem.data.split import SIDES, column_key, row_key, side
from mlsystem.errors import DataError
from mlsystem.settings import Settings

__all__ = ["prepare"]

_SCRATCH = ".prepare.partial"


def prepare(
    settings: Settings, source: Path, destination: Path, progress: Callable[[str], None]
) -> DataReport:
    """Write prepared data and return the report about it.

    Parameters
    ----------
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
    scratch = (destination / _SCRATCH).absolute()
    finished = scratch / "finished"
    shutil.rmtree(scratch, ignore_errors=True)
    finished.mkdir(parents=True)
    try:
        with open_engine(scratch) as engine:
            typed = _type(settings, source, scratch, engine, progress)
            report = _split(typed, settings, finished, engine, progress)
            _publish(finished, destination)
    finally:
        shutil.rmtree(scratch)
    return report


# --- columns get their types --------------------------------------------------------------------


@dataclass(frozen=True)
class _Typed:
    """The rows that have a target.

    `table` has ``row``, ``target``, ``split_key``, the features by their ids and, where duplicates
    are dropped, ``key_high`` and ``key_low``: a hash of all raw columns.
    """

    table: ir.Table
    columns: tuple[Column, ...]
    labels: Labels | None
    staged: Staged
    notes: tuple[str, ...]

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind != "ignore")


def _type(
    settings: Settings,
    folder: Path,
    scratch: Path,
    engine: Engine,
    progress: Callable[[str], None],
) -> _Typed:
    source = open_source(find(folder, settings.data.format), settings.data, engine)
    _require_columns(source, settings)
    engine.set_budget(len(source.names))
    staged = source.stage(engine, scratch)
    progress(f"{_files(len(staged.rows))}, {staged.n_rows:,} rows read")
    ids = [column_id(position) for position in range(len(source.names))]
    statistics = measure(staged, ids, engine)
    columns = classify(staged, statistics, settings, engine)
    labels = _read_target(staged, statistics, settings, engine)
    table = _write_typed(staged, columns, statistics, labels, settings, scratch, engine)
    constant = [
        f"column {column.name!r} is constant"
        for column in columns
        if column.kind != "ignore" and statistics[column.id].n_distinct == 1
    ]
    typed = _Typed(table, columns, labels, staged, (*staged.notes, *constant))
    _tell_columns(typed, progress)
    return typed


def _require_columns(source: Source, settings: Settings) -> None:
    """Refuse settings that name a column which is not there."""
    _require_target(source, settings)
    named = {f"data/types/{name}": name for name in settings.data.types}
    if settings.data.split.column is not None:
        named["data/split/column"] = settings.data.split.column
    for pointer, name in named.items():
        if name not in source.names:
            raise DataError(
                f"project.yml {pointer}", f"no column {name!r} in the data",
                f"one of {_listed(source.names)}", nearest(name, source.names),
            )  # fmt: skip
    if settings.data.split.column == settings.model.target:
        raise DataError(
            "project.yml data/split/column", f"the target, {settings.model.target!r}",
            "another column", "Split by row, or by what the rows have in common",
        )  # fmt: skip


def _require_target(source: Source, settings: Settings) -> None:
    target, names = settings.model.target, source.names
    if target in names:
        return
    where = (
        f"{source.raw.files[0].name}:1" if source.raw.format == "csv" else source.raw.files[0].name
    )
    if settings.data.header and source.raw.format == "csv" and _look_like_data(names):
        raise DataError(
            where, f"the header reads as data ({_listed(names)}) and has no {target!r}",
            "names of columns", "If the file has no header, set data/header: false in project.yml",
        )  # fmt: skip
    raise DataError(
        where, f"no column {target!r}, only {_listed(names)}", "the column that model/target names",
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


def _read_target(
    staged: Staged, statistics: Mapping[str, Statistics], settings: Settings, engine: Engine
) -> Labels | None:
    """Return the labels of a classification target; check that of a regression."""
    target = _target_column(staged, settings)
    values = statistics[target.id]
    if settings.model.problem != "regression":
        return find_labels(staged, target, values, settings, engine)
    where = f"column {target.name!r}"
    if settings.data.types.get(target.name) == "category" or not values.is_mostly_number:
        raise DataError(
            where, "text", "numbers, for a regression problem",
            "Set model/problem to binary or multiclass in project.yml, or correct model/target",
        )  # fmt: skip
    require_numbers(staged, target, values, engine)
    if values.n_distinct < 2:
        found = "the same value in every row" if values.n_present else "no value"
        raise DataError(where, found, "values to predict", "Correct model/target in project.yml")
    return None


def _target_column(staged: Staged, settings: Settings) -> Column:
    name = settings.model.target
    return Column(column_id(staged.source.names.index(name)), name, "number")


@ibis.udf.scalar.builtin
def md5_number_upper(text: str) -> dt.uint64:  # type: ignore[empty-body, valid-type]
    """Half of the MD5."""


@ibis.udf.scalar.builtin
def md5_number_lower(text: str) -> dt.uint64:  # type: ignore[empty-body, valid-type]
    """The other half."""


def _write_typed(
    staged: Staged,
    columns: Sequence[Column],
    statistics: Mapping[str, Statistics],
    labels: Labels | None,
    settings: Settings,
    scratch: Path,
    engine: Engine,
) -> ir.Table:
    """Return the table of :class:`_Typed`, computed once."""
    split = settings.data.split
    raw = staged.table
    target = raw[_target_column(staged, settings).id]
    values = {
        "row": raw.row,
        "target": labels.index(target) if labels else number(target),
        **{c.id: number(raw[c.id]) if c.kind == "number" else raw[c.id] for c in columns},
    }
    for column in columns:
        if column.name == split.column:
            key = column_key(staged, column, statistics[column.id], split, engine)
            values["split_key"] = key
    # One level of expressions per step: the engine would compute a shared text once for each use.
    typed = raw.select(**values)
    typed = typed.filter(typed.target.notnull())
    kept = [name for name in values if name not in {c.id for c in columns if c.kind == "ignore"}]
    features = sorted((c for c in columns if c.kind != "ignore"), key=lambda column: column.name)
    others = [c.id for c in columns if c.kind == "ignore"] + ["target"]
    texts = typed.select(
        *kept,
        features_text=_join(typed, [c.id for c in features]),
        others_text=_join(typed, others),
    )
    hashes = {}
    if split.by == "row":
        hashes["split_key"] = row_key(texts.features_text, split)
    if settings.data.duplicates == "drop":
        whole = texts.features_text.concat(";", texts.others_text)
        hashes |= {"key_high": md5_number_upper(whole), "key_low": md5_number_lower(whole)}
    path = scratch / "typed.parquet"
    engine.write_parquet(texts.select(*kept, **hashes), path)
    return engine.read_parquet([path])


def _join(table: ir.Table, ids: Iterable[str]) -> ir.StringValue:
    return ibis.literal(";").join([canonical(table[id]) for id in ids])


def _tell_columns(typed: _Typed, progress: Callable[[str], None]) -> None:
    kinds = Counter(column.kind for column in typed.columns)
    progress(
        f"{len(typed.features):,} features ({kinds['number']:,} numbers, "
        f"{kinds['category']:,} categories), {kinds['ignore']:,} columns ignored"
    )
    for column in typed.columns:
        if column.kind == "ignore":
            progress(f"ignored column {column.name!r}: {column.reason}")
    for note in typed.notes:
        progress(note)


# --- rows get their sides -----------------------------------------------------------------------


def _split(
    typed: _Typed,
    settings: Settings,
    finished: Path,
    engine: Engine,
    progress: Callable[[str], None],
) -> DataReport:
    kept, dropped = _drop(typed, settings, engine)
    for drop in dropped:
        progress(f"dropped {drop.rows:,} rows: {drop.reason}")
    sided = kept.mutate(side=side(kept, "split_key", settings.data.split, engine))
    report = _report(typed, sided, dropped, settings, engine)
    _require_possible(report, typed.labels, settings)
    for index, name in enumerate(SIDES):
        _write_side(sided.filter(sided.side == index), typed, settings, finished / name, engine)
    schema = DataSchema(
        problem=settings.model.problem,
        target=settings.model.target,
        labels=typed.labels.names if typed.labels else (),
        features=tuple(Feature(c.name, c.kind) for c in typed.features if c.kind != "ignore"),
    )
    artifacts.write(schema, finished / "schema" / "schema.json")
    artifacts.write(report, finished / "report" / "report.json")
    progress(", ".join(f"{name} {rows:,}" for name, rows in report.splits.items()) + " rows")
    return report


def _drop(
    typed: _Typed, settings: Settings, engine: Engine
) -> tuple[ir.Table, tuple[DroppedRows, ...]]:
    """Return the rows to keep, and how many went why."""
    n_with_target = engine.value(typed.table.count())
    usable = typed.table.filter(typed.table.split_key.notnull())
    n_usable = engine.value(usable.count())
    dropped = [
        DroppedRows(
            f"no value in the target {settings.model.target!r}", typed.staged.n_rows - n_with_target
        ),
        DroppedRows(
            f"no value in {settings.data.split.column!r}, which splits the rows",
            n_with_target - n_usable,
        ),
    ]
    if settings.data.duplicates == "drop":
        usable, n_repeated = _drop_repeated(usable, engine)
        dropped.append(DroppedRows("equal to an earlier row in every column", n_repeated))
    return usable, tuple(drop for drop in dropped if drop.rows)


def _drop_repeated(rows: ir.Table, engine: Engine) -> tuple[ir.Table, int]:
    # Only the rows that occur more than once are joined: usually few, so memory stays small.
    keys = ["key_high", "key_low"]
    groups = rows.group_by(keys).aggregate(first_row=rows.row.min(), n=rows.count())
    repeated = engine.keep(groups.filter(groups.n > 1))
    n_repeated: int = engine.value((repeated.n - 1).sum().coalesce(0))
    if not n_repeated:
        return rows, 0
    joined = rows.left_join(repeated, keys)
    is_first = joined.first_row.isnull() | (joined.first_row == joined.row)
    return joined.filter(is_first).select(*rows.columns), n_repeated


def _write_side(
    rows: ir.Table, typed: _Typed, settings: Settings, folder: Path, engine: Engine
) -> None:
    folder.mkdir()
    # In the order of the files, so that training sees the same rows in the same order whatever the
    # number of threads here.
    ordered = rows.order_by("row")
    features = [ordered[column.id].name(column.name) for column in typed.features]
    target = ordered.target.name(settings.model.target)
    engine.write_parquet(ordered.select(*features, target), folder / "part-00000.parquet")


def _report(
    typed: _Typed,
    sided: ir.Table,
    dropped: tuple[DroppedRows, ...],
    settings: Settings,
    engine: Engine,
) -> DataReport:
    by = ["side", "target"] if typed.labels else ["side"]
    missing = {column.id: sided[column.id].isnull().sum() for column in typed.features}
    groups = engine.rows(sided.group_by(by).aggregate(rows=sided.count(), **missing))
    splits = {
        name: sum(group["rows"] for group in groups if group["side"] == index)
        for index, name in enumerate(SIDES)
    }
    labels = typed.labels.names if typed.labels else ()
    target_counts: dict[str, dict[str, int]] = {
        name: dict.fromkeys(labels, 0) for name in SIDES if labels
    }
    for group in groups:
        if labels:
            target_counts[SIDES[group["side"]]][labels[group["target"]]] = group["rows"]
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


def _require_possible(report: DataReport, labels: Labels | None, settings: Settings) -> None:
    """Refuse a split that could not be trained on or evaluated."""
    pointer = "project.yml data/split"
    sizes = ", ".join(f"{name} {rows:,}" for name, rows in report.splits.items())
    fix = "Add rows, or change the shares" + (
        "" if settings.data.split.by == "time" else " or data/split/seed"
    )
    for name in SIDES:
        if not report.splits[name]:
            raise DataError(pointer, f"no row for {name} ({sizes})", "rows in each", fix)
    # A binary problem is measured by both labels; with more of them, a rare one may be absent
    # where it is only measured, but not where it is learned.
    needed = SIDES if settings.model.problem == "binary" else SIDES[:1]
    for name in needed if labels else ():
        counts = report.target_counts[name]
        absent = [label for label, rows in counts.items() if not rows]
        if absent:
            listed = ", ".join(f"{label} {rows:,}" for label, rows in counts.items())
            raise DataError(
                pointer, f"no row of {absent[0]!r} in {name} ({_shortened(listed)})",
                "rows of each label", fix,
            )  # fmt: skip


def _publish(finished: Path, destination: Path) -> None:
    """Move the finished files to their folders; take them back when one cannot be."""
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


# --- words --------------------------------------------------------------------------------------


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:197] + "..."
