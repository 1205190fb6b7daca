"""AWS::StepFunctions: state machines."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

from local_cloud.cloudformation.intrinsics import Unknown, is_known, text_of
from local_cloud.cloudformation.resources.calls import ID, ITEM, Call, Source, State, given, prop
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType, Wait

__all__ = ["TYPES"]

_call = partial(Call, "stepfunctions")
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


def _definition(state: State) -> Any:
    """ASL as text, with the substitutions' ``${name}`` filled in."""
    properties = state.properties
    substitutions = properties.get("DefinitionSubstitutions", {})
    definition = properties.get("DefinitionString", properties.get("Definition"))
    if not is_known([definition, substitutions]):
        return Unknown("Definition")
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return _PLACEHOLDER.sub(
        lambda found: text_of(substitutions.get(found.group(1), found.group())), text
    )


_SETTINGS = {
    "definition": Source(
        _definition, ("Definition", "DefinitionString", "DefinitionSubstitutions")
    ),
    **given("EncryptionConfiguration", "RoleArn"),
}

STATE_MACHINE = ResourceType(
    name="AWS::StepFunctions::StateMachine",
    create=_call(
        "CreateStateMachine",
        {
            **_SETTINGS,
            **given("LoggingConfiguration", "Tags", "TracingConfiguration"),
            "name": prop("StateMachineName"),
            "type": prop("StateMachineType"),
        },
    ),
    made={"Arn": "stateMachineArn"},
    id=Source(lambda state: state.attributes["Arn"]),
    named="StateMachineName",
    parts=(
        Setting(
            _call(
                "UpdateStateMachine",
                {
                    **_SETTINGS,
                    "stateMachineArn": ID,
                    "loggingConfiguration": prop("LoggingConfiguration", default={"level": "OFF"}),
                    "tracingConfiguration": prop(
                        "TracingConfiguration", default={"enabled": False}
                    ),
                },
            ),
            made_with_resource=True,
        ),
        tags(
            _call("TagResource", {"resourceArn": ID, "tags": ITEM}),
            _call("UntagResource", {"resourceArn": ID, "tagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("DescribeStateMachine", {"stateMachineArn": ID}),
    attributes={"Name": "name", "StateMachineRevisionId": "revisionId"},
    wait=Wait(status="status", ready=frozenset({"ACTIVE"})),
    delete=(_call("DeleteStateMachine", {"stateMachineArn": ID}),),
    missing=("StateMachineDoesNotExist",),
    volatile=frozenset({"StateMachineRevisionId"}),
)

TYPES = (STATE_MACHINE,)
