"""What a process prints is in a file and in CloudWatch Logs while it still runs."""

from __future__ import annotations

import errno
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError

from .conftest import MakeRole, wait_for

GROUP = "/aws/sagemaker/TrainingJobs"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def events(cloud: LocalCloud, stream: str, group: str = GROUP) -> list[str]:
    found = cloud.client("logs").get_log_events(
        logGroupName=group, logStreamName=stream, startFromHead=True
    )
    return [event["message"] for event in found["events"]]


def run(cloud: LocalCloud, script: str, stdout: Any, directory: Path) -> subprocess.Popen[bytes]:
    return cloud.processes.spawn(
        ["sh", "-c", script], cwd=directory, env=ENVIRONMENT, stdout=stdout, name="a script"
    )


def test_lines_arrive_while_the_process_runs(cloud: LocalCloud, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    script = f"echo first; until [ -e {stop} ]; do sleep 0.02; done; echo last >&2"
    with cloud.logs.stream(GROUP, "live/algo-1") as stream:
        process = run(cloud, script, stream, tmp_path)
        wait_for(lambda: events(cloud, "live/algo-1") == ["first"])
        assert cloud.logs.path(GROUP, "live/algo-1").read_text() == "first\n"
        assert cloud.logs.last_line("/aws/sagemaker", "live") == "first"
        stop.touch()
        assert process.wait(timeout=10) == 0
    assert events(cloud, "live/algo-1") == ["first", "last"]
    assert cloud.logs.path(GROUP, "live/algo-1").read_text() == "first\nlast\n"


def test_events_carry_times_and_can_be_filtered(cloud: LocalCloud) -> None:
    with cloud.logs.stream(GROUP, "filtered/algo-1") as stream:
        stream.write("loss 0.5\nERROR no such column\n")
    found = cloud.client("logs").filter_log_events(
        logGroupName=GROUP, logStreamNamePrefix="filtered", filterPattern="ERROR"
    )["events"]
    assert [event["message"] for event in found] == ["ERROR no such column"]
    assert found[0]["timestamp"] > 1_600_000_000_000


def test_a_line_without_end_is_not_lost(cloud: LocalCloud) -> None:
    with cloud.logs.stream(GROUP, "cut/algo-1") as stream:
        stream.write("whole\npart")
    assert events(cloud, "cut/algo-1") == ["whole", "part"]


def test_bytes_that_are_no_text_and_empty_lines_do_no_harm(cloud: LocalCloud) -> None:
    with cloud.logs.stream(GROUP, "bytes/algo-1") as stream:
        os.write(stream.fileno(), b"caf\xe9\n\n \nnext\n")
    assert events(cloud, "bytes/algo-1") == ["caf\ufffd", "next"]
    assert cloud.logs.path(GROUP, "bytes/algo-1").read_bytes() == b"caf\xe9\n\n \nnext\n"


def test_more_than_one_call_can_carry(cloud: LocalCloud) -> None:
    """12,000 lines, and 3 MB: above both limits of PutLogEvents."""
    lines = [f"{number:05} {'x' * 244}" for number in range(12_000)]
    with cloud.logs.stream(GROUP, "many/algo-1") as stream:
        stream.write("\n".join(lines) + "\n")
    found: list[str] = []
    token: dict[str, str] = {}
    while len(found) < len(lines):
        page = cloud.client("logs").get_log_events(
            logGroupName=GROUP, logStreamName="many/algo-1", startFromHead=True, **token
        )
        assert page["events"]
        found += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
    assert found == lines


class Accepting:
    """A CloudWatch Logs client that keeps the sizes of what it is sent."""

    def __init__(self) -> None:
        self.batches: list[list[dict[str, Any]]] = []

    def create_log_group(self, **_: Any) -> None:
        pass

    def create_log_stream(self, **_: Any) -> None:
        pass

    def put_log_events(self, *, logEvents: list[dict[str, Any]], **_: Any) -> None:  # noqa: N803
        self.batches.append(logEvents)


@pytest.mark.parametrize(("lines", "length"), [(12_000, 1), (3_000, 1_000), (3, 300_000)])
def test_no_call_is_larger_than_aws_takes(cloud: LocalCloud, lines: int, length: int) -> None:
    client = Accepting()
    with cloud.logs.stream(GROUP, f"large-{length}/algo-1", client=client) as stream:
        stream.write(f"{'x' * length}\n" * lines)
    assert sum(map(len, client.batches)) == lines
    for batch in client.batches:
        sizes = [len(event["message"].encode()) for event in batch]
        assert len(batch) <= 10_000
        assert max(sizes) <= 256 * 1024
        assert sum(sizes) + 26 * len(batch) <= 1_048_576


def test_a_progress_bar_shows_its_newest_state(cloud: LocalCloud) -> None:
    with cloud.logs.stream(GROUP, "bar/algo-1") as stream:
        stream.write("10 %\r50 %\r100 %\n")
    assert cloud.logs.last_line(GROUP, "bar") == "100 %"


def test_the_last_line_is_the_newest_of_all_streams(cloud: LocalCloud) -> None:
    group = "/aws/sagemaker/Endpoints/e"
    with cloud.logs.stream(group, "a") as one, cloud.logs.stream(group, "b") as two:
        for stream, text in ((one, "1"), (two, "2"), (one, "3")):
            stream.write(f"{text}\n")
            wait_for(partial(_is_last, cloud, group, text))
    assert cloud.logs.last_line(group, "b") == "2"
    assert cloud.logs.last_line("/nothing", "") is None


def _is_last(cloud: LocalCloud, group: str, text: str) -> bool:
    return cloud.logs.last_line(group, "") == text


@pytest.mark.parametrize("stream", ["../x", "a//b", "a/./b", "", "a\0b"])
def test_a_name_that_would_leave_the_folder_is_refused(cloud: LocalCloud, stream: str) -> None:
    with pytest.raises(LocalCloudError, match="parts are needed to be a file's path"):
        cloud.logs.stream(GROUP, stream)


def test_a_role_that_may_not_write_logs_leaves_cloudwatch_empty(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    """As on AWS; the file has the lines and says why."""
    client = cloud.client("logs", role_arn=make_role(), service_principal="sagemaker.amazonaws.com")
    with cloud.logs.stream("/denied", "job/algo-1", client=client) as stream:
        stream.write("hello\n")
    text = cloud.logs.path("/denied", "job/algo-1").read_text()
    assert text.startswith("hello\n[local cloud] CloudWatch Logs: ")
    assert "not authorized to perform: logs:CreateLogGroup" in text
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/denied")
    assert groups["logGroups"] == []


def test_a_role_that_may_write_logs_does(cloud: LocalCloud, make_role: MakeRole) -> None:
    role = make_role(
        (
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            f"arn:aws:logs:{cloud.region}:{cloud.account_id}:log-group:/allowed:*",
        )
    )
    client = cloud.client("logs", role_arn=role, service_principal="sagemaker.amazonaws.com")
    with cloud.logs.stream("/allowed", "job/algo-1", client=client) as stream:
        stream.write("hello\n")
    assert events(cloud, "job/algo-1", "/allowed") == ["hello"]


def test_a_full_disk_does_not_stop_the_job_that_prints(cloud: LocalCloud) -> None:
    """/dev/full takes no byte."""
    path = cloud.logs.path(GROUP, "full/algo-1")
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")
    with cloud.logs.stream(GROUP, "full/algo-1") as stream:
        stream.write("computing\n")
    first, second = events(cloud, "full/algo-1")
    assert os.strerror(errno.ENOSPC) in first
    assert second == "computing"
