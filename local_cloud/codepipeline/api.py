"""CodePipeline's API.

Source: https://docs.aws.amazon.com/codepipeline/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

from local_cloud.codepipeline.declaration import Declaration, Stage
from local_cloud.codepipeline.execution import ActionRun, Execution
from local_cloud.codepipeline.job import PRINCIPAL, Approval
from local_cloud.codepipeline.pipeline import Pipeline, Transition
from local_cloud.errors import TrustError
from local_cloud.iam import Identity
from local_cloud.json_api import ApiError, Operation, Parameters, refuse_others

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Pipelines"]


class Pipelines:
    """The account's pipelines, and the operations on them."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._pipelines: dict[str, Pipeline] = {}
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Operation]:
        """What the API answers, by the operations' names."""
        return {
            "CreatePipeline": self._create,
            "DeletePipeline": self._delete,
            "DisableStageTransition": self._disable_transition,
            "EnableStageTransition": self._enable_transition,
            "GetPipeline": self._get,
            "GetPipelineExecution": self._get_execution,
            "GetPipelineState": self._get_state,
            "ListActionExecutions": self._list_actions,
            "ListPipelineExecutions": self._list_executions,
            "ListPipelines": self._list,
            "ListTagsForResource": self._list_tags,
            "PutApprovalResult": self._put_approval,
            "RetryStageExecution": self._retry,
            "StartPipelineExecution": self._start,
            "StopPipelineExecution": self._stop,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdatePipeline": self._update,
        }

    def stop(self) -> None:
        """End every execution."""
        for pipeline in list(self._pipelines.values()):
            pipeline.stop_all()

    # ---------------------------------------------------------------- pipelines

    def _create(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        declaration = self._declaration(asked)
        with self._lock:
            if declaration.name in self._pipelines:
                raise ApiError(
                    "PipelineNameInUseException",
                    f"A pipeline with the name '{declaration.name}' already exists",
                )
            pipeline = Pipeline(self._cloud, declaration)
            self._pipelines[declaration.name] = pipeline
        pipeline.tags = {tag["key"]: tag["value"] for tag in asked.get("tags", [])}
        if all(value is not None for value in declaration.variables.values()):
            pipeline.start({"triggerType": "CreatePipeline", "triggerDetail": ""})
        return {"pipeline": _described(pipeline), "tags": asked.get("tags", [])}

    def _update(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline = self._pipeline(asked["pipeline"]["name"])
        pipeline.update(self._declaration(asked))
        return {"pipeline": _described(pipeline)}

    def _declaration(self, asked: Parameters) -> Declaration:
        declaration = Declaration.read(asked["pipeline"], self._cloud.region)
        try:
            arn = self._arn(declaration.name)
            self._cloud.account.check_trust(declaration.role_arn, PRINCIPAL, arn)
        except TrustError as error:
            raise ApiError(
                "InvalidStructureException",
                f"CodePipeline is not authorized to perform AssumeRole on role"
                f" {declaration.role_arn} ({error})",
            ) from error
        return declaration

    def _get(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline = self._pipeline(asked["name"])
        metadata = {
            "pipelineArn": self._arn(pipeline.declaration.name),
            "created": pipeline.created,
            "updated": pipeline.updated,
        }
        return {"pipeline": _described(pipeline), "metadata": metadata}

    def _delete(self, asked: Parameters, _: Identity) -> None:
        with self._lock:
            pipeline = self._pipelines.pop(asked["name"], None)
        if pipeline is not None:
            pipeline.stop_all()

    def _list(self, _: Parameters, __: Identity) -> dict[str, Any]:
        return {
            "pipelines": [
                {
                    "name": name,
                    "version": pipeline.version,
                    "pipelineType": "V2",
                    "executionMode": "QUEUED",
                    "created": pipeline.created,
                    "updated": pipeline.updated,
                }
                for name, pipeline in sorted(self._pipelines.items())
            ]
        }

    def _list_tags(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        tags = self._of_arn(asked["resourceArn"]).tags
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _tag(self, asked: Parameters, _: Identity) -> None:
        tags = self._of_arn(asked["resourceArn"]).tags
        tags.update({tag["key"]: tag["value"] for tag in asked["tags"]})

    def _untag(self, asked: Parameters, _: Identity) -> None:
        for key in asked["tagKeys"]:
            self._of_arn(asked["resourceArn"]).tags.pop(key, None)

    # ---------------------------------------------------------------- executions

    def _start(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        pipeline = self._pipeline(asked["name"])
        sources = {action.name for action in pipeline.declaration.stages[0].actions}
        for revision in asked.get("sourceRevisions", []):
            if revision["actionName"] not in sources:
                raise ApiError(
                    "ValidationException", f"{revision['actionName']} is no source action"
                )
        role = identity.role
        is_event = role is not None and identity.arn.endswith("/events")
        trigger = {
            "triggerType": "CloudWatchEvent" if is_event else "StartPipelineExecution",
            "triggerDetail": identity.arn,
        }
        execution = pipeline.start(
            trigger,
            variables={_["name"]: _["value"] for _ in asked.get("variables", [])},
            revisions={
                _["actionName"]: _["revisionValue"] for _ in asked.get("sourceRevisions", [])
            },
            token=asked.get("clientRequestToken", ""),
        )
        return {"pipelineExecutionId": execution.id}

    def _stop(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline, execution = self._execution(asked)
        pipeline.stop(execution, asked.get("reason", ""), abandon=bool(asked.get("abandon")))
        return {"pipelineExecutionId": execution.id}

    def _retry(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline, execution = self._execution(asked)
        pipeline.retry(execution, asked["stageName"], keeps=asked["retryMode"] == "FAILED_ACTIONS")
        return {"pipelineExecutionId": execution.id}

    def _get_execution(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline, execution = self._execution(asked)
        variables = execution.variables.items()
        return {
            "pipelineExecution": {
                "pipelineName": pipeline.declaration.name,
                "pipelineVersion": execution.version,
                "pipelineExecutionId": execution.id,
                "status": execution.status,
                "statusSummary": execution.summary or None,
                "artifactRevisions": [
                    {
                        "name": action.outputs[0],
                        "revisionId": revision.id,
                        "revisionSummary": revision.summary,
                    }
                    for action, revision in execution.found_revisions()
                ],
                "variables": [{"name": name, "resolvedValue": value} for name, value in variables],
                "trigger": execution.trigger,
                "executionMode": "QUEUED",
                "executionType": "STANDARD",
            }
        }

    def _list_executions(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        refuse_others("codepipeline:ListPipelineExecutions", asked, {"pipelineName", "maxResults"})
        executions = list(self._pipeline(asked["pipelineName"]).executions.values())[::-1]
        return {
            "pipelineExecutionSummaries": [
                _summary(execution) for execution in executions[: asked.get("maxResults")]
            ]
        }

    def _list_actions(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        where = "codepipeline:ListActionExecutions"
        refuse_others(where, asked, {"pipelineName", "maxResults", "filter"})
        refuse_others(f"{where}, filter", asked.get("filter", {}), {"pipelineExecutionId"})
        wanted = asked.get("filter", {}).get("pipelineExecutionId")
        executions = self._pipeline(asked["pipelineName"]).executions.values()
        details = [
            _detail(execution, stage, run)
            for execution in executions
            if wanted in {None, execution.id}
            for stage, run in list(execution.history)
        ]
        return {"actionExecutionDetails": details[::-1][: asked.get("maxResults")]}

    # ---------------------------------------------------------------- state

    def _get_state(self, asked: Parameters, _: Identity) -> dict[str, Any]:
        pipeline = self._pipeline(asked["name"])
        return {
            "pipelineName": pipeline.declaration.name,
            "pipelineVersion": pipeline.version,
            "stageStates": [_state(pipeline, stage) for stage in pipeline.declaration.stages],
            "created": pipeline.created,
            "updated": pipeline.updated,
        }

    def _enable_transition(self, asked: Parameters, identity: Identity) -> None:
        self._set_transition(asked, identity, is_enabled=True)

    def _disable_transition(self, asked: Parameters, identity: Identity) -> None:
        self._set_transition(asked, identity, is_enabled=False)

    def _set_transition(self, asked: Parameters, identity: Identity, *, is_enabled: bool) -> None:
        if asked["transitionType"] != "Inbound":
            raise ApiError("ValidationException", "transitionType Inbound is supported")
        now = dt.datetime.now(dt.UTC)
        transition = Transition(is_enabled, identity.arn, now, asked.get("reason", ""))
        self._pipeline(asked["pipelineName"]).set_transition(asked["stageName"], transition)

    def _put_approval(self, asked: Parameters, identity: Identity) -> dict[str, Any]:
        pipeline = self._pipeline(asked["pipelineName"])
        execution = pipeline.inside(pipeline.declaration.stage(asked["stageName"]).name)
        run = execution.stages.get(asked["stageName"]) if execution else None
        action = run.actions.get(asked["actionName"]) if run else None
        if action is None or action.job is None or action.action.category != "Approval":
            raise ApiError("ActionNotFoundException", f"No approval {asked['actionName']} waits")
        with self._lock:
            if action.job.token != asked["token"]:
                raise ApiError("InvalidApprovalTokenException", "The approval token is not valid")
            if action.status != "InProgress" or action.job.approval is not None:
                raise ApiError(
                    "ApprovalAlreadyCompletedException", "The approval was given or is over"
                )
            result = asked["result"]
            action.job.approval = Approval(result["status"], result["summary"], identity.arn)
        return {"approvedAt": dt.datetime.now(dt.UTC)}

    # ---------------------------------------------------------------- parts

    def _pipeline(self, name: str) -> Pipeline:
        pipeline = self._pipelines.get(name)
        if pipeline is None:
            raise ApiError(
                "PipelineNotFoundException",
                f"Account '{self._cloud.account_id}' does not have a pipeline with name '{name}'",
            )
        return pipeline

    def _of_arn(self, arn: str) -> Pipeline:
        return self._pipeline(arn.rpartition(":")[2])

    def _execution(self, asked: Parameters) -> tuple[Pipeline, Execution]:
        pipeline = self._pipeline(asked["pipelineName"])
        execution = pipeline.executions.get(asked["pipelineExecutionId"])
        if execution is None:
            raise ApiError(
                "PipelineExecutionNotFoundException",
                f"Pipeline {asked['pipelineName']} has no execution {asked['pipelineExecutionId']}",
            )
        return pipeline, execution

    def _arn(self, name: str) -> str:
        return f"arn:aws:codepipeline:{self._cloud.region}:{self._cloud.account_id}:{name}"


# ------------------------------------------------------------------------------ descriptions


def _described(pipeline: Pipeline) -> dict[str, Any]:
    return {**pipeline.declaration.document, "version": pipeline.version}


def _summary(execution: Execution) -> dict[str, Any]:
    return {
        "pipelineExecutionId": execution.id,
        "status": execution.status,
        "statusSummary": execution.summary or None,
        "startTime": execution.started,
        "lastUpdateTime": execution.changed,
        "sourceRevisions": [
            {
                "actionName": action.name,
                "revisionId": revision.id,
                "revisionSummary": revision.summary,
            }
            for action, revision in execution.found_revisions()
        ],
        "trigger": execution.trigger,
        "executionMode": "QUEUED",
        "executionType": "STANDARD",
    }


def _state(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    execution = pipeline.inside(stage.name)
    run = execution.stages.get(stage.name) if execution else None
    runs = run.actions if run else {}
    transition = pipeline.transition(stage.name)
    waiting = [
        {"pipelineExecutionId": _.id, "status": "InProgress"} for _ in pipeline.waiting(stage.name)
    ]
    state: dict[str, Any] = {
        "stageName": stage.name,
        "inboundExecutions": waiting,
        "inboundTransitionState": {
            "enabled": transition.enabled,
            "lastChangedBy": transition.by or None,
            "lastChangedAt": transition.at,
            "disabledReason": transition.reason or None,
        },
        "actionStates": [
            _action_state(action.name, runs.get(action.name)) for action in stage.actions
        ],
    }
    if waiting:
        state["inboundExecution"] = waiting[0]
    if execution is not None and run is not None:
        is_stopping = run.status == "InProgress" and execution.status == "Stopping"
        status = "Stopping" if is_stopping else run.status
        state["latestExecution"] = {"pipelineExecutionId": execution.id, "status": status}
        if stage.rules and run.reason.startswith("Rule "):
            latest = {"status": "Failed", "summary": run.reason}
            state["beforeEntryConditionState"] = {"latestExecution": latest}
    return state


def _action_state(name: str, run: ActionRun | None) -> dict[str, Any]:
    state: dict[str, Any] = {"actionName": name}
    if run is None:
        return state
    is_waiting = run.job is not None and run.job.token and run.status == "InProgress"
    state["latestExecution"] = {
        "actionExecutionId": run.id,
        "status": run.status,
        "summary": run.result.summary or None,
        "lastStatusChange": run.changed,
        "token": run.job.token if run.job and is_waiting else None,
        "lastUpdatedBy": run.result.updated_by or None,
        "externalExecutionId": run.external_id or None,
        "logStreamARN": run.log_arn or None,
        "errorDetails": _error(run),
    }
    if run.result.revision is not None:
        state["currentRevision"] = {
            "revisionId": run.result.revision.id,
            "revisionChangeId": run.result.revision.id,
            "created": run.changed,
        }
    return state


def _error(run: ActionRun) -> dict[str, str] | None:
    if run.error is None:
        return None
    return {"code": run.error.code, "message": str(run.error)}


def _detail(execution: Execution, stage: str, run: ActionRun) -> dict[str, Any]:
    return {
        "pipelineExecutionId": execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": execution.version,
        "stageName": stage,
        "actionName": run.action.name,
        "startTime": run.started,
        "lastUpdateTime": run.changed,
        "updatedBy": run.result.updated_by or None,
        "status": run.status,
        "input": {
            "actionTypeId": run.action.type_id,
            "configuration": run.action.configuration,
            "resolvedConfiguration": run.configuration,
            "roleArn": run.action.role_arn or None,
            "region": execution.cloud.region,
            "inputArtifacts": [artifact.describe() for artifact in run.inputs],
            "namespace": run.action.namespace or None,
        },
        "output": {
            "outputArtifacts": [artifact.describe() for artifact in run.result.artifacts],
            "executionResult": {
                "externalExecutionId": run.external_id or None,
                "externalExecutionSummary": run.result.summary or None,
                "errorDetails": _error(run),
                "logStreamARN": run.log_arn or None,
            },
            "outputVariables": run.result.variables,
        },
    }
