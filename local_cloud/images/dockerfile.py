"""Reads a Dockerfile: the instructions, where each stands, and its words with variables replaced.

What an instruction does is in :mod:`local_cloud.images.plan`. Syntax:
https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError, UnsupportedError

__all__ = ["DockerfileError", "Instruction", "expand", "read", "shell_commands", "words"]

_HEREDOC = re.compile(r"<<-?\s*[\"']?\w")
_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.*)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")


class DockerfileError(LocalCloudError):
    """A Dockerfile that Docker would not accept either."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile.

    Parameters
    ----------
    name
        Upper case, for instance ``COPY``.
    text
        Everything behind the name, continuation lines joined, comments left out.
    where
        File and line, for instance ``Dockerfile:12``.
    """

    name: str
    text: str
    where: str

    def exec_form(self) -> list[str]:
        """Words of the exec form, ``["program", "argument"]``; the shell form is refused."""
        try:
            parsed = json.loads(self.text)
        except json.JSONDecodeError:
            parsed = None
        if isinstance(parsed, list) and parsed and all(isinstance(_, str) for _ in parsed):
            return parsed
        raise UnsupportedError(
            self.where,
            f"{self.name} in shell form: {self.text}",
            "the exec form is needed, because a shell swallows the signal that stops a container",
            f'Write {self.name} ["program", "argument"] with double quotes',
        )


def read(path: Path) -> list[Instruction]:
    """Instructions of a Dockerfile, in order.

    Raises
    ------
    DockerfileError
        When the file is missing, not UTF-8, or ends inside an instruction.
    UnsupportedError
        For here-documents and another escape character than the backslash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DockerfileError(
            str(path), f"it cannot be read: {error}", "a Dockerfile in UTF-8 is needed"
        ) from error
    instructions: list[Instruction] = []
    pending: list[str] = []
    first = 0
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            if not instructions and not pending:
                _check_directive(line.lstrip(), f"{path.name}:{number}")
            continue
        if not line.strip():
            continue
        first = first if pending else number
        continues = line.rstrip().endswith("\\")
        pending.append(line.rstrip().removesuffix("\\").strip())
        if not continues:
            instructions.append(_instruction(" ".join(pending), f"{path.name}:{first}"))
            pending = []
    if pending:
        raise DockerfileError(
            f"{path.name}:{first}", "the last line ends with '\\'", "the instruction must be ended"
        )
    return instructions


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Text with ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and ``${NAME:+other}`` replaced.

    An unknown variable becomes empty, as Docker has it.

    Examples
    --------
    >>> expand("python:${VERSION:-3.13}$SUFFIX", {"SUFFIX": "-slim"})
    'python:3.13-slim'
    """

    def value(match: re.Match[str]) -> str:
        current = variables.get(match[1] or match[2], "")
        if match[3] == ":-":
            return current or match[4]
        if match[3] == ":+":
            return match[4] if current else ""
        return current

    return _VARIABLE.sub(value, text)


def words(instruction: Instruction, variables: Mapping[str, str]) -> list[str]:
    """Words of an instruction, quotes removed and variables replaced.

    Raises
    ------
    UnsupportedError
        For a literal dollar sign in single quotes or behind a backslash.
    """
    if re.search(r"\\\$|'[^']*\$[^']*'", instruction.text):
        raise UnsupportedError(
            instruction.where,
            f"a dollar sign that is not a variable: {instruction.text}",
            "only variables may start with a dollar sign",
        )
    return [expand(word, variables) for word in _split(instruction)]


def shell_commands(instruction: Instruction) -> list[list[str]]:
    """Commands of a RUN instruction: words of each, separated by ``&&``.

    Raises
    ------
    UnsupportedError
        For anything else of a shell: pipes, redirections, variables, groups, ``;`` and ``||``.
    """
    if re.search(r"[$`]", instruction.text):
        raise _shell_refused(instruction, "a shell variable or substitution")
    lexer = shlex.shlex(instruction.text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == "&&":
                commands.append([])
            elif set(word) <= set("();<>|&"):
                raise _shell_refused(instruction, f"{word!r}")
            else:
                commands[-1].append(word)
    except ValueError as error:
        raise DockerfileError(
            instruction.where, f"{instruction.text}: {error}", "every quote must be closed"
        ) from error
    if not all(commands):
        raise DockerfileError(
            instruction.where, f"RUN {instruction.text}", "a command is needed beside each '&&'"
        )
    return commands


def _shell_refused(instruction: Instruction, what: str) -> UnsupportedError:
    return UnsupportedError(
        instruction.where,
        f"{what} in RUN {instruction.text}",
        "commands chained with '&&' are supported, nothing else of a shell",
    )


def _split(instruction: Instruction) -> list[str]:
    try:
        return shlex.split(instruction.text)
    except ValueError as error:
        raise DockerfileError(
            instruction.where, f"{instruction.text}: {error}", "every quote must be closed"
        ) from error


def _check_directive(line: str, where: str) -> None:
    match = _DIRECTIVE.fullmatch(line.strip())
    if match and match[1].lower() == "escape" and match[2].strip() != "\\":
        raise UnsupportedError(where, line, "the backslash is the only escape character here")


def _instruction(line: str, where: str) -> Instruction:
    name, text = [*line.split(maxsplit=1), ""][:2]
    name = name.upper()
    if name in {"RUN", "COPY", "ADD"} and _HEREDOC.search(text):
        raise UnsupportedError(
            where, f"a here-document in {name}", f"{name} on its own lines is needed"
        )
    return Instruction(name, text, where)
