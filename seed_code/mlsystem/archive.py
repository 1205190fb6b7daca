"""Archives (``.tar.gz``) that jobs hand to each other: packed alike, unpacked with suspicion.

What is extracted may come from anyone who can write to a bucket. So only plain files and folders
inside the destination are accepted, the size is bounded while it is being decompressed, and the
destination appears whole or not at all.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final, cast

from mlsystem.errors import ArtifactError

__all__ = ["MAX_BYTES", "MAX_FILES", "MAX_RATIO", "extract", "pack"]

MAX_BYTES: Final = 4 * 1024**3
MAX_RATIO: Final = 200
MAX_FILES: Final = 10_000

# Below this size nobody is hurt, whatever the ratio: an archive of constants compresses well.
_HARMLESS_BYTES: Final = 16 * 1024**2
# POSIX ustar: an archive ends with two blocks of zeros.
_END_OF_ARCHIVE: Final = bytes(2 * tarfile.BLOCKSIZE)


def pack(folder: Path, archive: Path) -> None:
    """Write all files in `folder` to `archive`: the same bytes for the same names and contents.

    Raises
    ------
    ArtifactError
        `folder` holds something other than files and folders.
    """
    partial = archive.with_name(f".{archive.name}.partial")
    try:
        with (
            partial.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in sorted(folder.rglob("*")):
                _add(tar, path, path.relative_to(folder).as_posix())
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        raise ArtifactError(str(path), "a link or a device", "files and folders only")
    if path.is_file():
        # A fresh TarInfo: owner, mode and times of this machine are nobody's business.
        member = tarfile.TarInfo(name)
        member.size = path.stat().st_size
        with path.open("rb") as content:
            tar.addfile(member, content)


def extract(
    archive: Path,
    destination: Path,
    *,
    names: Collection[str] | None = None,
    max_bytes: int = MAX_BYTES,
    max_ratio: int = MAX_RATIO,
) -> None:
    """Unpack `archive` as the new folder `destination`: whole, or not at all.

    Parameters
    ----------
    archive
        A tar archive compressed with gzip.
    destination
        Folder that does not exist yet, or is empty. Its parents are made.
    names
        The files that the archive must hold, no more and no fewer; any when not given.
    max_bytes
        Largest size after decompression.
    max_ratio
        Largest size after decompression in sizes of the archive; archives that decompress to
        less than 16 MiB are not judged by it.

    Raises
    ------
    ArtifactError
        `archive` is missing, empty, truncated, damaged or no gzip of a tar; it decompresses to
        more than the bounds or has more than `MAX_FILES` members; a member is a link, a device
        or a sparse file, lies outside `destination`, comes twice, or is not among `names`.
    OSError
        The destination cannot be written, or is not empty.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extract-", dir=destination.parent) as scratch:
        content = Path(scratch) / "content"
        content.mkdir()
        _extract_checked(archive, content, names, max_bytes, max_ratio)
        content.rename(destination)


def _extract_checked(
    archive: Path, folder: Path, names: Collection[str] | None, max_bytes: int, max_ratio: int
) -> None:
    where = str(archive)
    required = "a whole .tar.gz"
    try:
        size = archive.stat().st_size
        if size == 0:
            raise ArtifactError(where, "an empty file", required)
        limit = min(max_bytes, max(_HARMLESS_BYTES, size * max_ratio))
        with gzip.open(archive, "rb") as decompressed:
            source = _BoundedReader(decompressed, limit, where)
            found = _extract_members(source, folder, names, where)
            source.drain()
    except FileNotFoundError as error:
        raise ArtifactError(where, "no such file", required) from error
    except gzip.BadGzipFile as error:
        raise ArtifactError(where, f"not gzip, or damaged ({error})", required) from error
    except EOFError as error:
        raise ArtifactError(where, "truncated", required) from error
    except (tarfile.TarError, zlib.error) as error:
        raise ArtifactError(where, f"damaged ({error})", required) from error
    if source.tail != _END_OF_ARCHIVE:
        raise ArtifactError(where, "no end-of-archive mark (truncated)", required)
    for name in sorted(set(names or ()) - found):
        raise ArtifactError(where, f"no {name}", f"exactly {_listed(names or ())}")


class _BoundedReader:
    """Reads, counts, and refuses to go on after `limit` bytes."""

    def __init__(self, source: BinaryIO | gzip.GzipFile, limit: int, where: str) -> None:
        self._source = source
        self._limit = limit
        self._where = where
        self._count = 0
        self.tail = b""

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._count += len(data)
        if self._count > self._limit:
            raise ArtifactError(
                self._where, f"decompresses to more than {self._limit:,} bytes",
                "an archive of a sensible size",
            )  # fmt: skip
        self.tail = (self.tail + data)[-len(_END_OF_ARCHIVE) :]
        return data

    def drain(self) -> None:
        """Read to the end: only there does gzip compare its checksum."""
        while self.read(tarfile.RECORDSIZE):
            pass


def _extract_members(
    source: _BoundedReader, folder: Path, names: Collection[str] | None, where: str
) -> set[str]:
    """Return the names of the files that were written to `folder`."""
    found: set[str] = set()
    # "r|" reads forward only: no member can point back into the archive.
    with tarfile.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]
        for count, member in enumerate(tar, start=1):
            if count > MAX_FILES:
                raise ArtifactError(where, f"more than {MAX_FILES:,} members", "fewer")
            name = _checked_name(member, where)
            if member.isdir():
                (folder / name).mkdir(parents=True, exist_ok=True)
                continue
            if name in found:
                raise ArtifactError(f"{where}:{name}", "a second member of that name", "one")
            if names is not None and name not in names:
                raise ArtifactError(
                    f"{where}:{name}", "an unexpected file", f"exactly {_listed(names)}"
                )
            found.add(name)
            _write_member(tar, member, folder / name, f"{where}:{name}")
    return found


def _checked_name(member: tarfile.TarInfo, where: str) -> str:
    """Return the path of `member` below the destination."""
    shown = f"{where}:{member.name!r}"
    is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
    if not is_plain or member.issparse():
        raise ArtifactError(shown, "a link, a device or a sparse file", "files and folders only")
    if member.size < 0:
        raise ArtifactError(shown, f"a size of {member.size}", "zero or more bytes")
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name or "\\" in member.name:
        raise ArtifactError(shown, "a path that leads out", "paths inside the archive")
    if not path.parts and not member.isdir():
        raise ArtifactError(shown, "a file without a name", "named files")
    return path.as_posix()


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, where: str) -> None:
    content = cast("IO[bytes]", tar.extractfile(member))  # None is for links and devices only
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArtifactError(where, "a file where there is a folder", "one or the other") from error


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
