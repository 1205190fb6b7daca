"""Command line: ``python -m local_cloud.codebuild install SOURCE``.

Runs what the buildspecs of a source do in their install phases, so that the first build finds it
done: set-up, as a build image with the packages in it would be.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from local_cloud.codebuild.buildspec import parse
from local_cloud.codebuild.machine import Machine
from local_cloud.codebuild.shell import Shell
from local_cloud.errors import LocalCloudError
from local_cloud.images.image import STORE

_SOURCE_FILES = ("buildspec*.yml", "**/*requirements*.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Install; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.codebuild", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    installer = verbs.add_parser("install", help="do what builds of a source do in install phases")
    installer.add_argument("source", type=Path, help="folder with buildspecs and requirements")
    installer.add_argument("--store", type=Path, default=STORE, help="folder of images and layers")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _install(
                options.source, Machine(Path(folder) / "build", options.store.absolute())
            )
        except LocalCloudError as error:
            print(error, file=sys.stderr)
            return 1


def _install(source: Path, machine: Machine) -> int:
    for pattern in _SOURCE_FILES:
        for path in source.glob(pattern):
            target = machine.source / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    machine.choose_python()
    for path in sorted(machine.source.glob("buildspec*.yml")):
        buildspec = parse(path.read_text(encoding="utf-8"))
        if "install" not in buildspec.phases:
            continue
        shell = Shell(machine.scripts, buildspec.shell, machine.source)
        command = shell.script(buildspec.phases["install"].commands, {})
        environment = machine.environment(buildspec.variables)
        with machine.installing():
            result = subprocess.run(command, cwd=machine.folder, env=environment, check=False)
        if result.returncode:
            return result.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
