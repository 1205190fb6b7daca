"""EFS as folders: what a function finds where an access point is mounted.

A mount is a folder ``.local/efs/<file system>/<root directory of the access point>``. A process has
no mounts of its own, so the path where AWS would mount it cannot be had here: the values of the
function's environment variables in which it stands are rewritten to the folder. A function that
takes its mount's path from the environment cannot tell the difference.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.efs.models import efs_backends

from local_cloud.json_api import ApiError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["here", "mounts"]


def mounts(cloud: LocalCloud, settings: Mapping[str, Any]) -> dict[str, Path]:
    """Folder of each mount path; they exist.

    Parameters
    ----------
    cloud
        The account.
    settings
        Of the function: ``FileSystemConfigs`` and ``VpcConfig``.

    Raises
    ------
    ApiError
        When there is no such access point, or the function is not in its network.
    """
    found = {}
    for config in settings.get("FileSystemConfigs") or []:
        if not settings.get("VpcConfig", {}).get("SubnetIds"):
            raise ApiError(
                "InvalidParameterValueException",
                "Function must be configured to execute in a VPC to reference access point "
                f"{config['Arn']}.",
            )
        found[config["LocalMountPath"]] = _folder(cloud, config["Arn"], settings["VpcConfig"])
    return found


def here(value: str, folders: Mapping[str, Path]) -> str:
    """A variable's value with the mount path that it is, or begins with, replaced.

    Examples
    --------
    >>> here("/mnt/assets/releases", {"/mnt/assets": Path("/home/me/efs")})
    '/home/me/efs/releases'
    """
    for mount_path, folder in folders.items():
        if value == mount_path or value.startswith(f"{mount_path}/"):
            return f"{folder}{value.removeprefix(mount_path)}"
    return value


def _folder(cloud: LocalCloud, access_point_arn: str, network: Mapping[str, Any]) -> Path:
    efs = efs_backends[cloud.account_id][cloud.region]
    access_point = efs.access_points.get(access_point_arn.rpartition("/")[2])
    if access_point is None:
        raise ApiError(
            "InvalidParameterValueException",
            f"EFS access point {access_point_arn} does not exist.",
        )
    file_system = efs.file_systems_by_id[access_point.file_system_id]
    zones = {target.availability_zone_name for target in file_system.iter_mount_targets()}
    if not _zones(cloud, network["SubnetIds"]) <= zones:
        raise ApiError(
            "EFSMountConnectivityException",
            f"EFS file system {file_system.file_system_arn} does not have mount targets created "
            "in all availability zones the function will execute in. Please create EFS mount "
            "targets and wait for them to become available.",
        )
    root = str(access_point.root_directory.get("Path", "/")).strip("/")
    folder: Path = cloud.root / "efs" / access_point.file_system_id / root
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _zones(cloud: LocalCloud, subnet_ids: list[str]) -> set[str]:
    answer = cloud.client("ec2").describe_subnets(SubnetIds=subnet_ids)
    return {subnet["AvailabilityZone"] for subnet in answer["Subnets"]}
