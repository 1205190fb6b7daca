"""Algorithms, a module each; its name is what ``model.algorithm`` says.

A module holds three things (:class:`Algorithm`):

``Hyperparameters``
    What may be set under ``model.hyperparameters``: a :class:`mlsystem.settings.Hyperparameters`,
    whose fields have types, bounds and defaults.
``SCALE_NUMBERS``
    Whether numbers shall have mean 0 and standard deviation 1. Trees do not need it.
``fit(task)``
    Returns the fitted scikit-learn estimator. It comes after the preparing steps of
    :mod:`mlsystem.training`, so it sees a dense float32 matrix without missing values.

An estimator that `skl2onnx` cannot convert brings its converter along, as :mod:`.xgboost` does.
How to add a module: ``docs/how-to/own-estimator.md``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mlsystem.artifacts import Problem
from mlsystem.errors import UserError
from mlsystem.settings import Hyperparameters

__all__ = ["Algorithm", "Rows", "Task", "find"]

H = TypeVar("H", bound=Hyperparameters)


@dataclass(frozen=True)
class Rows:
    """Prepared rows.

    Parameters
    ----------
    features
        float32 ``[n_rows, n_columns]``: numbers, then a 0/1 column per known category.
    target
        ``[n_rows]``: int64 label indices ``0 .. n_labels - 1``, or float64 for regression.
    """

    features: npt.NDArray[np.float32]
    target: npt.NDArray[Any]


@dataclass(frozen=True)
class Task(Generic[H]):
    """What an algorithm is asked to do.

    Parameters
    ----------
    problem
        Which kind of estimator: a classifier with ``predict_proba``, or a regressor.
    train, validation
        Rows to fit on, and rows to decide with when to stop.
    hyperparameters
        The module's own `Hyperparameters`.
    seed
        Of everything random.
    n_threads
        CPUs that this process may use.
    report
        Takes a line of progress for people.
    """

    problem: Problem
    train: Rows
    validation: Rows
    hyperparameters: H
    seed: int
    n_threads: int
    report: Callable[[str], None]


class Algorithm(Protocol):
    """A module in this folder."""

    Hyperparameters: type[Hyperparameters]
    SCALE_NUMBERS: bool

    def fit(self, task: Task[Any]) -> Any:
        """Return a fitted scikit-learn estimator."""


def find(name: str, where: str) -> Algorithm:
    """Return the algorithm called `name`; `where` is where it was asked for.

    Raises
    ------
    UserError
        No such module, or it lacks one of the three things.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise UserError(
            where, repr(name), f"one of {', '.join(known)}",
            f"To bring your own, add mlsystem/algorithms/{name}.py",
        )  # fmt: skip
    module = importlib.import_module(f"{__name__}.{name}")
    for attribute in ("Hyperparameters", "SCALE_NUMBERS", "fit"):
        if not hasattr(module, attribute):
            raise UserError(
                f"mlsystem/algorithms/{name}.py", f"no {attribute}",
                "Hyperparameters, SCALE_NUMBERS and fit(task)", "See docs/how-to/own-estimator.md",
            )  # fmt: skip
    return cast("Algorithm", module)
