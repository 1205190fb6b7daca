"""Artifacts: what the writer writes the reader accepts, and nothing else."""

import dataclasses
import json

import pytest

from mlsystem import artifacts
from mlsystem.artifacts import (
    Check,
    ConfusionMatrix,
    DataReport,
    DataSchema,
    DroppedRows,
    Evaluation,
    Feature,
    Gate,
    GoldenRequest,
    GoldenRequests,
    IgnoredColumn,
    ModelContract,
    ModelFeature,
)
from mlsystem.errors import ArtifactError

EXAMPLES = [
    DataSchema(
        "binary", "churn", ("no", "yes"), (Feature("age", "number"), Feature("x", "category"))
    ),
    DataReport(
        ("a.csv",), 10, 8, (DroppedRows("duplicate", 2),), {"train": 6, "validation": 1, "test": 1},
        {"train": {"no": 5, "yes": 1}}, {"age": 0}, (IgnoredColumn("id", "a row number"),), (),
    ),
    ModelContract(
        "churn", "binary", "xgboost", "churn", ("no", "yes"),
        (ModelFeature("age", "number", ()), ModelFeature("x", "category", ("a", "b"))),
        "0" * 64, {"onnx": "1"},
    ),
    Evaluation(
        "churn", "binary", 3, {"roc_auc": 0.5}, ConfusionMatrix(("no", "yes"), ((1, 0), (1, 1))),
        None, (Check("parity", True, "1e-7"),), ("roc.png",),
        Gate(False, "roc_auc", "minimum", None, 0.8, ("not computed",)),
    ),
    GoldenRequests(
        "churn", 1e-4,
        (GoldenRequest("application/json", "application/json", "{}", {"score": 1}),),
    ),
]  # fmt: skip


@pytest.fixture(params=EXAMPLES, ids=lambda example: type(example).__name__)
def example(request):
    return request.param


def test_what_is_written_is_read(example, tmp_path):
    path = tmp_path / "folder" / "artifact.json"
    artifacts.write(example, path)
    assert artifacts.read(type(example), path) == example
    assert [path.name] == [child.name for child in path.parent.iterdir()]


def test_every_key_is_required_and_no_other_is_taken(example):
    kind, document = type(example), json.loads(example.to_json())
    for key in document:
        fewer = {name: value for name, value in document.items() if name != key}
        with pytest.raises(ArtifactError, match=rf"x\.json#/{key}"):
            kind.from_json(json.dumps(fewer), "x.json")
    with pytest.raises(ArtifactError, match=r"x\.json#/surplus: an unknown key"):
        kind.from_json(json.dumps({**document, "surplus": 1}), "x.json")


@pytest.mark.parametrize("wrong", [None, 3, "text", [1], {"a": 1}, True])
def test_a_value_of_another_type_is_refused_with_its_pointer(example, wrong):
    kind, document = type(example), json.loads(example.to_json())
    for field in dataclasses.fields(example):
        try:
            read = kind.from_json(json.dumps({**document, field.name: wrong}), "x.json")
        except ArtifactError as error:
            assert f"x.json#/{field.name}" in str(error)
        else:
            stored = json.loads(read.to_json())[field.name]
            assert stored == wrong


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"version": 99}'])
def test_what_is_not_this_document_is_refused(example, text):
    with pytest.raises(ArtifactError, match=r"x\.json"):
        type(example).from_json(text, "x.json")


def test_infinity_is_never_written(example, tmp_path):
    evaluation = dataclasses.replace(EXAMPLES[3], metrics={"roc_auc": float("inf")})
    with pytest.raises(ValueError, match="Out of range"):
        artifacts.write(evaluation, tmp_path / "evaluation.json")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere\.json"):
        artifacts.read(Evaluation, tmp_path / "nowhere.json")


@pytest.mark.parametrize(("passed", "reasons"), [(True, ("why",)), (False, ())])
def test_a_gate_without_consistent_reasons_cannot_exist(passed, reasons):
    with pytest.raises(ValueError, match="exactly when"):
        Gate(passed, "f1", "minimum", 1.0, 0.5, reasons)
