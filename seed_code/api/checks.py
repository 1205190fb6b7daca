"""The guards' function: asked by CodeDeploy around each shift of traffic, and by CloudFormation.

========================= ==========================================================================
asked by                  does
========================= ==========================================================================
CodeDeploy, before        :meth:`api.guards.Checks.before` on the new version
traffic
CodeDeploy, after traffic :meth:`api.guards.Checks.after` on the alias
``Custom::ReleaseCheck``  on creation as before traffic: a project's first release comes with an
                          alias that is created, and CodeDeploy only guards one that moves; on
                          deletion waits as long as a request to the release takes
========================= ==========================================================================

The verdict goes to whoever asked, into the log, into the bucket
(``releases/<release>/deployment/<guard>.json``) and, when it is bad, to the topic. A verdict is
reached in any case: the guard ends its checks before Lambda ends the guard.

References
----------
https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from api import draining
from api.aws import client
from api.custom_resource import Outcome, respond
from api.environment import GuardEnvironment, read
from api.guards import Checks, Clients, Deadline, OutOfTimeError, Verdict
from mlsystem.artifacts import Artifact, Check, GoldenRequests
from mlsystem.errors import ArtifactError
from mlsystem.names import Names

__all__ = ["Guard", "GuardReport", "handler"]

# For the last request, which may take as long as the API's function may, and for the verdict.
_MARGIN_SECONDS: Final = 45
_INVOKE_SECONDS: Final = 30
# No call of a service may hold a guard up.
_BOUNDS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}
_SUBJECT_CHARACTERS: Final = 100  # of SNS
_LONGEST_SECONDS: Final = 29  # that API Gateway waits for an answer


class _Context(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True)
class GuardReport(Artifact):
    """What a guard found."""

    release: str
    guard: str
    passed: bool
    reason: str
    """The checks that do not hold; empty when all do."""
    function: str
    endpoint: str
    seconds: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    checks: tuple[Check, ...]


def handler(
    event: Mapping[str, Any], context: _Context, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Check the release, and tell whoever asked."""
    seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    if "ResponseURL" in event:
        respond(event, _outcome(event, seconds, sleep))
        return
    reason, tell = _judge(seconds)
    codedeploy = client("codedeploy", **_BOUNDS)
    try:
        codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status="Failed" if reason else "Succeeded",
        )
    except codedeploy.exceptions.LifecycleEventAlreadyCompletedException:
        # An alarm was faster, and what was checked may be gone already. After an error Lambda would
        # ask once more, when this function may have become the next release's.
        print(json.dumps({"not_done": "report", "error": "the deployment had ended"}))
    except Exception:
        tell()  # CodeDeploy would only say that the guard did not report
        raise
    else:
        tell()


def _outcome(event: Mapping[str, Any], seconds: float, sleep: Callable[[float], None]) -> Outcome:
    release = event["ResourceProperties"]
    if event["RequestType"] == "Delete":
        sleep(_seconds_in_use(release))
        return Outcome(event["PhysicalResourceId"])
    reason = ""
    # Later releases are guarded by CodeDeploy; and what is taken back must not be held up.
    if event["RequestType"] == "Create":
        reason, tell = _judge(seconds)
        tell()
    # Each release is another resource, so that the one before is deleted when it is not needed.
    return Outcome(release["Release"], reason=reason)


def _seconds_in_use(release: Mapping[str, str]) -> float:
    """Return after how many seconds the release may go; it is too late to refuse anything."""
    try:
        project = read(GuardEnvironment, os.environ)
        make_client = functools.partial(client, **_BOUNDS)
        seconds = draining.seconds_in_use(
            release, project.project_key, project.data_bucket, make_client
        )
    except Exception as error:
        print(json.dumps({"not_done": "seconds_in_use", "error": f"{error}"}))
        seconds = _LONGEST_SECONDS
    print(json.dumps({"release": release.get("Release"), "seconds_in_use": seconds}))
    return seconds


def _judge(seconds: float) -> tuple[str, Callable[[], None]]:
    """Return why the release must not go on, if so, and what tells people.

    A guard that cannot tell is against it.
    """
    try:
        guard = Guard(read(GuardEnvironment, os.environ), client, Deadline(seconds))
        report = guard.judge()
    except Exception as error:  # CodeDeploy would wait an hour for a crash
        reason = f"guard: {type(error).__name__}: {error}"
        print(json.dumps({"passed": False, "reason": reason}))
        return reason, lambda: None
    return report.reason, lambda: guard.tell(report)


