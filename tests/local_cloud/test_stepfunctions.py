"""State machines run as on AWS: what they call, with which role, how they fail and how they stop.

SageMaker is one whose jobs do what a test says; real jobs are tested beside the real service.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import moto.sagemaker.urls
import pytest
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.sagemaker.responses import SageMakerResponse
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from local_cloud.cloud import LocalCloud
from local_cloud.stepfunctions import _stop_all

from .conftest import MakeRole, policy, wait_for

STATES = "states.amazonaws.com"
EVENTS = "arn:aws:events:xx-local-1:000000000000:rule/StepFunctionsGetEventsForSageMaker"
#: Everything that a state machine with `.sync` tasks needs, resource by resource.
SYNC = (
    (["events:PutTargets", "events:PutRule", "events:DescribeRule"], f"{EVENTS}*JobsRule"),
    ("sagemaker:*", "*"),
    ("iam:PassRole", "*"),
)


@dataclass
class Jobs:
    """What the jobs of the fake do, and what was asked of them."""

    status: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    meanwhile: Callable[[str], None] | None = None


class FakeSageMaker(SageMakerResponse):  # type: ignore[misc]
    """The API of SageMaker in front of jobs that do what `jobs` says."""

    jobs: ClassVar[Jobs] = Jobs()

    def _create(self, kind: str) -> str:
        self.jobs.calls += 1
        request = json.loads(self.body)
        name = request[f"{kind}Name"]
        if self.jobs.meanwhile is not None:
            self.jobs.meanwhile(name)
        if self.jobs.errors:
            raise JsonRESTError(*self.jobs.errors.pop(0))
        self.jobs.requests[name] = request
        self.jobs.status.setdefault(name, "Completed")
        return json.dumps({f"{kind}Arn": f"arn:aws:sagemaker:::{kind.lower()}/{name}"})

    def _describe(self, kind: str) -> str:
        name = json.loads(self.body)[f"{kind}Name"]
        answer = {
            f"{kind}Name": name,
            f"{kind}Status": self.jobs.status[name],
            "CreationTime": 1_700_000_000.5,
        }
        if name in self.jobs.reasons:
            answer["FailureReason"] = self.jobs.reasons[name]
        return json.dumps(answer)

    def _stop(self, kind: str) -> str:
        name = json.loads(self.body)[f"{kind}Name"]
        self.jobs.stopped.append(name)
        self.jobs.status[name] = "Stopped"
        return "{}"

    def create_training_job(self) -> str:
        return self._create("TrainingJob")

    def describe_training_job(self) -> str:
        return self._describe("TrainingJob")

    def stop_training_job(self) -> str:
        return self._stop("TrainingJob")

    def create_processing_job(self) -> str:
        return self._create("ProcessingJob")

    def describe_processing_job(self) -> str:
        return self._describe("ProcessingJob")

    def stop_processing_job(self) -> str:
        return self._stop("ProcessingJob")

    def create_transform_job(self) -> str:
        return self._create("TransformJob")

    def describe_transform_job(self) -> str:
        return self._describe("TransformJob")

    def stop_transform_job(self) -> str:
        return self._stop("TransformJob")


@pytest.fixture(scope="module")
def service(cloud: LocalCloud) -> LocalCloud:
    """The cloud, with the fake in place of SageMaker."""
    cloud.replace(moto.sagemaker.urls, "url_paths", {"{0}/$": FakeSageMaker.dispatch})
    return cloud


@pytest.fixture
def jobs() -> Jobs:
    FakeSageMaker.jobs = Jobs()
    return FakeSageMaker.jobs


@dataclass
class Machines:
    """Makes state machines and executions."""

    cloud: LocalCloud
    role: str
    count: int = 0

    def create(self, definition: dict[str, Any], **options: Any) -> str:
        self.count += 1
        parameters = {
            "name": f"machine-{self.count}",
            "roleArn": self.role,
            "definition": json.dumps(definition),
            **options,
        }
        created = self.cloud.client("stepfunctions").create_state_machine(**parameters)
        return str(created["stateMachineArn"])

    def start(self, definition: dict[str, Any], data: Any = None, **options: Any) -> str:
        started = self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.create(definition, **options),
            name=f"run-{self.count}",
            input=json.dumps(data or {}),
        )
        return str(started["executionArn"])

    def describe(self, execution: str) -> dict[str, Any]:
        described: dict[str, Any] = self.cloud.client("stepfunctions").describe_execution(
            executionArn=execution
        )
        return described

    def finish(self, execution: str) -> dict[str, Any]:
        return dict(wait_for(lambda: _unless_running(self.describe(execution))))

    def run(self, definition: dict[str, Any], data: Any = None, **options: Any) -> dict[str, Any]:
        return self.finish(self.start(definition, data, **options))

    def history(self, execution: str) -> list[str]:
        events = self.cloud.client("stepfunctions").get_execution_history(executionArn=execution)
        return [event["type"] for event in events["events"]]


def _unless_running(description: dict[str, Any]) -> dict[str, Any] | None:
    return None if description["status"] == "RUNNING" else description


@pytest.fixture(scope="module")
def machines(service: LocalCloud, make_role: MakeRole) -> Machines:
    s3 = service.client("s3")
    s3.create_bucket(
        Bucket="results", CreateBucketConfiguration={"LocationConstraint": service.region}
    )
    s3.put_object(
        Bucket="results", Key="evaluation.json", Body=b'{"passed": true, "reasons": ["good"]}'
    )
    return Machines(service, make_role(*SYNC, ("s3:*", "*"), service=STATES))


def one(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition with one state."""
    return {"StartAt": "State", "States": {"State": {"End": True, **state}}, **more}


