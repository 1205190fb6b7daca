"""The gate: it passes, it rejects, equal is enough, and what is not known does not pass."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mlsystem import evaluation, export, tables
from mlsystem.artifacts import Check, DataSchema, Feature, ModelContract, ModelFeature
from mlsystem.errors import ArtifactError
from mlsystem.evaluation import Champion, Scored
from mlsystem.predictor import Predictor
from mlsystem.tables import Batch

PASSED = Check("parity", True, "agree")
FAILED = Check("leakage", False, "3 of 10 test rows are equal to train rows")


def _decide(values, checks=(PASSED,), metric="roc_auc", direction="minimum", threshold=0.85):
    return evaluation.decide(
        values, checks, metric=metric, direction=direction, threshold=threshold, n_rows=498
    )


# --- the gate: a metric that shall be high ------------------------------------------------------


def test_the_gate_passes_a_score_above_the_threshold() -> None:
    gate = _decide({"roc_auc": 0.9})
    assert (gate.passed, gate.value, gate.reasons) == (True, 0.9, ())


def test_the_gate_rejects_a_score_below_the_threshold() -> None:
    gate = _decide({"roc_auc": 0.71})
    assert (gate.passed, gate.value) == (False, 0.71)
    assert gate.reasons == ("roc_auc 0.71 on 498 test rows is below the threshold 0.85",)


def test_a_score_on_the_threshold_passes() -> None:
    assert _decide({"roc_auc": 0.85}).passed
    assert not _decide({"roc_auc": math.nextafter(0.85, 0)}).passed


# --- the gate: a metric that shall be low -------------------------------------------------------


def _decide_error(value: float):
    return _decide({"error_rate": value}, metric="error_rate", direction="maximum", threshold=0.1)


def test_the_gate_passes_an_error_below_the_threshold() -> None:
    assert _decide_error(0.05).passed


def test_the_gate_rejects_an_error_above_the_threshold() -> None:
    gate = _decide_error(0.144)
    assert not gate.passed
    assert gate.reasons == ("error_rate 0.144 on 498 test rows is above the threshold 0.1",)


def test_an_error_on_the_threshold_passes() -> None:
    assert _decide_error(0.1).passed
    assert not _decide_error(math.nextafter(0.1, 1)).passed


# --- the gate: closed ---------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["minimum", "maximum"])
@pytest.mark.parametrize("values", [{}, {"f1": 1.0}, {"roc_auc": math.nan}, {"roc_auc": math.inf}])
def test_a_metric_that_is_missing_or_no_number_does_not_pass(values, direction) -> None:
    gate = _decide(values, direction=direction)
    assert (gate.passed, gate.value) == (False, None)
    assert gate.reasons[0].startswith("roc_auc could not be computed on 498 test rows: it needs")


def test_a_failed_check_does_not_pass_however_good_the_score() -> None:
    gate = _decide({"roc_auc": 1.0}, [PASSED, FAILED])
    assert not gate.passed
    assert gate.reasons == ("leakage: 3 of 10 test rows are equal to train rows",)


def test_all_reasons_are_given() -> None:
    assert len(_decide({"roc_auc": 0.1}, [FAILED, PASSED, FAILED]).reasons) == 3


# --- parity -------------------------------------------------------------------------------------

REFERENCE = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)


def test_parity_of_equal_predictions() -> None:
    check = evaluation.check_parity(REFERENCE, REFERENCE + 1e-6, "binary")
    assert check.passed
    assert "on 2 validation rows, within the tolerance 0.0001" in check.detail


@pytest.mark.parametrize(("difference", "passed"), [(0.9e-4, True), (1.1e-4, False)])
def test_parity_at_its_tolerance(difference, passed) -> None:
    found = REFERENCE.astype(float)
    found[1, 0] += difference
    assert evaluation.check_parity(REFERENCE, found, "binary").passed == passed


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_parity_of_a_regression_is_relative_to_the_largest_prediction(scale) -> None:
    reference = np.array([[1.0], [-2.0]]) * scale
    assert evaluation.check_parity(reference, reference * (1 + 0.9e-4), "regression").passed
    assert not evaluation.check_parity(reference, reference * (1 + 1.1e-4), "regression").passed


@pytest.mark.parametrize(
    "reference", [None, np.empty((0, 2)), REFERENCE[:1], REFERENCE[:, :1], REFERENCE * np.nan]
)
def test_parity_fails_closed(reference) -> None:
    assert not evaluation.check_parity(reference, REFERENCE, "binary").passed


def test_parity_with_predictions_that_are_no_numbers() -> None:
    assert not evaluation.check_parity(REFERENCE, REFERENCE * np.nan, "binary").passed


# --- leakage and constant models ----------------------------------------------------------------


def test_leakage() -> None:
    assert evaluation.check_leakage(0, 10).passed
    check = evaluation.check_leakage(1, 10)
    assert not check.passed
    assert check.detail.startswith("1 of 10 test rows are equal to train rows")


def test_a_model_that_answers_one_thing() -> None:
    same = np.tile(np.array([0.856, 0.144], np.float32), (100, 1))
    check = evaluation.check_constant_model(same)
    assert (check.passed, check.detail) == (False, "all 100 test rows get one prediction")
    same[3] = [0.8, 0.2]
    assert evaluation.check_constant_model(same).passed


@pytest.mark.parametrize("scale", [1e-9, 1, 1e9])
def test_rounding_does_not_make_a_model_vary(scale) -> None:
    values = np.array([[1.0], [1 + 1e-7], [1 - 1e-7]]) * scale
    assert not evaluation.check_constant_model(values).passed
    assert evaluation.check_constant_model(values + np.arange(3)[:, np.newaxis] * scale).passed


@pytest.mark.parametrize("predictions", [np.empty((0, 2)), np.full((9, 2), np.nan)])
def test_no_predictions_do_not_vary(predictions) -> None:
    assert not evaluation.check_constant_model(predictions).passed


# --- champion -----------------------------------------------------------------------------------


def _against(champion, values, direction="minimum", tolerance=0.0) -> Check:
    return evaluation.check_champion(
        champion, values, metric="m", direction=direction, tolerance=tolerance
    )


@pytest.mark.parametrize(
    ("direction", "ours", "theirs", "tolerance", "passed"),
    [
        ("minimum", 0.91, 0.90, 0.0, True),
        ("minimum", 0.90, 0.90, 0.0, True),
        ("minimum", 0.89, 0.90, 0.0, False),
        ("minimum", 0.89, 0.90, 0.02, True),
        ("minimum", 0.87, 0.90, 0.02, False),
        ("maximum", 0.09, 0.10, 0.0, True),
        ("maximum", 0.10, 0.10, 0.0, True),
        ("maximum", 0.11, 0.10, 0.0, False),
        ("maximum", 0.11, 0.10, 0.02, True),
        ("maximum", 0.13, 0.10, 0.02, False),
    ],
)
def test_the_challenger_must_be_at_least_as_good(direction, ours, theirs, *, tolerance, passed):
    check = _against(Champion({"m": theirs}), {"m": ours}, direction, tolerance)
    assert check.passed == passed
    assert f"m {ours:g} is {'at least as good' if passed else 'worse'}" in check.detail
    assert f"the champion's is {theirs:g} on the same rows" in check.detail


@pytest.mark.parametrize(
    "champion", [Champion(None, "truncated"), Champion({}), Champion({"n": 1})]
)
def test_a_champion_that_cannot_be_measured_does_not_block_but_is_named(champion) -> None:
    check = _against(champion, {"m": 0.5})
    assert check.passed
    assert check.detail.startswith("not compared: ")


def test_a_challenger_that_cannot_be_measured_does_not_replace_one_that_can() -> None:
    assert not _against(Champion({"m": 0.5}), {}).passed


def _contract(**changes) -> ModelContract:
    features = (ModelFeature("x", "number", ()), ModelFeature("c", "category", ("a",)))
    values = {
        "model_name": "m", "problem": "binary", "algorithm": "linear", "target": "y",
        "labels": ("no", "yes"), "features": features, "onnx_sha256": "", "libraries": {},
    }  # fmt: skip
    return ModelContract(**(values | changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [("problem", "regression"), ("target", "z"), ("labels", ("yes", "no")), ("labels", ("a", "b"))],
)
def test_models_of_other_questions_are_not_comparable(name, value) -> None:
    with pytest.raises(ArtifactError, match=f"champion model.json#/{name}"):
        evaluation.check_comparable(_contract(**{name: value}), _contract())


def test_models_with_other_features_are_comparable() -> None:
    evaluation.check_comparable(_contract(features=()), _contract())


# --- scoring ------------------------------------------------------------------------------------


def _batch(numbers, categories, target) -> Batch:
    columns = np.array([numbers], np.float32).T, np.array([categories], object).T
    return Batch(*columns, np.array(target))


def test_rows_are_scored_in_order_and_gaps_are_seen() -> None:
    batches = [
        _batch([1.0, np.nan], ["a", "b"], [0, 1]),
        _batch([3.0], [""], [1]),
    ]
    scored = evaluation.score(batches, lambda batch: np.tile(batch.numbers, 2), 2)
    np.testing.assert_array_equal(scored.predictions[:, 0], [1, np.nan, 3])
    assert scored.target.tolist() == [0, 1, 1]
    assert scored.has_missing.tolist() == [False, True, True]


def test_a_channel_without_rows_is_scored() -> None:
    scored = evaluation.score([], lambda batch: batch.numbers, 3)
    assert scored.predictions.shape == (0, 3)
    assert scored.target.shape == scored.has_missing.shape == (0,)


def test_the_schema_of_a_contract() -> None:
    features = (Feature("x", "number"), Feature("c", "category"))
    assert evaluation.schema_of(_contract()) == DataSchema("binary", "y", ("no", "yes"), features)


# --- golden requests ----------------------------------------------------------------------------


def _golden(model, table, folder):
    contract = export.save(model, folder, name="m", algorithm="xgboost")
    predictor = Predictor.load(folder)
    scored = evaluation.score(
        tables.read_batches(table),
        lambda batch: predictor.predict(batch.numbers, batch.categories),
        max(1, len(table.schema.labels)),
    )
    return evaluation.golden_requests(table, scored, contract)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_golden_requests_are_rows_with_the_answers_of_serving(
    fitted, prepared, tmp_path, problem
) -> None:
    table = prepared[problem].table("test")
    golden = _golden(fitted(problem, "xgboost"), table, tmp_path)
    assert golden.model_name == "m"
    assert len(golden.requests) == 20
    assert len({request.body for request in golden.requests}) == 20
    keys = {
        "binary": {"score", "predicted_label"},
        "multiclass": {"score", "predicted_label", "probabilities"},
        "regression": {"score"},
    }
    predictor = Predictor.load(tmp_path)
    for request in golden.requests:
        assert request.content_type == request.accept == "application/json"
        (row,) = json.loads(request.body)["instances"]
        assert list(row) == [feature.name for feature in table.schema.features]
        numbers = [[np.nan if row[n] is None else row[n] for n in table.schema.numbers]]
        categories = [[row[n] or "" for n in table.schema.categories]]
        (answer,) = predictor.predict(np.array(numbers, np.float32), np.array(categories, object))
        assert set(request.expected) == keys[problem]
        if problem == "regression":
            score = answer[0]
        else:
            label = table.schema.labels.index(request.expected["predicted_label"])
            assert label == answer.argmax()
            score = answer[1] if problem == "binary" else answer[label]
        assert request.expected["score"] == pytest.approx(score, abs=golden.tolerance)
        if problem == "multiclass":
            labels = dict(zip(table.schema.labels, answer, strict=True))
            assert request.expected["probabilities"] == pytest.approx(labels, abs=golden.tolerance)


def test_golden_requests_cover_labels_and_gaps(samples, tmp_path) -> None:
    columns = samples.columns("binary", 1_000) | {"signal": list(range(1_000))}
    table = samples.write_split(tmp_path, samples.schema(), columns)
    only_yes, only_gap = np.arange(1_000) == 123, np.arange(1_000) == 456
    probabilities = np.tile(np.array([0.5, 0.5], np.float32), (1_000, 1))
    scored = Scored(only_yes.astype(int), probabilities, only_gap)
    golden = evaluation.golden_requests(table, scored, _contract())
    rows = [json.loads(request.body)["instances"][0] for request in golden.requests]
    positions = [row["signal"] for row in rows]
    assert {0, 123, 456} < set(positions)
    assert positions == sorted(positions)


def test_the_same_rows_give_the_same_golden_requests(fitted, prepared, tmp_path) -> None:
    model, table = fitted("binary", "xgboost"), prepared["binary"].table("test")
    once, again = (_golden(model, table, tmp_path) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("n_rows", [0, 1, 5, 20, 21, 1000])
def test_at_most_twenty_different_rows_are_chosen(samples, tmp_path, n_rows) -> None:
    table = samples.write_split(tmp_path, samples.schema(), samples.columns("binary", n_rows))
    probabilities = np.tile(np.array([0.5, 0.5], np.float32), (n_rows, 1))
    rare = np.zeros(n_rows, int)
    rare[n_rows // 3 : n_rows // 3 + 1] = 1
    scored = Scored(rare, probabilities, np.zeros(n_rows, bool))
    golden = evaluation.golden_requests(table, scored, _contract())
    assert len(golden.requests) == min(20, n_rows)


def test_rows_without_an_answer_are_not_golden(samples, tmp_path) -> None:
    table = samples.write_split(tmp_path, samples.schema(), samples.columns("binary", 3))
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan], [0.1, 0.9]], np.float32)
    scored = Scored(np.array([0, 1, 1]), probabilities, np.zeros(3, bool))
    golden = evaluation.golden_requests(table, scored, _contract())
    assert [request.expected["predicted_label"] for request in golden.requests] == ["yes", "yes"]
