"""The endpoint's HTTP interface as a bare ASGI application.

====================== ======== ================================================================
path                   method   answer
====================== ======== ================================================================
/ping                  GET      200 when the model has just answered, else 503
/invocations           POST     predictions, see `mlsystem.requests` and `mlsystem.answers`
/execution-parameters  GET      how batch transform should call
====================== ======== ================================================================

An answer that is worth a look (an error, unknown categories) leaves one line of JSON on stderr:
what happened and where, never a value of the request.

References
----------
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from container.inference import Inference
from container.paths import Paths
from mlsystem import problems
from mlsystem.artifacts import ModelContract
from mlsystem.errors import MLSystemError, RequestError
from mlsystem.predictor import read_model

__all__ = ["MAX_BODY_BYTES", "MAX_BODY_MB", "Application", "create"]

MAX_BODY_MB: Final = 6
MAX_BODY_BYTES: Final = MAX_BODY_MB * 1024 * 1024

# A few rows: the model's overhead is worth sharing. Then some hundred rows: answered at once, in a
# few milliseconds. What is larger is answered in a thread, so that the health check does not wait.
_SMALL_BYTES: Final = 2 * 1024
_INLINE_BYTES: Final = 64 * 1024

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


def create() -> Application:
    """Return the application for the model that SageMaker put in place.

    Runs in gunicorn's master process, before it forks: files are read once, with its rights.
    """
    contract, graph = read_model(Paths.from_environment(os.environ).model)
    return Application(contract, graph, n_workers=int(os.environ["WEB_CONCURRENCY"]))


class _Response(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    n_unknown: int = 0


class _ClientGoneError(Exception):
    """Nobody waits for the answer."""


class Application:
    """Serves one model.

    Parameters
    ----------
    contract, graph
        What :func:`mlsystem.predictor.read_model` returned. The model is opened when the server
        starts up, in its own process.
    n_workers
        Processes that answer requests side by side.
    """

    def __init__(self, contract: ModelContract, graph: bytes, *, n_workers: int) -> None:
        self._open = functools.partial(Inference, contract, graph)
        self._inference: Inference | None = None
        # One thread: predicting keeps one CPU busy, and a worker has one.
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._execution_parameters = orjson.dumps(
            {
                "MaxConcurrentTransforms": n_workers,
                "BatchStrategy": "MULTI_RECORD",
                "MaxPayloadInMB": MAX_BODY_MB,
            }
        )

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one request, or the server's start and stop (ASGI 3)."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        started = time.perf_counter()
        try:
            status, headers, body, n_unknown = await self._respond(scope, receive)
        except _ClientGoneError:
            return
        except RequestError as error:
            status, headers, body, n_unknown = _problem(error.status, str(error))
            # What was found is the client's own; where, and what was required, are the model's.
            _log(status, started, where=error.where, required=error.required)
        except Exception as error:
            status, headers, body, n_unknown = _problem(500, "The endpoint's log says why.")
            _log(status, started, error=type(error).__name__, at=_places(error))
        if n_unknown:
            headers.append((b"x-unknown-categories", b"%d" % n_unknown))
            _log(status, started, unknown_categories=n_unknown)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: _Receive, send: _Send) -> None:
        await receive()
        try:
            self._inference = self._open()
        except MLSystemError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._thread.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: _Message, receive: _Receive) -> _Response:
        inference = self._inference
        if inference is None:
            return _problem(503, "The model is being loaded.")
        if scope["path"] != "/invocations" or scope["method"] != "POST":
            return self._inform(scope["path"], scope["method"], inference)
        message = await receive()
        body = await _read(message, receive) if message.get("more_body") else _part(message)
        headers = dict(scope["headers"])
        if b"content-encoding" in headers:
            _check_encoding(headers[b"content-encoding"])
        exchange = inference.agree(headers.get(b"content-type", b""), headers.get(b"accept", b""))
        if len(body) <= _SMALL_BYTES:
            answer = await inference.answer_soon(exchange, body)
        elif len(body) <= _INLINE_BYTES:
            (answer,) = inference.answer(exchange, [body])
        else:
            _check_size(len(body))
            loop = asyncio.get_running_loop()
            (answer,) = await loop.run_in_executor(self._thread, inference.answer, exchange, [body])
        return _Response(200, [(b"content-type", exchange.content_type)], *answer)

    def _inform(self, path: str, method: str, inference: Inference) -> _Response:
        if path == "/ping" and method == "GET":
            return _ping(inference)
        if path == "/execution-parameters" and method == "GET":
            headers = [(b"content-type", b"application/json")]
            return _Response(200, headers, self._execution_parameters)
        if path in ("/ping", "/execution-parameters", "/invocations"):
            allowed = "POST" if path == "/invocations" else "GET"
            response = _problem(405, f"{path}: {method[:20]}; {allowed}.")
            response.headers.append((b"allow", allowed.encode()))
            return response
        return _problem(404, "Path: unknown; one of /ping, /invocations, /execution-parameters.")


def _ping(inference: Inference) -> _Response:
    try:
        inference.check()
    except MLSystemError as error:
        return _problem(503, str(error))
    return _Response(200, [], b"")


async def _read(message: _Message, receive: _Receive) -> bytes:
    """Return the body that begins with `message`. nginx has bounded it already."""
    parts = [_part(message)]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        parts.append(_part(message))
        size += len(parts[-1])
        _check_size(size)
    return b"".join(parts)


def _part(message: _Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise _ClientGoneError
    part: bytes = message.get("body", b"")
    return part


def _check_size(n_bytes: int) -> None:
    if n_bytes > MAX_BODY_BYTES:
        raise RequestError(
            "body", f"more than {MAX_BODY_BYTES:,} bytes", "fewer", "Send fewer rows at a time",
            status=413,
        )  # fmt: skip


def _check_encoding(encoding: bytes) -> None:
    if encoding != b"identity":
        raise RequestError(
            "Content-Encoding", repr(encoding[:40].decode("latin-1")), "none: a plain body",
            status=415,
        )  # fmt: skip


def _problem(status: int, detail: str) -> _Response:
    headers = [(b"content-type", problems.MEDIA_TYPE.encode())]
    return _Response(status, headers, problems.problem(status, detail))


def _places(error: Exception) -> list[str]:
    """Return where `error` went through; its message might hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _log(status: int, started: float, **facts: Any) -> None:
    seconds = round(time.perf_counter() - started, 6)
    print(json.dumps({"status": status, "seconds": seconds, **facts}), file=sys.stderr, flush=True)
