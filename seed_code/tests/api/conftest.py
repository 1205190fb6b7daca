"""A release's assets, an endpoint on the loopback interface that can be broken, and events."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from api.app import Api
from api.environment import ApiEnvironment, Serving
from container.inference import Inference
from mlsystem.errors import RequestError
from mlsystem.predictor import read_model
from mlsystem.problems import problem

RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
KEY = "churn-p-1"
BUCKET = f"{KEY}-data"
ENDPOINT = f"{KEY}-prod-5b1f3-c0ffee00"
REQUEST_ID = "0aa3ba8c-72a8-4f0d-a4d5-2d3c1f9c7f0e"
JSON = "application/json"

Asked = tuple[dict[str, str], bytes]
Answered = tuple[int, dict[str, str], bytes]
Answer = Callable[[Asked], Answered | None]


def _event(
    body: str | None = None,
    path: str = "/predict",
    method: str = "POST",
    **headers: str,
) -> dict[str, Any]:
    """A request as API Gateway hands it on; ``content_type`` is JSON unless given."""
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": JSON, **given} if body is not None else given,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {"requestId": REQUEST_ID, "stage": "live"},
    }


def model_error(status: int, message: str = "") -> Answered:
    """What InvokeEndpoint answers when the container does not answer with 200."""
    body = {"OriginalStatusCode": status, "OriginalMessage": message, "Message": "Received error"}
    return 424, {"x-amzn-ErrorType": "ModelError"}, json.dumps(body).encode()


class Endpoint:
    """A SageMaker endpoint that answers as the container does; `answer` may be set to break it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.inference: Inference | None = None
        self.answer: Answer = self.predict
        self.statuses = ["InService"]
        """One for each time that it is asked for; the last stays."""
        self.failure_reason = "it ran out of memory"
        self.capture: dict[str, Any] | None = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{BUCKET}/releases/{RELEASE}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }

    def invoke(self, headers: dict[str, str], body: bytes) -> Answered | None:
        self.asked.append((headers, body))
        return self.answer((headers, body))

    def predict(self, asked: Asked) -> Answered:
        headers, body = asked
        assert self.inference is not None
        try:
            exchange = self.inference.agree(
                headers["content-type"].encode(), headers["accept"].encode()
            )
            (answer,) = self.inference.answer(exchange, [body])
        except RequestError as error:
            return model_error(error.status, problem(error.status, str(error)).decode())
        return 200, {"Content-Type": exchange.content_type.decode()}, answer.body


