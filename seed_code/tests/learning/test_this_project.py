"""What a project changes, its settings and its estimator, goes the whole way on a few rows.

A mistake in them is found here in a second, before it costs a training job.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from container import evaluate, train
from infrastructure.workflow_input import workflow_input
from mlsystem import artifacts, settings
from mlsystem.artifacts import Evaluation, ModelContract
from mlsystem.names import Names

SEED_CODE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> settings.Settings:
    return settings.load(SEED_CODE / "project.yml")


def test_the_estimator_is_trained_exported_and_computes_the_same_after_it(
    project, jobs, prepared, tmp_path
) -> None:
    rows = prepared[project.model.problem]
    trained = jobs.training(tmp_path / "train", rows)
    release = workflow_input(project, Names(project.model.name, "r-1"), "bucket", "image")
    jobs.write(trained.hyperparameters, release["train"]["hyperparameters"])
    train.main(trained)
    paths = jobs.evaluation(tmp_path / "evaluate", rows, trained)
    evaluate.main(paths)
    contract = artifacts.read(ModelContract, trained.model / "model.json")
    assert contract.algorithm == project.model.algorithm
    result = artifacts.read(Evaluation, paths.evaluation / "evaluation.json")
    (parity,) = [check for check in result.checks if check.name == "parity"]
    assert parity.passed, parity.detail
