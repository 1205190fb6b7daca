"""The API's function: how long it takes to start, and what it adds to an endpoint's answer.

Everything runs in image 2, as ``python -m local_cloud.images build`` makes it, with Lambda's own
runtime client (``awslambdaric``) in a process of its own, against a Runtime API on the loopback
address.

``import`` is what importing the handler takes, ``first answer`` what it and the first prediction
take together: a cold start without what Lambda adds. ``endpoint`` is InvokeEndpoint as a client
asks it directly: one row, the project's XGBoost model on 20 numbers, in this process. ``api`` is
the same question as an event of API Gateway's, answered by the function that asks that endpoint;
``lambda`` by the function that predicts itself. They take turns.

``stack`` is the whole way in the local cloud, through a project's production stack: a signed
request to API Gateway, the function, InvokeEndpoint, an instance of image 1; beside it the same
question asked of InvokeEndpoint, and of the endpoint's instances themselves.

Run it: ``python -m bench.api``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.production import Production, share_images
from bench.serving import machine, make_subject
from container.inference import Inference
from local_cloud.cloud import LocalCloud
from local_cloud.images import STORE, Image, build
from local_cloud.sagemaker import address
from mlsystem.predictor import read_model

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results" / "api.json"

MOST_IMPORT_MS = 150.0
MOST_OVERHEAD_MS = 5.0

RELEASE = "bench"
PATH = "/endpoints/bench/invocations"
_JSON = "application/json"
HEADERS = {"Content-Type": _JSON, "Accept": _JSON}

_TIMED = """
import json, sys, time
started = time.perf_counter()
from api.app import handler
imported = time.perf_counter()
answer = handler(json.loads(sys.argv[1]), None)
answered = time.perf_counter()
assert answer["statusCode"] == 200, answer
print((imported - started) * 1000, (answered - started) * 1000)
"""


class _Handler(BaseHTTPRequestHandler):
    """One connection; `answer` takes method, path and body, and gives headers and body."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        status, headers, body = self.server.answer(self.path, self.rfile.read(size))
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def listening(answer: Callable[[str, bytes], tuple[int, dict[str, str], bytes]]) -> Iterator[int]:
    """Serve `answer` on a port of the loopback address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.answer = answer
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a function that ends closes its connection
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class RuntimeApi:
    """The Lambda Runtime API for one process: events in, answers out, one at a time."""

    def __init__(self) -> None:
        self._events: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return what the process gets that asks for `path`."""
        if path.endswith("/next"):
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": "1",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 10_000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:0:function:bench",
                "Lambda-Runtime-Trace-Id": "Root=1-0-0;Sampled=0",
            }
            return 200, headers, self._events.get()
        self._answers.put(json.loads(body))
        return 202, {}, b""

    def invoke(self, event: bytes) -> dict[str, Any]:
        """Return the function's answer to `event`."""
        self._events.put(event)
        answer = self._answers.get(timeout=30)
        assert answer["statusCode"] == http.HTTPStatus.OK, answer
        return answer


# --- the image ----------------------------------------------------------------------------------


def environment(image: Image, serving: str, assets: Path, port: int) -> dict[str, str]:
    """Return the variables of the function."""
    return image.environment() | {
        "PROJECT_KEY": "bench", "RELEASE": RELEASE, "SERVING": serving, "ENDPOINT_NAME": "bench",
        "ASSETS_DIR": str(assets), "TIMEOUT_SECONDS": "10", "MAX_INSTANCES": "1000",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench",
    }  # fmt: skip


def start_times(image: Image, variables: dict[str, str], event: bytes, rounds: int) -> list[float]:
    """Return the medians of importing the handler and of the first answer, milliseconds."""
    command = image.command([_TIMED, event.decode()], entrypoint=["python", "-c"])
    times = []
    for _ in range(rounds):
        done = subprocess.run(
            command, env=variables, cwd=image.workdir, check=True, capture_output=True, text=True
        )
        times.append([float(word) for word in done.stdout.splitlines()[-1].split()])
    return [statistics.median(column) for column in zip(*times, strict=True)]


