"""The verb `prepare`, as SageMaker runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from container import prepare
from container.__main__ import run
from container.paths import Paths
from mlsystem import artifacts
from mlsystem.artifacts import DataReport, DataSchema
from mlsystem.settings import Evaluate, Model, Settings

SEED = Path(__file__).parent.parent
DEADLINE_SECONDS = 60


@pytest.fixture
def job(tmp_path):
    """A processing job's folders with its settings; the data are the test's."""
    paths = Paths(tmp_path)
    settings = Settings(
        model=Model(name="m", problem="binary", target="y"),
        evaluate=Evaluate(metric="roc_auc", threshold=0.5),
    )
    paths.settings.parent.mkdir(parents=True)
    paths.settings.write_text(settings.to_json())
    paths.raw_data.mkdir(parents=True)
    paths.prepared.mkdir(parents=True)  # as SageMaker does
    return paths


def _start(paths):
    return subprocess.Popen(
        [sys.executable, "-m", "container", "prepare"], cwd=SEED, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(paths.base)},
    )  # fmt: skip


def _written(paths):
    folder = paths.prepared
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_data_are_prepared(job):
    rows = [f"{i / 7:.3f},{'ab'[i % 2]},{'no' if i % 3 else 'yes'}\n" for i in range(60)]
    (job.raw_data / "a.csv").write_text("x,c,y\n" + "".join(rows))
    process = _start(job)
    output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[0] == "prepare: 1 file, 60 rows read"
    assert output.splitlines()[-1].startswith("prepare: rows: train ")
    assert _written(job) == [
        "report", "report/report.json", "schema", "schema/schema.json", "test",
        "test/part-00000.parquet", "train", "train/part-00000.parquet", "validation",
        "validation/part-00000.parquet",
    ]  # fmt: skip
    report = artifacts.read(DataReport, job.prepared / "report/report.json")
    assert report.rows_out == 60
    schema = artifacts.read(DataSchema, job.prepared / "schema/schema.json")
    assert (schema.numbers, schema.categories) == (("x",), ("c",))
    assert not job.failure.exists()


# Ibis 12 calls what DuckDB 2 has renamed.
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
def test_a_mistake_in_the_data_is_the_jobs_message(job, capsys):
    (job.raw_data / "a.csv").write_text("x,c,y\n1,2\n")
    assert run("prepare", prepare.main, job) == 1
    message = (
        "a.csv:2: 2 values; 3, as in the first line. Correct the line; a value that holds the "
        "delimiter needs quotes."
    )
    assert capsys.readouterr().err == message + "\n"
    assert job.failure.read_text() == job.exit_message.read_text() == message
    assert _written(job) == []


def test_settings_that_are_none_are_the_jobs_message(job):
    document = json.loads(job.settings.read_text())
    document["model"]["problem"] = "clustering"
    job.settings.write_text(json.dumps(document))
    assert run("prepare", prepare.main, job) == 1
    assert 'model/problem: "clustering"' in job.failure.read_text()


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_job_ends_at_once_and_leaves_nothing(job, number, code):
    # Lines in quotes take the slow way, so that there is time to stop.
    lines = ['"' + ",".join(f"x{i}" for i in range(19)) + ',y"\n']
    lines += ['"' + ",".join(["0.5"] * 19) + ',no"\n'] * 400_000
    (job.raw_data / "a.csv").write_text("".join(lines))
    process = _start(job)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (job.prepared / ".prepare.partial/000000.csv").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == code, errors
    assert errors == f"container: stopped by {signal.Signals(number).name}\n"
    assert _written(job) == []
