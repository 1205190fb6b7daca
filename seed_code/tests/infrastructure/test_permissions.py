"""Least privilege: each role can do what its part of the workflow does, and nothing else."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.workflow_input import (
    PROJECT_NAME_LENGTH,
    PROJECT_NAME_PATTERN,
)
from mlsystem.names import Names

ACCOUNT = "eu-west-1:123456789012"
JOB_ROLES = ("PrepareRole", "TrainRole", "EvaluateRole")
SAGEMAKER_ROLES = (*JOB_ROLES, "EndpointRole")
ROLES = (*SAGEMAKER_ROLES, "WorkflowRole")

# The only actions that may stand beside Resource "*": AWS knows no resource for them, or (metrics)
# limits them by a condition.
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resources: dict[str, Any], role: str) -> list[dict[str, Any]]:
    policies = resources[role]["Policies"]
    return [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]


def grants(resources: dict[str, Any], role: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield action, resource and condition of everything that `role` may do."""
    for statement in statements(resources, role):
        assert statement["Effect"] == "Allow"
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource, statement.get("Condition", {})


def may(resources: dict[str, Any], role: str, action: str, resource: str) -> bool:
    return any(
        granted == action and fnmatch.fnmatchcase(resource, pattern)
        for granted, pattern, _ in grants(resources, role)
    )


# --- rules for every role -----------------------------------------------------------------------


def test_these_are_all_the_roles(template):
    roles = [name for name, it in template["Resources"].items() if it["Type"] == "AWS::IAM::Role"]
    assert sorted(name[:-8] for name in roles) == sorted(ROLES)
    kinds = {it["Type"] for it in template["Resources"].values()}
    assert not kinds & {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}


@pytest.mark.parametrize("role", ROLES)
def test_no_action_is_a_pattern(role, resources):
    assert not [action for action, _, _ in grants(resources, role) if "*" in action]


@pytest.mark.parametrize("role", ROLES)
def test_a_star_stands_only_where_aws_knows_no_resource(role, resources):
    unlimited = {action for action, resource, _ in grants(resources, role) if resource == "*"}
    assert unlimited <= WITHOUT_RESOURCE
    for action, _, condition in grants(resources, role):
        if action == "cloudwatch:PutMetricData":
            assert condition["StringEquals"]["cloudwatch:namespace"].startswith("/aws/sagemaker/")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_passed_to_one_service_only(role, resources):
    for action, resource, condition in grants(resources, role):
        if action == "iam:PassRole":
            assert "*" not in resource
            assert condition == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_the_workflow_passes_exactly_the_roles_of_sagemaker(resources):
    passed = {
        resource.split("/")[-1][:-8]
        for action, resource, _ in grants(resources, "WorkflowRole")
        if action == "iam:PassRole"
    }
    assert passed == set(SAGEMAKER_ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_assumed_for_this_account_only(role, resources):
    (statement,) = resources[role]["AssumeRolePolicyDocument"]["Statement"]
    service, source = {
        "WorkflowRole": ("states.amazonaws.com", f"states:{ACCOUNT}:stateMachine:churn-training")
    }.get(role, ("sagemaker.amazonaws.com", f"sagemaker:{ACCOUNT}:*"))
    assert statement == {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": service},
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnLike": {"aws:SourceArn": f"arn:aws:{source}"},
        },
    }


# --- objects ------------------------------------------------------------------------------------

