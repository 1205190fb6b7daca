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
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError

__all__ = ["Encoder", "MediaType"]

MediaType = Literal["text/csv", "application/json", "application/jsonlines"]

_POSITIVE_FROM: Final = 0.5


class Encoder:
    """Writes the answers of one model."""

    def __init__(self, contract: ModelContract) -> None:
        self._problem = contract.problem
        self._labels = contract.labels
        self._csv_labels = tuple(_csv_cell(label) for label in contract.labels)

    def encode(self, media_type: MediaType, answers: npt.NDArray[np.float32]) -> bytes:
        """Return the body of an answer.

        Parameters
        ----------
        media_type
            Of the body.
        answers
            What :meth:`mlsystem.predictor.Predictor.predict` returned.

        Raises
        ------
        RequestError
            An answer is not finite: the model answered a row without values when it was loaded, so
            it is the numbers of the request that are beyond what it can compute with.
        """
        if not np.isfinite(answers).all():
            row = int(np.flatnonzero(~np.isfinite(answers).all(axis=1))[0])
            raise RequestError(
                f"row {row + 1}", "a prediction that is not a finite number",
                "numbers of the size that the model was trained on",
            )  # fmt: skip
        if media_type == "text/csv":
            return self._encode_csv(answers)
        if media_type == "application/json":
            return _dumps({"predictions": self._predictions(answers)})
        return b"".join(_dumps(item) + b"\n" for item in self._predictions(answers))

    def _encode_csv(self, answers: npt.NDArray[np.float32]) -> bytes:
        if self._problem == "multiclass":
            return b"".join([self._csv_labels[index] for index in answers.argmax(axis=1)])
        # A JSON list of numbers is a CSV column but for its separators.
        column = np.ascontiguousarray(answers[:, -1])
        return _dumps(column)[1:-1].replace(b",", b"\n") + b"\n"

    def _predictions(self, answers: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
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


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _csv_cell(label: str) -> bytes:
    """Return a line with one cell, quoted where RFC 4180 asks for it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([label])
    return line.getvalue().encode()
