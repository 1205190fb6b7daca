"""Every request that the workflow makes, checked against AWS's own description of its API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

TASKS = (
    "PrepareData", "TrainModel", "EvaluateModel", "ReadEvaluation",
    "CreateModelPackageGroup", "CreateModelPackage",
    "CreateModel", "CreateEndpointConfig", "FindEndpoint", "CreateEndpoint", "UpdateEndpoint",
    "DeleteFailedEndpoint", "DescribeEndpoint",
)  # fmt: skip
CHAMPION = "s3://bucket/releases/r-0/model/churn-train-r-0/output/model.tar.gz"
FOUND_FAILED = {"FindEndpoint": {"EndpointStatus": "Failed"}}
FOUND = {"FindEndpoint": {"EndpointStatus": "InService"}}


KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/5b1f3a52-0d5b-4e2c-9d7f-000000000000"


@pytest.fixture(scope="session")
def models() -> dict[str, ServiceModel]:
    loader = Loader()
    return {
        service: ServiceModel(loader.load_service_model(service, "service-2"), service)
        for service in ("sagemaker", "s3")
    }


def all_tasks(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            yield name, state
        for branch in state.get("Branches", []):
            yield from all_tasks(branch)


def test_every_task_is_checked_here(definition):
    assert sorted(name for name, _ in all_tasks(definition)) == sorted(TASKS)


@pytest.mark.parametrize("champion", [None, CHAMPION], ids=["first", "with a champion"])
@pytest.mark.parametrize("answers", [{}, FOUND, FOUND_FAILED], ids=["new", "update", "failed"])
@pytest.mark.parametrize("by", ["workflow", "pipeline"])
def test_aws_would_accept_every_request(by, answers, champion, run, violations):
    execution = run(champion=champion, by=by, answers=answers)
    assert execution.status == "SUCCEEDED", execution
    for task, parameters in execution.requests:
        assert violations(task, parameters) == [], task


def test_everything_is_isolated_encrypted_and_tagged(execute):
    execution = execute()
    tags = [
        {"Key": "sagemaker:project-name", "Value": "churn"},
        {"Key": "mlsystem:release", "Value": "r-1"},
    ]
    for task in ("PrepareData", "EvaluateModel"):
        (job,) = execution.calls(task)
        assert job["ProcessingOutputConfig"]["KmsKeyId"] == KEY_ARN
        assert job["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == KEY_ARN
        assert job["NetworkConfig"] == {
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
        }
    (job,) = execution.calls("TrainModel")
    assert job["OutputDataConfig"]["KmsKeyId"] == job["ResourceConfig"]["VolumeKmsKeyId"] == KEY_ARN
    assert job["EnableNetworkIsolation"]
    assert job["EnableInterContainerTrafficEncryption"]
    (model,) = execution.calls("CreateModel")
    assert model["EnableNetworkIsolation"]
    (config,) = execution.calls("CreateEndpointConfig")
    assert config["KmsKeyId"] == KEY_ARN
    untagged = {"ReadEvaluation", "CreateModelPackage", "FindEndpoint", "DescribeEndpoint"}
    for task, request in execution.requests:
        assert request.get("Tags") == (None if task in untagged else tags), task


def test_the_requests_together_cover_every_task(execute):
    made = {
        name for answers in ({}, FOUND, FOUND_FAILED) for name, _ in execute(**answers).requests
    }
    assert made == set(TASKS)


def test_the_answers_in_the_tests_have_fields_that_aws_gives(definition, models, good_release):
    for task, state in all_tasks(definition):
        service, operation = api(state["Resource"])
        if state["Resource"].endswith(".sync"):
            operation = operation.replace("Create", "Describe")  # what a finished job answers
        shape = models[service].operation_model(operation).output_shape
        for answer in good_release[task]:
            if isinstance(answer, dict):
                assert set(answer) <= set(shape.members if shape else {}), task


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"TrainingJobName": "no_underscores"}, "TrainingJobName: 'no_underscores'"),
        ({"RoleArn": "role"}, "RoleArn"),
        ({"Tags": [{"Key": "k"}]}, "Missing required parameter"),
        ({"EnableIsolation": True}, "Unknown parameter"),
        ({"HyperParameters": {"seed": 20}}, "Invalid type"),
        ({"HyperParameters": {"seed": "2" * 2_501}}, "HyperParameters/seed"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "MaxRuntimeInSeconds"),
    ],
)
def test_a_wrong_request_would_be_found(change, expected, execute, violations):
    (request,) = execute().calls("TrainModel")
    found = violations("TrainModel", {**request, **change})
    assert any(expected in violation for violation in found), found


@pytest.fixture
def run(execute, make_input):
    def run(champion: str | None, by: str, answers: dict[str, Any]) -> Any:
        return execute(make_input(champion=champion, deploy={"by": by}), **answers)

    return run


@pytest.fixture
def violations(definition, models) -> Callable[[str, dict[str, Any]], list[str]]:
    """Return what AWS would refuse in the request of a task, from the service's API model."""
    resources = {name: state["Resource"] for name, state in all_tasks(definition)}

    def violations(task: str, parameters: dict[str, Any]) -> list[str]:
        service, operation = api(resources[task])
        shape = models[service].operation_model(operation).input_shape
        found = ParamValidator().validate(parameters, shape)
        if found.has_errors():
            return found.generate_report().splitlines()
        return list(beyond_limits(shape, parameters, ""))

    return violations


def api(resource: str) -> tuple[str, str]:
    """Return service and operation of a task's resource."""
    service, operation = resource.removesuffix(".sync").split(":")[-2:]
    return service, operation[0].upper() + operation[1:]


def beyond_limits(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """Yield values outside pattern, enumeration or maximum, which botocore does not check."""
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from beyond_limits(shape.members[name], item, f"{where}/{name}".lstrip("/"))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from beyond_limits(shape.member, item, f"{where}/{index}")
    elif shape.type_name == "map":
        for name, item in value.items():
            yield from beyond_limits(shape.key, name, f"{where}/{name} (key)")
            yield from beyond_limits(shape.value, item, f"{where}/{name}")
    limits = shape.metadata
    size = value if shape.type_name in {"integer", "long", "float"} else None
    size = len(value) if size is None and hasattr(value, "__len__") else size
    if size is not None and size > limits.get("max", size):
        yield f"{where}: {size} > {limits['max']}"
    if shape.type_name == "string":
        if limits.get("enum") and value not in limits["enum"]:
            yield f"{where}: {value!r} is not one of the enumeration"
        # Java's classes of characters are not Python's; such a pattern is about free text anyhow.
        pattern = limits.get("pattern", "")
        if "\\p{" not in pattern and not re.fullmatch(pattern or ".*", value, re.DOTALL):
            yield f"{where}: {value!r} does not match {pattern}"
