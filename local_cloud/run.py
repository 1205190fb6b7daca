"""The main job: a blueprint through everything, to an endpoint that answers.

What is made of it stands in :mod:`local_cloud.project_release`, or in
:mod:`local_cloud.workflow_release` for settings that leave the pipeline out. Here is the run
itself: one at a time, interruptible, clean afterwards, with a summary whatever its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local_cloud import programs
from local_cloud.blueprint import Blueprint, find
from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError, MachineError
from local_cloud.images import STORE
from local_cloud.progress import Progress
from local_cloud.project_release import release_project
from local_cloud.scenarios import Scenario, find_scenario
from local_cloud.shell_environment import exports
from local_cloud.summary import EXIT_CODES, Summary
from local_cloud.workflow_release import release_workflow

__all__ = ["INTERRUPTED", "run"]

INTERRUPTED = 130

#: Kept from run to run, because making it takes a minute: images, Pythons of builds.
_CACHES = {STORE.name, ".ready", "cache", "python", "run.lock"}
_WAIT_FACTOR = 0.02


def run(
    name: str,
    *,
    root: Path,
    console: Console,
    scenario: str = "next-release",
    port: int = 0,
    stay: bool = False,
) -> int:
    """Release the blueprint `name`, write ``<root>/summary.json``, show it; return the exit code.

    Parameters
    ----------
    name
        Of a blueprint in ``blueprints/``, or the path of a folder.
    root
        The ``.local`` folder; what an earlier run left there is removed, but for what set-up made.
    console
        Where progress and summary go.
    scenario
        Of the second release, in :mod:`local_cloud.scenarios`.
    port
        Of the account's address; 0 chooses a free one.
    stay
        Whether the account stays up after the release, until Ctrl-C.

    Returns
    -------
    0 the releases ended as the scenario wants; 3 the gate said no; 1 something failed; 130 it was
    interrupted.
    """
    summary = Summary(blueprint=name)
    started = time.monotonic()
    try:
        with _interruptible(), _only_run(root):
            _clear(root)
            blueprint, second = find(name), find_scenario(scenario)
            summary.blueprint = blueprint.name
            with LocalCloud(root, port=port, wait_factor=_WAIT_FACTOR) as cloud:
                with Progress(console) as progress:
                    _release(cloud, blueprint, second, summary, progress)
                summary.seconds = time.monotonic() - started
                _conclude(summary, root, console)
                if stay:
                    _stay(cloud, console)
            return EXIT_CODES[summary.status]
    except KeyboardInterrupt:
        if summary.seconds:
            return EXIT_CODES[summary.status]
        summary.error, code = "Interrupted; everything that was started is stopped.", INTERRUPTED
    except (LocalCloudError, ClientError, BotoCoreError, OSError) as error:
        summary.error, code = _message(error), EXIT_CODES["FAILED"]
    summary.status = "FAILED"
    summary.seconds = time.monotonic() - started
    _conclude(summary, root, console)
    return code


def _release(
    cloud: LocalCloud,
    blueprint: Blueprint,
    scenario: Scenario,
    summary: Summary,
    progress: Progress,
) -> None:
    """Make one release, in the way that the settings choose."""
    progress.step("Checking project.yml")
    settings = programs.settings_of(blueprint)
    model = settings["model"]["name"]
    if settings["deploy"]["by"] == "workflow":
        release_workflow(cloud, blueprint, model, summary, progress)
    else:
        release_project(cloud, blueprint, model, scenario, summary=summary, progress=progress)


def _conclude(summary: Summary, root: Path, console: Console) -> None:
    try:
        summary.write(root / "summary.json")
    except OSError as error:
        problem = f"{root / 'summary.json'}: {error.strerror}; room for a few kilobytes."
        summary.error = f"{summary.error}\n{problem}" if summary.error else problem
        summary.status = "FAILED"
    summary.show(console, root)


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'this machine'}: {error.strerror or error}"
    return str(error)


# --- the run itself -----------------------------------------------------------------------------


@contextlib.contextmanager
def _only_run(root: Path) -> Iterator[None]:
    """Hold ``<root>/run.lock``: two runs in one folder would clear each other's files."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                str(root), "another run is using it", "one run at a time", "Wait, or stop that one"
            ) from error
        yield


def _clear(root: Path) -> None:
    for path in root.iterdir():
        if path.name in _CACHES:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that every way out stops what was started."""

    def interrupt(_signal: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _stay(cloud: LocalCloud, console: Console) -> None:
    """Print how to talk to the account, and wait for Ctrl-C."""
    text = exports(cloud)
    path = cloud.root / "environment"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    console.print()
    console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
    console.print(f"The same in {path}: `source` it. Up until Ctrl-C.", highlight=False)
    signal.pause()
