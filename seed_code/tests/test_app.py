"""The application as a server sees it: ASGI messages in, ASGI messages out."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from container.app import MAX_BODY_BYTES, Application, create
from mlsystem.errors import ArtifactError
from mlsystem.predictor import read_model

CSV = {"content-type": "text/csv"}
JSON = {"content-type": "application/json"}


class Response:
    """What the application sent."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start, body = messages
        assert start["type"] == "http.response.start"
        assert body["type"] == "http.response.body"
        self.status = start["status"]
        self.headers = dict(start["headers"])
        self.body = body["body"]
        assert self.headers[b"content-length"] == b"%d" % len(self.body)

    @property
    def detail(self) -> str:
        assert self.headers[b"content-type"] == b"application/problem+json"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert set(problem) == {"type", "title", "status", "detail"}
        return problem["detail"]


class Server:
    """Drives an application as uvicorn does."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def start(self) -> dict[str, Any]:
        self._lifespan: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await self._lifespan.put({"type": "lifespan.startup"})
        self._task = asyncio.create_task(
            self.app({"type": "lifespan"}, self._lifespan.get, answers.put)
        )
        return await answers.get()

    async def stop(self) -> None:
        await self._lifespan.put({"type": "lifespan.shutdown"})
        await self._task

    async def send(
        self, method: str, path: str, headers: dict[str, str], *parts: bytes, gone: bool = False
    ) -> list[dict[str, Any]]:
        messages = [
            {"type": "http.request", "body": part, "more_body": gone or part is not parts[-1]}
            for part in parts
        ]
        if gone:
            messages.append({"type": "http.disconnect"})
        incoming, sent = iter(messages), []

        async def receive() -> dict[str, Any]:
            return next(incoming)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await self.app(scope, receive, send)
        return sent


@pytest.fixture
def folder(tmp_path: Path, save_model: Callable[..., Any]) -> Path:
    save_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def run(folder: Path) -> Callable[..., Any]:
    """Run a coroutine function of a started server."""

    def run(scenario: Callable[[Server], Awaitable[Any]]) -> Any:
        async def body() -> Any:
            server = Server(Application(*read_model(folder), n_workers=3))
            assert await server.start() == {"type": "lifespan.startup.complete"}
            try:
                return await scenario(server)
            finally:
                await server.stop()

        return asyncio.run(body())

    return run


@pytest.fixture
def ask(run: Callable[..., Any]) -> Callable[..., Response]:
    """Send one request."""

    def ask(*request: Any) -> Response:
        async def scenario(server: Server) -> Response:
            return Response(await server.send(*request))

        return run(scenario)

    return ask


# --- answers ------------------------------------------------------------------------------------


def test_answers_csv_with_csv(ask) -> None:
    response = ask("POST", "/invocations", CSV, b"0,0,low\n1,,high\n")
    assert response.status == 200
    assert response.headers[b"content-type"] == b"text/csv"
    assert b"x-unknown-categories" not in response.headers
    assert [float(line) for line in response.body.split()] == pytest.approx([0.5, 0.880797])


def test_answers_in_the_accepted_type(ask) -> None:
    response = ask(
        "POST", "/invocations", {**CSV, "accept": "application/jsonlines"}, b"0,0,low\n0,0,\n"
    )
    assert response.headers[b"content-type"] == b"application/jsonlines"
    line = b'{"score":0.5,"predicted_label":"yes"}\n'
    assert response.body == line * 2


def test_reads_a_body_in_parts(ask) -> None:
    response = ask("POST", "/invocations", JSON, b'{"instances": [[0, ', b"0, ", b'"low"]]}')
    assert json.loads(response.body) == {"predictions": [{"score": 0.5, "predicted_label": "yes"}]}


def test_counts_unknown_categories(ask, capfd) -> None:
    response = ask("POST", "/invocations", CSV, b"0,0,secret-a\n0,0,low\n0,0,secret-b\n")
    assert response.status == 200
    assert response.headers[b"x-unknown-categories"] == b"2"
    logged = capfd.readouterr().err
    assert json.loads(logged)["unknown_categories"] == 2
    assert "secret" not in logged


def test_small_inline_and_large_bodies_get_the_same_answers(ask) -> None:
    for n_rows in (1, 400, 20_000):
        response = ask("POST", "/invocations", CSV, b"1,-1,low\n" * n_rows)
        assert response.body == b"0.5\n" * n_rows


def test_answers_the_health_check_while_a_large_body_is_predicted(run) -> None:
    async def scenario(server: Server) -> None:
        inference = server.app._inference
        predict = inference._predictor.predict
        reached, go_on = threading.Event(), threading.Event()

        def wait(numbers: Any, categories: Any) -> Any:
            if len(numbers) > 1:
                reached.set()
                assert go_on.wait(20)
            return predict(numbers, categories)

        inference._predictor.predict = wait
        large = asyncio.create_task(
            server.send("POST", "/invocations", CSV, b"1,-1,low\n" * 20_000)
        )
        await asyncio.to_thread(reached.wait, 20)
        assert Response(await server.send("GET", "/ping", {}, b"")).status == 200
        assert not large.done()
        go_on.set()
        assert Response(await large).body == b"0.5\n" * 20_000

    run(scenario)


def test_requests_at_the_same_moment_are_predicted_together_and_answered_apart(run) -> None:
    async def scenario(server: Server) -> None:
        predictor = server.app._inference._predictor
        predict, sizes = predictor.predict, []

        def record(numbers: Any, categories: Any) -> Any:
            sizes.append(len(numbers))
            return predict(numbers, categories)

        predictor.predict = record
        requests = [
            (CSV, b"0,0,low\n", 200, b"0.5\n"),
            (CSV, b"0,0,new\n1,-1,low\n", 200, b"0.5\n0.5\n"),
            (CSV, b"0,zero,low\n", 400, None),
            ({**CSV, "accept": "application/jsonlines"}, b"-2,,high\n", 200, None),
            (CSV, b"3e38,3e38,low\n", 422, None),
        ]
        responses = [
            Response(each)
            for each in await asyncio.gather(
                *(server.send("POST", "/invocations", head, body) for head, body, _, _ in requests)
            )
        ]
        for response, (_, _, status, body) in zip(responses, requests, strict=True):
            assert response.status == status
            assert body in (None, response.body)
        assert responses[1].headers[b"x-unknown-categories"] == b"1"
        assert b"x-unknown-categories" not in responses[0].headers
        assert "row 1, column 'y': 'zero'" in responses[2].detail
        assert b'"predicted_label":"no"' in responses[3].body
        assert "row 1: a prediction that is not a finite number" in responses[4].detail

        sizes.clear()
        await asyncio.gather(
            *(server.send("POST", "/invocations", CSV, b"0,0,low\n") for _ in range(10))
        )
        assert sizes == [10]

    run(scenario)


def test_execution_parameters(ask) -> None:
    response = ask("GET", "/execution-parameters", {}, b"")
    assert json.loads(response.body) == {
        "MaxConcurrentTransforms": 3,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (("POST", "/invocations", CSV, b""), 400, "body: 0 rows; at least one."),
        (("POST", "/invocations", CSV, b"1,2\n"), 400, "row 1: 2 values; 3, one per feature."),
        (("POST", "/invocations", {}, b"1"), 415, "Content-Type: ''; one of text/csv, application"),
        (
            ("POST", "/invocations", {**CSV, "accept": "image/png"}, b"1"),
            406,
            "Accept: 'image/png'",
        ),
        (
            ("POST", "/invocations", {**CSV, "content-encoding": "gzip"}, gzip.compress(b"1,2,a")),
            415,
            "Content-Encoding: 'gzip'; none: a plain body.",
        ),
        (
            ("POST", "/invocations", CSV, b"1" * (MAX_BODY_BYTES + 1)),
            413,
            "body: more than 6,291,456 bytes; fewer. Send fewer rows at a time.",
        ),
        (
            ("POST", "/invocations", CSV, b"1" * MAX_BODY_BYTES, b"1"),
            413,
            "body: more than 6,291,456 bytes; fewer. Send fewer rows at a time.",
        ),
        (("GET", "/invocations", {}, b""), 405, "/invocations: GET; POST."),
        (("DELETE", "/ping", {}, b""), 405, "/ping: DELETE; GET."),
        (("GET", "/", {}, b""), 404, "Path: unknown; one of /ping, /invocations"),
        (("POST", "/invocations/", CSV, b"1"), 404, "Path: unknown"),
    ],
)
def test_refuses(ask, request_: tuple, status: int, detail: str) -> None:
    response = ask(*request_)
    assert response.status == status
    assert response.detail.startswith(detail)
    if status == 405:
        assert response.headers[b"allow"].decode() in response.detail


def test_exactly_the_largest_body_is_read(ask) -> None:
    row = b"1,2,%b\n" % (b"x" * 99_995)
    body = row * (MAX_BODY_BYTES // len(row))
    body += b"1,2,".ljust(MAX_BODY_BYTES - len(body), b"x")
    assert len(body) == MAX_BODY_BYTES
    assert ask("POST", "/invocations", CSV, body).status == 200


def test_logs_where_but_never_a_value(ask, capfd) -> None:
    ask("POST", "/invocations", CSV, b"1,secret-1,low\n")
    ask("POST", "/invocations", JSON, b'[{"x": 1, "y": 2, "secret-2": 3}]')
    ask("POST", "/invocations", {"content-type": "secret-3"}, b"1,2,secret-4\n")
    ask("POST", "/invocations", JSON, b'{"secret-5": 1}')
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["status"] for line in lines] == [400, 400, 415, 400]
    assert lines[0]["where"] == "row 1, column 'y'"
    assert lines[0]["required"] == "a number"
    assert "secret" not in json.dumps(lines)


def test_a_failing_model_is_a_500_and_no_health(run, capfd) -> None:
    async def scenario(server: Server) -> None:
        def fail(numbers: Any, categories: Any) -> Any:
            raise RuntimeError("secret")

        server.app._inference._predictor.predict = fail
        responses = [
            Response(each)
            for each in await asyncio.gather(
                server.send("POST", "/invocations", CSV, b"1,2,high\n"),
                server.send("POST", "/invocations", CSV, b"1,2,high\n"),
                server.send("POST", "/invocations", CSV, b"1,2,high\n" * 10_000),
            )
        ]
        assert [response.status for response in responses] == [500, 500, 500]
        assert responses[0].detail == "The endpoint's log says why."
        assert Response(await server.send("GET", "/ping", {}, b"")).status == 503

    run(scenario)
    logged = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["error"] for line in logged] == ["RuntimeError"] * 3
    assert logged[0]["at"][-1].endswith(" fail")
    assert "secret" not in json.dumps(logged)


def test_a_client_that_has_gone_gets_no_answer(run, capfd) -> None:
    async def scenario(server: Server) -> list[dict[str, Any]]:
        return await server.send("POST", "/invocations", CSV, b"1,", gone=True)

    assert run(scenario) == []
    assert capfd.readouterr().err == ""


# --- start --------------------------------------------------------------------------------------


def test_nothing_is_answered_before_the_model_is_there(folder: Path) -> None:
    server = Server(Application(*read_model(folder), n_workers=1))
    for method, path in (("GET", "/ping"), ("POST", "/invocations")):
        response = Response(asyncio.run(server.send(method, path, CSV, b"1,2,low")))
        assert response.status == 503
        assert response.detail == "The model is being loaded."


def test_a_model_that_cannot_be_opened_fails_the_start(folder: Path) -> None:
    contract, _ = read_model(folder)

    async def scenario() -> dict[str, Any]:
        return await Server(Application(contract, b"no ONNX", n_workers=1)).start()

    message = asyncio.run(scenario())
    assert message["type"] == "lifespan.startup.failed"
    assert "model.onnx" in message["message"]


def test_is_made_of_what_sagemaker_put_in_place(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(folder.parent))
    monkeypatch.setenv("WEB_CONCURRENCY", "5")
    response = Response(
        asyncio.run(_started_and_asked(create(), "GET", "/execution-parameters", {}, b""))
    )
    assert json.loads(response.body)["MaxConcurrentTransforms"] == 5
    (folder / "model.json").unlink()
    with pytest.raises(ArtifactError, match=r"model\.json"):
        create()


async def _started_and_asked(app: Application, *request: Any) -> list[dict[str, Any]]:
    server = Server(app)
    await server.start()
    try:
        return await server.send(*request)
    finally:
        await server.stop()
