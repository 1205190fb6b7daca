"""Raw files in, prepared data out: what every test of preparation does."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from mlsystem import artifacts
from mlsystem.artifacts import DataReport, DataSchema
from mlsystem.data import prepare
from mlsystem.errors import DataError
from mlsystem.settings import Settings

SIDES = ("train", "validation", "test")
METRICS = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}


@dataclass(frozen=True)
class Prepared:
    """What was written, and said."""

    folder: Path
    report: DataReport
    schema: DataSchema
    log: tuple[str, ...]

    @property
    def kinds(self) -> dict[str, str]:
        return {feature.name: feature.kind for feature in self.schema.features}

    @property
    def ignored(self) -> dict[str, str]:
        return {column.name: column.reason for column in self.report.ignored}

    def side(self, name: str) -> list[dict[str, Any]]:
        return pq.read_table(self.folder / name).to_pylist()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for name in SIDES for row in self.side(name)]

    @property
    def sides(self) -> dict[tuple[Any, ...], str]:
        """Side of each row, by its values."""
        return {tuple(row.values()): name for name in SIDES for row in self.side(name)}


def make_settings(
    problem: str = "binary", target: str = "y", positive_label: str | None = None, **data: Any
) -> Settings:
    model = {
        "name": "m", "problem": problem, "target": target, "positive_label": positive_label,
    }  # fmt: skip
    evaluate = {"metric": METRICS[problem], "threshold": 0.5}
    return Settings.model_validate({"model": model, "data": data, "evaluate": evaluate})


def write_files(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write text, bytes, or what a SELECT of DuckDB returns (to Parquet), by file name."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet") and isinstance(content, str):
            duckdb.sql(content).write_parquet(str(path))
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            path.write_bytes(content)
    return folder


def prepare_quietly(
    settings: Settings, source: Path, destination: Path, log: list[str]
) -> DataReport:
    with warnings.catch_warnings():
        # Ibis 12 calls what DuckDB 2 has renamed.
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        return prepare(settings, source, destination, log.append)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Prepared]:
    """Prepare `files` with the settings; return what was written."""

    def run(files: Mapping[str, Any], problem: str = "binary", **settings: Any) -> Prepared:
        folder = tmp_path_factory.mktemp("prepare")
        source, destination = write_files(folder / "source", files), folder / "destination"
        log: list[str] = []
        report = prepare_quietly(make_settings(problem, **settings), source, destination, log)
        assert not list(destination.glob(".*")), "something unfinished is left"
        assert artifacts.read(DataReport, destination / "report/report.json") == report
        schema = artifacts.read(DataSchema, destination / "schema/schema.json")
        return Prepared(destination, report, schema, tuple(log))

    return run


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Prepare `files`, which must fail and leave nothing; return the message.

    The source folder is called ``SOURCE`` in it, the destination ``DESTINATION``.
    """

    def run(files: Mapping[str, Any], problem: str = "binary", **settings: Any) -> str:
        folder = tmp_path_factory.mktemp("refused")
        source, destination = folder / "source", folder / "destination"
        source.mkdir()
        write_files(source, files)
        with pytest.raises(DataError) as caught:
            prepare_quietly(make_settings(problem, **settings), source, destination, [])
        assert list(destination.iterdir()) == [], "something is left"
        message = str(caught.value)
        return message.replace(str(source), "SOURCE").replace(str(destination), "DESTINATION")

    return run


def lines(
    n_rows: int = 60, header: str | None = "x,c,y", row: Callable[[int], str] | None = None
) -> str:
    """Return CSV text whose rows all differ; a third are yes."""

    def usual(index: int) -> str:
        return f"{index * 0.37:.2f},{'ab'[index % 2]},{'no' if index % 3 else 'yes'}"

    body = [(row or usual)(index) for index in range(n_rows)]
    return "".join(f"{line}\n" for line in ([header] if header else []) + body)


@pytest.fixture(name="lines", scope="session")
def _lines() -> Callable[..., str]:
    return lines


@pytest.fixture
def prepare_to(tmp_path: Path) -> Callable[..., DataReport]:
    """Prepare `files` to a folder of the test's choice."""

    def run(destination: Path, files: Mapping[str, Any], **settings: Any) -> DataReport:
        shutil.rmtree(tmp_path / "source", ignore_errors=True)
        source = write_files(tmp_path / "source", files)
        return prepare_quietly(make_settings(**settings), source, destination, [])

    return run
