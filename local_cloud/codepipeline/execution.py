"""One execution of a pipeline: its stages one after the other, their actions with what they leave.

Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import events
from local_cloud.codepipeline import providers
from local_cloud.codepipeline.artifacts import Artifact, ArtifactError, Store
from local_cloud.codepipeline.declaration import Action, Declaration, Rule, Stage, references
from local_cloud.codepipeline.job import AbandonedError, ActionError, Job, Result, Revision
from local_cloud.errors import LocalCloudError
from local_cloud.iam import DeniedError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["ActionRun", "Execution", "StageRun"]

#: Namespace -> name -> value.
Variables = dict[str, dict[str, str]]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class ActionRun:
    """One run of an action."""

    action: Action
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    started: dt.datetime = field(default_factory=_now)
    changed: dt.datetime = field(default_factory=_now)
    configuration: Mapping[str, str] = field(default_factory=dict)
    inputs: list[Artifact] = field(default_factory=list)
    external_id: str = ""
    log_arn: str = ""
    error: ActionError | None = None
    result: Result = field(default_factory=Result)
    job: Job | None = None

    def finish(self, status: str) -> None:
        """Set the last status."""
        self.status, self.changed = status, _now()


@dataclass
class StageRun:
    """One run of a stage: the newest run of each action."""

    stage: Stage
    status: str = "InProgress"
    actions: dict[str, ActionRun] = field(default_factory=dict)
    reason: str = ""


@dataclass
class Execution:
    """An execution of a pipeline, as it was declared when the execution started.

    Parameters
    ----------
    cloud, declaration, version
        Where and what.
    trigger
        ``triggerType`` and ``triggerDetail``.
    variables
        Values of the pipeline's variables.
    revisions
        Source action -> revision that was asked for.
    """

    cloud: LocalCloud
    declaration: Declaration
    version: int
    trigger: Mapping[str, str]
    variables: Mapping[str, str]
    revisions: Mapping[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    summary: str = ""
    started: dt.datetime = field(default_factory=_now)
    changed: dt.datetime = field(default_factory=_now)
    stages: dict[str, StageRun] = field(default_factory=dict)
    history: list[tuple[str, ActionRun]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.abandoned = threading.Event()
        self._artifacts: dict[str, Artifact] = {}
        self._spaces: Variables = {
            "codepipeline": {"PipelineExecutionId": self.id},
            "variables": dict(self.variables),
        }
        self._store = Store(
            self.declaration.name, self.declaration.bucket, self.declaration.kms_key_id
        )

    # ---------------------------------------------------------------- whole

    def change(self, status: str, summary: str | None = None) -> None:
        """Set the status of the execution, and its summary where one is given; tell of it."""
        self.status, self.changed = status, _now()
        self.summary = self.summary if summary is None else summary
        self._tell("Pipeline", status)

    def is_over(self) -> bool:
        """Whether nothing of it runs or waits."""
        return self.status not in {"InProgress", "Stopping"}

    def found_revisions(self) -> list[tuple[Action, Revision]]:
        """What the source actions found."""
        runs = [run for stage in self.stages.values() for run in stage.actions.values()]
        return [(run.action, run.result.revision) for run in runs if run.result.revision]

    # ---------------------------------------------------------------- stages

    def run_stage(self, stage: Stage, *, keeps: bool = False) -> None:
        """Run a stage to its end; its status says how it went.

        `keeps`: actions that succeeded the last time are not run again.
        """
        before = self.stages.get(stage.name)
        run = StageRun(stage)
        if keeps and before is not None:
            done = {n: r for n, r in before.actions.items() if r.status == "Succeeded"}
            run.actions.update(done)
        self.stages[stage.name] = run
        self._tell("Stage", "InProgress", stage=stage.name)
        run.status, run.reason = self._entry(stage) or self._run_actions(run)
        self._tell("Stage", run.status, stage=stage.name)

    def _entry(self, stage: Stage) -> tuple[str, str] | None:
        """Status and reason when a condition keeps the stage from being entered."""
        for rule in stage.rules:
            try:
                is_met = _is_met(rule, self._resolved(rule.variable))
            except (ActionError, re.error) as error:
                return "Failed", f"Rule {rule.name}: {error}"
            if not is_met:
                status = {"FAIL": "Failed", "SKIP": "Skipped"}[rule.result]
                return status, f"Rule {rule.name} was not met: {rule.variable}"
        return None

    def _run_actions(self, run: StageRun) -> tuple[str, str]:
        for group in run.stage.groups():
            threads = [
                threading.Thread(
                    target=self._run_action, args=(run, action), name=f"{action.name} {self.id}"
                )
                for action in group
                if action.name not in run.actions
            ]
            for thread in threads:
                thread.daemon = True
                thread.start()
            for thread in threads:
                thread.join()
            runs = [run.actions[action.name] for action in group]
            if self.abandoned.is_set() or any(_.status == "Abandoned" for _ in runs):
                return "Stopped", ""
            failed = next((_ for _ in runs if _.status == "Failed"), None)
            if failed is not None:
                return "Failed", f"{failed.action.name}: {failed.error}"
            if self.status == "Stopping":
                return "Stopped", ""
        return "Succeeded", ""

    # ---------------------------------------------------------------- actions

    def _run_action(self, stage: StageRun, action: Action) -> None:
        run = ActionRun(action)
        stage.actions[action.name] = run
        self.history.append((stage.stage.name, run))
        tell = partial(self._tell, "Action", stage=stage.stage.name, action=action)
        tell("InProgress")
        try:
            run.configuration = {
                name: self._resolved(value) for name, value in action.configuration.items()
            }
            run.inputs = [self._artifacts[name] for name in action.inputs]
            run.job = self._job(stage.stage, run)
            run.result = providers.run(run.job)
            self._keep(run)
            run.finish("Succeeded")
        except AbandonedError:
            run.finish("Abandoned")
        except (
            ActionError, ArtifactError, ClientError, BotoCoreError, LocalCloudError, DeniedError
        ) as error:  # fmt: skip
            run.error = error if isinstance(error, ActionError) else ActionError(str(error))
            run.finish("Failed")
        except Exception as error:
            run.error = ActionError(f"{type(error).__name__}: {error}", "InternalError")
            run.finish("Failed")
            raise
        finally:
            tell(run.status)

    def _job(self, stage: Stage, run: ActionRun) -> Job:
        def note(external_id: str, log_arn: str) -> None:
            run.external_id, run.log_arn = external_id, log_arn

        return Job(
            cloud=self.cloud,
            action=run.action,
            id=run.id,
            pipeline=self.declaration.name,
            stage=stage.name,
            role_arn=self.declaration.role_arn,
            configuration=run.configuration,
            store=self._store,
            inputs=run.inputs,
            revision=self.revisions.get(run.action.name, ""),
            note=note,
            abandoned=self.abandoned,
            token=str(uuid.uuid4()) if run.action.provider == "Manual" else "",
        )

    def _keep(self, run: ActionRun) -> None:
        self._artifacts.update({artifact.name: artifact for artifact in run.result.artifacts})
        if run.action.namespace:
            self._spaces[run.action.namespace] = run.result.variables

    def _resolved(self, text: str) -> str:
        """A text with its variables' values."""
        for space, name in references(text):
            value = self._spaces.get(space, {}).get(name)
            if value is None:
                raise ActionError(
                    f"the variable #{{{space}.{name}}} could not be resolved", "UnresolvedVariable"
                )
            text = text.replace(f"#{{{space}.{name}}}", _in(text, value))
        return text

    # ---------------------------------------------------------------- events

    def _tell(
        self, kind: str, status: str, *, stage: str | None = None, action: Action | None = None
    ) -> None:
        detail = {
            "pipeline": self.declaration.name,
            "execution-id": self.id,
            "state": _STATES.get(status, status.upper()),
            "version": float(self.version),
            **({"stage": stage} if stage else {}),
            **({"action": action.name, "type": dict(action.type_id)} if action else {}),
            **({"region": self.cloud.region} if action else {}),
        }
        place = f"{self.cloud.region}:{self.cloud.account_id}"
        events.emit(
            self.cloud,
            "aws.codepipeline",
            f"CodePipeline {kind} Execution State Change",
            detail,
            [f"arn:aws:codepipeline:{place}:{self.declaration.name}"],
        )


#: https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html
_STATES = {"InProgress": "STARTED", "Abandoned": "ABANDONED"}


def _in(text: str, value: str) -> str:
    """A value as it stands in a text: within JSON its quotes and line breaks are escaped."""
    is_json = text.lstrip().startswith(("[", '{"'))
    return json.dumps(value)[1:-1] if is_json else value


def _is_met(rule: Rule, value: str) -> bool:
    if rule.operator == "MATCHES":
        return re.fullmatch(rule.value, value) is not None
    return (value == rule.value) is (rule.operator == "EQ")
