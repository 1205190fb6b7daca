"""Training: wall time of the verb `train` beside fitting the same pipeline directly.

``verb`` is ``python -m container train`` on 1,000,000 rows x 20 columns (16 numbers, 4 categories,
some missing) and a tenth of that to validate, less ``start-up``: the same on 200 rows. So it is
reading Parquet, fitting, predicting the reference rows, exporting and writing. ``fit`` is what a
notebook does with arrays in memory: the same scikit-learn and XGBoost steps written out, nothing
else on the clock. ``read + fit`` has the clock include ``pandas.read_parquet`` of the same files.

They take turns, so that what else happens on the machine hits all alike; the median of the turns'
ratios counts. CPU seconds are given as well: a busy machine changes them less. Run it:
``python -m bench.training``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from container.cpus import available_cpus
from container.paths import Paths
from mlsystem import artifacts
from mlsystem.artifacts import DataSchema, Feature

Times = dict[str, float]

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "training.json"

N_NUMBERS, N_CATEGORIES = 16, 4
N_SMALL = 200
SEED = 20
HYPERPARAMETERS = {
    # Fewer rounds than the default: what is not fitting weighs more.
    "xgboost": {"num_round": 50, "early_stopping_rounds": 20},
    "linear": {},
    "decision_tree": {},
}
COLUMNS = ("start-up", "verb", "fit", "read + fit", "verb, CPU", "fit, CPU")
BARS = {"xgboost: verb / fit": 1.15}


# --- the data -----------------------------------------------------------------------------------


def write_data(base: Path, algorithm: str, n_rows: int) -> None:
    """Lay out a training job as SageMaker does."""
    paths = Paths(base)
    features = [Feature(f"number_{index}", "number") for index in range(N_NUMBERS)]
    features += [Feature(f"category_{index}", "category") for index in range(N_CATEGORIES)]
    schema = DataSchema("binary", "target", ("no", "yes"), tuple(features))
    artifacts.write(schema, paths.channel("schema") / "schema.json")
    for seed, (channel, count) in enumerate((("train", n_rows), ("validation", n_rows // 10))):
        paths.channel(channel).mkdir(parents=True)
        pq.write_table(_rows(count, seed), paths.channel(channel) / "part-0.parquet")
    given = {"algorithm": algorithm, "model_name": "bench", "seed": str(SEED)}
    given |= {name: str(value) for name, value in HYPERPARAMETERS[algorithm].items()}
    for path, document in (
        (paths.hyperparameters, given),
        (paths.input_data_config, {"schema": {}, "train": {}, "validation": {}}),
        (paths.resource_config, {"hosts": ["algo-1"]}),
    ):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))


def _rows(n_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, N_NUMBERS))
    codes = rng.integers(0, 8, size=(n_rows, N_CATEGORIES))
    margin = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + (codes[:, 0] == 3)
    target = (margin + rng.normal(size=n_rows) > 1).astype(np.int32)
    columns = {
        f"number_{index}": pa.array(numbers[:, index], mask=rng.random(n_rows) < 0.02)
        for index in range(N_NUMBERS)
    }
    columns |= {
        f"category_{index}": pa.array([f"value {code}" for code in codes[:, index]])
        for index in range(N_CATEGORIES)
    }
    return pa.table(columns | {"target": target})


# --- what is timed ------------------------------------------------------------------------------


def time_verb(base: Path) -> Times:
    """Return the seconds that the verb takes as a process of its own."""
    code = {"PYTHONPATH": str(ROOT / "seed_code"), "SAGEMAKER_BASE_DIR": str(base)}
    start, cpu_start = time.perf_counter(), _cpu_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "container", "train"],
        env=os.environ | code, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    cpu = _cpu_seconds(resource.RUSAGE_CHILDREN) - cpu_start
    return {"verb": time.perf_counter() - start, "verb, CPU": cpu}


def time_direct(base: Path, algorithm: str) -> Times:
    """Return the seconds that a fresh process takes to fit, and to read and fit."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.training", "--fit", algorithm, str(base)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'seed_code'}"}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    times: Times = json.loads(done.stdout)
    return times


def fit_directly(base: Path, algorithm: str) -> None:
    """Print how long reading and fitting take in this process."""
    start = time.perf_counter()
    train, validation = (_read(Paths(base).channel(channel)) for channel in ("train", "validation"))
    read, cpu_read = time.perf_counter(), _cpu_seconds(resource.RUSAGE_SELF)
    _fit(algorithm, train, validation)
    end, cpu = time.perf_counter(), _cpu_seconds(resource.RUSAGE_SELF) - cpu_read
    print(json.dumps({"fit": end - read, "read + fit": end - start, "fit, CPU": cpu}))


