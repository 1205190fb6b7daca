"""A release read through the pipeline's API, as it answers at different moments."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local_cloud.logs import Logs
from local_cloud.release import Release, each

START = datetime(2026, 1, 1, tzinfo=UTC)
LOG = "arn:aws:logs:xx-local-1:000000000000:log-group:/aws/codebuild/x:log-stream:s-1"


def run(stage, action, status, *, begun=0, message=None, log=None):
    error = {"message": message} if message else None
    return {
        "stageName": stage,
        "actionName": action,
        "status": status,
        "startTime": START + timedelta(seconds=begun),
        "lastUpdateTime": START + timedelta(seconds=begun + 5),
        "input": {"actionTypeId": {"provider": "CodeBuild"}, "resolvedConfiguration": {}},
        "output": {"executionResult": {"errorDetails": error, "logStreamARN": log}},
    }


class Pipelines:
    """Answers of CodePipeline, the newest run of an action first."""

    def __init__(self, *runs, latest="r-1", status="InProgress"):
        self.runs = list(runs)[::-1]
        self.latest = {"pipelineExecutionId": latest, "status": status}

    def __call__(self, service):
        assert service == "codepipeline"
        return self

    def get_pipeline(self, name):
        return {"pipeline": {"stages": [{"name": "Build"}, {"name": "Dev"}]}}

    def get_pipeline_state(self, name):
        return {
            "stageStates": [
                {"stageName": "Build", "latestExecution": self.latest, "actionStates": []},
                {"stageName": "Dev", "actionStates": []},
            ]
        }

    def get_paginator(self, operation):
        assert operation == "list_action_executions"
        return self

    def paginate(self, **_):
        return [{"actionExecutionDetails": self.runs}]


def look(*runs, **options):
    release = Release(Pipelines(*runs, **options), "p", "r-1")
    return release.look(Logs(Path("/logs"), lambda: None)).stages


def test_a_stage_that_no_action_has_begun_in_waits():
    build, dev = look(status="InProgress")
    assert (build.status, dev.status, dev.actions) == ("RUNNING", "WAITING", [])


def test_a_failed_action_says_why_and_where_its_log_is():
    build, _ = look(run("Build", "Build", "Failed", message="no", log=LOG), status="Failed")
    (action,) = build.actions
    assert (build.status, action.status, action.error) == ("FAILED", "FAILED", "no")
    assert action.log == "/logs/aws/codebuild/x/s-1.log"
    assert build.seconds == 5


@pytest.mark.parametrize(("second", "expected"), [("Succeeded", "SUCCEEDED"), ("Failed", "FAILED")])
def test_a_stage_that_another_release_is_in_is_told_by_its_newest_runs(second, expected):
    runs = [run("Build", "Build", "Failed"), run("Build", "Build", second, begun=10)]
    build, _ = look(*runs, latest="r-2", status="Succeeded")
    assert build.status == expected


def test_releases_come_oldest_first_and_end_with_the_newest():
    answers = [[], ["r-1"], ["r-2", "r-1"], ["r-2", "r-1"]]

    class Growing:
        def list(self, **_):
            found = answers.pop(0)
            return [{"pipelineExecutionSummaries": [{"pipelineExecutionId": one} for one in found]}]

        def get_paginator(self, _):
            return type("Pages", (), {"paginate": self.list})()

    assert [found.id for found in each(lambda _: Growing(), "p")] == ["r-1", "r-2"]
