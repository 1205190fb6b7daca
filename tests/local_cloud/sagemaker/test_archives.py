"""Archives are packed alike each time, and hostile ones leave nothing behind."""

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.sagemaker import archives
from local_cloud.sagemaker.archives import ArchiveError, pack, unpack

_NAMES = st.text("abcXYZ012 ._-é", min_size=1, max_size=12).filter(lambda name: name.strip(". "))
_FILES = st.dictionaries(st.tuples(_NAMES, _NAMES), st.binary(max_size=200), max_size=6)


@given(_FILES)
@settings(max_examples=30, deadline=None)
def test_what_is_packed_is_unpacked(files):
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "source"
        source.mkdir()
        for (folder, name), content in files.items():
            (source / folder).mkdir(exist_ok=True)
            (source / folder / name).write_bytes(content)
        pack(source, Path(place) / "a.tar.gz")
        unpack(Path(place) / "a.tar.gz", Path(place) / "target")
        target = Path(place) / "target"
        found = {
            path.relative_to(target): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }
        assert found == {Path(folder, name): content for (folder, name), content in files.items()}


def test_same_files_give_the_same_bytes(tmp_path):
    for name, clock in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "file").write_text("content")
        (folder / "sub" / "file").chmod(0o600 if clock == 1 else 0o777)
        os.utime(folder / "sub" / "file", (clock, clock))
        pack(folder, tmp_path / f"{name}.tar.gz")
    packed = (tmp_path / "one.tar.gz").read_bytes()
    assert packed == (tmp_path / "two.tar.gz").read_bytes()
    assert packed[4:8] == bytes(4), "the clock is in gzip's header (RFC 1952, MTIME)"


def test_link_is_not_packed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("/etc/hostname")
    with pytest.raises(ArchiveError, match="a link or special file"):
        pack(tmp_path / "folder", tmp_path / "a.tar.gz")


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def archive(*members: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return content.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damaged(data: bytes) -> bytes:
    return data[:-8] + bytes(8)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (archive(info("a", tarfile.SYMTYPE, linkname="/etc/passwd")), "a link or special file"),
        (archive(info("a", tarfile.LNKTYPE, linkname="b")), "a link or special file"),
        (archive(info("a", tarfile.CHRTYPE, devmajor=1, devminor=3)), "a link or special file"),
        (archive(info("a", tarfile.FIFOTYPE)), "a link or special file"),
        (archive(info("a", tarfile.GNUTYPE_SPARSE)), "a link or special file"),
        (archive(info("../a")), "a path that leads out"),
        (archive(info("b/../../a")), "a path that leads out"),
        (archive(info("/tmp/a")), "a path that leads out"),
        (archive(info("a"), info("a")), "a second member of that name"),
        (archive(info("a"), info("a/b")), "a second member of that name"),
        (archive(info("a/b"), info("a")), "a second member of that name"),
        (b"", "empty, truncated or damaged"),
        (b"not an archive", "empty, truncated or damaged"),
        (gzip.compress(b"no tar inside" * 100), "empty, truncated or damaged"),
        (cut(archive(info("a", size=100_000))), "empty, truncated or damaged"),
        (damaged(archive(info("a", size=100))), "empty, truncated or damaged"),
    ],
    # The archives hold the time: as names of tests they would differ from worker to worker.
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_hostile_archive_is_refused_and_leaves_nothing(tmp_path, content, found):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(ArchiveError, match=found):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in" / "target")
    assert not (tmp_path / "in" / "target").exists()
    assert not (tmp_path / "a").exists()


def test_number_of_members_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 2)
    (tmp_path / "a.tar.gz").write_bytes(archive(info("a"), info("b"), info("c")))
    with pytest.raises(ArchiveError, match="more than 2 members"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "target")


def bomb(write: Callable[[gzip.GzipFile], object]) -> bytes:
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb") as compressed:
        write(compressed)
    return content.getvalue()


def test_bomb_is_stopped_before_it_fills_the_disk(tmp_path):
    size = 80 * 1024**2

    def write(compressed: gzip.GzipFile) -> None:
        compressed.write(info("zeros", size=size).tobuf())
        for _ in range(size // 2**20):
            compressed.write(bytes(2**20))

    (tmp_path / "a.tar.gz").write_bytes(bomb(write))
    with pytest.raises(ArchiveError, match="decompresses to more than 67,108,864 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_size_limit_holds_for_what_does_not_compress(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "random").write_bytes(os.urandom(100_000))
    pack(tmp_path / "source", tmp_path / "a.tar.gz")
    with pytest.raises(ArchiveError, match="more than 50,000 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "target", max_bytes=50_000)
    unpack(tmp_path / "a.tar.gz", tmp_path / "target")
