"""What stands for a build's container: folders, programs on its PATH, and its environment.

A build's Python is a virtual environment of its own kind: builds whose sources have the same
requirements files share one, ``.local/python/<digest>``. So what was installed once is there the
next time, and ``pip`` only looks whether it is. What tools keep in ``~/.cache`` stays too.
"""

from __future__ import annotations

import contextlib
import ensurepip
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from local_cloud.images.image import base_python

__all__ = ["Machine"]

_PACKAGE_ROOT = Path(__file__).parents[2]
#: What pip needs of the machine to reach a package index.
_PASSED_ON = re.compile(
    r"PIP_\w+|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE", re.IGNORECASE
)
#: Program on PATH -> module of the local cloud that stands for it.
_STAND_INS = {"docker": "local_cloud.images.docker", "aws": "local_cloud.codebuild.aws"}


class Machine:
    """The folders of one build.

    Parameters
    ----------
    folder
        Of the build; made here, removed by :meth:`remove`.
    store
        Images that ``docker build`` makes, ``.local/docker``.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self.folder = folder
        self.source = folder / "src"
        self.scripts = folder / "scripts"
        self._home = folder / "home"
        self._programs = folder / "bin"
        self._python = folder / "python"  # until the source is there
        self._store = store
        for path in (self.source, self.scripts, self._home, self._programs, folder / "tmp"):
            path.mkdir(parents=True)
        cache = store.parent.absolute() / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        (self._home / ".cache").symlink_to(cache)
        for program, module in _STAND_INS.items():
            self._write_program(program, f'"{sys.executable}" -m {module}', own=True)
        for program in ("pip", "pip3"):
            self._write_program(program, "python -m pip")

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a build's commands; nothing else of the runner's is in it."""
        passed = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
        path = [str(self._programs), str(self._python / "bin"), "/usr/local/bin", os.defpath]
        return {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **passed,
            "PATH": os.pathsep.join(path),
            "HOME": str(self._home),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "VIRTUAL_ENV": str(self._python),
            "LOCAL_CLOUD_DOCKER": str(self._home / ".docker"),
            "LOCAL_CLOUD_STORE": str(self._store),
            **variables,
        }

    def choose_python(self) -> None:
        """Make or find the Python for the source that was unpacked."""
        digest = hashlib.sha256("\0".join(base_python()).encode())
        for path in sorted(self.source.rglob("*requirements*.txt")):
            digest.update(path.relative_to(self.source).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        self._python = self._store.parent / "python" / digest.hexdigest()[:32]
        self._python.parent.mkdir(parents=True, exist_ok=True)
        with self.installing():
            if not (self._python / "complete").exists():
                _make_python(self._python)
                (self._python / "complete").touch()

    @contextlib.contextmanager
    def installing(self) -> Iterator[None]:
        """Keep other builds from installing into the same Python meanwhile."""
        with self._python.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def remove(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_program(self, name: str, command: str, *, own: bool = False) -> None:
        path = self._programs / name
        root = f"PYTHONPATH={shlex.quote(str(_PACKAGE_ROOT))} exec env " if own else "exec "
        path.write_text(f'#!/bin/sh\n{root}{command} "$@"\n')
        path.chmod(0o755)


def _make_python(folder: Path) -> None:
    """A virtual environment with pip, which is unpacked: to install it would take ten seconds."""
    wheels = list((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    venv.create(folder, clear=True, symlinks=True, with_pip=not wheels)
    (site,) = folder.glob("lib/python*/site-packages")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
