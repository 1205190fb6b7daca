"""What stands for a build's container: folders, programs on its PATH, and its environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

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
        self._python = folder / "python"
        self._store = store
        for path in (self.source, self.scripts, self._home, self._programs, folder / "tmp"):
            path.mkdir(parents=True)
        self._make_python()
        for program, module in _STAND_INS.items():
            self._write_program(program, f'"{sys.executable}" -m {module}', own=True)
        for program in ("pip", "pip3"):
            self._write_program(program, "python -m pip")

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a build's commands; nothing else of the runner's is in it."""
        passed = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
        path = [str(self._programs), str(self._python / "bin"), os.defpath, "/usr/local/bin"]
        return {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_CACHE_DIR": str(self._store.parent / "pip"),
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

    def remove(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_python(self) -> None:
        """A virtual environment of the build's own that sees the packages of the local cloud."""
        venv.create(self._python, symlinks=True)
        (site,) = self._python.glob("lib/python*/site-packages")
        (site / "local_cloud.pth").write_text(f"{sysconfig.get_path('purelib')}\n")

    def _write_program(self, name: str, command: str, *, own: bool = False) -> None:
        path = self._programs / name
        root = f"PYTHONPATH={shlex.quote(str(_PACKAGE_ROOT))} exec env " if own else "exec "
        path.write_text(f'#!/bin/sh\n{root}{command} "$@"\n')
        path.chmod(0o755)
