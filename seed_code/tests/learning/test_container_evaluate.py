"""The verb `evaluate`: the archive is measured as it will serve, and the verdict fails closed."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from container import evaluate, train
from container.inference import Inference
from mlsystem import archive, artifacts, reference, settings, tables
from mlsystem.artifacts import DataSchema, Evaluation, Feature, GoldenRequests
from mlsystem.errors import ArtifactError, SettingsError
from mlsystem.predictor import read_model

PROBLEMS = ("binary", "multiclass", "regression")


@pytest.fixture(scope="session")
def trained(jobs, prepared, tmp_path_factory):
    """A training job that is done, for each problem."""
    done = {}
    for problem in PROBLEMS:
        done[problem] = jobs.training(
            tmp_path_factory.mktemp(f"train-{problem}"), prepared[problem]
        )
        train.main(done[problem])
    return done


@pytest.fixture
def job(jobs, prepared, trained, tmp_path):
    """Lay out an evaluation of a trained model."""

    def lay_out(problem: str = "binary", **given):
        return jobs.evaluation(tmp_path / "job", prepared[problem], trained[problem], **given)

    return lay_out


def _evaluate(paths) -> Evaluation:
    evaluate.main(paths)
    assert not list(paths.evaluation.rglob(".*"))
    return artifacts.read(Evaluation, paths.evaluation / "evaluation.json")


def _check(result: Evaluation, name: str):
    (check,) = [check for check in result.checks if check.name == name]
    return check


# --- a good model -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluated(jobs, prepared, trained, tmp_path_factory):
    """The evaluation of each problem's model: the folder that was written, and what is in it."""
    done = {}
    for problem in PROBLEMS:
        base = tmp_path_factory.mktemp(f"evaluate-{problem}")
        paths = jobs.evaluation(base, prepared[problem], trained[problem])
        done[problem] = (paths.evaluation, _evaluate(paths))
    return done


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_good_model_passes_and_everything_is_written(evaluated, problem) -> None:
    folder, result = evaluated[problem]
    assert result.gate.passed, result.gate.reasons
    assert set(result.metrics) == set(settings.METRICS[problem])
    assert (result.model_name, result.problem, result.rows) == ("sample", problem, 150)
    names = ["parity", "leakage", "constant_model", "champion"]
    assert [check.name for check in result.checks] == names
    assert all(check.passed for check in result.checks)
    assert result.checks[-1].detail == "not compared: no model serves yet"
    plots = {
        "binary": {"confusion_matrix.png", "roc_curve.png"},
        "multiclass": {"confusion_matrix.png"},
        "regression": {"predictions.png", "residuals.png"},
    }[problem]
    assert set(result.plots) == plots
    written = {path.name for path in folder.iterdir()}
    assert written == plots | {"evaluation.json", "golden_requests.json"}


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_the_confusion_matrix_counts_every_test_row(evaluated, problem) -> None:
    _, result = evaluated[problem]
    counts = np.array(result.confusion_matrix.counts)
    assert counts.sum() == 150
    assert np.trace(counts) / 150 == pytest.approx(result.metrics["accuracy"])


@pytest.mark.exhaustive
def test_many_labels_are_drawn_but_do_not_outgrow_the_workflows_state(
    jobs, samples, prepared, tmp_path
) -> None:
    n_labels = 120
    labels = tuple(f"a label with a name of some length {index}" for index in range(n_labels))
    schema = DataSchema("multiclass", "tar'get", labels, (Feature("x", "number"),))
    rows = type(prepared["binary"])(tmp_path / "data", schema)
    artifacts.write(schema, rows.folder / "schema/schema.json")
    for offset, split in enumerate(("train", "validation", "test")):
        columns = {
            "x": [label + 0.1 * offset for label in range(n_labels)],
            "tar'get": [*range(n_labels)],
        }
        samples.write_split(rows.folder / split, schema, columns)
    done = jobs.training(tmp_path / "train", rows, num_round="1")
    train.main(done)
    paths = jobs.evaluation(tmp_path / "job", rows, done)
    result = _evaluate(paths)
    assert result.confusion_matrix is None
    assert result.plots == ("confusion_matrix.png",)
    assert (paths.evaluation / "evaluation.json").stat().st_size < 262_144 / 2


def test_a_regression_has_no_confusion_matrix(evaluated) -> None:
    _, result = evaluated["regression"]
    assert result.confusion_matrix is None


