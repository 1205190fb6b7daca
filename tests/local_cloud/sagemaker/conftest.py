"""What the tests of SageMaker share: an account with an image, a bucket and a role."""

import contextlib
import http.client
import io
import itertools
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.images import Registry, build
from local_cloud.sagemaker import address

_NUMBERS = itertools.count()

#: Runs the code in ``CODE0``, ``CODE1``, … as a job, and answers requests as an endpoint.
PROGRAM = """\
import json, os, pathlib, signal, sys, time

base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
if sys.argv[1:] != ["serve"]:
    exec("".join(os.environ.get(f"CODE{number}", "") for number in range(9)))
    sys.exit()

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

release = (base / "model" / "release.txt").read_text()
if release == "dies":
    print("cannot load this model", flush=True)
    sys.exit(3)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(503 if release == "never ready" else 200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body.startswith(b"status "):
            self.answer(int(body.split()[1]), b"because you said " + body)
        else:
            seen = {name: value for name, value in self.headers.items()}
            answer = {"release": release, "pid": os.getpid(), "bytes": len(body), "headers": seen}
            self.answer(200, json.dumps({**answer, "environment": dict(os.environ)}).encode())

    def answer(self, status, body):
        head = f"HTTP/1.1 {status} Fine\\r\\nContent-Length: {len(body)}\\r\\n"
        # In one piece: a container that is killed has answered wholly or not at all.
        self.wfile.write(f"{head}Content-Type: application/json\\r\\n\\r\\n".encode() + body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server((os.environ["SERVE_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("serving", release, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def account(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> "Account":
    """An account for one module of tests."""
    return Account(cloud, tmp_path_factory.mktemp("context"))


class Account:
    """An account with an image that does what it is told, a bucket, and a role for everything."""

    bucket = "data"

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.client = cloud.client("sagemaker")
        self._s3 = cloud.client("s3")
        where = {"LocationConstraint": cloud.region}
        self._s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=where)
        self.image_uri = _push_image(cloud, folder)
        self.role_arn = _make_open_role(cloud)

    def put(self, key: str, content: str | bytes) -> str:
        """Store an object in the bucket; return its URI."""
        body = content.encode() if isinstance(content, str) else content
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """Bytes of an object in the bucket."""
        return bytes(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        """Keys in the bucket under a prefix."""
        found = self._s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def poll(self, ask: Callable[[], Any], seconds: float = 60.0) -> Any:
        """First true answer within a time."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no answer in {seconds} s")
            time.sleep(0.02)
        return answer

    def training(self, code: str = "", **changes: Any) -> dict[str, Any]:
        """A request of CreateTrainingJob that runs `code`."""
        return {
            "TrainingJobName": f"job-{next(_NUMBERS)}",
            "RoleArn": self.role_arn,
            "AlgorithmSpecification": {
                "TrainingImage": self.image_uri,
                "TrainingInputMode": "File",
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/out/"},
            "ResourceConfig": _MACHINE,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "Environment": _code_environment(code),
            **changes,
        }

    def processing(self, code: str = "", **changes: Any) -> dict[str, Any]:
        """A request of CreateProcessingJob that runs `code`."""
        return {
            "ProcessingJobName": f"job-{next(_NUMBERS)}",
            "RoleArn": self.role_arn,
            "AppSpecification": {
                "ImageUri": self.image_uri,
                "ContainerArguments": ["prepare", "it"],
            },
            "ProcessingResources": {"ClusterConfig": _MACHINE},
            "Environment": _code_environment(code),
            **changes,
        }

    def start(self, request: dict[str, Any]) -> str:
        """Start a job; return its name."""
        if "TrainingJobName" in request:
            self.client.create_training_job(**request)
            return str(request["TrainingJobName"])
        self.client.create_processing_job(**request)
        return str(request["ProcessingJobName"])

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer of the Describe operation."""
        if "TrainingJobName" in request:
            name = request["TrainingJobName"]
            return dict(self.client.describe_training_job(TrainingJobName=name))
        name = request["ProcessingJobName"]
        return dict(self.client.describe_processing_job(ProcessingJobName=name))

    def end(self, request: dict[str, Any]) -> dict[str, Any]:
        """Wait for a job's end; return its description."""

        def ended() -> dict[str, Any] | None:
            description = self.describe(request)
            return description if _status(description) not in {"InProgress", "Stopping"} else None

        return dict(self.poll(ended))

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a job and wait for its end; return its description."""
        self.start(request)
        return self.end(request)

    @staticmethod
    def archive(release: str) -> bytes:
        """Archive of a model: one file that names its release."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            member = tarfile.TarInfo("release.txt")
            member.size = len(release)
            tar.addfile(member, io.BytesIO(release.encode()))
        return content.getvalue()

    def model(self, release: str | bytes, **changes: Any) -> str:
        """Create a model whose archive says `release`, or is these bytes; return its name."""
        name = f"model-{next(_NUMBERS)}"
        archive = release if isinstance(release, bytes) else self.archive(release)
        self.client.create_model(
            **{
                "ModelName": name,
                "ExecutionRoleArn": self.role_arn,
                "PrimaryContainer": {
                    "Image": self.image_uri,
                    "ModelDataUrl": self.put(f"models/{name}/model.tar.gz", archive),
                },
                **changes,
            }
        )
        return name

    def config(self, model: str, count: int = 1, **changes: Any) -> str:
        """Create an endpoint configuration with one variant; return its name."""
        name = f"config-{next(_NUMBERS)}"
        variant = {
            "VariantName": "primary",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": count,
            "InitialVariantWeight": 1,
        }
        self.client.create_endpoint_config(
            **{"EndpointConfigName": name, "ProductionVariants": [variant], **changes}
        )
        return name

    def endpoint(self, config: str) -> str:
        """Create an endpoint and wait until it is in service; return its name."""
        name = f"endpoint-{next(_NUMBERS)}"
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=config)
        description = self.settled(name)
        assert description["EndpointStatus"] == "InService", description
        return name

    def ask(self, endpoint: str, body: bytes = b"1,2") -> dict[str, Any]:
        """Answer of an endpoint at its own address."""
        connection = http.client.HTTPConnection(urlsplit(address(endpoint)).netloc, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/invocations", body, {"Content-Type": "text/csv"})
            return dict(json.loads(connection.getresponse().read()))

    def settled(self, endpoint: str) -> dict[str, Any]:
        """Wait until an endpoint neither comes up nor changes; return its description."""

        def settled() -> dict[str, Any] | None:
            description = dict(self.client.describe_endpoint(EndpointName=endpoint))
            changing = {"Creating", "Updating"}
            return description if description["EndpointStatus"] not in changing else None

        return dict(self.poll(settled))

    def log(self, group: str, name: str) -> list[str]:
        """Lines of a job's log in CloudWatch."""
        logs = self.cloud.client("logs")
        [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")[
            "logStreams"
        ]
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        return [event["message"] for event in events["events"]]


_MACHINE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}


