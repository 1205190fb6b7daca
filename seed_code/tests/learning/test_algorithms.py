"""What each algorithm promises, and how one brings one's own."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from mlsystem import algorithms, export, settings, tables, training
from mlsystem.algorithms import Rows, Task
from mlsystem.errors import UserError

BUILT_IN = ("decision_tree", "linear", "xgboost")


def _task(problem: str, algorithm: str, seed: int = 0, **given) -> Task:
    """Return a task of 300 rows with two columns, the second 100 times the first and noise."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(300, 3)).astype(np.float32)
    z = features @ [1.0, -2.0, 0.0] + random.normal(size=300)
    target = z if problem == "regression" else (z > 0).astype(np.int64)
    rows = Rows(features[:200], target[:200]), Rows(features[200:], target[200:])
    lines: list[str] = []
    hyperparameters = algorithms.find(algorithm, "test").Hyperparameters(**given)
    return Task(problem, *rows, hyperparameters, 20, 1, lines.append)


def _fit(algorithm: str, task: Task):
    return algorithms.find(algorithm, "test").fit(task)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_algorithms_take_the_hyperparameters_of_the_settings(name) -> None:
    assert algorithms.find(name, "test").Hyperparameters is settings.HYPERPARAMETERS[name]


@pytest.mark.parametrize("name", ["no_such", "", "..", "__init__", "xgboost.py", "os"])
def test_an_unknown_algorithm_is_refused_with_those_that_are_known(name) -> None:
    with pytest.raises(UserError) as caught:
        algorithms.find(name, "hyperparameters.json#/algorithm")
    assert str(caught.value).startswith(f"hyperparameters.json#/algorithm: {name!r}; ")
    assert f"one of {', '.join(settings.ALGORITHMS)}. " in str(caught.value)


# --- linear -------------------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.0, 0.5, 300.0])
def test_linear_regression_minimizes_half_the_squared_error_and_the_penalty(l2) -> None:
    task = _task("regression", "linear", l2=l2)
    model = _fit("linear", task)
    rows = task.train
    residuals = rows.target - (rows.features @ model.coef_ + model.intercept_)
    gradient = -rows.features.T @ residuals + l2 * model.coef_
    assert np.abs(gradient).max() < 1e-3
    assert abs(residuals.sum()) < 1e-3  # the intercept has no penalty


@pytest.mark.parametrize("l2", [0.0, 0.5, 300.0])
def test_logistic_regression_minimizes_the_log_loss_and_the_penalty(l2) -> None:
    task = _task("binary", "linear", l2=l2)
    model = _fit("linear", task)
    rows = task.train
    errors = model.predict_proba(rows.features)[:, 1] - rows.target
    gradient = rows.features.T @ errors + l2 * model.coef_[0]
    assert np.abs(gradient).max() < 0.1
    assert abs(errors.sum()) < 0.1


def test_a_solver_that_did_not_converge_says_so() -> None:
    lines: list[str] = []
    task = _task("binary", "linear", max_iterations=1, l2=0)
    _fit("linear", Task(**(vars(task) | {"report": lines.append})))
    assert lines == ["not converged in 1 iterations: raise max_iterations, or l2"]


# --- decision tree ------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["binary", "regression"])
def test_the_tree_obeys_its_bounds(problem) -> None:
    assert _fit("decision_tree", _task(problem, "decision_tree", max_depth=2)).get_depth() == 2
    leaves = _fit("decision_tree", _task(problem, "decision_tree", max_leaf_nodes=3))
    assert leaves.get_n_leaves() == 3


# --- xgboost ------------------------------------------------------------------------------------


def _n_trees(model) -> int:
    return len(model.get_booster().get_dump())


def test_boosting_stops_when_the_validation_loss_does_not_improve() -> None:
    task = _task("binary", "xgboost", num_round=300, early_stopping_rounds=5, eta=0.5)
    model = _fit("xgboost", task)
    assert _n_trees(model) < 300
    losses = model.evals_result()["validation_0"]["logloss"]
    assert model.best_iteration == int(np.argmin(losses))


def test_zero_early_stopping_rounds_never_stop() -> None:
    task = _task("binary", "xgboost", num_round=100, early_stopping_rounds=0, eta=0.5)
    assert _n_trees(_fit("xgboost", task)) == 100


