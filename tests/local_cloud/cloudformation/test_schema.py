"""The published schemas are found, checked whole, and say what a change means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cloudformation import schema
from local_cloud.cloudformation.intrinsics import Unknown
from local_cloud.cloudformation.resources.table import TYPES

ABOUT_TYPES = {
    "$schema", "additionalIdentifiers", "conditionalCreateOnlyProperties", "createOnlyProperties",
    "definitions", "deprecatedProperties", "handlers", "nonPublicProperties", "primaryIdentifier",
    "propertyTransform", "readOnlyProperties", "replacementStrategy", "resourceLink", "sourceUrl",
    "tagging", "taggable", "typeName", "writeOnlyProperties",
}  # fmt: skip


def problems_of(kind: str, **properties: Any) -> list[str]:
    found = schema.find(kind)
    assert found is not None
    return found.check(properties)[1]


def test_a_type_that_aws_does_not_have() -> None:
    assert schema.find("AWS::S3::Bouquet") is None


@pytest.mark.parametrize("name", sorted(TYPES))
def test_no_keyword_of_a_type_in_the_table_is_overlooked(name: str) -> None:
    found = schema.find(name)
    assert found is not None
    used = set(found.document) | {key for part in parts(found.document) for key in part}
    assert used <= schema.KEYWORDS | ABOUT_TYPES


def parts(document: Any) -> list[Any]:
    """Every schema inside a schema; names of properties are no keywords."""
    found: list[Any] = []
    if isinstance(document, dict):
        for key in ("properties", "patternProperties", "definitions"):
            for part in document.get(key, {}).values():
                found += [part, *parts(part)]
        for key in ("anyOf", "oneOf", "allOf"):
            for part in document.get(key, []):
                found += [part, *parts(part)]
        if isinstance(document.get("items"), dict):
            found += [document["items"], *parts(document["items"])]
    return found


@pytest.mark.parametrize(
    ("kind", "properties", "problem"),
    [
        ("AWS::S3::Bucket", {"Colour": 1}, "#: extraneous key [Colour] is not permitted"),
        ("AWS::S3::Bucket", {"Arn": "x"}, "#/Arn: it is read-only"),
        ("AWS::S3::Bucket", {"BucketName": "Big"}, "#/BucketName: failed validation constraint"),
        ("AWS::S3::Bucket", {"BucketName": []}, "#/BucketName: expected type: string, found: arr"),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {}}, "required key [Status] not found"),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "On"}}, "one of Enabled"),
        ("AWS::S3::Bucket", {"Tags": [{"Key": "a", "Value": "b"}, 3]}, "#/Tags/1: expected type"),
        ("AWS::IAM::Role", {}, "required key [AssumeRolePolicyDocument] not found"),
        ("AWS::IAM::Role", {"MaxSessionDuration": 60}, "60 is less than minimum 3600"),
        ("AWS::IAM::Role", {"MaxSessionDuration": "x"}, "expected type: integer, found: string"),
        ("AWS::IAM::Policy", {"PolicyName": "p", "PolicyDocument": {}}, "required key [Users]"),
        ("AWS::EC2::VPC", {}, "exactly one of CidrBlock, Ipv4IpamPoolId is required"),
        ("AWS::EC2::EIP", {"Domain": "moon"}, "'moon' is not a valid enum value"),
        ("AWS::Events::Rule", {}, "at least one of EventPattern, ScheduleExpression is required"),
        ("AWS::EC2::Subnet", {"VpcId": "v", "AvailabilityZone": "a", "AvailabilityZoneId": "b"},
         "[AvailabilityZone] cannot be given together with AvailabilityZoneId"),
        ("AWS::EC2::SecurityGroup", {"GroupDescription": "d", "SecurityGroupEgress": []},
         "[SecurityGroupEgress] requires VpcId"),
        ("AWS::ServiceCatalog::LaunchRoleConstraint",
         {"PortfolioId": "a", "ProductId": "b", "RoleArn": "c", "LocalRoleName": "d"},
         "it matches more than one of the alternatives"),
        ("AWS::CloudWatch::Alarm", {"AlarmActions": list("abcdef")}, "6 members is greater than"),
        ("AWS::ApplicationAutoScaling::ScalingPolicy", {"PolicyName": "a\tb"}, "\\p{Print}"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(
    kind: str, properties: dict[str, Any], problem: str
) -> None:
    assert any(problem in found for found in problems_of(kind, **properties))


def test_values_get_the_types_of_the_schema() -> None:
    checked, problems = TYPES["AWS::ECR::Repository"].schema.check(
        {"EmptyOnDelete": "true", "ImageScanningConfiguration": {"ScanOnPush": "False"}}
    )
    assert not problems
    assert checked == {"EmptyOnDelete": True, "ImageScanningConfiguration": {"ScanOnPush": False}}
    tags = {"Tags": [{"Key": "n", "Value": 3}]}
    assert TYPES["AWS::S3::Bucket"].schema.check(tags)[0]["Tags"][0]["Value"] == "3"


def test_policies_may_be_objects_or_text() -> None:
    for document in ({"Statement": []}, '{"Statement": []}'):
        assert not problems_of("AWS::IAM::Role", AssumeRolePolicyDocument=document)


def test_what_is_unknown_is_taken_for_right() -> None:
    assert not problems_of(
        "AWS::S3::Bucket",
        BucketName=Unknown("Other"),
        VersioningConfiguration={"Status": Unknown("Other")},
        Tags=Unknown("Other"),
    )


def test_what_a_change_means() -> None:
    bucket = TYPES["AWS::S3::Bucket"].schema
    association = TYPES["AWS::EC2::SubnetRouteTableAssociation"].schema
    file_system = TYPES["AWS::EFS::FileSystem"].schema
    policy = TYPES["AWS::S3::BucketPolicy"].schema
    parameter = TYPES["AWS::SSM::Parameter"].schema
    assert ("BucketName",) in bucket.create_only
    assert "Arn" in bucket.attributes
    assert "Arn" not in bucket.properties
    assert association.deletes_first
    assert not bucket.deletes_first
    assert file_system.tag_property == "FileSystemTags"
    assert policy.tag_property is None
    assert parameter.tags_are_map
    assert not bucket.tags_are_map


@given(st.text(max_size=8))
def test_tags_take_letters_of_every_script(text: str) -> None:
    allowed = all(letter.isalnum() or letter in "_.:/=+-@ " for letter in text)
    if allowed:
        assert not problems_of(
            "AWS::IAM::Role",
            AssumeRolePolicyDocument={},
            Tags=[{"Key": "key", "Value": text}],
        )
