"""What the workflow does: every way through it, every failure in its named end."""

from __future__ import annotations

import json
from typing import Any

import pytest

MOST_WAITS = 240  # for the endpoint; then a deployment has failed
JOBS = {"PrepareData": "Prepare", "TrainModel": "Train", "EvaluateModel": "Evaluate"}
STAGE = {
    **JOBS,
    "ReadEvaluation": "Evaluate",
    "CreateModelPackageGroup": "Register",
    "CreateModelPackage": "Register",
    "CreateModel": "Deploy",
    "CreateEndpointConfig": "Deploy",
    "FindEndpoint": "Deploy",
    "CreateEndpoint": "Deploy",
    "DescribeEndpoint": "Deploy",
}


def failed_job(**description: Any) -> tuple[str, str]:
    """Return the error of a job that was accepted and did not complete."""
    return "States.TaskFailed", json.dumps({"ProcessingJobStatus": "Failed", **description})


# --- good releases ------------------------------------------------------------------------------


def test_the_first_release_creates_the_endpoint(execute):
    execution = execute()
    assert execution.status == "SUCCEEDED"
    package_arn = execution.output["registration"]["model_package_arn"]
    assert package_arn.endswith(":model-package/churn/1")
    (model,) = execution.calls("CreateModel")
    assert model["PrimaryContainer"] == {"ModelPackageName": package_arn}
    assert execution.output["deployment"] == {
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-config-r-1",
    }
    assert "CreateEndpoint" in execution.states
    assert "UpdateEndpoint" not in execution.states


def test_a_later_release_updates_it_in_place(execute):
    execution = execute(
        FindEndpoint={"EndpointStatus": "InService"},
        CreateModelPackageGroup=(
            "SageMaker.SageMakerException", "Model Package Group already exists: arn (Service...)"
        ),
    )  # fmt: skip
    assert execution.status == "SUCCEEDED"
    assert "UpdateEndpoint" in execution.states
    assert "CreateEndpoint" not in execution.states
    (update,) = execution.calls("UpdateEndpoint")
    assert update["EndpointConfigName"] == "churn-config-r-1"


def test_an_endpoint_that_failed_is_replaced(execute):
    execution = execute(FindEndpoint={"EndpointStatus": "Failed"})
    assert execution.status == "SUCCEEDED"
    assert execution.states.index("DeleteFailedEndpoint") < execution.states.index("CreateEndpoint")


def test_with_the_pipeline_it_ends_with_the_registered_package(execute, make_input):
    execution = execute(make_input(deploy={"by": "pipeline"}))
    assert execution.status == "SUCCEEDED"
    assert execution.states[-2:] == ["ChooseDeployer", "ReleaseSucceeded"]
    assert "DeployEndpoint" not in execution.states
    (package,) = execution.calls("CreateModelPackage")
    assert package["ModelApprovalStatus"] == "PendingManualApproval"


def test_the_package_carries_what_the_gate_saw(execute):
    (package,) = execute().calls("CreateModelPackage")
    assert package["CustomerMetadataProperties"] == {
        "project": "churn", "release": "r-1", "metric": "roc_auc", "value": "0.934",
        "champion": "none",
    }  # fmt: skip
    assert package["ModelApprovalStatus"] == "Approved"
    assert "Tags" not in package  # a version takes its group's, and AWS refuses its own


# --- the gate -----------------------------------------------------------------------------------


def test_a_rejected_model_is_not_registered(execute, evaluation):
    reasons = ["roc_auc 0.55 on 300 rows; at least 0.9", "worse than the champion"]
    execution = execute(ReadEvaluation=evaluation(passed=False, reasons=reasons))
    assert (execution.status, execution.error) == ("FAILED", "ModelRejected")
    assert json.loads(execution.cause) == reasons
    assert "RegisterModel" not in execution.states


@pytest.mark.parametrize(
    "body",
    [
        "[]", "{}", '{"gate": {}}', '{"gate": null}', '{"gate": {"passed": null}}',
        '{"gate": {"passed": "true"}}', '{"gate": {"passed": 1}}', '{"gate": {"passed": false}}',
        '"yes"',
    ],
)  # fmt: skip
def test_what_is_not_a_decision_is_a_failure(body, execute):
    execution = execute(ReadEvaluation={"Body": body})
    assert (execution.status, execution.error) == ("FAILED", "EvaluateFailed")
    assert execution.cause.startswith("s3://bucket/releases/r-1/evaluation/evaluation.json#/gate")
    assert "RegisterModel" not in execution.states


