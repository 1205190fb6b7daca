"""Whether an answer is one: as many predictions as rows, each of the form that the contract says.

The endpoint is another program on another machine, possibly of another release. What it answers is
believed when it has the form of `mlsystem.answers`; whether it is *right* is for the guards to tell
(`api.checks`).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from api.failures import of_answer
from mlsystem.answers import MediaType
from mlsystem.artifacts import ModelContract

__all__ = ["Agreement"]

# Probabilities are float32: 1 may be a little more.
_MOST: Final = 1 + 1e-5


class Agreement:
    """Reads the answers of one model."""

    def __init__(self, contract: ModelContract) -> None:
        self._labels = frozenset(contract.labels)
        self._is_prediction: Callable[[Any], bool] = {
            "binary": self._is_binary,
            "multiclass": self._is_multiclass,
            "regression": self._is_regression,
        }[contract.problem]
        self._is_cell: Callable[[str], bool] = {
            "binary": lambda cell: _is_probability(_number(cell)),
            "multiclass": lambda cell: cell in self._labels,
            "regression": lambda cell: _is_number(_number(cell)),
        }[contract.problem]

    def check(self, body: bytes, media_type: MediaType, n_rows: int) -> None:
        """Raise ModelFailureError unless `body` answers `n_rows` rows."""
        if media_type == "text/csv":
            cells = list(_cells(body))
            is_right = len(cells) == n_rows and all(map(self._is_cell, cells))
        else:
            predictions = list(_predictions(body, media_type))
            is_right = len(predictions) == n_rows and all(map(self._is_prediction, predictions))
        if not is_right:
            raise of_answer(f"not {n_rows} predictions as the model's contract promises them")

    def _is_binary(self, prediction: Any) -> bool:
        return (
            type(prediction) is dict
            and prediction.keys() == {"score", "predicted_label"}
            and _is_probability(prediction["score"])
            and self._is_label(prediction["predicted_label"])
        )

    def _is_multiclass(self, prediction: Any) -> bool:
        return (
            type(prediction) is dict
            and prediction.keys() == {"score", "predicted_label", "probabilities"}
            and _is_probability(prediction["score"])
            and self._is_label(prediction["predicted_label"])
            and type(prediction["probabilities"]) is dict
            and prediction["probabilities"].keys() == self._labels
            and all(map(_is_probability, prediction["probabilities"].values()))
        )

    def _is_label(self, value: Any) -> bool:
        return type(value) is str and value in self._labels

    @staticmethod
    def _is_regression(prediction: Any) -> bool:
        return (
            type(prediction) is dict
            and prediction.keys() == {"score"}
            and _is_number(prediction["score"])
        )


def _predictions(body: bytes, media_type: MediaType) -> Iterator[Any]:
    try:
        if media_type == "application/jsonlines":
            yield from map(orjson.loads, body.splitlines())
            return
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise of_answer("not JSON") from error
    if type(document) is not dict or type(document.get("predictions")) is not list:
        raise of_answer('not {"predictions": [...]}')
    yield from document["predictions"]


def _cells(body: bytes) -> Iterator[str]:
    try:
        for line in csv.reader(io.StringIO(body.decode(), newline=""), strict=True):
            if len(line) != 1:
                raise of_answer(f"a line of {len(line)} cells")
            yield line[0]
    except (UnicodeDecodeError, csv.Error) as error:
        raise of_answer("not CSV") from error


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _is_number(value: Any) -> bool:
    return type(value) in (float, int) and math.isfinite(value)


def _is_probability(value: Any) -> bool:
    return type(value) in (float, int) and 0 <= value <= _MOST
