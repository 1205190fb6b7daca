"""Packing is deterministic; extraction refuses what is damaged or hostile, and leaves nothing."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsystem import archive
from mlsystem.errors import ArtifactError


def _tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member, content


def _refused(tmp_path: Path, data: bytes, **options: object) -> str:
    """Return the message; nothing but the archive is left."""
    path = tmp_path / "model.tar.gz"
    path.write_bytes(data)
    with pytest.raises(ArtifactError) as caught:
        archive.extract(path, tmp_path / "out" / "model", **options)  # type: ignore[arg-type]
    left = [p for p in tmp_path.rglob("*") if p not in (path, tmp_path / "out")]
    assert left == []
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def test_extracts_what_was_packed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(os.urandom(100_000))
    (folder / "deep" / "er" / "ü.json").write_text("{}")
    archive.pack(folder, tmp_path / "model.tar.gz")
    archive.extract(tmp_path / "model.tar.gz", tmp_path / "new" / "place")
    for name in ("model.onnx", "deep/er/ü.json"):
        assert (tmp_path / "new/place" / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["place"]


def test_packs_the_same_bytes_whatever_the_times_and_modes(tmp_path: Path) -> None:
    for name, mode, time in (("a", 0o600, 1), ("b", 0o755, 2_000_000_000)):
        (tmp_path / name).mkdir()
        for file in ("2", "1") if name == "a" else ("1", "2"):
            path = tmp_path / name / file
            path.write_text(file)
            path.chmod(mode)
            os.utime(path, (time, time))
        archive.pack(tmp_path / name, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def test_refuses_to_pack_links(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactError, match="a link or a device"):
        archive.pack(tmp_path / "model", tmp_path / "model.tar.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_accepts_archives_of_gnu_tar_with_a_dot_folder(tmp_path: Path) -> None:
    data = _tar([_member("./", type=tarfile.DIRTYPE), _member("./model.json", b"{}")])
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(data))
    archive.extract(tmp_path / "model.tar.gz", tmp_path / "model", names=["model.json"])
    assert (tmp_path / "model" / "model.json").read_bytes() == b"{}"


def test_fills_an_empty_folder_and_leaves_a_full_one_alone(tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(_tar([_member("a", b"new")])))
    (tmp_path / "model").mkdir()
    archive.extract(tmp_path / "model.tar.gz", tmp_path / "model")
    (tmp_path / "model" / "a").write_bytes(b"mine")
    with pytest.raises(OSError, match="not empty"):
        archive.extract(tmp_path / "model.tar.gz", tmp_path / "model")
    assert (tmp_path / "model" / "a").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.tar.gz"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (_member("../evil"), "leads out"),
        (_member("a/../../evil"), "leads out"),
        (_member("/etc/evil"), "leads out"),
        (_member("..\\evil"), "leads out"),
        (_member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link"),
        (_member("link", type=tarfile.LNKTYPE, linkname="model.json"), "a link"),
        (_member("device", type=tarfile.CHRTYPE), "a device"),
        (_member("pipe", type=tarfile.FIFOTYPE), "a device"),
        (_member("."), "without a name"),
    ],
)
def test_refuses_hostile_members(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes], message: str
) -> None:
    data = _tar([_member("model.json", b"{}"), member])
    assert message in _refused(tmp_path, gzip.compress(data))


def test_refuses_sparse_files(tmp_path: Path) -> None:
    member = tarfile.TarInfo("sparse")
    member.pax_headers = {
        "GNU.sparse.size": str(2**40),
        "GNU.sparse.map": "0,0",
        "GNU.sparse.name": "x",
    }
    assert "sparse" in _refused(tmp_path, gzip.compress(_tar([(member, b"")])))


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a", "./a")])
def test_refuses_members_that_replace_another(tmp_path: Path, names: tuple[str, str]) -> None:
    data = _tar(_member(name, b"x") for name in names)
    _refused(tmp_path, gzip.compress(data))


def test_refuses_unexpected_and_missing_files(tmp_path: Path) -> None:
    data = gzip.compress(_tar([_member("a"), _member("code.py")]))
    assert "code.py: an unexpected file; exactly a, b" in _refused(tmp_path, data, names=["a", "b"])
    data = gzip.compress(_tar([_member("a")]))
    assert "no b; exactly a, b" in _refused(tmp_path, data, names=["a", "b"])


@pytest.mark.exhaustive
def test_refuses_bombs_while_they_explode(tmp_path: Path) -> None:
    zeros = gzip.compress(_tar([_member("zeros", bytes(20 * 1024**2))]))
    assert "decompresses to more than" in _refused(tmp_path, zeros)
    small = gzip.compress(_tar([_member("a", os.urandom(100_000))]))
    assert "more than 90,000 bytes" in _refused(tmp_path, small, max_bytes=90_000)


@pytest.mark.exhaustive
def test_refuses_too_many_members(tmp_path: Path) -> None:
    data = gzip.compress(_tar(_member("a/", type=tarfile.DIRTYPE) for _ in range(10_001)))
    assert "more than 10,000 members" in _refused(tmp_path, data)


@pytest.mark.parametrize("size", [b"\xff\x00", b"\xf0\x00\x00"])
def test_refuses_negative_sizes(tmp_path: Path, size: bytes) -> None:
    # CVE-2025-8194: a negative size made tarfile read the same header forever.
    block = bytearray(_tar([_member("a", b"x")]))
    block[124:136] = size.rjust(12, b"\xff")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    message = _refused(tmp_path, gzip.compress(bytes(block)))
    assert "a size of -" in message or "damaged" in message


def test_refuses_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such file"):
        archive.extract(tmp_path / "none.tar.gz", tmp_path / "model")
    assert "an empty file" in _refused(tmp_path, b"")
    assert "not gzip" in _refused(tmp_path, b"PK\x03\x04 a zip file")
    assert "damaged" in _refused(tmp_path, gzip.compress(b"no tar" * 200))
    assert "damaged" in _refused(tmp_path, gzip.compress(b""))
    data = _tar([_member("a", b"x" * 600)])
    assert "truncated" in _refused(tmp_path, gzip.compress(data[:1536]))


_WHOLE = gzip.compress(_tar([_member("a", os.urandom(3000)), _member("b", b"b" * 3000)]), mtime=0)


@given(st.integers(0, len(_WHOLE) - 1))
def test_refuses_an_archive_truncated_anywhere(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    _refused(tmp_path_factory.mktemp("truncated"), _WHOLE[:length])


@given(st.integers(0, len(_WHOLE) - 1), st.integers(1, 255))
def test_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    damaged = bytearray(_WHOLE)
    damaged[position] ^= flip
    path = folder / "model.tar.gz"
    path.write_bytes(damaged)
    try:
        archive.extract(path, folder / "model")
    except ArtifactError:
        assert not (folder / "model").exists()
    else:  # Only gzip's header may differ: its checksum covers the rest.
        assert sorted(p.name for p in (folder / "model").iterdir()) == ["a", "b"]
        assert position < 10
