"""Return to an earlier release: its template and its parameters are deployed again.

Both were recorded when the release was made (``releases/<release>/deployment/``), and its image and
archive are still there under their digests. So a return is what every release is, an update of the
production stack with the guards before and after it, but in one step: all traffic moves at once,
and alarms that the present release has set off do not stop it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from mlsystem.errors import PlatformError, UserError
from mlsystem.names import Names
from pipeline import configuration, registry
from pipeline.production import SERVING_RELEASE, describe, outputs
from pipeline.registry import Package

__all__ = ["choose", "rollback"]

_WAIT = {"Delay": 10, "MaxAttempts": 360}
_AT_ONCE = {"TrafficShift": "CodeDeployDefault.LambdaAllAtOnce", "AlarmsStop": "no"}
_MOST_BYTES = 51_200  # that CloudFormation takes without a bucket


def rollback(
    project: str,
    to: str | None,
    client: Callable[[str], Any],
    now: datetime.datetime,
    *,
    dry_run: bool = False,
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

    Raises
    ------
    UserError
        There is no production, or no such approved release.
    PlatformError
        CloudFormation could not; the present release still answers.
    """
    cloudformation, sagemaker = client("cloudformation"), client("sagemaker")
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
    _deploy(cloudformation, client("s3"), names, present)
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


def _deploy(cloudformation: Any, s3: Any, names: Names, present: dict[str, Any]) -> None:
    bucket = f"{names.project}-data"
    template = _recorded(s3, bucket, names.prod_template_key)
    recorded = json.loads(_recorded(s3, bucket, names.prod_configuration_key))
    where = f"stack {names.prod_stack}"
    if len(template.encode()) > _MOST_BYTES:
        raise UserError(where, f"a template of {len(template):,} bytes", f"at most {_MOST_BYTES:,}")
    try:
        cloudformation.update_stack(
            StackName=names.prod_stack,
            TemplateBody=template,
            Parameters=_parameters(recorded["Parameters"], present),
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_update_complete").wait(
            StackName=names.prod_stack, WaiterConfig=_WAIT
        )
    except WaiterError as error:
        last: Any = error.last_response
        reason = last["Stacks"][0].get("StackStatusReason", str(error))
        raise PlatformError(
            where, reason, "an update that succeeds", "What answered before still does"
        ) from error


def _parameters(recorded: dict[str, str], present: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the release's own; what is the project's stays as it is now."""
    kept = {item["ParameterKey"] for item in present["Parameters"]} & configuration.OF_PROJECT
    return [
        {"ParameterKey": name, "UsePreviousValue": True}
        if name in kept
        else {"ParameterKey": name, "ParameterValue": _AT_ONCE.get(name, value)}
        for name, value in recorded.items()
    ]


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
