"""Endpoints serve while they are changed, replace what dies, and say why they do not serve."""

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.sagemaker import address
from local_cloud.sagemaker.balancer import _weights
from local_cloud.sagemaker.instances import Instance, Unhealthy, Variant
from local_cloud.sagemaker.ports import Port
from local_cloud.sagemaker.registry import ModelRegistry


class Load:
    """Clients that ask all the time; counts what fails.

    Half of them keep their connection and pause, so that it is idle when the balancer changes.
    """

    def __init__(self, endpoint: str) -> None:
        self.releases: list[str] = []
        self.failures: list[str] = []
        self._netloc = urlsplit(address(endpoint)).netloc
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(keep,)) for keep in (True, False) * 2
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _client(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=10)
        while not self._done.is_set():
            try:
                connection.request("POST", "/invocations", b"1,2")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 200:
                    self.releases.append(json.loads(body)["release"])
                else:
                    self.failures.append(f"{answer.status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
            if keep:
                self._done.wait(0.02)
            else:
                connection.close()
        connection.close()


# -------------------------------------------------------------------------------- create


@pytest.fixture(scope="module")
def served(account) -> str:
    """An endpoint that no test changes."""
    return account.endpoint(account.config(account.model("first")))


def test_description_of_an_endpoint_in_service(account, served):
    description = account.client.describe_endpoint(EndpointName=served)
    assert description["EndpointStatus"] == "InService"
    assert "FailureReason" not in description
    [variant] = description["ProductionVariants"]
    assert variant["VariantName"] == "primary"
    assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"] == 1
    assert variant["DeployedImages"][0]["SpecifiedImage"] == account.image_uri
    listed = account.client.list_endpoints()["Endpoints"]
    assert served in {endpoint["EndpointName"] for endpoint in listed}


def test_container_gets_what_the_contract_says(account, served):
    environment = account.ask(served)["environment"]
    assert environment["SERVE_HOST"] == "127.0.0.1"
    assert environment["SAGEMAKER_BASE_DIR"].endswith("/ml")
    assert environment["SAGEMAKER_BIND_TO_PORT"] != str(urlsplit(address(served)).port)
    assert environment["AWS_SESSION_TOKEN"]
    group = f"/aws/sagemaker/Endpoints/{served}"
    account.poll(lambda: account.log(group, "primary") == ["serving first"])


def test_network_isolation_gives_no_credentials(account):
    model = account.model("isolated", EnableNetworkIsolation=True)
    environment = account.ask(account.endpoint(account.config(model)))["environment"]
    assert "AWS_SESSION_TOKEN" not in environment
    assert "AWS_ENDPOINT_URL" not in environment


def test_address_of_what_is_not_in_service():
    with pytest.raises(LocalCloudError, match="'nobody' is not in service"):
        address("nobody")


def test_container_that_ends_makes_the_creation_fail_with_its_last_lines(account):
    name = "dies"
    config = account.config(account.model("dies"))
    account.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
    description = account.settled(name)
    assert description["EndpointStatus"] == "Failed"
    reason = description["FailureReason"]
    assert "variant primary did not pass the ping health check" in reason
    assert "exit code 3" in reason
    assert "cannot load this model" in reason
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        account.client.update_endpoint(EndpointName=name, EndpointConfigName=config)
    account.client.delete_endpoint(EndpointName=name)
    account.poll(lambda: gone(account, name))


def gone(account, name: str) -> bool:
    listed = account.client.list_endpoints(NameContains=name)["Endpoints"]
    return name not in {endpoint["EndpointName"] for endpoint in listed}


def test_container_that_is_never_ready_fails_in_time(account, tmp_path):
    cloud: LocalCloud = account.cloud
    from moto.sagemaker.models import sagemaker_backends

    backend = sagemaker_backends[cloud.account_id][cloud.region]
    model = ModelRegistry(cloud, backend).served(account.model("never ready"))
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(account.get(model.model_data_url.partition("data/")[2]))
    instance = Instance(cloud, "slow", Variant("v", model, archive, 1, 1.0, 0.5), tmp_path)
    try:
        instance.start()
        with pytest.raises(Unhealthy, match=r"did not answer GET /ping with 200 in 0\.5 s"):
            instance.wait_until_healthy(threading.Event())
    finally:
        instance.stop()
    assert not instance.alive
    assert list(tmp_path.iterdir()) == [archive]


def hostile(change: Callable[[tarfile.TarFile], None]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        change(tar)
    return content.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("archive", "found"),
    [
        (hostile(lambda tar: tar.addfile(member("x", tarfile.SYMTYPE, "/etc"))), "a link"),
        (hostile(lambda tar: tar.addfile(member("../escaped"))), "a path that leads out"),
        (b"", "empty, truncated or damaged"),
    ],
    ids=["link", "parent", "empty"],
)
def test_hostile_archive_makes_the_creation_fail(account, archive, found, request):
    name = f"hostile-{request.node.callspec.id}"
    config = account.config(account.model(archive))
    account.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
    description = account.settled(name)
    assert description["EndpointStatus"] == "Failed"
    assert "Failed to extract model data archive from URL" in description["FailureReason"]
    assert found in description["FailureReason"]
    assert not list(account.cloud.root.rglob("escaped"))


def test_model_data_that_vanished_makes_the_creation_fail(account):
    model = account.model("vanishing")
    account.cloud.client("s3").delete_object(
        Bucket=account.bucket, Key=f"models/{model}/model.tar.gz"
    )
    account.client.create_endpoint(
        EndpointName="vanished", EndpointConfigName=account.config(model)
    )
    reason = account.settled("vanished")["FailureReason"]
    assert "Failed to download model data" in reason
    assert "NoSuchKey" in reason


# -------------------------------------------------------------------------------- update, death


def test_update_under_load_loses_no_request(account):
    endpoint = account.endpoint(account.config(account.model("one"), count=2))
    before, old = address(endpoint), account.ask(endpoint)["pid"]
    with Load(endpoint) as load:
        for release in ("two", "three"):
            account.poll(lambda: len(load.releases) > 50)
            config = account.config(account.model(release), count=2)
            account.client.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
            assert account.settled(endpoint)["EndpointConfigName"] == config
            load.releases.clear()
            account.poll(lambda: len(load.releases) > 50)
            assert set(load.releases) == {release}
    assert load.failures == []
    assert address(endpoint) == before
    assert not Path(f"/proc/{old}").exists()


def test_instance_that_is_killed_under_load_loses_no_request_and_is_replaced(account):
    endpoint = account.endpoint(account.config(account.model("steady"), count=2))
    with Load(endpoint) as load:
        account.poll(lambda: len(load.releases) > 50)
        victim = account.ask(endpoint)["pid"]
        os.kill(victim, signal.SIGKILL)
        survivors: set[int] = set()

        def replaced() -> bool:
            survivors.add(account.ask(endpoint)["pid"])
            return len(survivors - {victim}) == 2

        account.poll(replaced)
        load.releases.clear()
        account.poll(lambda: len(load.releases) > 50)
    assert load.failures == []


def test_only_instance_that_is_killed_is_replaced(account):
    endpoint = account.endpoint(account.config(account.model("lonely")))
    victim = account.ask(endpoint)["pid"]
    os.kill(victim, signal.SIGKILL)

    def answers() -> bool:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return bool(account.ask(endpoint)["pid"] != victim)
        return False

    account.poll(answers)
    assert account.client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"


def test_failed_update_leaves_the_old_model_in_service(account):
    old = account.config(account.model("good"))
    endpoint = account.endpoint(old)
    with Load(endpoint) as load:
        account.client.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=account.config(account.model("dies")),
            DeploymentConfig={
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "ALL_AT_ONCE",
                        "WaitIntervalInSeconds": 0,
                    },
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
        )
        description = account.settled(endpoint)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == old
    assert "cannot load this model" in description["FailureReason"]
    assert load.failures == []
    assert set(load.releases) == {"good"}


