"""An image for every content of its Dockerfile and of what that copies, built once.

The content's digest is the image's tag; what is deployed is the registry's digest of the image, so
that nobody can put another one in its place. A base image that changes behind its tag is not seen:
write its digest into the Dockerfile to decide when that happens (docs/decisions/0021).
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlsystem.errors import PlatformError, UserError
from pipeline import files

__all__ = ["Repository", "content_digest", "copied", "ensure"]

_COPIES = re.compile(r"\s*(COPY|ADD)\s+(.*)", re.IGNORECASE)
_SHOWN_LINES = 3
# SageMaker takes no image index, which is what an image with attestations is.
_ENVIRONMENT = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDKIT_PROGRESS": "plain"}


@dataclass(frozen=True)
class Repository:
    """Where images are kept; `uri` is ``<registry>/<name>``."""

    name: str
    uri: str


def ensure(ecr: Any, repository: Repository, context: Path, dockerfile: Path) -> str:
    """Return the URI, by digest, of the image of `dockerfile`; build and push it when it is new.

    Parameters
    ----------
    ecr
        Client of the registry.
    repository
        Of the image.
    context
        Folder that the Dockerfile copies from.
    dockerfile
        Path in `context`.

    Raises
    ------
    UserError
        The Dockerfile cannot be read or does not build.
    PlatformError
        The registry does not take the image.
    """
    tag = content_digest(context, dockerfile)
    digest = _registered(ecr, repository, tag)
    if digest is None:
        print(f"Image {tag[:12]}: new, building {dockerfile}", flush=True)
        _build(repository, tag, context, dockerfile)
        _push(ecr, repository, tag)
        digest = _registered(ecr, repository, tag)
    else:
        print(f"Image {tag[:12]}: in {repository.name} already", flush=True)
    if digest is None:
        raise PlatformError(
            repository.name, f"no image {tag} after it was pushed", "what was pushed",
            "Retry the stage",
        )  # fmt: skip
    return f"{repository.uri}@{digest}"


# --- content ------------------------------------------------------------------------------------


def content_digest(context: Path, dockerfile: Path) -> str:
    """Return the SHA-256 of the Dockerfile, the ``.dockerignore`` and all files that are copied."""
    found = {context / dockerfile, *context.glob(".dockerignore")}
    for where, source in copied(context / dockerfile):
        found |= set(_files(context, source, where))
    return files.digest(context, found)


def copied(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Yield ``file:line`` and source of everything that `dockerfile` copies out of its context."""
    for line, instruction in _instructions(dockerfile):
        matched = _COPIES.match(instruction)
        words = _words(matched[2]) if matched else []
        flags = [word for word in words if word.startswith("--")]
        if any(flag.startswith("--from=") for flag in flags):
            continue
        for source in words[len(flags) : -1]:
            where = f"{dockerfile}:{line}"
            if "$" in source or "://" in source or source.startswith("<<"):
                raise UserError(
                    where, f"a copy of {source}", "a file or folder of the context by its name",
                    "The tag of an image is the digest of what is copied",
                )  # fmt: skip
            yield where, source


def _instructions(dockerfile: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each instruction; continued lines are joined."""
    try:
        lines = dockerfile.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(str(dockerfile), str(error), "a Dockerfile in UTF-8") from error
    first, parts = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#"):
            continue
        first = first if parts else number
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield first, " ".join(parts)
            parts = []


def _words(text: str) -> list[str]:
    flags = re.match(r"(--\S+\s+)*", text)
    rest = text[flags.end() :] if flags else text
    if rest.startswith("["):
        return [*text[: len(text) - len(rest)].split(), *json.loads(rest)]
    return text.split()


def _files(context: Path, pattern: str, where: str) -> Iterator[Path]:
    """Yield the files that a source of COPY stands for."""
    name = pattern.strip("/").removeprefix("./")
    matched = sorted(context.glob(name)) if name not in ("", ".") else [context]
    if not matched:
        raise UserError(
            where, f"a copy of {pattern}, which is not there", f"a file below {context}"
        )
    for path in matched:
        if path.is_dir() and not path.is_symlink():
            yield from files.below(path)
        else:
            yield path


# --- docker -------------------------------------------------------------------------------------


def _registered(ecr: Any, repository: Repository, tag: str) -> str | None:
    """Return the digest of the image with that tag, if it is in the registry."""
    try:
        answer = ecr.describe_images(repositoryName=repository.name, imageIds=[{"imageTag": tag}])
    except ecr.exceptions.ImageNotFoundException:
        return None
    return str(answer["imageDetails"][0]["imageDigest"])


def _build(repository: Repository, tag: str, context: Path, dockerfile: Path) -> None:
    last = _docker(
        "build", "--file", str(context / dockerfile), "--tag", f"{repository.uri}:{tag}",
        str(context),
    )  # fmt: skip
    if last is not None:
        raise UserError(str(dockerfile), last, "a Dockerfile that builds")


def _push(ecr: Any, repository: Repository, tag: str) -> None:
    (login,) = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(login["authorizationToken"]).decode().partition(":")
    registry = repository.uri.partition("/")[0]
    failed = _docker("login", "--username", user, "--password-stdin", registry, given=password)
    failed = failed or _docker("push", f"{repository.uri}:{tag}")
    if failed is not None:
        raise PlatformError(
            repository.uri, failed, "a registry that takes the image", "Retry the stage"
        )


def _docker(*arguments: str, given: str = "") -> str | None:
    """Run Docker, its output in the log; return the last words of a run that failed."""
    last: deque[str] = deque(maxlen=_SHOWN_LINES)
    try:
        process = subprocess.Popen(
            ["docker", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip
    except OSError as error:
        raise PlatformError("docker", str(error), "a machine that builds images") from error
    with process:
        last.extend(_echoed(process, given))
    return None if process.returncode == 0 else _reason(arguments[0], process.returncode, last)


def _echoed(process: subprocess.Popen[str], given: str) -> Iterator[str]:
    """Yield the lines that `process` prints, when they are in the log; it reads `given`."""
    assert process.stdin  # noqa: S101 - a pipe, by the call above
    assert process.stdout  # noqa: S101
    try:
        process.stdin.write(given)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended early; its exit code says why
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.strip():
            yield line.strip()


def _reason(verb: str, code: int, last: Sequence[str]) -> str:
    return f"docker {verb} ended with {code}: {' / '.join(last) or 'no word'}"
