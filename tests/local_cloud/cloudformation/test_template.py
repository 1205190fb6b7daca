"""A template's form and names are checked, all at once; parameters accept what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cloudformation import parameters, template
from local_cloud.cloudformation.errors import TemplateError

BUCKET = {"Type": "AWS::S3::Bucket"}


def parsed(**sections: Any) -> template.Template:
    return template.parse(json.dumps({"Resources": {"Bucket": BUCKET}, **sections}))


def problems_of(**sections: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        parsed(**sections)
    return str(caught.value)


def test_a_resource_as_declared() -> None:
    resources = {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"Enabled": True}, "Metadata": {"a": 1}},
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "DependsOn": ["Key"],
            "Condition": "Wanted",
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
        },
    }
    found = parsed(
        Resources=resources,
        Conditions={"Wanted": {"Fn::Equals": ["a", "a"]}},
        Description="what",
        Metadata={"AWS::CloudFormation::Interface": {}},
        AWSTemplateFormatVersion="2010-09-09",
    )
    assert found.description == "what"
    assert found.resources["Key"].properties == {"Enabled": True}
    assert found.resources["Key"].deletion_policy == "Delete"
    assert found.resources["Bucket"] == template.Resource(
        "Bucket", "AWS::S3::Bucket", {}, ("Key",), "Wanted", "RetainExceptOnCreate", "Retain"
    )


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"Resources": {}}, "At least one Resources member must be defined"),
        ({"Extra": 1}, r"Invalid template property or properties \[Extra\]"),
        ({"Transform": "AWS::Serverless"}, "the section Transform is not part of the local cloud"),
        ({"Hooks": {}}, "the section Hooks is not part of the local cloud"),
        ({"AWSTemplateFormatVersion": "2020-01-01"}, "'2020-01-01' is not a supported"),
        ({"Description": "x" * 1025}, "text of at most 1024 bytes"),
        ({"Mappings": []}, r"\[/Mappings\] a mapping is required"),
        ({"Resources": {"a-b": BUCKET}}, "a name of letters and digits is required"),
        ({"Resources": {"A": {}}}, "must contain a Type member"),
        ({"Resources": {"A": "x"}}, r"\[/Resources/A\] a mapping is required"),
        ({"Resources": {"A": {**BUCKET, "Colour": 1}}}, "template resource property 'Colour'"),
        ({"Resources": {"A": {**BUCKET, "CreationPolicy": {}}}}, "CreationPolicy is not part of"),
        ({"Resources": {"A": {**BUCKET, "UpdatePolicy": "x"}}}, "UpdatePolicy] a mapping is"),
        ({"Resources": {"A": {**BUCKET, "DeletionPolicy": "Snapshot"}}}, "'Snapshot' is not part"),
        ({"Resources": {"A": {**BUCKET, "DeletionPolicy": {"Ref": "x"}}}}, "DeletionPolicy.* is"),
        ({"Resources": {"A": {**BUCKET, "UpdateReplacePolicy": "RetainExceptOnCreate"}}},
         "'RetainExceptOnCreate' is not part of"),
        ({"Resources": {"A": {**BUCKET, "DependsOn": [1]}}}, "a logical id, or a list of them"),
        ({"Resources": {"A": {**BUCKET, "DependsOn": "B"}}},
         r"Unresolved resource dependencies \[B\]"),
        ({"Resources": {"A": {**BUCKET, "Condition": "C"}}}, "Unresolved condition dependency C"),
        ({"Resources": {"A": {**BUCKET, "Properties": {"BucketName": {"Ref": "B"}}}}},
         r"Unresolved resource dependencies \[B\] in the Resources block"),
        ({"Resources": {"A": {**BUCKET, "Properties": {"BucketName": {"Fn::Sub": "${B.Arn}"}}}}},
         r"Unresolved resource dependencies \[B\]"),
        ({"Resources": {"A": {**BUCKET, "Properties": {"BucketName": "{{resolve:ssm:x}}"}}}},
         "dynamic references are not part of the local cloud"),
        ({"Resources": {"A": {**BUCKET, "Properties": {"Tags": {"Fn::Contains": [[], "a"]}}}}},
         "Fn::Contains may be called in Rules only"),
        ({"Outputs": {"O": {}}}, "must contain a Value object"),
        ({"Outputs": {"O": {"Value": {"Ref": "B"}}}}, r"\[B\] in the Outputs block"),
        ({"Outputs": {"O": {"Value": "a", "Export": "x"}}}, "a mapping with a Name is required"),
        ({"Outputs": {"O": {"Value": "a", "Colour": 1}}}, "template output property 'Colour'"),
        ({"Outputs": {"O": {"Value": "a", "Condition": "C"}}}, "Unresolved condition dependency C"),
        ({"Conditions": {"C": {"Fn::Equals": [{"Ref": "Bucket"}, "a"]}}},
         r"\[Bucket\] in the Conditions block"),
        ({"Rules": {"R": {"Assertions": "x"}}}, "Assertions, and RuleCondition if any"),
        ({"Rules": {"R": {"Assertions": [{}]}}}, "an Assert is required"),
        ({"Parameters": {"P": {}}}, "every parameter must have a Type"),
        ({"Parameters": {"a-b": {"Type": "String"}}}, "Parameter name a-b is non alphanumeric"),
        ({"Parameters": {"P": {"Type": "AWS::SSM::Parameter::Value<String>"}}},
         "'AWS::SSM::Parameter::Value<String>' is not part of the local cloud"),
        ({"Parameters": {"P": {"Type": "AWS::EC2::VPC::Id"}}}, "'AWS::EC2::VPC::Id' is not"),
        ({"Parameters": {"P": {"Type": "String", "Colour": 1}}}, "property 'Colour'"),
        ({"Parameters": {"P": {"Type": "String", "AllowedPattern": "["}}}, "AllowedPattern"),
        ({"Parameters": {"P": {"Type": "String", "MinLength": "x"}}}, "a number is required"),
        ({"Parameters": {"P": {"Type": "Number", "Default": "x"}}}, "must be a number"),
        ({"Parameters": {"P": {"Type": "String", "Default": "x", "AllowedValues": ["a"]}}},
         "must be one of AllowedValues"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(sections: dict[str, Any], problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        parsed(**sections)


def test_every_problem_is_listed_at_once() -> None:
    told = problems_of(
        Resources={"A": {}, "B": {**BUCKET, "Colour": 1}},
        Parameters={"P": {}},
        Outputs={"O": {"Value": {"Ref": "Nobody"}}},
    )
    for problem in ("Type member", "'Colour'", "must have a Type", "[Nobody]"):
        assert problem in told


def test_literals_that_look_like_names_are_no_mentions() -> None:
    properties = {"BucketName": {"Fn::Sub": "${!aws:username}-${AWS::AccountId}-${AWS::NoValue}"}}
    assert parsed(Resources={"A": {**BUCKET, "Properties": properties}})


# ------------------------------------------------------------------------------ parameters

DECLARED: dict[str, dict[str, Any]] = {
    "Plain": {"Type": "String", "Default": "x"},
    "Short": {"Type": "String", "MinLength": 2, "MaxLength": "4"},
    "Choice": {"Type": "String", "AllowedValues": ["a", True, 3]},
    "Pattern": {"Type": "String", "AllowedPattern": "[a-z]+"},
    "Described": {"Type": "String", "AllowedPattern": "a", "ConstraintDescription": "only an a"},
    "Size": {"Type": "Number", "MinValue": 2, "MaxValue": 8.5},
    "Names": {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]},
    "Sizes": {"Type": "List<Number>", "MaxValue": 3},
}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Plain", "", None),
        ("Plain", "x" * 4097, "longer than 4096 bytes"),
        ("Short", "ab", None),
        ("Short", "a", "Parameter 'Short' must contain at least 2 characters"),
        ("Short", "abcde", "must contain at most 4 characters"),
        ("Choice", "true", None),
        ("Choice", "3", None),
        ("Choice", "True", "must be one of AllowedValues"),
        ("Pattern", "abc", None),
        ("Pattern", "abc1", r"must match pattern \[a-z\]\+"),
        ("Described", "b", "Parameter Described failed to satisfy constraint: only an a"),
        ("Size", "2", None),
        ("Size", "8.5", None),
        ("Size", "1", "must be a number not less than 2"),
        ("Size", "9", "must be a number not greater than 8.5"),
        ("Size", "many", "must be a number"),
        ("Names", "a, b", None),
        ("Names", "a,c", "must be one of AllowedValues"),
        ("Sizes", "1,3", None),
        ("Sizes", "1,4", "not greater than 3"),
        ("Sizes", "1,x", "must be a number"),
    ],
)
def test_a_parameter_accepts_what_it_says(name: str, text: str, problem: str | None) -> None:
    declared = parsed(Parameters={name: DECLARED[name]}).parameters
    if problem is None:
        assert parameters.resolve(declared, {name: text}) == {name: text}
        return
    with pytest.raises(TemplateError, match=problem):
        parameters.resolve(declared, {name: text})


def test_missing_unknown_and_previous_values() -> None:
    declared = parsed(
        Parameters={"A": {"Type": "String"}, "B": {"Type": "String", "Default": "b"}}
    ).parameters
    with pytest.raises(TemplateError, match=r"Parameters: \[A\] must have values"):
        parameters.resolve(declared, {})
    with pytest.raises(TemplateError, match=r"Parameters: \[C, D\] do not exist"):
        parameters.resolve(declared, {"A": "a", "D": "", "C": ""})
    with pytest.raises(TemplateError, match=r"Parameters: \[A\] must have values"):
        parameters.resolve(declared, {"A": None}, {})
    assert parameters.resolve(declared, {"A": None}, {"A": "was", "B": "changed"}) == {
        "A": "was", "B": "b",
    }  # fmt: skip


def test_lists_are_lists_for_ref_and_secrets_are_masked() -> None:
    declared = parsed(
        Parameters={
            "Names": {"Type": "CommaDelimitedList"},
            "Secret": {"Type": "String", "NoEcho": True},
            "Number": {"Type": "Number"},
        }
    ).parameters
    texts = {"Names": "a, b", "Secret": "hush", "Number": "3"}
    assert parameters.values(declared, texts) == {
        "Names": ["a", "b"], "Secret": "hush", "Number": "3",
    }  # fmt: skip
    assert declared["Secret"].shown("hush") == "****"
    assert declared["Number"].shown("3") == "3"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bounds_hold_exactly(value: float, one: float, other: float) -> None:
    least, greatest = sorted((one, other))
    bounds = {"Type": "Number", "MinValue": least, "MaxValue": greatest}
    declared = parsed(Parameters={"P": bounds}).parameters
    assert (not list(declared["P"].problems(repr(value)))) is (least <= value <= greatest)
