"""``evaluate``: a model archive and the splits in, the verdict out.

Measures the archive itself, with the code that serves it, on the test rows alone. Writes
``evaluation.json``, which the workflow's gate obeys, ``golden_requests.json``, which every
deployment of the model must answer alike, and plots. A model that is not good enough is a result
rather than an error: the verb ends well, and ``evaluation.json`` says why.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from container.paths import Paths
from mlsystem import archive, artifacts, evaluation, metrics, plots, reference, settings, tables
from mlsystem.artifacts import Check, ConfusionMatrix, Evaluation, ModelContract
from mlsystem.errors import ArtifactError, MLSystemError
from mlsystem.evaluation import Champion, Scored
from mlsystem.predictor import Predictor
from mlsystem.settings import Settings
from mlsystem.tables import Batch, Table

__all__ = ["main"]

# The workflow reads evaluation.json into a state, which holds 256 KB. The picture has all labels.
_MAX_REPORTED_LABELS: Final = 50
_MAX_OBSTACLE_CHARACTERS: Final = 1_000
_MODEL_FILES: Final = ("model.onnx", "model.json")


def main(paths: Paths) -> None:
    """Evaluate the model archive and write the verdict.

    Raises
    ------
    SettingsError
        ``project.json`` is not accepted.
    ArtifactError
        The model archive or a split is missing, damaged, or of another project.
    """
    project = settings.load(paths.settings)
    with _scratch(paths.evaluation) as scratch:
        model = _open_model(paths.model_archive, scratch / "model")
        contract = model.contract
        _check_contract(contract, project, paths.model_archive)
        test = tables.open_table(paths.split("test"), evaluation.schema_of(contract))
        scored = _score(model, test)
        values = metrics.compute(contract.problem, scored.target, scored.predictions)
        champion = _measure_champion(project, contract, paths, scratch)
        checks = [
            _check_parity(model, paths, scratch),
            _check_leakage(test, paths, scratch),
            evaluation.check_constant_model(scored.predictions),
            _check_champion(champion, values, project),
        ]
    gate = evaluation.decide(
        values, checks, metric=project.evaluate.metric, direction=project.direction,
        threshold=project.evaluate.threshold, n_rows=test.n_rows,
    )  # fmt: skip
    matrix = _confusion_matrix(scored, contract)
    result = Evaluation(
        model_name=contract.model_name,
        problem=contract.problem,
        rows=test.n_rows,
        metrics=values,
        confusion_matrix=matrix if len(contract.labels) <= _MAX_REPORTED_LABELS else None,
        champion_metrics=champion.metrics,
        checks=tuple(checks),
        plots=_draw(scored, matrix, values, contract, paths.evaluation),
        gate=gate,
    )
    golden = evaluation.golden_requests(test, scored, contract)
    artifacts.write(golden, paths.evaluation / "golden_requests.json")
    artifacts.write(result, paths.evaluation / "evaluation.json")
    _announce(result)


def _announce(result: Evaluation) -> None:
    for name, value in result.metrics.items():
        print(f"evaluate: {name} {value:.6g} on {result.rows:,} test rows", flush=True)
    for check in result.checks:
        if check.passed:
            print(f"evaluate: {check.name}: {check.detail}")
    print(f"evaluate: gate {'passed' if result.gate.passed else 'not passed'}", flush=True)
    for reason in result.gate.reasons:
        print(f"evaluate: because {reason}", flush=True)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield an empty folder for unpacked archives that is gone afterwards."""
    scratch = folder / ".archives.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


# --- the model ----------------------------------------------------------------------------------


def _open_model(path: Path, folder: Path) -> Predictor:
    archive.extract(path, folder, names=_MODEL_FILES)
    return Predictor.load(folder)


def _check_contract(contract: ModelContract, project: Settings, path: Path) -> None:
    for name, found, required in (
        ("problem", contract.problem, project.model.problem),
        ("target", contract.target, project.model.target),
    ):
        if found != required:
            raise ArtifactError(
                f"{path}:model.json#/{name}", repr(found), f"{required!r}, as project.yml says",
                "Evaluate the model that was trained with these settings",
            )  # fmt: skip


