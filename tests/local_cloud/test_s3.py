"""Objects are files, whatever their keys; a full disk is said and leaves nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from local_cloud.cloud import LocalCloud
from local_cloud.s3 import path_of

KEYS = st.text(alphabet="ab./%\0: é\\~", min_size=1, max_size=8)


@pytest.fixture(scope="module")
def bucket(cloud: LocalCloud) -> str:
    return make_bucket(cloud, "files")


def make_bucket(cloud: LocalCloud, name: str, *, versioned: bool = False) -> str:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def put(cloud: LocalCloud, bucket: str, key: str, body: bytes) -> Any:
    return cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def file_of(cloud: LocalCloud, bucket: str, key: str) -> Path:
    return cloud.root / "s3" / bucket / path_of(key)


def stored(cloud: LocalCloud) -> int:
    return len(list((cloud.root / "s3" / ".objects").iterdir()))


def test_an_object_is_a_file(cloud: LocalCloud, bucket: str) -> None:
    put(cloud, bucket, "releases/r1/evaluation.json", b"{}")
    path = cloud.root / "s3" / bucket / "releases" / "r1" / "evaluation.json"
    assert path.read_bytes() == b"{}"
    put(cloud, bucket, "releases/r1/evaluation.json", b'{"passed": true}')
    assert path.read_bytes() == b'{"passed": true}'


def test_nothing_is_stored_twice(cloud: LocalCloud, bucket: str) -> None:
    put(cloud, bucket, "linked", b"x" * 1000)
    assert file_of(cloud, bucket, "linked").stat().st_nlink == 2


def test_a_deleted_object_is_no_file_and_its_folders_are_gone(
    cloud: LocalCloud, bucket: str
) -> None:
    before = stored(cloud)
    put(cloud, bucket, "deep/er/file", b"x")
    put(cloud, bucket, "deep/other", b"x")
    cloud.client("s3").delete_object(Bucket=bucket, Key="deep/er/file")
    folder = cloud.root / "s3" / bucket / "deep"
    assert [path.name for path in folder.iterdir()] == ["other"]
    cloud.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "deep/other"}]})
    assert not folder.exists()
    assert stored(cloud) == before


def test_a_key_can_be_a_file_and_a_folder(cloud: LocalCloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    bodies = {"both": b"1", "both/in": b"2", "both/in/deeper": b"3", "both/": b"4"}
    for order in (list(bodies), list(reversed(bodies))):
        for key in order:
            put(cloud, bucket, key, bodies[key])
        for key, body in bodies.items():
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        files = [path for path in (cloud.root / "s3" / bucket).rglob("both*") if path.is_file()]
        assert [path.name for path in files] == ["both%"]
        for key in order:
            s3.delete_object(Bucket=bucket, Key=key)
        assert not list((cloud.root / "s3" / bucket).glob("both*"))


@given(keys=st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_different_keys_have_different_paths_inside(keys: list[str]) -> None:
    first, second = map(path_of, keys)
    assert first != second
    for path in (first, second):
        assert not path.is_absolute()
        assert not {"", ".", ".."} & set(path.parts)
        assert "\0" not in str(path)


@given(length=st.integers(150, 1024), filler=st.sampled_from("aé%"))
def test_long_keys_fit_into_a_file_system(length: int, filler: str) -> None:
    key = (filler * length).encode()[:1024].decode(errors="ignore")
    assert len(os.fsencode(path_of(key).name)) < 255
    assert path_of(key) != path_of(f"{key[:-1]}x")


def test_a_key_never_leaves_its_bucket(cloud: LocalCloud, bucket: str) -> None:
    put(cloud, bucket, "../../outside", b"x")
    assert not (cloud.root / "outside").exists()
    assert file_of(cloud, bucket, "../../outside").read_bytes() == b"x"


def test_parts_become_one_file(cloud: LocalCloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    before = stored(cloud)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    bodies = [b"a" * 5 * 1024 * 1024, b"b"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(
                Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=body
            )["ETag"],
        }
        for number, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert file_of(cloud, bucket, "big").read_bytes() == b"".join(bodies)
    part = s3.get_object(Bucket=bucket, Key="big", Range="bytes=5242879-5242880")
    assert part["Body"].read() == b"ab"
    s3.delete_object(Bucket=bucket, Key="big")
    assert stored(cloud) == before


def test_a_copy_and_an_empty_object_are_files(cloud: LocalCloud, bucket: str) -> None:
    put(cloud, bucket, "empty", b"")
    cloud.client("s3").copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/empty")
    assert file_of(cloud, bucket, "copy").read_bytes() == b""


class Versions(RuleBasedStateMachine):
    """A versioned bucket against a list of versions, newest last."""

    cloud: LocalCloud
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.bucket = make_bucket(self.cloud, f"versions-{self.count}", versioned=True)
        self.versions: list[tuple[str, bytes | None]] = []

    @rule(body=st.binary(max_size=3))
    def put(self, body: bytes) -> None:
        answer = put(self.cloud, self.bucket, "key", body)
        self.versions.append((answer["VersionId"], body))

    @rule()
    def delete(self) -> None:
        if self.versions:
            answer = self.cloud.client("s3").delete_object(Bucket=self.bucket, Key="key")
            self.versions.append((answer["VersionId"], None))

    @rule(index=st.integers(0, 5))
    def delete_version(self, index: int) -> None:
        if index < len(self.versions):
            version, _ = self.versions.pop(index)
            self.cloud.client("s3").delete_object(Bucket=self.bucket, Key="key", VersionId=version)

    @invariant()
    def the_file_is_the_newest_version(self) -> None:
        path = file_of(self.cloud, self.bucket, "key")
        newest = self.versions[-1][1] if self.versions else None
        assert (path.read_bytes() if path.exists() else None) == newest

    @invariant()
    def every_version_can_be_read(self) -> None:
        for version, body in self.versions:
            if body is not None:
                found = self.cloud.client("s3").get_object(
                    Bucket=self.bucket, Key="key", VersionId=version
                )
                assert found["Body"].read() == body


def test_the_file_is_the_newest_version(cloud: LocalCloud) -> None:
    machine = type("VersionsHere", (Versions,), {"cloud": cloud})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=8, deadline=None)
    )


def test_a_deleted_bucket_is_no_folder(cloud: LocalCloud) -> None:
    make_bucket(cloud, "short-lived")
    assert (cloud.root / "s3" / "short-lived").is_dir()
    cloud.client("s3").delete_bucket(Bucket="short-lived")
    assert not (cloud.root / "s3" / "short-lived").exists()


# A disk of 1 MB would need root; a limit on the size of files gives the same kind of error from
# the same call.

SMALL_FILES = """
import os, resource, signal, sys
from pathlib import Path
from botocore.exceptions import ClientError
from local_cloud.cloud import LocalCloud

