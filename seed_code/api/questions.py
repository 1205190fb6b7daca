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
from mlsystem.media_types import Body, answer_type, body_type
from mlsystem.requests import Decoder, Rows

__all__ = ["MEDIA_TYPES", "MOST_BODY_BYTES", "Question", "Questions"]

# A gateway hands on text; npy is none.
MEDIA_TYPES: Final[tuple[requests.MediaType, ...]] = (
    "application/json",
    "text/csv",
    "application/jsonlines",
)

MOST_BODY_BYTES: Final = 2 * 1024**2
"""What the smallest function can take apart, whatever is in it. A function that runs out of memory
or time counts against its release, whoever is to blame."""

_JSON: Final = "application/json"
# Rows begin or end so. Text may hold such bytes too, hence the generous number.
_ROW_MARKS: Final[dict[requests.MediaType, tuple[bytes, ...]]] = {
    "application/json": (b"[", b"{"),
    "application/jsonlines": (b"\n",),
    "text/csv": (b"\n",),
}
_MARKS_PER_ROW: Final = 10
_TOO_LARGE: Final = 413
_UNSUPPORTED: Final = 415


@dataclass(frozen=True)
class Question:
    """Rows to predict, and how to answer.

    Parameters
    ----------
    body
        As the client sent it.
    content_type
        Of the body, without what a client may write into it and SageMaker might refuse.
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
        body = body_type(request.headers.get("content-type", ""), MEDIA_TYPES)
        accept = answer_type(request.headers.get("accept", ""), body.media_type)
        decode = self._decoder.decoder(body.media_type, header=body.has_header)
        self._check_size(request.body, body.media_type)
        rows, _ = decode([request.body])
        if len(rows.numbers) > self._max_instances:
            raise _too_large(f"{len(rows.numbers)} rows", f"{self._max_instances} at most")
        return Question(request.body, _written(body), rows, accept, request.inference_id)

    def _check_size(self, body: bytes, media_type: requests.MediaType) -> None:
        """Refuse what would take seconds to be taken apart, only to be refused then."""
        if len(body) > MOST_BODY_BYTES:
            raise _too_large(f"{len(body):,} bytes", f"{MOST_BODY_BYTES:,} at most")
        n_marks = sum(map(body.count, _ROW_MARKS[media_type]))
        if n_marks > self._max_instances * _MARKS_PER_ROW:
            raise _too_large("far too many rows", f"{self._max_instances} at most")

    def anything(self, inference_id: str) -> Question:
        """Return a question that every model can answer: a row without values."""
        rows, _ = self._decoder.decoder(_JSON)([self._row_without_values])
        return Question(self._row_without_values, _JSON, rows, _JSON, inference_id)


def _written(body: Body) -> str:
    return f"{body.media_type}; header=present" if body.has_header else body.media_type


def _too_large(found: str, required: str) -> RequestError:
    return RequestError("body", found, required, "Send fewer rows at a time", status=_TOO_LARGE)


def _check_encoding(encoding: str) -> None:
    if encoding != "identity":
        raise RequestError(
            "Content-Encoding", repr(encoding[:40]), "none: a plain body", status=_UNSUPPORTED
        )
