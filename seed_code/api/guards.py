"""What a release must do in production, before any traffic and when it has all of it.

============ ======== ==============================================================================
check        when     holds when
============ ======== ==============================================================================
endpoint     before   it is in service (only with ``SERVING=endpoint``, as the next)
capture      before   requests and answers are captured
golden       both     each golden request gets the answer that ``evaluate`` computed, from this
                      release
content_type before   an unknown media type is refused with 415
width        before   a row with a value too many is refused with 400
syntax       before   a body that is not JSON is refused with 400
latency      before   p50 and p99 are within the budgets of project.yml; not asked when golden fails
captured     after    a request that the guard sent is among the endpoint's captured records
============ ======== ==============================================================================

No traffic is no success: the guards send their own. A check that cannot be made has failed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from api.callers import Answer, Caller
from api.environment import GuardEnvironment
from mlsystem import serving_checks
from mlsystem.artifacts import Check, GoldenRequest, GoldenRequests

__all__ = ["Checks", "Clients", "Deadline", "OutOfTimeError", "Records", "Verdict"]

_OK: Final = 200
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 8.0
# Lambda's changes reach all its machines in seconds, not at once.
_MOST_WAITS_FOR_ALIAS: Final = 8


class OutOfTimeError(Exception):
    """The guard must come to its verdict now."""


class Deadline:
    """When a guard must have come to its verdict: well before Lambda ends it.

    Parameters
    ----------
    seconds
        From now.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self.seconds = seconds
        self._end = clock() + seconds
        self._pause = _FIRST_PAUSE_SECONDS

    def check(self) -> None:
        """Raise OutOfTimeError when it has passed."""
        if self._clock() >= self._end:
            raise OutOfTimeError

    def wait(self) -> None:
        """Wait before something is looked at again, longer each time; raise as `check` does."""
        self.check()
        self._sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self.check()


@dataclass(frozen=True)
class Clients:
    """Of the services that guards call."""

    sagemaker: Any
    lambda_: Any
    s3: Any


@dataclass
class Verdict:
    """What was found so far."""

    checks: list[Check]
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None

    def add(self, check: Check) -> bool:
        """Keep `check`; return whether it holds."""
        self.checks.append(check)
        return check.passed


