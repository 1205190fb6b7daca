"""What an image will hold: a Dockerfile's instructions executed without writing anything."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.images import dockerfile as syntax
from local_cloud.images.dockerfile import DockerfileError, Instruction
from local_cloud.images.image import base_python
from local_cloud.images.layers import VirtualEnvironment, digest_of

__all__ = ["File", "Plan", "make_plan"]

#: Environment of the Python base images on Docker Hub.
_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
}
_PIP_FLAGS = {
    "--no-cache-dir",
    "--require-hashes",
    "--no-deps",
    "--no-compile",
    "--disable-pip-version-check",
}


@dataclass(frozen=True)
class File:
    """A file to copy: where from, its mode in the image, the SHA-256 of its bytes."""

    source: Path
    mode: int
    digest: str


@dataclass
class Plan:
    """What an image will hold: the result of reading a Dockerfile, before anything is written."""

    dockerfile: bytes
    build_args: Mapping[str, str]
    base: str = ""
    env: dict[str, str] = field(default_factory=lambda: dict(_BASE_ENVIRONMENT))
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    ports: list[str] = field(default_factory=list)
    user: str = ""
    folders: set[str] = field(default_factory=lambda: {"/"})
    files: dict[str, File] = field(default_factory=dict)
    environments: dict[str, VirtualEnvironment] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """The image's configuration, in Docker's words."""
        return {
            "Base": self.base,
            "Env": self.env,
            "WorkingDir": self.workdir,
            "Entrypoint": self.entrypoint,
            "Cmd": self.cmd,
            "Labels": self.labels,
            "ExposedPorts": self.ports,
            "User": self.user,
            "Layers": {path: layer.key for path, layer in sorted(self.environments.items())},
        }

    def digest(self) -> str:
        """Digest of everything that makes the image: the same on each build, whatever the clock."""
        return digest_of(
            {
                "python": base_python(),
                "dockerfile": hashlib.sha256(self.dockerfile).hexdigest(),
                "build_args": dict(self.build_args),
                "config": self.config(),
                "folders": sorted(self.folders),
                "files": {path: [_.mode, _.digest] for path, _ in self.files.items()},
            }
        )

    def path(self, text: str) -> str:
        """Absolute path inside the image of a path relative to the working directory."""
        return posixpath.normpath(posixpath.join(self.workdir, text))

    def add_folder(self, path: str) -> None:
        """Have a folder in the image, and those above it."""
        while path not in self.folders:
            self.folders.add(path)
            path = posixpath.dirname(path)


def make_plan(context: Path, dockerfile: Path, build_args: Mapping[str, str]) -> Plan:
    """Plan of the image that a Dockerfile describes.

    Raises
    ------
    DockerfileError
        For a mistake that Docker would refuse too.
    UnsupportedError
        For what Docker can do and this cannot.
    """
    context = context.absolute()
    if not context.is_dir():
        raise DockerfileError("docker build", f"{context} is no folder", "a folder is needed")
    instructions = syntax.read(dockerfile)
    plan = Plan(dockerfile.read_bytes(), build_args)
    reader = _Reader(context, plan, _ignore_rules(context, dockerfile))
    for instruction in instructions:
        reader.execute(instruction)
    reader.finish(dockerfile.name)
    return plan


class _Reader:
    """Executes the instructions of one Dockerfile on a plan."""

    def __init__(self, context: Path, plan: Plan, ignored: Callable[[str], bool]) -> None:
        self._context = context
        self._plan = plan
        self._ignored = ignored
        self._global_args: dict[str, str] = {}
        self._args: dict[str, str] = {}
        self._unused_args = set(plan.build_args)

    def execute(self, instruction: Instruction) -> None:
        """Apply one instruction, or refuse it by name."""
        action = getattr(self, f"_do_{instruction.name.lower()}", None)
        if action is None:
            raise UnsupportedError(
                instruction.where,
                f"instruction {instruction.name}",
                "ARG, FROM, WORKDIR, COPY, ENV, RUN, EXPOSE, LABEL, USER, ENTRYPOINT and CMD are "
                "supported",
            )
        if not self._plan.base and instruction.name not in {"ARG", "FROM"}:
            raise DockerfileError(
                instruction.where, f"{instruction.name} before FROM", "FROM must come first"
            )
        action(instruction)

    def finish(self, dockerfile: str) -> None:
        """Refuse what only the whole Dockerfile shows."""
        if not self._plan.base:
            raise DockerfileError(dockerfile, "it has no FROM", "a base image is needed")
        for path in self._plan.environments:
            if path in self._plan.folders:
                raise UnsupportedError(
                    dockerfile,
                    f"something is copied into the virtual environment {path}",
                    "only pip writes there",
                )
        for name in self._unused_args:
            raise DockerfileError(
                dockerfile, f"no ARG takes the build argument {name}", "ARG must name it"
            )

    def _variables(self) -> dict[str, str]:
        return self._args | self._plan.env if self._plan.base else self._global_args

    def _words(self, instruction: Instruction) -> list[str]:
        return syntax.words(instruction, self._variables())

    def _one_word(self, instruction: Instruction) -> str:
        words = self._words(instruction)
        if len(words) != 1 or not words[0]:
            raise DockerfileError(
                instruction.where,
                f"{instruction.name} {instruction.text}",
                f"{instruction.name} needs one value",
            )
        return words[0]

    def _pairs(self, instruction: Instruction) -> dict[str, str]:
        pairs = {}
        for word in self._words(instruction):
            name, equals, value = word.partition("=")
            if not equals or not name:
                raise UnsupportedError(
                    instruction.where,
                    f"{instruction.name} {instruction.text}",
                    f"{instruction.name} name=value is needed",
                )
            pairs[name] = value
        return pairs

    def _do_arg(self, instruction: Instruction) -> None:
        for word in self._words(instruction):
            name, _, default = word.partition("=")
            self._unused_args.discard(name)
            inherited = self._global_args.get(name, "")
            scope = self._args if self._plan.base else self._global_args
            scope[name] = self._plan.build_args.get(name, default or inherited)

    def _do_from(self, instruction: Instruction) -> None:
        words = self._words(instruction)
        if self._plan.base:
            raise UnsupportedError(
                instruction.where, "a second FROM", "one stage is supported, no multi-stage build"
            )
        if words and words[0].startswith("--"):
            raise UnsupportedError(
                instruction.where, f"FROM {words[0]}", "FROM without flags is supported"
            )
        named = len(words) == 3 and words[1].upper() == "AS"  # noqa: PLR2004
        if not (len(words) == 1 or named) or not words[0]:
            raise DockerfileError(
                instruction.where, f"FROM {instruction.text}", "FROM needs an image's name"
            )
        self._plan.base = words[0]

    def _do_workdir(self, instruction: Instruction) -> None:
        self._plan.workdir = self._plan.path(self._one_word(instruction))
        self._plan.add_folder(self._plan.workdir)

    def _do_env(self, instruction: Instruction) -> None:
        self._plan.env |= self._pairs(instruction)

    def _do_label(self, instruction: Instruction) -> None:
        self._plan.labels |= self._pairs(instruction)

    def _do_expose(self, instruction: Instruction) -> None:
        self._plan.ports += self._words(instruction)

    def _do_user(self, instruction: Instruction) -> None:
        self._plan.user = self._one_word(instruction)

    def _do_entrypoint(self, instruction: Instruction) -> None:
        self._plan.entrypoint = instruction.exec_form()
        self._plan.cmd = []  # an earlier CMD belonged to an earlier ENTRYPOINT, as in Docker

    def _do_cmd(self, instruction: Instruction) -> None:
        self._plan.cmd = instruction.exec_form()

    def _do_run(self, instruction: Instruction) -> None:
        for command in syntax.shell_commands(instruction):
            if command[:3] in (["python3", "-m", "venv"], ["python", "-m", "venv"]):
                self._make_environment(instruction, command[3:])
            elif posixpath.basename(command[0]) == "pip" and command[1:2] == ["install"]:
                self._install(instruction, command[0], command[2:])
            else:
                raise UnsupportedError(
                    instruction.where,
                    f"RUN {' '.join(command)}",
                    "'python3 -m venv DIR' and 'pip install ...' are supported",
                )

    def _make_environment(self, instruction: Instruction, arguments: list[str]) -> None:
        if len(arguments) != 1 or arguments[0].startswith("-"):
            raise UnsupportedError(
                instruction.where,
                f"python3 -m venv {' '.join(arguments)}",
                "'python3 -m venv DIR' without options is supported",
            )
        path = self._plan.path(arguments[0])
        self._plan.add_folder(posixpath.dirname(path))
        self._plan.environments[path] = VirtualEnvironment()

    def _install(self, instruction: Instruction, pip: str, arguments: list[str]) -> None:
        environment = self._environment_of(instruction, pip)
        files: dict[str, bytes] = {}
        here: list[str] = []
        words = iter(arguments)
        for word in words:
            name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
            if name in {"-r", "--requirement"}:
                path = value if equals else next(words, "")
                # Numbered, since two requirements files may have the same name.
                copy = f"{len(files)}-{posixpath.basename(path)}"
                files[copy] = self._requirements(instruction, path)
                here += ["-r", copy]
            elif name in _PIP_FLAGS and not equals:
                here.append(word)
            elif name == "--only-binary":
                here += [name, value if equals else next(words, "")]
            elif not word.startswith(("-", ".", "/")) and "/" not in word:
                here.append(word)
            else:
                raise UnsupportedError(
                    instruction.where,
                    f"pip install {word}",
                    f"packages by name, -r FILE, --only-binary and {', '.join(sorted(_PIP_FLAGS))} "
                    "are supported",
                )
        environment.commands.append((instruction, here, files))

    def _environment_of(self, instruction: Instruction, pip: str) -> VirtualEnvironment:
        """The environment whose pip this is, found on the image's PATH as a shell would."""
        places = [posixpath.dirname(pip)] if "/" in pip else self._plan.env["PATH"].split(":")
        for place in places:
            owner = posixpath.dirname(self._plan.path(place))
            if posixpath.basename(place) == "bin" and owner in self._plan.environments:
                return self._plan.environments[owner]
        raise UnsupportedError(
            instruction.where,
            f"{pip} install outside a virtual environment",
            "packages go into a virtual environment",
            "Make one with RUN python3 -m venv DIR and put DIR/bin first in ENV PATH",
        )

    def _requirements(self, instruction: Instruction, path: str) -> bytes:
        file = self._plan.files.get(self._plan.path(path)) if path else None
        if file is None:
            raise DockerfileError(
                instruction.where,
                f"pip install -r {path}: the file is not in the image",
                "a requirements file must be copied before",
                f"Write COPY {path or 'requirements.txt'} before this line",
            )
        data = file.source.read_bytes()
        for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
            if re.match(r"\s*(-r|-c|-e|--requirement|--constraint|--editable)\b", line):
                raise UnsupportedError(
                    f"{file.source.name}:{number}",
                    f"it names another file: {line.strip()}",
                    "one complete requirements file is supported",
                )
        return data

    def _do_copy(self, instruction: Instruction) -> None:
        if instruction.text.startswith("["):
            words = [syntax.expand(_, self._variables()) for _ in instruction.exec_form()]
        else:
            words = self._words(instruction)
        while words and words[0].startswith("--"):
            flag = words.pop(0)
            if not flag.startswith("--chown="):
                raise UnsupportedError(
                    instruction.where, f"COPY {flag}", "--chown is the only supported flag"
                )
        if len(words) < 2:  # noqa: PLR2004
            raise DockerfileError(
                instruction.where, f"COPY {instruction.text}", "COPY needs a source and a target"
            )
        *sources, target = words
        for source in sources:
            self._copy(instruction, source, target, several=len(sources) > 1)

    def _copy(self, instruction: Instruction, source: str, target: str, *, several: bool) -> None:
        relative = posixpath.normpath(source.lstrip("/"))
        path = self._context / relative
        if relative.startswith(".."):
            raise DockerfileError(
                instruction.where,
                f"COPY {source}: forbidden path outside the build context",
                f"a path in {self._context} is needed",
            )
        if re.search(r"[*?\[]", source):
            raise UnsupportedError(
                instruction.where, f"COPY {source}", "names without wildcards are supported"
            )
        place = self._plan.path(target)
        if path.is_dir() and not path.is_symlink():
            self._copy_folder(instruction, path, place)
            return
        if not os.path.lexists(path) or self._ignored(relative):
            raise DockerfileError(
                instruction.where,
                f"COPY {source}: not found in {self._context}, or left out by .dockerignore",
                "a file or folder of the build context is needed",
            )
        if several or target.endswith("/") or target == "." or place in self._plan.folders:
            place = posixpath.join(place, posixpath.basename(relative))
        self._copy_file(instruction, path, place)

    def _copy_folder(self, instruction: Instruction, folder: Path, place: str) -> None:
        """Copy what is not ignored; a folder that is may hold a file that is taken back."""
        if not self._is_ignored(folder):
            self._plan.add_folder(place)
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                self._copy_folder(instruction, entry, posixpath.join(place, entry.name))
            elif not self._is_ignored(entry):
                self._copy_file(instruction, entry, posixpath.join(place, entry.name))

    def _is_ignored(self, path: Path) -> bool:
        return path != self._context and self._ignored(path.relative_to(self._context).as_posix())

    def _copy_file(self, instruction: Instruction, path: Path, place: str) -> None:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedError(
                instruction.where,
                f"COPY of {path.relative_to(self._context)}, a link or special file",
                "files and folders are supported",
            )
        self._plan.add_folder(posixpath.dirname(place))
        # Only the executable bit: the rest is the umask of whoever checked the files out.
        mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self._plan.files[place] = File(path, mode, digest)


def _ignore_rules(context: Path, dockerfile: Path) -> Callable[[str], bool]:
    """Whether a path of the context is left out by ``.dockerignore``; the last match decides.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    path = own if own.exists() else context / ".dockerignore"
    rules: list[tuple[re.Pattern[str], bool]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keeps = pattern.startswith("!")
        pattern = posixpath.normpath(pattern.lstrip("!").strip().lstrip("/"))
        rules.append((_glob(pattern), keeps))

    def ignored(relative: str) -> bool:
        parents = [relative, *(_.as_posix() for _ in Path(relative).parents)]
        result = False
        for rule, keeps in rules:
            if any(rule.fullmatch(parent) for parent in parents):
                result = not keeps
        return result

    return ignored


def _glob(pattern: str) -> re.Pattern[str]:
    """Regular expression of a ``.dockerignore`` pattern with ``**``, ``*``, ``?`` and ``[a-z]``."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    return re.compile(
        "".join(
            parts.get(_, _ if _.startswith("[") and _.endswith("]") else re.escape(_))
            for _ in tokens
        )
    )
