"""The Dev stage's test: what an endpoint must do before a person is asked to approve its release.

================ ===================================================================================
check            holds when
================ ===================================================================================
``golden``       each golden request of the release gets the answer that ``evaluate`` computed
``content_type`` an unknown media type is refused with 415
``width``        a row with a value too many is refused with 400
``syntax``       a body that is not JSON is refused with 400
``latency``      p50 and p99 are within ``deploy/dev`` of project.yml
================ ===================================================================================

Refusals say what is wrong as ``application/problem+json`` (RFC 9457), which SageMaker hands on in
the ``OriginalMessage`` of its ``ModelError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.files import write_whole
from mlsystem import serving_checks
from mlsystem import settings as project_settings
from mlsystem.artifacts import Artifact, Check, Evaluation, GoldenRequest, GoldenRequests
from mlsystem.errors import ArtifactError, UserError
from mlsystem.names import Names
from mlsystem.settings import Dev
from pipeline import exports
from pipeline.endpoint import Endpoint, wait_until_in_service
from pipeline.environment import AcceptanceEnvironment

__all__ = ["AcceptanceReport", "accept", "check_golden", "check_refusals"]

_OK = 200
_JSON = "application/json"


@dataclass(frozen=True)
class AcceptanceReport(Artifact):
    """What was checked on a release's endpoint, and what was found."""

    release: str
    endpoint: str
    passed: bool
    golden_requests: int
    latency_p50_ms: float
    latency_p99_ms: float
    checks: tuple[Check, ...]


def accept(environment: AcceptanceEnvironment, output: Path, client: Callable[[str], Any]) -> None:
    """Test the endpoint; write the report to `output` and into the release's folder of the bucket.

    Exports ``METRICS`` and ``TESTS``, each a line for who approves.

    Raises
    ------
    UserError
        A check does not hold; the report has all of them.
    PlatformError
        The endpoint does not serve this release.
    ArtifactError
        A file of the release cannot be used.
    """
    names = Names(environment.project_key, environment.release)
    s3, bucket = client("s3"), environment.data_bucket
    wait_until_in_service(client("sagemaker"), environment.endpoint_name, names.dev_endpoint_config)
    budgets = project_settings.loads(_text(s3, bucket, names.settings_key), names.settings_key)
    golden = GoldenRequests.from_json(
        _text(s3, bucket, names.golden_requests_key), "golden_requests.json"
    )
    evaluation = Evaluation.from_json(_text(s3, bucket, names.evaluation_key), "evaluation.json")
    report = _report(
        environment.release,
        Endpoint(client("sagemaker-runtime"), environment.endpoint_name),
        golden,
        budgets.deploy.dev,
    )
    write_whole(output / "report.json", report.to_json())
    s3.put_object(
        Bucket=bucket, Key=names.test_report_key, Body=report.to_json().encode(), ContentType=_JSON
    )
    exports.write(output, METRICS=_metrics(evaluation), TESTS=_summary(report))
    print(_summary(report))
    _require(report)


def _text(s3: Any, bucket: str, key: str) -> str:
    text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    return text


def _report(
    release: str, endpoint: Endpoint, golden: GoldenRequests, budgets: Dev
) -> AcceptanceReport:
    if not golden.requests:
        raise ArtifactError(
            "golden_requests.json", "no request", "a request of at least one test row"
        )
    first = golden.requests[0]
    checks = [check_golden(endpoint, golden), *check_refusals(endpoint, first)]
    latencies = endpoint.latencies_ms(first.body, first.content_type, budgets.latency_requests)
    p50, p99 = serving_checks.percentile(latencies, 0.5), serving_checks.percentile(latencies, 0.99)
    checks.append(serving_checks.latency(p50, p99, budgets.latency_p50_ms, budgets.latency_p99_ms))
    return AcceptanceReport(
        release=release,
        endpoint=endpoint.name,
        passed=all(check.passed for check in checks),
        golden_requests=len(golden.requests),
        latency_p50_ms=round(p50, 3),
        latency_p99_ms=round(p99, 3),
        checks=tuple(checks),
    )


# --- golden requests ----------------------------------------------------------------------------


def check_golden(endpoint: Endpoint, golden: GoldenRequests) -> Check:
    """Return whether `endpoint` answers every golden request as expected."""
    return serving_checks.golden([_mistake(endpoint, golden, each) for each in golden.requests])


def _mistake(endpoint: Endpoint, golden: GoldenRequests, request: GoldenRequest) -> str:
    """Return what is wrong with the answer to `request`, if anything."""
    answer = endpoint.ask(request.body, request.content_type, request.accept)
    if answer.status != _OK:
        return f"status {answer.status}"
    if not answer.content_type.startswith(request.accept):
        return f"content type {answer.content_type!r} instead of {request.accept!r}"
    if not golden.is_answer(request, _parsed(answer.body)):
        return "another answer than evaluate's, or of another form"
    return ""


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def check_refusals(endpoint: Endpoint, request: GoldenRequest) -> Iterator[Check]:
    """Yield whether `endpoint` refuses each of the mistakes that can be made with `request`."""

    def ask(body: str, content_type: str) -> tuple[int, Any]:
        answer = endpoint.ask(body, content_type)
        return answer.status, _parsed(answer.body)

    return serving_checks.refusals(ask, request)


# --- words --------------------------------------------------------------------------------------


def _metrics(evaluation: Evaluation) -> str:
    gate = evaluation.gate
    bound = "at least" if gate.direction == "minimum" else "at most"
    parts = [f"{gate.metric} {evaluation.metrics[gate.metric]:.4g} ({bound} {gate.threshold:g})"]
    if evaluation.champion_metrics and gate.metric in evaluation.champion_metrics:
        parts.append(f"champion {evaluation.champion_metrics[gate.metric]:.4g}")
    others = (item for item in evaluation.metrics.items() if item[0] != gate.metric)
    parts += [f"{name} {value:.4g}" for name, value in others]
    return ", ".join([*parts, f"on {evaluation.rows:,} test rows"])


def _summary(report: AcceptanceReport) -> str:
    n_passed = sum(check.passed for check in report.checks)
    return (
        f"{n_passed} of {len(report.checks)} checks passed, {report.golden_requests} golden "
        f"requests, p50 {report.latency_p50_ms:.1f} ms, p99 {report.latency_p99_ms:.1f} ms"
    )


def _require(report: AcceptanceReport) -> None:
    failed = [f"{check.name}: {check.detail}" for check in report.checks if not check.passed]
    if failed:
        raise UserError(
            f"endpoint {report.endpoint}", " | ".join(failed), "every check",
            "Correct the code, or the budgets in deploy/dev of project.yml",
        )  # fmt: skip