def _score(model: Predictor, table: Table, n_rows: int | None = None) -> Scored:
    def predict(batch: Batch) -> npt.NDArray[np.float32]:
        try:
            return model.predict(batch.numbers, batch.categories)
        except Exception as error:  # ONNX Runtime's errors have no base class
            raise ArtifactError("model.onnx", str(error), "a graph that predicts") from error

    n_outputs = len(model.contract.labels) or 1
    return evaluation.score(tables.read_batches(table, n_rows), predict, n_outputs)


# --- checks -------------------------------------------------------------------------------------


def _check_parity(model: Predictor, paths: Paths, scratch: Path) -> Check:
    try:
        archive.extract(paths.training_archive, scratch / "training")
        expected = reference.read(scratch / "training")
    except ArtifactError as error:
        return Check("parity", False, f"the reference predictions cannot be read: {error}")
    validation = tables.open_table(paths.split("validation"), evaluation.schema_of(model.contract))
    found = _score(model, validation, reference.MAX_ROWS)
    return evaluation.check_parity(expected, found.predictions, model.contract.problem)


def _check_leakage(test: Table, paths: Paths, scratch: Path) -> Check:
    train = tables.open_table(paths.split("train"), test.schema)
    n_common = tables.count_common_rows(test, train, spill=scratch)
    return evaluation.check_leakage(n_common, test.n_rows)


def _measure_champion(
    project: Settings, contract: ModelContract, paths: Paths, scratch: Path
) -> Champion:
    """Return how good the model that serves is on the test rows, or why that is not known."""
    if not project.evaluate.champion:
        return Champion(None, "evaluate/champion is false in project.yml")
    if not paths.champion_archive.exists():
        return Champion(None, "no model serves yet")
    try:
        champion = _open_model(paths.champion_archive, scratch / "champion")
        evaluation.check_comparable(champion.contract, contract)
        test = tables.open_table(paths.split("test"), evaluation.schema_of(champion.contract))
        scored = _score(champion, test)
    except MLSystemError as error:
        return Champion(None, str(error)[:_MAX_OBSTACLE_CHARACTERS])
    return Champion(metrics.compute(contract.problem, scored.target, scored.predictions))


def _check_champion(champion: Champion, values: dict[str, float], project: Settings) -> Check:
    return evaluation.check_champion(
        champion, values, metric=project.evaluate.metric, direction=project.direction,
        tolerance=project.evaluate.champion_tolerance,
    )  # fmt: skip


# --- pictures -----------------------------------------------------------------------------------


def _confusion_matrix(scored: Scored, contract: ModelContract) -> ConfusionMatrix | None:
    if contract.problem == "regression" or not scored.target.size:
        return None
    return metrics.confusion_matrix(scored.target, scored.predictions, contract.labels)


def _draw(
    scored: Scored, matrix: ConfusionMatrix | None, values: dict[str, float],
    contract: ModelContract, folder: Path,
) -> tuple[str, ...]:  # fmt: skip
    """Write the pictures of `problem` to `folder`; return the names of the files."""
    drawn = []
    if matrix:
        plots.draw_confusion_matrix(matrix, folder / "confusion_matrix.png")
        drawn.append("confusion_matrix.png")
    if "roc_auc" in values:
        plots.draw_roc_curve(
            scored.target, scored.predictions[:, 1], contract.labels[1], folder / "roc_curve.png"
        )
        drawn.append("roc_curve.png")
    if "rmse" in values:
        predicted = scored.predictions[:, 0]
        plots.draw_predictions(
            scored.target, predicted, contract.target, folder / "predictions.png"
        )
        plots.draw_residuals(scored.target, predicted, contract.target, folder / "residuals.png")
        drawn += ["predictions.png", "residuals.png"]
    return tuple(drawn)
