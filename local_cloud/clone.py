"""A data scientist's working copy of a project's repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from local_cloud.programs import ProgramError
from local_cloud.shell_environment import git_variables

__all__ = ["commit"]

_AUTHOR = ("-c", "user.name=Data scientist", "-c", "user.email=data-scientist@example.com")


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
    answer = subprocess.run(
        ["git", *_AUTHOR, *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            **git_variables(environment["AWS_ENDPOINT_URL"]),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise ProgramError(f"git {arguments[0]}: {answer.stderr.strip()}")
