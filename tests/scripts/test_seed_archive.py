"""The same content makes the same archive and the same version."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.errors import ScriptError
from scripts.seed_archive import archive, version_of

ROOT = Path(__file__).parent.parent.parent


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def names(content):
    return zipfile.ZipFile(io.BytesIO(content)).namelist()


def test_neither_order_nor_times_nor_leftovers_of_tools_matter(tmp_path):
    files = {"b.py": b"b", "a/c.py": b"c", "a.py": b"a"}
    first = fill(tmp_path / "first", files)
    second = fill(tmp_path / "second", dict(reversed(files.items())))
    fill(
        second,
        {
            "__pycache__/b.pyc": b"", "a/.pytest_cache/x": b"", ".mypy_cache/y": b"",
            ".hypothesis/z": b"", "mlsystem.egg-info/w": b"", ".DS_Store": b"",
        },
    )  # fmt: skip
    os.utime(second / "b.py", (0, 0))
    assert archive(first) == archive(second)
    assert version_of("t", first) == version_of("t", second)
    assert names(archive(second)) == ["a.py", "a/c.py", "b.py"]


def test_every_change_is_another_version(tmp_path):
    folder = fill(tmp_path, {"a": b"1", "b": b"2"})
    versions = [version_of("t", folder), version_of("u", folder)]
    (folder / "a").write_bytes(b"2")
    versions.append(version_of("t", folder))
    (folder / "a").rename(folder / "c")
    versions.append(version_of("t", folder))
    (folder / "c").chmod(0o755)
    versions.append(version_of("t", folder))
    assert len(set(versions)) == len(versions)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine's
@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}\.py", fullmatch=True), st.binary(max_size=50),
                       min_size=1, max_size=5))  # fmt: skip
def test_what_goes_in_comes_out(tmp_path_factory, files):
    folder = fill(tmp_path_factory.mktemp("seed"), files)
    with zipfile.ZipFile(io.BytesIO(archive(folder))) as found:
        assert {name: found.read(name) for name in found.namelist()} == files


def test_programs_stay_executable(tmp_path):
    path = fill(tmp_path, {"run.sh": b"#!/bin/sh\n"}) / "run.sh"
    path.chmod(0o700)
    (entry,) = zipfile.ZipFile(io.BytesIO(archive(tmp_path))).infolist()
    assert entry.external_attr >> 16 == 0o100755


def test_an_archive_that_codecommit_would_refuse_is_refused(tmp_path):
    fill(tmp_path, {"small": b"1", "large.bin": os.urandom(5_000)})
    with pytest.raises(ScriptError, match=r"large\.bin \(5,000 bytes\); CodeCommit takes at most"):
        archive(tmp_path, limit=4_000)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ScriptError, match="no files"):
        archive(tmp_path)


def test_a_link_is_refused_because_it_may_lead_out_of_the_folder(tmp_path):
    fill(tmp_path, {"a": b"1"})
    (tmp_path / "b").symlink_to("/etc/hostname")
    with pytest.raises(ScriptError, match="a symbolic link"):
        archive(tmp_path)


def test_the_seed_code_is_whole_and_has_no_leftovers():
    found = set(names(archive(ROOT / "seed_code")))
    assert {"project.yml", "buildspec.yml", "container/Dockerfile", "data/churn.csv"} <= found
    assert {".gitignore", ".dockerignore"} <= found
    assert not [name for name in found if "cache" in name or name.endswith(".pyc")]