def job(kind: str = "TrainingJob", **more: Any) -> dict[str, Any]:
    """A task that runs a job named by the execution."""
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::sagemaker:create{kind}.sync",
        "Parameters": {f"{kind}Name.$": "$$.Execution.Name", **PARAMETERS[kind]},
        **more,
    }


CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
PARAMETERS: dict[str, dict[str, Any]] = {
    "TrainingJob": {
        "RoleArn": "arn:aws:iam::000000000000:role/job",
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://results/out"},
        "ResourceConfig": {**CLUSTER, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    },
    "ProcessingJob": {
        "RoleArn": "arn:aws:iam::000000000000:role/job",
        "AppSpecification": {"ImageUri": "i"},
        "ProcessingResources": {"ClusterConfig": {**CLUSTER, "VolumeSizeInGB": 1}},
    },
    "TransformJob": {
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://results/in"}}
        },
        "TransformOutput": {"S3OutputPath": "s3://results/out"},
        "TransformResources": CLUSTER,
    },
}


def sdk(operation: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::aws-sdk:{operation}",
        "Parameters": parameters,
        **more,
    }


# ------------------------------------------------------------------------------ jobs


@pytest.mark.parametrize("kind", ["TrainingJob", "ProcessingJob", "TransformJob"])
def test_a_job_is_run_and_described(machines: Machines, jobs: Jobs, kind: str) -> None:
    execution = machines.start(one(job(kind)))
    finished = machines.finish(execution)
    name = execution.rpartition(":")[2]
    assert json.loads(finished["output"]) == {
        f"{kind}Name": name,
        f"{kind}Status": "Completed",
        "CreationTime": 1_700_000_000_500,  # as this integration writes times
    }
    assert machines.history(execution) == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    managed = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}
    assert jobs.requests[name]["Tags"] == [managed]


