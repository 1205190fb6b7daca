"""Virtual environments as layers: installed once for a Python, commands and requirements."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.images.dockerfile import Instruction
from local_cloud.images.image import ImageError, base_python, base_python_path

__all__ = ["Report", "VirtualEnvironment", "digest_of"]

#: Called with each line of progress.
Report = Callable[[str], None]

#: What pip needs of the machine to reach a package index, and nothing else.
_ENVIRONMENT = re.compile(
    r"PIP_\w+|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|HOME|XDG_CONFIG_HOME"
    r"|TMPDIR|LANG|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH",
    re.IGNORECASE,
)
_LAST_LINES = 20
#: How pip's lines begin that say what it does; the others are of use when it fails.
_PROGRESS = ("Collecting", "Processing", "Building", "Installing", "Successfully")


@dataclass
class VirtualEnvironment:
    """A virtual environment and what pip installs into it, in order."""

    commands: list[tuple[Instruction, list[str], dict[str, bytes]]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Digest of the Python, the commands and the requirements files."""
        parts: list[Any] = [base_python()]
        for _, arguments, files in self.commands:
            digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
            parts.append([arguments, digests])
        return digest_of(parts)

    def folder(self, store: Path) -> Path:
        """Place of the environment in a store."""
        return store / "layers" / self.key[:32]

    def install(self, store: Path, report: Report) -> None:
        """Make the environment, unless it is complete.

        It is made in its final place, because its scripts name their Python by absolute path; a
        marker that holds this place is written last. So neither an interrupted installation nor a
        store that was moved is taken for a complete one.
        """
        folder = self.folder(store)
        marker = folder / ".complete"
        if marker.exists() and marker.read_text() == str(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            report("making a virtual environment")
            made = [base_python_path(), "-m", "venv", str(folder)]
            _run(made, "docker build", "python3 -m venv", report)
            for instruction, arguments, files in self.commands:
                report(f"pip install {' '.join(arguments)}")
                self._pip(folder, instruction, arguments, files, report)
            marker.write_text(str(folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _pip(
        self,
        folder: Path,
        instruction: Instruction,
        arguments: list[str],
        files: dict[str, bytes],
        report: Report,
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="requirements-", dir=folder) as place:
            for name, data in files.items():
                (Path(place) / name).write_bytes(data)
            here = [str(Path(place) / word) if word in files else word for word in arguments]
            python = str(folder / "bin" / "python")
            pip = [python, "-m", "pip", "install", *here]
            _run(pip, instruction.where, f"pip install {' '.join(arguments)}", report)


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _run(argv: list[str], where: str, what: str, report: Report) -> None:
    """Run a build step; its last lines are the error when it fails."""
    environment = {k: v for k, v in os.environ.items() if _ENVIRONMENT.fullmatch(k)}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PATH"] = f"{Path(argv[0]).parent}:/usr/bin:/bin"
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                last_lines.append(line.rstrip())
                if line.startswith(_PROGRESS):
                    report(line.partition(" (from ")[0].rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise ImageError(
            where,
            "\n".join([f"{what} ended with code {process.returncode}", *last_lines]),
            "every command of a build must succeed",
        )
