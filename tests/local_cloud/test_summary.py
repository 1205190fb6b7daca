"""The summary, for programs and for people."""

import io
import json
from pathlib import Path

from rich.console import Console

from local_cloud.summary import Pipeline, PipelineStage, Prediction, Stage, Summary

KEYS = {
    "blueprint", "release", "status", "stages", "metrics", "gate", "model", "endpoint",
    "predictions", "seconds", "project", "pipeline", "api", "traffic", "rollback",
}  # fmt: skip


def succeeded():
    return Summary(
        "iris", "r-1", "SUCCEEDED",
        stages=[Stage("PrepareData", "SUCCEEDED", 1.5)],
        metrics={"accuracy": 0.96},
        gate={"passed": True, "metric": "accuracy", "value": 0.96, "threshold": 0.9,
              "direction": "minimum", "reasons": []},
        model={"archive": "s3://b/model.tar.gz", "package_arn": "arn:package"},
        endpoint={"name": "iris", "url": "http://127.0.0.1:1/invocations"},
        predictions=[Prediction("4.5,1.3", "setosa")],
        seconds=12.0,
    )  # fmt: skip


def page(summary):
    console = Console(file=io.StringIO(), width=200)
    summary.show(console, Path("/somewhere"))
    return console.file.getvalue()


def test_the_file_has_every_promised_key(tmp_path):
    succeeded().write(tmp_path / "summary.json")
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document.keys() >= KEYS
    assert document["stages"] == [
        {"name": "PrepareData", "status": "SUCCEEDED", "seconds": 1.5, "error": None, "log": None}
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_the_page_says_what_a_person_wants_to_know():
    text = page(succeeded())
    for wanted in ("SUCCEEDED", "accuracy 0.96", "at least 0.9 required", "setosa", "curl", "logs"):
        assert wanted in text


def test_a_question_of_named_values_is_tried_as_json():
    summary = succeeded()
    summary.predictions = [Prediction({"it's": 3}, "setosa")]
    assert """-d '{"instances": [{"it'"'"'s": 3}]}'""" in page(summary)


def test_a_rejection_names_the_reasons():
    summary = succeeded()
    summary.status = "REJECTED"
    summary.gate = {"passed": False, "reasons": ["accuracy 0.5 is below 0.9"]}
    assert "not passed: accuracy 0.5 is below 0.9" in page(summary)


def test_an_error_is_shown_as_it_is():
    summary = Summary("x", "r", error="data/[a].csv:3: 2 values; 3 are required.")
    assert "data/[a].csv:3: 2 values; 3 are required." in page(summary)


def released(status="SUCCEEDED"):
    summary = succeeded()
    summary.status = status
    actions = [Stage("DeployWorkflow", "SUCCEEDED", 1.0), Stage("RunWorkflow", "SUCCEEDED", 9.0)]
    summary.pipeline = Pipeline(
        "iris-p-1", "r-1", [PipelineStage("Train", "SUCCEEDED", 9, actions)]
    )
    summary.project = {"name": "iris", "id": "p-1", "stacks": ["SC-1", "iris-p-1-dev"]}
    summary.traffic = {"requests": 9, "failed_requests": 1, "releases": {"r-0": 7, "r-1": 2}}
    return summary


def test_a_person_follows_the_workflow_within_the_pipeline():
    assert [row.name for row in released().rows()] == ["DeployWorkflow", "PrepareData"]
    assert [row.name for row in succeeded().rows()] == ["PrepareData"]


def test_the_page_of_a_project_says_where_it_is_and_who_answered():
    text = page(released())
    for wanted in ("iris  p-1", "SC-1  iris-p-1-dev", "Train SUCCEEDED", "7 by r-0, 2 by r-1"):
        assert wanted in text


def test_a_rollback_is_told_whole():
    summary = released("ROLLED_BACK")
    summary.rollback = {
        "guard": "ALARM_ACTIVE", "reason": "alarms: <model-errors>", "seconds": 1.25,
        "requests": 9, "failed_requests": 1, "serving_release": "r-0",
    }  # fmt: skip
    wanted = "ALARM_ACTIVE after 1.2 s: alarms: <model-errors>; 1 of 9 requests failed, r-0 serves"
    assert wanted in page(summary)
