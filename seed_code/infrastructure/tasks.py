"""A Task state: the call, how long it may take, what is tried again.

Names of errors: what the SDK behind Step Functions calls them, prefixed with the service. The
optimized integrations (``.sync``) and the AWS SDK integrations (``aws-sdk``) use different SDKs, so
the errors that a service has no name for (throttling, validation) are called differently.

Sources: `SageMaker jobs <https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html>`_,
`errors <https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>`_.

A request that is tried again may find that it had succeeded and only its answer was lost. Its name
is then taken, AWS says so, and the stage fails with that: nothing is made or run twice. (A repeated
registration has a token by which AWS knows it, and answers as the first time.) A job that was
accepted and failed (``States.TaskFailed``) or took too long (``States.Timeout``) is never tried
again: its name is used up, and its failure is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

__all__ = ["CALL_RETRIES", "JOB_RETRIES", "Retry", "call", "job"]


@dataclass(frozen=True)
class Retry:
    """When to try again: after up to `seconds`, then longer, at most `attempts` times.

    Every interval is a random part of its maximum (full jitter), so that releases which were
    refused together do not come back together.
    """

    errors: tuple[str, ...]
    seconds: int
    attempts: int
    most_seconds: int

    def add_to(self, state: sfn.CustomState) -> None:
        """Have `state` try again."""
        state.add_retry(
            errors=list(self.errors),
            interval=Duration.seconds(self.seconds),
            max_attempts=self.attempts,
            backoff_rate=1.5,
            max_delay=Duration.seconds(self.most_seconds),
            jitter_strategy=sfn.JitterType.FULL,
        )


# An account's quota of instances is free again when another job ends: worth an hour of waiting.
_NO_CAPACITY = Retry(("SageMaker.ResourceLimitExceededException",), 60, 15, 300)

# Throttling has no name of its own: it is the service's general error, as is a request that is
# wrong. Trying a wrong one again costs about a minute and its error is reported all the same.
JOB_RETRIES = (_NO_CAPACITY, Retry(("SageMaker.AmazonSageMakerException",), 5, 5, 60))
CALL_RETRIES = (
    _NO_CAPACITY,
    Retry(("SageMaker.SageMakerException", "SageMaker.SdkClientException"), 5, 5, 60),
)

_CALL_SECONDS = 120


def job(
    scope: Construct, name: str, api: str, parameters: Mapping[str, Any], section: str
) -> sfn.CustomState:
    """Return a task that starts a SageMaker job and waits for its end.

    `section` of the execution's input has its ``timeout_seconds``.
    """
    return _task(
        scope,
        name,
        {
            "Resource": f"arn:{Aws.PARTITION}:states:::sagemaker:{api}.sync",
            "Parameters": parameters,
            "TimeoutSecondsPath": f"$.{section}.timeout_seconds",
            "ResultPath": sfn.JsonPath.DISCARD,
        },
        JOB_RETRIES,
    )


def call(
    scope: Construct,
    name: str,
    api: str,
    parameters: Mapping[str, Any],
    *,
    result: Mapping[str, Any] | None = None,
    result_path: str = sfn.JsonPath.DISCARD,
    retries: Sequence[Retry] = CALL_RETRIES,
) -> sfn.CustomState:
    """Return a task that calls an AWS API, for instance ``sagemaker:createModel``.

    Of its answer it keeps what `result` selects (all when not given) at `result_path` (nowhere).
    """
    body: dict[str, Any] = {
        "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:{api}",
        "Parameters": parameters,
        "TimeoutSeconds": _CALL_SECONDS,
        "ResultPath": result_path,
    }
    if result is not None:
        body["ResultSelector"] = result
    return _task(scope, name, body, retries)


def _task(
    scope: Construct, name: str, body: Mapping[str, Any], retries: Sequence[Retry]
) -> sfn.CustomState:
    state = sfn.CustomState(scope, name, state_json={"Type": "Task", **body})
    for retry in retries:
        retry.add_to(state)
    return state
