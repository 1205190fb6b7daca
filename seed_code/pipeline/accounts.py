"""Production may be in another account: what makes the clients of its services."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["HERE", "of_production"]

HERE = "none"
"""Instead of a role: production is in this account."""


def of_production(client: Callable[..., Any], role_arn: str, session: str) -> Callable[..., Any]:
    """Return what makes clients in production's account.

    Parameters
    ----------
    client
        Makes the client of an AWS service by its name, with credentials when they are given.
    role_arn
        What is assumed there, or :data:`HERE`.
    session
        What that account's records shall call it.
    """
    if role_arn == HERE:
        return client
    assumed = client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session)["Credentials"]
    return functools.partial(
        client,
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )
