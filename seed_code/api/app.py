"""The prediction API: what API Gateway's requests are answered with.

=================== ===============================================================================
``POST /predict``   predictions, see `mlsystem.requests` and `mlsystem.answers`
``GET /health``     200 when the model has just answered
=================== ===============================================================================

Every answer names the release that gave it (``X-Release``) and the prediction
(``X-Inference-Id``: the client's own, or API Gateway's request id); an error is a problem document
(RFC 9457). The handler raises nothing: who is to blame for an error is in its record
(`api.failures`, `api.records`), and an exception here is a crash.

What is imported here is what every start pays; the rest comes with the first request.
"""

from __future__ import annotations

import functools
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from api.environment import SYNTHETIC, ApiEnvironment, read
from api.failures import ModelFailureError, RelayedError, ThrottledError
from api.gateway import Request, Response
from api.records import Blame, record
from mlsystem import problems
from mlsystem.errors import MLSystemError, RequestError

if TYPE_CHECKING:
    from api.models import Model
    from api.questions import Question, Questions

__all__ = ["Api", "handler"]

_JSON: Final = "application/json"
_TOO_LARGE: Final = HTTPStatus.REQUEST_ENTITY_TOO_LARGE.value
_RETRY_AFTER_SECONDS: Final = "1"
# Lambda's limit is 6 MiB for the answer with what is around it.
_MOST_ANSWER_BYTES: Final = 6 * 1024**2 - 4096
_METHODS: Final = {"/predict": "POST", "/health": "GET"}
_SEE_LOG: Final = "The service's log says why, under this answer's X-Inference-Id"

Open = Callable[[ApiEnvironment], "tuple[Questions, Model]"]


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """Return the answer to a request of API Gateway's (Lambda proxy integration, REST API)."""
    return _api().answer(event)


@functools.cache
def _api() -> Api:
    return Api(read(ApiEnvironment, os.environ))


def open_release(environment: ApiEnvironment) -> tuple[Questions, Model]:
    """Return what answers for the release in the environment's folder.

    Raises
    ------
    ArtifactError
        A file of the release is missing or cannot be used.
    """
    from api.models import open_model  # noqa: PLC0415
    from api.questions import Questions  # noqa: PLC0415
    from mlsystem import artifacts  # noqa: PLC0415

    contract = artifacts.read(artifacts.ModelContract, environment.folder / "model.json")
    return Questions(contract, environment.max_instances), open_model(environment, contract)


