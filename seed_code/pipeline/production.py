"""The Prod stage's programs: what is recorded before and after CloudFormation deploys a release.

``approve``
    The release's version in the registry becomes ``Approved``. A production stack whose very first
    creation failed is deleted: it never answered anybody, and CloudFormation can do nothing else
    with it. (An action that replaces failed stacks would also delete one that answers.) The stack's
    parameters are those that Build wrote, and what production uses of the account that it is in:
    that account says so itself, when it is needed.

``promote``
    Production answers with the release, which therefore is the champion.

Both ask production in its own account (:mod:`pipeline.accounts`); the registry is the project's.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from infrastructure.files import write_whole
from mlsystem.errors import PlatformError
from mlsystem.names import Names
from pipeline import accounts, registry
from pipeline.environment import ApprovalEnvironment, ProductionEnvironment

__all__ = ["SERVING_RELEASE", "approve", "describe", "outputs", "promote"]

SERVING_RELEASE = "ServingRelease"
"""Output of the production stack: the release that answers."""

_CONFIGURATION = "prod-configuration.json"
# Of a stack whose creation failed. All of them mean that it never existed for anybody.
_NEVER_CREATED = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}
_WAIT = {"Delay": 10, "MaxAttempts": 90}
_OK = 200
_HEALTH = {"httpMethod": "GET", "resource": "/health", "path": "/health", "headers": {}}


def approve(environment: ApprovalEnvironment, client: Callable[..., Any], output: Path) -> None:
    """Record the approval; make room for the stack; write its whole configuration to `output`.

    Raises
    ------
    UserError
        The release has registered no version.
    PlatformError
        A stack that was never created cannot be deleted.
    """
    names = Names(environment.project_key, environment.release)
    sagemaker = client("sagemaker")
    package = registry.of_release(sagemaker, environment.model_package_group, names.release)
    registry.approve(
        sagemaker, package, f"Approved in pipeline {environment.pipeline_name}: {names.release}"
    )
    print(f"Approved: {package.arn}")
    there = _production(environment, client, names)
    _clear(there("cloudformation"), names.prod_stack)
    configuration = json.loads((Path(environment.build) / _CONFIGURATION).read_text("utf-8"))
    configuration["Parameters"] |= _place(there("ssm"), names)
    write_whole(output / _CONFIGURATION, json.dumps(configuration, indent=2) + "\n")


def promote(
    environment: ProductionEnvironment, client: Callable[..., Any], now: datetime.datetime
) -> None:
    """Record that production answers with the release, after asking it.

    Raises
    ------
    PlatformError
        It does not.
    """
    names = Names(environment.project_key, environment.release)
    there = _production(environment, client, names)
    _require_serving(there("lambda"), names)
    sagemaker = client("sagemaker")
    package = registry.of_release(sagemaker, environment.model_package_group, names.release)
    registry.served(sagemaker, package, now)
    print(f"In production: {package.arn}")
    stack = describe(there("cloudformation"), names.prod_stack)
    print(f"POST {outputs(stack)['ApiUrl']}/predict")


def describe(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    """Return what CloudFormation says about `stack`, or nothing when there is no such stack."""
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        # It is told by the same code as other mistakes.
        if "does not exist" in error.response.get("Error", {}).get("Message", ""):
            return None
        raise
    return found


def outputs(stack: dict[str, Any] | None) -> dict[str, str]:
    """Return the outputs of a described `stack`."""
    return {item["OutputKey"]: item["OutputValue"] for item in (stack or {}).get("Outputs", [])}


def _production(
    environment: ProductionEnvironment, client: Callable[..., Any], names: Names
) -> Callable[..., Any]:
    return accounts.of_production(client, environment.production_access_role_arn, names.label)


def _place(ssm: Any, names: Names) -> dict[str, str]:
    """Return the parameters that production's account gives, as its stack of pipeline.yml says."""
    found = ssm.get_parameter(Name=names.production_place)["Parameter"]["Value"]
    place: dict[str, str] = json.loads(found)
    return place


def _clear(cloudformation: Any, stack: str) -> None:
    found = (describe(cloudformation, stack) or {}).get("StackStatus")
    if found not in _NEVER_CREATED:
        return
    print(f"Deleting {stack}: {found}, so it never answered anybody", flush=True)
    cloudformation.delete_stack(StackName=stack)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=_WAIT)
    except WaiterError as error:
        raise PlatformError(
            f"stack {stack}", str(error), "a stack that can be deleted",
            "Delete it in CloudFormation's console, then retry the stage",
        ) from error  # fmt: skip


def _require_serving(lambda_: Any, names: Names) -> None:
    """Ask as the API does: the alias that all its traffic goes to."""
    where = f"function {names.api_function}:live"
    answer = lambda_.invoke(
        FunctionName=names.api_function, Qualifier="live", Payload=json.dumps(_HEALTH).encode()
    )
    body = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise PlatformError(where, f"{answer['FunctionError']}: {body}", "an answer to GET /health")
    headers = {name.lower(): value for name, value in body.get("headers", {}).items()}
    found = (body.get("statusCode"), headers.get("x-release"))
    if found != (_OK, names.release):
        raise PlatformError(
            where, f"status {found[0]} of release {found[1]}", f"200 of release {names.release}",
            "Retry the stage",
        )  # fmt: skip
