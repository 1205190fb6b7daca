"""An account starts, is reached by SDKs and nobody else, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError, TrustError

from .conftest import MakeRole


def test_it_is_an_impossible_account_in_an_impossible_region(cloud: LocalCloud) -> None:
    identity = cloud.client("sts").get_caller_identity()
    assert identity["Account"] == cloud.account_id == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/administrator"
    assert cloud.region not in boto3.session.Session().get_available_regions("s3")


def test_an_sdk_of_this_process_reaches_it_without_being_told(cloud: LocalCloud) -> None:
    client = boto3.client("sts")
    assert client.meta.endpoint_url == cloud.endpoint_url
    assert client.get_caller_identity()["Account"] == cloud.account_id


def test_its_environment_is_enough_for_another_process(cloud: LocalCloud) -> None:
    """Also when that process has other settings of its own."""
    script = (
        "import boto3, json; c = boto3.client('sts'); "
        "print(json.dumps([c.meta.endpoint_url, c.get_caller_identity()['Account']]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "HTTP_PROXY": "http://127.0.0.1:9",
            **cloud.environment(),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == [cloud.endpoint_url, cloud.account_id]


def test_a_role_gets_an_environment_of_its_own(cloud: LocalCloud, make_role: MakeRole) -> None:
    role = make_role()
    environment = cloud.role_environment(role, "sagemaker.amazonaws.com")
    client = boto3.client(
        "sts",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environment["AWS_SESSION_TOKEN"],
    )
    name = role.rpartition("/")[2]
    assert client.get_caller_identity()["Arn"].endswith(f"assumed-role/{name}/sagemaker")


def test_a_client_is_made_once_and_the_roles_trust_asked_each_time(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    role = make_role()
    whose = {"role_arn": role, "service_principal": "sagemaker.amazonaws.com"}
    client = cloud.client("sts", **whose)
    assert cloud.client("sts", **whose) is client
    assert cloud.client("sts") is not client
    other = {"Effect": "Allow", "Principal": {"Service": "a.com"}, "Action": "sts:AssumeRole"}
    cloud.client("iam").update_assume_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [other]}),
    )
    with pytest.raises(TrustError):
        cloud.client("sts", **whose)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the table of sockets is Linux's")
def test_it_listens_on_the_loopback_address_only(cloud: LocalCloud) -> None:
    port = int(cloud.endpoint_url.rpartition(":")[2])
    listening = {
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    }
    assert listening == {f"0100007F:{port:04X}"}  # 127.0.0.1, little endian


def test_a_connection_answers_many_requests(cloud: LocalCloud) -> None:
    port = int(cloud.endpoint_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"</Error>" not in answer:
                answer += connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 403 ")


def test_an_upload_that_asks_for_leave_is_not_delayed(cloud: LocalCloud) -> None:
    """botocore waits a second for "100 Continue" when it does not come."""
    s3 = cloud.client("s3")
    s3.create_bucket(
        Bucket="continue", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    done = threading.Event()

    def upload() -> None:
        for number in range(5):
            s3.put_object(Bucket="continue", Key=str(number), Body=b"x")
        done.set()

    threading.Thread(target=upload, daemon=True).start()
    assert done.wait(4.0)


def test_clients_of_the_administrator_are_kept(cloud: LocalCloud) -> None:
    assert cloud.client("s3") is cloud.client("s3")


def test_a_client_needs_role_and_principal_together(cloud: LocalCloud) -> None:
    with pytest.raises(TypeError, match="needs both role_arn and service_principal"):
        cloud.client("s3", role_arn="arn:aws:iam::000000000000:role/r")


def test_a_role_that_does_not_trust_the_service_is_named(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    role = make_role(service="sagemaker.amazonaws.com")
    with pytest.raises(TrustError, match=rf"{role}: states.amazonaws.com wants to assume it"):
        cloud.credentials(role, "states.amazonaws.com")
    with pytest.raises(TrustError, match="there is no such role"):
        cloud.credentials(f"{role}-nowhere", "sagemaker.amazonaws.com")


def test_only_one_account_at_a_time(cloud: LocalCloud, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match=f"one is started at {cloud.endpoint_url}"):
        LocalCloud(tmp_path).start()
    assert cloud.client("sts").get_caller_identity()["Account"] == cloud.account_id


# What follows starts clouds of its own, in processes of their own.


def run_alone(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


START_AND_STOP = """
import os, sys, tempfile, threading
from pathlib import Path
from local_cloud.cloud import LocalCloud

