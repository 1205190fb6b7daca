"""Builds an image: reads the Dockerfile, installs what is missing, writes the folder."""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import hashlib
import json
import os
import py_compile
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from local_cloud.errors import MachineError
from local_cloud.images.image import STORE, Image, ImageError, base_python_path, inside
from local_cloud.images.layers import Report
from local_cloud.images.plan import File, Plan, make_plan

__all__ = ["build"]


def build(
    context: Path,
    dockerfile: Path,
    store: Path = STORE,
    *,
    build_args: Mapping[str, str] | None = None,
    report: Report = lambda _: None,
) -> Image:
    """Build an image, or find it built.

    Parameters
    ----------
    context
        Folder that ``COPY`` reads from.
    dockerfile
        The Dockerfile.
    store
        Folder of images and layers; builds in one store wait for each other.
    build_args
        Values for ``ARG``.
    report
        Called with each line of progress; a new virtual environment takes half a minute.

    Raises
    ------
    DockerfileError, ImageError
        For a mistake in the Dockerfile, or when pip fails (with pip's last lines).
    UnsupportedError
        For an instruction, flag or command outside the subset, with its line.
    MachineError
        When a file cannot be read or written, for instance on a full disk.
    """
    store = store.resolve()  # one layer must have one path
    try:
        return _build(lambda: make_plan(context, dockerfile, build_args or {}), store, report)
    except OSError as error:
        raise MachineError(
            "docker build",
            f"{error.filename or store}: {error.strerror}",
            "a readable build context and room in the store are needed",
        ) from error


def _build(read: Callable[[], Plan], store: Path, report: Report) -> Image:
    read()  # a mistake is told at once, not behind another build
    with _lock(store, report):
        _install(read(), store, report)
        plan = read()  # somebody may have edited while a long installation went on
        _install(plan, store, report)
        folder = store / "images" / plan.digest()
        if folder.exists():
            report(f"image {folder.name[:12]} is built already")
        else:
            _materialise(plan, folder, store)
            report(f"built image {folder.name[:12]}")
    return Image.open(store, folder.name)


def _install(plan: Plan, store: Path, report: Report) -> None:
    for environment in plan.environments.values():
        environment.install(store, report)


def _materialise(plan: Plan, folder: Path, store: Path) -> None:
    """Write the image beside its place and move it there when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(".build-*"):  # of a build that was killed; we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".build-", dir=folder.parent))
    try:
        rootfs = building / "rootfs"
        for path in sorted(plan.folders):
            inside(rootfs, path).mkdir(parents=True, exist_ok=True)
        for path, file in plan.files.items():
            _write(file, inside(rootfs, path))
        _precompile(rootfs)
        _link_base(rootfs)
        for path, environment in plan.environments.items():
            link = inside(rootfs, path)
            _link(link, environment.folder(store), folder / "rootfs", rootfs)
        (building / "config.json").write_text(json.dumps(plan.config(), indent=2, sort_keys=True))
        building.chmod(0o755)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write(file: File, target: Path) -> None:
    data = file.source.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise ImageError(
            str(file.source), "it changed while the image was built", "build the image again"
        )
    target.write_bytes(data)
    target.chmod(file.mode)


def _precompile(rootfs: Path) -> None:
    """Compile the copied Python files, for start-up; unchecked, as an image never changes."""
    compileall.compile_dir(
        rootfs,
        quiet=2,
        stripdir=str(rootfs),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _link_base(rootfs: Path) -> None:
    """Put the machine's Python where the base image has its own."""
    programs = rootfs / "usr" / "local" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        if not (programs / name).exists():
            (programs / name).symlink_to(base_python_path())


def _link(link: Path, target: Path, final_rootfs: Path, rootfs: Path) -> None:
    """Link relatively, so that a store that was moved as a whole stays linked."""
    final = final_rootfs / link.relative_to(rootfs)
    link.symlink_to(os.path.relpath(target, final.parent))


@contextlib.contextmanager
def _lock(store: Path, report: Report) -> Iterator[None]:
    """Hold the store's lock; the system releases it when the process ends, however it ends."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
