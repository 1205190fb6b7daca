"""Roles: how they are found by name, and the step that deletes one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import ClientError

from scripts.account import Account, code_of
from scripts.errors import ScriptError

__all__ = ["DeleteRole", "arn_of", "names_at"]

_ARN = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/(?:.+/)?(?P<name>[^/]+)")


def arn_of(account: Account, given: str) -> str:
    """The whole ARN, path included, of a role that is given by name or ARN.

    Raises
    ------
    ScriptError
        When there is no such role, or it has another path.
    """
    match = _ARN.fullmatch(given)
    name = match["name"] if match else given
    try:
        arn = str(account.client("iam").get_role(RoleName=name)["Role"]["Arn"])
    except ClientError as error:
        if code_of(error) not in {"NoSuchEntity", "ValidationError"}:
            raise
        arn = ""
    if not arn or (match and arn != given):
        raise ScriptError(
            f"Role {given}",
            f"the role of that name is {arn}" if arn else f"none in account {account.id}",
            "the execution role of a Studio domain or user profile is required",
            "Studio's domain settings show it",
        )
    return arn


def names_at(account: Account, path: str) -> tuple[str, ...]:
    """Names of the roles at a path."""
    roles = account.pages("iam", "list_roles", "Roles", PathPrefix=path)
    return tuple(sorted(role["RoleName"] for role in roles))


@dataclass(frozen=True)
class DeleteRole:
    """Delete a role with its own policies."""

    name: str

    def __str__(self) -> str:
        return f"delete the role {self.name}"

    def run(self, account: Account) -> None:
        """Do it; that it is gone is fine."""
        iam = account.client("iam")
        role = {"RoleName": self.name}
        try:
            for name in list(account.pages("iam", "list_role_policies", "PolicyNames", **role)):
                iam.delete_role_policy(PolicyName=name, **role)
            attached = account.pages(
                "iam", "list_attached_role_policies", "AttachedPolicies", **role
            )
            for policy in list(attached):
                iam.detach_role_policy(PolicyArn=policy["PolicyArn"], **role)
            iam.delete_role(**role)
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
