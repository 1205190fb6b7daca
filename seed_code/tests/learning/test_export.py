"""The graph computes what the pipeline computes, on any row, in any of its shapes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib import metadata

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mlsystem import algorithms, artifacts, export, tables, training
from mlsystem.artifacts import DataSchema, Feature, ModelContract
from mlsystem.predictor import Predictor

ALGORITHMS = ("xgboost", "linear", "decision_tree")
PROBLEMS = ("binary", "multiclass", "regression")


def _answers(model, batch) -> np.ndarray:
    """Return what the exported graph answers."""
    session = onnxruntime.InferenceSession(export.to_onnx(model))
    blocks = {"number": batch.numbers, "category": batch.categories}
    inputs = {given.name: blocks[given.name] for given in session.get_inputs()}
    (answers,) = session.run(None, inputs)
    return answers


def _assert_parity(model, table) -> None:
    expected = training.predict(model, table, table.n_rows)
    found = np.concatenate([_answers(model, batch) for batch in tables.read_batches(table)])
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    scale = max(1, np.abs(expected).max())
    assert np.abs(found - expected).max() <= 2e-6 * scale


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_graph_agrees_with_the_pipeline(fitted, prepared, problem, algorithm) -> None:
    _assert_parity(fitted(problem, algorithm), prepared[problem].table("test"))


ROWS = 5
NUMBERS = st_numpy.arrays(
    np.float32, (ROWS, 4),
    elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")),
)  # fmt: skip
COLORS = st.lists(
    st.sampled_from(["red", "blue", "", "Red", "mauve"]), min_size=ROWS, max_size=ROWS
)
CITIES = st.lists(st.text(max_size=8) | st.just("city 1"), min_size=ROWS, max_size=ROWS)


@pytest.fixture(scope="session")
def sessions(fitted):
    """The exported model of each algorithm."""
    return {
        algorithm: onnxruntime.InferenceSession(export.to_onnx(fitted("multiclass", algorithm)))
        for algorithm in ALGORITHMS
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=50)
@given(numbers=NUMBERS, colors=COLORS, cities=CITIES)
def test_the_graph_agrees_with_the_pipeline_on_any_row(
    fitted, sessions, algorithm, *, numbers, colors, cities
) -> None:
    model = fitted("multiclass", algorithm)
    values = [colors, cities, [""] * ROWS]
    codes = [
        [known.index(value) if value in known else -1 for value in column]
        for known, column in zip(model.known, values, strict=True)
    ]
    features = np.column_stack([numbers, *codes]).astype(np.float32)
    inputs = {"number": numbers, "category": np.array(values, dtype=object).T.copy()}
    (answers,) = sessions[algorithm].run(None, inputs)
    np.testing.assert_allclose(answers, model.pipeline.predict_proba(features), atol=1e-5)


def _only(schema: DataSchema, *names: str) -> DataSchema:
    features = tuple(feature for feature in schema.features if feature.name in names)
    return dataclasses.replace(schema, features=features)


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("features", "inputs"),
    [
        (("signal",), ["number"]),
        (("color",), ["category"]),
        (("color", "city"), ["category"]),
        (("signal", "never_said"), ["number", "category"]),
        (("never_given", "color"), ["number", "category"]),
    ],
)
def test_inputs_are_there_only_when_there_are_such_features(
    samples, tmp_path, algorithm, features, inputs
) -> None:
    schema = _only(samples.schema(), *features)
    train, test = (
        samples.write_split(tmp_path / str(seed), schema, samples.columns("binary", 200, seed))
        for seed in (1, 2)
    )
    module = algorithms.find(algorithm, "test")
    model = training.fit(
        train, test, module, module.Hyperparameters(), seed=1, n_threads=1, report=lambda line: None
    )
    graph = onnx.load_from_string(export.to_onnx(model)).graph
    assert [given.name for given in graph.input] == inputs
    _assert_parity(model, test)


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_graph_has_one_output(fitted, problem, algorithm) -> None:
    graph = onnx.load_from_string(export.to_onnx(fitted(problem, algorithm))).graph
    (output,) = graph.output
    name, width = ("prediction", 1) if problem == "regression" else ("probabilities", None)
    assert output.name == name
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    if width:
        assert output.type.tensor_type.shape.dim[1].dim_value == width


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_row_passes_few_nodes(fitted, algorithm) -> None:
    nodes = onnx.load_from_string(export.to_onnx(fitted("binary", algorithm))).graph.node
    assert len(nodes) <= 9
    assert "ZipMap" not in {node.op_type for node in nodes}


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_model_gives_the_same_bytes(samples, prepared, algorithm) -> None:
    once, again = (samples.fit(prepared["binary"], algorithm) for _ in range(2))
    assert export.to_onnx(once) == export.to_onnx(again)


# --- trees at their edges -----------------------------------------------------------------------

X = Feature("x", "number")


def _numbers_only(samples, folder, problem, values, target):
    labels = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}[problem]
    schema = DataSchema(problem, "y", labels, (X,))
    return samples.write_split(folder, schema, {"x": values, "y": target})


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ["xgboost", "decision_tree"])
def test_a_value_on_a_threshold_falls_on_the_same_side(samples, tmp_path, algorithm) -> None:
    # Neighbouring float32 values: every threshold between them is one of them, or neither.
    values = [float(np.float32(0.1)) for _ in range(1)]
    for _ in range(199):
        values.append(float(np.nextafter(np.float32(values[-1]), np.float32(1))))
    table = _numbers_only(
        samples, tmp_path, "regression", values, [float(i * i % 17) for i in range(200)]
    )
    module = algorithms.find(algorithm, "test")
    model = training.fit(
        table, table, module, module.Hyperparameters(max_depth=8), seed=1, n_threads=1,
        report=lambda line: None,
    )  # fmt: skip
    _assert_parity(model, table)


RARE = {
    "binary": [0] * 90 + [1] * 10,
    "multiclass": [0] * 80 + [1] * 15 + [2] * 5,
    "regression": [5e6] * 90 + [7e6] * 10,
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "given_values",
    [
        {"min_child_weight": 1e9},  # trees of one leaf, of value 0: all is in the base score
        {"num_round": 1},
        {"early_stopping_rounds": 1, "eta": 1.0},
        {"gamma": 1e9, "early_stopping_rounds": 0, "num_round": 3},
    ],
)
def test_degenerate_ensembles(samples, tmp_path, problem, given_values) -> None:
    values = [float(i % 7) for i in range(100)]
    table = _numbers_only(samples, tmp_path, problem, values, RARE[problem])
    module = algorithms.find("xgboost", "test")
    model = training.fit(
        table, table, module, module.Hyperparameters(**given_values), seed=1, n_threads=1,
        report=lambda line: None,
    )  # fmt: skip
    _assert_parity(model, table)


@pytest.mark.exhaustive
def test_only_the_best_rounds_are_exported(samples, prepared) -> None:
    model = samples.fit(
        prepared["multiclass"], "xgboost", num_round=200, eta=1.0, early_stopping_rounds=10
    )
    (trees,) = [
        node
        for node in onnx.load_from_string(export.to_onnx(model)).graph.node
        if node.op_type == "TreeEnsembleClassifier"
    ]
    (ids,) = [attribute.ints for attribute in trees.attribute if attribute.name == "nodes_treeids"]
    n_rounds = model.pipeline["model"].best_iteration + 1
    assert n_rounds < model.pipeline["model"].get_booster().num_boosted_rounds()
    assert len(set(ids)) == 3 * n_rounds


# --- the files ----------------------------------------------------------------------------------


def test_the_contract_describes_the_graph(fitted, tmp_path) -> None:
    model = fitted("multiclass", "xgboost")
    written = export.save(model, tmp_path, name="colors", algorithm="xgboost")
    assert artifacts.read(ModelContract, tmp_path / "model.json") == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.onnx"]
    assert (written.model_name, written.algorithm) == ("colors", "xgboost")
    assert written.target == "tar'get"
    assert written.labels == ("low", "mid", "high")
    assert [feature.name for feature in written.features] == [
        feature.name for feature in model.schema.features
    ]
    by_name = {feature.name: feature.categories for feature in written.features}
    assert by_name["color"] == ("blue", "green", "red")
    assert len(by_name["city"]) <= tables.MAX_CATEGORIES
    assert by_name["signal"] == by_name["never_said"] == ()
    digest = hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert written.onnx_sha256 == digest
    assert written.libraries["scikit-learn"] == metadata.version("scikit-learn")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_serving_opens_what_was_saved(fitted, prepared, tmp_path, problem) -> None:
    model = fitted(problem, "xgboost")
    export.save(model, tmp_path, name="m", algorithm="xgboost")
    table = prepared[problem].table("test")
    (batch,) = tables.read_batches(table)
    answers = Predictor.load(tmp_path).predict(batch.numbers, batch.categories)
    expected = training.predict(model, table, table.n_rows)
    np.testing.assert_allclose(answers, expected, rtol=1e-6, atol=1e-6)


def test_the_same_model_gives_the_same_files(fitted, tmp_path) -> None:
    for folder in ("a", "b"):
        export.save(fitted("binary", "linear"), tmp_path / folder, name="m", algorithm="linear")
    for name in ("model.onnx", "model.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_of_the_machine_or_the_rows_is_in_the_files(fitted, tmp_path) -> None:
    export.save(fitted("binary", "linear"), tmp_path, name="m", algorithm="linear")
    content = (tmp_path / "model.onnx").read_bytes() + (tmp_path / "model.json").read_bytes()
    assert str(tmp_path).encode() not in content
    assert json.loads((tmp_path / "model.json").read_text())["version"] == ModelContract.VERSION
