"""The summary, for programs and for people."""

import io
import json
from pathlib import Path

from rich.console import Console

from local_cloud.summary import Prediction, Stage, Summary

KEYS = {
    "blueprint", "release", "status", "stages", "metrics", "gate", "model", "endpoint",
    "predictions", "seconds",
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
        {"name": "PrepareData", "status": "SUCCEEDED", "seconds": 1.5, "error": None}
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
