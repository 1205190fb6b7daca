"""What every verb shares: its name, its message when it fails, its end when it is stopped."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from container.__main__ import main, run
from container.paths import Paths
from mlsystem.errors import AlgorithmError, ArtifactError, DataError

SEED = Path(__file__).parent.parent
DEADLINE_SECONDS = 60


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def _raising(error):
    def body(paths):
        raise error

    return body


@pytest.mark.parametrize("arguments", [[], ["deploy"], ["train", "serve"], ["--help"], ["TRAIN"]])
def test_an_unknown_verb_lists_the_known_ones(arguments, capsys):
    assert main(arguments, {}) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "one of prepare, train, evaluate, serve." in output.err
    assert "usage: python -m container {prepare|train|evaluate|serve}" in output.err


def test_a_verb_without_a_code_ends_well(paths):
    assert run("train", lambda paths: None, paths) == 0
    assert not paths.failure.exists()


def test_the_code_of_a_verb_is_its_own(paths):
    assert run("serve", lambda paths: 3, paths) == 3


def test_a_mistake_of_a_user_is_said_plainly(paths, capsys):
    error = DataError("a.csv:3", "2 values", "3", "Correct the line")
    assert run("prepare", _raising(error), paths) == 1
    assert capsys.readouterr().err == "a.csv:3: 2 values; 3. Correct the line.\n"
    assert paths.failure.read_text() == str(error)
    assert paths.exit_message.read_text() == str(error)


@pytest.mark.parametrize("kind", [ArtifactError, AlgorithmError])
def test_another_expected_failure_is_said_with_its_traceback_on_stderr(paths, capsys, kind):
    error = kind("model.json", "no such key", "a value")
    assert run("evaluate", _raising(error), paths) == 1
    assert paths.failure.read_text() == "model.json: no such key; a value."
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_says_its_kind_and_place(paths, capsys):
    def body(paths):
        return {}["missing"]

    assert run("train", body, paths) == 1
    message = paths.failure.read_text()
    assert message.startswith("train at tests/test_container_main.py:")
    assert " in body: KeyError: 'missing'; no such error. This is a defect" in message
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert message in errors


def test_a_full_disk_is_a_matter_of_settings(paths):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/opt/ml/model/model.onnx")
    assert run("train", _raising(error), paths) == 1
    assert paths.failure.read_text() == (
        "/opt/ml/model/model.onnx: no space left on the disk; room for what the job writes. Raise "
        "instances/train/volume_gb in project.yml, or free some space."
    )


def test_a_long_message_fits_into_the_exit_message(paths):
    error = DataError("a.csv", "ü" * 2_000, "less")
    assert run("prepare", _raising(error), paths) == 1
    assert paths.failure.read_text() == str(error)
    brief = paths.exit_message.read_bytes()
    assert 990 < len(brief) <= 1_000
    assert str(error).startswith(brief.decode())


def test_a_message_that_cannot_be_written_is_on_stderr(tmp_path, capsys):
    (tmp_path / "output").write_text("a file where a folder is to be")
    error = DataError("a.csv", "2 values", "3")
    assert run("prepare", _raising(error), Paths(tmp_path)) == 1
    assert capsys.readouterr().err.startswith("a.csv: 2 values; 3.\n")


def test_the_base_folder_is_sagemakers_unless_given():
    assert Paths.from_environment({}).base == Path("/opt/ml")
    given = Paths.from_environment({"SAGEMAKER_BASE_DIR": "/somewhere"})
    assert given.settings == Path("/somewhere/processing/input/settings/project.json")


def _command(*arguments, base):
    return subprocess.run(
        [sys.executable, "-m", "container", *arguments], cwd=SEED, text=True, check=False,
        capture_output=True, timeout=DEADLINE_SECONDS,
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)},
    )  # fmt: skip


@pytest.mark.exhaustive
def test_the_command_ends_with_the_code(tmp_path):
    assert _command("unknown", base=tmp_path).returncode == 2
    done = _command("prepare", base=tmp_path)
    assert done.returncode == 1
    where = tmp_path / "processing/input/settings/project.json"
    assert done.stderr == f"{where}: no such file; the project's settings.\n"
    assert (tmp_path / "output/failure").read_text() == done.stderr.strip()


STOPPED = """
    import sys
    from pathlib import Path

    import duckdb

    from container.__main__ import _stop_on_signal, run
    from container.paths import Paths


    def call_natively(paths):
        print("ready", flush=True)
        duckdb.sql(
            "SELECT md5((a.range * b.range)::VARCHAR) AS h "
            "FROM range(100000) a, range(100000) b ORDER BY h LIMIT 1"
        ).fetchall()


    def write_until_it_fails(paths):
        print("ready", flush=True)
        while True:
            (paths.model / ".unfinished.partial" / "file").write_text("unfinished")


    paths = Paths(Path(sys.argv[1]))
    for folder in (paths.prepared, paths.evaluation, paths.model, paths.training_output):
        (folder / ".unfinished.partial" / "deep").mkdir(parents=True)
        (folder / "deep").mkdir()
        (folder / "deep" / ".file.partial").write_text("unfinished")
        (folder / "finished").write_text("finished")
        (folder.parent / f".{folder.name}.partial").write_text("unfinished")
    _stop_on_signal(paths)
    run("train", globals()[sys.argv[2]], paths)
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("doing", ["call_natively", "write_until_it_fails"])
def test_a_verb_is_stopped_at_once_whatever_it_does(tmp_path, number, code, doing):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STOPPED), str(tmp_path), doing], cwd=SEED,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == code
    assert errors == f"container: stopped by {signal.Signals(number).name}\n"
    assert list(tmp_path.rglob("*.partial")) == []
    assert len(list(tmp_path.rglob("finished"))) == 4
    assert not Paths(tmp_path).failure.exists()
