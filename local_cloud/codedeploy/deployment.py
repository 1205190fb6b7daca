"""One deployment: hooks are asked, the alias's traffic moves step by step, alarms stop it.

Every call is made with the deployment group's role. A deployment that does not succeed is followed
by another one that takes it back, where the group wants it so: the alias then names the old version
alone.

Sources:
https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-steps-lambda.html,
https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import string
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.codedeploy.groups import Group
from local_cloud.codedeploy.revision import Revision
from local_cloud.codedeploy.strategies import Step, Strategy
from local_cloud.errors import LocalCloudError, TrustError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PRINCIPAL", "Deployment", "StoppedError"]

PRINCIPAL = "codedeploy.amazonaws.com"
_WHOLE = 100
_MINUTE_SECONDS = 60
#: A hook function has an hour to say how it went.
_HOOK_SECONDS = 3600
#: How often alarms are asked.
_ALARM_SECONDS = 10
_LOOK_SECONDS = (0.05, 10.0)
_ENDINGS = ("Succeeded", "Failed", "Stopped")
_EXPECTED = (ClientError, BotoCoreError, LocalCloudError)
_INVALID = (
    "The deployment failed because the AppSpec file that specifies the AWS Lambda deployment"
    " configuration is missing or has an invalid configuration."
)


class StoppedError(Exception):
    """The cloud stops while something is deployed."""


class _EndedError(Exception):
    """A deployment ends without success.

    Parameters
    ----------
    code, message
        ``errorInformation``.
    ending
        ``Failed``, ``Alarm`` or ``Stopped``: whether it is taken back depends on it.
    """

    def __init__(self, code: str, message: str, ending: str = "Failed") -> None:
        super().__init__(message)
        self.code = code
        self.ending = ending


@dataclass
class _Lifecycle:
    """One event in the life of a deployment."""

    name: str
    status: str = "Pending"
    begun: dt.datetime | None = None
    ended: dt.datetime | None = None
    problem: str = ""

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = {"lifecycleEventName": self.name, "status": self.status}
        if self.begun:
            found["startTime"] = self.begun
        if self.ended:
            found["endTime"] = self.ended
        if self.problem:
            found["diagnostics"] = {"errorCode": "UnknownError", "message": self.problem}
        return found


@dataclass
class _Hook:
    """A hook function that is working; it has no outcome until it reports."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    outcome: str = ""


