"""Pipeline variables.

A program cannot set variables of the shell that started it, so each becomes a file, and the
buildspec exports its content::

    export TRAIN="$(cat release/exports/TRAIN)"
"""

from __future__ import annotations

from pathlib import Path

from infrastructure.files import write_whole

__all__ = ["write"]


def write(output: Path, **variables: str) -> None:
    """Write each variable, a line of text, to ``<output>/exports/<NAME>``."""
    for name, value in variables.items():
        write_whole(output / "exports" / name, value + "\n")
