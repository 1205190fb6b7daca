"""The ``docker`` of a build: login, build, tag, push, images and inspect, without Docker.

``docker`` on a build's PATH is this module. Names of images are kept in the build's own folder
(``LOCAL_CLOUD_DOCKER``), images in the store of the local cloud (``LOCAL_CLOUD_STORE``); a push
goes to ECR with the credentials of the environment. Everything else is refused by name.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.errors import LocalCloudError, UnsupportedError
from local_cloud.images.build import build
from local_cloud.images.image import Image, ImageNotFoundError
from local_cloud.images.registry import manifest_of

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UnsupportedError(self.prog, message, "see docs/parity.md for what is supported")


class _Names:
    """What images are called, and where somebody is logged in: two small files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._images = folder / "images.json"
        self._hosts = folder / "hosts.json"

    def images(self) -> dict[str, str]:
        """Digest of each name."""
        names: dict[str, str] = _read(self._images, {})
        return names

    def call(self, name: str, digest: str) -> None:
        """Give an image a name."""
        self._images.write_text(json.dumps({**self.images(), _tagged(name): digest}))

    def digest(self, name: str) -> str:
        """Digest of an image by its name or digest."""
        wanted = name.removeprefix("sha256:")
        found = self.images().get(_tagged(name))
        if found is None:
            found = next((_ for _ in self.images().values() if _.startswith(wanted)), None)
        if found is None:
            raise ImageNotFoundError("docker", f"No such image: {name}", "build or tag it first")
        return found

    def log_in(self, host: str) -> None:
        """Remember that somebody is logged in."""
        self._hosts.write_text(json.dumps([*_read(self._hosts, []), host]))

    def is_logged_in(self, host: str) -> bool:
        """Whether somebody is."""
        return host in _read(self._hosts, [])


def _read(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else otherwise


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what ``docker`` does with these arguments; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        names = _Names(Path(os.environ["LOCAL_CLOUD_DOCKER"]))
        command: Callable[[argparse.Namespace, _Names, Path], None] = options.command
        command(options, names, Path(os.environ["LOCAL_CLOUD_STORE"]))
    except (LocalCloudError, ClientError, BotoCoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="docker", allow_abbrev=False)
    verbs = parser.add_subparsers(required=True, metavar="command")
    login = verbs.add_parser("login", allow_abbrev=False)
    login.add_argument("-u", "--username", required=True)
    login.add_argument("--password-stdin", action="store_true", required=True)
    login.add_argument("host")
    login.set_defaults(command=_login)
    builder = verbs.add_parser("build", allow_abbrev=False)
    builder.add_argument("-f", "--file", type=Path)
    builder.add_argument("-t", "--tag", action="append", default=[])
    builder.add_argument("--build-arg", action="append", default=[])
    builder.add_argument("-q", "--quiet", action="store_true")
    builder.add_argument("--platform", choices=["linux/amd64"])
    builder.add_argument("--provenance", choices=["false"])
    builder.add_argument("context", type=Path)
    builder.set_defaults(command=_build)
    tag = verbs.add_parser("tag", allow_abbrev=False)
    tag.add_argument("source")
    tag.add_argument("target")
    tag.set_defaults(command=_tag)
    push = verbs.add_parser("push", allow_abbrev=False)
    push.add_argument("-q", "--quiet", action="store_true")
    push.add_argument("name")
    push.set_defaults(command=_push)
    images = verbs.add_parser("images", allow_abbrev=False)
    images.add_argument("-q", "--quiet", action="store_true")
    images.add_argument("name", nargs="?")
    images.set_defaults(command=_images)
    inspect = verbs.add_parser("inspect", allow_abbrev=False)
    inspect.add_argument("-f", "--format", choices=["{{.Id}}"])
    inspect.add_argument("name")
    inspect.set_defaults(command=_inspect)
    return parser


def _login(options: argparse.Namespace, names: _Names, _store: Path) -> None:
    """Compare the password with ECR's own."""
    given = sys.stdin.read().strip()
    token = boto3.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    if (options.username, given) != (user, password):
        raise LocalCloudError(
            "docker login",
            f"401 Unauthorized from {options.host}",
            "user AWS with the password of `aws ecr get-login-password` is needed",
        )
    names.log_in(options.host)
    print("Login Succeeded")


def _build(options: argparse.Namespace, names: _Names, store: Path) -> None:
    pairs = [pair.partition("=")[::2] for pair in options.build_arg]
    image = build(
        options.context,
        options.file or options.context / "Dockerfile",
        store,
        build_args=dict(pairs),
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    for tag in options.tag or ["<none>"]:
        names.call(tag, image.digest)
    if options.quiet:
        print(f"sha256:{image.digest}")


def _tag(options: argparse.Namespace, names: _Names, _: Path) -> None:
    names.call(options.target, names.digest(options.source))


def _push(options: argparse.Namespace, names: _Names, store: Path) -> None:
    host, _, rest = _tagged(options.name).partition("/")
    repository, _, tag = rest.rpartition(":")
    image = Image.open(store, names.digest(options.name))
    if not names.is_logged_in(host):
        raise LocalCloudError(
            "docker push", f"no basic auth credentials for {host}", "log in first", "docker login"
        )
    answer = boto3.client("ecr").put_image(
        repositoryName=repository, imageManifest=manifest_of(image.digest), imageTag=tag
    )
    digest = answer["image"]["imageId"]["imageDigest"]
    print(digest if options.quiet else f"{tag}: digest: {digest}")


def _images(options: argparse.Namespace, names: _Names, _: Path) -> None:
    for name, digest in names.images().items():
        if options.name in {None, name, name.rpartition(":")[0]}:
            print(digest[:12] if options.quiet else f"{name} {digest[:12]}")


def _inspect(options: argparse.Namespace, names: _Names, store: Path) -> None:
    image = Image.open(store, names.digest(options.name))
    if options.format:
        print(f"sha256:{image.digest}")
    else:
        print(json.dumps([{"Id": f"sha256:{image.digest}", "Config": image.config}], indent=2))


if __name__ == "__main__":
    sys.exit(main())