def test_an_execution_without_a_name_has_one(machines: Machines) -> None:
    machine = machines.create({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
    states = machines.cloud.client("stepfunctions")
    arns = [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(2)]
    for arn in arns:
        assert uuid.UUID(arn.rpartition(":")[2]).version == 4
        assert machines.finish(arn)["status"] == "SUCCEEDED"
    assert arns[0] != arns[1]


def test_tags_of_the_task_are_kept(machines: Machines, jobs: Jobs) -> None:
    task = job()
    task["Parameters"] = {**task["Parameters"], "Tags": [{"Key": "release", "Value": "r1"}]}
    machines.run(one(task))
    (request,) = jobs.requests.values()
    assert [tag["Key"] for tag in request["Tags"]] == ["release", "MANAGED_BY_AWS"]


def test_a_state_waits_until_its_job_is_done(machines: Machines, jobs: Jobs) -> None:
    jobs.status["run-waits"] = "InProgress"
    task = job(Parameters={"TrainingJobName": "run-waits", **PARAMETERS["TrainingJob"]})
    execution = machines.start(one(task))
    wait_for(lambda: "TaskSubmitted" in machines.history(execution))
    assert machines.describe(execution)["status"] == "RUNNING"
    jobs.status["run-waits"] = "Completed"
    assert machines.finish(execution)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_failed_job_fails_its_state_with_the_whole_description(
    machines: Machines, jobs: Jobs, status: str
) -> None:
    reason = 'data.csv: line 7: 3 columns; 4 are required. "Quote" it'
    jobs.status["failing"], jobs.reasons["failing"] = status, reason
    task = job(Parameters={"TrainingJobName": "failing", **PARAMETERS["TrainingJob"]})
    definition = {
        "StartAt": "Train",
        "States": {
            "Train": {
                **task,
                "End": True,
                "Catch": [
                    {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.error", "Next": "Read"}
                ],
            },
            "Read": {
                "Type": "Pass",
                "Parameters": {
                    "Error.$": "$.error.Error",
                    "Job.$": "States.StringToJson($.error.Cause)",
                },
                "Next": "TrainingFailed",
            },
            "TrainingFailed": {
                "Type": "Fail",
                "Error": "TrainingFailed",
                "CausePath": "$.Job.FailureReason",
            },
        },
    }
    finished = machines.run(definition)
    assert (finished["status"], finished["error"]) == ("FAILED", "TrainingFailed")
    assert finished["cause"] == reason


def test_a_state_that_times_out_stops_its_job(machines: Machines, jobs: Jobs) -> None:
    jobs.status["slow"] = "InProgress"
    task = job(
        Parameters={"TrainingJobName": "slow", **PARAMETERS["TrainingJob"]},
        TimeoutSeconds=1,
        Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "TimedOut"}],
    )
    definition = one(task)
    definition["States"]["TimedOut"] = {"Type": "Fail", "ErrorPath": "$.Error"}
    execution = machines.start(definition)
    assert machines.finish(execution)["error"] == "States.Timeout"
    wait_for(lambda: jobs.stopped == ["slow"])
    history = machines.history(execution)
    assert "TaskTimedOut" in history
    assert "TaskSucceeded" not in history


def test_an_execution_that_times_out_stops_its_job(machines: Machines, jobs: Jobs) -> None:
    jobs.status["long"] = "InProgress"
    task = job(Parameters={"TrainingJobName": "long", **PARAMETERS["TrainingJob"]})
    assert machines.run(one(task, TimeoutSeconds=1))["status"] == "TIMED_OUT"
    wait_for(lambda: jobs.stopped == ["long"])


def test_stopping_an_execution_stops_its_job(machines: Machines, jobs: Jobs) -> None:
    jobs.status["running"] = "InProgress"
    task = job(
        Parameters={"TrainingJobName": "running", **PARAMETERS["TrainingJob"]},
        Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 30, "MaxAttempts": 3}],
        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
    )
    definition = one(task)
    definition["States"]["Caught"] = {"Type": "Succeed"}
    execution = machines.start(definition)
    wait_for(lambda: "TaskSubmitted" in machines.history(execution))
    answer = machines.cloud.client("stepfunctions").stop_execution(
        executionArn=execution, error="Operator", cause="no longer needed"
    )
    finished = machines.describe(execution)
    assert (finished["status"], finished["error"], finished["cause"]) == (
        "ABORTED",
        "Operator",
        "no longer needed",
    )
    assert answer["stopDate"] == finished["stopDate"]
    assert jobs.stopped == ["running"]
    history = machines.history(execution)
    assert history[-1] == "ExecutionAborted"
    assert not {"TaskSucceeded", "TaskFailed"} & set(history)


def test_stopping_an_execution_at_once_stops_it(machines: Machines, jobs: Jobs) -> None:
    """It may not even have begun."""
    for _ in range(5):
        execution = machines.start(one({"Type": "Wait", "Seconds": 1_000_000}))
        machines.cloud.client("stepfunctions").stop_execution(executionArn=execution)
        assert machines.describe(execution)["status"] == "ABORTED"