class Deployment:
    """One deployment of a deployment group.

    Parameters
    ----------
    cloud
        The account.
    group
        Whose it is.
    revision
        What it deploys.
    location
        The revision as it was given.
    strategy
        How the traffic moves.
    description
        What somebody says about it.
    stopping
        Set when the cloud stops.
    taken_back
        The deployment that this one takes back.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        group: Group,
        revision: Revision,
        *,
        location: dict[str, Any],
        strategy: Strategy,
        stopping: threading.Event,
        description: str = "",
        taken_back: Deployment | None = None,
    ) -> None:
        letters = string.ascii_uppercase + string.digits
        self.id = f"d-{''.join(secrets.choice(letters) for _ in range(9))}"
        self.group = group
        self.revision = revision
        self.location = location
        self.strategy = strategy
        self.description = description
        self.status = "Created"
        self.created = dt.datetime.now(dt.UTC)
        self.begun: dt.datetime | None = None
        self.completed: dt.datetime | None = None
        self.error: tuple[str, str] | None = None
        self.taken_back = taken_back
        self.rollback: Deployment | None = None
        self.weight = 0
        self.has_moved = False
        hooks = revision.hooks
        names = ["BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"]
        self.events = [_Lifecycle(name) for name in names if name in hooks or name == names[1]]
        self._cloud = cloud
        self._stopping = stopping
        self._woken = threading.Event()
        self._is_stop_asked = False
        self._rolls_back: bool | None = None
        self._hooks: dict[str, _Hook] = {}
        self._alarms_asked = 0.0
        low, high = _LOOK_SECONDS
        self._look_seconds = min(max(_ALARM_SECONDS * cloud.wait_factor, low), high)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in _ENDINGS

    # ---------------------------------------------------------------- operations

    def run(self, take_back: Callable[[Deployment], Deployment]) -> None:
        """Deploy; how it ended is in `status` and `error`.

        Parameters
        ----------
        take_back
            Gives the deployment, not begun, that takes one back which did not succeed.

        Raises
        ------
        StoppedError
            When the cloud stops.
        """
        self.begun = dt.datetime.now(dt.UTC)
        self.status = "InProgress"
        try:
            self._deploy()
        except _EndedError as ended:
            self._fail(ended, take_back)
        except StoppedError:
            raise
        except Exception as error:  # whatever it is, the traffic goes back
            unexpected = _EndedError("INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            self._fail(unexpected, take_back)
        else:
            self._close("Succeeded")

    def _fail(self, ended: _EndedError, take_back: Callable[[Deployment], Deployment]) -> None:
        self.error = (ended.code, str(ended))
        if self._is_taken_back(ended.ending):
            self.rollback = take_back(self)
        self._close("Failed" if ended.ending == "Failed" else "Stopped")

    def stop(self, *, rolls_back: bool | None) -> None:
        """Have it end as soon as it can, and be taken back: as the group says, without a wish."""
        self._rolls_back = rolls_back
        self._is_stop_asked = True
        self.wake()

    def wake(self) -> None:
        """Have it look at once whether it must end."""
        self._woken.set()

    def _is_taken_back(self, ending: str) -> bool:
        if self.taken_back is not None:
            return False
        if ending == "Stopped" and self._rolls_back is not None:
            return self._rolls_back
        return self.group.rolls_back(ending)

    def report(self, hook_id: str, status: str) -> bool | None:
        """Take a hook function's word.

        Returns
        -------
        ``False`` when the hook has reported already, ``None`` when there is none of that id.
        """
        hook = self._hooks.get(hook_id)
        if hook is None:
            return None
        if hook.outcome or self.is_over:
            return False
        hook.outcome = status
        self.wake()
        return True

    # ---------------------------------------------------------------- deploying

    def _deploy(self) -> None:
        revision = self.revision
        if self.taken_back is not None:
            if self.taken_back.has_moved:  # otherwise the alias is none of our business
                self._event("AllowTraffic", lambda: self._shift(Step(_WHOLE, 0)))
            return
        self._look()
        self._check_alias()
        if "BeforeAllowTraffic" in revision.hooks:
            self._event("BeforeAllowTraffic", lambda: self._ask("BeforeAllowTraffic"))
        self._event("AllowTraffic", self._allow)
        if "AfterAllowTraffic" in revision.hooks:
            self._event("AfterAllowTraffic", lambda: self._ask("AfterAllowTraffic"))

    def _event(self, name: str, what: Callable[[], None]) -> None:
        event = next(event for event in self.events if event.name == name)
        event.status, event.begun = "InProgress", dt.datetime.now(dt.UTC)
        try:
            what()
        except _EndedError as ended:
            event.problem = str(ended)
            event.status = "Failed"
            raise
        finally:
            event.ended = dt.datetime.now(dt.UTC)
        event.status = "Succeeded"

    def _close(self, status: str) -> None:
        for event in self.events:
            if event.status == "Pending":
                event.status = "Skipped"
        self.completed = dt.datetime.now(dt.UTC)
        self.status = status

    def _check_alias(self) -> None:
        alias = self._call("lambda", "get_alias", FunctionName=self.revision.function,
                           Name=self.revision.alias)  # fmt: skip
        if alias["FunctionVersion"] != self.revision.current:
            raise _EndedError(
                "INVALID_LAMBDA_CONFIGURATION",
                f"{_INVALID} The Lambda function alias version does not match the current version"
                " in AppSpec file.",
            )

    def _allow(self) -> None:
        """Move the traffic, a step after the other."""
        for step in self.strategy.steps:
            self._shift(step)
            self._pause(step.minutes * _MINUTE_SECONDS * self._cloud.wait_factor)

    def _shift(self, step: Step) -> None:
        revision = self.revision
        is_whole = step.percent == _WHOLE
        self.has_moved = True
        weights = {} if is_whole else {revision.target: step.percent / _WHOLE}
        self._call(
            "lambda",
            "update_alias",
            FunctionName=revision.function,
            Name=revision.alias,
            FunctionVersion=revision.target if is_whole else revision.current,
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
        self.weight = step.percent

    def _ask(self, event: str) -> None:
        """Call a hook function, and wait for its word."""
        hook = _Hook()
        self._hooks[hook.id] = hook
        payload = {"DeploymentId": self.id, "LifecycleEventHookExecutionId": hook.id}
        function = self.revision.hooks[event]
        self._call(
            "lambda",
            "invoke",
            FunctionName=function,
            InvocationType="Event",
            Payload=json.dumps(payload).encode(),
        )
        limit_seconds = _HOOK_SECONDS * self._cloud.wait_factor
        if not self._pause(limit_seconds, lambda: bool(hook.outcome)):
            raise _EndedError(
                "HOOK_EXECUTION_FAILURE",
                f"The hook function {function} of {event} did not report within an hour"
                f" ({limit_seconds:g} s here).",
            )
        if hook.outcome != "Succeeded":
            raise _EndedError(
                "HOOK_EXECUTION_FAILURE",
                f"The hook function {function} of {event} reported {hook.outcome}.",
            )

    # ---------------------------------------------------------------- waiting and looking

    def _pause(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Wait, with an eye on alarms; whether what was waited for has happened."""
        deadline = time.monotonic() + seconds
        while True:
            self._woken.clear()
            self._look()
            if until():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._woken.wait(min(left, self._look_seconds))

    def _look(self) -> None:
        """Return when nothing says that the deployment must end."""
        if self._stopping.is_set():
            raise StoppedError(self.id)
        if self._is_stop_asked:
            raise _EndedError("MANUAL_STOP", "The deployment was stopped by a user.", "Stopped")
        if time.monotonic() - self._alarms_asked >= self._look_seconds:
            self._check_alarms()
            self._alarms_asked = time.monotonic()

    def _check_alarms(self) -> None:
        names = self.group.alarm_names
        if not names:
            return
        try:
            found = self._call("cloudwatch", "describe_alarms", AlarmNames=names)["MetricAlarms"]
        except _EndedError:
            if self.group.ignores_unknown_alarms:
                return
            raise
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
        unknown = sorted(set(names) - set(states))
        if unknown and not self.group.ignores_unknown_alarms:
            raise _EndedError(
                "CODEDEPLOY_RESOURCE_CANNOT_BE_FOUND",
                "The deployment failed because the state of one or more alarms cannot be retrieved"
                f" from Amazon CloudWatch. Alarms that do not exist: <{', '.join(unknown)}>",
            )
        active = sorted(name for name, state in states.items() if state == "ALARM")
        if active:
            raise _EndedError(
                "ALARM_ACTIVE",
                "One or more alarms have been activated according to the Amazon CloudWatch metrics"
                " you selected, and the affected deployments have been stopped. Activated alarms:"
                f" <{', '.join(active)}>",
                "Alarm",
            )

    def _call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """An API call of the group's role; what goes wrong ends the deployment."""
        role_arn = self.group.role_arn
        try:
            client = self._cloud.client(
                service,
                role_arn=role_arn,
                service_principal=PRINCIPAL,
                source_arn=self.group.arn(self._cloud.region, self._cloud.account_id),
            )
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
        except TrustError as error:
            message = f"The IAM role {role_arn} cannot be used: {error}"
            raise _EndedError("IAM_ROLE_MISSING", message) from error
        except _EXPECTED as error:
            raise _failure(error, service, role_arn) from error
        return answer

    # ---------------------------------------------------------------- description

    def summary(self) -> dict[str, Any]:
        """``lastAttemptedDeployment`` of a group."""
        return {
            "deploymentId": self.id,
            "status": self.status,
            "createTime": self.created,
            **({"endTime": self.completed} if self.completed else {}),
        }

    def describe(self) -> dict[str, Any]:
        """``deploymentInfo``."""
        is_rollback = self.taken_back is not None
        settings = self.group.settings
        found: dict[str, Any] = {
            "applicationName": self.group.application,
            "deploymentGroupName": self.group.name,
            "deploymentConfigName": self.strategy.name,
            "deploymentId": self.id,
            "revision": self.location,
            "status": self.status,
            "createTime": self.created,
            "startTime": self.begun,
            "completeTime": self.completed,
            "description": self.description,
            "creator": "codeDeployRollback" if is_rollback else "user",
            "ignoreApplicationStopFailures": False,
            "autoRollbackConfiguration": settings.get("autoRollbackConfiguration"),
            "updateOutdatedInstancesOnly": False,
            "deploymentStyle": settings.get("deploymentStyle"),
            "instanceTerminationWaitTimeStarted": False,
            "deploymentStatusMessages": [],
            "computePlatform": "Lambda",
            "rollbackInfo": self._rollback_info(),
            "deploymentOverview": self._overview(),
        }
        if self.error is not None:
            code, message = self.error
            found["errorInformation"] = {"code": code, "message": message}
        return {name: value for name, value in found.items() if value not in (None, {}, "")}

    def _rollback_info(self) -> dict[str, str]:
        if self.taken_back is not None:
            return {
                "rollbackTriggeringDeploymentId": self.taken_back.id,
                "rollbackMessage": f"Deployment {self.id} is triggered to roll back deployment"
                f" {self.taken_back.id}.",
            }
        return {"rollbackDeploymentId": self.rollback.id} if self.rollback is not None else {}

    def _overview(self) -> dict[str, int]:
        place = {"Created": "Pending", "Stopped": "Failed"}.get(self.status, self.status)
        names = ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready")
        return {name: int(name == place) for name in names}

    def target(self) -> dict[str, Any]:
        """``deploymentTarget``: the alias."""
        revision = self.revision
        place = f"{self._cloud.region}:{self._cloud.account_id}"
        arn = f"arn:aws:lambda:{place}:function:{revision.function}:{revision.alias}"
        status = {"Created": "Pending", "Stopped": "Failed"}.get(self.status, self.status)
        return {
            "deploymentTargetType": "LambdaTarget",
            "lambdaTarget": {
                "deploymentId": self.id,
                "targetId": f"{revision.function}:{revision.alias}",
                "targetArn": arn,
                "status": status,
                "lastUpdatedAt": self.completed or self.begun or self.created,
                "lifecycleEvents": [event.describe() for event in self.events],
                "lambdaFunctionInfo": {
                    "functionName": revision.function,
                    "functionAlias": revision.alias,
                    "currentVersion": revision.current,
                    "targetVersion": revision.target,
                    "targetVersionWeight": float(self.weight),
                },
            },
        }


_SERVICES = {"lambda": "AWSLambda", "cloudwatch": "AmazonCloudWatch"}
_DENIED = ("AccessDenied", "AccessDeniedException")


def _failure(error: Exception, service: str, role_arn: str) -> _EndedError:
    """How a deployment ends for an error of a service."""
    code = error.response["Error"].get("Code", "") if isinstance(error, ClientError) else ""
    if code in _DENIED:
        return _EndedError(
            "IAM_ROLE_PERMISSIONS",
            f"The IAM role {role_arn} does not give you permission to perform operations in the"
            f" following AWS service: {_SERVICES[service]}. Contact your AWS administrator if you"
            " need help. If you are an AWS administrator, you can grant permissions to your users"
            f" or groups by creating IAM policies. ({error})",
        )
    if code in {"TooManyRequestsException", "Throttling", "ThrottlingException"}:
        return _EndedError(
            "THROTTLED",
            f"The deployment failed because the number of requests by the IAM role {role_arn}"
            f" exceeded the request limit for {_SERVICES[service]}.",
        )
    if service == "lambda":
        return _EndedError("INVALID_LAMBDA_FUNCTION", f"The deployment failed: {error}")
    return _EndedError("INTERNAL_ERROR", f"The deployment failed: {error}")
