"""The fitted pipeline as one ONNX graph, with its contract beside it.

What the graph does, in few nodes, because a request is one row and each node costs a microsecond::

    number ──── Imputer ──── (Scaler) ───────────────────────────┐
                                                                 Concat ── model ── output
    category ── LabelEncoder ── Gather ── Equal ── Cast ─────────┘

``LabelEncoder`` looks each value up in the union of all features' known values; ``Gather`` repeats
a feature's code for each of its 0/1 columns; ``Equal`` compares it with the code that the column
stands for. That is four nodes however many categories there are. The estimator is converted by
skl2onnx.

Same model, same bytes: names are fixed, and nothing of the moment or the machine goes in.

Specification: https://onnx.ai/onnx/operators/ and, for ``ai.onnx.ml``,
https://onnx.ai/onnx/operators/#ai-onnx-ml
"""

from __future__ import annotations

import contextlib
import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

from mlsystem import artifacts, atomic
from mlsystem.artifacts import DataSchema, ModelContract, ModelFeature
from mlsystem.errors import UserError
from mlsystem.tables import Vocabulary
from mlsystem.training import FittedModel

__all__ = ["save", "to_onnx"]

_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION: Final = 9  # of ONNX 1.14, the first with these opsets
_LIBRARIES: Final = ("numpy", "onnx", "scikit-learn", "skl2onnx", "xgboost", "xgboost-cpu")
# Between the two steps. Other names of the first step have a slash, as none of skl2onnx has.
_FEATURES: Final = "features"


def save(model: FittedModel, folder: Path, *, name: str, algorithm: str) -> ModelContract:
    """Write ``model.onnx`` and then ``model.json`` to `folder`; return the latter's content.

    Raises
    ------
    UserError
        No converter to ONNX is known for the estimator, or it gives no probabilities.
    """
    content = to_onnx(model)
    with atomic.replacing(folder / "model.onnx") as path:
        path.write_bytes(content)
    contract = ModelContract(
        model_name=name,
        problem=model.schema.problem,
        algorithm=algorithm,
        target=model.schema.target,
        labels=model.schema.labels,
        features=_features(model.schema, model.known),
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        libraries=_versions(),
    )
    artifacts.write(contract, folder / "model.json")
    return contract


def to_onnx(model: FittedModel) -> bytes:
    """Return `model` as an ONNX file; inputs and output as `artifacts.ModelContract` says.

    Raises what :func:`save` raises.
    """
    n_rows = "n_rows"
    n_numbers, n_categories = len(model.schema.numbers), len(model.schema.categories)
    inputs = []
    if n_numbers:
        inputs.append(
            helper.make_tensor_value_info("number", TensorProto.FLOAT, [n_rows, n_numbers])
        )
    if n_categories:
        inputs.append(
            helper.make_tensor_value_info("category", TensorProto.STRING, [n_rows, n_categories])
        )
    name, width = _output(model.schema)
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [n_rows, width])
    nodes, constants = _prepare_graph(model)
    estimator = _convert_estimator(model)
    graph = helper.make_graph(
        [*nodes, *estimator.graph.node], "model", inputs, [output],
        [*constants, *estimator.graph.initializer],
    )  # fmt: skip
    opsets = {opset.domain: opset.version for opset in estimator.opset_import} | _OPSETS
    document = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*opset) for opset in sorted(opsets.items())],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(document)
    content: bytes = document.SerializeToString(deterministic=True)
    return content


def _output(schema: DataSchema) -> tuple[str, int]:
    """Return the name and the number of columns of the graph's output."""
    if schema.problem == "regression":
        return "prediction", 1
    return "probabilities", len(schema.labels)


def _features(schema: DataSchema, known: Vocabulary) -> tuple[ModelFeature, ...]:
    values = dict(zip(schema.categories, known, strict=True))
    return tuple(
        ModelFeature(feature.name, feature.kind, values.get(feature.name, ()))
        for feature in schema.features
    )


def _versions() -> dict[str, str]:
    """Return the version of each of `_LIBRARIES` that is installed."""
    versions = {}
    for library in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return versions


