"""However a run ends, nothing of it goes on."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import boto3
import pytest


def read_until(process, text, seconds=90):
    """Read the run's output until a line has `text`."""
    deadline = time.monotonic() + seconds
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return
        assert time.monotonic() < deadline, seen
    raise AssertionError("".join(seen))


@pytest.mark.parametrize(
    "moment",
    ["Building the image", "PrepareData running", "TrainModel running", "EvaluateModel running",
     "DeployEndpoint running"],
)  # fmt: skip
def test_ctrl_c_leaves_no_process(runner, workflow_alone, moment):
    process = runner.start("run", workflow_alone("iris"))
    read_until(process, moment)
    os.killpg(process.pid, signal.SIGINT)
    run = runner.finish(process)
    assert run.code == 130, run.output
    assert run.summary["status"] == "FAILED"
    assert "Interrupted" in run.summary["error"]
    assert "Traceback" not in run.output
    runner.wait_until_alone()


@pytest.mark.parametrize("moment", ["Creating the project", "Build running"])
def test_ctrl_c_leaves_nothing_of_a_project(runner, moment):
    process = runner.start("run", "iris")
    read_until(process, moment)
    os.killpg(process.pid, signal.SIGINT)
    run = runner.finish(process)
    assert run.code == 130, run.output
    assert "Traceback" not in run.output
    runner.wait_until_alone()
    assert not list(runner.root.glob("codebuild/*/*"))


def test_sigterm_is_as_good_as_ctrl_c(runner, workflow_alone):
    process = runner.start("run", workflow_alone("iris"))
    read_until(process, "PrepareData running")
    process.send_signal(signal.SIGTERM)
    assert runner.finish(process).code == 130
    runner.wait_until_alone()


def test_a_killed_run_leaves_no_process_and_the_next_one_starts_clean(runner, workflow_alone):
    blueprint = workflow_alone("iris")
    process = runner.start("run", blueprint)
    read_until(process, "TrainModel running")
    process.kill()
    process.communicate(timeout=60)
    runner.wait_until_alone()
    assert runner.run(blueprint).code == 0


def sourced(path):
    """The environment of a shell that has sourced a file."""
    command = ["sh", "-c", '. "$1"; env -0', "sh", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if line)


def assert_git_works(environment, folder):
    client = boto3.client(
        "codecommit",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    made = client.create_repository(repositoryName="shared")["repositoryMetadata"]
    client.create_commit(
        repositoryName="shared", branchName="main", authorName="Ada", email="ada@example.com",
        putFiles=[{"filePath": "a.txt", "fileContent": b"one\n"}],
    )  # fmt: skip
    subprocess.run(
        ["git", "clone", "--quiet", made["cloneUrlHttp"], "shared"],
        env=environment, cwd=folder, check=True,
    )  # fmt: skip
    assert (folder / "shared/a.txt").read_text() == "one\n"


def test_up_stays_until_ctrl_c_and_the_tools_work_against_it(runner, workflow_alone, tmp_path):
    process = runner.start("up", workflow_alone("iris"))
    try:
        read_until(process, "Up until Ctrl-C")
        environment = sourced(runner.root / "environment")
        assert_git_works(environment, tmp_path)
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        answer = client.invoke_endpoint(
            EndpointName="iris", ContentType="text/csv", Body=b"4.5,1.3,0.3,0.3"
        )
        assert answer["Body"].read().decode().strip() == "setosa"
        assert listening_beyond_loopback(runner) == []
        again = runner.run("iris")
        assert again.code == 1
        assert "another run is using it" in again.output
    finally:
        os.killpg(process.pid, signal.SIGINT)
        run = runner.finish(process)
    assert run.code == 0, run.output


def listening_beyond_loopback(runner):
    """Addresses of the run's own listening sockets that are not 127.0.0.1, from /proc."""
    inodes = set()
    for line in runner.processes():
        for link in Path(f"/proc/{line.split()[0]}/fd").glob("*"):
            try:
                inodes.add(str(link.readlink()))
            except OSError:
                continue
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            fields = row.split()
            is_listening, inode = fields[3] == "0A", f"socket:[{fields[9]}]"
            if is_listening and inode in inodes and not fields[1].startswith("0100007F:"):
                found.append(fields[1])
    return found


def test_a_taken_port_is_named_with_the_fix(runner, workflow_alone):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = runner.start("up", workflow_alone("iris"), "--port", port)
        run = runner.finish(process)
    assert run.code == 1
    assert port in run.output
    assert "Traceback" not in run.output


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted as root alone")
def test_a_full_disk_is_named(runner, workflow_alone, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        (small / "docker").symlink_to(runner.root / "docker")
        runner.root = small
        run = runner.run(workflow_alone("churn"))
        assert run.code == 1
        assert "No space left on device" in run.output
        assert "Traceback" not in run.output
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
