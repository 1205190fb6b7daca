"""What clients ask, checked against the contract of this function's own release.

Schema and model of a release move together: the gateway only checks what never changes (a bounded
list of rows); what the features are called and may be is checked here, with the code and the words
of the endpoint (`mlsystem.requests`, `mlsystem.media_types`). So a mistake is refused before it
reaches the model, and cannot count against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from api.gateway import Request
from mlsystem import answers, requests
from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError
from mlsystem.media_types import answer_type, body_type
from mlsystem.requests import Decoder, Rows

__all__ = ["MEDIA_TYPES", "Question", "Questions"]

# A gateway hands on text; npy is none.
MEDIA_TYPES: Final[tuple[requests.MediaType, ...]] = (
    "application/json",
    "text/csv",
    "application/jsonlines",
)

_JSON: Final = "application/json"
_TOO_LARGE: Final = 413
_UNSUPPORTED: Final = 415


@dataclass(frozen=True)
class Question:
    """Rows to predict, and how to answer.

    Parameters
    ----------
    body, content_type
        As the client sent them.
    rows
        What they say.
    accept
        Media type of the answer.
    inference_id
        Under which the prediction is captured.
    """

    body: bytes
    content_type: str
    rows: Rows
    accept: answers.MediaType
    inference_id: str

    @property
    def n_rows(self) -> int:
        """How many predictions the answer has."""
        return len(self.rows.numbers)


class Questions:
    """Reads the requests for one model.

    Parameters
    ----------
    max_instances
        Most rows of a request.
    """

    def __init__(self, contract: ModelContract, max_instances: int) -> None:
        self._decoder = Decoder(contract)
        self._max_instances = max_instances
        row = {feature.name: None for feature in contract.features}
        self._row_without_values = orjson.dumps({"instances": [row]})

    def read(self, request: Request) -> Question:
        """Return what `request` asks; raises RequestError with what is wrong with it."""
        _check_encoding(request.headers.get("content-encoding", "identity"))
        content_type = request.headers.get("content-type", "")
        body = body_type(content_type, MEDIA_TYPES)
        accept = answer_type(request.headers.get("accept", ""), body.media_type)
        decode = self._decoder.decoder(body.media_type, header=body.has_header)
        rows, _ = decode([request.body])
        if len(rows.numbers) > self._max_instances:
            raise RequestError(
                "instances", f"{len(rows.numbers)} rows", f"{self._max_instances} at most",
                "Send fewer rows at a time", status=_TOO_LARGE,
            )  # fmt: skip
        return Question(request.body, content_type, rows, accept, request.inference_id)

    def anything(self, inference_id: str) -> Question:
        """Return a question that every model can answer: a row without values."""
        rows, _ = self._decoder.decoder(_JSON)([self._row_without_values])
        return Question(self._row_without_values, _JSON, rows, _JSON, inference_id)


def _check_encoding(encoding: str) -> None:
    if encoding != "identity":
        raise RequestError(
            "Content-Encoding", repr(encoding[:40]), "none: a plain body", status=_UNSUPPORTED
        )
