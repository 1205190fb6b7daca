"""Requests are checked as AWS checks them; what nothing honours is refused by name."""

import json
from typing import Any

import pytest
from moto.sagemaker.exceptions import ValidationError

from local_cloud.errors import UnsupportedError
from local_cloud.sagemaker.api import _ACCEPTED
from local_cloud.sagemaker.parameters import (
    ANY,
    SerializationError,
    _service_model,
    only,
    read,
)

_ROLE = "arn:aws:iam::000000000000:role/r"


def model(**changes: Any) -> str:
    return json.dumps({"ModelName": "m", "ExecutionRoleArn": _ROLE, **changes})


def test_accepted_parameters_are_given_back_without_nulls():
    body = model(PrimaryContainer={"Image": "i", "Mode": None}, VpcConfig=None)
    assert read("CreateModel", body, _ACCEPTED["CreateModel"]) == {
        "ModelName": "m",
        "ExecutionRoleArn": _ROLE,
        "PrimaryContainer": {"Image": "i"},
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (model(ModelName="a_b"), "Value 'a_b' at 'modelName' failed to satisfy constraint: Member"),
        (model(ModelName=None), "Value null at 'modelName' failed to satisfy constraint: Member"),
        (model(Nonsense=1), "Unknown parameter Nonsense at 'request'"),
        (
            model(PrimaryContainer={"Mode": "Some"}),
            "Value 'Some' at 'primaryContainer.mode' failed to satisfy constraint: Member must",
        ),
        (
            model(Tags=[{"Key": "k", "Value": "v"}, {"Key": "", "Value": "v"}]),
            "Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length",
        ),
        (
            model(PrimaryContainer={"Environment": {"1A": "x"}}),
            "at 'primaryContainer.environment.key' failed to satisfy constraint",
        ),
        (model(ModelName="a_b", ExecutionRoleArn="r"), "validation errors detected"),
    ],
)
def test_constraints(body, message):
    with pytest.raises(ValidationError) as caught:
        read("CreateModel", body, _ACCEPTED["CreateModel"])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a structure"),
        (model(ModelName=3), "modelName must be a string, got 3"),
        (model(EnableNetworkIsolation="true"), "must be a boolean"),
        (model(Tags={}), "must be a list"),
    ],
)
def test_wrong_types(body, message):
    with pytest.raises(SerializationError) as caught:
        read("CreateModel", body, _ACCEPTED["CreateModel"])
    assert message in str(caught.value)


def test_a_boolean_is_no_number():
    body = json.dumps({"EndpointName": "e", "DesiredWeightsAndCapacities": [
        {"VariantName": "v", "DesiredInstanceCount": True}]})  # fmt: skip
    operation = "UpdateEndpointWeightsAndCapacities"
    with pytest.raises(SerializationError, match="desiredInstanceCount must be a integer"):
        read(operation, body, _ACCEPTED[operation])


def test_refusal_names_parameter_value_and_what_is_accepted():
    accepted = {"ModelName": ANY, "ExecutionRoleArn": ANY, "PrimaryContainer": {"Mode": only("A")}}
    with pytest.raises(UnsupportedError) as caught:
        read("CreateModel", model(EnableNetworkIsolation=True), accepted)
    assert str(caught.value) == (
        "Local cloud, CreateModel: parameter EnableNetworkIsolation; accepted here are "
        "ExecutionRoleArn, ModelName, PrimaryContainer."
    )
    with pytest.raises(UnsupportedError, match=r"PrimaryContainer\.Mode='SingleModel'; .* are A"):
        read("CreateModel", model(PrimaryContainer={"Mode": "SingleModel"}), accepted)


@pytest.mark.parametrize("operation", sorted(_ACCEPTED))
def test_accepted_names_exist_in_the_service(operation):
    """A misspelt name would refuse what it means to accept."""

    def check(accepted: Any, shape: Any, path: str) -> None:
        if not isinstance(accepted, dict):
            return
        while shape.type_name == "list":
            shape = shape.member
        for name, below in accepted.items():
            assert name in shape.members, f"{path}.{name}"
            check(below, shape.members[name], f"{path}.{name}")

    check(_ACCEPTED[operation], _service_model().operation_model(operation).input_shape, operation)
