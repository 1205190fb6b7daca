"""A started local cloud, shared by the tests of one module, and roles in it."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud

MakeRole = Callable[..., str]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A started account, empty at the first test of the module; waits last almost no time."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.001) as started:
        yield started


@pytest.fixture(scope="module")
def make_role(cloud: LocalCloud) -> MakeRole:
    """Give the ARN of a new role that a service may assume and that may do what is listed."""
    numbers = itertools.count()

    def make(
        *allowed: tuple[str | list[str], str | list[str]],
        service: str = "sagemaker.amazonaws.com",
        trust: dict[str, Any] | None = None,
        statements: list[dict[str, Any]] | None = None,
        **options: Any,
    ) -> str:
        name = f"role-{next(numbers)}"
        trusting = trust or {"Effect": "Allow", "Principal": {"Service": service}}
        iam = cloud.client("iam")
        role = iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=policy({"Action": "sts:AssumeRole", **trusting}),
            **options,
        )
        permissions = [
            {"Effect": "Allow", "Action": action, "Resource": resource}
            for action, resource in allowed
        ]
        if permissions or statements:
            document = policy(*permissions, *(statements or []))
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return str(role["Role"]["Arn"])

    return make


def policy(*statements: dict[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of a condition; an error when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s")
        time.sleep(0.01)
    return value
