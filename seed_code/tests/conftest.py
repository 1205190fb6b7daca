"""Fixtures that several test modules share."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlsystem import (
    artifacts,
    predictor,  # noqa: F401  # loads ONNX Runtime as it should be, before a test does
)
from mlsystem.artifacts import ModelContract, ModelFeature

SEED_CODE = Path(__file__).parent.parent
SaveModel = Callable[..., ModelContract]

# A machine with other work is slow now and then: that says nothing about the code.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

_LABELS = {"binary": ("no", "yes"), "multiclass": ("a", "b", 'c, "d"'), "regression": ()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark property tests: each asks a hundred questions about the platform's own code."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("exhaustive")


@pytest.fixture(scope="session")
def save_model() -> SaveModel:
    """Write a model whose answers one can compute by hand; return its contract.

    With ``z`` = the sum of the numbers (missing: 0) + the number of values "high" among the
    categories, it answers ``sigmoid(z)`` (binary), ``softmax(0, z, 2 z)`` (multiclass) or ``z``.
    """
    return _save_model


def _save_model(
    folder: Path, problem: str = "binary", numbers: Any = ("x", "y"), categories: Any = ("size",)
) -> ModelContract:
    features = tuple(
        [ModelFeature(name, "number", ()) for name in numbers]
        + [ModelFeature(name, "category", ("high", "low")) for name in categories]
    )
    graph = _graph(problem, len(numbers), len(categories)).SerializeToString()
    contract = ModelContract(
        model_name="small", problem=problem, algorithm="linear", target="t",
        labels=_LABELS[problem], features=features,
        onnx_sha256=hashlib.sha256(graph).hexdigest(), libraries={},
    )  # type: ignore[arg-type]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    artifacts.write(contract, folder / "model.json")
    return contract


def _graph(problem: str, n_numbers: int, n_categories: int) -> onnx.ModelProto:
    inputs, nodes, terms = [], [], []
    if n_numbers:
        inputs.append(("number", TensorProto.FLOAT, n_numbers))
        nodes += [
            helper.make_node(
                "Imputer", ["number"], ["imputed"], domain="ai.onnx.ml",
                imputed_value_floats=[0.0] * n_numbers, replaced_value_float=float("nan"),
            ),
            helper.make_node("ReduceSum", ["imputed", "axis"], ["n"]),
        ]  # fmt: skip
        terms.append("n")
    if n_categories:
        inputs.append(("category", TensorProto.STRING, n_categories))
        nodes += [
            helper.make_node(
                "LabelEncoder", ["category"], ["high"], domain="ai.onnx.ml",
                keys_strings=["high"], values_floats=[1.0], default_float=0.0,
            ),
            helper.make_node("ReduceSum", ["high", "axis"], ["c"]),
        ]  # fmt: skip
        terms.append("c")
    nodes.append(helper.make_node("Sum", terms, ["z"]))
    output, width = ("prediction", 1) if problem == "regression" else ("probabilities", None)
    weights = {"binary": [[0.0, 1.0]], "multiclass": [[0.0, 1.0, 2.0]], "regression": [[1.0]]}
    nodes.append(helper.make_node("MatMul", ["z", "weights"], ["margins"]))
    if problem == "regression":
        nodes.append(helper.make_node("Identity", ["margins"], [output]))
    else:
        nodes.append(helper.make_node("Softmax", ["margins"], [output], axis=1))
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info(name, kind, ["n_rows", n]) for name, kind, n in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n_rows", width])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
            numpy_helper.from_array(np.array(weights[problem], np.float32), "weights"),
        ],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``output``, ``stdout`` and ``stderr`` of ``python -m infrastructure synth``.

    It takes seconds, so the workers of pytest-xdist share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "synthesized"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            with (folder / "stdout").open("w") as output, (folder / "stderr").open("w") as errors:
                subprocess.run(
                    [sys.executable, "-m", "infrastructure", "synth",
                     "--output", str(folder / "output")],
                    cwd=SEED_CODE, stdout=output, stderr=errors, check=True,
                )  # fmt: skip
            (folder / "done").touch()
    return folder


@pytest.fixture(scope="session")
def templates(synthesized: Path) -> dict[str, dict[str, Any]]:
    """What ``python -m infrastructure synth`` writes, by the stack's name."""
    return {
        path.stem: json.loads(path.read_text()) for path in (synthesized / "output").glob("*.json")
    }