class Guard:
    """Checks one release at one moment.

    Parameters
    ----------
    make_client
        Of a service's name, as :func:`api.aws.client`.
    """

    def __init__(
        self,
        environment: GuardEnvironment,
        make_client: Callable[..., Any],
        deadline: Deadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._names = Names(environment.project_key, environment.release)
        self._make_client = make_client
        self._deadline = deadline
        self._clock = clock

    def judge(self) -> GuardReport:
        """Return what was found, after it was written down."""
        started = self._clock()
        verdict = Verdict([])
        try:
            self._check(verdict)
        except OutOfTimeError:
            found = f"no verdict in {self._deadline.seconds:.0f} s; the last checks were not made"
            verdict.add(Check("deadline", passed=False, detail=found))
        except Exception as error:  # a check that cannot be made has failed
            verdict.add(Check("guard", passed=False, detail=f"{type(error).__name__}: {error}"))
        report = self._report(verdict, self._clock() - started)
        print(json.dumps({"passed": report.passed, "reason": report.reason, **self._log(report)}))
        self._attempt(self._write, report)
        return report

    def tell(self, report: GuardReport) -> None:
        """Tell people, if the release must not go on."""
        if not report.passed:
            self._attempt(self._publish, report)

    def _check(self, verdict: Verdict) -> None:
        clients = Clients(
            sagemaker=self._make_client("sagemaker", **_BOUNDS),
            # One attempt: what an answer takes is measured, and a crash is an answer.
            lambda_=self._make_client(
                "lambda",
                connect_timeout=5,
                read_timeout=_INVOKE_SECONDS,
                retries={"total_max_attempts": 1},
            ),
            s3=self._make_client("s3", **_BOUNDS),
        )
        golden = self._golden(clients.s3)
        checks = Checks(self._environment, clients, golden, self._deadline)
        if self._environment.guard == "before":
            checks.before(verdict)
        else:
            checks.after(verdict)

    def _golden(self, s3: Any) -> GoldenRequests:
        key = self._names.golden_requests_key
        found = s3.get_object(Bucket=self._environment.data_bucket, Key=key)
        golden = GoldenRequests.from_json(found["Body"].read().decode(), "golden_requests.json")
        if not golden.requests:
            raise ArtifactError(
                "golden_requests.json", "no request", "a request of at least one test row"
            )
        return golden

    def _report(self, verdict: Verdict, seconds: float) -> GuardReport:
        failed = [f"{check.name}: {check.detail}" for check in verdict.checks if not check.passed]
        return GuardReport(
            release=self._environment.release,
            guard=self._environment.guard,
            passed=not failed,
            reason=" | ".join(failed),
            function=self._environment.function,
            endpoint=self._environment.endpoint_name,
            seconds=round(seconds, 3),
            latency_p50_ms=verdict.latency_p50_ms,
            latency_p99_ms=verdict.latency_p99_ms,
            checks=tuple(verdict.checks),
        )

    def _log(self, report: GuardReport) -> dict[str, Any]:
        return {
            "release": report.release,
            "guard": report.guard,
            "seconds": report.seconds,
            "checks": {check.name: check.passed for check in report.checks},
        }

    def _attempt(self, act: Callable[[GuardReport], None], report: GuardReport) -> None:
        """Do it, if it can be done: the verdict stands without."""
        try:
            act(report)
        except Exception as error:
            print(json.dumps({"not_done": act.__name__, "error": f"{error}"}))

    def _write(self, report: GuardReport) -> None:
        self._make_client("s3", **_BOUNDS).put_object(
            Bucket=self._environment.data_bucket,
            Key=f"{self._names.deployment_prefix}/{report.guard}.json",
            Body=report.to_json().encode(),
            ContentType="application/json",
        )

    def _publish(self, report: GuardReport) -> None:
        when = "before traffic" if report.guard == "before" else "after traffic had moved"
        subject = f"{self._environment.project_key}: release {self._names.label} refused {when}"
        self._make_client("sns", **_BOUNDS).publish(
            TopicArn=self._environment.topic_arn,
            Subject=subject[:_SUBJECT_CHARACTERS],
            Message=f"{subject}.\n\n{report.reason}\n\nThe release before goes on serving.\n",
        )