@contextmanager
def function(image: Image, variables: dict[str, str]) -> Iterator[RuntimeApi]:
    """Run the handler in Lambda's own runtime client."""
    runtime = RuntimeApi()
    with listening(runtime.answer) as port:
        process = subprocess.Popen(
            image.command(),
            env={**variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
            cwd=image.workdir,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield runtime
        finally:
            process.kill()
            process.wait()


# --- overhead -----------------------------------------------------------------------------------


def latencies(ask: dict[str, Callable[[], Any]], n_requests: int) -> dict[str, float]:
    """Return the median milliseconds of each, in turns."""
    times: dict[str, list[float]] = {name: [] for name in ask}
    for index in range(n_requests + 20):
        for name, each in ask.items():
            started = time.perf_counter()
            each()
            if index >= 20:  # warm
                times[name].append((time.perf_counter() - started) * 1000)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}


def main() -> int:
    """Measure, print, save; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15, help="of starting")
    options = parser.parse_args()
    context = ROOT / "seed_code"
    image = build(context, context / "api" / "Dockerfile", ROOT / STORE, report=_silent)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        found = _measure(image, Path(name), options.requests, options.rounds)
        found |= _measure_stack(Path(name), options.requests)
    document = {"machine": machine(), **found}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    return _judge(document)


def _silent(line: str) -> None:
    """Building reports its steps; nobody listens here."""


def _measure(image: Image, folder: Path, n_requests: int, rounds: int) -> dict[str, Any]:
    subject = make_subject(folder / "subject", n_numbers=20, n_categories=0)
    release = folder / "assets" / "releases" / RELEASE
    shutil.copytree(subject.folder / "base" / "model", release)
    contract, graph = read_model(release)
    inference = Inference(contract, graph)
    exchange = inference.agree(b"application/json", b"application/json")
    body = json.dumps({"instances": [subject.numbers[0].tolist()]}).encode()
    event = json.dumps(
        {"resource": "/predict", "httpMethod": "POST", "headers": HEADERS, "body": body.decode(),
         "requestContext": {"requestId": "bench"}}
    ).encode()  # fmt: skip

    def predict(_: str, asked: bytes) -> tuple[int, dict[str, str], bytes]:
        return (
            200,
            {"Content-Type": "application/json"},
            inference.answer(exchange, [asked])[0].body,
        )

    with listening(predict) as port:
        variables = {
            mode: environment(image, mode, folder / "assets", port)
            for mode in ("endpoint", "lambda")
        }
        starts = {mode: start_times(image, variables[mode], event, rounds) for mode in variables}
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def ask_directly() -> None:
            connection.request("POST", PATH, body, HEADERS)
            connection.getresponse().read()

        with (
            function(image, variables["endpoint"]) as api,
            function(image, variables["lambda"]) as in_function,
        ):
            medians = latencies(
                {
                    "endpoint": ask_directly,
                    "api": lambda: api.invoke(event),
                    "lambda": lambda: in_function.invoke(event),
                },
                n_requests,
            )
    return {
        "import_ms": round(min(times[0] for times in starts.values()), 1),
        "first_answer_ms": {mode: round(times[1], 1) for mode, times in starts.items()},
        "p50_ms": medians,
        "overhead_ms": round(medians["api"] - medians["endpoint"], 3),
    }


def _measure_stack(folder: Path, n_requests: int) -> dict[str, Any]:
    """Measure with the model that `_measure` has left in `folder`."""
    root = folder / "local"
    root.mkdir()
    share_images(root)
    model = folder / "subject" / "base" / "model"
    row = dict.fromkeys((f"number_{index}" for index in range(20)), 0.5)
    body = json.dumps({"instances": [row]})
    with LocalCloud(root, wait_factor=0.02) as cloud:
        production = Production(cloud, model, [body])
        production.release({"serving": "endpoint", "api": {"rate_per_second": 10_000}})
        client = production.client()
        (endpoint,) = cloud.client("sagemaker").list_endpoints()["Endpoints"]
        runtime, name = cloud.client("sagemaker-runtime"), endpoint["EndpointName"]
        where = urlsplit(address(name))
        connection = http.client.HTTPConnection(where.hostname, where.port)

        def ask_an_instance() -> None:
            connection.request("POST", "/invocations", body, HEADERS)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == http.HTTPStatus.OK

        def ask_the_endpoint() -> None:
            runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType=_JSON, Accept=_JSON)[
                "Body"
            ].read()

        def ask_the_api() -> None:
            assert client.predict(body).status == http.HTTPStatus.OK

        medians = latencies(
            {
                "instance": ask_an_instance,
                "InvokeEndpoint": ask_the_endpoint,
                "API": ask_the_api,
            },
            n_requests,
        )
        client.close()
        connection.close()
    overheads = {
        name: round(medians["API"] - medians[name], 3) for name in ("instance", "InvokeEndpoint")
    }
    return {"stack_p50_ms": medians, "stack_overhead_ms": overheads}


def _judge(found: dict[str, Any]) -> int:
    for mode, milliseconds in found["first_answer_ms"].items():
        print(f"first answer, {mode:10}{milliseconds:10.1f} ms")
    for name, milliseconds in found["p50_ms"].items():
        print(f"p50, {name:19}{milliseconds:10.2f} ms")
    for name, milliseconds in found["stack_p50_ms"].items():
        print(f"stack p50, {name:13}{milliseconds:10.2f} ms")
    print()
    missed = 0
    for name, measured, most in (
        ("import of the handler", found["import_ms"], MOST_IMPORT_MS),
        ("overhead of the API", found["overhead_ms"], MOST_OVERHEAD_MS),
        *(
            (f"API above {name}", overhead, MOST_OVERHEAD_MS)
            for name, overhead in found["stack_overhead_ms"].items()
        ),
    ):
        missed += measured > most
        print(f"{name:24}{measured:10.2f} ms   at most {most:g}{'   MISSED' * (measured > most)}")
    return min(1, missed)


if __name__ == "__main__":
    sys.exit(main())
