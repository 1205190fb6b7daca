"""Least squares for regression, logistic regression for classification.

Both minimize, over the weights ``w`` of the columns and an intercept without penalty,

    sum over rows of loss(row)  +  l2 / 2 * |w|²

where the loss is half the squared error, or the log loss. So ``l2`` means the same in both, more
rows make it matter less, and 0 is no penalty.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from mlsystem.algorithms import Task
from mlsystem.settings import LinearHyperparameters as Hyperparameters

__all__ = ["SCALE_NUMBERS", "Hyperparameters", "fit"]

SCALE_NUMBERS = True


def fit(task: Task[Hyperparameters]) -> Any:
    """Return the fitted model; says so when the solver stopped before it converged."""
    # Sums over a million rows lose digits in float32.
    features = task.train.features.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it becomes a line of progress
        model = _build(task).fit(features, task.train.target)
    most = task.hyperparameters.max_iterations
    if task.problem != "regression" and np.max(model.n_iter_) >= most:
        task.report(f"not converged in {most} iterations: raise max_iterations, or l2")
    return model


def _build(task: Task[Hyperparameters]) -> Any:
    l2 = task.hyperparameters.l2
    if task.problem == "regression":
        return Ridge(alpha=l2, random_state=task.seed) if l2 else LinearRegression()
    # scikit-learn multiplies the loss by C instead of the penalty by l2.
    return LogisticRegression(
        C=1 / l2 if l2 else np.inf,
        max_iter=task.hyperparameters.max_iterations,
        random_state=task.seed,
    )
