"""The guards: what they let pass, what they stop, and that they always say so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from api import checks
from api.aws import client
from api.checks import Guard, GuardReport
from api.environment import GuardEnvironment, read
from api.guards import Deadline
from mlsystem.artifacts import GoldenRequest, GoldenRequests

# Every release is asked by these guards before it answers anybody; a Build need not ask them first.
pytestmark = pytest.mark.exhaustive

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:churn-p-1-api:7"
BUCKET = "churn-p-1-data"
MODES = pytest.mark.parametrize("serving", ["endpoint", "lambda"])
JSON = "application/json"


class Clock:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Callable[[], None]] = []
        """What happens at each wait."""

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.waiting:
            self.waiting.pop(0)()


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@dataclasses.dataclass
class Release:
    """A release in production, with a guard."""

    account: Any
    served: Any
    clock: Clock
    environment: dict[str, str]

    def judge(self, seconds: float = 600) -> GuardReport:
        deadline = Deadline(seconds, self.clock, self.clock.sleep)
        environment = read(GuardEnvironment, self.environment)
        return Guard(environment, client, deadline, self.clock).judge()

    def report(self, guard: str = "before") -> GuardReport:
        """What it left in the bucket."""
        release = self.environment["RELEASE"]
        key = f"{BUCKET}/releases/{release}/deployment/{guard}.json"
        return GuardReport.from_json(self.account.objects[key].decode(), key)

    def capture(self, n_records: int = 1) -> None:
        """Write the newest requests down as SageMaker does."""
        lines = [
            {
                "captureData": {"endpointInput": {}, "endpointOutput": {}},
                "eventMetadata": {"inferenceId": headers["x-amzn-sagemaker-inference-id"]},
            }
            for headers, _ in self.account.endpoint.asked[-n_records:]
        ]
        name = self.environment["ENDPOINT_NAME"]
        prefix = f"{BUCKET}/releases/{self.environment['RELEASE']}/capture/{name}/AllTraffic"
        text = "\n".join(map(json.dumps, lines)) + "\n"
        self.account.objects[f"{prefix}/2024/11/20/07/00-00-000-a.jsonl"] = text.encode()


Start = Callable[..., Release]


@pytest.fixture
def release(account, serve, monkeypatch: pytest.MonkeyPatch) -> Start:
    def start(serving: str = "endpoint", guard: str = "before", **model: Any) -> Release:
        served = serve(serving, **model)
        environment = {
            "PROJECT_KEY": "churn-p-1",
            "RELEASE": served.environment.release,
            "SERVING": serving,
            "ENDPOINT_NAME": served.environment.endpoint_name,
            "DATA_BUCKET": BUCKET,
            "GUARD": guard,
            "FUNCTION": FUNCTION,
            "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:churn",
            "LATENCY_REQUESTS": "10",
            "LATENCY_P50_MS": "10000",
            "LATENCY_P99_MS": "20000",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        account.functions[FUNCTION] = served.api.answer
        made = Release(account, served, Clock(), environment)
        _upload_golden(made)
        return made

    return start


ROWS = ([1, 2, "high"], [0, 0, "low"], [None, -3, ""])


def _upload_golden(made: Release, **changes: Any) -> None:
    """Ask the model itself, as evaluate does."""
    requests = []
    for row in ROWS:
        named = dict(zip(("x", "y", "size"), row, strict=True))
        body = json.dumps({"instances": [named]})
        asked = ({"content-type": JSON, "accept": JSON}, body.encode())
        answer = json.loads(made.account.endpoint.predict(asked)[2])["predictions"][0]
        requests.append(GoldenRequest(JSON, JSON, body, {**answer, **changes}))
    golden = GoldenRequests("small", 1e-6, tuple(requests))
    _golden_object(made, golden.to_json())


def _golden_object(made: Release, text: str) -> None:
    key = f"{BUCKET}/releases/{made.environment['RELEASE']}/evaluation/golden_requests.json"
    made.account.objects[key] = text.encode()


def _found(report: GuardReport) -> dict[str, bool]:
    return {check.name: check.passed for check in report.checks}


# --- before traffic -----------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_a_good_release_passes(release, serving, problem):
    made = release(serving, problem=problem)
    report = made.judge()
    assert report.passed, report.reason
    of_endpoint = ["endpoint", "capture"] if serving == "endpoint" else []
    expected = [*of_endpoint, "golden", "content_type", "width", "syntax", "latency"]
    assert list(_found(report)) == expected
    assert report.latency_p50_ms <= report.latency_p99_ms
    assert made.report() == report
    assert not made.account.messages


def test_its_requests_are_marked_as_nobodys(release):
    made = release()
    made.judge()
    ids = [asked["x-amzn-sagemaker-inference-id"] for asked, _ in made.account.endpoint.asked]
    assert len(set(ids)) == len(ids) == 3 + 10
    assert all(each.startswith("synthetic-before-") and len(each) <= 64 for each in ids)


def test_the_endpoint_is_waited_for(release):
    made = release()
    made.account.endpoint.statuses = ["Creating", "Creating", "InService"]
    assert made.judge().passed
    assert made.clock.now == 0.5 + 1


@pytest.mark.parametrize("status", ["Failed", "Deleting", "OutOfService", "RollingBack"])
def test_an_endpoint_that_fails_is_not_waited_for(release, status):
    made = release()
    made.account.endpoint.statuses = ["Creating", status]
    report = made.judge()
    assert _found(report) == {"endpoint": False}
    assert status in report.reason
    if status == "Failed":
        assert "it ran out of memory" in report.reason
    assert not made.account.endpoint.asked


def test_an_endpoint_that_never_comes_ends_in_a_verdict(release):
    made = release()
    made.account.endpoint.statuses = ["Creating"]
    report = made.judge(seconds=60)
    assert _found(report) == {"deadline": False}
    assert "no verdict in 60 s" in report.reason
    assert made.clock.now <= 68


@pytest.mark.parametrize("capture", [None, {"EnableCapture": True}, {"CaptureOptions": []}])
def test_capture_must_be_on(release, capture):
    made = release()
    made.account.endpoint.capture = capture and {**made.account.endpoint.capture, **capture}
    if capture == {"EnableCapture": True}:
        made.account.endpoint.capture["CaptureOptions"] = [{"CaptureMode": "Input"}]
    assert not _found(made.judge())["capture"]


@MODES
@pytest.mark.parametrize("changes", [{"score": 0.3}, {"predicted_label": "maybe"}])
def test_another_answer_than_evaluates_stops_it(release, serving, changes):
    made = release(serving)
    _upload_golden(made, **changes)
    report = made.judge()
    assert not _found(report)["golden"]
    assert "0 of 3 answered as evaluated; request 1: another answer" in report.reason


def test_a_model_that_raises_on_some_rows_stops_it(release):
    made = release()
    predict = made.account.endpoint.predict

    def raise_on_missing(asked: Any) -> Any:
        if b"null" in asked[1]:
            error = {"OriginalStatusCode": 500, "OriginalMessage": "", "Message": ""}
            return 424, {"x-amzn-ErrorType": "ModelError"}, json.dumps(error).encode()
        return predict(asked)

    made.account.endpoint.answer = raise_on_missing
    report = made.judge()
    assert "golden: 2 of 3 answered as evaluated; request 3: status 502" in report.reason


def test_a_function_that_crashes_stops_it(release):
    made = release()

    def crash(event: Any) -> Any:
        raise ImportError("No module named 'numpy'")

    made.account.functions[FUNCTION] = crash
    report = made.judge()
    assert "request 1: the function crashed (ImportError)" in report.reason
    assert not any(_found(report)[name] for name in ("golden", "width", "syntax", "content_type"))
    assert "latency" not in _found(report)


def test_another_release_behind_the_function_stops_it(release):
    made = release()
    answer = made.served.api.answer

    def other(event: Any) -> Any:
        found = answer(event)
        return {**found, "headers": {**found["headers"], "X-Release": "r-0"}}

    made.account.functions[FUNCTION] = other
    assert "answered by release 'r-0' instead of" in made.judge().reason


def test_accepting_what_is_wrong_stops_it(release):
    made = release()
    (good, *_), answer = ROWS, made.served.api.answer
    body = json.dumps({"instances": [good]})

    def indulgent(event: Any) -> Any:
        found = answer(event)
        if found["statusCode"] == 200:
            return found
        return answer({**event, "body": body, "headers": {"Content-Type": JSON}})

    made.account.functions[FUNCTION] = indulgent
    report = made.judge()
    assert _found(report) == {
        "endpoint": True, "capture": True, "golden": True, "latency": True,
        "content_type": False, "width": False, "syntax": False,
    }  # fmt: skip
    assert "width: status 200 instead of 400" in report.reason


def test_refusing_without_a_problem_document_stops_it(release):
    made = release()
    answer = made.served.api.answer

    def terse(event: Any) -> Any:
        found = answer(event)
        return found if found["statusCode"] == 200 else {**found, "body": '{"message": "no"}'}

    made.account.functions[FUNCTION] = terse
    assert "width: status 400, but not a problem" in made.judge().reason


@pytest.mark.parametrize("budget", ["LATENCY_P50_MS", "LATENCY_P99_MS"])
def test_a_slow_release_is_stopped(release, budget):
    made = release()
    made.environment[budget] = "0.001"
    report = made.judge()
    assert not _found(report)["latency"]
    assert "(at most 0.001)" in report.reason


@pytest.mark.parametrize("text", [None, "{}", GoldenRequests("small", 1e-6).to_json()])
def test_without_golden_requests_nothing_passes(release, text):
    made = release()
    if text is None:
        made.account.objects.clear()
    else:
        _golden_object(made, text)
    report = made.judge()
    assert _found(report) == {"guard": False}


def test_a_service_that_refuses_is_no_success(release):
    made = release()
    made.account.refused.add("DescribeEndpoint")
    report = made.judge()
    assert _found(report) == {"guard": False}
    assert "AccessDeniedException" in report.reason


# --- after traffic ------------------------------------------------------------------------------


def test_captured_records_of_this_release_are_looked_for(release):
    made = release(guard="after")
    made.clock.waiting = [lambda: None, lambda: made.capture(n_records=2)]
    report = made.judge()
    assert _found(report) == {"golden": True, "captured": True}
    assert "2 of 9 requests of this guard so far" in report.checks[-1].detail
    assert made.report("after") == report


def test_records_of_others_do_not_count(release):
    made = release(guard="after")
    others = [({"x-amzn-sagemaker-inference-id": "somebody's"}, b"")]

    def capture_others() -> None:
        asked, made.account.endpoint.asked = made.account.endpoint.asked, others
        made.capture()
        made.account.endpoint.asked = asked

    made.clock.waiting = [capture_others]
    report = made.judge(seconds=30)
    assert _found(report) == {"golden": True, "captured": False}
    assert "in 30 s" in report.reason
    assert made.clock.now <= 38


def test_a_record_without_the_answer_does_not_count(release):
    made = release(guard="after")

    def capture_questions() -> None:
        made.capture()
        for key, text in made.account.objects.items():
            if key.endswith(".jsonl"):
                made.account.objects[key] = text.replace(b"endpointOutput", b"endpointError")

    made.clock.waiting = [capture_questions]
    assert _found(made.judge(seconds=20)) == {"golden": True, "captured": False}


def test_an_alias_that_is_still_moving_is_waited_for(release):
    made = release("lambda", guard="after")
    answer = made.served.api.answer

    def old(event: Any) -> Any:
        found = answer(event)
        return {**found, "headers": {**found["headers"], "X-Release": "r-0"}}

    def move() -> None:
        made.account.functions[FUNCTION] = answer

    made.account.functions[FUNCTION] = old
    made.clock.waiting = [lambda: None, move]
    assert made.judge().passed
    assert made.clock.now == 0.5 + 1


def test_another_release_behind_the_alias_is_no_success(release):
    made = release(guard="after")
    made.environment["RELEASE"] = "r-2"
    _upload_golden(made)
    report = made.judge()
    assert _found(report) == {"golden": False}


def test_a_function_that_predicts_itself_captures_nothing(release):
    made = release("lambda", guard="after")
    assert _found(made.judge()) == {"golden": True}


# --- who is told --------------------------------------------------------------------------------


def _hook() -> dict[str, str]:
    return {"DeploymentId": "d-ABCDEFGH1", "LifecycleEventHookExecutionId": "execution"}


def test_codedeploy_is_told_of_success(release, capsys):
    made = release()
    checks.handler(_hook(), Context())
    assert made.account.hooks == [
        {
            "deploymentId": "d-ABCDEFGH1",
            "lifecycleEventHookExecutionId": "execution",
            "status": "Succeeded",
        }
    ]
    assert not made.account.messages
    logged = json.loads(capsys.readouterr().out)
    assert logged["passed"]
    assert logged["checks"]["golden"]


def test_codedeploy_and_people_are_told_of_failure(release, capsys):
    made = release()
    made.account.endpoint.statuses = ["Failed"]
    checks.handler(_hook(), Context())
    assert made.account.hooks[0]["status"] == "Failed"
    (message,) = made.account.messages
    assert message["TopicArn"] == made.environment["TOPIC_ARN"]
    assert message["Subject"].startswith("churn-p-1: release ")
    assert "it ran out of memory" in message["Message"]
    assert "it ran out of memory" in json.loads(capsys.readouterr().out)["reason"]
    assert "it ran out of memory" in made.report().reason


def test_a_deployment_that_has_ended_meanwhile_is_no_error_and_no_news(release, capsys):
    made = release()
    made.account.endpoint.statuses = ["Failed"]
    for _ in range(2):
        checks.handler(_hook(), Context())
    assert len(made.account.hooks) == len(made.account.messages) == 1
    assert "the deployment had ended" in capsys.readouterr().out


def test_people_hear_why_even_when_codedeploy_cannot(release):
    made = release()
    made.account.endpoint.statuses = ["Failed"]
    made.account.refusal = "InvalidLifecycleEventHookExecutionIdException"
    checks.handler(_hook(), Context())
    with pytest.raises(ClientError):
        checks.handler(_hook(), Context())
    assert len(made.account.hooks) == 1
    assert len(made.account.messages) == 2


def _custom_resource(made: Release, request: str = "Create") -> dict[str, Any]:
    asked = {
        "RequestType": request,
        "ResponseURL": f"{made.account.url}/cloudformation/1",
        "StackId": "stack",
        "RequestId": "1",
        "LogicalResourceId": "ReleaseCheck",
        "PhysicalResourceId": "r-0",
        "ResourceProperties": {"Release": made.environment["RELEASE"]},
    }
    checks.handler(asked, Context(), sleep=made.clock.sleep)
    told: dict[str, Any] = made.account.responses[-1]
    return told


def test_the_first_release_is_guarded_too(release):
    made = release()
    told = _custom_resource(made)
    assert (told["Status"], told["PhysicalResourceId"]) == (
        "SUCCESS",
        made.served.environment.release,
    )
    assert made.report().passed
    made.account.endpoint.statuses = ["Failed"]
    told = _custom_resource(made)
    assert told["Status"] == "FAILED"
    assert "it ran out of memory" in told["Reason"]
    assert not made.account.hooks


def test_what_codedeploy_guards_is_not_held_up_and_is_another_resource(release):
    made = release()
    made.account.endpoint.statuses = ["Failed"]
    told = _custom_resource(made, "Update")
    release_id = made.served.environment.release
    assert (told["Status"], told["PhysicalResourceId"]) == ("SUCCESS", release_id)


def test_a_release_of_which_nothing_is_known_stays_as_long_as_anybody_may_wait(release, capsys):
    made = release()
    told = _custom_resource(made, "Delete")
    assert (told["Status"], told["PhysicalResourceId"]) == ("SUCCESS", "r-0")
    assert made.clock.now == 29
    assert "seconds_in_use" in capsys.readouterr().out


def test_a_guard_that_cannot_start_is_against_the_release(release, monkeypatch):
    made = release()
    monkeypatch.delenv("TOPIC_ARN")
    checks.handler(_hook(), Context())
    assert made.account.hooks[0]["status"] == "Failed"
    assert "TOPIC_ARN: not set" in _custom_resource(made)["Reason"]


def test_a_verdict_stands_when_it_cannot_be_written_or_told(release, monkeypatch, capsys):
    made = release()
    made.account.endpoint.statuses = ["Failed"]
    s3 = made.account._s3
    monkeypatch.setattr(
        made.account,
        "_s3",
        lambda method, *rest: (403, {}, b"") if method == "PUT" else s3(method, *rest),
    )
    monkeypatch.setattr(made.account, "_publish", lambda given: (403, {}, b""))
    checks.handler(_hook(), Context())
    assert made.account.hooks[0]["status"] == "Failed"
    not_done = [json.loads(line).get("not_done") for line in capsys.readouterr().out.splitlines()]
    assert {"_write", "_publish"} <= set(not_done)