def test_an_execution_that_has_not_begun_is_stopped(machines: Machines, jobs: Jobs) -> None:
    begin = threading.Event()

    def execute(worker: ExecutionWorker) -> None:
        begin.wait(10)
        original(worker)

    original = machines.cloud.replace(ExecutionWorker, "_execution_logic", execute)
    try:
        execution = machines.start(one({"Type": "Wait", "Seconds": 1_000_000}))
        threading.Timer(0.2, begin.set).start()
        machines.cloud.client("stepfunctions").stop_execution(executionArn=execution)
    finally:
        ExecutionWorker._execution_logic = original
    assert machines.describe(execution)["status"] == "ABORTED"


def test_a_stopped_execution_is_aborted_though_its_call_fails(
    machines: Machines, jobs: Jobs
) -> None:
    """The call is under way when the execution is stopped, and fails afterwards."""
    client = machines.cloud.client("stepfunctions")
    stops = []

    def stop_meanwhile(name: str) -> None:
        machine = f"machine-{machines.count}"
        place = f"arn:aws:states:{machines.cloud.region}:{machines.cloud.account_id}"
        arn = f"{place}:execution:{machine}:{name}"
        stopping = threading.Thread(target=lambda: client.stop_execution(executionArn=arn))
        stopping.start()
        stops.append(stopping)
        backend = stepfunctions_parser_backends[machines.cloud.account_id][machines.cloud.region]
        execution = backend.describe_execution(arn)
        wait_for(lambda: not execution.exec_worker.env.is_running())

    jobs.meanwhile, jobs.errors = stop_meanwhile, [("ValidationException", "too late")]
    execution = machines.start(one(job()))
    finished = machines.finish(execution)
    for stopping in stops:
        stopping.join(10)
    assert finished["status"] == "ABORTED"
    assert machines.history(execution)[-1] == "ExecutionAborted"


def test_the_end_of_the_cloud_stops_every_job(machines: Machines, jobs: Jobs) -> None:
    jobs.status["left"] = "InProgress"
    task = job(Parameters={"TrainingJobName": "left", **PARAMETERS["TrainingJob"]})
    execution = machines.start(one({"Type": "Parallel", "Branches": [one(task)]}))
    wait_for(lambda: "left" in jobs.requests)
    _stop_all(machines.cloud)
    assert jobs.stopped == ["left"]
    assert machines.describe(execution)["status"] == "ABORTED"


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ResourceLimitExceeded", "SageMaker.ResourceLimitExceededException"),
        ("ResourceInUse", "SageMaker.ResourceInUseException"),
        ("ValidationException", "SageMaker.AmazonSageMakerException"),
        ("ThrottlingException", "SageMaker.AmazonSageMakerException"),
    ],
)
def test_names_of_errors_of_sagemaker(machines: Machines, jobs: Jobs, code: str, name: str) -> None:
    jobs.errors = [(code, "no")]
    finished = machines.run(one(job()))
    assert finished["error"] == name
    assert finished["cause"].startswith(
        f"no (Service: AmazonSageMaker; Status Code: 400; Error Code: {code}; Request ID: "
    )


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ResourceLimitExceeded", "SageMaker.ResourceLimitExceededException"),
        ("ValidationException", "SageMaker.SageMakerException"),
    ],
)
def test_names_of_errors_of_the_sdk(machines: Machines, jobs: Jobs, code: str, name: str) -> None:
    jobs.errors = [(code, "no")]
    parameters = {"TrainingJobName": "t", **PARAMETERS["TrainingJob"]}
    finished = machines.run(one(sdk("sagemaker:createTrainingJob", parameters)))
    assert finished["error"] == name
    assert finished["cause"].startswith("no (Service: SageMaker, Status Code: 400, Request ID: ")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (sdk("s3:getObject", {"Bucket": "results", "Key": "x"}), "S3.NoSuchKeyException"),
        (sdk("s3:headBucket", {"Bucket": "nowhere"}), "S3.S3Exception"),
        (sdk("ssm:getParameter", {"Name": "x"}), "Ssm.SsmException"),  # denied
    ],
)
def test_names_of_errors_of_other_services(
    machines: Machines, task: dict[str, Any], name: str
) -> None:
    assert machines.run(one(task))["error"] == name


