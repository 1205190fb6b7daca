"""Each metric against its definition, written out the long way."""

from __future__ import annotations

import json
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mlsystem import metrics, settings
from mlsystem.answers import Encoder
from mlsystem.artifacts import ModelContract

PROBLEMS = ("binary", "multiclass", "regression")


def _binary(*scores: float) -> np.ndarray:
    positive = np.array(scores, dtype=np.float32)
    return np.column_stack([1 - positive, positive])


def _f1(target, predicted, label) -> float:
    hits = sum(t == p == label for t, p in zip(target, predicted, strict=True))
    return 2 * hits / (target.count(label) + predicted.count(label))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_names_are_those_of_the_settings(problem) -> None:
    target = np.array([0, 1, 0, 1])
    predictions = target[:, np.newaxis] * 1.0 if problem == "regression" else _binary(0, 1, 0, 1)
    assert set(metrics.compute(problem, target, predictions)) == set(settings.METRICS[problem])


def test_binary_metrics_by_hand() -> None:
    target = np.array([0, 0, 1, 1, 1])
    found = metrics.compute("binary", target, _binary(0.1, 0.6, 0.4, 0.7, 0.9))
    # Pairs of a positive and a negative in the right order: 5 of 6.
    assert found["roc_auc"] == pytest.approx(5 / 6)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["error_rate"] == pytest.approx(2 / 5)
    assert found["f1"] == pytest.approx(2 * 2 / (3 + 3))
    likelihoods = [0.9, 0.4, 0.4, 0.7, 0.9]
    assert found["log_loss"] == pytest.approx(-sum(map(math.log, likelihoods)) / 5, rel=1e-5)


def test_multiclass_metrics_by_hand() -> None:
    target, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 0]
    found = metrics.compute("multiclass", np.array(target), np.eye(3, dtype=np.float32)[predicted])
    each = [_f1(target, predicted, label) for label in range(3)]
    assert each[2] == 0
    assert found["f1_macro"] == pytest.approx(sum(each) / 3)
    assert found["f1_weighted"] == pytest.approx((4 * each[0] + 2 * each[1] + each[2]) / 7)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["error_rate"] == pytest.approx(3 / 7)


def test_macro_counts_labels_alike_and_weighted_counts_rows() -> None:
    target = np.array([0] * 98 + [1] * 2)
    always_first = np.tile(np.array([1, 0, 0], np.float32), (100, 1))
    found = metrics.compute("multiclass", target, always_first)
    first = 2 * 98 / 198
    assert found["f1_macro"] == pytest.approx(first / 2)
    assert found["f1_weighted"] == pytest.approx(first * 0.98)


def test_regression_metrics_by_hand() -> None:
    found = metrics.compute("regression", np.array([1.0, 2, 3]), np.array([[1.0], [2], [5]]))
    assert found == pytest.approx({"r2": 1 - 4 / 2, "rmse": math.sqrt(4 / 3), "mae": 2 / 3})


@hypothesis.given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=30)
)
def test_roc_auc_is_the_share_of_pairs_in_order(rows) -> None:
    target = np.array([int(positive) for positive, _ in rows])
    scores = np.array([score for _, score in rows], dtype=np.float32)
    found = metrics.compute("binary", target, np.column_stack([1 - scores, scores]))
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[target == 1]
        for low in scores[target == 0]
    ]
    if pairs:
        assert found["roc_auc"] == pytest.approx(np.mean(pairs))
    else:
        assert found == {}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_without_rows_there_is_no_metric(problem) -> None:
    width = 1 if problem == "regression" else 3
    assert metrics.compute(problem, np.empty(0, int), np.empty((0, width))) == {}


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_with_one_label_there_is_no_metric(problem) -> None:
    assert metrics.compute(problem, np.array([1, 1]), _binary(0.2, 0.9)) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_predictions_that_are_no_numbers_have_no_metric(problem, value) -> None:
    predictions = _binary(0.2, 0.9)
    predictions[0, 1] = value
    if problem == "regression":
        predictions = predictions[:, 1:]
    assert metrics.compute(problem, np.array([0, 1]), predictions) == {}


def test_of_a_constant_target_nothing_is_explained() -> None:
    found = metrics.compute("regression", np.array([5.0, 5.0]), np.array([[5.0], [5.0]]))
    assert found == {"rmse": 0, "mae": 0}


@pytest.mark.parametrize(
    ("problem", "labels"), [("binary", ("no", "yes")), ("multiclass", ("a", "b", "c"))]
)
def test_predicted_labels_are_those_of_serving(problem, labels) -> None:
    random = np.random.default_rng(1)
    probabilities = random.choice(np.array([0, 0.25, 0.5, 1], np.float32), (200, len(labels)))
    contract = ModelContract("m", problem, "linear", "y", labels, (), "", {})
    (body,) = Encoder(contract).encoder("application/json")(probabilities, [200])
    served = [answer["predicted_label"] for answer in json.loads(body)["predictions"]]
    assert [labels[index] for index in metrics.predicted_labels(probabilities)] == served


def test_the_confusion_matrix_has_actual_labels_in_rows() -> None:
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    matrix = metrics.confusion_matrix(np.array([0, 0, 1, 2]), probabilities, ("a", "b", "c"))
    assert matrix.labels == ("a", "b", "c")
    assert matrix.counts == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