@pytest.mark.parametrize("problem", PROBLEMS)
def test_serving_answers_the_golden_requests_as_expected(evaluated, trained, problem) -> None:
    folder, _ = evaluated[problem]
    golden = artifacts.read(GoldenRequests, folder / "golden_requests.json")
    serving = Inference(*read_model(trained[problem].model))
    assert golden.requests
    for request in golden.requests:
        exchange = serving.agree(request.content_type.encode(), request.accept.encode())
        (served,) = serving.answer(exchange, [request.body.encode()])
        (answer,) = json.loads(served.body)["predictions"]
        assert answer.pop("predicted_label", None) == request.expected.pop("predicted_label", None)
        for key, expected in request.expected.items():
            assert answer[key] == pytest.approx(expected, abs=golden.tolerance)


@pytest.mark.exhaustive
def test_two_evaluations_write_the_same_bytes(jobs, prepared, trained, tmp_path) -> None:
    contents = []
    for name in ("a", "b"):
        paths = jobs.evaluation(tmp_path / name, prepared["binary"], trained["binary"])
        evaluate.main(paths)
        contents.append({p.name: p.read_bytes() for p in paths.evaluation.iterdir()})
    assert contents[0] == contents[1]


# --- a model that does not pass -----------------------------------------------------------------


def test_a_threshold_that_is_not_reached(job, capsys) -> None:
    result = _evaluate(job(threshold=0.9999))
    assert not result.gate.passed
    (reason,) = result.gate.reasons
    assert reason.endswith("on 150 test rows is below the threshold 0.9999")
    assert f"evaluate: because {reason}" in capsys.readouterr().out.splitlines()


def test_a_constant_model_fails_the_gate_of_churn(jobs, samples, tmp_path) -> None:
    """One label in seven, like churn; gates as in the source systems."""
    rows = samples.write(tmp_path / "data", sizes=(700, 140, 140))
    for seed, split in enumerate(("train", "validation", "test")):
        n_rows = rows.table(split).n_rows
        columns = samples.columns("binary", n_rows, seed)
        columns["tar'get"] = [int(row % 7 == 0) for row in range(n_rows)]
        samples.write_split(rows.folder / split, rows.schema, columns)
    done = jobs.training(tmp_path / "train", rows, min_child_weight="1e9")
    train.main(done)
    result = _evaluate(
        jobs.evaluation(tmp_path / "job", rows, done, metric="error_rate", threshold=0.1)
    )
    assert result.metrics["error_rate"] == pytest.approx(1 / 7)
    assert not result.gate.passed
    threshold, constant = result.gate.reasons
    assert threshold == "error_rate 0.142857 on 140 test rows is above the threshold 0.1"
    assert constant == "constant_model: all 140 test rows get one prediction"


def test_an_archive_that_computes_something_else_than_the_estimator(job) -> None:
    paths = job()
    folder = paths.base / "other"
    folder.mkdir()
    predictions = np.full((150, 2), 0.5, np.float32)
    pq.write_table(
        pa.table({f"output_{index}": predictions[:, index] for index in range(2)}),
        folder / reference.FILE_NAME,
    )
    archive.pack(folder, paths.training_archive)
    result = _evaluate(paths)
    assert not _check(result, "parity").passed
    assert not result.gate.passed


@pytest.mark.exhaustive
def test_the_folder_that_the_runtime_packs_does_not_matter(job, trained) -> None:
    paths = job()
    archive.pack(trained["binary"].base / "output", paths.training_archive)
    assert _check(_evaluate(paths), "parity").passed


@pytest.mark.exhaustive
@pytest.mark.parametrize("content", [None, b"", b"no gzip"])
def test_without_reference_predictions_parity_fails_closed(job, content) -> None:
    paths = job()
    paths.training_archive.unlink()
    if content is not None:
        paths.training_archive.write_bytes(content)
    result = _evaluate(paths)
    assert not result.gate.passed
    (reason,) = result.gate.reasons
    assert reason.startswith("parity: the reference predictions cannot be read: ")
    assert "output.tar.gz" in reason


@pytest.mark.exhaustive
@pytest.mark.parametrize("files", [[], [reference.FILE_NAME], ["a", "b"]])
def test_missing_damaged_or_several_reference_predictions_fail_closed(job, files) -> None:
    paths = job()
    folder = paths.base / "other"
    for name in files:
        path = folder / name if name == reference.FILE_NAME else folder / name / reference.FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no Parquet")
    folder.mkdir(exist_ok=True)
    archive.pack(folder, paths.training_archive)
    assert not _check(_evaluate(paths), "parity").passed


def test_a_test_row_that_was_trained_on(job, prepared) -> None:
    paths = job()
    leaked = pq.read_table(paths.split("train") / "part-0000.parquet").slice(7, 2)
    pq.write_table(leaked, paths.split("test") / "part-0001.parquet")
    result = _evaluate(paths)
    assert not result.gate.passed
    (reason,) = result.gate.reasons
    assert reason.startswith("leakage: 2 of 152 test rows are equal to train rows")


def test_a_test_split_without_rows(job, samples) -> None:
    paths = job()
    samples.write_split(paths.split("test"), samples.schema(), samples.columns("binary", 0))
    result = _evaluate(paths)
    assert (result.rows, result.metrics, result.plots) == (0, {}, ())
    assert not result.gate.passed
    assert result.gate.value is None
    assert result.gate.reasons[0].startswith("roc_auc could not be computed on 0 test rows")
    golden = artifacts.read(GoldenRequests, paths.evaluation / "golden_requests.json")
    assert golden.requests == ()


def test_a_test_split_with_one_label(job, samples) -> None:
    paths = job(metric="error_rate", threshold=1.0)
    columns = samples.columns("binary", 30, seed=9) | {"tar'get": [0] * 30}
    samples.write_split(paths.split("test"), samples.schema(), columns)
    result = _evaluate(paths)
    assert not result.gate.passed
    assert "could not be computed on 30 test rows" in result.gate.reasons[0]
    assert result.plots == ("confusion_matrix.png",)


# --- champion -----------------------------------------------------------------------------------


def test_a_better_champion_stays(job, trained, jobs, prepared, tmp_path) -> None:
    weak = jobs.training(tmp_path / "weak", prepared["binary"], num_round="1", max_depth="1")
    train.main(weak)
    paths = jobs.evaluation(tmp_path / "job", prepared["binary"], weak, threshold=0.5)
    jobs.pack(trained["binary"].model, paths.champion_archive)
    result = _evaluate(paths)
    assert not result.gate.passed
    (reason,) = result.gate.reasons
    assert reason.startswith("champion: roc_auc ")
    assert result.champion_metrics["roc_auc"] > result.metrics["roc_auc"]


def test_an_equal_champion_is_replaced(job, trained, jobs, capsys) -> None:
    paths = job()
    jobs.pack(trained["binary"].model, paths.champion_archive)
    result = _evaluate(paths)
    assert result.gate.passed
    assert "evaluate: gate passed" in capsys.readouterr().out
    assert result.champion_metrics == result.metrics


def test_a_champion_is_not_asked_when_the_settings_say_so(job, trained, jobs) -> None:
    paths = job(champion=False)
    jobs.pack(trained["binary"].model, paths.champion_archive)
    result = _evaluate(paths)
    assert result.champion_metrics is None
    check = _check(result, "champion")
    assert (check.passed, check.detail) == (
        True, "not compared: evaluate/champion is false in project.yml"
    )  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("content", [b"", b"no gzip"])
def test_a_champion_that_cannot_be_read_is_named_and_does_not_block(job, content) -> None:
    paths = job()
    paths.champion_archive.parent.mkdir()
    paths.champion_archive.write_bytes(content)
    result = _evaluate(paths)
    assert result.gate.passed
    assert "champion/model.tar.gz" in _check(result, "champion").detail


@pytest.mark.exhaustive
def test_a_champion_that_fails_on_rows_is_named_and_does_not_block(
    job, trained, jobs, tmp_path
) -> None:
    folder = tmp_path / "champion"
    shutil.copytree(trained["binary"].model, folder)
    graph = onnx.load(folder / "model.onnx")
    for given in graph.graph.input:
        given.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, folder / "model.onnx")
    contract = artifacts.read(artifacts.ModelContract, folder / "model.json")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    artifacts.write(dataclasses.replace(contract, onnx_sha256=digest), folder / "model.json")
    paths = job()
    jobs.pack(folder, paths.champion_archive)
    result = _evaluate(paths)
    assert result.gate.passed
    assert "not compared: model.onnx: " in _check(result, "champion").detail


@pytest.mark.exhaustive
def test_a_champion_with_other_features_is_measured_on_its_own(
    jobs, samples, prepared, trained, tmp_path
) -> None:
    paths = jobs.evaluation(tmp_path / "job", prepared["binary"], trained["binary"])
    fewer = samples.write(tmp_path / "fewer")
    features = tuple(f for f in fewer.schema.features if f.name in ("color", "signal"))
    schema = artifacts.DataSchema("binary", "tar'get", ("no", "yes"), features)
    artifacts.write(schema, fewer.folder / "schema/schema.json")
    champion = jobs.training(tmp_path / "champion", fewer)
    train.main(champion)
    jobs.pack(champion.model, paths.champion_archive)
    assert set(_evaluate(paths).champion_metrics) == set(settings.METRICS["binary"])