def test_weights_and_counts_can_be_changed(account):
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    names = {"left": account.model("left"), "right": account.model("right")}
    variants = [{**variant, "VariantName": name, "ModelName": names[name]} for name in names]
    endpoint = account.endpoint(account.config("unused", ProductionVariants=variants))
    assert {account.ask(endpoint)["release"] for _ in range(8)} == {"left", "right"}
    account.client.update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[
            {"VariantName": "left", "DesiredInstanceCount": 2},
            {"VariantName": "right", "DesiredWeight": 0},
        ],
    )
    description = account.settled(endpoint)
    by_name = {_["VariantName"]: _ for _ in description["ProductionVariants"]}
    assert by_name["left"]["CurrentInstanceCount"] == 2
    assert by_name["right"]["CurrentWeight"] == 0
    answers = [account.ask(endpoint) for _ in range(12)]
    assert {answer["release"] for answer in answers} == {"left"}
    assert len({answer["pid"] for answer in answers}) == 2
    with pytest.raises(ClientError, match="must be distinct, and present"):
        account.client.update_endpoint_weights_and_capacities(
            EndpointName=endpoint, DesiredWeightsAndCapacities=[{"VariantName": "middle"}]
        )


def test_deleted_endpoint_leaves_nothing(account):
    endpoint = account.endpoint(account.config(account.model("short")))
    answer = account.ask(endpoint)
    port = urlsplit(address(endpoint)).port
    account.client.delete_endpoint(EndpointName=endpoint)
    with pytest.raises(LocalCloudError, match="not in service"):
        address(endpoint)
    account.poll(lambda: gone(account, endpoint))
    assert not Path(f"/proc/{answer['pid']}").exists()
    assert not (account.cloud.root / "endpoints" / endpoint).exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_endpoint_can_be_deleted_while_it_comes_up(account):
    name = "never"
    config = account.config(account.model("never ready"))
    account.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
    status = account.client.describe_endpoint(EndpointName=name)["EndpointStatus"]
    assert status == "Creating"
    account.client.delete_endpoint(EndpointName=name)
    account.poll(lambda: gone(account, name))


