"""Return to an earlier release: its template and its parameters are deployed again.

Both were recorded when the release was made (``releases/<release>/deployment/``), and its image and
archive are still there under their digests. So a return is what every release is, an update of the
production stack with the guards before and after it, but in one step: all traffic moves at once,
and alarms that the present release has set off do not stop it.
"""

from __future__ import annotations

import datetime
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from mlsystem.errors import PlatformError, UserError
from mlsystem.names import Names
from pipeline import configuration, registry
from pipeline.production import SERVING_RELEASE, describe, outputs
from pipeline.registry import Package

__all__ = ["choose", "rollback"]

_POLL_SECONDS = 5
_POLLS = 720  # an hour; traffic moves at once, after the guard
_AT_ONCE = {"TrafficShift": "CodeDeployDefault.LambdaAllAtOnce", "AlarmsStop": "no"}


def rollback(
    project: str,
    to: str | None,
    client: Callable[..., Any],
    now: datetime.datetime,
    *,
    dry_run: bool = False,
    there: Callable[..., Any] | None = None,
) -> str:
    """Return production of `project` to another release; return which that is.

    Parameters
    ----------
    project
        The project's key.
    to
        ARN of a model package, or a release. By default what answered before the present one.
    client
        Makes the client of an AWS service by its name.
    now
        The time.
    dry_run
        Only say from which release to which; change nothing.
    there
        Like `client`, in the account that production is in (:mod:`pipeline.accounts`); by default
        `client` itself.

    Raises
    ------
    UserError
        There is no production, or no such approved release.
    PlatformError
        CloudFormation could not; the present release still answers.
    """
    cloudformation, sagemaker = (there or client)("cloudformation"), client("sagemaker")
    stack = _names(project, "none").prod_stack
    present = describe(cloudformation, stack)
    serving = outputs(present).get(SERVING_RELEASE)
    if present is None or serving is None:
        raise UserError(f"stack {stack}", "nothing in production", "a release that answers")
    package = choose(registry.approved(sagemaker, project), serving, to)
    names = _names(project, package.release)
    print(f"Production of {project}: from release {serving} back to {package.release}", flush=True)
    if dry_run:
        return package.release
    _deploy(cloudformation, client("s3"), names, present, f"rollback-{now:%Y%m%dT%H%M%S}")
    registry.served(sagemaker, package, now)
    print(f"In production: {package.arn}")
    return package.release


def choose(packages: list[Package], serving: str, to: str | None) -> Package:
    """Return the one of the approved `packages` to go back to from the release `serving`.

    Raises
    ------
    UserError
        There is none.
    """
    known = [package for package in packages if package.release and package.release != serving]
    if to is not None:
        found = [package for package in known if to in (package.arn, package.release)]
        if not found:
            named = ", ".join(package.release for package in known) or "none"
            raise UserError(
                "--to", repr(to), f"an approved release that is not in production: {named}"
            )
        return found[0]
    before = registry.champion([package for package in known if package.in_production_since])
    if before is None:
        raise UserError(
            "rollback", f"{serving}, the first release in production",
            "a release that was in production before", "Name an approved one with --to",
        )  # fmt: skip
    return before


def _names(project: str, release: str) -> Names:
    try:
        return Names(project, release)
    except ValueError as error:
        raise UserError(
            "rollback", str(error), "a project's key, <model>-<project id>",
            "It is the output ProjectKey of the project's stack",
        ) from error  # fmt: skip


def _deploy(
    cloudformation: Any, s3: Any, names: Names, present: dict[str, Any], token: str
) -> None:
    bucket = f"{names.project}-data"
    recorded = json.loads(_recorded(s3, bucket, names.prod_configuration_key))
    template = json.loads(_recorded(s3, bucket, names.prod_template_key))
    cloudformation.update_stack(
        StackName=names.prod_stack,
        TemplateURL=_address(present["StackId"], bucket, names.prod_template_key),
        Parameters=_parameters(template, recorded["Parameters"], present),
        Capabilities=["CAPABILITY_IAM"],
        ClientRequestToken=token,
    )
    ended = _follow(cloudformation, names.prod_stack, token)
    if ended["StackStatus"] != "UPDATE_COMPLETE":
        raise PlatformError(
            f"stack {names.prod_stack}", ended.get("StackStatusReason", ended["StackStatus"]),
            "an update that succeeds", "What answered before still does",
        )  # fmt: skip


def _follow(cloudformation: Any, stack: str, token: str) -> dict[str, Any]:
    """Print what the update `token` does to `stack`; return the stack when it is over."""
    told = 0
    for _ in range(_POLLS):
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        events = _events(cloudformation, stack, token)
        for event in events[told:]:
            why = event.get("ResourceStatusReason", "")
            said = f"{event['LogicalResourceId']}: {event['ResourceStatus']}"
            print(f"{said} ({why})" if why else said, flush=True)
        told = len(events)
        if not found["StackStatus"].endswith("_IN_PROGRESS"):
            return found
        time.sleep(_POLL_SECONDS)
    raise PlatformError(
        f"stack {stack}", f"still {found['StackStatus']}", "an update that ends",
        "Its events in CloudFormation say what it waits for",
    )  # fmt: skip


def _events(cloudformation: Any, stack: str, token: str) -> list[dict[str, Any]]:
    """Return what the update `token` has done so far, the oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    newest_first = (event for page in pages for event in page["StackEvents"])
    ours = itertools.takewhile(lambda event: event.get("ClientRequestToken") == token, newest_first)
    return list(ours)[::-1]


def _address(stack_id: str, bucket: str, key: str) -> str:
    """Return where CloudFormation finds an object of the stack's region: who approves may no other.

    The organization's ``ApproverPolicy`` (``studio.yml``) knows it in this form alone.
    """
    _, partition, _, region, _ = stack_id.split(":", 4)
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return f"https://{bucket}.s3.{region}.{suffix}/{key}"


def _parameters(
    template: dict[str, Any], recorded: dict[str, str], present: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return those of `template`: the release's own, and the project's as they are now."""
    kept = {item["ParameterKey"] for item in present["Parameters"]} & configuration.OF_PROJECT
    own = {name: _AT_ONCE.get(name, value) for name, value in recorded.items() if name not in kept}
    return [
        *({"ParameterKey": name, "UsePreviousValue": True}
          for name in template["Parameters"] if name in kept),
        *({"ParameterKey": name, "ParameterValue": value} for name, value in own.items()),
    ]  # fmt: skip


def _recorded(s3: Any, bucket: str, key: str) -> str:
    try:
        text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in {"NoSuchKey", "AccessDenied"}:
            raise
        raise UserError(
            f"s3://{bucket}/{key}", "not there", "what the release's build recorded",
            "Choose a release that was in production",
        ) from error  # fmt: skip
    return text
