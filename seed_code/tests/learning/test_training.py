"""Fitted on the train rows alone, the same every time, and right where the answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_iris

from mlsystem import algorithms, tables, training
from mlsystem.artifacts import DataSchema, Feature
from mlsystem.errors import DataError

ALGORITHMS = ("xgboost", "linear", "decision_tree")
PROBLEMS = ("binary", "multiclass", "regression")


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_predictions_have_the_promised_shape(fitted, prepared, problem, algorithm) -> None:
    table = prepared[problem].table("test")
    predictions = training.predict(fitted(problem, algorithm), table, 100)
    n_outputs = {"binary": 2, "multiclass": 3, "regression": 1}[problem]
    assert predictions.shape == (100, n_outputs)
    assert predictions.dtype == np.float32
    if problem != "regression":
        np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_signal_is_found(fitted, prepared, algorithm) -> None:
    table = prepared["regression"].table("test")
    model = fitted("regression", algorithm)
    _, target = tables.load(table, model.known)
    errors = training.predict(model, table, table.n_rows)[:, 0] - target
    assert np.std(errors) < 0.6 * np.std(target)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("algorithm", "n_threads", "n_rows"),
    [
        ("xgboost", 1, 300),
        ("xgboost", 2, 20_000),  # enough for two threads
        ("linear", 2, 300),
        ("decision_tree", 2, 300),
    ],
)
def test_the_same_rows_and_seed_give_the_same_bytes(
    samples, tmp_path, algorithm, n_threads, n_rows
) -> None:
    rows = samples.write(tmp_path, "multiclass", sizes=(n_rows, 100, 150))
    once, again = (
        training.predict(
            samples.fit(rows, algorithm, seed=7, n_threads=n_threads), rows.table("test"), 150
        )
        for _ in range(2)
    )
    assert once.tobytes() == again.tobytes()


@pytest.mark.exhaustive
def test_another_seed_gives_another_model(samples, prepared) -> None:
    table = prepared["binary"].table("test")
    one, other = (
        training.predict(samples.fit(prepared["binary"], "xgboost", seed=seed), table, 150)
        for seed in (1, 2)
    )
    assert not np.array_equal(one, other)


def _prepare_step(model):
    return model.pipeline["prepare"].named_transformers_


def test_medians_and_categories_come_from_the_train_rows_alone(samples, tmp_path) -> None:
    schema = samples.schema()
    train = samples.columns("binary", 200)
    elsewhere = samples.columns("binary", 50) | {"signal": [1e6] * 50, "color": ["new"] * 50}
    tables_of = [
        samples.write_split(tmp_path / name, schema, columns)
        for name, columns in (("train", train), ("validation", elsewhere))
    ]
    module = algorithms.find("decision_tree", "test")
    model = training.fit(
        *tables_of, module, module.Hyperparameters(), seed=1, n_threads=1, report=print
    )
    assert model.known[0] == ("blue", "green", "red")
    medians = _prepare_step(model)["number"]["simpleimputer"].statistics_
    odd = [value for value in train['odd "name", €'] if value is not None]
    np.testing.assert_allclose(medians, [np.median(train["signal"]), np.median(odd), 7, 0])


@pytest.mark.parametrize(("algorithm", "scaled"), [("linear", True), ("decision_tree", False)])
def test_numbers_are_scaled_where_the_algorithm_wants_it(fitted, algorithm, scaled) -> None:
    steps = _prepare_step(fitted("binary", algorithm))["number"].named_steps
    assert ("standardscaler" in steps) == scaled


def test_missing_unseen_and_rare_values_are_the_same_unknown(fitted, samples, tmp_path) -> None:
    model = fitted("binary", "linear")
    columns = samples.columns("binary", 3)
    same = {name: values[:1] * 3 for name, values in columns.items()}
    same["city"] = [None, "never seen", ""]
    table = samples.write_split(tmp_path, samples.schema(), same)
    predictions = training.predict(model, table, 3)
    assert (predictions == predictions[0]).all()


# --- known answers ------------------------------------------------------------------------------


def test_iris_answers_of_the_source_system(samples, tmp_path) -> None:
    iris = load_iris()
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    schema = DataSchema(
        "multiclass",
        "species",
        tuple(iris.target_names),
        tuple(Feature(n, "number") for n in names),
    )
    columns = dict(zip(names, iris.data.T.tolist(), strict=True)) | {
        "species": iris.target.tolist()
    }
    train = samples.write_split(tmp_path / "train", schema, columns)
    module = algorithms.find("decision_tree", "test")
    model = training.fit(
        train, train, module, module.Hyperparameters(), seed=20, n_threads=1, report=print
    )
    asked = np.array([[4.5, 1.3, 0.3, 0.3], [5.9, 3, 5.1, 1.8]], np.float32)
    labels = model.pipeline.predict_proba(asked).argmax(axis=1)
    assert [schema.labels[label] for label in labels] == ["setosa", "virginica"]


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_a_channel_without_rows(samples, tmp_path, empty) -> None:
    sizes = [0 if split == empty else 50 for split in ("train", "validation", "test")]
    with pytest.raises(DataError, match=f"{empty}: 0 rows; at least one"):
        samples.fit(samples.write(tmp_path, sizes=sizes), "linear")


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("labels", "missing"), [((1, 1), "'no'"), ((0, 0), "'yes'")], ids=["all yes", "all no"]
)
def test_one_label_in_train(samples, tmp_path, algorithm, labels, missing) -> None:
    _refuses_labels(samples, tmp_path, algorithm, "binary", labels=labels, missing=missing)


def test_a_label_that_train_lacks(samples, tmp_path) -> None:
    _refuses_labels(samples, tmp_path, "xgboost", "multiclass", labels=(0, 2), missing="'mid'")


def _refuses_labels(samples, folder, algorithm, problem, *, labels, missing) -> None:
    rows = samples.write(folder, problem)
    columns = samples.columns(problem, 60) | {"tar'get": [*labels] * 30}
    samples.write_split(folder / "train", rows.schema, columns)
    with pytest.raises(DataError) as caught:
        samples.fit(rows, algorithm)
    assert f'column "tar\'get": no row of label {missing}; rows of each of' in str(caught.value)


def test_categories_without_any_value(samples, tmp_path) -> None:
    schema = dataclasses.replace(samples.schema(), features=(Feature("never_said", "category"),))
    columns = samples.columns("binary", 20)
    for split in ("train", "validation"):
        samples.write_split(tmp_path / split, schema, columns)
    train, validation = (tables.open_table(tmp_path / s, schema) for s in ("train", "validation"))
    module = algorithms.find("linear", "test")
    with pytest.raises(DataError, match="train: no feature has a value"):
        training.fit(
            train, validation, module, module.Hyperparameters(), seed=1, n_threads=1, report=print
        )


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_two_rows_are_enough_not_to_crash(samples, tmp_path, problem, algorithm) -> None:
    n_labels = max(2, len(samples.schema(problem).labels))
    rows = samples.write(tmp_path, problem, sizes=(n_labels, 1, 1))
    columns = samples.columns(problem, n_labels) | {"tar'get": list(range(n_labels))}
    samples.write_split(tmp_path / "train", rows.schema, columns)
    model = samples.fit(rows, algorithm)
    assert np.isfinite(training.predict(model, rows.table("test"), 1)).all()