# -------------------------------------------------------------------------------- InvokeEndpoint


@pytest.fixture(scope="module")
def runtime(account) -> Any:
    return account.cloud.client("sagemaker-runtime")


def test_invocation_passes_body_and_headers(account, served, runtime):
    answer = runtime.invoke_endpoint(
        EndpointName=served,
        Body=b"1,2\xff",
        ContentType="text/csv",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="id-1",
    )
    seen = json.loads(answer["Body"].read())
    assert seen["release"] == "first"
    assert seen["bytes"] == 4
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert headers["content-type"] == "text/csv"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert "authorization" not in headers
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "primary"


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (503, "server")])
def test_error_of_the_model_is_told_with_its_status(account, served, runtime, status, kind):
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=served, Body=b"status %d" % status)
    error = caught.value.response
    assert error["OriginalStatusCode"] == status
    assert error["OriginalMessage"] == f"because you said status {status}"
    assert f"log-group:/aws/sagemaker/Endpoints/{served}" in error["LogStreamArn"]
    assert f"Received {kind} error ({status}) from primary with message" in str(caught.value)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_largest_body_is_taken_and_one_byte_more_is_not(account, served, runtime):
    limit = 6 * 1024**2
    answer = runtime.invoke_endpoint(EndpointName=served, Body=b"x" * limit)
    assert json.loads(answer["Body"].read())["bytes"] == limit
    with pytest.raises(ClientError, match=r"ValidationError.*less than or equal to 6291456"):
        runtime.invoke_endpoint(EndpointName=served, Body=b"x" * (limit + 1))


def test_endpoint_that_does_not_exist_is_not_found(runtime):
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint no of account 0+ not found"):
        runtime.invoke_endpoint(EndpointName="no", Body=b"")