# --- the first step of the pipeline -------------------------------------------------------------

_Graph = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def _prepare_graph(model: FittedModel) -> _Graph:
    """Return the nodes and constants from the inputs to the matrix `_FEATURES`."""
    steps = model.pipeline["prepare"].named_transformers_
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    ends = []
    if "number" in steps:
        nodes += _number_nodes(steps["number"])
        ends += nodes[-1].output
    if "category" in steps:
        category_nodes, constants = _category_graph(model.known)
        nodes += category_nodes
        ends += nodes[-1].output
    if len(ends) == 1:
        nodes[-1].output[0] = _FEATURES
    else:
        nodes.append(helper.make_node("Concat", ends, [_FEATURES], axis=1))
    return nodes, constants


def _number_nodes(steps: Any) -> list[onnx.NodeProto]:
    impute = helper.make_node(
        "Imputer", ["number"], ["prepare/imputed"], domain="ai.onnx.ml",
        imputed_value_floats=steps["simpleimputer"].statistics_.tolist(),
        replaced_value_float=float("nan"),
    )  # fmt: skip
    if "standardscaler" not in steps.named_steps:
        return [impute]
    scaler = steps["standardscaler"]
    scale = helper.make_node(
        "Scaler", ["prepare/imputed"], ["prepare/scaled"], domain="ai.onnx.ml",
        offset=scaler.mean_.tolist(), scale=(1 / scaler.scale_).tolist(),
    )  # fmt: skip
    return [impute, scale]


def _category_graph(known: Vocabulary) -> _Graph:
    code_of = {value: code for code, value in enumerate(sorted(set().union(*known)))}
    feature_of_column = [index for index, values in enumerate(known) for _ in values]
    code_of_column = [code_of[value] for values in known for value in values]
    constants = [
        numpy_helper.from_array(np.array(feature_of_column, np.int64), "prepare/feature_of_column"),
        numpy_helper.from_array(np.array(code_of_column, np.int64), "prepare/code_of_column"),
    ]
    nodes = [
        helper.make_node(
            "LabelEncoder", ["category"], ["prepare/code"], domain="ai.onnx.ml",
            keys_strings=list(code_of), values_int64s=list(code_of.values()), default_int64=-1,
        ),
        helper.make_node(
            "Gather", ["prepare/code", "prepare/feature_of_column"], ["prepare/column_code"], axis=1
        ),
        helper.make_node(
            "Equal", ["prepare/column_code", "prepare/code_of_column"], ["prepare/is_value"]
        ),
        helper.make_node("Cast", ["prepare/is_value"], ["prepare/one_hot"], to=TensorProto.FLOAT),
    ]  # fmt: skip
    return nodes, constants


# --- its last step ------------------------------------------------------------------------------


def _convert_estimator(model: FittedModel) -> onnx.ModelProto:
    """Return a model from the matrix `_FEATURES` to the output, and to nothing else."""
    estimator = model.pipeline["model"]
    output, _ = _output(model.schema)
    is_classifier = model.schema.problem != "regression"
    names = ["label", output] if is_classifier else [output]
    try:
        converted = skl2onnx.convert_sklearn(
            estimator,
            name="model",
            initial_types=[(_FEATURES, FloatTensorType([None, estimator.n_features_in_]))],
            final_types=[(name, None) for name in names],
            options={id(estimator): {"zipmap": False}} if is_classifier else None,
            target_opset=dict(_OPSETS),
        )
    except (MissingConverter, MissingShapeCalculator) as error:
        raise UserError(
            f"estimator {type(estimator).__name__}", "skl2onnx has no converter for it",
            "an estimator that can be exported to ONNX",
            "Register one in the algorithm's module, as mlsystem/algorithms/xgboost.py does",
        ) from error  # fmt: skip
    _keep_only(converted.graph, output)
    return converted


def _keep_only(graph: onnx.GraphProto, output: str) -> None:
    """Remove from `graph` what does not contribute to `output` (a classifier's label)."""
    needed = {output}
    nodes = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(reversed(nodes))
