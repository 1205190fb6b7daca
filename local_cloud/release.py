"""A release of a project, seen from outside: its pipeline's execution, and a person's approval.

Nothing here makes anything of the release: the pipeline does. Everything is read and said through
the APIs, as the console does it, with the roles of Studio's users.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local_cloud import execution
from local_cloud.logs import Logs
from local_cloud.summary import Pipeline, PipelineStage, Stage, StageStatus

__all__ = ["Approval", "Release", "each", "ids"]

_POLL_SECONDS = 0.3
_STATUS: dict[str, Any] = {
    "InProgress": "RUNNING",
    "Succeeded": "SUCCEEDED",
    "Failed": "FAILED",
    "Abandoned": "FAILED",
    "Skipped": "SKIPPED",
}
_LOG = re.compile(r":log-group:(?P<group>[^:]+):log-stream:(?P<stream>[^:]+)")
_OVER = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled")


@dataclass(frozen=True)
class Approval:
    """What a release waits for: where, and what is asked."""

    stage: str
    action: str
    token: str
    text: str


@dataclass(frozen=True)
class Release:
    """An execution of a project's pipeline.

    Parameters
    ----------
    client
        boto3 client of a service by its name, for whoever looks.
    pipeline
        Name of the pipeline.
    id
        Of its execution, and so of the release.
    """

    client: Callable[[str], Any]
    pipeline: str
    id: str

    def look(self, logs: Logs) -> Pipeline:
        """Return stages and actions as far as they came, with their files of `logs`."""
        runs = self._runs()
        answer = self.client("codepipeline").get_pipeline(name=self.pipeline)
        state = self.client("codepipeline").get_pipeline_state(name=self.pipeline)
        states = {stage["stageName"]: stage for stage in state["stageStates"]}
        return Pipeline(
            name=self.pipeline,
            execution_id=self.id,
            stages=[
                self._stage(
                    stage["name"],
                    [(run, _action(run, logs)) for run in runs.get(stage["name"], [])],
                    states[stage["name"]],
                )
                for stage in answer["pipeline"]["stages"]
            ],
        )

    def status(self) -> str:
        """Return the execution's status in CodePipeline's words."""
        found = self.client("codepipeline").get_pipeline_execution(
            pipelineName=self.pipeline, pipelineExecutionId=self.id
        )
        return str(found["pipelineExecution"]["status"])

    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status() in _OVER

    def workflow(self) -> tuple[dict[str, Any], list[Stage]] | None:
        """Return input and stages of the release's workflow, once it has been started."""
        for run in (run for runs in self._runs().values() for run in runs):
            started = run["output"]["executionResult"].get("externalExecutionId")
            if run["input"]["actionTypeId"]["provider"] == "StepFunctions" and started:
                client = self.client("stepfunctions")
                found = client.describe_execution(executionArn=started)
                events = execution.history(client, started)
                return json.loads(found["input"]), execution.stages(events, datetime.now(UTC))
        return None

    def approval(self) -> Approval | None:
        """Return what a person is asked, while it waits for the answer."""
        state = self.client("codepipeline").get_pipeline_state(name=self.pipeline)
        for stage in state["stageStates"]:
            if stage.get("latestExecution", {}).get("pipelineExecutionId") != self.id:
                continue
            for action in stage["actionStates"]:
                token = action.get("latestExecution", {}).get("token")
                if token:
                    text = self._asked(action["actionName"])
                    return Approval(stage["stageName"], action["actionName"], token, text)
        return None

    def decide(
        self, approver: Callable[[str], Any], asked: Approval, status: str, why: str
    ) -> None:
        """Answer ``Approved`` or ``Rejected``; `approver` makes clients of somebody who may."""
        approver("codepipeline").put_approval_result(
            pipelineName=self.pipeline,
            stageName=asked.stage,
            actionName=asked.action,
            token=asked.token,
            result={"status": status, "summary": why},
        )

    def _asked(self, action: str) -> str:
        runs = (run for runs in self._runs().values() for run in runs)
        *_, newest = (run for run in runs if run["actionName"] == action)
        return str(newest["input"]["resolvedConfiguration"].get("CustomData", ""))

    def _runs(self) -> dict[str, list[dict[str, Any]]]:
        """Runs of actions by their stage, in the order in which they began."""
        pages = (
            self.client("codepipeline")
            .get_paginator("list_action_executions")
            .paginate(pipelineName=self.pipeline, filter={"pipelineExecutionId": self.id})
        )
        runs: dict[str, list[dict[str, Any]]] = {}
        for page in pages:
            for run in page["actionExecutionDetails"]:
                runs.setdefault(run["stageName"], []).insert(0, run)
        return runs

    def _stage(
        self, name: str, runs: list[tuple[dict[str, Any], Stage]], state: dict[str, Any]
    ) -> PipelineStage:
        latest = state.get("latestExecution", {})
        status: StageStatus = "WAITING"
        if latest.get("pipelineExecutionId") == self.id:
            status = _STATUS.get(latest["status"], "FAILED")
        elif runs:  # another release is in the stage by now
            newest_runs = {action.name: action.status for _, action in runs}
            status = "FAILED" if "FAILED" in newest_runs.values() else "SUCCEEDED"
        seconds = 0.0
        if runs:
            (first, _), (last, _) = runs[0], runs[-1]
            seconds = (last["lastUpdateTime"] - first["startTime"]).total_seconds()
        return PipelineStage(name, status, seconds, [action for _, action in runs])


def each(client: Callable[[str], Any], pipeline: str) -> Iterator[Release]:
    """Yield a pipeline's releases, oldest first, until there is no newer one; await the first."""
    seen: set[str] = set()
    while True:
        waiting = [found for found in ids(client, pipeline) if found not in seen]
        if not waiting and seen:
            return
        if waiting:
            seen.add(waiting[0])
            yield Release(client, pipeline, waiting[0])
        else:
            time.sleep(_POLL_SECONDS)


def ids(client: Callable[[str], Any], pipeline: str) -> list[str]:
    """Return the ids of a pipeline's executions, oldest first."""
    pages = client("codepipeline").get_paginator("list_pipeline_executions")
    found = [
        summary["pipelineExecutionId"]
        for page in pages.paginate(pipelineName=pipeline)
        for summary in page["pipelineExecutionSummaries"]
    ]
    return found[::-1]


def _action(run: dict[str, Any], logs: Logs) -> Stage:
    ended = datetime.now(UTC) if run["status"] == "InProgress" else run["lastUpdateTime"]
    result = run["output"]["executionResult"]
    log = _LOG.search(result.get("logStreamARN") or "")
    return Stage(
        run["actionName"],
        _STATUS.get(run["status"], "FAILED"),
        (ended - run["startTime"]).total_seconds(),
        (result.get("errorDetails") or {}).get("message"),
        str(logs.path(log["group"], log["stream"])) if log else None,
    )
