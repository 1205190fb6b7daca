"""From prepared rows to a fitted scikit-learn pipeline.

The pipeline has two steps. ``prepare`` turns numbers and categories into one matrix without
missing values; everything in it is learned from the train rows alone:

* a missing number becomes the feature's median (0 when the feature has no value at all);
* numbers are scaled to mean 0 and standard deviation 1, if the algorithm wants that;
* a category becomes a 0/1 column per known value. A missing value, one that is not among the
  `tables.MAX_CATEGORIES` most frequent, and one that was never seen are the same "unknown": 0 in
  all columns of the feature.

``model`` is the estimator that the algorithm's module fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlsystem.algorithms import Algorithm, Rows, Task
from mlsystem.artifacts import DataSchema
from mlsystem.errors import DataError, UserError
from mlsystem.settings import Hyperparameters
from mlsystem.tables import Table, Vocabulary, load, vocabulary

__all__ = ["FittedModel", "fit", "predict"]


@dataclass(frozen=True)
class FittedModel:
    """A fitted pipeline, and what it takes to feed it.

    Parameters
    ----------
    pipeline
        Takes what :func:`mlsystem.tables.load` returns.
    schema
        Of the rows that it was fitted on.
    known
        Known values of each category.
    """

    pipeline: Pipeline
    schema: DataSchema
    known: Vocabulary


def fit(
    train: Table,
    validation: Table,
    algorithm: Algorithm,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    n_threads: int,
    report: Callable[[str], None],
) -> FittedModel:
    """Return the pipeline fitted on `train`; `validation` only decides when to stop.

    Parameters
    ----------
    train, validation
        Two channels with the same schema.
    algorithm
        A module of :mod:`mlsystem.algorithms`.
    hyperparameters
        The module's own.
    seed
        Of everything random: the same rows, seed and number of threads give the same model.
    n_threads
        CPUs that this process may use.
    report
        Takes a line of progress for people.

    Raises
    ------
    DataError
        A channel without rows, a label without train rows, no feature with a value, or a number
        that does not fit into float32.
    UserError
        The algorithm's estimator is a classifier that gives no probabilities.
    """
    _check_channels(train, validation)
    schema, known = train.schema, vocabulary(train)
    features, target = load(train, known)
    _check_labels(schema, target, str(train.folder))
    report(f"{train.n_rows:,} rows, {len(schema.features)} features")
    prepare = _preparing_steps(schema, known, algorithm.SCALE_NUMBERS, str(train.folder))
    fit_rows = Rows(prepare.fit_transform(features), target)
    features, target = load(validation, known)
    task = Task(
        problem=schema.problem,
        train=fit_rows,
        validation=Rows(prepare.transform(features), target),
        hyperparameters=hyperparameters,
        seed=seed,
        n_threads=n_threads,
        report=report,
    )
    model = algorithm.fit(task)
    if schema.labels and not hasattr(model, "predict_proba"):
        raise UserError(
            f"estimator {type(model).__name__}", "no predict_proba",
            "a classifier that gives probabilities", "Calibrate it, or take another one",
        )  # fmt: skip
    return FittedModel(Pipeline([("prepare", prepare), ("model", model)]), schema, known)


def predict(model: FittedModel, table: Table, n_rows: int) -> npt.NDArray[np.float32]:
    """Return the pipeline's predictions for the first `n_rows` rows of `table`.

    Returns
    -------
    float32 ``[n_rows, n_labels]`` probabilities or, for regression, ``[n_rows, 1]`` values.
    """
    features, _ = load(table, model.known, n_rows)
    if model.schema.problem == "regression":
        values = model.pipeline.predict(features).reshape(-1, 1)
    else:
        values = model.pipeline.predict_proba(features)
    return np.asarray(values, dtype=np.float32)


def _check_channels(train: Table, validation: Table) -> None:
    """Raise DataError when there is nothing to fit on, or nothing to stop by."""
    for table in (train, validation):
        if not table.n_rows:
            raise DataError(
                str(table.folder), "0 rows", "at least one",
                "Give this split a larger share under data.split, or bring more data",
            )  # fmt: skip


def _check_labels(schema: DataSchema, target: npt.NDArray[Any], where: str) -> None:
    present = set(np.unique(target)) if schema.labels else set()
    missing = [label for index, label in enumerate(schema.labels) if index not in present]
    if missing:
        raise DataError(
            f"{where} column {schema.target!r}", f"no row of label {', '.join(map(repr, missing))}",
            f"rows of each of the {len(schema.labels)} labels to learn from",
            "Bring more such rows, leave the label out of the data, or split by another seed",
        )  # fmt: skip


def _preparing_steps(
    schema: DataSchema, known: Vocabulary, scale: bool, where: str
) -> ColumnTransformer:
    steps: list[tuple[str, Any, slice | list[int]]] = []
    n_numbers = len(schema.numbers)
    if n_numbers:
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        scaling = [StandardScaler()] if scale else []
        steps.append(("number", make_pipeline(impute, *scaling), slice(0, n_numbers)))
    # A category without any value has no columns to give.
    used = [index for index, values in enumerate(known) if values]
    if used:
        one_hot = OneHotEncoder(
            categories=[np.arange(len(known[index]), dtype=np.float32) for index in used],
            handle_unknown="ignore",
            sparse_output=False,
            dtype=np.float32,
        )
        steps.append(("category", one_hot, [n_numbers + index for index in used]))
    if not steps:
        raise DataError(where, "no feature has a value", "at least one feature with values")
    return ColumnTransformer(steps, sparse_threshold=0)
