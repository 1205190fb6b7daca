"""Metrics by name: how good predictions are, each in one line of scikit-learn.

The names are those of :data:`mlsystem.settings.METRICS`, and mean

================= ================================================================================
``roc_auc``       area under the ROC curve of the positive label's probability
``f1``            F1 of the positive label
``accuracy``      share of rows whose predicted label is right
``error_rate``    1 - accuracy
``log_loss``      mean negative log likelihood, in nats
``f1_macro``      mean of the labels' F1, each label counting the same
``f1_weighted``   mean of the labels' F1, each label counting by its rows
``r2``            share of the target's variance that is explained
``rmse``          root of the mean squared error, in units of the target
``mae``           mean absolute error, in units of the target
================= ================================================================================

Predicted labels are those of serving. `f1_macro` is over the labels that occur among the rows or
the predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from mlsystem.artifacts import ConfusionMatrix, Problem

__all__ = ["compute", "confusion_matrix", "predicted_labels"]

Array = npt.NDArray[Any]

_BINARY: Final = 2
_POSITIVE_FROM: Final = 0.5


def compute(problem: Problem, target: Array, predictions: Array) -> dict[str, float]:
    """Return the metrics of `problem` by name; those that have no finite value are left out.

    Parameters
    ----------
    problem
        Which metrics.
    target
        ``[n_rows]``: label indices, or numbers for regression.
    predictions
        ``[n_rows, n_labels]`` probabilities or, for regression, ``[n_rows, 1]`` values.
    """
    if not _is_measurable(problem, target, predictions):
        return {}
    values = {
        name: float(metric(target, predictions)) for name, metric in _METRICS[problem].items()
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}


def predicted_labels(probabilities: Array) -> Array:
    """Return the labels that serving answers (:mod:`mlsystem.answers`): indices, ``[n_rows]``.

    Of two labels, the second from a probability of 0.5 on; of more, the most probable, and the
    first of equals.
    """
    is_binary = probabilities.shape[1] == _BINARY
    indices: Array = (
        (probabilities[:, 1] >= _POSITIVE_FROM).astype(np.int64)
        if is_binary
        else probabilities.argmax(axis=1)
    )
    return indices


def confusion_matrix(
    target: Array, probabilities: Array, labels: tuple[str, ...]
) -> ConfusionMatrix:
    """Return how many rows of each label were predicted to be of each label."""
    n_labels = len(labels)
    cells = np.bincount(target * n_labels + predicted_labels(probabilities), minlength=n_labels**2)
    counts = cells.reshape(n_labels, n_labels).tolist()
    return ConfusionMatrix(labels, tuple(map(tuple, counts)))


def _is_measurable(problem: Problem, target: Array, predictions: Array) -> bool:
    """Whether there are rows, predictions of each and, for classification, two labels."""
    if not target.size or not np.isfinite(predictions).all():
        return False
    return problem == "regression" or np.unique(target).size > 1


def _accuracy(target: Array, probabilities: Array) -> float:
    return float(np.mean(predicted_labels(probabilities) == target))


def _error_rate(target: Array, probabilities: Array) -> float:
    return float(np.mean(predicted_labels(probabilities) != target))


def _f1(average: str) -> Callable[[Array, Array], float]:
    return lambda target, probabilities: metrics.f1_score(
        target, predicted_labels(probabilities), average=average, zero_division=0
    )


def _r2(target: Array, values: Array) -> float:
    # Of a constant target nothing can be explained; scikit-learn would say 1 or 0.
    return metrics.r2_score(target, values) if np.ptp(target) > 0 else float("nan")


_METRICS: Final[dict[str, dict[str, Callable[[Array, Array], float]]]] = {
    "binary": {
        "roc_auc": lambda target, probabilities: metrics.roc_auc_score(target, probabilities[:, 1]),
        "f1": _f1("binary"),
        "accuracy": _accuracy,
        "error_rate": _error_rate,
        "log_loss": metrics.log_loss,
    },
    "multiclass": {
        "accuracy": _accuracy,
        "f1_macro": _f1("macro"),
        "f1_weighted": _f1("weighted"),
        "error_rate": _error_rate,
    },
    "regression": {
        "r2": _r2,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
    },
}
