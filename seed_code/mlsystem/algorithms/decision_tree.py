"""One decision tree (CART), which a person can read."""

from __future__ import annotations

from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlsystem.algorithms import Task
from mlsystem.settings import DecisionTreeHyperparameters as Hyperparameters

__all__ = ["SCALE_NUMBERS", "Hyperparameters", "fit"]

SCALE_NUMBERS = False


def fit(task: Task[Hyperparameters]) -> DecisionTreeClassifier | DecisionTreeRegressor:
    """Return the tree; it splits by Gini impurity, for regression by squared error."""
    kind = DecisionTreeRegressor if task.problem == "regression" else DecisionTreeClassifier
    tree = kind(random_state=task.seed, **task.hyperparameters.model_dump())
    return tree.fit(task.train.features, task.train.target)