environment = dict(os.environ)
for _ in range(2):
    with LocalCloud(Path(sys.argv[1])) as cloud:
        s3 = cloud.client("s3")
        assert not s3.list_buckets()["Buckets"], "the account is not empty"
        place = {"LocationConstraint": cloud.region}
        s3.create_bucket(Bucket="kept", CreateBucketConfiguration=place)
        s3.put_object(Bucket="kept", Key="folder/file.txt", Body=b"text")
        assert os.environ["AWS_ENDPOINT_URL"] == cloud.endpoint_url
        assert "AWS_PROFILE" not in os.environ
    assert dict(os.environ) == environment

import moto.s3.models as models
import moto.stepfunctions.parser.asl.parse.preprocessor as preprocessor
assert models.tempfile is tempfile
assert models.S3Backend.put_object.__module__ == models.__name__
assert preprocessor.state_task_for.__module__.startswith("moto.")
assert not models.s3_backends
print([thread.name for thread in threading.enumerate()])
"""


def test_stopping_puts_everything_back_and_leaves_the_files(tmp_path: Path) -> None:
    ran = run_alone(START_AND_STOP, str(tmp_path), AWS_PROFILE="work", NO_PROXY="example.org")
    assert ran.returncode == 0, ran.stderr
    assert "local-cloud-server" not in ran.stdout
    assert ran.stderr == ""
    assert (tmp_path / "s3/kept/folder/file.txt").read_text() == "text"


START_ON_PORT = """
import sys
from pathlib import Path
from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
try:
    with LocalCloud(Path(sys.argv[1]), port=int(sys.argv[2])) as cloud:
        print(cloud.endpoint_url)
except LocalCloudError as error:
    print(error)
"""


OLDER_SESSION = """
import sys
from pathlib import Path
import boto3
from local_cloud.cloud import LocalCloud

boto3.setup_default_session(aws_access_key_id="AKIAREAL", aws_secret_access_key="real")
mine = boto3.DEFAULT_SESSION
for _ in range(2):
    with LocalCloud(Path(sys.argv[1])) as cloud:
        print(boto3.client("sts").get_caller_identity()["Account"])
    assert boto3.DEFAULT_SESSION is mine
"""


def test_keys_that_this_process_had_before_are_not_used(tmp_path: Path) -> None:
    ran = run_alone(OLDER_SESSION, str(tmp_path))
    assert ran.stdout == "000000000000\n000000000000\n", ran.stderr


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run_alone(START_ON_PORT, str(tmp_path), str(port))
    assert ran.stdout == (
        f"Local cloud: port {port} of 127.0.0.1 is taken by another program; a free port is "
        "needed. Stop that program, choose another port, or give none and a free one is chosen.\n"
    )
    again = run_alone(START_ON_PORT, str(tmp_path), str(port))
    assert again.stdout == f"http://127.0.0.1:{port}\n"


def test_after_stop_no_kept_connection_is_answered(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from botocore.exceptions import BotoCoreError
from local_cloud.cloud import LocalCloud
with LocalCloud(Path(sys.argv[1])) as cloud:
    client = cloud.client("sts")
    client.get_caller_identity()
try:
    client.get_caller_identity()
except BotoCoreError as error:
    print(type(error).__name__)
"""
    assert run_alone(script, str(tmp_path)).stdout == "EndpointConnectionError\n"