class Account:
    """The few operations of AWS that image 2 calls, on the loopback interface."""

    def __init__(self) -> None:
        self.endpoint = Endpoint()
        self.objects: dict[str, bytes] = {}
        self.functions: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.hooks: list[dict[str, Any]] = []
        self.refusal = "LifecycleEventAlreadyCompletedException"  # of every report but the first
        self.messages: list[dict[str, str]] = []
        self.responses: list[dict[str, Any]] = []
        """What CloudFormation was told."""
        self.refused: set[str] = set()
        """Operations that are denied."""
        account = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): text for name, text in self.headers.items()}
                answered = account.route(self.command, self.path, headers, body)
                if answered is None:
                    self.close_connection = True
                    return
                status, headers, content = answered
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # nobody waited
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def route(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Answered | None:
        path, _, query = target.partition("?")
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if path.startswith("/endpoints/"):
            return self.endpoint.invoke(headers, body)
        if path.startswith("/cloudformation/"):
            assert "content-type" not in headers or not headers["content-type"]
            self.responses.append({**json.loads(body), "bytes": len(body)})
            return 200, {}, b""
        if path.endswith("/invocations"):
            return self._invoke(unquote(path.split("/")[3]), json.loads(body))
        if operation:
            return self._operation(operation, json.loads(body))
        if b"Action=Publish" in body:
            return self._publish({k: v[0] for k, v in parse_qs(body.decode()).items()})
        return self._s3(method, unquote(path).lstrip("/"), query, body)

    def _invoke(self, function: str, event: dict[str, Any]) -> Answered:
        try:
            answer = self.functions[function](event)
        except Exception as error:
            crash = {"errorMessage": str(error), "errorType": type(error).__name__}
            return 200, {"X-Amz-Function-Error": "Unhandled"}, json.dumps(crash).encode()
        return 200, {}, json.dumps(answer).encode()

    def _operation(self, operation: str, given: dict[str, Any]) -> Answered:
        answer: dict[str, Any] = {}
        if operation in self.refused:
            code = {"__type": "AccessDeniedException", "message": "denied"}
            return 400, {}, json.dumps(code).encode()
        if operation == "DescribeEndpoint":
            statuses = self.endpoint.statuses
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            answer = {"EndpointStatus": status, "EndpointConfigName": "config"}
            if status == "Failed":
                answer["FailureReason"] = self.endpoint.failure_reason
        elif operation == "DescribeEndpointConfig":
            answer = {"DataCaptureConfig": self.endpoint.capture or {"EnableCapture": False}}
        else:
            assert operation == "PutLifecycleEventHookExecutionStatus"
            if self.hooks:
                code = {"__type": self.refusal, "message": "completed"}
                return 400, {}, json.dumps(code).encode()
            self.hooks.append(given)
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()

    def _publish(self, given: dict[str, str]) -> Answered:
        self.messages.append(given)
        result = "<PublishResult><MessageId>1</MessageId></PublishResult>"
        return 200, {}, f"<PublishResponse>{result}</PublishResponse>".encode()

    def _s3(self, method: str, path: str, query: str, body: bytes) -> Answered:
        if method == "PUT":
            self.objects[path] = body
            return 200, {}, b""
        if "list-type" in query:
            prefix = f"{path.rstrip('/')}/{parse_qs(query).get('prefix', [''])[0]}"
            found = "".join(
                f"<Contents><Key>{key.partition('/')[2]}</Key>"
                f"<ETag>{hash(content)}</ETag><Size>{len(content)}</Size></Contents>"
                for key, content in self.objects.items()
                if key.startswith(prefix)
            )
            return 200, {}, f"<ListBucketResult>{found}</ListBucketResult>".encode()
        if path not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"
        return 200, {}, self.objects[path]


@pytest.fixture(scope="session")
def event() -> Callable[..., dict[str, Any]]:
    return _event


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    made = Account()
    for name, value in {
        "AWS_ENDPOINT_URL": made.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.stop()


@dataclass
class Served:
    """An API, what it wrote, and the endpoint behind it."""

    api: Api
    serving: Serving
    endpoint: Endpoint
    environment: ApiEnvironment
    lines: list[str] = field(default_factory=list)

    def ask(self, asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the answer to an event, and the record it left."""
        before = len(self.lines)
        answer = self.api.answer(asked)
        (line,) = self.lines[before:]
        assert "\n" not in line
        return answer, json.loads(line)


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path, account: Account, save_model: Callable[..., Any]) -> Serve:
    """Start the API of a model (see the fixture `save_model`) in one of the serving modes."""

    def start(
        serving: Serving = "endpoint",
        max_instances: int = 1000,
        timeout_seconds: int = 20,
        **model: Any,
    ) -> Served:
        environment = ApiEnvironment(
            project_key=KEY,
            release=RELEASE,
            serving=serving,
            endpoint_name=ENDPOINT if serving == "endpoint" else "",
            assets_dir=tmp_path,
            timeout_seconds=timeout_seconds,
            max_instances=max_instances,
        )
        save_model(environment.folder, **model)
        endpoint = account.endpoint
        endpoint.inference = Inference(*read_model(environment.folder))
        lines: list[str] = []
        return Served(Api(environment, write=lines.append), serving, endpoint, environment, lines)

    return start
