"""Command line: ``python -m local_cloud.images build -f DOCKERFILE CONTEXT``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.images.build import build
from local_cloud.images.image import STORE


def main(arguments: Sequence[str] | None = None) -> int:
    """Build an image and print its digest; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_cloud.images")
    verbs = parser.add_subparsers(dest="verb", required=True)
    builder = verbs.add_parser("build", help="build an image and print its digest")
    builder.add_argument("context", type=Path, help="folder that COPY reads from")
    builder.add_argument(
        "-f", "--file", type=Path, default=Path("Dockerfile"), help="Dockerfile, in the context"
    )
    builder.add_argument(
        "--build-arg", type=_pair, action="append", default=[], metavar="NAME=VALUE"
    )
    builder.add_argument("--store", type=Path, default=STORE, help="folder of images and layers")
    options = parser.parse_args(arguments)
    try:
        image = build(
            options.context,
            options.context / options.file,
            options.store,
            build_args=dict(options.build_arg),
            report=_show,
        )
    except LocalCloudError as error:
        print(error, file=sys.stderr)
        return 1
    print(image.digest)
    return 0


def _show(line: str) -> None:
    """Show progress: on a terminal in one line, elsewhere (a log) line by line."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
