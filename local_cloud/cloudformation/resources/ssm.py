"""AWS::SSM: parameters."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.resources.calls import ID, ITEM, Call, given, prop
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import as_list

__all__ = ["TYPES"]

_call = partial(Call, "ssm")
_VALUES = given("AllowedPattern", "DataType", "Description", "Name", "Tier", "Type", "Value")
_TAGGED = {"ResourceType": "Parameter", "ResourceId": ID}

PARAMETER = ResourceType(
    name="AWS::SSM::Parameter",
    create=_call("PutParameter", {**_VALUES, "Tags": prop("Tags", as_list)}),
    id=prop("Name"),
    named="Name",
    parts=(
        Setting(
            _call(
                "PutParameter",
                {**_VALUES, "Description": prop("Description", default=""), "Overwrite": True},
            ),
            made_with_resource=True,
        ),
        tags(
            _call("AddTagsToResource", {**_TAGGED, "Tags": ITEM}),
            _call("RemoveTagsFromResource", {**_TAGGED, "TagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("GetParameters", {"Names": prop("Name", lambda name: [name])}),
    attributes={
        "Arn": "Parameters.0.ARN",
        "Type": "Parameters.0.Type",
        "Value": "Parameters.0.Value",
    },
    delete=(_call("DeleteParameter", given("Name")),),
    missing=("ParameterNotFound",),
    volatile=frozenset({"Type", "Value"}),
)

TYPES = (PARAMETER,)
