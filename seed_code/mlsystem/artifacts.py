"""The files that one step writes and another reads: one writer, a validating reader each.

================== ================== ============================== ===========================
file               written by         read by                        class
================== ================== ============================== ===========================
schema.json        prepare            train, evaluate                :class:`DataSchema`
report.json        prepare            people                         :class:`DataReport`
model.json         train              serve, evaluate                :class:`ModelContract`
evaluation.json    evaluate           the workflow's gate, people    :class:`Evaluation`
golden_requests    evaluate           tests of a deployed endpoint   :class:`GoldenRequests`
================== ================== ============================== ===========================

Each class is a frozen value with ``to_json()`` and ``from_json(text, where)``. A reader refuses a
missing or unknown key, a wrong type and another version with
:class:`~mlsystem.errors.ArtifactError` that names file and JSON pointer.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from mlsystem.errors import ArtifactError

__all__ = [
    "Artifact",
    "Check",
    "ConfusionMatrix",
    "DataReport",
    "DataSchema",
    "DroppedRows",
    "Evaluation",
    "Feature",
    "Gate",
    "GoldenRequest",
    "GoldenRequests",
    "IgnoredColumn",
    "ModelContract",
    "ModelFeature",
    "Problem",
    "read",
    "write",
]

Problem = Literal["binary", "multiclass", "regression"]
FeatureKind = Literal["number", "category"]


@dataclass(frozen=True)
class Artifact:
    """A versioned JSON document."""

    VERSION: ClassVar[int] = 1

    def to_json(self) -> str:
        """Return the document as indented JSON text; refuses NaN and infinity."""
        document = {"version": self.VERSION, **dataclasses.asdict(self)}
        return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Return the value that `text` holds.

        Parameters
        ----------
        text
            JSON text.
        where
            Name of the file, for the error message.

        Raises
        ------
        ArtifactError
            Not JSON, another version, a missing or unknown key, or a value of the wrong type.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArtifactError(
                f"{where}:{error.lineno}", f"not JSON ({error.msg})", "a JSON document"
            ) from error
        if not isinstance(document, dict):
            raise ArtifactError(where, f"a JSON {type(document).__name__}", "a JSON object")
        version = document.pop("version", None)
        if version != cls.VERSION:
            raise ArtifactError(
                f"{where}#/version", f"version {version!r}", f"version {cls.VERSION}",
                "Write it again with this release's code",
            )  # fmt: skip
        return typing.cast("Self", _decode(cls, document, where, ""))


A = TypeVar("A", bound=Artifact)


def write(artifact: Artifact, path: Path) -> None:
    """Write `artifact` to `path`: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_text(artifact.to_json(), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read(kind: type[A], path: Path) -> A:
    """Return the artifact of `kind` in the file `path`; raises ArtifactError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(str(path), str(error), f"a readable {kind.__name__}") from error
    return kind.from_json(text, path.name)


def _decode(kind: Any, value: Any, where: str, pointer: str) -> Any:
    """Return `value` (parsed JSON) as an instance of the annotation `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where, pointer)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = [argument for argument in arguments if argument is not type(None)]
        return _decode(options[0], value, where, pointer)
    if origin is Literal:
        if value not in arguments:
            raise ArtifactError(f"{where}#{pointer}", repr(value), f"one of {list(arguments)}")
        return value
    if origin is tuple:
        _require(isinstance(value, list), value, "a list", where, pointer)
        return tuple(
            _decode(arguments[0], item, where, f"{pointer}/{index}")
            for index, item in enumerate(value)
        )
    if origin is dict:
        _require(isinstance(value, dict), value, "an object", where, pointer)
        return {
            key: _decode(arguments[1], item, where, f"{pointer}/{key}")
            for key, item in value.items()
        }
    if kind is Any:
        return value
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(is_number and math.isfinite(value), value, "a finite number", where, pointer)
        return float(value)
    _require(
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool)),
        value, kind.__name__, where, pointer,
    )  # fmt: skip
    return value


def _decode_dataclass(kind: Any, value: Any, where: str, pointer: str) -> Any:
    _require(isinstance(value, dict), value, "an object", where, pointer)
    annotations = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    for key in value:
        if key not in {known.name for known in fields}:
            raise ArtifactError(
                f"{where}#{pointer}/{key}", "an unknown key",
                f"only {', '.join(known.name for known in fields)}",
            )  # fmt: skip
    for known in fields:
        if known.name not in value:
            raise ArtifactError(f"{where}#{pointer}/{known.name}", "no such key", "a value")
    return kind(**{
        known.name: _decode(
            annotations[known.name], value[known.name], where, f"{pointer}/{known.name}"
        )
        for known in fields
    })  # fmt: skip


def _require(holds: bool, value: Any, required: str, where: str, pointer: str) -> None:
    if not holds:
        raise ArtifactError(f"{where}#{pointer}", f"{value!r}"[:200], required)


# --- schema.json -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Feature:
    """A column that the model reads; ``number`` is stored as DOUBLE, ``category`` as VARCHAR."""

    name: str
    kind: FeatureKind


@dataclass(frozen=True)
class DataSchema(Artifact):
    """What the prepared Parquet files hold: the features in order, then the target.

    Missing numbers and categories are NULL. The target column is a DOUBLE for regression; for
    classification an INTEGER, the index of the row's label in `labels`. In a binary problem
    ``labels[1]`` is the positive one.
    """

    problem: Problem
    target: str
    labels: tuple[str, ...]
    features: tuple[Feature, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numeric features, in order."""
        return tuple(feature.name for feature in self.features if feature.kind == "number")

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categorical features, in order."""
        return tuple(feature.name for feature in self.features if feature.kind == "category")


# --- report.json -------------------------------------------------------------------------------


@dataclass(frozen=True)
class DroppedRows:
    """How many rows went, and why."""

    reason: str
    rows: int


@dataclass(frozen=True)
class IgnoredColumn:
    """A column that is not a feature, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataReport(Artifact):
    """What came in, what went out, and why the difference.

    ``rows_in == rows_out + sum(dropped)`` and ``rows_out == sum(splits.values())``.
    """

    files: tuple[str, ...]
    rows_in: int
    rows_out: int
    dropped: tuple[DroppedRows, ...]
    splits: dict[str, int]
    target_counts: dict[str, dict[str, int]]
    """Rows by label in each split; empty for regression."""
    missing: dict[str, int]
    """Missing values in each feature."""
    ignored: tuple[IgnoredColumn, ...]
    notes: tuple[str, ...]


# --- model.json --------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelFeature:
    """A feature as the model knows it; `categories` holds the known values, sorted."""

    name: str
    kind: FeatureKind
    categories: tuple[str, ...]


@dataclass(frozen=True)
class ModelContract(Artifact):
    """What ``model.onnx`` accepts and answers.

    The graph's inputs are ``number`` (float32 ``[n_rows, n_numbers]``, NaN where missing) and
    ``category`` (string ``[n_rows, n_categories]``, ``""`` where missing), each absent when there
    are no such features. Its output is ``probabilities`` (float32 ``[n_rows, n_labels]``, in the
    order of `labels`) or, for regression, ``prediction`` (float32 ``[n_rows, 1]``).
    """

    model_name: str
    problem: Problem
    algorithm: str
    target: str
    labels: tuple[str, ...]
    features: tuple[ModelFeature, ...]
    onnx_sha256: str
    libraries: dict[str, str]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numeric features, in order."""
        return tuple(feature.name for feature in self.features if feature.kind == "number")

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categorical features, in order."""
        return tuple(feature.name for feature in self.features if feature.kind == "category")


# --- evaluation.json ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ConfusionMatrix:
    """``counts[i][j]``: test rows of label ``labels[i]`` that were predicted ``labels[j]``."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Check:
    """A promise that was tested: ``parity``, ``leakage``, ``constant_model``, ``champion``."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Gate:
    """The decision that the workflow obeys. `value` is null when it could not be computed."""

    passed: bool
    metric: str
    direction: Literal["minimum", "maximum"]
    value: float | None
    threshold: float
    reasons: tuple[str, ...]
    """Why it did not pass, a sentence each; empty when it passed."""

    def __post_init__(self) -> None:
        if self.passed == bool(self.reasons):
            raise ValueError("a gate passes exactly when there is no reason against it")


@dataclass(frozen=True)
class Evaluation(Artifact):
    """How good the model is on rows that it has never seen, and whether that is good enough."""

    model_name: str
    problem: Problem
    rows: int
    metrics: dict[str, float]
    """By name, on the test rows; a metric that is not finite is left out and fails the gate."""
    confusion_matrix: ConfusionMatrix | None
    champion_metrics: dict[str, float] | None
    checks: tuple[Check, ...]
    plots: tuple[str, ...]
    gate: Gate


# --- golden_requests.json ----------------------------------------------------------------------


@dataclass(frozen=True)
class GoldenRequest:
    """A request made of one test row and the answer that `evaluate` computed for it."""

    content_type: str
    accept: str
    body: str
    expected: dict[str, Any]
    """One prediction of the JSON answer: ``score`` and, for classification, ``predicted_label``."""


@dataclass(frozen=True)
class GoldenRequests(Artifact):
    """Requests that any correct deployment of this model must answer so.

    Scores agree within `tolerance` (absolute); labels agree exactly.
    """

    model_name: str
    tolerance: float
    requests: tuple[GoldenRequest, ...] = field(default=())

    def is_answer(self, request: GoldenRequest, answer: Any) -> bool:
        """Whether `answer`, parsed JSON, is what `evaluate` computed for `request`."""
        return _agree(answer, {"predictions": [request.expected]}, self.tolerance)


def _agree(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether keys, lengths and labels are equal, and numbers within `tolerance`."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(_agree(found[key], expected[key], tolerance) for key in expected)
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(_agree(*pair, tolerance) for pair in zip(found, expected, strict=True))
        )
    if _is_number(expected):
        return _is_number(found) and abs(found - expected) <= tolerance
    return bool(found == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
