"""Predictions are written as documented, and read back as the same float32."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsystem.answers import Encoder
from mlsystem.artifacts import ModelContract
from mlsystem.errors import RequestError

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
LABELS = {"binary": ("no", "yes"), "multiclass": ("a", 'b "x",\ny', "ü"), "regression": ()}


def _encode(problem: str, media_type: str, answers: list, sizes: list[int] | None = None) -> list:
    contract = ModelContract(
        model_name="m",
        problem=problem,  # type: ignore[arg-type]
        algorithm="linear",
        target="t",
        labels=LABELS[problem],
        features=(),
        onnx_sha256="",
        libraries={},
    )
    array = np.array(answers, dtype=np.float32)
    encode = Encoder(contract).encoder(media_type)  # type: ignore[arg-type]
    return encode(array, [len(array)] if sizes is None else sizes)


def test_binary() -> None:
    answers = [[0.9, 0.1], [0.5, 0.5], [0.4999, 0.50001]]
    assert _encode("binary", CSV, answers) == [b"0.1\n0.5\n0.50001\n"]
    assert json.loads(_encode("binary", JSON, answers)[0]) == {
        "predictions": [
            {"score": 0.1, "predicted_label": "no"},
            {"score": 0.5, "predicted_label": "yes"},
            {"score": 0.50001, "predicted_label": "yes"},
        ]
    }
    assert _encode("binary", LINES, answers[:2]) == [
        b'{"score":0.1,"predicted_label":"no"}\n{"score":0.5,"predicted_label":"yes"}\n'
    ]


def test_multiclass() -> None:
    answers = [[0.2, 0.7, 0.1], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1]]
    text = _encode("multiclass", CSV, answers)[0].decode()
    assert text == '"b ""x"",\ny"\nü\na\n'
    assert list(csv.reader(io.StringIO(text))) == [['b "x",\ny'], ["ü"], ["a"]]
    predictions = json.loads(_encode("multiclass", JSON, answers)[0])["predictions"]
    assert predictions[1] == {
        "score": 0.6,
        "predicted_label": "ü",
        "probabilities": {"a": 0.1, 'b "x",\ny': 0.3, "ü": 0.6},
    }


def test_regression() -> None:
    answers = [[22.65], [-1e-7], [0.0]]
    assert _encode("regression", CSV, answers) == [b"22.65\n-1e-7\n0.0\n"]
    assert _encode("regression", JSON, answers[:1]) == [b'{"predictions":[{"score":22.65}]}']


def test_several_bodies() -> None:
    answers = [[1.0], [2.0], [3.0]]
    assert _encode("regression", CSV, answers, [1, 2]) == [b"1.0\n", b"2.0\n3.0\n"]
    assert _encode("regression", LINES, answers, [2, 1]) == [
        b'{"score":1.0}\n{"score":2.0}\n',
        b'{"score":3.0}\n',
    ]
    assert _encode("regression", JSON, answers, [1, 1, 1])[2] == b'{"predictions":[{"score":3.0}]}'
    labels = _encode("multiclass", CSV, [[1, 0, 0], [0, 0, 1]], [1, 1])
    assert labels == [b"a\n", "ü\n".encode()]


@pytest.mark.parametrize("media_type", [CSV, JSON, LINES])
@pytest.mark.parametrize(
    ("problem", "bad"),
    [("binary", [0.5, math.nan]), ("multiclass", [0, 0, math.nan]), ("regression", [math.inf])],
)
def test_refuses_to_write_what_is_not_finite(problem: str, bad: list, media_type: str) -> None:
    good = [0.5] * len(bad)
    with pytest.raises(RequestError, match="row 2: a prediction that is not a finite") as refused:
        _encode(problem, media_type, [good, bad, good])
    assert refused.value.status == 422


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_numbers_are_read_back_the_same(values: list[float]) -> None:
    column = [[value] for value in values]
    lines = _encode("regression", CSV, column)[0].splitlines()
    assert [np.float32(line) for line in lines] == values
    document = json.loads(_encode("regression", JSON, column)[0])
    assert [np.float32(each["score"]) for each in document["predictions"]] == values
