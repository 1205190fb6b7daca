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

import pytest

from api.app import Api
from api.environment import ApiEnvironment, Serving
from container.inference import Inference
from mlsystem.errors import RequestError
from mlsystem.predictor import read_model
from mlsystem.problems import problem

RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
KEY = "churn-p-1"
ENDPOINT = f"{KEY}-prod-5b1f3-c0ffee00"
REQUEST_ID = "0aa3ba8c-72a8-4f0d-a4d5-2d3c1f9c7f0e"
JSON = "application/json"
CSV = "text/csv"
LINES = "application/jsonlines"

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
    """InvokeEndpoint on the loopback interface; `answer` may be set to break it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.inference: Inference | None = None
        self.answer: Answer = self.predict
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = ({name.lower(): text for name, text in self.headers.items()}, body)
                endpoint.asked.append(asked)
                answered = endpoint.answer(asked)
                if answered is None:
                    self.close_connection = True
                    return
                status, headers, content = answered
                self.reply(status, headers, content)

            def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # nobody waited
                    self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def predict(self, asked: Asked) -> Answered:
        """Answer as the container does."""
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

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def event() -> Callable[..., dict[str, Any]]:
    return _event


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    made = Endpoint()
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
def serve(tmp_path: Path, endpoint: Endpoint, save_model: Callable[..., Any]) -> Serve:
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
        endpoint.inference = Inference(*read_model(environment.folder))
        lines: list[str] = []
        return Served(Api(environment, write=lines.append), serving, endpoint, environment, lines)

    return start
