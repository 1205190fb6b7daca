"""A repository: a bare git repository, and what the API asks of it.

git itself does everything. Neither the system's nor the user's configuration is read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError, MachineError

__all__ = ["Commit", "File", "GitError", "Repository", "git_environment"]

_BRANCHES = "refs/heads/"


class GitError(LocalCloudError):
    """git does not know what it was asked for, or refuses it."""


@dataclass(frozen=True)
class File:
    """A file of a commit."""

    path: str
    content: bytes
    is_executable: bool = False


@dataclass(frozen=True)
class Commit:
    """A commit as git shows it; times are ``<seconds> <zone>``."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]
    committer: tuple[str, str, str]
    message: str


def git_environment(**more: str) -> dict[str, str]:
    """Environment in which git reads no configuration but the repository's, and asks nobody."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        **more,
    }


@dataclass(frozen=True)
class Repository:
    """A bare git repository at a path."""

    path: Path

    def create(self, branch: str = "main") -> None:
        """Make it, empty; `branch` is what a clone checks out."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _run(["git", "init", "--quiet", "--bare", f"--initial-branch={branch}", str(self.path)])

    def delete(self) -> None:
        """Remove it with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    # ---------------------------------------------------------------- references

    def branches(self) -> dict[str, str]:
        """Commit id of each branch, by the branches' names."""
        lines = self._git("for-each-ref", "--format=%(refname) %(objectname)", _BRANCHES)
        pairs = (line.rsplit(" ", 1) for line in lines.decode().splitlines())
        return {name.removeprefix(_BRANCHES): commit for name, commit in pairs}

    def default_branch(self) -> str:
        """What a clone checks out."""
        return self._git("symbolic-ref", "HEAD").decode().strip().removeprefix(_BRANCHES)

    def set_default_branch(self, branch: str) -> None:
        """Have a clone check out `branch`."""
        self._git("symbolic-ref", "HEAD", f"{_BRANCHES}{branch}")

    def resolve(self, specifier: str) -> str | None:
        """Commit id of a branch, a tag or a (short) id; ``None`` when there is none."""
        try:
            name = f"{specifier}^{{commit}}"
            return self._git("rev-parse", "--verify", "--end-of-options", name).decode().strip()
        except GitError:
            return None

    # ---------------------------------------------------------------- content

    def commit(self, commit_id: str) -> Commit:
        """A commit; raises :class:`GitError` when there is none."""
        raw = self._git("cat-file", "commit", commit_id).decode(errors="replace")
        head, _, message = raw.partition("\n\n")
        fields = [line.partition(" ")[::2] for line in head.splitlines()]
        first = dict(reversed(fields))
        return Commit(
            commit_id,
            first["tree"],
            tuple(value for name, value in fields if name == "parent"),
            _person(first["author"]),
            _person(first["committer"]),
            message,
        )

    def file(self, commit_id: str, path: str) -> tuple[File, str] | None:
        """A file of a commit, with the id of its content; ``None`` when there is none."""
        found = self._git("ls-tree", "-z", "--full-tree", commit_id, "--", path)
        if not found:
            return None
        about, _, name = found.rstrip(b"\0").decode().partition("\t")
        mode, kind, blob = about.split(" ")
        if kind != "blob" or name != path:
            return None
        return File(path, self._git("cat-file", "blob", blob), mode == "100755"), blob

    def archive(self, commit_id: str) -> bytes:
        """Every file of a commit in a ZIP archive."""
        return self._git("archive", "--format=zip", commit_id)

    def add_commit(
        self,
        branch: str,
        files: Iterable[File],
        *,
        deleted: Iterable[str] = (),
        parent: str | None,
        message: str,
        author: tuple[str, str],
    ) -> str:
        """Put a commit on a branch; return its id.

        Parameters
        ----------
        branch
            Made where it does not exist.
        files, deleted
            What is added or replaced, and the paths that are removed.
        parent
            Commit id that the branch must be at; ``None`` for the first commit.
        message, author
            Its text, and name and e-mail address of the author and committer.
        """
        name, email = (_one_line(part) for part in author)
        text = message.encode()
        stream = [
            f"commit {_BRANCHES}{branch}\n".encode(),
            f"committer {name} <{email}> {int(time.time())} +0000\n".encode(),
            b"data %d\n%s\n" % (len(text), text),
            f"from {parent}\n".encode() if parent else b"",
            *(f"D {_quoted(path)}\n".encode() for path in deleted),
            *(_modification(file) for file in files),
        ]
        self._git("fast-import", "--quiet", "--date-format=raw", content=b"".join(stream))
        return self.branches()[branch]

    def _git(self, *arguments: str, content: bytes = b"") -> bytes:
        return _run(["git", f"--git-dir={self.path}", *arguments], content)


def _modification(file: File) -> bytes:
    mode = 0o100755 if file.is_executable else 0o100644
    head = f"M {mode:o} inline {_quoted(file.path)}\ndata {len(file.content)}\n"
    return head.encode() + file.content + b"\n"


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    return "".join(character for character in text if character not in "<>\n")


def _person(text: str) -> tuple[str, str, str]:
    """Name, address and time of ``Name <address> 1700000000 +0000``."""
    name, _, rest = text.partition(" <")
    email, _, when = rest.partition("> ")
    return name, email, when


def _run(
    command: list[str], content: bytes = b"", environment: Mapping[str, str] | None = None
) -> bytes:
    if shutil.which("git") is None:
        raise MachineError("CodeCommit", "program 'git' was not found", "it must exist on PATH")
    answer = subprocess.run(
        command,
        input=content,
        capture_output=True,
        check=False,
        env=environment or git_environment(),
    )
    if answer.returncode:
        said = answer.stderr.decode(errors="replace").strip()
        raise GitError(f"git {command[2] if len(command) > 2 else ''}", said, "git must accept it")  # noqa: PLR2004
    return answer.stdout
