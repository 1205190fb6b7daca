"""A data scientist's working copy of a project's repository."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from local_cloud.programs import REPOSITORY, ProgramError

__all__ = ["commit"]


def commit(
    url: str, folder: Path, change: Callable[[Path], None], environment: Mapping[str, str]
) -> None:
    """Clone `url` into `folder`, apply `change`, and push it as one commit.

    Raises
    ------
    ProgramError
        git's own message.
    """
    _git(folder.parent, environment, "clone", "--quiet", url, str(folder))
    change(folder)
    _git(folder, environment, "commit", "--quiet", "--all", "--message", "A change")
    _git(folder, environment, "push", "--quiet")


def _git(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    helper = f"!{shlex.quote(sys.executable)} -m local_cloud.codecommit"
    options = {
        "credential.helper": helper,
        "credential.useHttpPath": "true",
        "user.name": "Data scientist",
        "user.email": "data-scientist@example.com",
    }
    words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    answer = subprocess.run(
        ["git", *words, *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise ProgramError(f"git {arguments[0]}: {answer.stderr.strip()}")
