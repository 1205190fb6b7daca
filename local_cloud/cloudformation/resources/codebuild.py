"""AWS::CodeBuild: projects."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.resources.calls import Call, given, prop
from local_cloud.cloudformation.resources.parts import Setting
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "codebuild")
_PROJECT = given(
    "Artifacts",
    "AutoRetryLimit",
    "BadgeEnabled",
    "Cache",
    "ConcurrentBuildLimit",
    "Description",
    "EncryptionKey",
    "Environment",
    "LogsConfig",
    "Name",
    "QueuedTimeoutInMinutes",
    "SecondaryArtifacts",
    "SecondarySourceVersions",
    "SecondarySources",
    "ServiceRole",
    "Source",
    "SourceVersion",
    "Tags",
    "TimeoutInMinutes",
    "VpcConfig",
)

PROJECT = ResourceType(
    name="AWS::CodeBuild::Project",
    create=_call("CreateProject", _PROJECT),
    made={"Arn": "project.arn", "Id": "project.name"},
    id=prop("Name"),
    named="Name",
    parts=(Setting(_call("UpdateProject", _PROJECT), made_with_resource=True),),
    delete=(_call("DeleteProject", given("Name")),),
    missing=("ResourceNotFoundException",),
)

TYPES = (PROJECT,)
