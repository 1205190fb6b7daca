"""Preparation: seconds and memory of the verb `prepare` on data larger than its memory.

``verb`` is ``python -m container prepare`` on a CSV file of 10,000,000 rows x 20 columns (13
numbers, 6 categories, a target; 2 % of the values missing, one row of a thousand repeated).
``limit`` is the same engine copying that file to Parquet as it is: no types, no duplicates, no
split. Peak memory is what the kernel counted for the process (resident set). Run it:
``python -m bench.prepare``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from bench.training import machine
from container.paths import Paths
from mlsystem.settings import Evaluate, Model, Settings

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "prepare.json"

N_NUMBERS, N_CATEGORIES = 13, 6
MOST_GB = 2.0

_COPY = """
import duckdb, sys
duckdb.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false")
duckdb.execute(f"COPY (FROM read_csv('{sys.argv[1]}', all_varchar = true)) TO '{sys.argv[2]}'")
"""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_gb: float


def write_job(base: Path, n_rows: int) -> None:
    """Lay out a processing job as SageMaker does."""
    paths = Paths(base)
    settings = Settings(
        model=Model(name="bench", problem="binary", target="target"),
        evaluate=Evaluate(metric="roc_auc", threshold=0.5),
    )
    paths.settings.parent.mkdir(parents=True)
    paths.settings.write_text(settings.to_json())
    paths.raw_data.mkdir(parents=True)
    connection = duckdb.connect(config={"memory_limit": "1GB"})
    connection.execute(f"COPY ({_rows(n_rows)}) TO '{paths.raw_data / 'data.csv'}' (HEADER)")


def _rows(n_rows: int) -> str:
    """Return the query that makes the data; every value follows from the number of its row."""
    # A thousandth of the rows are those from the beginning again.
    row = f"i % {n_rows - n_rows // 1_000}"
    numbers = [
        f"round(hash({row} * 31 + {index}) / 18446744073709551615.0 * {10 ** (index % 4 + 1)}, 3)"
        for index in range(N_NUMBERS)
    ]
    categories = [
        f"'value ' || hash({row} * 37 + {index}) % {5 * (index + 1) ** 2}"
        for index in range(N_CATEGORIES)
    ]
    values = [
        f"CASE WHEN hash({row} * 41 + {index}) % 50 > 0 THEN {value} END AS column_{index}"
        for index, value in enumerate(numbers + categories)
    ]
    target = f"CASE WHEN hash({row}) % 7 = 0 THEN 'yes' ELSE 'no' END AS target"
    return f"SELECT {', '.join([*values, target])} FROM range({n_rows}) rows(i)"


def measure(command: list[str], base: Path) -> Cost:
    """Return what `command` took as a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "seed_code"),
        "SAGEMAKER_BASE_DIR": str(base),
    }
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}; 0.")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    peak_gb = usage.ru_maxrss * 1024 / 1e9  # Linux counts in KB
    return Cost(round(seconds, 1), round(cpu_seconds, 1), round(peak_gb, 2))


def main() -> int:
    """Measure, print, save; return 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        base = Path(folder)
        write_job(base, n_rows)
        data = Paths(base).raw_data / "data.csv"
        csv_gb = round(data.stat().st_size / 1e9, 2)
        limit = measure([sys.executable, "-c", _COPY, str(data), str(base / "copy")], base)
        verb = measure([sys.executable, "-m", "container", "prepare"], base)
    n_columns = N_NUMBERS + N_CATEGORIES + 1
    print(f"\n{n_rows:,} rows x {n_columns} columns, {csv_gb} GB of CSV\n")
    print(f"{'':8}{'seconds':>10}{'of CPU':>10}{'rows/s':>12}{'peak GB':>10}")
    for name, cost in (("limit", limit), ("verb", verb)):
        rows_per_second = int(n_rows / cost.seconds)
        print(f"{name:8}{cost.seconds:10.1f}{cost.cpu_seconds:10.1f}{rows_per_second:12,}"
              f"{cost.peak_gb:10.2f}")  # fmt: skip
    is_missed = verb.peak_gb > MOST_GB
    print(f"\nverb: peak GB {verb.peak_gb:.2f}   at most {MOST_GB:g}{'   MISSED' * is_missed}")
    document: dict[str, Any] = {
        "machine": machine(), "rows": n_rows, "columns": n_columns, "csv_gb": csv_gb,
        "limit": asdict(limit), "verb": asdict(verb),
    }  # fmt: skip
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
