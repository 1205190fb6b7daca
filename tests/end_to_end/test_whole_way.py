"""`make run`: from the published template to production, and a second release, good or bad.

The seed's own tests are left out of the builds: :mod:`tests.test_seed_code_alone` runs them.
"""

import json
import os
import re
import subprocess
from dataclasses import replace

import boto3
import nbformat
import pytest
from botocore.exceptions import ClientError
from nbclient import NotebookClient
from rich.console import Console

from local_cloud import organization, production, run
from local_cloud.scenarios import SCENARIOS
from tests.end_to_end.conftest import ROOT, share_caches

STAGES = ["Source", "Build", "Train", "Dev", "Prod"]
WORKFLOW = ["PrepareData", "TrainModel", "EvaluateModel", "CheckGate", "RegisterModel"]
ALL_TESTS = 'pytest tests -q -n auto -m "not exhaustive"'


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A function that runs a scenario; gives exit code, summary and what was printed."""
    share_caches(tmp_path)
    whole = organization.seed

    def seed(blueprint, folder):
        has_data = whole(blueprint, folder)
        buildspec = folder / "buildspec.yml"
        text = buildspec.read_text()
        assert ALL_TESTS in text
        buildspec.write_text(text.replace(ALL_TESTS, "pytest tests/test_settings.py -q"))
        return has_data

    monkeypatch.setattr(organization, "seed", seed)

    def release(scenario):
        console = Console(record=True, width=200)
        code = run.run("churn", root=tmp_path, console=console, scenario=scenario)
        summary = json.loads((tmp_path / "summary.json").read_text())
        return code, summary, console.export_text()

    return release


def assert_told(summary):
    """What is the same for all scenarios."""
    assert summary["project"]["name"] == "churn"
    key = f"churn-{summary['project']['id']}"
    assert summary["pipeline"]["name"] == key
    assert summary["pipeline"]["execution_id"] == summary["release"]
    assert [stage["name"] for stage in summary["pipeline"]["stages"]] == STAGES
    assert set(summary["project"]["stacks"]) >= {f"{key}-workflow", f"{key}-dev", f"{key}-prod"}
    assert [stage["name"] for stage in summary["stages"]] == WORKFLOW
    assert summary["metrics"]["roc_auc"] >= 0.90
    assert summary["golden_requests"]["answered"] == summary["golden_requests"]["sent"] == 20
    assert summary["api"]["status"] == 200
    assert "score" in json.loads(summary["api"]["output"])["predictions"][0]


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """What is left of the notebook that a person returns with, once one has."""
    run = nbformat.read(ROOT / "studio_nbs/rollback.ipynb", as_version=nbformat.NO_CONVERT)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    by_command = production.go_back

    def go_back(born, environment):
        """Back by the command, forth by the notebook, and back again."""
        key = born.outputs["ProjectKey"]
        refuses_another_template(born.outputs["ProdStackName"], environment)
        second = re.search(r"from release (\S+) back", by_command(born, environment))[1]
        command = [ROOT / "scripts/rollback.sh", key, "--to", second, "--dry-run"]
        said = subprocess.run(
            command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
        ).stdout
        (parameters,) = (cell for cell in run.cells if cell.id == "parameters")
        parameters.source += f"\nPROJECT, TO, RETURN, HOURS = {key!r}, {second!r}, True, 1"
        where = {"metadata": {"path": str(ROOT / "studio_nbs")}}
        client = NotebookClient(run, timeout=300, resources=where)
        client.execute(env={**os.environ, **environment, "IPYTHONDIR": str(tmp_path / "ipython")})
        assert outputs(run, "dry-run")["text"] == said
        return by_command(born, environment)

    monkeypatch.setattr(production, "go_back", go_back)
    return run


def refuses_another_template(stack, environment):
    """Who may approve deploys what a release recorded, and nothing of their own."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
    client = boto3.Session(*(environment[name] for name in names)).client(
        "cloudformation", endpoint_url=environment["AWS_ENDPOINT_URL"]
    )
    for asked in ({"TemplateBody": "{}"}, {"UsePreviousTemplate": True}):
        with pytest.raises(ClientError, match="not authorized to perform: cloudformation:Update"):
            client.update_stack(StackName=stack, **asked)


def outputs(notebook, cell_id):
    """Return what a cell of a notebook that has run shows: text, pictures."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    shown = {"text": "".join(each.text for each in cell.outputs if "text" in each)}
    return shown | {
        kind: each for one in cell.outputs for kind, each in one.get("data", {}).items()
    }


def test_traffic_moves_to_the_next_release_and_back_and_no_request_is_lost(released, notebook):
    # The whole of `next-release`, and then a person who goes back.
    there, back = SCENARIOS["next-release"], SCENARIOS["go-back"]
    assert replace(there, name=back.name, title=back.title, goes_back=True) == back
    code, summary, output = released("go-back")
    assert (code, summary["status"]) == (0, "ROLLED_BACK"), output
    assert_told(summary)
    assert {stage["status"] for stage in summary["pipeline"]["stages"]} == {"SUCCEEDED"}
    traffic = summary["traffic"]
    assert traffic["failed_requests"] == 0
    first, second = traffic["releases"]
    assert second == summary["release"]
    assert traffic["releases"][second] > 0
    assert summary["api"]["release"] == first
    rollback = summary["rollback"]
    assert (rollback["guard"], rollback["serving_release"]) == ("a person", first)
    assert rollback["failed_requests"] == 0 < rollback["requests"]
    assert f"Traffic: 100 % to release {second}" in output
    assert "roc_auc" in output
    known = outputs(notebook, "releases")["text/html"]
    assert first in known
    assert second in known
    for plot in ("metric", "traffic"):
        assert "image/png" in outputs(notebook, plot)
    assert first in outputs(notebook, "totals")["text/html"]
    assert f"from release {first} back to {second}" in outputs(notebook, "dry-run")["text"]
    assert f"from release {second} back to {first}" in rollback["reason"]
    assert "ReleaseCheck: UPDATE_COMPLETE" in outputs(notebook, "return")["text"]
    assert second in outputs(notebook, "after")["text/html"]
    assert first not in outputs(notebook, "after")["text/html"]


def test_a_release_that_fails_in_production_is_rolled_back(released, tmp_path):
    code, summary, output = released("bad-release")
    assert (code, summary["status"]) == (0, "ROLLED_BACK"), output
    assert_told(summary)
    rollback, bad = summary["rollback"], summary["release"]
    assert summary["pipeline"]["stages"][-1]["status"] == "FAILED"
    assert rollback["guard"] == "ALARM_ACTIVE"
    assert "alarms" in rollback["reason"]
    assert rollback["serving_release"] == summary["api"]["release"] != bad
    assert rollback["requests"] == summary["traffic"]["requests"]
    # A tenth of the traffic is the new release's while it lasts; nobody else fails.
    assert 0 < rollback["failed_requests"] <= summary["traffic"]["releases"][bad]
    assert "nobody" not in summary["traffic"]["releases"]
    mails = [path.read_text() for path in (tmp_path / "mail").glob("*.eml")]
    of_release = [mail for mail in mails if f"\nRelease {bad} of " in mail]
    assert len([mail for mail in of_release if "was taken back" in mail]) == 1
    assert len([mail for mail in of_release if " failed at " in mail]) == 1
    assert [mail for mail in mails if "went off" in mail]
