"""A model's predictions as the bodies of answers.

========================= =========================================================================
media type                body
========================= =========================================================================
``text/csv``              a line per row: the score (binary: probability of the positive label),
                          the predicted label (multiclass) or the value (regression)
``application/json``      ``{"predictions": [prediction, ...]}``, see below
``application/jsonlines`` a prediction per line
========================= =========================================================================

A prediction is ``{"score": probability of the positive label, "predicted_label": label}`` (binary),
``{"score": probability of the predicted label, "predicted_label": label, "probabilities": {label:
probability}}`` (multiclass) or ``{"score": value}`` (regression).

Numbers are written with as many digits as float32 needs to be read back the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError

__all__ = ["Encoder", "MediaType"]

MediaType = Literal["text/csv", "application/json", "application/jsonlines"]

_POSITIVE_FROM: Final = 0.5
_UNPROCESSABLE: Final = 422  # RFC 9110, section 15.5.21

_Answers = npt.NDArray[np.float32]
_Encode = Callable[[_Answers, Sequence[int]], list[bytes]]
T = TypeVar("T")


class Encoder:
    """Writes the answers of one model."""

    def __init__(self, contract: ModelContract) -> None:
        self._problem = contract.problem
        self._labels = contract.labels
        self._csv_labels = tuple(_csv_cell(label) for label in contract.labels)

    def encoder(self, media_type: MediaType) -> _Encode:
        """Return the function that writes bodies of answers.

        It takes what :meth:`~.Predictor.predict` returned, and how many of its rows each body gets.

        It raises RequestError, status 422, when a prediction is not finite: the model answered a
        row without values when it was loaded, so it is the request's numbers that are beyond its
        reach. The status sets it apart from what the contract alone can tell (400).
        """
        return {
            "text/csv": self._encode_csv,
            "application/json": self._encode_json,
            "application/jsonlines": self._encode_json_lines,
        }[media_type]

    def _encode_csv(self, answers: _Answers, sizes: Sequence[int]) -> list[bytes]:
        if self._problem == "multiclass":
            _check_finite(answers)
            lines = [self._csv_labels[index] for index in answers.argmax(axis=1)]
        else:
            # A JSON list of numbers is a CSV column but for its separators.
            column = _dumps(np.ascontiguousarray(answers[:, -1]))
            if b"null" in column:  # how JSON spells what is not finite
                _check_finite(answers)
            lines = [b"%b\n" % cell for cell in column[1:-1].split(b",")]
        return [b"".join(part) for part in _cut(lines, sizes)]

    def _encode_json(self, answers: _Answers, sizes: Sequence[int]) -> list[bytes]:
        predictions = self._predictions(answers)
        return [_dumps({"predictions": part}) for part in _cut(predictions, sizes)]

    def _encode_json_lines(self, answers: _Answers, sizes: Sequence[int]) -> list[bytes]:
        lines = [_dumps(prediction) + b"\n" for prediction in self._predictions(answers)]
        return [b"".join(part) for part in _cut(lines, sizes)]

    def _predictions(self, answers: _Answers) -> list[dict[str, Any]]:
        _check_finite(answers)
        if self._problem == "regression":
            return [{"score": value} for value in answers[:, 0]]
        if self._problem == "binary":
            return [
                {"score": score, "predicted_label": self._labels[int(score >= _POSITIVE_FROM)]}
                for score in answers[:, 1]
            ]
        return [
            {
                "score": probabilities[index],
                "predicted_label": self._labels[index],
                "probabilities": dict(zip(self._labels, probabilities, strict=True)),
            }
            for index, probabilities in zip(answers.argmax(axis=1), answers, strict=True)
        ]


def _cut(items: Sequence[T], sizes: Sequence[int]) -> Iterator[Sequence[T]]:
    """Yield consecutive parts of `items`."""
    start = 0
    for size in sizes:
        yield items[start : start + size]
        start += size


def _check_finite(answers: _Answers) -> None:
    is_finite = np.isfinite(answers)
    if not is_finite.all():
        row = int(np.flatnonzero(~is_finite.all(axis=1))[0])
        raise RequestError(
            f"row {row + 1}", "a prediction that is not a finite number",
            "numbers of the size that the model was trained on", status=_UNPROCESSABLE,
        )  # fmt: skip


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _csv_cell(label: str) -> bytes:
    """Return a line with one cell, quoted where RFC 4180 asks for it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([label])
    return line.getvalue().encode()
