"""Roles that an account has before anything of a project: of Studio's users, of an application."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_cloud.cloud import LocalCloud

__all__ = ["make_role"]


def make_role(
    cloud: LocalCloud, name: str, service: str, *allowed: Mapping[str, Any], path: str = "/"
) -> str:
    """Return the ARN of a new role that `service` may assume and that may do what is `allowed`.

    Parameters
    ----------
    cloud
        The account.
    name, path
        Of the role.
    service
        For instance ``sagemaker.amazonaws.com``.
    allowed
        Statements of its own policy, without their effect.
    """
    trust = {"Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam")
    made = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=_policy(trust))
    if allowed:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(*allowed))
    return str(made["Role"]["Arn"])


def _policy(*statements: Mapping[str, Any]) -> str:
    allowing = [{"Effect": "Allow", **statement} for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": allowing})
