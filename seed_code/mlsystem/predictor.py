"""Predictions of a trained model: the one code path that `serve` and `evaluate` share.

The graph is run on one thread: a container has as many workers as CPUs, and a row takes
microseconds. Rows are not cut into slices: on rows that the processor has not just seen, ONNX
Runtime's tree ensembles take the same time per row in a slice of 32 as in a thousand.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

# From 1.29 on, ONNX Runtime tells its maker about the machine and the models that it runs, unless
# it is told not to before it is loaded: https://github.com/microsoft/onnxruntime/pull/27379.
os.putenv("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

from mlsystem import artifacts
from mlsystem.artifacts import ModelContract
from mlsystem.errors import ArtifactError

__all__ = ["Predictor", "read_model"]

_ERRORS_ONLY = 3  # ONNX Runtime's log severity


def read_model(folder: Path) -> tuple[ModelContract, bytes]:
    """Return the contract in ``model.json`` and the content of ``model.onnx`` that it vouches for.

    Raises
    ------
    ArtifactError
        One of them is missing or unreadable, or ``model.onnx`` is another than the contract's.
    """
    contract = artifacts.read(ModelContract, folder / "model.json")
    path = folder / "model.onnx"
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ArtifactError(str(path), str(error), "a readable ONNX file") from error
    digest = hashlib.sha256(graph).hexdigest()
    if digest != contract.onnx_sha256:
        raise ArtifactError(
            str(path), f"SHA-256 {digest}", f"{contract.onnx_sha256}, as model.json says",
            "Deploy both files of one model",
        )  # fmt: skip
    return contract, graph


class Predictor:
    """A model that has answered once.

    Make it in the process that uses it: a session does not survive a fork.

    Parameters
    ----------
    contract
        What the graph accepts and answers.
    graph
        The ONNX file's content.

    Raises
    ------
    ArtifactError
        `graph` is not ONNX, is not what `contract` says, or cannot predict.
    """

    def __init__(self, contract: ModelContract, graph: bytes) -> None:
        self.contract = contract
        self._n_outputs = max(1, len(contract.labels))
        self._output_names = ["prediction" if contract.problem == "regression" else "probabilities"]
        # "" is a missing value, which is no unknown one.
        self._known = [
            frozenset((*feature.categories, ""))
            for feature in contract.features
            if feature.kind == "category"
        ]
        self._session = _open(graph)
        self._check_inputs()
        self.check()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the model in `folder`; raises what :func:`read_model` and the class raise."""
        return cls(*read_model(folder))

    def predict(
        self, numbers: npt.NDArray[np.float32], categories: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.float32]:
        """Return the model's answers.

        Parameters
        ----------
        numbers
            float32 ``[n_rows, n_numbers]``, NaN where missing.
        categories
            str objects ``[n_rows, n_categories]``, ``""`` where missing.

        Returns
        -------
        float32 ``[n_rows, n_labels]`` probabilities or, for regression, ``[n_rows, 1]`` values.
        """
        inputs: dict[str, npt.NDArray[Any]] = {}
        if numbers.shape[1]:
            inputs["number"] = numbers
        if categories.shape[1]:
            inputs["category"] = categories
        answers: npt.NDArray[np.float32] = self._session.run(self._output_names, inputs)[0]
        return answers

    def count_unknown(self, categories: npt.NDArray[np.object_]) -> int:
        """Return how many values the model has not been trained on; missing ones do not count.

        Parameters
        ----------
        categories
            str objects ``[n_rows, n_categories]``, ``""`` where missing.
        """
        return sum(
            value not in known
            for known, column in zip(self._known, categories.T.tolist(), strict=True)
            if not known.issuperset(column)
            for value in column
        )

    def check(self) -> None:
        """Predict a row without values; raises ArtifactError when the answer is not an answer."""
        numbers = np.full((1, len(self.contract.numbers)), np.nan, dtype=np.float32)
        categories = np.full((1, len(self.contract.categories)), "", dtype=object)
        try:
            answer = self.predict(numbers, categories)
        except Exception as error:  # ONNX Runtime's errors have no base class
            raise _refused(str(error), "a graph that predicts") from error
        if answer.shape != (1, self._n_outputs) or not np.isfinite(answer).all():
            raise _refused(
                f"the answer {answer.tolist()} to a row without values",
                f"{self._n_outputs} finite numbers",
            )

    def _check_inputs(self) -> None:
        required = {
            name: (kind, width)
            for name, kind, width in (
                ("number", "tensor(float)", len(self.contract.numbers)),
                ("category", "tensor(string)", len(self.contract.categories)),
            )
            if width
        }
        found = {given.name: (given.type, given.shape[-1]) for given in self._session.get_inputs()}
        if found != required:
            raise _refused(f"inputs {found}", f"{required}, as model.json says")
        outputs = [output.name for output in self._session.get_outputs()]
        if outputs != self._output_names:
            raise _refused(f"outputs {outputs}", f"{self._output_names}")


def _open(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base class
        raise _refused(str(error), "an ONNX graph that this ONNX Runtime can run") from error


def _refused(found: str, required: str) -> ArtifactError:
    return ArtifactError("model.onnx", found, required, "Train the model again")
