"""Stacks: what there is of one, and the steps that make, change and delete it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.account import Account, code_of
from scripts.errors import ScriptError

__all__ = ["CreateStack", "DeleteStack", "Stack", "UpdateStack", "all_stacks", "find", "settled"]

_CAPABILITIES = ["CAPABILITY_NAMED_IAM"]


@dataclass(frozen=True)
class Stack:
    """What CloudFormation says of a stack."""

    name: str
    id: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    role_arn: str | None = None

    @property
    def is_busy(self) -> bool:
        """Whether CloudFormation is at work on it."""
        return self.status.endswith("_IN_PROGRESS")


def find(account: Account, name: str) -> Stack | None:
    """The stack of a name or id; ``None`` when there is none, or it has been deleted."""
    try:
        answer = account.client("cloudformation").describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    stack = _stack(answer["Stacks"][0])
    return None if stack.status == "DELETE_COMPLETE" else stack


def all_stacks(account: Account) -> list[Stack]:
    """Every stack of the account in the region."""
    return [_stack(item) for item in account.pages("cloudformation", "describe_stacks", "Stacks")]


def _stack(item: Mapping[str, Any]) -> Stack:
    return Stack(
        name=item["StackName"],
        id=item["StackId"],
        status=item["StackStatus"],
        parameters={
            each["ParameterKey"]: each["ParameterValue"] for each in item.get("Parameters", [])
        },
        outputs={each["OutputKey"]: each["OutputValue"] for each in item.get("Outputs", [])},
        role_arn=item.get("RoleARN"),
    )


def settled(account: Account, stack_id: str) -> Stack | None:
    """The stack, by id, when nothing goes on with it any more; ``None`` when it is gone."""
    while (stack := find(account, stack_id)) is not None and stack.is_busy:
        account.pause()
    return stack


def _require(account: Account, stack_id: str, expected: Iterable[str]) -> None:
    stack = settled(account, stack_id)
    if stack is None or stack.status not in expected:
        raise ScriptError(
            f"Stack {stack.name if stack else stack_id}",
            f"{stack.status if stack else 'it is gone'}: {_reason(account, stack_id)}",
            " or ".join(expected) + " was expected",
            "Correct what the reason says, and start again",
        )


def _reason(account: Account, stack_id: str) -> str:
    """What failed first in the newest attempt, and why."""
    failed = "no reason is given"
    for event in account.pages(
        "cloudformation", "describe_stack_events", "StackEvents", StackName=stack_id
    ):
        status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
        if status.endswith("_FAILED") and "cancelled" not in reason:
            failed = f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        if event["PhysicalResourceId"] == stack_id and status in (
            "CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS",
        ):  # fmt: skip
            break
    return failed.rstrip(".")


@dataclass(frozen=True)
class CreateStack:
    """Make a stack of a template that is part of the request."""

    name: str
    template: str
    parameters: Mapping[str, str]

    def __str__(self) -> str:
        return f"create the stack {self.name} ({_shown(self.parameters)})"

    def run(self, account: Account) -> None:
        """Make it.

        Raises
        ------
        ScriptError
            When it is rolled back; the message has the first reason.
        """
        answer = account.client("cloudformation").create_stack(
            StackName=self.name,
            TemplateBody=self.template,
            Parameters=_values(self.parameters),
            Capabilities=_CAPABILITIES,
        )
        _require(account, answer["StackId"], ["CREATE_COMPLETE"])


@dataclass(frozen=True)
class UpdateStack:
    """Bring a stack to a template in a bucket; parameters in ``kept`` have the values they had."""

    name: str
    template_url: str
    parameters: Mapping[str, str]
    kept: tuple[str, ...]

    def __str__(self) -> str:
        return f"update the stack {self.name} ({_shown(self.parameters)})"

    def run(self, account: Account) -> None:
        """Update it; that there is nothing to update is fine.

        Raises
        ------
        ScriptError
            When it is rolled back; the message has the first reason.
        """
        try:
            answer = account.client("cloudformation").update_stack(
                StackName=self.name,
                TemplateURL=self.template_url,
                Parameters=_values(self.parameters)
                + [{"ParameterKey": name, "UsePreviousValue": True} for name in self.kept],
                Capabilities=_CAPABILITIES,
            )
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return
            raise
        _require(account, answer["StackId"], ["UPDATE_COMPLETE"])


@dataclass(frozen=True)
class DeleteStack:
    """Delete a stack, with the role that it was made with."""

    name: str

    def __str__(self) -> str:
        return f"delete the stack {self.name}"

    def run(self, account: Account) -> None:
        """Delete it; that it is gone is fine.

        Raises
        ------
        ScriptError
            When something in it cannot be deleted; the message says what and why.
        """
        stack = find(account, self.name)
        if stack is None:
            return
        try:
            account.client("cloudformation").delete_stack(StackName=self.name)
        except ClientError as error:
            if code_of(error) != "ValidationError":
                raise
            raise ScriptError(
                f"Stack {self.name}", str(error), "CloudFormation must be able to delete it"
            ) from error
        if settled(account, stack.id) is not None:
            _require(account, stack.id, ["DELETE_COMPLETE"])


def _values(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def _shown(parameters: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in parameters.items()) or "its template only"
