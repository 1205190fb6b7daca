"""AWS::Events: rules and their targets."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    ITEM,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "events")
_NAME = given("EventBusName", "Name")
_RULE = {**_NAME, **given("Description", "EventPattern", "RoleArn", "ScheduleExpression", "State")}
_OF_RULE = {"Rule": prop("Name"), **given("EventBusName")}
_PUT_TARGETS = _call("PutTargets", {**_OF_RULE, "Targets": ITEM})


def _put_targets(deployer: Deployer, state: State) -> None:
    """Of the entries that failed, which are no error in the answer, one is made."""
    answer = _PUT_TARGETS.run(deployer, state)
    for entry in answer.get("FailedEntries", []):
        raise ResourceError(f"target {entry['TargetId']}: {entry['ErrorMessage']}")


def _ids(state: State) -> list[Any]:
    return [target["Id"] for target in state.item]


RULE = ResourceType(
    name="AWS::Events::Rule",
    exists=_call("DescribeRule", _NAME),
    create=_call("PutRule", {**_RULE, **given("Tags")}),
    made={"Arn": "RuleArn"},
    id=prop("Name"),
    named="Name",
    parts=(
        Setting(_call("PutRule", _RULE), made_with_resource=True),
        Items(
            prop("Targets"),
            Code(_put_targets, (_PUT_TARGETS,)),
            _call("RemoveTargets", {**_OF_RULE, "Ids": Source(_ids)}),
            key=("Id",),
            at_once=True,
            undone_before_deletion=True,
        ),
        tags(
            _call("TagResource", {"ResourceARN": attr("Arn"), "Tags": ITEM}),
            _call("UntagResource", {"ResourceARN": attr("Arn"), "TagKeys": TAG_KEYS}),
        ),
    ),
    delete=(_call("DeleteRule", _NAME),),
    missing=("ResourceNotFoundException",),
)

TYPES = (RULE,)