class Api:
    """Answers the requests to one release.

    Parameters
    ----------
    open_release
        Opens the release, when it is first asked; tried again when that fails.
    clock
        Seconds, for durations.
    write
        Takes the record of each request.
    """

    def __init__(
        self,
        environment: ApiEnvironment,
        open_release: Open = open_release,
        *,
        clock: Callable[[], float] = time.perf_counter,
        write: Callable[[str], None] = print,
    ) -> None:
        self._environment = environment
        self._open = functools.cache(lambda: open_release(environment))
        self._clock = clock
        self._write = write

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to `event`, and leave its record."""
        exchange = _Exchange(self._clock)
        try:
            request = Request.of(event)
            exchange.begin(request)
            response = self._respond(request, exchange)
        except RequestError as error:
            # What was found is the client's own; where, and what was required, are the model's.
            exchange.blame("client", where=error.where, required=error.required)
            response = _problem(error.status, str(error))
        except RelayedError as error:
            exchange.blame("client", where="the model", required="numbers within its reach")
            response = _problem(error.status, error.detail)
        except ThrottledError:
            exchange.blame("nobody", reason="SageMaker throttles")
            response = _problem(
                HTTPStatus.TOO_MANY_REQUESTS.value, "Too many requests at once; try again later.",
                {"Retry-After": _RETRY_AFTER_SECONDS},
            )  # fmt: skip
        except ModelFailureError as error:
            exchange.blame("model", reason=error.reason)
            response = _problem(error.status, f"The model did not answer. {_SEE_LOG}.")
        except Exception as error:
            exchange.blame("model", error=type(error).__name__, at=_places(error))
            response = _problem(500, f"The service failed. {_SEE_LOG}.")
        self._write(self._record(exchange, response))
        headers = {
            "X-Release": self._environment.release,
            "X-Inference-Id": exchange.inference_id,
        }
        return response.to_event(headers)

    def _respond(self, request: Request, exchange: _Exchange) -> Response:
        method = _METHODS.get(request.path)
        if method is None:
            return exchange.refuse(404, f"Path: unknown; one of {', '.join(_METHODS)}.")
        if request.method != method:
            return exchange.refuse(
                405, f"{request.path}: {request.method[:20]}; {method}.", {"Allow": method}
            )
        questions, model = self._opened()
        exchange.start_model()
        if request.path == "/health":
            question = questions.anything(exchange.inference_id)
            exchange.ask(model, question)
            return Response(200, _JSON, self._health)
        question = questions.read(request)
        body = exchange.ask(model, question).decode()
        _check_size(body)
        return Response(200, question.accept, body)

    def _opened(self) -> tuple[Questions, Model]:
        try:
            return self._open()
        except MLSystemError as error:  # its message is about files: no request is in it
            raise ModelFailureError(HTTPStatus.SERVICE_UNAVAILABLE.value, str(error)) from error

    @property
    def _health(self) -> str:
        environment = self._environment
        return json.dumps(
            {"status": "ok", "release": environment.release, "serving": environment.serving}
        )

    def _record(self, exchange: _Exchange, response: Response) -> str:
        return record(
            project=self._environment.project_key,
            release=self._environment.release,
            timestamp_ms=int(time.time() * 1000),
            blame=exchange.blamed,
            latency_ms=exchange.latency_ms,
            status=response.status,
            inference_id=exchange.inference_id,
            **exchange.facts,
        )


class _Exchange:
    """What is known of one request and its answer, for the record."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._asked = False
        self.inference_id = ""
        self.blamed: Blame = "nobody"
        self.facts: dict[str, Any] = {}

    def begin(self, request: Request) -> None:
        self.facts = {
            "method": request.method[:20],
            "path": request.path[:100],
            "request_id": request.request_id,
        }
        self.inference_id = request.request_id
        if request.path == "/health":
            self.inference_id = f"{SYNTHETIC}health-{request.request_id}"
        else:
            self.inference_id = request.inference_id

    def start_model(self) -> None:
        """Begin what counts as latency.

        Opening the release, at a function's first request, does not: how often functions start is
        up to the clients, who could else make a good release look slow.
        """
        now = self._clock()
        if opening_ms := round((now - self._started) * 1000):
            self.facts["opening_ms"] = opening_ms
        self._started = now

    def ask(self, model: Model, question: Question) -> bytes:
        self.facts["rows"] = question.n_rows
        self._asked = True
        return model.answer(question)

    def blame(self, who: Blame, **facts: Any) -> None:
        self.blamed = who
        self.facts.update(facts)

    def refuse(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        self.blame("client")
        return _problem(status, detail, headers)

    @property
    def latency_ms(self) -> float | None:
        return (self._clock() - self._started) * 1000 if self._asked else None


def _check_size(body: str) -> None:
    """Refuse what Lambda would: as a mistake of the client, not as a crash."""
    if len(body) > _MOST_ANSWER_BYTES // 6 and len(json.dumps(body)) > _MOST_ANSWER_BYTES:
        raise RequestError(
            "instances", "an answer of more than 6 MiB", "a smaller one",
            "Send fewer rows at a time", status=_TOO_LARGE,
        )  # fmt: skip


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        status, problems.MEDIA_TYPE, problems.problem(status, detail).decode(), headers or {}
    )


def _places(error: Exception) -> list[str]:
    """Return where `error` went through; its message might hold values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
