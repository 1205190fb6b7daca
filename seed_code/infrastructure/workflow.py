"""The training workflow: from the data of a release to an endpoint that serves it.

::

    PrepareData → TrainModel → EvaluateModel → ReadEvaluation → CheckGate ─┬─▶ ModelRejected
                                                                           └─▶ RegisterModel
      ReleaseSucceeded ◀─ DeployEndpoint ◀─ by: workflow ─ ChooseDeployer ◀──────┘
              ▲────────────────────────────── by: pipeline ──────┘

What differs between releases and projects is read from the execution's input
(:func:`infrastructure.workflow_input.workflow_input`); the state machine is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infrastructure import failures, jobs
from infrastructure.deployment import deploy_endpoint
from infrastructure.registration import register_model
from infrastructure.tasks import Retry, call, job

__all__ = ["RoleArns", "training_workflow"]

_DECISION = "$.evaluation.document.gate"
_READ_RETRIES = (Retry(("S3.S3Exception", "S3.SdkClientException"), 2, 3, 10),)


@dataclass(frozen=True)
class RoleArns:
    """Roles that the workflow hands to SageMaker."""

    prepare: str
    train: str
    evaluate: str
    endpoint: str


def training_workflow(scope: Construct, roles: RoleArns, key_arn: str) -> sfn.CustomState:
    """Return the first state of the workflow; the key encrypts what it makes, and its machines."""
    succeeded = sfn.Succeed(scope, "ReleaseSucceeded")
    deploy = deploy_endpoint(scope, roles.endpoint, key_arn)
    failures.of_calls(scope, "Deploy").catch(deploy)
    deploy.next(succeeded)

    register = register_model(scope)
    failures.of_calls(scope, "Register").catch(register)
    register.next(
        sfn.Choice(scope, "ChooseDeployer")
        .when(sfn.Condition.string_equals("$.deploy.by", "workflow"), deploy)
        .otherwise(succeeded)
    )
    prepare = _prepare(scope, roles.prepare, key_arn)
    train = _train(scope, roles.train, key_arn)
    prepare.next(train)
    train.next(_evaluate(scope, roles.evaluate, key_arn, then=register))
    return prepare


def _prepare(scope: Construct, role_arn: str, key_arn: str) -> sfn.CustomState:
    parameters = jobs.processing("prepare", role_arn, key_arn)
    prepare = job(scope, "PrepareData", "createProcessingJob", parameters, "prepare")
    failures.of_job(scope, "Prepare", "prepare").catch(prepare)
    return prepare


def _train(scope: Construct, role_arn: str, key_arn: str) -> sfn.CustomState:
    parameters = jobs.training(role_arn, key_arn)
    train = job(scope, "TrainModel", "createTrainingJob", parameters, "train")
    failures.of_job(scope, "Train", "train").catch(train)
    return train


def _evaluate(
    scope: Construct, role_arn: str, key_arn: str, *, then: sfn.IChainable
) -> sfn.CustomState:
    parameters = jobs.processing("evaluate", role_arn, key_arn)
    evaluate = job(scope, "EvaluateModel", "createProcessingJob", parameters, "evaluate")
    read = call(
        scope,
        "ReadEvaluation",
        "s3:getObject",
        {"Bucket.$": "$.evaluate.bucket", "Key.$": "$.evaluate.key"},
        result={"document.$": "States.StringToJson($.Body)"},
        result_path="$.evaluation",
        retries=_READ_RETRIES,
    )
    failure = failures.of_job(scope, "Evaluate", "evaluate")
    failure.catch(evaluate)
    failure.catch(read)
    evaluate.next(read).next(_check_gate(scope, then, failure))
    return evaluate


def _check_gate(scope: Construct, then: sfn.IChainable, failure: failures.Failure) -> sfn.Choice:
    """Pass only what evaluate let pass: anything but a clear yes ends the release."""
    passed = f"{_DECISION}.passed"
    is_decided = (sfn.Condition.is_present(passed), sfn.Condition.is_boolean(passed))
    reasons = f"{_DECISION}.reasons"
    undecided = sfn.Pass(
        scope,
        "NameMissingDecision",
        parameters={
            "Cause.$": "States.Format('s3://{}/{}#/gate/passed: no decision; true, or false and "
            "reasons. Read the log of the job {}.', "
            "$.evaluate.bucket, $.evaluate.key, $.evaluate.job_name)"
        },
        result_path="$.failure",
    ).next(failure.end)
    rejected = sfn.Fail(
        scope,
        "ModelRejected",
        error="ModelRejected",
        cause_path=f"States.JsonToString({reasons})",
    )
    gate = sfn.Choice(scope, "CheckGate")
    gate.when(
        sfn.Condition.and_(*is_decided, sfn.Condition.boolean_equals(passed, value=True)), then
    )
    gate.when(
        sfn.Condition.and_(
            *is_decided,
            sfn.Condition.boolean_equals(passed, value=False),
            sfn.Condition.is_present(reasons),
        ),
        rejected,
    )
    gate.otherwise(undecided)
    return gate