def test_retries_are_made_in_a_short_time(machines: Machines, jobs: Jobs) -> None:
    """Ten minutes of waiting on AWS."""
    jobs.errors = [("ThrottlingException", "slow down")] * 3
    retry = {
        "ErrorEquals": ["SageMaker.AmazonSageMakerException"],
        "IntervalSeconds": 200,
        "BackoffRate": 2,
        "MaxDelaySeconds": 250,
        "JitterStrategy": "FULL",
        "MaxAttempts": 3,
    }
    begin = time.monotonic()
    assert machines.run(one(job(Retry=[retry])))["status"] == "SUCCEEDED"
    assert jobs.calls == 4
    assert time.monotonic() - begin < 5


def test_retries_end(machines: Machines, jobs: Jobs) -> None:
    jobs.errors = [("ResourceLimitExceeded", f"attempt {number}") for number in range(4)]
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 2}
    finished = machines.run(one(job(Retry=[retry])))
    assert finished["cause"].startswith("attempt 2")
    assert jobs.calls == 3


# ------------------------------------------------------------------------------ the SDK


def test_an_object_comes_back_as_text(machines: Machines) -> None:
    task = sdk(
        "s3:getObject",
        {"Bucket": "results", "Key": "evaluation.json"},
        ResultSelector={"Evaluation.$": "States.StringToJson($.Body)"},
    )
    finished = machines.run(one(task))
    assert json.loads(finished["output"]) == {"Evaluation": {"passed": True, "reasons": ["good"]}}


def test_an_object_that_is_no_text_fails_by_name(machines: Machines) -> None:
    machines.cloud.client("s3").put_object(Bucket="results", Key="bytes", Body=b"\xff\xfe")
    finished = machines.run(one(sdk("s3:getObject", {"Bucket": "results", "Key": "bytes"})))
    assert finished["error"] == "States.Runtime"


def test_times_of_the_sdk_are_text_and_keys_begin_with_a_capital(machines: Machines) -> None:
    cloud = machines.cloud
    cloud.client("iam").put_role_policy(
        RoleName=machines.role.rpartition("/")[2],
        PolicyName="logs",
        PolicyDocument=policy(
            {"Effect": "Allow", "Action": ["logs:*", "states:*", "kms:*"], "Resource": "*"}
        ),
    )
    machine = machines.create(one({"Type": "Pass"}))
    task = sdk("sfn:describeStateMachine", {"StateMachineArn": machine})
    output = json.loads(machines.run(one(task))["output"])
    assert output["StateMachineArn"] == machine
    assert output["CreationDate"].endswith("Z")
    assert "T" in output["CreationDate"]


@pytest.mark.parametrize(
    "parameters", [{"Bucket": "results", "Keys": "a"}, {"Bucket": "results", "Key": 1}]
)
def test_wrong_parameters_fail_by_name(machines: Machines, parameters: dict[str, Any]) -> None:
    finished = machines.run(one(sdk("s3:getObject", parameters)))
    assert finished["error"] == "States.Runtime"
    assert "Key" in finished["cause"]


def test_an_operation_without_sync_has_what_the_sdk_of_aws_adds(
    machines: Machines, jobs: Jobs
) -> None:
    task = job()
    task["Resource"] = task["Resource"].removesuffix(".sync")
    output = json.loads(machines.run(one(task))["output"])
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert output["SdkResponseMetadata"]["RequestId"]
    assert output["TrainingJobArn"]
    (request,) = jobs.requests.values()
    assert "Tags" not in request


# ------------------------------------------------------------------------------ permissions


def test_a_task_needs_the_permission_of_its_call(
    machines: Machines, jobs: Jobs, make_role: MakeRole
) -> None:
    events, _, passing = SYNC
    actions = ["sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:AddTags"]
    whole = make_role(events, (actions, "*"), passing, service=STATES)
    assert machines.run(one(job()), roleArn=whole)["status"] == "SUCCEEDED"
    for missing in actions:
        rest = [action for action in actions if action != missing]
        role = make_role(events, (rest, "*"), passing, service=STATES)
        finished = machines.run(one(job()), roleArn=role)
        assert finished["error"] == "SageMaker.AmazonSageMakerException"
        assert f"not authorized to perform: {missing} on resource" in finished["cause"]
    without = make_role(events, (actions, "*"), service=STATES)
    assert "iam:PassRole" in machines.run(one(job()), roleArn=without)["cause"]


