"""How every failure of a stage ends: in one Fail state named for it, with a text for a person.

::

    TrainModel ──Catch──▶ ExplainTrainFailure ──▶ ... ──▶ TrainFailed

A job that failed leaves all of its description, as JSON text, in the error's ``Cause``. What a
person needs of it is one sentence: what a processing container wrote to ``output/message``
(``ExitMessage``), else the ``FailureReason``, which for a training container is its
``output/failure``. Any other error has a text already, except when time ran out.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

__all__ = ["CAUSE_PATH", "Failure", "expect", "of_calls", "of_job"]

# Where a Catch puts the error: {"Error": name, "Cause": text}.
_ERROR_PATH = "$.failure"
CAUSE_PATH = f"{_ERROR_PATH}.Cause"


@dataclass(frozen=True)
class Failure:
    """The end of a stage that failed."""

    explanation: sfn.IChainable
    """Where an error goes."""
    end: sfn.Fail
    """Where a cause that is already a text for a person goes."""

    def catch(self, state: sfn.CustomState | sfn.Parallel) -> None:
        """Have every error of `state` end here."""
        state.add_catch(self.explanation, errors=["States.ALL"], result_path=_ERROR_PATH)


def of_job(scope: Construct, stage: str, section: str) -> Failure:
    """Return the end of a stage that runs a job, ``Prepare``, ``Train`` or ``Evaluate``.

    `section` of ``instances`` in ``project.yml`` is what the advice names when time ran out.
    """
    end = _fail(scope, stage)
    without_reason = _without_reason(
        scope,
        stage,
        f"an end within instances/{section}/timeout_minutes of project.yml. "
        "Raise it, unless somebody stopped the job.",
    ).next(end)
    is_description = sfn.Condition.and_(
        sfn.Condition.is_present(CAUSE_PATH), sfn.Condition.string_matches(CAUSE_PATH, "{*}")
    )
    explanation = sfn.Choice(scope, f"Explain{stage}Failure")
    explanation.when(is_description, _read_description(scope, stage, end, without_reason))
    explanation.when(_has_text(CAUSE_PATH), end)
    explanation.otherwise(without_reason)
    return Failure(explanation, end)


def _read_description(
    scope: Construct, stage: str, end: sfn.Fail, without_reason: sfn.IChainable
) -> sfn.Pass:
    """Return the states that put the reason in a job's description into the cause."""
    find_reason = sfn.Choice(scope, f"Find{stage}Reason")
    for field in ("ExitMessage", "FailureReason"):
        path = f"$.failed.job.{field}"
        use = sfn.Pass(scope, f"Use{stage}{field}", input_path=path, result_path=CAUSE_PATH)
        find_reason.when(_has_text(path), use.next(end))
    find_reason.otherwise(without_reason)
    read = sfn.Pass(
        scope,
        f"Read{stage}Job",
        parameters={"job.$": f"States.StringToJson({CAUSE_PATH})"},
        result_path="$.failed",
    )
    read.next(find_reason)
    return read


def of_calls(scope: Construct, stage: str) -> Failure:
    """Return the end of a stage that calls APIs, ``Register`` or ``Deploy``."""
    end = _fail(scope, stage)
    without_reason = _without_reason(
        scope, stage, "an answer from AWS in time. Start the release again."
    )
    explanation = sfn.Choice(scope, f"Explain{stage}Failure")
    explanation.when(_has_text(CAUSE_PATH), end)
    explanation.otherwise(without_reason.next(end))
    return Failure(explanation, end)


def expect(
    scope: Construct, state: sfn.CustomState, text: str, then: sfn.IChainable, *, question: str
) -> None:
    """Have `state` go on with `then` after an error whose cause contains `text`; fail after others.

    `question` names the state that decides.
    """
    is_expected = sfn.Condition.and_(
        sfn.Condition.is_present(CAUSE_PATH),
        sfn.Condition.string_matches(CAUSE_PATH, f"*{text}*"),
    )
    unexpected = sfn.Fail(
        scope,
        f"{state.id}Failed",
        error_path=f"{_ERROR_PATH}.Error",
        cause_path=CAUSE_PATH,
    )
    decision = sfn.Choice(scope, question).when(is_expected, then).otherwise(unexpected)
    state.add_catch(decision, errors=["States.ALL"], result_path=_ERROR_PATH)


def _fail(scope: Construct, stage: str) -> sfn.Fail:
    return sfn.Fail(scope, f"{stage}Failed", error=f"{stage}Failed", cause_path=CAUSE_PATH)


def _has_text(path: str) -> sfn.Condition:
    condition: sfn.Condition = sfn.Condition.and_(
        sfn.Condition.is_present(path),
        sfn.Condition.is_string(path),
        sfn.Condition.not_(sfn.Condition.string_equals(path, "")),
    )
    return condition


def _without_reason(scope: Construct, stage: str, required: str) -> sfn.Pass:
    return sfn.Pass(
        scope,
        f"Name{stage}Error",
        parameters={
            "Cause.$": f"States.Format('{stage}: {{}} without a reason; {required}', "
            f"{_ERROR_PATH}.Error)"
        },
        result_path=_ERROR_PATH,
    )
