"""The project's own programs and ours, run as processes: what they say is what the user reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_cloud.blueprint import Blueprint
from local_cloud.errors import LocalCloudError

__all__ = ["REPOSITORY", "SEED_CODE", "ProgramError", "finish", "settings_of", "start"]

REPOSITORY = Path(__file__).parent.parent
SEED_CODE = REPOSITORY / "seed_code"


class ProgramError(LocalCloudError):
    """A program failed and said why: its message, unchanged."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)


def start(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start ``python -m <arguments>`` in `folder`, with `environment` beside this process's own."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the program; return what it printed.

    Raises
    ------
    ProgramError
        It failed; the message is its own.
    """
    with process:
        try:
            printed, problem = process.communicate()
        finally:
            if process.poll() is None:  # interrupted
                process.kill()
    if process.returncode:
        raise ProgramError(problem.strip() or printed.strip())
    return printed


def settings_of(blueprint: Blueprint) -> dict[str, Any]:
    """Return the blueprint's settings as the project's own program reads them."""
    path = str(blueprint.settings_path.absolute())
    settings: dict[str, Any] = json.loads(
        finish(start(SEED_CODE, "infrastructure", "settings", "--project", path))
    )
    return settings