@pytest.mark.exhaustive
def test_a_champion_of_another_question_is_named_and_does_not_block(job, trained, jobs) -> None:
    paths = job()
    jobs.pack(trained["regression"].model, paths.champion_archive)
    result = _evaluate(paths)
    assert result.gate.passed
    detail = _check(result, "champion").detail
    assert detail.startswith("not compared: champion model.json#/problem: 'regression'")


# --- what is refused ----------------------------------------------------------------------------


def _member(name: str, **attributes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member


def _tar(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


@pytest.mark.exhaustive
@pytest.mark.parametrize("content", [b"", b"no gzip"])
def test_a_model_archive_that_is_none(job, content) -> None:
    _refuses_the_archive(job(), content)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "members",
    [
        [],
        [_member("../model.onnx")],
        [_member("/model.onnx")],
        [_member("model.onnx", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        [_member("model.onnx"), _member("model.json")],
        [_member("model.onnx", size=200 * 1024**2), _member("model.json")],
    ],
    ids=["no files", "up", "absolute", "link", "empty files", "bomb"],
)
def test_a_hostile_model_archive(job, members) -> None:
    _refuses_the_archive(job(), _tar(*members))


def _refuses_the_archive(paths, content: bytes) -> None:
    paths.model_archive.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.tar\.gz|model\.json|model\.onnx"):
        evaluate.main(paths)
    assert not (paths.evaluation / "evaluation.json").exists()
    assert not list(paths.evaluation.rglob(".*"))


def test_a_truncated_model_archive(job) -> None:
    paths = job()
    paths.model_archive.write_bytes(paths.model_archive.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"model\.tar\.gz: truncated"):
        evaluate.main(paths)


def test_an_archive_with_more_than_a_model(job, trained, tmp_path, jobs) -> None:
    paths = job()
    folder = tmp_path / "more"
    shutil.copytree(trained["binary"].model, folder)
    (folder / "model.py").write_text("import os")
    jobs.pack(folder, paths.model_archive)
    with pytest.raises(ArtifactError, match=r"model\.tar\.gz:model\.py: an unexpected file"):
        evaluate.main(paths)


def test_a_graph_that_is_not_the_contracts(job, trained, tmp_path, jobs) -> None:
    paths = job()
    folder = tmp_path / "changed"
    shutil.copytree(trained["binary"].model, folder)
    shutil.copy(trained["multiclass"].model / "model.onnx", folder / "model.onnx")
    jobs.pack(folder, paths.model_archive)
    with pytest.raises(ArtifactError, match=r"model\.onnx: SHA-256"):
        evaluate.main(paths)


def test_a_model_of_another_project(job, trained, jobs) -> None:
    paths = job()
    jobs.pack(trained["regression"].model, paths.model_archive)
    with pytest.raises(ArtifactError, match=r"model\.json#/problem: 'regression'; 'binary', as"):
        evaluate.main(paths)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_missing_split(job, split) -> None:
    paths = job()
    shutil.rmtree(paths.split(split))
    with pytest.raises(ArtifactError, match=f"{split}: no such folder"):
        evaluate.main(paths)
    assert not (paths.evaluation / "evaluation.json").exists()


def test_missing_settings(job) -> None:
    paths = job()
    paths.settings.unlink()
    with pytest.raises(SettingsError, match=r"project\.json"):
        evaluate.main(paths)


def test_rows_of_another_schema(job, samples) -> None:
    paths = job()
    schema = samples.schema("regression")
    samples.write_split(paths.split("test"), schema, samples.columns("regression", 10))
    with pytest.raises(ArtifactError, match="type DOUBLE; type INTEGER"):
        evaluate.main(paths)


@pytest.mark.exhaustive
def test_the_test_rows_are_read_in_one_order(job) -> None:
    """What evaluate says does not depend on how prepare cut the files."""
    paths = job()
    before = _evaluate(paths)
    (part,) = paths.split("test").iterdir()
    rows = pq.read_table(part)
    for index in range(3):
        pq.write_table(rows.slice(index * 50, 50), part.with_name(f"part-000{index}.parquet"))
    assert tables.open_table(paths.split("test"), _schema(paths)).n_rows == 150
    assert _evaluate(paths) == before


def _schema(paths):
    return artifacts.DataSchema("binary", "tar'get", ("no", "yes"), ())
