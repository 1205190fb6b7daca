"""Processes run, stop, and never outlive the runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud.errors import MachineError
from local_cloud.processes import _GATE, Processes

from .conftest import wait_for

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
#: Ignores SIGTERM, tells its process id, and so does its child.
STUBBORN = 'trap "" TERM; echo $$; sh -c \'trap "" TERM; echo $$; while :; do sleep 0.05; done\''


@pytest.fixture
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.stop_all(grace_seconds=0.1)


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def lines_of(path: Path, count: int) -> list[int]:
    return [
        int(line)
        for line in wait_for(
            lambda: path.exists() and len(path.read_text().split()) >= count and path.read_text()
        ).split()
    ]


def spawn(
    processes: Processes, script: str, output: Path, **environment: str
) -> subprocess.Popen[bytes]:
    with output.open("wb") as stdout:
        return processes.spawn(
            ["sh", "-c", script],
            cwd=output.parent,
            env=ENVIRONMENT | environment,
            stdout=stdout,
            name="a script",
        )


def test_a_process_gets_its_environment_directory_and_output(
    processes: Processes, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    script = 'echo "$COLOUR in $(pwd)"; echo warned >&2; cat; exit 3'
    process = spawn(processes, script, output, COLOUR="green")
    assert process.wait(timeout=10) == 3
    assert output.read_text() == f"green in {tmp_path}\nwarned\n"


def test_nothing_of_the_runners_environment_is_inherited(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_RUNNER", "1")
    output = tmp_path / "output"
    spawn(processes, "env", output).wait(timeout=10)
    assert "SECRET_OF_THE_RUNNER" not in output.read_text()


def test_a_process_leads_its_own_session(processes: Processes, tmp_path: Path) -> None:
    """So a Ctrl-C in the terminal does not reach it."""
    process = spawn(processes, "sleep 60", tmp_path / "output")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_an_unknown_program_is_named(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"job j: program 'nosuch' was not found.*PATH=/bin"):
        processes.spawn(
            ["nosuch"], cwd=tmp_path, env={"PATH": "/bin"}, stdout=subprocess.DEVNULL, name="job j"
        )


def test_an_unknown_directory_is_named(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"directory .*/nowhere was not found"):
        processes.spawn(
            ["true"],
            cwd=tmp_path / "nowhere",
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            name="job",
        )


def test_stop_lets_a_process_end_by_itself(processes: Processes, tmp_path: Path) -> None:
    output = tmp_path / "output"
    script = 'trap "echo bye; exit 5" TERM; echo 1; while :; do sleep 0.05; done'
    process = spawn(processes, script, output)
    lines_of(output, 1)
    assert processes.stop(process, grace_seconds=10) == 5
    assert output.read_text() == "1\nbye\n"


def test_stop_kills_the_whole_group_after_the_grace(processes: Processes, tmp_path: Path) -> None:
    process = spawn(processes, STUBBORN, tmp_path / "output")
    ids = lines_of(tmp_path / "output", 2)
    assert processes.stop(process, grace_seconds=0.1) == -signal.SIGKILL
    wait_for(lambda: not any(is_alive(process_id) for process_id in ids))


def test_children_end_with_the_first_process(processes: Processes, tmp_path: Path) -> None:
    process = spawn(processes, "sleep 60 & echo $!", tmp_path / "output")
    (child,) = lines_of(tmp_path / "output", 1)
    assert process.wait(timeout=10) == 0
    wait_for(lambda: not is_alive(child))


def test_after_stop_all_nothing_runs_and_nothing_starts(tmp_path: Path) -> None:
    processes = Processes()
    started = [spawn(processes, "sleep 60", tmp_path / f"output-{_}") for _ in range(3)]
    processes.stop_all(grace_seconds=10)
    assert [process.poll() for process in started] == [-signal.SIGTERM] * 3
    with pytest.raises(MachineError, match="stopping"):
        spawn(processes, "true", tmp_path / "late")


def test_a_process_does_not_start_when_its_gate_closes(tmp_path: Path) -> None:
    """The runner was killed before the reaper knew the process."""
    witness = tmp_path / "witness"
    gate = subprocess.run(
        ["/bin/sh", "-c", _GATE, "sh", "touch", str(witness)],
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert gate.returncode != 0
    assert not witness.exists()


RUNNER = """
import subprocess, sys, time
from pathlib import Path
from local_cloud.processes import Processes

processes = Processes()
for name, script in (("kind", "echo $$; sleep 600"), ("stubborn", sys.argv[2])):
    with open(f"{sys.argv[1]}/{name}", "wb") as output:
        processes.spawn(["sh", "-c", script], cwd=Path(sys.argv[1]),
                        env={"PATH": "/usr/bin:/bin"}, stdout=output, name=name)
time.sleep(600)
"""


def test_a_killed_runner_leaves_no_process(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path), STUBBORN],
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    ids = lines_of(tmp_path / "kind", 1) + lines_of(tmp_path / "stubborn", 2)
    assert all(is_alive(process_id) for process_id in ids)
    runner.kill()
    runner.wait()
    wait_for(lambda: not any(is_alive(process_id) for process_id in ids), seconds=20)