def test_what_is_not_json_is_a_failure(execute):
    execution = execute(ReadEvaluation={"Body": "not JSON"})
    assert (execution.status, execution.error) == ("FAILED", "EvaluateFailed")
    assert execution.cause


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "stage"), JOBS.items())
def test_a_failed_job_ends_with_its_reason(task, stage, execute):
    reason = "AlgorithmError: data/a.csv:3: 4 columns; 5., exit code: 1"
    execution = execute(**{task: failed_job(FailureReason=reason)})
    assert (execution.error, execution.cause) == (f"{stage}Failed", reason)
    assert len(execution.calls(task)) == 1  # its name is used up: never tried again


@pytest.mark.parametrize(("task", "stage"), JOBS.items())
def test_what_the_container_said_comes_before_sagemakers_reason(task, stage, execute):
    said = "data/a.csv:3: 4 columns; 5 as in the first line. Check its quotes."
    failure = failed_job(ExitMessage=said, FailureReason="AlgorithmError: See job logs")
    execution = execute(**{task: failure})
    assert (execution.error, execution.cause) == (f"{stage}Failed", said)


@pytest.mark.parametrize(("task", "stage"), JOBS.items())
@pytest.mark.parametrize(
    "failure",
    [
        ("States.Timeout", None), ("States.Timeout", ""), failed_job(),
        failed_job(ExitMessage="", FailureReason=""), failed_job(FailureReason=None),
    ],
)  # fmt: skip
def test_a_job_without_a_reason_ends_with_advice(failure, task, stage, execute):
    execution = execute(**{task: failure})
    assert execution.error == f"{stage}Failed"
    assert failure[0] in execution.cause
    assert f"instances/{stage.lower()}/timeout_minutes" in execution.cause


@pytest.mark.parametrize(("task", "stage"), STAGE.items())
def test_an_error_of_aws_ends_in_the_stages_fail_with_its_text(task, stage, execute):
    text = "User is not authorized (Service: SageMaker, Status Code: 400, Request ID: 1)"
    execution = execute(**{task: ("Some.Error", text)})
    assert (execution.status, execution.error, execution.cause) == (
        "FAILED", f"{stage}Failed", text,
    )  # fmt: skip


@pytest.mark.parametrize("task", ["CreateModelPackage", "CreateModel", "DescribeEndpoint"])
def test_an_api_that_does_not_answer_is_named(task, execute):
    execution = execute(**{task: ("States.Timeout", "")})
    assert execution.error == f"{STAGE[task]}Failed"
    assert "States.Timeout" in execution.cause


@pytest.mark.parametrize("task", ["UpdateEndpoint", "DeleteFailedEndpoint"])
def test_a_refused_change_fails_the_deployment(task, execute):
    found = "Failed" if task == "DeleteFailedEndpoint" else "InService"
    execution = execute(
        FindEndpoint={"EndpointStatus": found},
        **{task: ("SageMaker.SageMakerException", "Cannot update in-progress endpoint")},
    )
    assert execution.error == "DeployFailed"
    assert execution.cause == "Cannot update in-progress endpoint"


def all_states(definition: dict[str, Any]) -> dict[str, str]:
    """Return the type of every state, those inside branches too."""
    found = {}
    for name, state in definition["States"].items():
        found[name] = state["Type"]
        for branch in state.get("Branches", []):
            found |= all_states(branch)
    return found


def test_some_execution_goes_through_every_state(definition, execute, evaluation):
    said, reason, nothing = failed_job(ExitMessage="a"), failed_job(FailureReason="b"), failed_job()
    denied = ("SageMaker.SageMakerException", "denied")
    silent = ("States.Timeout", "")
    ways: list[dict[str, Any]] = [
        {},
        {"FindEndpoint": {"EndpointStatus": "InService"}},
        {"FindEndpoint": {"EndpointStatus": "Failed"}},
        {"FindEndpoint": denied},
        {"CreateModelPackageGroup": denied},
        {"CreateModelPackage": silent},
        {"CreateModel": silent},
        {"DescribeEndpoint": endpoint("Failed")},
        {"DescribeEndpoint": endpoint("Failed", FailureReason="c")},
        {"ReadEvaluation": evaluation(passed=False)},
        {"ReadEvaluation": evaluation(passed="yes")},
        *({job: failure} for job in JOBS for failure in (said, reason, nothing)),
    ]
    visited = {state for way in ways for state in execute(**way).states}
    assert visited == set(all_states(definition))