READABLE = {
    "PrepareRole": {"data/a.csv", "releases/r/settings/project.json"},
    "TrainRole": {
        "releases/r/data/train/part-0.parquet", "releases/r/data/validation/part-0.parquet",
        "releases/r/data/schema/schema.json",
    },
    "EvaluateRole": {
        "releases/r/settings/project.json", "releases/r/data/train/part-0.parquet",
        "releases/r/data/validation/part-0.parquet", "releases/r/data/schema/schema.json",
        "releases/r/data/test/part-0.parquet", "releases/r/data/report/report.json",
        "releases/r/model/churn-train-r/output/model.tar.gz",
    },
    "EndpointRole": {"releases/r/model/churn-train-r/output/model.tar.gz"},
    "WorkflowRole": {
        "releases/r/model/churn-train-r/output/model.tar.gz",
        "releases/r/evaluation/evaluation.json",
    },
}  # fmt: skip
WRITABLE = {
    "PrepareRole": {
        "releases/r/data/train/part-0.parquet", "releases/r/data/validation/part-0.parquet",
        "releases/r/data/test/part-0.parquet", "releases/r/data/schema/schema.json",
        "releases/r/data/report/report.json",
    },
    "TrainRole": {"releases/r/model/churn-train-r/output/model.tar.gz"},
    "EvaluateRole": {"releases/r/evaluation/evaluation.json", "releases/r/evaluation/roc.png"},
}  # fmt: skip
OBJECTS = set().union(*READABLE.values(), *WRITABLE.values()) | {"secret", "releases/r/other"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_and_writes_its_own_objects_alone(role, resources):
    for action, expected in (("s3:GetObject", READABLE), ("s3:PutObject", WRITABLE)):
        allowed = {
            key for key in OBJECTS if may(resources, role, action, f"arn:aws:s3:::bucket/{key}")
        }
        assert allowed == expected.get(role, set()), action
        assert not may(resources, role, action, "arn:aws:s3:::other-bucket/data/a.csv")


@pytest.mark.parametrize("role", JOB_ROLES)
def test_a_role_lists_only_what_it_reads(role, resources):
    (condition,) = (
        condition
        for action, resource, condition in grants(resources, role)
        if (action, resource) == ("s3:ListBucket", "arn:aws:s3:::bucket")
    )
    readable = {
        resource.removeprefix("arn:aws:s3:::bucket/")
        for action, resource, _ in grants(resources, role)
        if action == "s3:GetObject"
    }
    assert set(condition["StringLike"]["s3:prefix"]) == readable


@pytest.mark.parametrize(
    ("section", "role"), [("prepare", "PrepareRole"), ("evaluate", "EvaluateRole")]
)
def test_a_processing_job_can_move_its_data(section, role, make_input, resources):
    champion = "s3://bucket/releases/r-0/model/churn-train-r-0/output/model.tar.gz"
    job = make_input(champion=champion)[section]
    for item in job["inputs"]:
        assert _may_on(resources, role, "s3:GetObject", item["S3Input"]["S3Uri"]), item
    for item in job["outputs"]:
        assert _may_on(resources, role, "s3:PutObject", item["S3Output"]["S3Uri"] + "/"), item


def test_a_training_job_can_move_its_data(make_input, resources):
    train = make_input()["train"]
    for channel in train["channels"]:
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        assert _may_on(resources, "TrainRole", "s3:GetObject", uri), channel
    assert _may_on(resources, "TrainRole", "s3:PutObject", train["output_uri"] + "/")


def _may_on(resources: dict[str, Any], role: str, action: str, uri: str) -> bool:
    key = uri + "file" if uri.endswith("/") else uri
    return may(resources, role, action, key.replace("s3://", "arn:aws:s3:::"))


# --- what the workflow calls --------------------------------------------------------------------

KINDS = {
    "ProcessingJobName": "processing-job",
    "TrainingJobName": "training-job",
    "ModelPackageGroupName": "model-package-group",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
}
# What Step Functions and SageMaker do beyond the calls, with the role of the workflow.
BEYOND_CALLS = {
    "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob",
    "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob",
    "sagemaker:AddTags", "sagemaker:ListTags", "sagemaker:DescribeModelPackage",
}  # fmt: skip


def called(execution: Any, definition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield action and resource of every call that an execution made of SageMaker."""
    machines = [definition, *(it["Branches"][0] for it in definition["States"].values()
                              if "Branches" in it)]  # fmt: skip
    apis = {name: state["Resource"] for it in machines for name, state in it["States"].items()
            if state["Type"] == "Task"}  # fmt: skip
    for task, parameters in execution.requests:
        service, operation = apis[task].removesuffix(".sync").split(":")[-2:]
        if service == "sagemaker":
            for parameter, kind in KINDS.items():
                if parameter in parameters:
                    action = f"sagemaker:{operation[0].upper()}{operation[1:]}"
                    yield action, f"arn:aws:sagemaker:{ACCOUNT}:{kind}/{parameters[parameter]}"


WAYS = ({}, {"FindEndpoint": {"EndpointStatus": "Failed"}},
        {"FindEndpoint": {"EndpointStatus": "InService"}})  # fmt: skip


def test_the_workflow_may_make_every_call_that_it_makes(execute, definition, resources):
    for way in WAYS:
        for action, resource in called(execute(**way), definition):
            assert may(resources, "WorkflowRole", action, resource), (action, resource)
    new_version = f"arn:aws:sagemaker:{ACCOUNT}:model-package/churn/7"
    assert may(resources, "WorkflowRole", "sagemaker:CreateModelPackage", new_version)


def test_the_workflow_may_do_no_more(execute, definition, resources):
    needed = {action for way in WAYS for action, _ in called(execute(**way), definition)}
    granted = {
        action
        for action, _, _ in grants(resources, "WorkflowRole")
        if action.startswith("sagemaker:")
    }
    assert granted == needed | BEYOND_CALLS


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sagemaker:CreateTrainingJob", "training-job/other-train-r"),
        ("sagemaker:CreateTrainingJob", "training-job/churn2-train-r"),
        ("sagemaker:CreateTrainingJob", "training-job/churn-other-r"),
        ("sagemaker:CreateProcessingJob", "processing-job/churn-train-r"),
        ("sagemaker:CreateModel", "model/churn-other-r"),
        ("sagemaker:CreateEndpointConfig", "endpoint-config/churn-other-r"),
        ("sagemaker:StopProcessingJob", "processing-job/other-prepare-r"),
        ("sagemaker:UpdateEndpoint", "endpoint/churn2"),
        ("sagemaker:DeleteEndpoint", "endpoint/churn-2"),
        ("sagemaker:CreateModelPackage", "model-package/churn2/1"),
        ("sagemaker:CreateModelPackage", "model-package-group/churn2"),
    ],
)
def test_other_things_are_out_of_reach(action, resource, resources):
    assert not may(resources, "WorkflowRole", action, f"arn:aws:sagemaker:{ACCOUNT}:{resource}")


@given(
    st.from_regex(PROJECT_NAME_PATTERN, fullmatch=True).filter(
        lambda name: len(name) <= PROJECT_NAME_LENGTH
    ),
    st.uuids().map(str) | st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,80}", fullmatch=True),
)
def test_names_keep_the_beginning_that_permissions_are_bound_to(project, release):
    """However long a release's id is; longer project names are refused by the template."""
    names = Names(project, release)
    assert names.prepare_job.startswith(f"{project}-prepare-")
    assert names.evaluate_job.startswith(f"{project}-evaluate-")
    assert names.training_job.startswith(f"{project}-train-")
    assert names.model.startswith(f"{project}-model-")
    assert names.endpoint_config.startswith(f"{project}-config-")
    assert (names.endpoint, names.model_package_group) == (project, project)
    assert names.state_machine == f"{project}-training"


def test_a_longer_project_name_would_lose_it():
    names = Names("p" * (PROJECT_NAME_LENGTH + 1), "0123456789")
    assert not names.evaluate_job.startswith(f"{names.project}-evaluate-")


# --- logs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "kind", "name"),
    [
        ("PrepareRole", "ProcessingJobs", "prepare_job"),
        ("TrainRole", "TrainingJobs", "training_job"),
        ("EvaluateRole", "ProcessingJobs", "evaluate_job"),
    ],
)
def test_a_job_writes_its_own_log(role, kind, name, resources):
    group = f"arn:aws:logs:{ACCOUNT}:log-group:/aws/sagemaker/{kind}"
    own = f"{group}:log-stream:{getattr(Names('churn', 'r-1'), name)}/algo-1-1700000000"
    other = f"{group}:log-stream:{getattr(Names('other', 'r-1'), name)}/algo-1-1700000000"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        assert may(resources, role, action, own)
        assert not may(resources, role, action, other)
    # AWS names a group in this check as its streams without a name.
    assert may(resources, role, "logs:CreateLogGroup", f"{group}:log-stream:")
