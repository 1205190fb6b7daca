"""A built image, and how it is run."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.errors import LocalCloudError

__all__ = [
    "STORE",
    "Image",
    "ImageError",
    "ImageNotFoundError",
    "base_python",
    "base_python_path",
    "inside",
]

#: Where images are kept when nobody says otherwise.
STORE = Path(".local/docker")

#: Without these a dynamically linked Python of this machine may not start at all.
_LOADER_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class ImageError(LocalCloudError):
    """An image cannot be built or run as it is written."""


class ImageNotFoundError(LocalCloudError):
    """No image has this name, tag or digest."""


@dataclass(frozen=True)
class Image:
    """A built image.

    Parameters
    ----------
    folder
        ``<store>/images/<digest>``.
    config
        The image's configuration, in Docker's words: ``Env``, ``WorkingDir``, ``Entrypoint``,
        ``Cmd``, ``Labels``, ``ExposedPorts``, ``User``, ``Layers``.
    """

    folder: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, store: Path, digest: str) -> Image:
        """The image with this digest (64 hexadecimal digits) in a store.

        Raises
        ------
        ImageNotFoundError
            When the store has none.
        """
        folder = store.resolve() / "images" / digest
        try:
            return cls(folder, json.loads((folder / "config.json").read_text()))
        except FileNotFoundError as error:
            raise ImageNotFoundError(
                "Image store",
                f"{store} has no image {digest[:12]}",
                "a built image is needed",
                "Build it: python -m local_cloud.images build",
            ) from error

    @property
    def digest(self) -> str:
        """Digest of everything in the image: 64 hexadecimal digits."""
        return self.folder.name

    @property
    def rootfs(self) -> Path:
        """Folder that stands for the image's root directory."""
        return self.folder / "rootfs"

    @property
    def workdir(self) -> Path:
        """Directory in which the image's command starts."""
        return inside(self.rootfs, self.config["WorkingDir"])

    def environment(self) -> dict[str, str]:
        """Environment of a container, before the platform adds its own.

        The image's ``ENV``, paths replaced, and nothing of the runner's environment but the two
        variables of the dynamic loader without which the machine's Python may not start.
        """
        environment = {name: os.environ[name] for name in _LOADER_VARIABLES if name in os.environ}
        environment |= {name: self._here(value) for name, value in self.config["Env"].items()}
        path = [entry for entry in environment["PATH"].split(":") if self._owns(entry)]
        environment["PATH"] = ":".join([*path, "/usr/bin", "/bin"])
        # The folder's name is the digest of its content: running must not add to it.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return environment

    def command(
        self, arguments: Sequence[str] = (), *, entrypoint: Sequence[str] | None = None
    ) -> list[str]:
        """Program (an absolute path) and arguments, as ``docker run IMAGE ARGUMENTS`` starts it.

        Parameters
        ----------
        arguments
            They replace the image's ``CMD``.
        entrypoint
            Replaces the image's ``ENTRYPOINT``; the image's ``CMD`` is then left out.

        Raises
        ------
        ImageError
            When there is nothing to run, or the program is not in the image.
        """
        default = [] if entrypoint else self.config["Cmd"]
        argv = [*(entrypoint or self.config["Entrypoint"]), *(arguments or default)]
        if not argv:
            raise ImageError(
                f"Image {self.digest[:12]}",
                "it has no ENTRYPOINT, and no command was given",
                "one of both is needed",
            )
        program = self._here(argv[0]) if argv[0].startswith("/") else argv[0]
        if "/" in program:
            program = str(self.workdir / program)
        found = shutil.which(program, path=self.environment()["PATH"])
        if found is None:
            raise ImageError(
                f"Image {self.digest[:12]}",
                f"exec: {argv[0]!r}: executable file not found in $PATH",
                f"a program of the image is needed, on PATH={self.config['Env']['PATH']}",
            )
        return [found, *(self._here(argument) for argument in argv[1:])]

    def _here(self, value: str) -> str:
        """The value with each path of a ``:`` separated list replaced, where the image has it."""
        return ":".join(
            str(inside(self.rootfs, entry))
            if entry.strip("/") and entry[0] == "/" and inside(self.rootfs, entry).exists()
            else entry
            for entry in value.split(":")
        )

    def _owns(self, entry: str) -> bool:
        return Path(entry).is_relative_to(self.rootfs)


def inside(rootfs: Path, path: str) -> Path:
    """Place in the folder `rootfs` of an absolute path inside the image."""
    return rootfs / posixpath.normpath(path).lstrip("/")


def base_python_path() -> str:
    """The interpreter below any virtual environment; one that lives as long as the machine's."""
    return getattr(sys, "_base_executable", None) or sys.executable


def base_python() -> list[str]:
    """What tells one Python of this machine from another: version and place."""
    return [sys.version, base_python_path()]
