"""Whether a model is good enough: metrics, checks, and the gate that decides on them.

The gate fails closed: what could not be measured did not pass.

==================== =============================================================================
check                passes when
==================== =============================================================================
``parity``           ``model.onnx`` predicts what the fitted estimator predicted, see
                     :func:`check_parity`
``leakage``          no test row, features and target, is among the train rows
``constant_model``   predictions differ between rows
``champion``         the model is at least as good as the one that serves, see
                     :func:`check_champion`
==================== =============================================================================

Functions of their arguments; :mod:`container.evaluate` reads and writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from mlsystem.answers import Encoder
from mlsystem.artifacts import (
    Check,
    DataSchema,
    Feature,
    Gate,
    GoldenRequest,
    GoldenRequests,
    ModelContract,
    Problem,
)
from mlsystem.errors import ArtifactError
from mlsystem.tables import Batch, Table, read_rows

__all__ = [
    "PARITY_TOLERANCE",
    "Champion",
    "Scored",
    "check_champion",
    "check_comparable",
    "check_constant_model",
    "check_leakage",
    "check_parity",
    "decide",
    "golden_requests",
    "schema_of",
    "score",
]

PARITY_TOLERANCE: Final = 1e-4
"""Largest difference between two computations of the same prediction: of probabilities as it is,
for regression relative to the largest prediction."""

_CONSTANT_WITHIN: Final = 1e-6
_MAX_GOLDEN_REQUESTS: Final = 20

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scored:
    """The rows of a channel with a model's predictions.

    Parameters
    ----------
    target
        ``[n_rows]``: label indices, or numbers for regression.
    predictions
        float32 ``[n_rows, n_labels]`` probabilities or, for regression, ``[n_rows, 1]`` values.
    has_missing
        bool ``[n_rows]``: whether a feature of the row is missing.
    """

    target: Array
    predictions: Array
    has_missing: Array


def schema_of(contract: ModelContract) -> DataSchema:
    """Return the schema of the rows that a model with `contract` is for."""
    features = tuple(Feature(feature.name, feature.kind) for feature in contract.features)
    return DataSchema(contract.problem, contract.target, contract.labels, features)


def score(batches: Iterable[Batch], predict: Callable[[Batch], Array], n_outputs: int) -> Scored:
    """Return what `predict` answers for all rows of `batches`.

    Parameters
    ----------
    batches
        Rows in the channel's order.
    predict
        Returns ``[n_rows, n_outputs]`` for a batch.
    n_outputs
        Number of labels; 1 for regression.
    """
    targets: list[Array] = [np.empty(0, dtype=np.int64)]
    predictions: list[Array] = [np.empty((0, n_outputs), dtype=np.float32)]
    has_missing: list[Array] = [np.empty(0, dtype=bool)]
    for batch in batches:
        targets.append(batch.target)
        predictions.append(predict(batch))
        missing_number = np.isnan(batch.numbers).any(axis=1)
        has_missing.append(missing_number | (batch.categories == "").any(axis=1))
    # The empty first elements give an empty channel its shapes.
    targets = targets[1:] or targets
    return Scored(np.concatenate(targets), np.concatenate(predictions), np.concatenate(has_missing))


# --- checks -------------------------------------------------------------------------------------


def check_parity(reference: Array | None, predictions: Array, problem: Problem) -> Check:
    """Return whether ``model.onnx`` and the estimator that it was made of agree.

    Parameters
    ----------
    reference
        The estimator's predictions ``[n_rows, n_outputs]``, which `train` wrote; None when there
        are none.
    predictions
        Those of ``model.onnx`` for the same rows.
    problem
        Which kind of predictions, see `PARITY_TOLERANCE`.
    """
    if reference is None or not reference.size:
        return Check("parity", False, "there are no reference predictions to compare with")
    if reference.shape != predictions.shape:
        return Check(
            "parity", False,
            f"reference predictions are {_shape(reference)}, the model's {_shape(predictions)}",
        )  # fmt: skip
    difference = float(np.max(np.abs(reference - predictions)))
    tolerance = _tolerance(reference, problem)
    passed = bool(difference <= tolerance)  # false for NaN
    relation = "within" if passed else "more than"
    return Check(
        "parity", passed,
        f"model.onnx and the fitted estimator differ by {difference:.2g} on "
        f"{len(reference):,} validation rows, {relation} the tolerance {tolerance:.2g}",
    )  # fmt: skip


def check_leakage(n_common: int, n_rows: int) -> Check:
    """Return whether none of the `n_rows` test rows is a train row; `n_common` are."""
    if not n_common:
        return Check("leakage", True, f"none of {n_rows:,} test rows is among the train rows")
    return Check(
        "leakage", False,
        f"{n_common:,} of {n_rows:,} test rows are equal to train rows in all features and the "
        "target: drop duplicates, or split by a group",
    )  # fmt: skip


def check_constant_model(predictions: Array) -> Check:
    """Return whether predictions differ between rows, by more than rounding."""
    spread = np.ptp(predictions, axis=0).max() if predictions.size else 0.0
    size = np.abs(predictions).max() if predictions.size else 0.0
    if spread > _CONSTANT_WITHIN * size:
        return Check("constant_model", True, "predictions differ between test rows")
    return Check("constant_model", False, f"all {len(predictions):,} test rows get one prediction")


def check_comparable(champion: ModelContract, challenger: ModelContract) -> None:
    """Raise ArtifactError when the two models do not answer the same question."""
    for name in ("problem", "target", "labels"):
        found, required = getattr(champion, name), getattr(challenger, name)
        if found != required:
            raise ArtifactError(
                f"champion model.json#/{name}", repr(found), f"{required!r}, as the new model's"
            )


@dataclass(frozen=True)
class Champion:
    """The model that serves, if any, measured on the same test rows.

    Parameters
    ----------
    metrics
        By name; None when it was not measured.
    obstacle
        Why it was not; empty when it was.
    """

    metrics: dict[str, float] | None
    obstacle: str = ""


def check_champion(
    champion: Champion, challenger: dict[str, float], *, metric: str,
    direction: Literal["minimum", "maximum"], tolerance: float,
) -> Check:  # fmt: skip
    """Return whether the challenger is at least as good as `champion`, within `tolerance`.

    A champion that cannot be measured (a damaged archive, other labels, a feature that is no
    longer there) does not stop the challenger: waiting does not make it measurable, so it could
    never be replaced at all. The threshold still holds, and the detail says what happened.
    """
    theirs = (champion.metrics or {}).get(metric)
    if theirs is None:
        reason = champion.obstacle or f"its {metric} cannot be computed on the test rows"
        return Check("champion", True, f"not compared: {reason}")
    ours = challenger.get(metric)
    if ours is None:
        return Check("champion", False, f"{metric} of the new model could not be computed")
    loss = theirs - ours if direction == "minimum" else ours - theirs
    passed = loss <= tolerance
    allowed = f", tolerance {tolerance:g}" if tolerance else ""
    verdict = "at least as good" if passed else "worse"
    return Check(
        "champion", passed,
        f"{metric} {ours:.6g} is {verdict}, the champion's is {theirs:.6g} on the same rows"
        f"{allowed}",
    )  # fmt: skip


# --- the gate -----------------------------------------------------------------------------------


def decide(
    values: dict[str, float], checks: Sequence[Check], *, metric: str,
    direction: Literal["minimum", "maximum"], threshold: float, n_rows: int,
) -> Gate:  # fmt: skip
    """Return the verdict: passed when `metric` reaches `threshold` and every check passed.

    Parameters
    ----------
    values
        Metrics by name on the test rows.
    checks
        Each that did not pass is a reason.
    metric
        The one that decides; missing or not finite fails.
    direction
        Whether `threshold` is the least or the most that the metric may be.
    threshold
        Equal passes.
    n_rows
        Number of test rows.
    """
    value = values.get(metric)
    if value is not None and not np.isfinite(value):
        value = None
    reasons = [] if value is None else _missed(value, metric, direction, threshold, n_rows)
    if value is None:
        reasons.append(
            f"{metric} could not be computed on {n_rows:,} test rows: it needs rows, with more "
            "than one value of the target, and finite predictions"
        )
    reasons += [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    return Gate(not reasons, metric, direction, value, threshold, tuple(reasons))


def _missed(
    value: float, metric: str, direction: Literal["minimum", "maximum"], threshold: float,
    n_rows: int,
) -> list[str]:  # fmt: skip
    if value >= threshold if direction == "minimum" else value <= threshold:
        return []
    relation = "below" if direction == "minimum" else "above"
    return [
        f"{metric} {value:.6g} on {n_rows:,} test rows is {relation} the threshold {threshold:g}"
    ]


# --- golden requests ----------------------------------------------------------------------------


def golden_requests(table: Table, scored: Scored, contract: ModelContract) -> GoldenRequests:
    """Return requests of at most 20 test rows with the answers that serving must give.

    Among the rows are, if there are any, one of each label and one with a missing value; the
    others are spread evenly. The same rows give the same requests.
    """
    positions = _spread_positions(scored, len(contract.labels))
    encode = Encoder(contract).encoder("application/json")
    answers = encode(scored.predictions[positions], [1] * len(positions))
    requests = [
        GoldenRequest(
            content_type="application/json",
            accept="application/json",
            body=json.dumps({"instances": [row]}, ensure_ascii=False),
            expected=json.loads(answer)["predictions"][0],
        )
        for row, answer in zip(read_rows(table, positions), answers, strict=True)
    ]
    tolerance = _tolerance(scored.predictions, contract.problem)
    return GoldenRequests(contract.model_name, tolerance, tuple(requests))


def _spread_positions(scored: Scored, n_labels: int) -> list[int]:
    """Return the positions of at most `_MAX_GOLDEN_REQUESTS` rows that have an answer, in order."""
    answered = np.flatnonzero(np.isfinite(scored.predictions).all(axis=1))
    first_of_label = [answered[scored.target[answered] == label][:1] for label in range(n_labels)]
    first_with_gap = answered[scored.has_missing[answered]][:1]
    steps = np.linspace(0, len(answered) - 1, _MAX_GOLDEN_REQUESTS).astype(int)
    evenly = answered[steps] if answered.size else answered
    wanted = np.concatenate([*first_of_label, first_with_gap, evenly]).tolist()
    return sorted(list(dict.fromkeys(wanted))[:_MAX_GOLDEN_REQUESTS])


# --- small print --------------------------------------------------------------------------------


def _tolerance(predictions: Array, problem: Problem) -> float:
    """Return the largest accepted difference, in units of the predictions."""
    largest = float(np.max(np.abs(predictions), initial=0.0))
    return PARITY_TOLERANCE * largest if problem == "regression" else PARITY_TOLERANCE


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape))