def test_the_role_must_trust_step_functions(machines: Machines, make_role: MakeRole) -> None:
    with pytest.raises(ClientError, match=r"AccessDeniedException.*states.amazonaws.com"):
        machines.create(one({"Type": "Pass"}), roleArn=make_role(service="lambda.amazonaws.com"))


@pytest.mark.parametrize("missing", ["PutTargets", "PutRule", "DescribeRule"])
def test_a_job_needs_the_rule_that_tells_of_its_end(
    machines: Machines, make_role: MakeRole, missing: str
) -> None:
    actions = [f"events:{_}" for _ in ("PutTargets", "PutRule", "DescribeRule") if _ != missing]
    role = make_role((actions, f"{EVENTS}ProcessingJobsRule"), *SYNC[1:], service=STATES)
    message = rf"AccessDeniedException.*'{role}' is not authorized to create managed-rule"
    with pytest.raises(ClientError, match=message):
        machines.create(one(job("ProcessingJob")), roleArn=role)


def test_logging_needs_permission_and_writes(machines: Machines, make_role: MakeRole) -> None:
    cloud = machines.cloud
    cloud.client("logs").create_log_group(logGroupName="/states/churn")
    group = f"arn:aws:logs:{cloud.region}:{cloud.account_id}:log-group:/states/churn:*"
    logging = {
        "level": "ALL",
        "includeExecutionData": True,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    with pytest.raises(ClientError, match="not authorized to access the Log Destination"):
        machines.create(
            one({"Type": "Pass"}),
            roleArn=make_role(service=STATES),
            loggingConfiguration=logging,
        )
    role = make_role(("logs:*", "*"), service=STATES)
    pass_state = one({"Type": "Pass", "Result": {"auc": 0.9}})
    execution = machines.start(pass_state, roleArn=role, loggingConfiguration=logging)
    machines.finish(execution)
    events = cloud.client("logs").filter_log_events(logGroupName="/states/churn")["events"]
    messages = [json.loads(event["message"]) for event in events]
    assert [message["type"] for message in messages] == machines.history(execution)
    assert messages[-1]["execution_arn"] == execution
    assert messages[-1]["details"]["output"] == '{"auc":0.9}'


# ------------------------------------------------------------------------------ creation


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (job(Resource="arn:aws:states:::lambda:invoke"), "lambda:invoke"),
        (job(Resource="arn:aws:lambda:xx-local-1:0:function:f"), "function:f"),
        (job(Resource="arn:aws:states:::aws-sdk:dynamodb:getItem"), "dynamodb:getItem"),
        (job(Resource="arn:aws:states:::aws-sdk:s3:getObjekt"), "s3:getObjekt"),
        (job(Resource="arn:aws:states:::aws-sdk:s3:getObject.waitForTaskToken"), "TaskToken"),
        (job(Resource="arn:aws:states:::sagemaker:createModel.sync"), "createModel.sync"),
        (job(Resource="arn:aws:states:::sagemaker:describeModel"), "describeModel"),
        ({"Type": "Pass", "QueryLanguage": "JSONata"}, "JSONata"),
        (
            {
                "Type": "Map",
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    **one({"Type": "Pass"}),
                },
            },
            "DISTRIBUTED",
        ),
    ],
)
def test_what_cannot_run_here_is_refused_by_name(
    machines: Machines, state: dict[str, Any], named: str
) -> None:
    for definition in (one(state), one({"Type": "Parallel", "Branches": [one(state)]})):
        with pytest.raises(ClientError, match=rf"LocalCloudUnsupported.*{named}"):
            machines.create(definition)


def test_express_is_refused(machines: Machines) -> None:
    with pytest.raises(ClientError, match=r"LocalCloudUnsupported.*EXPRESS"):
        machines.create(one({"Type": "Pass"}), type="EXPRESS")


