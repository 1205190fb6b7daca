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

from container import problems
from container.media_types import Body, answer_type, body_type
from container.paths import Paths
from mlsystem import answers
from mlsystem.answers import Encoder
from mlsystem.artifacts import ModelContract
from mlsystem.errors import MLSystemError, RequestError
from mlsystem.predictor import Predictor, read_model
from mlsystem.requests import Decoder

__all__ = ["MAX_BODY_BYTES", "MAX_BODY_MB", "Application", "create"]

MAX_BODY_MB: Final = 6
MAX_BODY_BYTES: Final = MAX_BODY_MB * 1024 * 1024

# About a thousand rows: smaller bodies are answered in a few milliseconds on the event loop, larger
# ones in a thread, so that the health check does not wait for them.
_INLINE_BYTES: Final = 64 * 1024

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]


def create() -> Application:
    """Return the application for the model that SageMaker put in place.

    Runs in gunicorn's master process, before it forks: files are read once, with its rights.
    """
    contract, graph = read_model(Paths.from_environment(os.environ).model)
    return Application(contract, graph, n_workers=int(os.environ["WEB_CONCURRENCY"]))


class _Exchange(NamedTuple):
    """What `Content-Type` and `Accept` agreed on."""

    body: Body
    answer: answers.MediaType
    header: tuple[bytes, bytes]


class _Answer(NamedTuple):
    status: int
    headers: _Headers
    body: bytes
    unknown_categories: int = 0


class Application:
    """Answers requests to one model.

    Parameters
    ----------
    contract, graph
        What :func:`mlsystem.predictor.read_model` returned. The model is opened when the server
        starts up, in its own process.
    n_workers
        Processes that answer requests side by side.
    """

    def __init__(self, contract: ModelContract, graph: bytes, *, n_workers: int) -> None:
        self._decoder = Decoder(contract)
        self._encoder = Encoder(contract)
        self._open = functools.partial(Predictor, contract, graph)
        self._predictor: Predictor | None = None
        # One thread: predicting keeps one CPU busy, and a worker has one.
        self._thread = ThreadPoolExecutor(max_workers=1)
        # Clients send the same few headers again and again.
        self._agree = functools.lru_cache(maxsize=256)(self._negotiate)
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
        answer = await self._answer(scope, receive)
        if answer is not None:
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": answer.headers,
                }
            )
            await send({"type": "http.response.body", "body": answer.body})

    async def _live(self, receive: _Receive, send: _Send) -> None:
        await receive()
        try:
            self._predictor = self._open()
        except MLSystemError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._thread.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: _Message, receive: _Receive) -> _Answer | None:
        """Return the answer; None when the client has gone."""
        started = time.perf_counter()
        path, method = scope["path"], scope["method"]
        try:
            if path == "/invocations" and method == "POST":
                body = await _read(receive)
                if body is None:
                    return None
                answer = await self._invoke(dict(scope["headers"]), body)
            else:
                answer = self._inform(path, method)
        except RequestError as error:
            answer = _problem(error.status, str(error))
            # Where and what was required: what was found is the client's own.
            _log(error.status, started, where=error.where, required=error.required)
        except Exception as error:
            answer = _problem(500, "The model could not answer; the endpoint's log says why.")
            _log(500, started, error=type(error).__name__, at=_places(error))
        else:
            if answer.unknown_categories:
                _log(answer.status, started, unknown_categories=answer.unknown_categories)
        return answer

    # --- /invocations ---

    async def _invoke(self, headers: dict[bytes, bytes], body: bytes) -> _Answer:
        if self._predictor is None:
            return _problem(503, "The model is being loaded.")
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise RequestError(
                "Content-Encoding", repr(encoding.decode("latin-1")[:40]), "none: a plain body",
                status=415,
            )  # fmt: skip
        exchange = self._agree(headers.get(b"content-type", b""), headers.get(b"accept", b""))
        if len(body) <= _INLINE_BYTES:
            return self._predict(self._predictor, exchange, body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, self._predict, self._predictor, exchange, body
        )

    def _negotiate(self, content_type: bytes, accept: bytes) -> _Exchange:
        body = body_type(content_type.decode("latin-1"), self._decoder.media_types)
        answer = answer_type(accept.decode("latin-1"), body.media_type)
        return _Exchange(body, answer, (b"content-type", answer.encode()))

    def _predict(self, predictor: Predictor, exchange: _Exchange, body: bytes) -> _Answer:
        (media_type, has_header), answer, content_type = exchange
        rows = self._decoder.decode(media_type, body, header=has_header)
        predictions = predictor.predict(*rows)
        headers = [content_type]
        n_unknown = predictor.count_unknown(rows.categories)
        if n_unknown:
            headers.append((b"x-unknown-categories", b"%d" % n_unknown))
        return _Answer(200, headers, self._encoder.encode(answer, predictions), n_unknown)

    # --- the rest ---

    def _inform(self, path: str, method: str) -> _Answer:
        if path == "/ping" and method == "GET":
            return self._ping()
        if path == "/execution-parameters" and method == "GET":
            return _Answer(
                200, [(b"content-type", b"application/json")], self._execution_parameters
            )
        if path in ("/ping", "/execution-parameters", "/invocations"):
            allowed = "POST" if path == "/invocations" else "GET"
            answer = _problem(405, f"{path}: {method[:20]}; {allowed}.")
            answer.headers.append((b"allow", allowed.encode()))
            return answer
        return _problem(404, "Path: unknown; one of /ping, /invocations, /execution-parameters.")

    def _ping(self) -> _Answer:
        if self._predictor is None:
            return _problem(503, "The model is being loaded.")
        try:
            self._predictor.check()
        except MLSystemError as error:
            return _problem(503, str(error))
        return _Answer(200, [], b"")


async def _read(receive: _Receive) -> bytes | None:
    """Return the body; None when the client has gone. nginx has bounded it already."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        _check_size(len(body))
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        _check_size(size)
    return b"".join(parts)


def _check_size(n_bytes: int) -> None:
    if n_bytes > MAX_BODY_BYTES:
        raise RequestError(
            "body", f"more than {MAX_BODY_BYTES:,} bytes", "fewer", "Send fewer rows at a time",
            status=413,
        )  # fmt: skip


def _problem(status: int, detail: str) -> _Answer:
    content_type = problems.MEDIA_TYPE.encode()
    return _Answer(status, [(b"content-type", content_type)], problems.problem(status, detail))


def _places(error: Exception) -> list[str]:
    """Return where `error` went through; its message might hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _log(status: int, started: float, **facts: Any) -> None:
    seconds = round(time.perf_counter() - started, 6)
    print(json.dumps({"status": status, "seconds": seconds, **facts}), file=sys.stderr, flush=True)
