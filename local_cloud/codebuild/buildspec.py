"""A buildspec, version 0.2: read, checked, and refused by name where its effect is not here.

Source: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_cloud.errors import LocalCloudError

__all__ = ["PHASES", "Artifacts", "Buildspec", "BuildspecError", "Phase", "parse"]

PHASES = ("install", "pre_build", "build", "post_build")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SHELLS = {"sh": "sh", "/bin/sh": "sh", "bash": "bash"}


class BuildspecError(LocalCloudError):
    """A buildspec that CodeBuild refuses, or that asks for what is not here."""


@dataclass(frozen=True)
class Phase:
    """Commands of one phase; ``finally_`` runs after them whatever happens."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    goes_on: bool = False


@dataclass(frozen=True)
class Artifacts:
    """What a build leaves: patterns of files below a folder, and how they are named."""

    files: tuple[str, ...]
    base_directory: str = ""
    discards_paths: bool = False
    excluded: tuple[str, ...] = ()

    def paths(self, root: Path) -> Iterator[tuple[Path, str]]:
        """Each file with its name in the archive.

        Raises
        ------
        BuildspecError
            When a pattern finds no file, the folder does not exist, or a file is outside `root`.
        """
        base = (root / self.base_directory).resolve()
        if not base.is_dir():
            raise _error(
                "/artifacts/base-directory", repr(self.base_directory), "a folder is needed"
            )
        dropped = {path for pattern in self.excluded for path in _files(base, pattern)}
        found: dict[Path, None] = {}
        for pattern in self.files:
            matching = _files(base, pattern)
            if not matching:
                raise _error("/artifacts/files", f"no file matches {pattern!r}", "one is needed")
            found.update(dict.fromkeys(path for path in matching if path not in dropped))
        for path in found:
            if not path.resolve().is_relative_to(root.resolve()):
                raise _error("/artifacts/files", f"{path} leads out of the source", "it must not")
            name = path.name if self.discards_paths else path.relative_to(base).as_posix()
            yield path, name


@dataclass(frozen=True)
class Buildspec:
    """A whole buildspec."""

    phases: Mapping[str, Phase]
    variables: Mapping[str, str]
    exported: tuple[str, ...]
    shell: str
    python: str
    artifacts: Artifacts | None
    secondary_artifacts: Mapping[str, Artifacts]
    report_groups: tuple[str, ...]


def parse(text: str) -> Buildspec:
    """The buildspec of a YAML text.

    Raises
    ------
    BuildspecError
        With the place in the document, as a JSON pointer.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _error("/", f"it is no YAML: {error}", "YAML is needed") from error
    _members("", document, {"version", "env", "phases", "artifacts", "reports"})
    if str(document.get("version")) != "0.2":
        raise _error("/version", repr(document.get("version")), "version 0.2 is supported")
    for name in document.get("reports") or {}:
        _members(f"/reports/{name}", document["reports"][name], _REPORT)  # read by nobody here
    env = _members("/env", document.get("env") or {}, {"shell", "variables", "exported-variables"})
    shell = env.get("shell", "sh")
    if shell not in _SHELLS:
        raise _error("/env/shell", repr(shell), "sh or bash is supported")
    artifacts = dict(document.get("artifacts") or {})
    secondary = artifacts.pop("secondary-artifacts", None) or {}
    phases = _members("/phases", document.get("phases") or {}, set(PHASES))
    if not phases:
        raise _error("/phases", "there is none", "at least one phase is needed")
    return Buildspec(
        phases={name: _phase(f"/phases/{name}", phase) for name, phase in phases.items()},
        variables=_variables(env.get("variables") or {}),
        exported=tuple(_exported(env.get("exported-variables") or [])),
        shell=_SHELLS[shell],
        python=_python(phases.get("install") or {}),
        artifacts=_artifacts("/artifacts", artifacts) if artifacts else None,
        secondary_artifacts={
            name: _artifacts(f"/artifacts/secondary-artifacts/{name}", part)
            for name, part in secondary.items()
        },
        report_groups=tuple(document.get("reports") or {}),
    )


_REPORT = {"files", "file-format", "base-directory", "discard-paths"}


def _phase(where: str, phase: Any) -> Phase:
    known = {"commands", "finally", "on-failure", "runtime-versions"}
    _members(where, phase, known)
    on_failure = phase.get("on-failure", "")
    if on_failure not in {"", "ABORT", "CONTINUE"}:
        raise _error(f"{where}/on-failure", repr(on_failure), "ABORT or CONTINUE is supported")
    # The build phase is followed by post_build, whatever its end, unless it says ABORT.
    goes_on = on_failure == "CONTINUE" or (where.endswith("/build") and not on_failure)
    commands, finally_ = (
        _commands(f"{where}/{name}", phase.get(name)) for name in ("commands", "finally")
    )
    return Phase(commands, finally_, goes_on)


def _commands(where: str, given: Any) -> tuple[str, ...]:
    given = [given] if isinstance(given, str) else given or []
    for index, command in enumerate(given):
        if not isinstance(command, str):
            raise _error(f"{where}/{index}", repr(command), "a text is needed", "Quote it")
    return tuple(given)


def _variables(given: Mapping[str, Any]) -> dict[str, str]:
    for name, value in given.items():
        if isinstance(value, Mapping | list) or value is None:
            raise _error(f"/env/variables/{name}", repr(value), "a text is needed")
    return {
        str(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


def _exported(names: list[str]) -> Iterator[str]:
    for name in names:
        if not _NAME.fullmatch(str(name)) or name.startswith("AWS_"):
            raise _error(
                "/env/exported-variables", repr(name), "a variable's name, not of AWS_*, is needed"
            )
        yield name


def _python(install: Mapping[str, Any]) -> str:
    versions = _members(
        "/phases/install/runtime-versions", install.get("runtime-versions") or {}, {"python"}
    )
    return str(versions.get("python", ""))


def _artifacts(where: str, given: Any) -> Artifacts:
    known = {"files", "base-directory", "discard-paths", "exclude-paths", "name"}
    _members(where, given, known)
    files = _commands(f"{where}/files", given.get("files"))
    if not files:
        raise _error(f"{where}/files", "there is none", "at least one pattern is needed")
    return Artifacts(
        files,
        str(given.get("base-directory", "")),
        str(given.get("discard-paths", "no")).lower() in {"yes", "true"},
        _commands(f"{where}/exclude-paths", given.get("exclude-paths")),
    )


def _files(base: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute():
        raise _error("/artifacts/files", repr(pattern), "a path below the base directory is needed")
    found = sorted(path for path in base.glob(pattern) if path.is_file())
    return found or sorted(path for path in (base / pattern).rglob("*") if path.is_file())


def _members(where: str, given: Any, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise _error(
            where or "/", repr(given), f"an object with {', '.join(sorted(known))} is needed"
        )
    for name in given:
        if name not in known:
            raise _error(
                f"{where}/{name}",
                "it is not part of the local cloud",
                f"{', '.join(sorted(known))} are supported here",
                "See docs/parity.md",
            )
    return given


def _error(where: str, found: str, required: str, fix: str = "") -> BuildspecError:
    return BuildspecError(f"buildspec {where}", found, required, fix)