def test_a_broken_definition_is_refused(machines: Machines) -> None:
    for definition in ("{", "[]", '{"StartAt": "Missing"}', '{"StartAt": "A", "States": 1}'):
        with pytest.raises(ClientError, match="InvalidDefinition"):
            machines.cloud.client("stepfunctions").create_state_machine(
                name="broken", definition=definition, roleArn=machines.role
            )


def test_a_name_stands_for_one_definition(machines: Machines) -> None:
    first = machines.create(one({"Type": "Pass"}), name="unique")
    assert machines.create(one({"Type": "Pass"}), name="unique") == first
    with pytest.raises(ClientError, match="StateMachineAlreadyExists"):
        machines.create(one({"Type": "Succeed", "End": False}), name="unique")


def test_an_update_is_checked_and_counts(machines: Machines) -> None:
    client = machines.cloud.client("stepfunctions")
    machine = machines.create(one({"Type": "Pass"}))
    wrong = json.dumps(one({"Type": "Task", "Resource": "arn:aws:states:::sns:publish"}))
    with pytest.raises(ClientError, match=r"sns:publish"):
        client.update_state_machine(stateMachineArn=machine, definition=wrong)
    changed = json.dumps(one({"Type": "Pass", "Result": "changed"}))
    client.update_state_machine(stateMachineArn=machine, definition=changed)
    execution = client.start_execution(stateMachineArn=machine, name="after")["executionArn"]
    assert machines.finish(execution)["output"] == '"changed"'


# ------------------------------------------------------------------------------ the language


def test_a_wait_shrinks(machines: Machines) -> None:
    begin = time.monotonic()
    finished = machines.run(one({"Type": "Wait", "SecondsPath": "$.bake"}), {"bake": 300})
    assert finished["status"] == "SUCCEEDED"
    assert 0.3 <= time.monotonic() - begin < 3


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ({"passed": True, "name": "churn-r1"}, "Good"),
        ({"passed": False, "name": "churn-r1"}, "Bad"),
        ({"name": "churn-r1"}, "Bad"),
        ({"passed": True, "name": "iris-r1"}, "Bad"),
        ({"passed": None, "name": "churn-r1"}, "Bad"),
    ],
)
def test_a_gate_fails_closed(machines: Machines, gate: dict[str, Any], expected: str) -> None:
    rule = {
        "And": [
            {"Variable": "$.passed", "IsPresent": True},
            {"Variable": "$.passed", "IsBoolean": True},
            {"Variable": "$.passed", "BooleanEquals": True},
            {"Variable": "$.name", "StringMatches": "churn-*"},
        ],
        "Next": "Good",
    }
    definition = {
        "StartAt": "Gate",
        "States": {
            "Gate": {"Type": "Choice", "Choices": [rule], "Default": "Bad"},
            "Good": {"Type": "Pass", "Result": "Good", "End": True},
            "Bad": {"Type": "Pass", "Result": "Bad", "End": True},
        },
    }
    assert machines.run(definition, gate)["output"] == f'"{expected}"'


def test_branches_and_items(machines: Machines) -> None:
    each = one({"Type": "Pass", "Parameters": {"Name.$": "States.Format('{}-{}', 'job', $)"}})
    definition = one(
        {
            "Type": "Parallel",
            "Branches": [
                one({"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": each}),
                one({"Type": "Pass", "Result": {"name": "second"}}),
            ],
        }
    )
    output = json.loads(machines.run(definition, {"items": [1, 2]})["output"])
    assert output == [[{"Name": "job-1"}, {"Name": "job-2"}], {"name": "second"}]


def test_an_error_in_a_branch_reaches_its_catch(machines: Machines) -> None:
    failing = one(sdk("s3:getObject", {"Bucket": "results", "Key": "x"}))
    definition = {
        "StartAt": "All",
        "States": {
            "All": {
                "Type": "Parallel",
                "Branches": [failing],
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "F"}],
                "End": True,
            },
            "F": {
                "Type": "Fail",
                "ErrorPath": "$.error.Error",
                "CausePath": "States.Format('{}: {}', $.release, $.error.Cause)",
            },
        },
    }
    finished = machines.run(definition, {"release": "r1"})
    assert finished["error"] == "S3.NoSuchKeyException"
    assert finished["cause"].startswith("r1: The specified key does not exist.")
