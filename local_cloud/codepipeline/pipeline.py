"""One pipeline: its executions queue before each stage, and each stage holds one at a time."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_cloud.codepipeline.declaration import Declaration, Stage
from local_cloud.codepipeline.execution import Execution
from local_cloud.json_api import ApiError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Pipeline", "Transition"]

_LOOK_SECONDS = 0.2
#: Executions that a pipeline takes at a time; the documented quota of mode QUEUED.
_MOST_EXECUTIONS = 50


@dataclass
class Transition:
    """Whether executions enter a stage."""

    enabled: bool = True
    by: str = ""
    at: dt.datetime | None = None
    reason: str = ""


@dataclass
class _Gate:
    """The door of a stage: who waits, who is in, and who was in last."""

    waiting: deque[str] = field(default_factory=deque)
    inside: str = ""
    latest: str = ""
    transition: Transition = field(default_factory=Transition)


class Pipeline:
    """A pipeline with its executions, newest last."""

    def __init__(self, cloud: LocalCloud, declaration: Declaration) -> None:
        self.cloud = cloud
        self.declaration = declaration
        self.version = 1
        self.created = self.updated = dt.datetime.now(dt.UTC)
        self.tags: dict[str, str] = {}
        self.executions: dict[str, Execution] = {}
        self._gates: dict[str, _Gate] = {}
        self._changed = threading.Condition()
        self._tokens: dict[str, str] = {}

    def update(self, declaration: Declaration) -> None:
        """Take a new declaration; executions that run keep the old one."""
        with self._changed:
            self.declaration = declaration
            self.version += 1
            self.updated = dt.datetime.now(dt.UTC)

    # ---------------------------------------------------------------- executions

    def start(
        self,
        trigger: Mapping[str, str],
        *,
        variables: Mapping[str, str] | None = None,
        revisions: Mapping[str, str] | None = None,
        token: str = "",
    ) -> Execution:
        """Start an execution, behind the caller's back.

        Raises
        ------
        ApiError
            When a variable is unknown or has no value, or too many executions wait.
        """
        with self._changed:
            if token and token in self._tokens:
                return self.executions[self._tokens[token]]
            if sum(not _.is_over() for _ in self.executions.values()) >= _MOST_EXECUTIONS:
                raise ApiError(
                    "ConcurrentPipelineExecutionsLimitExceededException",
                    f"{_MOST_EXECUTIONS} executions of {self.declaration.name} run or wait",
                )
            execution = Execution(
                self.cloud,
                self.declaration,
                self.version,
                trigger,
                self._values(variables or {}),
                revisions or {},
            )
            self.executions[execution.id] = execution
            if token:
                self._tokens[token] = execution.id
            self._queue(execution, self.declaration.stages[0])
        execution.change("InProgress")
        self._begin(execution, self.declaration.stages)
        return execution

    def _values(self, given: Mapping[str, str]) -> dict[str, str]:
        declared = self.declaration.variables
        for name in given:
            if name not in declared:
                raise ApiError("ValidationException", f"The pipeline has no variable {name}")
        values = {**declared, **given}
        for name, value in values.items():
            if value is None:
                raise ApiError("ValidationException", f"Variable {name} needs a value")
        return {name: str(value) for name, value in values.items()}

    def retry(self, execution: Execution, stage_name: str, *, keeps: bool) -> None:
        """Run a stage that failed, or was stopped, again, and go on from there."""
        stages = execution.declaration.stages
        index = next((i for i, stage in enumerate(stages) if stage.name == stage_name), None)
        with self._changed:
            run = execution.stages.get(stage_name)
            gate = self._gate(stage_name)
            if index is None:
                raise ApiError("StageNotFoundException", f"There is no stage {stage_name}")
            is_retryable = run is not None and run.status in {"Failed", "Stopped"}
            if not is_retryable or not execution.is_over() or gate.latest != execution.id:
                raise ApiError(
                    "StageNotRetryableException",
                    f"Stage {stage_name} of execution {execution.id} did not fail, or a newer"
                    " execution has entered it",
                )
            execution.abandoned.clear()
            self._queue(execution, stages[index])
        execution.change("InProgress", "")
        self._begin(execution, stages[index:], keeps=keeps)

    def stop(self, execution: Execution, reason: str, *, abandon: bool) -> None:
        """Stop an execution: at once, or when the actions that run have ended."""
        with self._changed:
            if execution.is_over() or (execution.status == "Stopping" and not abandon):
                raise ApiError(
                    "PipelineExecutionNotStoppableException",
                    f"Execution {execution.id} is {execution.status}",
                )
            execution.change("Stopping", reason)
            if abandon:
                execution.abandoned.set()
            self._changed.notify_all()

    def stop_all(self) -> None:
        """Abandon every execution and wait a little until each has noticed."""
        running = [_ for _ in self.executions.values() if not _.is_over()]
        for execution in running:
            execution.abandoned.set()
        deadline = time.monotonic() + 5
        while any(not _.is_over() for _ in running) and time.monotonic() < deadline:
            time.sleep(0.01)

    # ---------------------------------------------------------------- transitions

    def set_transition(self, stage: str, transition: Transition) -> None:
        """Open or close the door of a stage."""
        self.declaration.stage(stage)
        with self._changed:
            self._gate(stage).transition = transition
            self._changed.notify_all()

    def transition(self, stage: str) -> Transition:
        """The door of a stage."""
        return self._gate(stage).transition

    def inside(self, stage: str) -> Execution | None:
        """The execution that is in a stage, or was in it last."""
        return self.executions.get(self._gate(stage).latest)

    def waiting(self, stage: str) -> list[Execution]:
        """The executions that wait before a stage, in order."""
        return [self.executions[_] for _ in self._gate(stage).waiting]

    # ---------------------------------------------------------------- running

    def _gate(self, stage: str) -> _Gate:
        return self._gates.setdefault(stage, _Gate())

    def _queue(self, execution: Execution, stage: Stage) -> None:
        self._gate(stage.name).waiting.append(execution.id)

    def _begin(self, execution: Execution, stages: Sequence[Stage], *, keeps: bool = False) -> None:
        threading.Thread(
            target=self._run,
            args=(execution, stages, keeps),
            name=f"execution {execution.id}",
            daemon=True,
        ).start()

    def _run(self, execution: Execution, stages: Sequence[Stage], keeps: bool) -> None:
        status, reason = "Failed", ""
        try:
            status, reason = self._run_stages(execution, stages, keeps)
        finally:
            execution.change(status, reason or None)

    def _run_stages(
        self, execution: Execution, stages: Sequence[Stage], keeps: bool
    ) -> tuple[str, str]:
        """Status and summary of the execution after these stages; it waits before the first."""
        for index, stage in enumerate(stages):
            if not self._enter(execution, stage):
                return "Stopped", ""
            try:
                execution.run_stage(stage, keeps=keeps and index == 0)
            finally:
                following = stages[index + 1] if index + 1 < len(stages) else None
                self._leave(execution, stage, following)
            run = execution.stages[stage.name]
            if run.status in {"Failed", "Stopped"}:
                self._forget(execution)
                return run.status, f"{stage.name}: {run.reason}" if run.reason else ""
        return "Succeeded", ""

    def _enter(self, execution: Execution, stage: Stage) -> bool:
        """Wait for the turn of an execution; whether it came."""
        gate = self._gate(stage.name)

        def is_free() -> bool:
            is_next = bool(gate.waiting) and gate.waiting[0] == execution.id
            return is_next and not gate.inside and gate.transition.enabled

        with self._changed:
            while not is_free():
                if execution.status == "Stopping" or execution.abandoned.is_set():
                    self._forget(execution)
                    return False
                self._changed.wait(_LOOK_SECONDS)
            gate.waiting.popleft()
            gate.inside = gate.latest = execution.id
        return True

    def _leave(self, execution: Execution, stage: Stage, following: Stage | None) -> None:
        """Free a stage and queue before the next one, in one step: nobody overtakes."""
        with self._changed:
            self._gate(stage.name).inside = ""
            if following is not None:
                self._queue(execution, following)
            self._changed.notify_all()

    def _forget(self, execution: Execution) -> None:
        """Wait nowhere any more."""
        with self._changed:
            for gate in self._gates.values():
                if execution.id in gate.waiting:
                    gate.waiting.remove(execution.id)
            self._changed.notify_all()
