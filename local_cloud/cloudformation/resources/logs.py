"""AWS::Logs: log groups."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.resources.calls import ID, Call, Source, given, prop
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.tag_forms import as_map

__all__ = ["TYPES"]

_call = partial(Call, "logs")
_GROUP = {"logGroupName": ID}
#: The ARN of a group stands for its streams; tags are the group's own.
_ARN = Source(lambda state: str(state.attributes.get("Arn", "")).removesuffix(":*"))

LOG_GROUP = ResourceType(
    name="AWS::Logs::LogGroup",
    create=_call(
        "CreateLogGroup",
        {**given("KmsKeyId", "LogGroupClass", "LogGroupName"), "tags": prop("Tags", as_map)},
    ),
    id=prop("LogGroupName"),
    named="LogGroupName",
    parts=(
        Setting(
            _call("PutRetentionPolicy", {**_GROUP, **given("RetentionInDays")}),
            _call("DeleteRetentionPolicy", _GROUP),
        ),
        Setting(
            _call("AssociateKmsKey", {**_GROUP, **given("KmsKeyId")}),
            _call("DisassociateKmsKey", _GROUP),
            made_with_resource=True,
        ),
        tags(
            _call("TagResource", {"resourceArn": _ARN, "tags": Source(lambda s: as_map(s.item))}),
            _call("UntagResource", {"resourceArn": _ARN, "tagKeys": TAG_KEYS}),
        ),
    ),
    read=_call("DescribeLogGroups", {"logGroupNamePrefix": ID}),
    attributes={"Arn": "logGroups.0.arn"},
    delete=(_call("DeleteLogGroup", _GROUP),),
    missing=("ResourceNotFoundException",),
    immutable=("LogGroupClass",),
)

TYPES = (LOG_GROUP,)