@dataclass(frozen=True)
class Checks:
    """The checks of one release.

    Both methods fill a verdict, and raise OutOfTimeError when the deadline passes.
    """

    environment: GuardEnvironment
    clients: Clients
    golden: GoldenRequests
    deadline: Deadline

    def before(self, verdict: Verdict) -> None:
        """Check the new version before any traffic."""
        if self.environment.serving == "endpoint":
            if not verdict.add(self._endpoint()):
                return
            verdict.add(self._capture())
        caller = self._caller()
        is_right = verdict.add(self._golden(caller)[0])
        first = self.golden.requests[0]

        def ask(body: str, content_type: str) -> tuple[int, Any]:
            answer = caller.ask(body, content_type)
            return answer.status, answer.parsed

        for check in serving_checks.refusals(ask, first):
            verdict.add(check)
        if is_right:  # how long it takes to be wrong, or to crash, says nothing
            verdict.add(self._latency(caller, first, verdict))

    def after(self, verdict: Verdict) -> None:
        """Check the alias when all traffic is the release's."""
        caller = self._caller()
        self._await_release(caller)
        check, sent = self._golden(caller)
        if verdict.add(check) and self.environment.serving == "endpoint":
            verdict.add(self._captured(caller, sent))

    def _await_release(self, caller: Caller) -> None:
        """Wait until the alias has moved for everybody; what it does then is for the checks."""
        first = self.golden.requests[0]
        for _ in range(_MOST_WAITS_FOR_ALIAS):
            answer = caller.ask(first.body, first.content_type, first.accept)
            if answer.headers.get("x-release") == self.environment.release:
                return
            self.deadline.wait()

    def _caller(self) -> Caller:
        environment = self.environment
        return Caller(
            self.clients.lambda_, environment.function, environment.guard, self.deadline.check
        )

    # --- the endpoint ---

    def _endpoint(self) -> Check:
        while True:
            found = self._describe()
            status = found["EndpointStatus"]
            if status == "InService":
                return Check("endpoint", passed=True, detail=status)
            if status not in ("Creating", "Updating", "SystemUpdating"):
                reason = found.get("FailureReason", "no reason given")
                return Check("endpoint", passed=False, detail=f"{status}: {reason}")
            self.deadline.wait()

    def _describe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.clients.sagemaker.describe_endpoint(
            EndpointName=self.environment.endpoint_name
        )
        return found

    def _capture_config(self) -> dict[str, Any]:
        config = self.clients.sagemaker.describe_endpoint_config(
            EndpointConfigName=self._describe()["EndpointConfigName"]
        )
        found: dict[str, Any] = config.get("DataCaptureConfig", {})
        return found

    def _capture(self) -> Check:
        config = self._capture_config()
        modes = {option["CaptureMode"] for option in config.get("CaptureOptions", [])}
        if not config.get("EnableCapture", False) or not modes >= {"Input", "Output"}:
            found = "requests and answers are not both captured"
            return Check("capture", passed=False, detail=found)
        share = config["InitialSamplingPercentage"]
        return Check("capture", passed=True, detail=f"{share} % of requests and answers")

    # --- golden requests ---

    def _golden(self, caller: Caller) -> tuple[Check, set[str]]:
        """Return the check, and the inference ids of the requests that were sent."""
        mistakes: list[str] = []
        sent: set[str] = set()
        for request in self.golden.requests:
            answer = caller.ask(request.body, request.content_type, request.accept)
            sent.add(answer.inference_id)
            mistakes.append(self._mistake(request, answer))
        return serving_checks.golden(mistakes), sent

    def _mistake(self, request: GoldenRequest, answer: Answer) -> str:
        """Return what is wrong with `answer`, if anything."""
        headers, release = answer.headers, self.environment.release
        if answer.status == 0:
            return f"the function crashed ({answer.body})"
        if answer.status != _OK:
            return f"status {answer.status}"
        if headers.get("x-release") != release:
            return f"answered by release {headers.get('x-release')!r} instead of {release!r}"
        if headers.get("x-inference-id") != answer.inference_id:
            return "answered under another inference id"
        if not headers.get("content-type", "").startswith(request.accept):
            return f"content type {headers.get('content-type')!r} instead of {request.accept!r}"
        if not self.golden.is_answer(request, answer.parsed):
            return "another answer than evaluate's, or of another form"
        return ""

    # --- latency ---

    def _latency(self, caller: Caller, request: GoldenRequest, verdict: Verdict) -> Check:
        milliseconds = [
            caller.ask(request.body, request.content_type, request.accept).seconds * 1000
            for _ in range(self.environment.latency_requests)
        ]
        p50 = serving_checks.percentile(milliseconds, 0.5)
        p99 = serving_checks.percentile(milliseconds, 0.99)
        verdict.latency_p50_ms, verdict.latency_p99_ms = round(p50, 3), round(p99, 3)
        budgets = self.environment
        return serving_checks.latency(p50, p99, budgets.latency_p50_ms, budgets.latency_p99_ms)

    # --- captured records ---

    def _captured(self, caller: Caller, sent: set[str]) -> Check:
        """Return whether a record of one of the guard's own requests is there.

        Capture samples, and writes in its own time: so more is sent while it is waited for.
        """
        destination = self._capture_config()["DestinationS3Uri"]
        records = Records(self.clients.s3, destination, self.environment.endpoint_name)
        while not (found := records.new_ids() & sent):
            try:
                self.deadline.wait()
                sent |= self._golden(caller)[1]
            except OutOfTimeError:
                detail = f"none of {len(sent)} requests in {self.deadline.seconds:.0f} s"
                return Check("captured", passed=False, detail=detail)
        detail = f"{len(found)} of {len(sent)} requests of this guard so far"
        return Check("captured", passed=True, detail=detail)


# --- captured records ---------------------------------------------------------------------------


class Records:
    """The captured records of one endpoint, as they appear.

    Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    (``<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<file>.jsonl``).
    """

    def __init__(self, s3: Any, destination: str, endpoint_name: str) -> None:
        self._s3 = s3
        self._bucket, _, folder = destination.removeprefix("s3://").partition("/")
        folder = folder.rstrip("/")
        self._prefix = f"{folder}/{endpoint_name}/" if folder else f"{endpoint_name}/"
        self._read: set[tuple[str, str]] = set()

    def new_ids(self) -> set[str]:
        """Return the inference ids in the files that were not there before."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        files = {
            (found["Key"], found["ETag"]) for page in pages for found in page.get("Contents", [])
        }
        new, self._read = files - self._read, files
        return {inference_id for key, _ in new for inference_id in self._ids(key)}

    def _ids(self, key: str) -> Iterator[str]:
        body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        for line in body.iter_lines():
            record = json.loads(line)
            if "endpointOutput" in record.get("captureData", {}):
                yield record["eventMetadata"].get("inferenceId", "")
