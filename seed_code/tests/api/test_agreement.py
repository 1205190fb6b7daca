"""Whatever the encoder writes is an answer; whatever is changed in it is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.agreement import Agreement
from api.failures import ModelFailureError
from mlsystem.answers import Encoder
from mlsystem.artifacts import ModelContract

LABELS = {"binary": ("no", "yes"), "multiclass": ("a", 'b,"c"', "d\ne"), "regression": ()}
MEDIA_TYPES = ("application/json", "application/jsonlines", "text/csv")


def _contract(problem: str) -> ModelContract:
    return ModelContract(
        model_name="m", problem=problem, algorithm="linear", target="t", labels=LABELS[problem],
        features=(), onnx_sha256="", libraries={},
    )  # type: ignore[arg-type]  # fmt: skip


@st.composite
def predictions(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    problem = draw(st.sampled_from(list(LABELS)))
    n_rows = draw(st.integers(1, 4))
    if problem == "regression":
        values = st.floats(width=32, allow_nan=False, allow_infinity=False)
        rows = draw(st.lists(st.tuples(values), min_size=n_rows, max_size=n_rows))
        return problem, np.array(rows, dtype=np.float32)
    weights = st.lists(
        st.floats(0, 1, width=32), min_size=len(LABELS[problem]), max_size=len(LABELS[problem])
    )
    rows = np.array(draw(st.lists(weights, min_size=n_rows, max_size=n_rows)), dtype=np.float32)
    return problem, ((rows + 1e-3) / (rows + 1e-3).sum(axis=1, keepdims=True)).astype(np.float32)


@given(predictions(), st.sampled_from(MEDIA_TYPES))
def test_what_the_encoder_writes_is_an_answer(made, media_type):
    problem, rows = made
    contract = _contract(problem)
    (body,) = Encoder(contract).encoder(media_type)(rows, [len(rows)])
    agreement = Agreement(contract)
    agreement.check(body, media_type, len(rows))
    for wrong in (len(rows) + 1, len(rows) - 1):
        with pytest.raises(ModelFailureError):
            agreement.check(body, media_type, wrong)


@given(st.binary(max_size=40), st.sampled_from(MEDIA_TYPES), st.sampled_from(list(LABELS)))
def test_any_bytes_are_judged_without_a_crash(body, media_type, problem):
    try:
        Agreement(_contract(problem)).check(body, media_type, 1)
    except ModelFailureError as error:
        assert error.status == 502


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(["score", "predicted_label", "probabilities"]),
    ANYTHING,
    st.sampled_from(["multiclass", "binary", "regression"]),
)
def test_a_changed_prediction_is_no_answer(key, value, problem):
    contract = _contract(problem)
    right = {
        "binary": {"score": 0.25, "predicted_label": "no"},
        "multiclass": {
            "score": 0.5,
            "predicted_label": "a",
            "probabilities": dict(zip(LABELS["multiclass"], (0.5, 0.25, 0.25), strict=True)),
        },
        "regression": {"score": 1.5},
    }[problem]
    agreement = Agreement(contract)
    agreement.check(json.dumps({"predictions": [right]}).encode(), "application/json", 1)
    if value == right.get(key) or (key == "score" and isinstance(value, float | int)):
        return
    if key == "predicted_label" and isinstance(value, str) and value in contract.labels:
        return
    changed = json.dumps({"predictions": [{**right, key: value}]}).encode()
    with pytest.raises(ModelFailureError):
        agreement.check(changed, "application/json", 1)
