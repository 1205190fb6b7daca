"""The key of a log group is checked as CloudWatch Logs checks it, and can be changed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole, policy

ADMINISTRATION = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
    "Action": "kms:*",
    "Resource": "*",
}
GROUPS = "arn:aws:logs:xx-local-1:000000000000:log-group:/app/*"


def new_key(cloud: LocalCloud, *actions: str, groups: str = GROUPS) -> str:
    """ARN of a key that the logs of some groups may use like this."""
    service = {
        "Effect": "Allow",
        "Principal": {"Service": "logs.xx-local-1.amazonaws.com"},
        "Action": list(actions),
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    }
    made = cloud.client("kms").create_key(Policy=policy(ADMINISTRATION, service))
    return str(made["KeyMetadata"]["Arn"])


ALL = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*")


def key_of(cloud: LocalCloud, name: str) -> Any:
    found = cloud.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return found[0].get("kmsKeyId")


@pytest.fixture
def name() -> str:
    return f"/app/{uuid.uuid4()}"


def test_a_group_is_made_with_a_key_and_changes_it(cloud: LocalCloud, name: str) -> None:
    logs, (one, other) = cloud.client("logs"), (new_key(cloud, *ALL) for _ in range(2))
    logs.create_log_group(logGroupName=name, kmsKeyId=one)
    assert key_of(cloud, name) == one
    logs.associate_kms_key(logGroupName=name, kmsKeyId=other)
    assert key_of(cloud, name) == other
    logs.disassociate_kms_key(resourceIdentifier=f"{GROUPS[:-2]}{name.removeprefix('/app')}")
    assert key_of(cloud, name) is None


def test_a_key_that_the_service_may_not_use_is_refused(cloud: LocalCloud, name: str) -> None:
    disabled = new_key(cloud, *ALL)
    cloud.client("kms").disable_key(KeyId=disabled.rpartition("/")[2])
    keys = {
        "without decrypting": new_key(
            cloud, *(action for action in ALL if "Decrypt" not in action)
        ),
        "for other groups": new_key(cloud, *ALL, groups=GROUPS.replace("/app/", "/other/")),
        "disabled": disabled,
        "gone": f"{disabled[:-1]}x",
    }
    logs = cloud.client("logs")
    for why, key in keys.items():
        with pytest.raises(ClientError, match="is not allowed to be used with Arn") as error:
            logs.create_log_group(logGroupName=name, kmsKeyId=key)
        assert error.value.response["Error"]["Code"] == "InvalidParameterException", why
    assert logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] == []
    logs.create_log_group(logGroupName=name)
    with pytest.raises(ClientError, match="is not allowed to be used with Arn"):
        logs.associate_kms_key(logGroupName=name, kmsKeyId=disabled)
    assert key_of(cloud, name) is None


def test_a_group_that_is_not_there_has_no_key(cloud: LocalCloud, name: str) -> None:
    logs = cloud.client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.disassociate_kms_key(logGroupName=name)


def test_a_role_needs_the_permission(cloud: LocalCloud, name: str, make_role: MakeRole) -> None:
    cloud.client("logs").create_log_group(logGroupName=name)
    group = f"{GROUPS[:-2]}{name.removeprefix('/app')}:log-stream:"
    role = make_role(("logs:DisassociateKmsKey", group))
    logs = cloud.client("logs", role_arn=role, service_principal="sagemaker.amazonaws.com")
    logs.disassociate_kms_key(logGroupName=name)
    with pytest.raises(ClientError, match="logs:AssociateKmsKey"):
        logs.associate_kms_key(logGroupName=name, kmsKeyId=new_key(cloud, *ALL))
