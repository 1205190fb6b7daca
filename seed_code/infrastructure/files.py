"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mlsystem.errors import UserError

__all__ = ["write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Write `text` to the file `path`, with the folders that it needs.

    Raises
    ------
    UserError
        It cannot be written; nothing of it is left.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            partial.unlink()
        raise UserError(str(path), str(error), "a place that can be written to") from error
