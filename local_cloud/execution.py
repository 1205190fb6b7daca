"""A state machine's execution, read through its history as any client would."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from local_cloud.summary import Stage

__all__ = ["history", "is_rejected", "stages"]

# The states that a person follows, in order; the others are plumbing between them.
STAGES = (
    "PrepareData",
    "TrainModel",
    "EvaluateModel",
    "CheckGate",
    "RegisterModel",
    "DeployEndpoint",
)
REJECTED = "ModelRejected"


def history(client: Any, execution_arn: str) -> list[dict[str, Any]]:
    """Return all events of an execution; `client` is one of Step Functions."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


def is_rejected(found: Iterable[Stage]) -> bool:
    """Whether the gate said no."""
    return any(stage.status == "REJECTED" for stage in found)


def stages(events: Iterable[dict[str, Any]], now: datetime) -> list[Stage]:
    """Return the stages that the execution has entered, in order.

    Parameters
    ----------
    events
        ``events`` of GetExecutionHistory, in order.
    now
        For the elapsed time of the running stage.
    """
    found: list[tuple[Stage, datetime]] = []
    for event in events:
        entered = event.get("stateEnteredEventDetails", {}).get("name")
        moment: datetime = event["timestamp"]
        if entered in STAGES:
            _finish(found, moment, "SUCCEEDED")
            found.append((Stage(entered, "RUNNING", 0.0), moment))
        elif entered == REJECTED:
            _finish(found, moment, "REJECTED")
        elif event["type"] == "ExecutionSucceeded":
            _finish(found, moment, "SUCCEEDED")
        elif event["type"] in ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"):
            details = event.get(f"{event['type'][0].lower()}{event['type'][1:]}EventDetails", {})
            _finish(found, moment, "FAILED", details.get("cause") or event["type"])
    for stage, entered_at in found:
        if stage.status == "RUNNING":
            stage.seconds = (now - entered_at).total_seconds()
    return [stage for stage, _ in found]


def _finish(
    found: list[tuple[Stage, datetime]], moment: datetime, status: Any, error: str | None = None
) -> None:
    if not found:
        return
    stage, entered_at = found[-1]
    if stage.status == "RUNNING":
        stage.status = status
        stage.seconds = (moment - entered_at).total_seconds()
        stage.error = error
    elif stage.status == "REJECTED" and error:
        stage.error = error