def test_choice_of_a_variant_is_refused_by_name(served, runtime):
    with pytest.raises(ClientError, match=r"LocalCloudUnsupported.*Target-Variant"):
        runtime.invoke_endpoint(EndpointName=served, Body=b"", TargetVariant="primary")


def test_role_needs_permission_to_invoke(account, served, make_role):
    role_arn = make_role(("s3:*", "*"), service="lambda.amazonaws.com")
    client = account.cloud.client(
        "sagemaker-runtime", role_arn=role_arn, service_principal="lambda.amazonaws.com"
    )
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:InvokeEndpoint"):
        client.invoke_endpoint(EndpointName=served, Body=b"1")


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        (
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/c"}}},
            "parameter AsyncInferenceConfig",
        ),
        (
            {
                "ProductionVariants": [
                    {
                        "VariantName": "v",
                        "ModelName": "m",
                        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
                    }
                ]
            },
            "parameter ProductionVariants.ServerlessConfig",
        ),
        (
            {
                "ShadowProductionVariants": [
                    {
                        "VariantName": "v",
                        "ModelName": "m",
                        "InstanceType": "ml.m5.large",
                        "InitialInstanceCount": 1,
                    }
                ]
            },
            "parameter ShadowProductionVariants",
        ),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(account, changes, refused):
    with pytest.raises(ClientError, match="LocalCloudUnsupported") as caught:
        account.config("m", **changes)
    assert refused in str(caught.value)


def test_canary_update_is_refused_by_name(account, served):
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 60,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
    }
    with pytest.raises(ClientError, match=r"LocalCloudUnsupported.*Type='CANARY'"):
        account.client.update_endpoint(
            EndpointName=served,
            EndpointConfigName="x",
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )


def test_names_that_exist_and_names_that_do_not(account, served):
    config = account.config(account.model("x"))
    client = account.client
    with pytest.raises(ClientError, match="Cannot create already existing endpoint conf"):
        account.config(account.model("x"), EndpointConfigName=config)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        client.create_endpoint(EndpointName=served, EndpointConfigName=config)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        client.create_endpoint(EndpointName="new", EndpointConfigName="no-such-config")
    with pytest.raises(ClientError, match="Could not find model"):
        account.config("no-such-model")
    assert client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    client.delete_endpoint_config(EndpointConfigName=config)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        client.describe_endpoint_config(EndpointConfigName=config)


# -------------------------------------------------------------------------------- parts


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=8))
def test_weights_are_positive_and_keep_the_order(shares):
    weights = _weights(shares)
    assert all(weight >= 1 for weight in weights)
    for (share, weight), (other, other_weight) in zip(
        zip(shares, weights, strict=True), list(zip(shares, weights, strict=True))[1:], strict=False
    ):
        assert (share <= other) <= (weight <= other_weight)


def test_reserved_port_is_given_to_nobody_else_and_can_be_listened_on():
    port = Port()
    with contextlib.closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port.number))
    with contextlib.closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port.number))
        server.listen()
    port.release()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_stopping_cloud_ends_endpoints(tmp_path):
    """In a process of its own: one process holds one local cloud."""
    program = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from local_cloud.cloud import LocalCloud
from conftest import Account

place = Path(sys.argv[1])
with LocalCloud(place / "local", wait_factor=0.01) as cloud:
    account = Account(cloud, place)
    account.endpoint(account.config(account.model("x"), count=2))
    slow = account.config(account.model("never ready"))
    account.client.create_endpoint(EndpointName="slow", EndpointConfigName=slow)
    print(" ".join(str(pid) for pid in cloud.processes._running))
"""
    here = Path(__file__).parent
    with deadline(120):
        finished = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(here), str(here.parents[2])],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    pids = finished.stdout.split()
    assert len(pids) >= 3
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert list((tmp_path / "local" / "endpoints").iterdir()) == []
