"""S3: objects are files that a person can open.

The bytes of every version are one file under ``.local/s3/.objects``; the newest version also has
the name of its key, ``.local/s3/<bucket>/<key>``, a second link to the same file, so nothing is
stored twice. A file appears whole or not at all, and is read-only: who wants to change an object
puts a new one. Keys that are no path are written with ``%`` escapes, see :func:`path_of`. What moto
would keep in memory and in temporary files is here; the rest is moto's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from moto.iam.access_control import PermissionResult
from moto.s3 import models

from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install", "path_of"]

PARITY = [
    Parity(
        "S3",
        "exact",
        "Buckets, objects, versions, multipart uploads, copies, tags, listings, presigned"
        " addresses, bucket policies; objects are files under .local/s3",
    ),
    Parity(
        "S3",
        "partial",
        "Encryption with KMS is checked by permission, the files are not encrypted; lifecycle rules"
        " are kept and never expire anything",
    ),
    Parity("S3", "refused", "Notifications other than to EventBridge, replication"),
]

#: Longest part of a path that common file systems take is 255 bytes; escapes need room.
_PART_BYTES = 200
_ESCAPES = str.maketrans({"%": "%25", "\0": "%00", "\\": "%5C", ":": "%3A"})


def install(cloud: LocalCloud) -> None:
    """Keep the objects of `cloud` as files, until it stops; those of the last time are removed."""
    folder = cloud.root / "s3"
    shutil.rmtree(folder, ignore_errors=True)
    objects = folder / ".objects"
    objects.mkdir(parents=True, exist_ok=True)
    cloud.replace(models, "tempfile", _Objects(objects))
    _Files(cloud, folder).follow()
    # local_cloud.iam evaluates bucket policies; moto's evaluation knows no conditions.
    cloud.replace(models.FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)
    # It stumbles over `Principal: "*"`; AWS takes the setting whatever the policy says.
    deliverable = staticmethod(lambda **_: True)
    cloud.replace(models.FakeBucket, "_log_permissions_enabled_policy", deliverable)


def path_of(key: str) -> Path:
    """Relative path under which an object is found, for any key.

    A part that is empty, ``.`` or ``..``, and the characters that no path may have, are escaped;
    long parts are cut and end in a digest, so that different keys have different paths.

    Examples
    --------
    >>> path_of("releases/r1/model.tar.gz").as_posix()
    'releases/r1/model.tar.gz'
    >>> path_of("a/../b/").as_posix()
    'a/%2E%2E/b/%'
    """
    return Path(*(_part(part) for part in key.split("/")))


def _part(part: str) -> str:
    if part in {"", ".", ".."}:
        return part.replace(".", "%2E") or "%"
    escaped = part.translate(_ESCAPES)
    if len(escaped.encode()) <= _PART_BYTES:
        return escaped
    start = escaped.encode()[: _PART_BYTES - 40].decode(errors="ignore")
    return f"{start}%~{hashlib.sha256(part.encode()).hexdigest()[:32]}"


class _Objects:
    """Stands where moto's S3 has the module ``tempfile``: gives files that can be linked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def SpooledTemporaryFile(self, max_size: int = 0) -> _StoredBytes:  # noqa: N802, ARG002
        return _StoredBytes(self._folder / uuid.uuid4().hex)


class _StoredBytes:
    """The bytes of one version or part: a file that is open only while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def seek(self, position: int) -> None:
        self._position = position

    def truncate(self) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, value: bytes) -> None:
        try:
            self.path.write_bytes(value)
            self.path.chmod(0o444)
        except OSError:
            self.close()
            raise

    def read(self, size: int = -1) -> bytes:
        with self._open() as file:
            file.seek(self._position)
            value = file.read(size)
        self._position += len(value)
        return value

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _open(self) -> IO[bytes]:
        try:
            return self.path.open("rb")
        except FileNotFoundError as error:  # what a closed temporary file says
            raise ValueError(f"the object's bytes in {self.path} are gone") from error


class _Files:
    """Gives the newest version of each object its name."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self._lock = threading.RLock()

    def follow(self) -> None:
        """Have moto's backend tell about everything that changes."""

        def put_object(backend: Any, bucket_name: str, key_name: str, *args: Any, **kw: Any) -> Any:
            with self._naming_the_path(bucket_name, key_name):
                new_key = original_put(backend, bucket_name, key_name, *args, **kw)
                try:
                    self._show(backend, bucket_name, key_name)
                except OSError:
                    _forget(backend.get_bucket(bucket_name), new_key)
                    raise
            return new_key

        def delete_object(
            backend: Any, bucket_name: str, key_name: str, *args: Any, **kw: Any
        ) -> Any:
            answer = original_delete(backend, bucket_name, key_name, *args, **kw)
            self._show(backend, bucket_name, key_name)
            return answer

        def create_bucket(backend: Any, bucket_name: str, *args: Any, **kw: Any) -> Any:
            bucket = original_create(backend, bucket_name, *args, **kw)
            (self._folder / bucket_name).mkdir(exist_ok=True)
            return bucket

        def delete_bucket(backend: Any, bucket_name: str) -> Any:
            bucket = original_delete_bucket(backend, bucket_name)
            if bucket is not None:
                shutil.rmtree(self._folder / bucket_name, ignore_errors=True)
            return bucket

        replace, backend = self._cloud.replace, models.S3Backend
        original_put = replace(backend, "put_object", put_object)
        original_delete = replace(backend, "delete_object", delete_object)
        original_create = replace(backend, "create_bucket", create_bucket)
        original_delete_bucket = replace(backend, "delete_bucket", delete_bucket)

    @contextlib.contextmanager
    def _naming_the_path(self, bucket_name: str, key_name: str) -> Any:
        """An error of the disk names the object's file, not the one behind it."""
        try:
            yield
        except OSError as error:
            path = self._folder / bucket_name / path_of(key_name)
            raise OSError(error.errno, error.strerror, str(path)) from error

    def _show(self, backend: Any, bucket_name: str, key_name: str) -> None:
        path = self._folder / bucket_name / path_of(key_name)
        with self._lock:
            newest = backend.get_bucket(bucket_name).keys.get(key_name)
            if isinstance(newest, models.FakeKey):
                self._link(newest._value_buffer.path, path)  # noqa: SLF001 - see _Objects
            else:
                self._unlink(path, self._folder / bucket_name)

    def _link(self, source: Path, path: Path) -> None:
        self._make_folders(path.parent)
        target = _beside(path) if path.is_dir() else path
        temporary = source.with_name(f"{source.name}.link")
        try:
            _link_or_copy(source, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        """Make a folder; an object whose key is also a folder's name moves beside it."""
        for ancestor in reversed([folder, *folder.relative_to(self._folder).parents]):
            path = self._folder / ancestor
            if path.is_file():
                path.replace(_beside(path))
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def _unlink(path: Path, bucket: Path) -> None:
        target = path if path.is_file() else _beside(path)
        target.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == bucket:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty
                return


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _forget(bucket: models.FakeBucket, version: models.FakeKey) -> None:
    """Take back a version that could not be given its name."""
    kept = [_ for _ in bucket.keys.getlist(version.name) if _ is not version]
    if kept:
        bucket.keys.setlist(version.name, kept)
    else:
        bucket.keys.pop(version.name)


def _beside(path: Path) -> Path:
    """Name of an object whose key is also a folder; no escaped part ends in a lone ``%``."""
    return path.with_name(f"{path.name}%")