# --- trying again -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("PrepareData", "SageMaker.AmazonSageMakerException"),
        ("TrainModel", "SageMaker.AmazonSageMakerException"),
        ("TrainModel", "SageMaker.ResourceLimitExceededException"),
        ("ReadEvaluation", "S3.S3Exception"),
        ("CreateModelPackageGroup", "SageMaker.SdkClientException"),
        ("CreateModelPackage", "SageMaker.SageMakerException"),
        ("CreateModel", "SageMaker.SdkClientException"),
        ("DescribeEndpoint", "SageMaker.SageMakerException"),
        ("CreateEndpoint", "SageMaker.ResourceLimitExceededException"),
    ],
)
def test_a_passing_error_is_tried_again(task, error, execute, definition):
    good = {
        "ReadEvaluation": {"Body": '{"gate": {"passed": true, "metric": "f1", "value": 1}}'},
        "CreateModelPackage": {"ModelPackageArn": "arn"},
        "DescribeEndpoint": {
            "EndpointStatus": "InService", "EndpointConfigName": "churn-config-r-1",
        },
    }  # fmt: skip
    execution = execute(**{task: [(error, "Rate exceeded"), good.get(task, {})]})
    assert execution.status == "SUCCEEDED", execution.cause
    assert len(execution.calls(task)) == 2


def test_a_taken_name_is_not_tried_again(execute):
    """A first request whose answer was lost: the job runs once, and the release says so."""
    taken = ("SageMaker.ResourceInUseException", "Job name must be unique")
    execution = execute(TrainModel=taken)
    assert (execution.error, execution.cause) == ("TrainFailed", "Job name must be unique")
    assert len(execution.calls("TrainModel")) == 1


def test_an_endpoint_that_is_being_changed_is_waited_for(execute):
    busy = ("SageMaker.SageMakerException", "Cannot update in-progress endpoint")
    execution = execute(
        FindEndpoint={"EndpointStatus": "Updating"}, UpdateEndpoint=[busy, busy, busy, {}]
    )
    assert execution.status == "SUCCEEDED"


# --- the endpoint's ways ------------------------------------------------------------------------

NEW = "churn-config-r-1"


def endpoint(status: str, config: str = NEW, **rest: str) -> dict[str, str]:
    return {"EndpointStatus": status, "EndpointConfigName": config, **rest}


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack"])
def test_a_changing_endpoint_is_waited_for(status, execute):
    execution = execute(DescribeEndpoint=[endpoint(status)] * 3 + [endpoint("InService")])
    assert execution.status == "SUCCEEDED"
    assert len(execution.calls("DescribeEndpoint")) == 4


def test_waiting_ends(execute):
    execution = execute(DescribeEndpoint=endpoint("Updating", "old"))
    assert execution.error == "DeployFailed"
    assert execution.cause.startswith(f"Endpoint churn: Updating with old; InService with {NEW}.")
    assert len(execution.calls("DescribeEndpoint")) == MOST_WAITS + 1


def test_the_wait_outlasts_sagemakers_own_limit_and_ends_within_an_hour(definition, execute):
    (update,) = execute(FindEndpoint={"EndpointStatus": "InService"}).calls("UpdateEndpoint")
    policy = update["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    branch = definition["States"]["DeployEndpoint"]["Branches"][0]["States"]
    waited = branch["WaitForEndpoint"]["Seconds"] * MOST_WAITS
    assert policy["MaximumExecutionTimeoutInSeconds"] < waited <= 3_600


def test_an_update_that_was_rolled_back_is_a_failure(execute):
    execution = execute(
        FindEndpoint={"EndpointStatus": "InService"},
        DescribeEndpoint=[endpoint("Updating", "old"), endpoint("InService", "old")],
    )
    assert execution.error == "DeployFailed"
    assert "InService with old; InService with churn-config-r-1" in execution.cause


@pytest.mark.parametrize(
    "status", ["Failed", "OutOfService", "UpdateRollbackFailed", "Deleting", "InService", "New"]
)
def test_the_endpoints_own_reason_comes_first(status, execute):
    reason = "The primary container did not pass the ping health check."
    last = endpoint(status, "old", FailureReason=reason)
    execution = execute(DescribeEndpoint=[endpoint("Creating"), last])
    assert (execution.error, execution.cause) == ("DeployFailed", reason)


def test_every_status_of_an_endpoint_is_decided(execute):
    """From AWS's own list: no status leads to waiting for ever or to a false success."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    service = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    changing = {"Creating", "Updating", "SystemUpdating", "RollingBack"}
    for status in service.shape_for("EndpointStatus").metadata["enum"]:
        execution = execute(DescribeEndpoint=[endpoint(status), endpoint("InService")])
        succeeded = status in changing | {"InService"}
        assert (execution.status == "SUCCEEDED") == succeeded, status