def test_progress_comes_at_a_sane_rate() -> None:
    lines: list[str] = []
    task = _task("regression", "xgboost", num_round=200, early_stopping_rounds=0)
    _fit("xgboost", Task(**(vars(task) | {"report": lines.append})))
    assert len(lines) == 21
    assert lines[0].startswith("round 10, validation rmse ")
    assert lines[-1] == "kept 200 rounds"


# --- one's own ----------------------------------------------------------------------------------

HOW_TO = Path(__file__).parents[3] / "docs/how-to/own-estimator.md"

RANDOM_FOREST = """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    from mlsystem import settings


    class Hyperparameters(settings.Hyperparameters):
        n_trees: int = 100
        max_depth: int | None = None


    SCALE_NUMBERS = False


    def fit(task):
        kind = RandomForestRegressor if task.problem == "regression" else RandomForestClassifier
        forest = kind(
            n_estimators=task.hyperparameters.n_trees,
            max_depth=task.hyperparameters.max_depth,
            n_jobs=task.n_threads,
            random_state=task.seed,
        )
        return forest.fit(task.train.features, task.train.target)
"""


@pytest.fixture
def own_algorithm(tmp_path, monkeypatch):
    """Put a module beside the built-in ones, as a project does; return what writes it."""
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(tmp_path)])

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        monkeypatch.delitem(sys.modules, f"mlsystem.algorithms.{name}", raising=False)

    return write


@pytest.mark.exhaustive
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_a_module_of_ones_own_is_trained_and_exported_like_the_others(
    own_algorithm, samples, prepared, problem
) -> None:
    own_algorithm("forest", RANDOM_FOREST)
    model = samples.fit(prepared[problem], "forest", n_trees=10, max_depth=4)
    assert model.pipeline["model"].n_estimators == 10
    rows = prepared[problem].table("test")
    (batch,) = tables.read_batches(rows)
    session = onnxruntime.InferenceSession(export.to_onnx(model))
    (answers,) = session.run(None, {"number": batch.numbers, "category": batch.categories})
    np.testing.assert_allclose(answers, training.predict(model, rows, 1_000), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("missing", ["Hyperparameters", "SCALE_NUMBERS", "fit"])
def test_an_incomplete_module_is_refused_by_what_it_lacks(own_algorithm, missing) -> None:
    parts = {"Hyperparameters": "dict", "SCALE_NUMBERS": "False", "fit": "print"}
    del parts[missing]
    own_algorithm("forest", "\n".join(f"{name} = {value}" for name, value in parts.items()))
    with pytest.raises(UserError, match=rf"algorithms/forest\.py: no {missing}"):
        algorithms.find("forest", "test")


def test_an_estimator_that_cannot_be_exported_is_refused(own_algorithm, samples, prepared) -> None:
    own_algorithm(
        "strange",
        """
        from sklearn.dummy import DummyClassifier
        from mlsystem.settings import Hyperparameters

        class Strange(DummyClassifier):
            pass

        SCALE_NUMBERS = False

        def fit(task):
            return Strange().fit(task.train.features, task.train.target)
        """,
    )
    model = samples.fit(prepared["binary"], "strange")
    with pytest.raises(UserError, match="estimator Strange: skl2onnx has no converter"):
        export.to_onnx(model)


def test_a_classifier_without_probabilities_is_refused(own_algorithm, samples, prepared) -> None:
    own_algorithm(
        "margin",
        """
        from sklearn.svm import LinearSVC
        from mlsystem.settings import Hyperparameters

        SCALE_NUMBERS = True

        def fit(task):
            return LinearSVC().fit(task.train.features, task.train.target)
        """,
    )
    with pytest.raises(UserError, match="LinearSVC: no predict_proba"):
        samples.fit(prepared["binary"], "margin")


def test_the_how_to_shows_a_module_that_works(own_algorithm, samples, prepared) -> None:
    if not HOW_TO.exists():
        pytest.skip("seed_code was copied out alone: its documents stay behind")
    source = HOW_TO.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    own_algorithm("random_forest", source)
    model = samples.fit(prepared["multiclass"], "random_forest", n_trees=5)
    assert export.to_onnx(model)
