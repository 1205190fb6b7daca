"""From the body of a request to the body of its answer.

Small requests that are there at the same moment are predicted together. Under load, several become
readable in one turn of the event loop, and calling the model once for all of them costs little more
than calling it for one. Nobody waits for company: the call happens in the same turn, and a request
that comes alone is predicted alone.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlsystem.answers import Encoder
from mlsystem.artifacts import ModelContract
from mlsystem.media_types import answer_type, body_type
from mlsystem.predictor import Predictor
from mlsystem.requests import Decoder, Rows

__all__ = ["Answer", "Exchange", "Inference"]


@dataclass(frozen=True, eq=False)  # compared by identity: there is one for the same headers
class Exchange:
    """How to read requests and to write their answers, as their headers agreed on."""

    decode: Callable[[Sequence[bytes]], tuple[Rows, list[int]]]
    encode: Callable[[npt.NDArray[np.float32], Sequence[int]], list[bytes]]
    content_type: bytes


class Answer(NamedTuple):
    """The body of an answer, and how many values of categories the model did not know."""

    body: bytes
    n_unknown: int


_Waiting = tuple[bytes, asyncio.Future[Answer]]


class Inference:
    """Answers requests to one model.

    Make it in the process that uses it.

    Parameters
    ----------
    contract, graph
        What :func:`mlsystem.predictor.read_model` returned.

    Raises
    ------
    ArtifactError
        The model cannot predict.
    """

    def __init__(self, contract: ModelContract, graph: bytes) -> None:
        self._decoder = Decoder(contract)
        self._encoder = Encoder(contract)
        self._predictor = Predictor(contract, graph)
        self._waiting: dict[Exchange, list[_Waiting]] = {}
        # Clients send the same few headers again and again.
        self.agree = functools.lru_cache(maxsize=256)(self._agree)

    def check(self) -> None:
        """Predict something; raises ArtifactError when the model does not answer."""
        self._predictor.check()

    def _agree(self, content_type: bytes, accept: bytes) -> Exchange:
        """Return how to serve a request with these headers; raises RequestError 406 or 415."""
        request = body_type(content_type.decode("latin-1"), self._decoder.media_types)
        answer = answer_type(accept.decode("latin-1"), request.media_type)
        return Exchange(
            self._decoder.decoder(request.media_type, header=request.has_header),
            self._encoder.encoder(answer),
            answer.encode(),
        )

    def answer(self, exchange: Exchange, bodies: Sequence[bytes]) -> list[Answer]:
        """Return the answers to requests that are read and answered alike; raises RequestError."""
        rows, sizes = exchange.decode(bodies)
        answers = exchange.encode(self._predictor.predict(*rows), sizes)
        return list(map(Answer, answers, self._count_unknown(rows.categories, sizes)))

    def answer_soon(self, exchange: Exchange, body: bytes) -> asyncio.Future[Answer]:
        """Return what will hold the answer, predicted together with what else is there now."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # What is called soon comes after everything that is ready now.
            loop.call_soon(self._answer_waiting)
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.setdefault(exchange, []).append((body, answer))
        return answer

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for exchange, requests in waiting.items():
            self._settle(exchange, requests)

    def _settle(self, exchange: Exchange, requests: list[_Waiting]) -> None:
        try:
            answers = self.answer(exchange, [body for body, _ in requests])
        except Exception as error:
            if len(requests) > 1:  # one of them is to blame, and only that one
                for request in requests:
                    self._settle(exchange, [request])
            else:
                requests[0][1].set_exception(error)
        else:
            for (_, future), answer in zip(requests, answers, strict=True):
                future.set_result(answer)

    def _count_unknown(
        self, categories: npt.NDArray[np.object_], sizes: Sequence[int]
    ) -> Iterable[int]:
        if not self._predictor.count_unknown(categories):
            return repeat(0, len(sizes))
        return map(self._predictor.count_unknown, np.split(categories, np.cumsum(sizes)[:-1]))
