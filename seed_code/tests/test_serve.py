"""``serve`` as SageMaker runs it: real nginx, real gunicorn, on the loopback interface."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from container.cpus import available_cpus
from container.gunicorn_conf import WholeResponses
from mlsystem import artifacts
from mlsystem.artifacts import ModelContract

CODE = Path(__file__).parent.parent
CSV = {"Content-Type": "text/csv"}
DEADLINE_SECONDS = 60


def _until(condition: Callable[[], Any]) -> Any:
    """Return what `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Endpoint:
    """A running ``python -m container serve``."""

    def __init__(self, base: Path, **environment: str) -> None:
        self.base = base
        self.port = _free_port()
        self.log = base / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "container", "serve"],
                cwd=base,
                env={
                    **os.environ,
                    "PYTHONPATH": str(CODE),
                    "SAGEMAKER_BASE_DIR": str(base),
                    "SAGEMAKER_BIND_TO_PORT": str(self.port),
                    "SERVE_HOST": "127.0.0.1",
                    **environment,
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def failure(self) -> str:
        """Return what SageMaker would show; ends when the process has."""
        assert self.process.wait(DEADLINE_SECONDS) == 1
        return (self.base / "output" / "failure").read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def status(self) -> int | None:
        """Return the status of the health check; None when nobody listens."""
        try:
            return self.ask("GET", "/ping")[0]
        except ConnectionRefusedError:
            return None

    def wait_until_ready(self) -> None:
        seen = set()

        def is_ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            seen.add(self.status())
            return 200 in seen

        _until(is_ready)
        assert seen <= {None, 503, 200}
        parameters = json.loads(self.ask("GET", "/execution-parameters")[2])
        self.n_workers = parameters["MaxConcurrentTransforms"]
        _until(lambda: len(self.workers("gunicorn")) == self.n_workers)

    def workers(self, server: str) -> list[int]:
        """Return the ids of the processes that `server` (nginx or gunicorn) forked."""
        return _children(self.server(server))

    def server(self, name: str) -> int:
        """Return the id of the main process of nginx or gunicorn."""
        return next(
            child
            for child in _children(self.process.pid)
            if name in Path(f"/proc/{child}/cmdline").read_text()
        )


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@contextmanager
def _serving(base: Path, **environment: str) -> Iterator[Endpoint]:
    endpoint = Endpoint(base, **environment)
    try:
        endpoint.wait_until_ready()
        yield endpoint
    finally:
        _end(endpoint)


def _end(endpoint: Endpoint) -> None:
    """End the whole session, as a container's end does."""
    with suppress(ProcessLookupError):
        os.killpg(endpoint.process.pid, signal.SIGKILL)
    endpoint.process.wait()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, save_model) -> Iterator[Endpoint]:
    base = tmp_path_factory.mktemp("base")
    save_model(base / "model")
    with _serving(base) as endpoint:
        yield endpoint


@pytest.fixture
def base(tmp_path: Path, save_model) -> Path:
    save_model(tmp_path / "model")
    return tmp_path


# --- answers ------------------------------------------------------------------------------------


def test_answers_through_the_whole_stack(endpoint: Endpoint) -> None:
    status, headers, body = endpoint.ask(
        "POST", "/invocations", {**CSV, "Accept": "application/json"}, b"0,0,new\n"
    )
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"predictions": [{"score": 0.5, "predicted_label": "yes"}]}
    assert headers["X-Unknown-Categories"] == "1"
    assert headers["Server"] == "nginx"  # no version


def test_has_a_worker_for_each_cpu_and_tells_batch_transform(endpoint: Endpoint) -> None:
    assert endpoint.n_workers == available_cpus()


def _problem(response: tuple[int, http.client.HTTPMessage, bytes], status: int) -> str:
    assert response[0] == status
    assert response[1]["Content-Type"] == "application/problem+json"
    problem = json.loads(response[2])
    assert problem["status"] == status
    return problem["detail"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_refuses_a_byte_more_than_6_mb(endpoint: Endpoint, is_chunked: bool) -> None:
    body = b"1" * (6 * 1024 * 1024 + 1)
    content = iter([body]) if is_chunked else body
    response = endpoint.ask("POST", "/invocations", CSV, content)
    assert "more than 6,291,456 bytes" in _problem(response, 413)


def test_refuses_other_paths_methods_and_types(endpoint: Endpoint) -> None:
    assert "unknown" in _problem(endpoint.ask("GET", "/models"), 404)
    assert "POST" in _problem(endpoint.ask("PUT", "/invocations"), 405)
    assert "Method" in _problem(endpoint.ask("TRACE", "/ping"), 405)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert "text/csv" in _problem(endpoint.ask("POST", "/invocations", form, b"1"), 415)
    assert "Accept" in _problem(
        endpoint.ask("POST", "/invocations", {**CSV, "Accept": "text/html"}, b"1"), 406
    )


_TWO_LENGTHS = (
    b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"this is not HTTP\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (_TWO_LENGTHS, 400),
    ],
)
def test_refuses_what_is_not_http(endpoint: Endpoint, request_: bytes, status: int) -> None:
    with endpoint.connect() as connection:
        connection.sendall(request_)
        response = http.client.HTTPResponse(connection)
        response.begin()
        _problem((response.status, response.headers, response.read()), status)


def test_what_a_client_sends_never_becomes_a_header(endpoint: Endpoint) -> None:
    with endpoint.connect() as connection:
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Content-Type: text/csv%0d%0aX-Evil: 1\r\nAccept: */*\rX-Evil: 1\r\n\r\n1"
        )
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status in (400, 415)
        assert "X-Evil" not in response.headers


def test_slow_clients_do_not_keep_others_waiting(endpoint: Endpoint) -> None:
    slow = [endpoint.connect() for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 9\r\n\r\n1,2"
            )
        assert endpoint.status() == 200
        assert endpoint.ask("POST", "/invocations", CSV, b"0,0,low")[2] == b"0.5\n"
    finally:
        for connection in slow:
            connection.close()


def test_values_never_reach_the_log(endpoint: Endpoint) -> None:
    before = endpoint.log.stat().st_size
    for body in (b"1,secret,low", b"1,2,secret", b"secret" * 2_000_000):
        endpoint.ask("POST", "/invocations", CSV, body)
    logged = _until(lambda: endpoint.log.read_bytes()[before:])
    assert b"unknown_categories" in logged
    assert b"too large body" in logged
    assert b"secret" not in logged


# --- rights -------------------------------------------------------------------------------------


def test_requests_are_handled_without_the_rights_of_root(endpoint: Endpoint) -> None:
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()

    def users() -> set[int]:
        workers = endpoint.workers("nginx") + endpoint.workers("gunicorn")
        return {Path(f"/proc/{worker}").stat().st_uid for worker in workers}

    # One that has only just been forked has the rights of its master, and no request yet.
    _until(lambda: users() == {user})


@pytest.mark.exhaustive
def test_workers_import_nothing_after_the_fork() -> None:
    # As `nobody`, they may not have the right to read the libraries: root's virtual environment,
    # for instance. So all that a request can touch is imported by the master.
    script = """
import asyncio, sys
import container.app, container.gunicorn_conf
from uvicorn.config import Config
from test_app import CSV, JSON, Server
from test_requests import _npy
from conftest import _save_model
import pathlib, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
_save_model(folder, categories=())
app = container.app.Application(*container.app.read_model(folder), n_workers=1)
before = set(sys.modules)
Config(app, log_config=None, **container.gunicorn_conf.Worker.CONFIG_KWARGS).load()
async def main():
    server = Server(app)
    await server.start()
    for headers in (CSV, JSON, {"content-type": "application/x-npy"},
                    {"content-type": "application/jsonlines", "accept": "a/b"},
                    {"content-type": "text/csv; header=present"}):
        for body in (b"1,2", b"1,nan", b'[[1, 2]]', _npy([[1.0, 2.0]]), b"\\xff", b"z,y\\n1,2",
                     b"1,2\\n" * 20_000, b"3e38,3e38\\n"):
            await server.send("POST", "/invocations", headers, body)
    await server.send("GET", "/ping", {}, b"")
    await server.send("GET", "/nowhere", {}, b"")
    app._inference._predictor.predict = None
    await server.send("POST", "/invocations", CSV, b"1,2")
    await server.stop()
import uvloop
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
print(sorted(set(sys.modules) - before))
"""
    output = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{CODE}:{CODE / 'tests'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_SECONDS,
    ).stdout
    assert output.splitlines()[-1] == "[]"


# --- staying up, and going down -----------------------------------------------------------------


@pytest.mark.exhaustive
def test_no_request_fails_while_workers_are_killed(endpoint: Endpoint) -> None:
    stop, failures, n_answers = threading.Event(), [], [0] * 8

    def load(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
        path, body = ("/ping", None) if client == 0 else ("/invocations", b"0,0,low\n" * client)
        while not stop.is_set():
            try:
                connection.request("GET" if body is None else "POST", path, body, CSV)
                response = connection.getresponse()
                answer = response.read()
                if response.status != 200 or answer != b"0.5\n" * client:
                    failures.append((response.status, answer))
                n_answers[client] += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=load, args=(client,)) for client in range(len(n_answers))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            # The one with the most connections, stopped first: it dies with requests in its hands.
            killed = max(endpoint.workers("gunicorn"), key=_count_files)
            os.kill(killed, signal.SIGSTOP)
            _until_some_are_stuck(n_answers)
            answered = sum(n_answers)
            os.kill(killed, signal.SIGKILL)
            _until(lambda killed=killed: killed not in endpoint.workers("gunicorn"))
            _until(lambda: len(endpoint.workers("gunicorn")) == endpoint.n_workers)
            _until(lambda answered=answered: sum(n_answers) > answered + 200)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert min(n_answers) > 0


def _count_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def _until_some_are_stuck(n_answers: list[int]) -> None:
    """Wait until a client has got no answer for a while, which is nearly always at once."""
    begun = time.monotonic()
    since = [(time.monotonic(), count) for count in n_answers]

    def is_stuck() -> bool:
        now = time.monotonic()
        for client, count in enumerate(n_answers):
            if count != since[client][1]:
                since[client] = (now, count)
        return now - begun > 5 or any(now - start > 0.3 for start, _ in since)

    _until(is_stuck)


def test_a_response_is_written_in_one_piece() -> None:
    # What a worker has written when it is killed is a whole response, or none.
    class Transport:
        def __init__(self) -> None:
            self.written: list[bytes] = []
            self.is_open = True

        def write(self, data: bytes) -> None:
            assert self.is_open
            self.written.append(data)

        def close(self) -> None:
            self.is_open = False

        def is_closing(self) -> bool:
            return not self.is_open

    async def scenario() -> None:
        inner = Transport()
        transport = WholeResponses(inner)
        transport.write(b"head 1, ")
        transport.write(b"body 1")
        assert inner.written == []
        await asyncio.sleep(0)
        transport.write(b"head 2")
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()
        await asyncio.sleep(0)
        assert inner.written == [b"head 1, body 1", b"head 2"]

    asyncio.run(scenario())


@pytest.mark.exhaustive
def test_finishes_what_it_has_begun_when_it_is_told_to_stop(base: Path) -> None:
    with _serving(base) as endpoint, endpoint.connect() as connection:
        nginx = Path(f"/proc/{endpoint.server('nginx')}/cmdline").read_text().split()
        folder = Path(nginx[nginx.index("-p") + 1])
        assert folder.is_dir()
        body = b"0,0,low\n" * 1000
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body[:4000]
        )
        assert endpoint.status() == 200  # so nginx has seen the beginning of the request, too
        endpoint.process.terminate()
        _until(lambda: endpoint.status() is None)
        connection.sendall(body[4000:])
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.read() == b"0.5\n" * 1000
        connection.close()
        assert endpoint.process.wait(30) == 0
        assert not folder.exists()
        assert not (base / "output").exists()


@pytest.mark.exhaustive
@pytest.mark.parametrize("server", ["nginx", "gunicorn"])
def test_ends_when_a_server_ends(base: Path, server: str) -> None:
    with _serving(base) as endpoint:
        os.kill(endpoint.server(server), signal.SIGKILL)
        assert f"serve: {server} ended with code -9; both servers run" in endpoint.failure


# --- not starting -------------------------------------------------------------------------------


def _failure(base: Path, **environment: str) -> str:
    endpoint = Endpoint(base, **environment)
    try:
        return endpoint.failure
    finally:
        _end(endpoint)


@pytest.mark.exhaustive
def test_a_taken_port_is_named(base: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert _failure(base, SAGEMAKER_BIND_TO_PORT=str(port)) == (
            f"serve on 127.0.0.1:{port}: the port is taken; an address to listen on. "
            "Stop what listens there, or set SAGEMAKER_BIND_TO_PORT and SERVE_HOST."
        )


@pytest.mark.exhaustive
@pytest.mark.parametrize("port", ["", "http", "0", "65536", "80 80"])
def test_a_port_that_is_none_is_named(base: Path, port: str) -> None:
    message = f"SAGEMAKER_BIND_TO_PORT: {port!r}; a port, 1 to 65535."
    assert _failure(base, SAGEMAKER_BIND_TO_PORT=port) == message


@pytest.mark.exhaustive
def test_an_address_of_another_machine_is_named(base: Path) -> None:
    assert "serve on 192.0.2.1:" in _failure(base, SERVE_HOST="192.0.2.1")


def test_a_missing_model_ends_it(base: Path) -> None:
    (base / "model" / "model.json").unlink()
    assert "model.json" in _failure(base)


@pytest.mark.exhaustive
def test_another_models_graph_ends_it(base: Path) -> None:
    (base / "model" / "model.onnx").write_bytes(b"")
    assert "Deploy both files of one model." in _failure(base)


@pytest.mark.exhaustive
def test_a_graph_that_is_no_graph_ends_it(base: Path) -> None:
    (base / "model" / "model.onnx").write_bytes(b"\0" * 100)
    contract = artifacts.read(ModelContract, base / "model" / "model.json")
    digest = hashlib.sha256(b"\0" * 100).hexdigest()
    artifacts.write(
        dataclasses.replace(contract, onnx_sha256=digest), base / "model" / "model.json"
    )
    assert "Train the model again." in _failure(base)
