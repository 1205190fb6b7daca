"""Gradient-boosted trees.

The validation rows decide how many trees are kept: growing stops when their loss has not improved
for ``early_stopping_rounds``, and only the trees up to the best round count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import skl2onnx
import xgboost as xgb
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from mlsystem.algorithms import Task
from mlsystem.settings import XGBoostHyperparameters as Hyperparameters

__all__ = ["SCALE_NUMBERS", "Hyperparameters", "fit"]

SCALE_NUMBERS = False

_LOSSES: Final = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
_PROGRESS_LINES: Final = 20
# Threads wait for each other several times per tree. On a busy machine, that costs a small data set
# a hundred times what it gains.
_ROWS_PER_THREAD: Final = 10_000


def fit(task: Task[Hyperparameters]) -> xgb.XGBClassifier | xgb.XGBRegressor:
    """Return the ensemble, cut after its best round.

    The same rows, hyperparameters, seed and number of threads give the same trees, bit for bit.
    """
    given = task.hyperparameters
    kind = xgb.XGBRegressor if task.problem == "regression" else xgb.XGBClassifier
    model = kind(
        n_estimators=given.num_round,
        max_depth=given.max_depth,
        learning_rate=given.eta,
        gamma=given.gamma,
        min_child_weight=given.min_child_weight,
        subsample=given.subsample,
        colsample_bytree=given.colsample_bytree,
        early_stopping_rounds=given.early_stopping_rounds or None,
        eval_metric=_LOSSES[task.problem],
        tree_method="hist",
        n_jobs=_n_threads(task),
        random_state=task.seed,
        callbacks=[_Progress(given.num_round, task.report)],
    )
    model.fit(
        task.train.features,
        task.train.target,
        eval_set=[(task.validation.features, task.validation.target)],
        verbose=False,
    )
    task.report(f"kept {_best_rounds(model).num_boosted_rounds()} rounds")
    return model


def _n_threads(task: Task[Hyperparameters]) -> int:
    return max(1, min(task.n_threads, len(task.train.features) // _ROWS_PER_THREAD))


class _Progress(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Reports the validation loss, `_PROGRESS_LINES` times over all rounds."""

    def __init__(self, n_rounds: int, report: Callable[[str], None]) -> None:
        self._every = max(1, n_rounds // _PROGRESS_LINES)
        self._report = report

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        round_ = epoch + 1
        if round_ % self._every == 0:
            ((loss, values),) = evals_log["validation_0"].items()
            self._report(f"round {round_}, validation {loss} {values[-1]:.4g}")
        return False


# --- ONNX ---------------------------------------------------------------------------------------
#
# onnxmltools has a converter, but 1.16 gives wrong probabilities when the first tree is a single
# leaf of value 0 (it takes the base score for a margin), and it walks the trees node by node.


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the ensemble as one node of the domain ai.onnx.ml; a skl2onnx converter."""
    model = operator.raw_operator
    is_classifier = isinstance(model, xgb.XGBClassifier)
    kind = "Classifier" if is_classifier else "Regressor"
    container.add_node(
        f"TreeEnsemble{kind}",
        operator.inputs[0].full_name,
        [output.full_name for output in operator.outputs],
        op_domain="ai.onnx.ml",
        op_version=3,
        name=scope.get_unique_operator_name(f"TreeEnsemble{kind}"),
        **_ensemble(model, is_classifier),
    )


def _ensemble(model: xgb.XGBModel, is_classifier: bool) -> dict[str, Any]:
    """Return the attributes of ``TreeEnsembleClassifier`` or ``TreeEnsembleRegressor``."""
    learner = json.loads(_best_rounds(model).save_raw("json"))["learner"]
    gbtree = learner["gradient_booster"]["model"]
    trees, group = gbtree["trees"], gbtree["tree_info"]
    base_score = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32)
    # A tree adds to the margin of its label; binary models and regressors have a single margin.
    nodes, leaves = _nodes(trees), _leaves(trees, group)
    if not is_classifier:
        return nodes | {f"target_{name}": values for name, values in leaves.items()} | {
            "n_targets": 1,
            "base_values": base_score.tolist(),
        }  # fmt: skip
    is_binary = model.objective == "binary:logistic"
    # The base score of a binary model is a probability.
    margin = np.log(base_score / (1 - base_score)) if is_binary else base_score
    return nodes | {f"class_{name}": values for name, values in leaves.items()} | {
        "classlabels_int64s": list(range(len(model.classes_))),
        "post_transform": "LOGISTIC" if is_binary else "SOFTMAX",
        "base_values": margin.tolist(),
    }  # fmt: skip


def _best_rounds(model: xgb.XGBModel) -> xgb.Booster:
    booster = model.get_booster()
    return booster[: model.best_iteration + 1] if model.early_stopping_rounds else booster


def _nodes(trees: list[dict[str, Any]]) -> dict[str, list[Any]]:
    sizes = [len(tree["left_children"]) for tree in trees]
    left = _joined(trees, "left_children")
    is_leaf = left < 0
    return {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LT").tolist(),
        "nodes_featureids": np.where(is_leaf, 0, _joined(trees, "split_indices")).tolist(),
        "nodes_values": np.where(is_leaf, 0.0, _joined(trees, "split_conditions")).tolist(),
        "nodes_truenodeids": np.where(is_leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, _joined(trees, "right_children")).tolist(),
        "nodes_missing_value_tracks_true": _joined(trees, "default_left").tolist(),
    }


def _leaves(trees: list[dict[str, Any]], group: list[int]) -> dict[str, list[Any]]:
    nodes = [np.flatnonzero(np.array(tree["left_children"]) < 0) for tree in trees]
    counts = [len(leaf) for leaf in nodes]
    # XGBoost stores the value of a leaf where a split has its threshold.
    values = [
        np.array(tree["split_conditions"])[leaf] for tree, leaf in zip(trees, nodes, strict=True)
    ]
    return {
        "treeids": np.repeat(np.arange(len(trees)), counts).tolist(),
        "nodeids": np.concatenate(nodes).tolist(),
        "ids": np.repeat(group, counts).tolist(),
        "weights": np.concatenate(values).tolist(),
    }


def _joined(trees: list[dict[str, Any]], field: str) -> Any:
    return np.concatenate([tree[field] for tree in trees])


skl2onnx.update_registered_converter(
    xgb.XGBClassifier, "XGBClassifier", calculate_linear_classifier_output_shapes, _convert,
    options={"zipmap": [True, False], "nocl": [True, False]},
)  # fmt: skip
skl2onnx.update_registered_converter(
    xgb.XGBRegressor, "XGBRegressor", calculate_linear_regressor_output_shapes, _convert
)
