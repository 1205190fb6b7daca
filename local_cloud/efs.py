"""EFS: what moto lacks to change a file system; file systems are records, nothing is mounted."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import moto.efs.urls
from moto.efs.exceptions import BadRequest, FileSystemNotFound
from moto.efs.models import AccessPoint
from moto.efs.responses import EFSResponse

from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity("EFS", "partial", "File systems, mount targets and access points are records"),
]

Answer = tuple[str, dict[str, Any]]
_JSON = {"Content-Type": "application/json"}
_BACKUP = ("ENABLED", "DISABLED")


def install(cloud: LocalCloud) -> None:
    """Answer what moto does not, until `cloud` stops."""
    paths = dict.fromkeys(moto.efs.urls.url_paths, _FileSystems.dispatch)
    cloud.replace(moto.efs.urls, "url_paths", paths)

    def make(access_point: Any, *arguments: Any, **options: Any) -> None:
        """Give an access point an id in the form of AWS's, which templates are checked for."""
        initialise(access_point, *arguments, **options)
        found = f"fsap-{secrets.token_hex(9)[:17]}"
        arn = access_point.access_point_arn
        access_point.access_point_arn = f"{arn.rpartition('/')[0]}/{found}"
        access_point.access_point_id = found

    initialise = cloud.replace(AccessPoint, "__init__", make)


class _FileSystems(EFSResponse):  # type: ignore[misc]
    """Operations of ``efs``; moto makes one object for each request."""

    def update_file_system(self) -> Answer:
        """Change how much a file system can be read and written."""
        system = self._file_system()
        mode = self._get_param("ThroughputMode") or system.throughput_mode
        amount = self._get_param("ProvisionedThroughputInMibps")
        if (mode == "provisioned") != (amount is not None):
            raise BadRequest(
                "ProvisionedThroughputInMibps is given with ThroughputMode provisioned, and with"
                f" no other; the mode is {mode}"
            )
        system.throughput_mode = mode
        system.provisioned_throughput_in_mibps = amount
        return json.dumps(system.info_json()), {"status": 202, **_JSON}

    def put_backup_policy(self) -> Answer:
        """Switch daily backups on or off."""
        system = self._file_system()
        policy = self._get_param("BackupPolicy") or {}
        if policy.get("Status") not in _BACKUP:
            raise BadRequest(f"BackupPolicy: Status is one of {', '.join(_BACKUP)}")
        system._backup = policy["Status"] == "ENABLED"  # noqa: SLF001 - moto has no other door
        return json.dumps({"BackupPolicy": policy}), _JSON

    def delete_file_system_policy(self) -> Answer:
        """Leave a file system without a policy; that there is none is fine."""
        self._file_system().file_system_policy = None
        return "", {"status": 200, **_JSON}

    def _file_system(self) -> Any:
        name = self._get_param("FileSystemId")
        if name not in self.efs_backend.file_systems_by_id:
            raise FileSystemNotFound(name)
        return self.efs_backend.file_systems_by_id[name]
