"""Archives (``.tar.gz``) of model and output files: packed alike, unpacked with suspicion.

Whoever can write to the bucket can replace an archive, so unpacking takes plain files and folders
only, inside the destination, and stops as soon as the decompressed size is out of proportion.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from local_cloud.errors import LocalCloudError

__all__ = ["MAX_BYTES", "ArchiveError", "pack", "unpack"]

#: Largest decompressed size.
MAX_BYTES = 16 * 1024**3
#: Largest decompressed size in sizes of the archive, for archives of more than `_HARMLESS_BYTES`.
_MAX_RATIO = 200
_HARMLESS_BYTES = 64 * 1024**2
_MAX_MEMBERS = 10_000


class ArchiveError(LocalCloudError):
    """An archive that is damaged, hostile, or holds what an archive may not hold."""


def pack(folder: Path, archive: Path) -> None:
    """Write the files of a folder to an archive; the same files give the same bytes.

    Raises
    ------
    ArchiveError
        When the folder holds something else than files and folders.
    """
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ArchiveError(str(path), "a link or special file", "files and folders only")
            # A TarInfo of our own: neither owner nor time of the file.
            member = tarfile.TarInfo(name)
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            else:
                member.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(member, content)


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Extract an archive into a new folder.

    Parameters
    ----------
    archive
        The archive.
    folder
        Made here; when anything is wrong it is removed again.
    max_bytes
        Largest decompressed size.

    Raises
    ------
    ArchiveError
        When the archive is empty, truncated, damaged, too large when decompressed, or holds links,
        devices, sparse files, two files of one name, or paths that are absolute or lead out.
    """
    folder.mkdir(parents=True)
    try:
        _unpack(archive, folder, max_bytes)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    size = archive.stat().st_size
    limit = min(max_bytes, max(_HARMLESS_BYTES, size * _MAX_RATIO))
    try:
        with gzip.open(archive) as decompressed:
            source = _Bounded(decompressed, limit, archive.name)
            # "r|" reads forward only, so that no member is read twice.
            with tarfile.open(fileobj=source, mode="r|") as tar:
                for count, member in enumerate(tar, start=1):
                    if count > _MAX_MEMBERS:
                        raise ArchiveError(
                            archive.name, f"more than {_MAX_MEMBERS:,} members", "fewer are needed"
                        )
                    _extract(tar, member, folder, archive.name)
            while source.read(65_536):
                pass  # the checksum stands at the end of the file
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(
            archive.name,
            f"{size:,} bytes that are empty, truncated or damaged ({error})",
            "a whole .tar.gz is needed",
        ) from error


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, limit: int, name: str) -> None:
        self._source = source
        self._limit = limit
        self._left = limit
        self._name = name

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError(
                self._name,
                f"it decompresses to more than {self._limit:,} bytes",
                f"at most {MAX_BYTES:,} bytes and {_MAX_RATIO} times its own size are extracted",
            )
        return data


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: str) -> None:
    path = PurePosixPath(member.name)
    where = f"{archive}, member {member.name!r}"
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise ArchiveError(where, "a link or special file", "files and folders only")
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise ArchiveError(where, "a path that leads out", "a path inside the archive is needed")
    target = folder / path
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        with target.open("xb") as file:
            if content is not None:
                shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(where, "a second member of that name", "names must differ") from error
