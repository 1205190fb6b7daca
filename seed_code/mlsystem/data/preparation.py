"""From raw files to split, typed Parquet files, a schema and a report: the steps in order."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mlsystem.artifacts import DataReport
from mlsystem.data.csv_source import CsvSource
from mlsystem.data.engine import Engine, disk_full, open_engine
from mlsystem.data.files import find
from mlsystem.data.parquet_source import ParquetSource
from mlsystem.data.sides import write_sides
from mlsystem.data.staging import Source, Staged
from mlsystem.data.typed import Typed, type_columns
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
            typed = type_columns(settings, staged, scratch, engine)
            _tell_columns(typed, progress)
            report = write_sides(settings, typed, finished, engine)
            _tell_rows(report, progress)
        _publish(finished, destination)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(destination) from error
        raise
    finally:
        shutil.rmtree(scratch)
    return report


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


def _tell_columns(typed: Typed, progress: Progress) -> None:
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


def _tell_rows(report: DataReport, progress: Progress) -> None:
    for drop in report.dropped:
        progress(f"dropped {plural(drop.rows, 'row')}: {drop.reason}")
    progress("rows: " + ", ".join(f"{name} {rows:,}" for name, rows in report.splits.items()))


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
