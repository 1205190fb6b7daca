"""Commands of a phase in one shell, as CodeBuild runs them: what one exports, the next one sees.

The shell writes down which command it is at, and at its end its folder and its exported variables,
from which the next phase goes on.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Shell"]


class Shell:
    """The state that a build's commands share.

    Parameters
    ----------
    folder
        For scripts and state; made by the caller.
    program
        ``sh`` or ``bash``.
    start
        Folder of the first command.
    """

    def __init__(self, folder: Path, program: str, start: Path) -> None:
        self._folder = folder
        self._program = program
        self._state = folder / "state"
        self._cwd = folder / "cwd"
        self._at = folder / "at"
        self._state.write_text("")
        self._cwd.write_text(f"{start}\n")

    def script(self, commands: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        """Program and arguments that run `commands`, up to the first that fails.

        `variables` are newer than what the commands before left.
        """
        at, state, cwd = (shlex.quote(str(_)) for _ in (self._at, self._state, self._cwd))
        lines = [
            f"trap '_code=$?; export -p > {state}; pwd > {cwd}; exit $_code' EXIT",
            f". {state}",
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            f'cd "$(cat {cwd})" || exit',
        ]
        for index, command in enumerate(commands):
            file = self._folder / f"command-{index}"
            file.write_text(f"{command}\n")
            shown = shlex.quote(f"[Container] Running command {command}")
            lines += [
                f"echo {index} > {at}",
                f"printf '%s\\n' {shown}",
                f". {shlex.quote(str(file))}",
                "_code=$?; [ $_code -eq 0 ] || exit $_code",
            ]
        script = self._folder / "script"
        script.write_text("\n".join(lines) + "\n")
        self._at.write_text("0\n")
        return [self._program, str(script)]

    def command_at(self) -> int:
        """Which command the last script came to."""
        return int(self._at.read_text())

    def exported(self, environment: dict[str, str]) -> dict[str, str]:
        """What is exported by now, from the build's `environment` on."""
        read = f". {shlex.quote(str(self._state))}; env -0"
        answer = subprocess.run(
            [self._program, "-c", read],
            env=environment,
            capture_output=True,
            check=True,
        )
        pairs = (line.partition("=") for line in answer.stdout.decode().split("\0") if line)
        return {name: value for name, _, value in pairs}
