"""AWS::CodePipeline: pipelines."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    Source,
    State,
    attr,
    item,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "codepipeline")
_DECLARED = (
    "ArtifactStore",
    "ArtifactStores",
    "ExecutionMode",
    "Name",
    "PipelineType",
    "RoleArn",
    "Stages",
    "Triggers",
    "Variables",
)


def _declaration(state: State) -> dict[str, Any]:
    return {name: state.properties[name] for name in _DECLARED if name in state.properties}


_PIPELINE = {"pipeline": Source(_declaration, _DECLARED)}
_UPDATE = _call("UpdatePipeline", _PIPELINE)
_START = _call("StartPipelineExecution", {"name": ID})
_TRANSITION = {
    "pipelineName": ID,
    "stageName": item("StageName"),
    "transitionType": "Inbound",
}


def _update(deployer: Deployer, state: State) -> None:
    _UPDATE.run(deployer, state)
    if state.properties.get("RestartExecutionOnUpdate"):
        _START.run(deployer, state)


PIPELINE = ResourceType(
    name="AWS::CodePipeline::Pipeline",
    create=_call("CreatePipeline", {**_PIPELINE, "tags": prop("Tags")}),
    id=prop("Name"),
    named="Name",
    longest_name=100,
    parts=(
        Setting(Code(_update, (_UPDATE, _START)), made_with_resource=True),
        Items(
            prop("DisableInboundStageTransitions"),
            _call("DisableStageTransition", {**_TRANSITION, "reason": item("Reason")}),
            _call("EnableStageTransition", _TRANSITION),
            key=("StageName",),
        ),
        tags(
            _call("TagResource", {"resourceArn": attr("Arn"), "tags": ITEM}),
            _call("UntagResource", {"resourceArn": attr("Arn"), "tagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("GetPipeline", {"name": ID}),
    attributes={"Arn": "metadata.pipelineArn", "Version": "pipeline.version"},
    delete=(_call("DeletePipeline", {"name": ID}),),
    missing=("PipelineNotFoundException",),
    fixed=("RestartExecutionOnUpdate",),
    volatile=frozenset({"Version"}),
)

TYPES = (PIPELINE,)