def _cpu_seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the features, categories as codes, and the target."""
    frame = pd.read_parquet(folder)
    numbers = frame.iloc[:, :N_NUMBERS].to_numpy(np.float32)
    codes = [
        frame[f"category_{index}"].astype("category").cat.codes for index in range(N_CATEGORIES)
    ]
    return np.column_stack([numbers, *codes]).astype(np.float32), frame["target"].to_numpy()


def _fit(algorithm: str, train: Any, validation: Any) -> None:
    """Fit as the verb does, written out; see `mlsystem.training` and `mlsystem.algorithms`."""
    scale = [StandardScaler()] if algorithm == "linear" else []
    number = make_pipeline(SimpleImputer(strategy="median"), *scale)
    prepare = ColumnTransformer(
        [
            ("number", number, slice(0, N_NUMBERS)),
            (
                "category",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
                slice(N_NUMBERS, N_NUMBERS + N_CATEGORIES),
            ),
        ],
        sparse_threshold=0,
    )
    features = prepare.fit_transform(train[0])
    held_out = prepare.transform(validation[0])
    if algorithm == "xgboost":
        xgboost.XGBClassifier(
            n_estimators=50, max_depth=5, learning_rate=0.1, subsample=0.8, tree_method="hist",
            early_stopping_rounds=20, eval_metric="logloss", n_jobs=available_cpus(),
            random_state=SEED,
        ).fit(features, train[1], eval_set=[(held_out, validation[1])], verbose=False)  # fmt: skip
    elif algorithm == "linear":
        LogisticRegression(max_iter=1_000).fit(features.astype(np.float64), train[1])
    else:
        DecisionTreeClassifier(max_depth=8, random_state=SEED).fit(features, train[1])


# --- the command --------------------------------------------------------------------------------


def measure(algorithm: str, n_rows: int, rounds: int) -> list[Times]:
    """Return the seconds of each turn."""
    turns = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        write_data(large, algorithm, n_rows)
        write_data(small, algorithm, N_SMALL)
        time_verb(small)  # warms the file cache
        for _ in range(rounds):
            start_up = time_verb(small)
            verb = {name: value - start_up[name] for name, value in time_verb(large).items()}
            turns.append({"start-up": start_up["verb"]} | verb | time_direct(large, algorithm))
    return turns


def medians(turns: list[Times]) -> Times:
    """Return each contender's median seconds."""
    return {name: round(statistics.median(turn[name] for turn in turns), 2) for name in turns[0]}


def ratios(turns: list[Times]) -> Times:
    """Return the medians of the turns' ratios."""
    return {
        f"{verb} / {against}": round(statistics.median(t[verb] / t[against] for t in turns), 3)
        for verb, against in (
            ("verb", "fit"),
            ("verb", "read + fit"),
            ("verb, CPU", "fit, CPU"),
        )
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    packages = ("duckdb", "numpy", "pandas", "scikit-learn", "skl2onnx", "xgboost-cpu")
    return {
        "processor": model or platform.processor(),
        "cpus": available_cpus(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in packages},
    }


def main() -> int:
    """Measure, print, save; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fit", nargs=2, metavar=("ALGORITHM", "BASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        fit_directly(Path(options.fit[1]), options.fit[0])
        return 0
    print(f"{options.rows:,} rows x {N_NUMBERS + N_CATEGORIES} columns, median seconds of "
          f"{options.rounds} turns\n")  # fmt: skip
    print(f"{'':15}" + "".join(f"{name:>12}" for name in COLUMNS))
    measured, found = {}, {}
    for algorithm in HYPERPARAMETERS:
        turns = measure(algorithm, options.rows, options.rounds)
        measured[algorithm] = row = medians(turns)
        print(f"{algorithm:15}" + "".join(f"{row[name]:12.2f}" for name in COLUMNS), flush=True)
        found |= {f"{algorithm}: {name}": value for name, value in ratios(turns).items()}
    document = {"machine": machine(), "rows": options.rows, "measured": measured, "ratios": found}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    return _judge(found)


def _judge(found: Times) -> int:
    print()
    missed = 0
    for name, value in found.items():
        bar = BARS.get(name)
        is_missed = bar is not None and value > bar
        missed += is_missed
        required = f"   at most {bar:g}" if bar else ""
        print(f"{name:34}{value:6.2f}{required}{'   MISSED' if is_missed else ''}")
    return min(1, missed)


if __name__ == "__main__":
    sys.exit(main())
