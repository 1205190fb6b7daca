"""AWS::EFS: file systems, where they are mounted, and access points."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Source,
    attr,
    given,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType, Wait

__all__ = ["TYPES"]

_call = partial(Call, "efs")
_NAME = Source(lambda state: state.name)
_FILE_SYSTEM = {"FileSystemId": ID}


def _tags(name: str) -> Items:
    return tags(
        _call("TagResource", {"ResourceId": ID, "Tags": ITEM}),
        _call("UntagResource", {"ResourceId": ID, "TagKeys": TAG_KEYS}),
        name=name,
    )


def _available(where: str) -> Wait:
    return Wait(
        status=f"{where}.0.LifeCycleState",
        ready=frozenset({"available"}),
        failed=frozenset({"error"}),
        gone=frozenset({"deleted"}),
    )


def _is_enabled(policy: dict[str, Any]) -> bool:
    return bool(policy["Status"] == "ENABLED")


FILE_SYSTEM = ResourceType(
    name="AWS::EFS::FileSystem",
    create=_call(
        "CreateFileSystem",
        {
            "CreationToken": _NAME,
            "Backup": prop("BackupPolicy", _is_enabled),
            "Tags": prop("FileSystemTags"),
            **given(
                "AvailabilityZoneName",
                "Encrypted",
                "KmsKeyId",
                "PerformanceMode",
                "ProvisionedThroughputInMibps",
                "ThroughputMode",
            ),
        },
    ),
    made={"FileSystemId": "FileSystemId", "Arn": "FileSystemArn"},
    id=attr("FileSystemId"),
    parts=(
        Setting(
            _call(
                "PutLifecycleConfiguration",
                {**_FILE_SYSTEM, "LifecyclePolicies": prop("LifecyclePolicies", default=[])},
            )
        ),
        Setting(
            _call(
                "PutFileSystemPolicy",
                {
                    **_FILE_SYSTEM,
                    "Policy": prop("FileSystemPolicy"),
                    **given("BypassPolicyLockoutSafetyCheck"),
                },
            ),
            _call("DeleteFileSystemPolicy", _FILE_SYSTEM),
        ),
        Setting(
            _call("PutBackupPolicy", {**_FILE_SYSTEM, **given("BackupPolicy")}),
            _call("PutBackupPolicy", {**_FILE_SYSTEM, "BackupPolicy": {"Status": "DISABLED"}}),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "UpdateFileSystem",
                {
                    **_FILE_SYSTEM,
                    "ThroughputMode": prop("ThroughputMode", default="bursting"),
                    **given("ProvisionedThroughputInMibps"),
                },
            ),
            made_with_resource=True,
        ),
        _tags("FileSystemTags"),
    ),
    read=_call("DescribeFileSystems", _FILE_SYSTEM),
    wait=_available("FileSystems"),
    delete=(_call("DeleteFileSystem", _FILE_SYSTEM),),
    missing=("FileSystemNotFound",),
)

MOUNT_TARGET = ResourceType(
    name="AWS::EFS::MountTarget",
    create=_call(
        "CreateMountTarget", given("FileSystemId", "IpAddress", "SecurityGroups", "SubnetId")
    ),
    made={"Id": "MountTargetId", "IpAddress": "IpAddress"},
    id=attr("Id"),
    parts=(
        Setting(
            _call(
                "ModifyMountTargetSecurityGroups", {"MountTargetId": ID, **given("SecurityGroups")}
            ),
            made_with_resource=True,
        ),
    ),
    read=_call("DescribeMountTargets", {"MountTargetId": ID}),
    wait=_available("MountTargets"),
    delete=(_call("DeleteMountTarget", {"MountTargetId": ID}),),
    missing=("MountTargetNotFound",),
)

ACCESS_POINT = ResourceType(
    name="AWS::EFS::AccessPoint",
    create=_call(
        "CreateAccessPoint",
        {
            "ClientToken": _NAME,
            "Tags": prop("AccessPointTags"),
            **given("FileSystemId", "PosixUser", "RootDirectory"),
        },
    ),
    made={"AccessPointId": "AccessPointId", "Arn": "AccessPointArn"},
    id=attr("AccessPointId"),
    parts=(_tags("AccessPointTags"),),
    read=_call("DescribeAccessPoints", {"AccessPointId": ID}),
    wait=_available("AccessPoints"),
    delete=(_call("DeleteAccessPoint", {"AccessPointId": ID}),),
    missing=("AccessPointNotFound",),
)

TYPES = (FILE_SYSTEM, MOUNT_TARGET, ACCESS_POINT)
