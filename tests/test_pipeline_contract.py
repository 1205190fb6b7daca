"""pipeline.yml and the repository that it starts with agree on every name between them."""

import dataclasses
import fnmatch
import json
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml

from mlsystem import settings
from mlsystem.names import Names
from pipeline import configuration
from pipeline.__main__ import main
from pipeline.environment import (
    AcceptanceEnvironment,
    ApprovalEnvironment,
    BuildEnvironment,
    ProductionEnvironment,
)

ROOT = Path(__file__).parent.parent
SEED = ROOT / "seed_code"
TEXT = (ROOT / "pipeline.yml").read_text(encoding="utf-8")


def resource(name):
    """The text of a resource in pipeline.yml."""
    return re.search(rf"\n  {name}:\n(.*?)(?=\n  [A-Z]\w+:\n|\n  # ---|\Z)", TEXT, re.DOTALL)[1]


def buildspec(name):
    return yaml.safe_load((SEED / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("kind", "project"),
    [
        (BuildEnvironment, "BuildProject"),
        (AcceptanceEnvironment, "TestProject"),
        (ProductionEnvironment, "ReleaseProject"),
        (ApprovalEnvironment, "ReleaseProject"),
    ],
)
def test_every_variable_that_a_program_reads_is_set(kind, project):
    given = set(re.findall(r"\{Name: (\w+), Value", resource(project)))
    stage = re.search(rf"ProjectName: !Ref {project}\n(.*?)InputArtifacts", TEXT, re.DOTALL)[1]
    given |= set(re.findall(r'"name": "(\w+)"', stage))
    # CodeBuild's own: where it puts an artifact that is not the primary one.
    artifacts = re.search(r"InputArtifacts: (\[.*\])", TEXT[TEXT.index(stage) :])[1]
    given |= {f"CODEBUILD_SRC_DIR_{name}" for name in re.findall(r"Name: (\w+)", artifacts)[1:]}
    fields = dataclasses.fields(kind)
    assert {each.metadata.get("variable", each.name.upper()) for each in fields} <= given


def test_the_buildspecs_are_where_the_projects_look():
    for project in ("BuildProject", "TestProject", "ReleaseProject"):
        name = re.search(r"BuildSpec: (\S+)\}", resource(project))[1]
        assert buildspec(name)["version"] == 0.2


def test_steps_of_the_prod_stage_are_programs(monkeypatch, capsys):
    steps = re.findall(r'"name": "STEP", "value": "(\w+)"', TEXT)
    assert steps == ["approve", "promote"]
    monkeypatch.delenv("PROJECT_KEY", raising=False)
    for step in steps:
        assert main([step], boto3.client) == 1  # a command that is not known ends with 2
        assert "environment variable PROJECT_KEY: not set" in capsys.readouterr().err


def test_variables_that_the_pipeline_uses_are_exported():
    used = set(re.findall(r"#\{(Build|TestDev)\.(\w+)\}", TEXT))
    exported = {
        (namespace, variable)
        for namespace, name in (("Build", "buildspec.yml"), ("TestDev", "buildspec-test.yml"))
        for variable in buildspec(name)["env"]["exported-variables"]
    }
    assert used == exported


def test_files_that_the_pipeline_takes_are_the_artifact():
    taken = re.findall(r"Build::([\w-]+\.json)|Input: ([\w-]+\.json)", TEXT)
    taken = {stack or execution for stack, execution in taken}
    patterns = buildspec("buildspec.yml")["artifacts"]["files"]
    assert [name for name in taken if not any(fnmatch.fnmatch(name, one) for one in patterns)] == []
    assert [one for one in patterns if not fnmatch.filter(taken, one)] == []
    completed = re.findall(r"Approval::([\w-]+\.json)", TEXT)
    assert completed == buildspec("buildspec-release.yml")["artifacts"]["files"]


def test_build_and_the_account_of_production_give_its_parameters_together(synthesized):
    declared = set(json.loads((synthesized / "prod.json").read_text())["Parameters"])
    environment = BuildEnvironment(*("x" for _ in dataclasses.fields(BuildEnvironment)))
    of_seed = settings.load(SEED / "project.yml")
    by_build = configuration.production(environment, of_seed, Names("key", "r"), "i", "a")
    by_account = set(re.findall(r'"(\w+)": "\$\{', resource("ProductionPlace")))
    assert by_account.isdisjoint(by_build["Parameters"])
    assert by_account | set(by_build["Parameters"]) == declared
    assert by_account <= configuration.OF_PROJECT


def test_outputs_and_names_that_the_pipeline_uses(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "infrastructure", "synth", "--output", str(tmp_path)],
        cwd=SEED, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    outputs = json.loads((tmp_path / "dev.json").read_text())["Outputs"]
    assert set(re.findall(r"#\{DevStack\.(\w+)\}", TEXT)) == set(outputs)
    names = Names("key", "r")
    key = "${ModelName}-${SageMakerProjectId}"
    assert f'Name: !Sub "{names.production_place.replace("key", key)}"' in TEXT
    assert f"stateMachine:{key}{names.state_machine.removeprefix('key')}" in TEXT
    assert f"endpoint/{key}{names.dev_endpoint.removeprefix('key')}*" in TEXT