def _status(description: dict[str, Any]) -> str:
    return str(description.get("TrainingJobStatus") or description.get("ProcessingJobStatus") or "")


def _code_environment(code: str) -> dict[str, str]:
    """Variables that tell the image to run this code; a value has 256 characters at the most."""
    return {f"CODE{n // 256}": code[n : n + 256] for n in range(0, len(code), 256)}


def _push_image(cloud: LocalCloud, folder: Path) -> str:
    """Build and push the image; return its URI."""
    (folder / "main.py").write_text(PROGRAM)
    (folder / "Dockerfile").write_text(
        'FROM python\nCOPY main.py /opt/program/\nENTRYPOINT ["python", "/opt/program/main.py"]\n'
    )
    image = build(folder, folder / "Dockerfile", cloud.root / "docker")
    cloud.client("ecr").create_repository(repositoryName="project")
    return Registry(cloud).push(image, "project", "v1")


def _make_open_role(cloud: LocalCloud) -> str:
    """Create a role for SageMaker that may do everything; return its ARN."""

    def policy(**statement: Any) -> str:
        return json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
        )

    iam = cloud.client("iam")
    service = {"Service": "sagemaker.amazonaws.com"}
    role = iam.create_role(
        RoleName="open",
        AssumeRolePolicyDocument=policy(Action="sts:AssumeRole", Principal=service),
    )
    everything = policy(Action="*", Resource="*")
    iam.put_role_policy(RoleName="open", PolicyName="own", PolicyDocument=everything)
    return str(role["Role"]["Arn"])
