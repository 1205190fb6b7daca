"""A project's repository is the content of seed_code/ and nothing else: copied out, it works."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SEED = Path(__file__).parent.parent / "seed_code"
MADE_BY_RUNNING = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", "release")
IMAGE = "registry.example/churn@sha256:" + 64 * "a"
RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
HOW_TO = SEED.parent / "docs/how-to/own-estimator.md"
OTHER_SETTINGS = """\
model: {name: species, problem: multiclass, target: kind, algorithm: random_forest}
evaluate: {metric: accuracy, threshold: 0.5}
"""
# Of each kind of test the cheap ones, and all that read what a project changes.
FAST_TESTS = (
    "tests/test_names.py",
    "tests/test_settings.py",
    "tests/test_artifacts.py",
    "tests/test_answers.py",
    "tests/preparation/test_churn.py",
    "tests/learning/test_algorithms.py",
    "tests/learning/test_container_train.py",
    "tests/learning/test_this_project.py",
    "tests/pipeline/test_images.py",
    "tests/infrastructure/test_command_line.py",
)
TIMEOUT_SECONDS = 240


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return Path(
        shutil.copytree(SEED, tmp_path_factory.mktemp("project") / "repo", ignore=MADE_BY_RUNNING)
    )


def run(repository, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository, env=environment, capture_output=True, text=True, check=False,
        timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_settings_of_a_new_project_are_accepted(repository):
    settings = json.loads(run(repository, "infrastructure", "settings", "--project", "project.yml"))
    assert settings["deploy"]["by"] == "pipeline"
    assert list((repository / "data").glob("*.csv"))


def test_templates_and_the_workflows_input_are_made(repository, tmp_path):
    run(repository, "infrastructure", "synth", "--output", str(tmp_path))
    output = tmp_path / "workflow-input.json"
    run(
        repository, "infrastructure", "workflow-input", "--project", "project.yml",
        "--release", RELEASE, "--bucket", "churn-p-1-data", "--image", IMAGE,
        "--project-name", "churn-p-1", "--output", str(output),
    )  # fmt: skip
    assert json.loads(output.read_text())["release"] == RELEASE
    for name in ("workflow.json", "dev.json"):
        assert json.loads((tmp_path / name).read_text())["Resources"]


def test_its_own_tests_pass_whatever_the_project_changes(repository, tmp_path):
    changed = Path(shutil.copytree(repository, tmp_path / "changed"))
    (changed / "project.yml").write_text(OTHER_SETTINGS)
    (changed / "data/churn.csv").unlink()
    estimator = HOW_TO.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (changed / "mlsystem/algorithms/random_forest.py").write_text(estimator)
    options = ("-q", "-p", "no:randomly", "-p", "no:xdist", "-m", "not exhaustive")
    assert " passed" in run(changed, "pytest", *options, *FAST_TESTS)


@pytest.mark.parametrize("name", ["buildspec.yml", "buildspec-test.yml"])
def test_what_a_buildspec_installs_is_locked(name, repository):
    for word in (repository / name).read_text().split():
        if word.endswith("requirements.txt"):
            lines = (repository / word).read_text().splitlines()
            locked = [line for line in lines if "==" in line]
            assert len(locked) > 10
            assert all(line.endswith("\\") for line in locked), f"{word}: without hashes"
            break
    else:
        pytest.fail(f"{name} installs nothing")
