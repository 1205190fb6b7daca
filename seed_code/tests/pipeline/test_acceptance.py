"""What an endpoint must do before a person is asked, and what is said when it does not."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO

import pytest
from botocore.response import StreamingBody

from mlsystem import settings
from mlsystem.artifacts import Check, Evaluation, Gate, GoldenRequest, GoldenRequests
from mlsystem.errors import ArtifactError
from mlsystem.names import Names
from mlsystem.serving_checks import latency, percentile
from mlsystem.settings import Dev
from pipeline import acceptance
from pipeline.__main__ import main
from pipeline.acceptance import AcceptanceReport
from pipeline.endpoint import Endpoint

BODY = json.dumps({"instances": [{"x": 1.0, "size": None}]})
EXPECTED = {"score": 0.25, "predicted_label": "no"}
GOLDEN = GoldenRequests(
    "churn", 1e-4, (GoldenRequest("application/json", "application/json", BODY, EXPECTED),)
)
EVALUATION = Evaluation(
    model_name="churn", problem="binary", rows=1_500, metrics={"roc_auc": 0.92341, "f1": 0.8},
    confusion_matrix=None, champion_metrics={"roc_auc": 0.91}, checks=(), plots=(),
    gate=Gate(True, "roc_auc", "minimum", 0.92341, 0.85, ()),
)  # fmt: skip
N_REQUESTS = 100


@pytest.fixture
def endpoint(aws):
    return Endpoint(aws("sagemaker-runtime"), "churn-p-1-dev")


def answered(aws, document, content_type="application/json"):
    body = (document if isinstance(document, str) else json.dumps(document)).encode()
    aws.answers(
        "sagemaker-runtime", "invoke_endpoint",
        {"Body": StreamingBody(BytesIO(body), len(body)), "ContentType": content_type},
    )  # fmt: skip


def refused(aws, status, message=None):
    if message is None:
        message = json.dumps(
            {"type": "about:blank", "title": "t", "status": status, "detail": "row 1: a; b."}
        )
    aws.refuses(
        "sagemaker-runtime", "invoke_endpoint", "ModelError",
        OriginalStatusCode=status, OriginalMessage=message,
    )  # fmt: skip


# --- golden requests ----------------------------------------------------------------------------


@pytest.mark.parametrize("difference", [0, 1e-4, -1e-4])
def test_a_score_within_the_tolerance_is_right(difference, aws, endpoint):
    answered(aws, {"predictions": [{**EXPECTED, "score": 0.25 + difference * 0.999}]})
    expected = Check("golden", passed=True, detail="1 of 1 answered as evaluated")
    assert acceptance.check_golden(endpoint, GOLDEN) == expected


@pytest.mark.parametrize(
    "answer",
    [
        {"predictions": [{**EXPECTED, "score": 0.2502}]},
        {"predictions": [{**EXPECTED, "predicted_label": "yes"}]},
        {"predictions": [{**EXPECTED, "score": "0.25"}]},
        {"predictions": [{**EXPECTED, "score": None}]},
        {"predictions": [{"score": 0.25}]},
        {"predictions": [{**EXPECTED, "more": 1}]},
        {"predictions": [EXPECTED, EXPECTED]},
        {"predictions": []},
        {"predictions": EXPECTED},
        [EXPECTED],
        "not JSON",
    ],
)
def test_another_answer_is_wrong(answer, aws, endpoint):
    answered(aws, answer)
    check = acceptance.check_golden(endpoint, GOLDEN)
    assert not check.passed
    assert check.detail == (
        "0 of 1 answered as evaluated; "
        "request 1: another answer than evaluate's, or of another form"
    )


def test_nested_probabilities_are_compared(aws, endpoint):
    expected = {**EXPECTED, "probabilities": {"no": 0.75, "yes": 0.25}}
    golden = dataclasses.replace(
        GOLDEN, requests=(dataclasses.replace(GOLDEN.requests[0], expected=expected),)
    )
    answered(aws, {"predictions": [{**expected, "probabilities": {"no": 0.7, "yes": 0.3}}]})
    assert not acceptance.check_golden(endpoint, golden).passed
    answered(aws, {"predictions": [expected]})
    assert acceptance.check_golden(endpoint, golden).passed


def test_an_answer_of_another_media_type_is_wrong(aws, endpoint):
    answered(aws, {"predictions": [EXPECTED]}, "text/csv")
    check = acceptance.check_golden(endpoint, GOLDEN)
    assert "content type 'text/csv' instead of 'application/json'" in check.detail


def test_a_refused_golden_request_is_wrong(aws, endpoint):
    refused(aws, 400)
    check = acceptance.check_golden(endpoint, GOLDEN)
    assert check.detail.endswith("request 1: status 400")


# --- refusals -----------------------------------------------------------------------------------


def refusals(endpoint):
    return {one.name: one for one in acceptance.check_refusals(endpoint, GOLDEN.requests[0])}


def test_mistakes_are_refused_as_they_should_be(aws, endpoint):
    for status in (415, 400, 400):
        refused(aws, status)
    assert all(check.passed for check in refusals(endpoint).values())


def test_the_mistakes_are_what_they_are_called(aws, endpoint):
    for body, content_type in (
        (BODY, "application/x-unknown"),
        ('{"instances": [[1.0, null, null]]}', "application/json"),
        ('{"instances": [', "application/json"),
    ):
        aws.answers(
            "sagemaker-runtime", "invoke_endpoint",
            {"Body": StreamingBody(BytesIO(b"{}"), 2), "ContentType": "application/json"},
            EndpointName="churn-p-1-dev", Body=body.encode(), ContentType=content_type,
            Accept="application/json",
        )  # fmt: skip
    assert [check.detail for check in refusals(endpoint).values()] == [
        "status 200 instead of 415", "status 200 instead of 400", "status 200 instead of 400",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "message", ["<html>", "{}", '{"status": 500, "detail": "a"}', '{"status": 415, "detail": ""}']
)
def test_a_refusal_without_a_problem_is_wrong(message, aws, endpoint):
    refused(aws, 415, message)
    refused(aws, 400)
    refused(aws, 400)
    checks = refusals(endpoint)
    assert "not a problem" in checks["content_type"].detail
    assert [check.passed for check in checks.values()] == [False, True, True]


# --- latency ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p50", "p99", "passed"),
    [(10, 50, True), (10.1, 50, False), (10, 50.1, False), (1, 1, True)],
)
def test_latency_is_compared_with_its_budgets(p50, p99, passed):
    budgets = Dev(latency_p50_ms=10, latency_p99_ms=50)
    check = latency(p50, p99, budgets.latency_p50_ms, budgets.latency_p99_ms)
    assert check.passed == passed
    assert check.detail == f"p50 {p50:.1f} ms (at most 10), p99 {p99:.1f} ms (at most 50)"


def test_percentiles_are_of_the_nearest_rank():
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]


def test_each_request_is_measured(aws):
    ticks = iter([0.0, 0.001, 5.0, 5.25])
    endpoint = Endpoint(aws("sagemaker-runtime"), "e", clock=lambda: next(ticks))
    answered(aws, {})
    answered(aws, {})
    assert endpoint.latencies_ms(BODY, "application/json", 2) == pytest.approx([1, 250])


# --- the whole ----------------------------------------------------------------------------------


@pytest.fixture
def run(aws, variables, tmp_path):
    return lambda: main(["test", "--output", str(tmp_path / "release")], aws)


@pytest.fixture
def names(variables):
    return Names(variables["PROJECT_KEY"], variables["RELEASE"])


def in_service(aws, config, status="InService", times=2, **more):
    for _ in range(times):
        aws.answers(
            "sagemaker", "describe_endpoint",
            {
                "EndpointName": "churn-p-1-dev", "EndpointConfigName": config, "CreationTime": 0,
                "EndpointArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn-p-1-dev",
                "EndpointStatus": status, "LastModifiedTime": 0, **more,
            },
            EndpointName="churn-p-1-dev",
        )  # fmt: skip


def release_is_there(aws, names, golden=GOLDEN):
    project = {
        "model": {"name": "churn", "problem": "binary", "target": "churn"},
        "evaluate": {"metric": "roc_auc", "threshold": 0.85},
        "deploy": {"dev": {"latency_requests": N_REQUESTS, "latency_p50_ms": 10_000,
                           "latency_p99_ms": 10_000}},
    }  # fmt: skip
    aws.object(names.settings_key, settings.loads(json.dumps(project)).to_json())
    aws.object(names.golden_requests_key, golden.to_json())
    aws.object(names.evaluation_key, EVALUATION.to_json())


def endpoint_answers(aws, score=0.25):
    answered(aws, {"predictions": [{**EXPECTED, "score": score}]})
    for status in (415, 400, 400):
        refused(aws, status)
    for _ in range(N_REQUESTS):
        answered(aws, {})


def test_a_good_endpoint_passes(run, aws, names, tmp_path):
    in_service(aws, names.dev_endpoint_config)
    release_is_there(aws, names)
    endpoint_answers(aws)
    aws.written(names.test_report_key, ContentType="application/json")
    assert run() == 0
    text = (tmp_path / "release/report.json").read_text()
    report = AcceptanceReport.from_json(text, "report.json")
    assert report.passed
    assert [check.name for check in report.checks] == [
        "golden", "content_type", "width", "syntax", "latency",
    ]  # fmt: skip
    metrics = (tmp_path / "release/exports/METRICS").read_text()
    assert metrics == (
        "roc_auc 0.9234 (at least 0.85), champion 0.91, f1 0.8, on 1,500 test rows\n"
    )
    tests = (tmp_path / "release/exports/TESTS").read_text()
    assert tests.startswith("5 of 5 checks passed, 1 golden requests, p50 ")


def test_a_wrong_endpoint_fails_with_all_that_is_wrong(run, aws, names, tmp_path, capsys):
    in_service(aws, names.dev_endpoint_config)
    release_is_there(aws, names)
    endpoint_answers(aws, score=0.9)
    aws.written(names.test_report_key, ContentType="application/json")
    assert run() == 1
    assert not json.loads((tmp_path / "release/report.json").read_text())["passed"]
    assert capsys.readouterr().err.startswith(
        "endpoint churn-p-1-dev: golden: 0 of 1 answered as evaluated; request 1: "
    )


def test_an_endpoint_of_another_release(run, aws, names, capsys):
    in_service(aws, "churn-p-1-dev-older")
    assert run() == 1
    assert capsys.readouterr().err == (
        "endpoint churn-p-1-dev: in service with churn-p-1-dev-older; "
        f"{names.dev_endpoint_config}, this release's. Start the release again.\n"
    )


def test_an_endpoint_that_failed(run, aws, names, capsys):
    in_service(
        aws, names.dev_endpoint_config, "Failed", times=1, FailureReason="health check failed"
    )
    assert run() == 1
    assert capsys.readouterr().err == (
        "endpoint churn-p-1-dev: Failed, health check failed; InService. "
        "Its log is /aws/sagemaker/Endpoints/churn-p-1-dev.\n"
    )


def test_a_release_that_left_no_golden_requests(run, aws, names, capsys):
    in_service(aws, names.dev_endpoint_config)
    release_is_there(aws, names, GoldenRequests("churn", 1e-4, ()))
    assert run() == 1
    assert capsys.readouterr().err.startswith("golden_requests.json: no request; ")


def test_an_error_that_is_not_the_containers_is_not_an_answer(aws, endpoint, run, names, capsys):
    in_service(aws, names.dev_endpoint_config)
    release_is_there(aws, names)
    aws.refuses("sagemaker-runtime", "invoke_endpoint", "ServiceUnavailable", message="busy")
    assert run() == 1
    expected = "InvokeEndpoint: ServiceUnavailable: busy; an answer from AWS.\n"
    assert capsys.readouterr().err == expected


def test_a_report_is_read_as_it_was_written():
    report = AcceptanceReport("r", "e", True, 1, 1.5, 2.5, (Check("golden", True, "fine"),))
    assert AcceptanceReport.from_json(report.to_json(), "report.json") == report
    with pytest.raises(ArtifactError):
        AcceptanceReport.from_json("{}", "report.json")
