"""The workflow by itself: data that ship, data never seen, and bad data.

Here ``deploy.by`` is ``workflow``, which leaves the project and its pipeline out: a quarter of the
time. :mod:`tests.end_to_end.test_whole_way` has the rest.
"""

import csv
import importlib.util
import json
import random
import shutil
import urllib.error
import urllib.request

import pytest

STAGES = [
    "PrepareData", "TrainModel", "EvaluateModel", "CheckGate", "RegisterModel", "DeployEndpoint",
]  # fmt: skip


def assert_succeeded(run):
    assert run.code == 0, run.output
    summary = run.summary
    assert summary["status"] == "SUCCEEDED"
    assert [stage["name"] for stage in summary["stages"]] == STAGES
    assert {stage["status"] for stage in summary["stages"]} == {"SUCCEEDED"}
    assert summary["gate"]["passed"] is True
    golden = summary["golden_requests"]
    assert golden["sent"] == golden["answered"] > 0
    return summary


def test_churn_is_released_and_everything_stops(runner, workflow_alone):
    summary = assert_succeeded(run := runner.run(workflow_alone("churn")))
    assert summary["metrics"]["roc_auc"] >= 0.90
    assert 0 <= summary["predictions"][0]["output"] <= 1
    assert summary["model"]["package_arn"].endswith("/1")
    assert "try" in run.output
    assert "curl" in run.output
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(summary["endpoint"]["url"], b"", timeout=5)


def test_iris_answers_the_known_flowers(runner, workflow_alone):
    summary = assert_succeeded(runner.run(workflow_alone("iris")))
    answers = {prediction["input"]: prediction["output"] for prediction in summary["predictions"]}
    assert answers == {"4.5,1.3,0.3,0.3": "setosa", "5.9,3,5.1,1.8": "virginica"}


def test_housing_values_the_two_houses_held_back(runner, workflow_alone):
    summary = assert_succeeded(runner.run(workflow_alone("housing")))
    first, second = (prediction["output"] for prediction in summary["predictions"])
    assert first == pytest.approx(22.65, abs=1.5)
    assert second == pytest.approx(26.45, abs=1.5)


UNSEEN = """\
model: {name: penguin-3, problem: binary, target: "Größe, groß?"}
evaluate: {metric: roc_auc, threshold: 0.8}
deploy: {by: workflow}
"""


def unseen_rows(n_rows=400):
    rng = random.Random(5)
    for number in range(n_rows):
        length, island = rng.gauss(40, 5), rng.choice(["Île", "O'Higgins", "日本"])
        big = length + (4 if island == "Île" else 0) + rng.gauss(0, 1) > 41
        yield {
            'flipper "mm"': f"{length:.1f}" if rng.random() > 0.05 else "NA",
            "island; name": island if rng.random() > 0.05 else "",
            "seen at": f"2026-01-{number % 28 + 1:02d}",
            "Größe, groß?": "groß" if big else "klein",
        }


def test_a_data_set_never_seen_needs_only_its_folder(runner, blueprint):
    folder = blueprint(UNSEEN)
    rows = list(unseen_rows())
    with (folder / "data" / "pinguine.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    summary = assert_succeeded(runner.run(folder))
    assert len(summary["predictions"]) == 3
    assert set(summary["predictions"][0]["input"]) == {'flipper "mm"', "island; name"}


QUOTED_SOURCE = "seed_code/tests/preparation/test_churn.py"
QUOTED = """\
model: {name: churn-quoted, problem: binary, target: column_0}
data: {header: false}
evaluate: {metric: error_rate, threshold: 0.1}
deploy: {by: workflow}
"""


def test_the_quoted_file_of_the_source_systems_is_read_right(runner, blueprint):
    spec = importlib.util.spec_from_file_location("test_churn", QUOTED_SOURCE)
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    folder = blueprint(QUOTED, customer_churn__csv=source.quoted_churn())
    summary = assert_succeeded(run := runner.run(folder))
    report = json.loads(run.object("*/releases/*/data/report/report.json").read_text())
    assert report["rows_in"] == 2_999
    counts = report["target_counts"].values()
    assert sum(split["1"] for split in counts) == 435
    assert summary["metrics"]["error_rate"] < 0.1


def test_a_constant_model_fails_the_churn_gate(runner, blueprint):
    settings = """\
model:
  name: churn
  problem: binary
  target: churn
  hyperparameters: {num_round: 1, min_child_weight: 1000000}
evaluate: {metric: error_rate, threshold: 0.1}
deploy: {by: workflow}
"""
    folder = blueprint(settings)
    shutil.copy("seed_code/data/churn.csv", folder / "data")
    run = runner.run(folder)
    assert run.code == 3, run.output
    assert run.summary["status"] == "REJECTED"
    assert run.stage("CheckGate")["status"] == "REJECTED"
    assert any("constant" in reason for reason in run.summary["gate"]["reasons"])
    assert run.summary["endpoint"] is None
    assert [stage["name"] for stage in run.summary["stages"]] == STAGES[:4]


SMALL = """\
model: {name: small, problem: binary, target: y}
evaluate: {metric: roc_auc, threshold: 0.5}
deploy: {by: workflow}
"""


@pytest.mark.parametrize(
    ("settings", "content", "expected"),
    [
        (SMALL, "a,y\n" + "1,0\n2,1\n" * 50 + "x,1\n", "small.csv:102"),
        (SMALL, "a,y\n" + "1,0\n" * 50, "one label"),
    ],
    ids=["text in a numeric column", "target with one class"],
)
def test_bad_data_end_in_the_named_state_with_the_same_text(
    runner, blueprint, settings, content, expected
):
    run = runner.run(blueprint(settings, small__csv=content))
    assert run.code == 1, run.output
    stage = run.stage("PrepareData")
    assert (run.summary["status"], stage["status"]) == ("FAILED", "FAILED")
    assert expected in stage["error"]
    assert stage["error"] == run.summary["error"]
    assert expected in run.output
    assert not list((runner.root / "s3").glob("*/releases/*/data"))


def test_a_mistake_in_the_settings_is_said_before_anything_runs(runner, blueprint):
    run = runner.run(blueprint(SMALL.replace("target: y", "targt: y"), small__csv="a,y\n1,0\n"))
    assert run.code == 1
    assert "Did you mean 'target'?" in run.output
    assert "project.yml:1" in run.summary["error"]
    assert run.summary["stages"] == []


def test_an_unknown_blueprint_lists_the_known_ones(runner):
    run = runner.run("chrun")
    assert run.code == 1
    assert "churn, housing, iris" in run.summary["error"]
