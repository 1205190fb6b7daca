"""Prepared data sets with everything that real ones have: gaps, rare values, empty columns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from container.paths import Paths
from mlsystem import algorithms, archive, artifacts, tables, training
from mlsystem.artifacts import DataSchema, Feature
from mlsystem.tables import Table
from mlsystem.training import FittedModel

PROBLEMS = ("binary", "multiclass", "regression")
SPLITS = ("train", "validation", "test")
TARGET = "tar'get"
LABELS = {"binary": ("no", "yes"), "multiclass": ("low", "mid", "high"), "regression": ()}
# Small, so that a fit takes a tenth of a second.
THRESHOLDS = {
    "binary": ("roc_auc", 0.9),
    "multiclass": ("accuracy", 0.7),
    "regression": ("r2", 0.7),
}
QUICK = {"xgboost": {"num_round": 20, "max_depth": 3}}


@dataclass(frozen=True)
class Prepared:
    """A folder with ``schema/ train/ validation/ test/``."""

    folder: Path
    schema: DataSchema

    def table(self, split: str) -> Table:
        return tables.open_table(self.folder / split, self.schema)


class Samples:
    """Makes data sets and models."""

    def schema(self, problem: str = "binary") -> DataSchema:
        features = (
            Feature("signal", "number"),
            Feature('odd "name", €', "number"),
            Feature("color", "category"),
            Feature("constant", "number"),
            Feature("never_given", "number"),
            Feature("city", "category"),
            Feature("never_said", "category"),
        )
        return DataSchema(problem, TARGET, LABELS[problem], features)  # type: ignore[arg-type]

    def columns(self, problem: str, n_rows: int, seed: int = 0) -> dict[str, list[Any]]:
        """Return rows whose target depends on `signal` and `color`, with a bit of noise."""
        random = np.random.default_rng(seed)
        signal = random.normal(size=n_rows)
        color = random.choice(["red", "green", "blue"], size=n_rows)
        z = signal + 1.5 * (color == "red") + 0.3 * random.normal(size=n_rows)
        targets = {
            "binary": (z > 0.5).astype(int),
            "multiclass": np.digitize(z, [0.0, 1.0]),
            "regression": 100 + 10 * z,
        }
        return {
            "signal": signal.tolist(),
            'odd "name", €': _with_gaps(random.integers(0, 5, n_rows).astype(float), random),
            "color": _with_gaps(color, random),
            "constant": [7.0] * n_rows,
            "never_given": [None] * n_rows,
            "city": [f"city {random.zipf(1.3) % 150}" for _ in range(n_rows)],
            "never_said": [None] * n_rows,
            TARGET: targets[problem].tolist(),
        }

    def write_split(
        self, folder: Path, schema: DataSchema, columns: dict[str, list[Any]], n_files: int = 1
    ) -> Table:
        """Write `columns` as prepare would."""
        kinds = {"number": pa.float64(), "category": pa.string()}
        fields = [(feature.name, kinds[feature.kind]) for feature in schema.features]
        is_regression = schema.problem == "regression"
        fields.append((schema.target, pa.float64() if is_regression else pa.int32()))
        rows = pa.table({name: pa.array(columns[name], kind) for name, kind in fields})
        size = -(-max(1, rows.num_rows) // n_files)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(n_files):
            pq.write_table(rows.slice(index * size, size), folder / f"part-{index:04}.parquet")
        return tables.open_table(folder, schema)

    def write(
        self, folder: Path, problem: str = "binary", sizes: Sequence[int] = (400, 150, 150)
    ) -> Prepared:
        """Write a whole data set."""
        schema = self.schema(problem)
        artifacts.write(schema, folder / "schema/schema.json")
        for seed, (split, n_rows) in enumerate(zip(SPLITS, sizes, strict=True)):
            self.write_split(folder / split, schema, self.columns(problem, n_rows, seed))
        return Prepared(folder, schema)

    def fit(
        self, prepared: Prepared, algorithm: str, seed: int = 20, n_threads: int = 1, **given: Any
    ) -> FittedModel:
        """Fit a small model."""
        module = algorithms.find(algorithm, "test")
        return training.fit(
            prepared.table("train"), prepared.table("validation"), module,
            module.Hyperparameters(**(QUICK.get(algorithm, {}) | given)),
            seed=seed, n_threads=n_threads, report=lambda line: None,
        )  # fmt: skip


def _with_gaps(values: np.ndarray, random: np.random.Generator) -> list[Any]:
    return [None if random.random() < 0.1 else value for value in values.tolist()]


@pytest.fixture(scope="session")
def samples() -> Samples:
    return Samples()


@pytest.fixture(scope="session")
def prepared(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    """A data set for each problem; shared, so it is only read."""
    return {
        problem: samples.write(tmp_path_factory.mktemp(problem), problem) for problem in PROBLEMS
    }


@pytest.fixture(scope="session")
def fitted(samples: Samples, prepared: dict[str, Prepared]):
    """Return the model of a problem and an algorithm, fitted once."""
    models: dict[tuple[str, str], FittedModel] = {}

    def get(problem: str, algorithm: str) -> FittedModel:
        if (problem, algorithm) not in models:
            models[problem, algorithm] = samples.fit(prepared[problem], algorithm)
        return models[problem, algorithm]

    return get


class Jobs:
    """Lays files out as SageMaker does, for the verbs `train` and `evaluate`."""

    def training(self, base: Path, prepared: Prepared, **given: str) -> Paths:
        paths = Paths(base)
        for channel in ("schema", "train", "validation"):
            shutil.copytree(prepared.folder / channel, paths.channel(channel))
        own = {name: str(value) for name, value in QUICK["xgboost"].items()}
        hyperparameters = {"algorithm": "xgboost", "model_name": "sample", "seed": "20"}
        self.write(paths.hyperparameters, hyperparameters | own | given)
        self.write(paths.input_data_config, {"schema": {}, "train": {}, "validation": {}})
        self.write(paths.resource_config, {"current_host": "algo-1", "hosts": ["algo-1"]})
        return paths

    def evaluation(self, base: Path, prepared: Prepared, trained: Paths, **given: Any) -> Paths:
        """Lay out the job that follows the training job `trained`."""
        paths = Paths(base)
        for split in SPLITS:
            shutil.copytree(prepared.folder / split, paths.split(split))
        self.pack(trained.model, paths.model_archive)
        self.pack(trained.training_output, paths.training_archive)
        metric, threshold = THRESHOLDS[prepared.schema.problem]
        self.write(
            paths.settings,
            {
                "model": {"name": "sample", "problem": prepared.schema.problem, "target": TARGET},
                "evaluate": {"metric": metric, "threshold": threshold} | given,
            },
        )
        return paths

    def write(self, path: Path, document: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")

    def pack(self, folder: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        archive.pack(folder, path)


@pytest.fixture(scope="session")
def jobs() -> Jobs:
    return Jobs()
