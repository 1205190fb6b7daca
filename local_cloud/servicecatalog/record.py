"""What was launched, and what was done to it: a record for each operation, and how it ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from botocore.exceptions import ClientError

from local_cloud.servicecatalog.catalog import new_id, now

__all__ = ["Kind", "Launched", "Record", "error_of"]

Kind = Literal["PROVISION_PRODUCT", "UPDATE_PROVISIONED_PRODUCT", "TERMINATE_PROVISIONED_PRODUCT"]

_SUCCEEDED: Mapping[Kind, str] = {
    "PROVISION_PRODUCT": "CREATE_COMPLETE",
    "UPDATE_PROVISIONED_PRODUCT": "UPDATE_COMPLETE",
    "TERMINATE_PROVISIONED_PRODUCT": "DELETE_COMPLETE",
}
#: A failed update or deletion leaves a stack that works; a failed creation leaves none.
_AFTER_FAILURE: Mapping[Kind, str] = {
    "PROVISION_PRODUCT": "ERROR",
    "UPDATE_PROVISIONED_PRODUCT": "TAINTED",
    "TERMINATE_PROVISIONED_PRODUCT": "TAINTED",
}
_TYPE = "CFN_STACK"


@dataclass
class Record:
    """One operation on a launched product.

    Parameters
    ----------
    product_id, version_id, path_id, role_arn
        What was launched, and with which role; ``None`` without a launch constraint.
    status
        ``IN_PROGRESS``, ``SUCCEEDED`` or ``FAILED``.
    error
        Why it failed.
    has_begun
        Whether the stack is being changed: before, its status is of the operation before.
    """

    kind: Kind
    product_id: str
    version_id: str
    path_id: str
    role_arn: str | None
    tags: dict[str, str]
    status: str = "IN_PROGRESS"
    error: str = ""
    has_begun: bool = False
    id: str = field(default_factory=lambda: new_id("rec"))
    created: dt.datetime = field(default_factory=now)
    updated: dt.datetime = field(default_factory=now)

    def end(self, status: str, error: str = "") -> None:
        """Write down how it ended."""
        self.status, self.error, self.updated = status, error, now()


@dataclass
class Launched:
    """A launched product: a stack, and the records of what was done to it.

    Parameters
    ----------
    name
        As given.
    user_arn
        Who launched it.
    stack_id
        Empty before, and when the stack could not even be begun.
    """

    name: str
    user_arn: str
    product_id: str
    version_id: str
    path_id: str
    tags: dict[str, str]
    stack_id: str = ""
    status: str = "UNDER_CHANGE"
    message: str = ""
    records: list[Record] = field(default_factory=list)
    id: str = field(default_factory=lambda: new_id("pp"))
    created: dt.datetime = field(default_factory=now)

    @property
    def is_gone(self) -> bool:
        """Whether it was terminated."""
        last = self.records[-1]
        return last.kind == "TERMINATE_PROVISIONED_PRODUCT" and last.status == "SUCCEEDED"

    def begin(self, record: Record) -> None:
        """Write down that an operation has begun."""
        self.records.append(record)
        self.status, self.message = "UNDER_CHANGE", ""

    def succeed(self) -> None:
        """Write down that the last operation has ended well."""
        record = self.records[-1]
        record.end("SUCCEEDED")
        self.status = "AVAILABLE"
        self.version_id, self.path_id = record.version_id, record.path_id

    def fail(self, error: str) -> None:
        """Write down why the last operation has failed."""
        record = self.records[-1]
        record.end("FAILED", error)
        self.status, self.message = _AFTER_FAILURE[record.kind], error

    def settle(self, client: Any) -> None:
        """Look at the stack, and write down when the last operation has ended.

        Parameters
        ----------
        client
            boto3 client of CloudFormation.
        """
        record = self.records[-1]
        if record.status != "IN_PROGRESS" or not record.has_begun:
            return
        try:
            (stack,) = client.describe_stacks(StackName=self.stack_id)["Stacks"]
            status = stack["StackStatus"]
            if status.endswith("_IN_PROGRESS"):
                return
            if status == _SUCCEEDED[record.kind]:
                self.succeed()
            else:
                self.fail(_reason(client, stack))
        except ClientError as error:
            self.fail(error_of(error))

    def detail(self, arn: str) -> dict[str, Any]:
        """As DescribeProvisionedProduct shows it."""
        launches = [_ for _ in self.records if _.kind != "TERMINATE_PROVISIONED_PRODUCT"]
        succeeded = [record for record in launches if record.status == "SUCCEEDED"]
        return {
            "Name": self.name,
            "Arn": arn,
            "Type": _TYPE,
            "Id": self.id,
            "Status": self.status,
            "StatusMessage": self.message or None,
            "CreatedTime": self.created,
            "LastRecordId": self.records[-1].id,
            "LastProvisioningRecordId": launches[-1].id,
            "LastSuccessfulProvisioningRecordId": succeeded[-1].id if succeeded else None,
            "ProductId": self.product_id,
            "ProvisioningArtifactId": self.version_id,
            "LaunchRoleArn": self.records[-1].role_arn,
        }

    def describe(self, record: Record) -> dict[str, Any]:
        """As DescribeRecord shows one of its records."""
        error = {"Code": "AmazonCloudFormationException", "Description": record.error}
        return {
            "RecordId": record.id,
            "ProvisionedProductName": self.name,
            "Status": record.status,
            "CreatedTime": record.created,
            "UpdatedTime": record.updated,
            "ProvisionedProductType": _TYPE,
            "RecordType": record.kind,
            "ProvisionedProductId": self.id,
            "ProductId": record.product_id,
            "ProvisioningArtifactId": record.version_id,
            "PathId": record.path_id,
            "RecordErrors": [error] if record.error else [],
            "RecordTags": [{"Key": key, "Value": value} for key, value in record.tags.items()],
            "LaunchRoleArn": record.role_arn,
        }


def error_of(error: ClientError) -> str:
    """Why a call of CloudFormation failed."""
    return f"AmazonCloudFormationException  {error.response['Error'].get('Message')}"


def _reason(client: Any, stack: Mapping[str, Any]) -> str:
    """The stack's reason, and the resource with which the last operation first failed."""
    events = client.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    failed: Mapping[str, Any] | None = None
    for event in events:  # the newest first
        is_stack = event["PhysicalResourceId"] == stack["StackId"]
        if is_stack and event["ResourceStatus"] in _BEGUN:
            break
        if not is_stack and event["ResourceStatus"].endswith("_FAILED"):
            failed = event
    said = stack.get("StackStatusReason") or f"The stack is {stack['StackStatus']}."
    if failed is None:
        return f"{said} (stack {stack['StackName']})"
    return (
        f"ResourceLogicalId:{failed['LogicalResourceId']}, ResourceType:{failed['ResourceType']}, "
        f"ResourceStatusReason:{failed.get('ResourceStatusReason', '')} (stack"
        f" {stack['StackName']}: {said})"
    )


_BEGUN = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"})