with LocalCloud(Path(sys.argv[1])) as cloud:
    s3 = cloud.client("s3")
    place = {"LocationConstraint": cloud.region}
    s3.create_bucket(Bucket="full", CreateBucketConfiguration=place)
    s3.put_object(Bucket="full", Key="kept", Body=b"old")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    for key in ("kept", "folder/new"):
        try:
            s3.put_object(Bucket="full", Key=key, Body=b"x" * 100_000)
        except ClientError as error:
            print(error.response["Error"]["Code"], error.response["Error"]["Message"])
    print(s3.get_object(Bucket="full", Key="kept")["Body"].read())
    print([item["Key"] for item in s3.list_objects_v2(Bucket="full")["Contents"]])
    print(sorted(str(path.relative_to(cloud.root / "s3")) for path in (cloud.root / "s3").rglob("*")
                 if path.is_file() and ".objects" not in path.parts))
    print(sum(1 for _ in (cloud.root / "s3" / ".objects").iterdir()))
"""


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    reason = os.strerror(errno.EFBIG)
    first, second, *rest = ran.stdout.splitlines()
    assert first.startswith("InternalError")
    assert f"{tmp_path}/s3/full/kept" in first
    assert reason in first
    assert f"{tmp_path}/s3/full/folder/new" in second
    assert rest == ["b'old'", "['kept']", "['full/kept']", "1"]


def test_a_full_disk_is_named_with_the_file_and_the_way_out(cloud: LocalCloud, bucket: str) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    from local_cloud import s3

    original = cloud.replace(s3, "_link_or_copy", full)
    with pytest.raises(ClientError) as error:
        put(cloud, bucket, "late/file", b"x")
    s3._link_or_copy = original
    path = file_of(cloud, bucket, "late/file")
    assert error.value.response["Error"]["Message"] == (
        f"{path}: the disk is full; the object was not written. Free some space"
    )
    with pytest.raises(ClientError, match="NoSuchKey"):
        cloud.client("s3").get_object(Bucket=bucket, Key="late/file")
    assert not path.exists()
