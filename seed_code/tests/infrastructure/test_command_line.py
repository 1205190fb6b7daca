"""``python -m infrastructure``: what it writes, what it says, how it ends."""

from __future__ import annotations

import json

import pytest

from infrastructure.__main__ import main
from mlsystem import settings

PROJECT = """\
model:
  name: churn
  problem: binary
  target: churn
evaluate:
  metric: roc_auc
  threshold: 0.9
"""


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project.yml"
    path.write_text(PROJECT)
    return path


@pytest.fixture
def arguments(project, tmp_path):
    return [
        "workflow-input", "--project", str(project), "--release", "r-1", "--bucket", "bucket",
        "--image", "image", "--output", str(tmp_path / "out" / "input.json"),
    ]  # fmt: skip


def test_input_and_settings_are_written(arguments, tmp_path):
    path = tmp_path / "out" / "project.json"
    assert main([*arguments, "--settings-output", str(path)]) == 0
    made = json.loads((tmp_path / "out" / "input.json").read_text())
    assert made["train"]["job_name"] == "churn-train-r-1"
    assert path.read_text() == settings.loads(PROJECT).to_json()
    assert sorted(one.name for one in path.parent.iterdir()) == ["input.json", "project.json"]


def test_the_project_can_have_another_name_than_the_model(arguments, tmp_path):
    assert main([*arguments, "--project-name", "team-churn"]) == 0
    made = json.loads((tmp_path / "out" / "input.json").read_text())
    assert made["deploy"]["endpoint_name"] == "team-churn"
    assert made["train"]["hyperparameters"]["model_name"] == "churn"


def test_a_champion_can_be_given(arguments, tmp_path):
    archive = "s3://bucket/releases/r-0/model/j/output/model.tar.gz"
    champion = ["--champion", archive, "--champion-package", "arn:package/1"]
    assert main([*arguments, *champion]) == 0
    made = json.loads((tmp_path / "out" / "input.json").read_text())
    assert made["evaluate"]["inputs"][-1]["S3Input"]["S3Uri"] == archive
    assert made["register"]["champion"] == "arn:package/1"


def test_settings_are_printed_whole(project, capsys):
    assert main(["settings", "--project", str(project)]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["split"]["train"] == 0.7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("--release", "r/1"), "--project-name and --release: release: found 'r/1'"),
        (("--release", "r-"), "release: 'r-'; letters, digits and hyphens"),
        (("--project-name", "Churn"), "project name: 'Churn'; lower-case letters"),
        (("--project", "no/project.yml"), "no/project.yml: no such file"),
        (("--champion", "s3://x"), "champion: 's3://x'; an archive"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    change, expected, arguments, tmp_path, capsys
):
    assert main([*arguments, *change]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(expected)
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_mistakes_in_the_settings_come_with_their_lines(project, arguments, capsys):
    project.write_text(PROJECT + "deplo: {}\n")
    assert main(arguments) == 1
    assert f"{project}:8 deplo: unknown key 'deplo'" in capsys.readouterr().err


def test_a_file_that_cannot_be_written(arguments, tmp_path, capsys):
    (tmp_path / "out").write_text("a file, not a folder")
    assert main(arguments) == 1
    assert "a place that can be written to" in capsys.readouterr().err
    assert not list(tmp_path.glob("**/*.partial"))


@pytest.mark.parametrize("arguments", [[], ["syn"], ["synth"], ["workflow-input", "--release"]])
def test_a_wrong_command_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m infrastructure" in capsys.readouterr().err
