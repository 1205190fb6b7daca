"""File systems can be changed after they were made."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole


@pytest.fixture
def efs(cloud: LocalCloud) -> Any:
    return cloud.client("efs")


@pytest.fixture
def name(efs: Any) -> str:
    return str(efs.create_file_system(CreationToken=str(uuid.uuid4()))["FileSystemId"])


def test_backups_are_switched_on_and_off(efs: Any, name: str) -> None:
    for status in ("ENABLED", "DISABLED", "ENABLED"):
        answer = efs.put_backup_policy(FileSystemId=name, BackupPolicy={"Status": status})
        assert answer["BackupPolicy"] == {"Status": status}
    assert efs.describe_backup_policy(FileSystemId=name)["BackupPolicy"] == {"Status": "ENABLED"}
    with pytest.raises(ClientError, match="ENABLED, DISABLED"):
        efs.put_backup_policy(FileSystemId=name, BackupPolicy={"Status": "ENABLING"})


def test_throughput_is_changed(efs: Any, name: str) -> None:
    changed = efs.update_file_system(
        FileSystemId=name, ThroughputMode="provisioned", ProvisionedThroughputInMibps=8
    )
    assert (changed["ThroughputMode"], changed["ProvisionedThroughputInMibps"]) == (
        "provisioned",
        8,
    )
    efs.update_file_system(FileSystemId=name, ThroughputMode="elastic")
    (found,) = efs.describe_file_systems(FileSystemId=name)["FileSystems"]
    assert found["ThroughputMode"] == "elastic"
    assert found.get("ProvisionedThroughputInMibps") is None
    for given in (
        {"ThroughputMode": "provisioned"},
        {"ThroughputMode": "bursting", "ProvisionedThroughputInMibps": 8},
    ):
        with pytest.raises(ClientError, match="ProvisionedThroughputInMibps is given with"):
            efs.update_file_system(FileSystemId=name, **given)


def test_a_policy_is_taken_away(efs: Any, name: str) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "elasticfilesystem:*"}],
    }
    efs.put_file_system_policy(FileSystemId=name, Policy=json.dumps(document))
    for _ in range(2):
        efs.delete_file_system_policy(FileSystemId=name)
        with pytest.raises(efs.exceptions.PolicyNotFound):
            efs.describe_file_system_policy(FileSystemId=name)


def test_what_is_not_there_is_not_changed(efs: Any) -> None:
    for change in (
        lambda: efs.update_file_system(FileSystemId="fs-0", ThroughputMode="elastic"),
        lambda: efs.put_backup_policy(FileSystemId="fs-0", BackupPolicy={"Status": "ENABLED"}),
        lambda: efs.delete_file_system_policy(FileSystemId="fs-0"),
    ):
        with pytest.raises(efs.exceptions.FileSystemNotFound):
            change()


def test_a_role_needs_the_permission(cloud: LocalCloud, name: str, make_role: MakeRole) -> None:
    arn = f"arn:aws:elasticfilesystem:xx-local-1:000000000000:file-system/{name}"
    role = make_role(("elasticfilesystem:UpdateFileSystem", arn))
    efs = cloud.client("efs", role_arn=role, service_principal="sagemaker.amazonaws.com")
    efs.update_file_system(FileSystemId=name, ThroughputMode="elastic")
    with pytest.raises(ClientError, match="elasticfilesystem:PutBackupPolicy"):
        efs.put_backup_policy(FileSystemId=name, BackupPolicy={"Status": "ENABLED"})
