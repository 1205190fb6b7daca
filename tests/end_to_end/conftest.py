"""Runs of the main job as a person starts it: a process, its exit code, its summary."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
TIMEOUT_SECONDS = 180


def share_caches(root: Path) -> None:
    """Give a run's folder the images, the Pythons of builds and the caches that there are."""
    for name in ("cache", "docker", "python"):
        (ROOT / ".local" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(ROOT / ".local" / name)


def _heed_interrupts() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C; tests may be started so."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Finished:
    """A run that has ended."""

    code: int
    output: str
    root: Path

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.root / "summary.json").read_text())

    def stage(self, name: str) -> dict[str, Any]:
        return next(stage for stage in self.summary["stages"] if stage["name"] == name)

    def object(self, pattern: str) -> Path:
        """The one S3 object whose path below ``s3/`` matches."""
        (path,) = (self.root / "s3").glob(pattern)
        return path


class Runner:
    """Starts runs in a folder of the test's own; the images are the repository's."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "local"
        self.root.mkdir()
        share_caches(self.root)

    def start(self, command: str, blueprint: str | Path, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "local_cloud", command, str(blueprint),
             "--root", str(self.root), *options],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - it takes no lock
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str]) -> Finished:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Finished(process.returncode, output, self.root)

    def run(self, blueprint: str | Path, *options: str) -> Finished:
        return self.finish(self.start("run", blueprint, *options))

    def processes(self) -> list[str]:
        """Command lines of living processes that this run's folder appears in."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if int(entry.name) != os.getpid() and str(self.root) in words + environment:
                found.append(f"{entry.name} {words}")
        return found

    def wait_until_alone(self, seconds: float = 20) -> None:
        """Fail unless every process of the run is gone by the deadline."""
        deadline = time.monotonic() + seconds
        while self.processes():
            assert time.monotonic() < deadline, self.processes()
            time.sleep(0.05)


@pytest.fixture
def runner(tmp_path):
    runner = Runner(tmp_path)
    yield runner
    runner.wait_until_alone()


@pytest.fixture
def workflow_alone(tmp_path):
    """A function that copies a blueprint that ships, and has its workflow deploy by itself."""

    def copy(name: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(ROOT / "blueprints" / name, folder)
        settings = folder / "project.yml"
        text = settings.read_text().replace("\n  by: pipeline\n", "\n")
        settings.write_text(text.replace("\ndeploy:\n", "\ndeploy:\n  by: workflow\n"))
        return folder

    return copy


@pytest.fixture
def blueprint(tmp_path):
    """A function that writes a blueprint: settings text and data files by name."""

    def write(settings: str, **files: str | bytes) -> Path:
        folder = tmp_path / "blueprint"
        (folder / "data").mkdir(parents=True)
        (folder / "project.yml").write_text(settings)
        for name, content in files.items():
            path = folder / "data" / name.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write
