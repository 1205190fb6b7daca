"""A stack as a resource of another: one succeeds and fails with the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

Stacks = Any  # the driver of conftest.py
Dump = Callable[[], dict[str, Any]]


def parameter(value: Any, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": value, **properties},
    }


BROKEN = {
    "Type": "AWS::S3::BucketPolicy",
    "Properties": {"Bucket": "nobodys-bucket", "PolicyDocument": {"Statement": []}},
}


def inner(**resources: Any) -> dict[str, Any]:
    return {
        "Parameters": {
            "Text": {"Type": "String"},
            "Names": {"Type": "CommaDelimitedList", "Default": "a"},
        },
        "Resources": {
            "Parameter": parameter({"Fn::Sub": ["${Text}-${n}", {
                "n": {"Fn::Join": ["+", {"Ref": "Names"}]}}]}),
            **resources,
        },
        "Outputs": {"Value": {"Value": {"Fn::GetAtt": ["Parameter", "Value"]}}},
    }  # fmt: skip


def outer(url: str, text: str, **resources: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Inner": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {
                    "TemplateURL": url,
                    "Parameters": {"Text": text, "Names": ["x", "y"]},
                },
            },
            "Copy": parameter({"Fn::GetAtt": ["Inner", "Outputs.Value"]}),
            **resources,
        },
        "Outputs": {"Value": {"Value": {"Fn::GetAtt": ["Copy", "Value"]}}},
    }


@pytest.fixture(scope="module")
def publish(cloud: LocalCloud) -> Callable[[str, Any], str]:
    """Puts a template into S3; gives its address as AWS writes it."""
    s3 = cloud.client("s3")
    where = {"LocationConstraint": cloud.region}
    s3.create_bucket(Bucket="templates", CreateBucketConfiguration=where)

    def put(name: str, body: Any) -> str:
        s3.put_object(Bucket="templates", Key=f"{name}.json", Body=json.dumps(body).encode())
        return f"https://templates.s3.{cloud.region}.amazonaws.com/{name}.json"

    return put


def values(dump: Dump) -> list[str]:
    return sorted(item[1] for item in dump()["parameters"].values())


def test_the_life_of_a_nested_stack(
    stacks: Stacks, dump: Dump, publish: Callable[[str, Any], str]
) -> None:
    before = dump()
    url = publish("life", inner())
    tags = [{"Key": "team", "Value": "churn"}]
    stack = stacks.create("outer", outer(url, "one"), Tags=tags)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stacks.outputs("outer") == {"Value": "one-x+y"}
    inner_id = stacks.physical_ids("outer")["Inner"]
    (described,) = stacks.client.describe_stacks(StackName=inner_id)["Stacks"]
    assert described["ParentId"] == described["RootId"] == stack["StackId"]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    assert described["Tags"] == tags
    assert described["StackName"].startswith("outer-Inner-")

    stack = stacks.update("outer", outer(url, "two"), Tags=tags)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.outputs("outer") == {"Value": "two-x+y"}
    assert stacks.settled(inner_id)["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.physical_ids("outer")["Inner"] == inner_id

    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update("outer", outer(url, "two"), Tags=tags)
    # The same address with another template behind it is a change.
    publish("life", inner(More=parameter("more")))
    assert stacks.update("outer", outer(url, "two"), Tags=tags)["StackStatus"] == "UPDATE_COMPLETE"
    assert values(dump) == ["more", "two-x+y", "two-x+y"]

    stack = stacks.delete("outer")
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.settled(inner_id)["StackStatus"] == "DELETE_COMPLETE"
    assert {**dump(), "buckets": None} == {**before, "buckets": None}


def test_a_nested_stack_that_fails_fails_the_outer_one(
    stacks: Stacks, dump: Dump, publish: Callable[[str, Any], str]
) -> None:
    url = publish("fails", inner(Broken={**BROKEN, "DependsOn": "Parameter"}))
    before = dump()
    stack = stacks.create("fails", outer(url, "one", First=parameter("first")))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = stacks.reasons("fails", "CREATE_FAILED")["Inner"]
    assert "was not successfully created" in reason
    assert "failed to create: [Broken]" in reason
    assert dump() == before


def test_a_nested_stack_takes_permissions_of_its_own(
    cloud: LocalCloud, stacks: Stacks, publish: Callable[[str, Any], str]
) -> None:
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"},
             "Action": "sts:AssumeRole"}  # fmt: skip
    allowed = {"Effect": "Allow", "Action": ["ssm:*", "s3:GetObject"], "Resource": "*"}
    document, trusted = (
        json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        for statement in (allowed, trust)
    )
    arn = iam.create_role(RoleName="outer", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    iam.put_role_policy(RoleName="outer", PolicyName="some", PolicyDocument=document)
    url = publish("permissions", inner())
    stack = stacks.create("permissions", outer(url, "one"), RoleARN=arn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = stacks.reasons("permissions", "CREATE_FAILED")["Inner"]
    assert "not authorized to perform: cloudformation:CreateStack on resource" in reason
    assert "stack/permissions-Inner-" in reason
    stacks.delete("permissions")


def test_an_update_that_fails_later_takes_the_nested_stack_back(
    stacks: Stacks, dump: Dump, publish: Callable[[str, Any], str]
) -> None:
    url = publish("back", inner(Gone=parameter("gone", Name="/inner/gone")))
    stacks.create("back", outer(url, "one"))
    inner_id = stacks.physical_ids("back")["Inner"]
    publish("back", inner(New=parameter("new")))
    before = dump()
    stack = stacks.update(
        "back", outer(url, "two", Broken={**BROKEN, "DependsOn": ["Inner", "Copy"]})
    )
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.settled(inner_id)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert dump() == before
    assert stacks.outputs("back") == {"Value": "one-x+y"}
    # What the inner update would have deleted was never deleted.
    deleted = stacks.reasons(inner_id, "DELETE_IN_PROGRESS")
    assert "Gone" not in deleted
    assert "New" in deleted
    stacks.delete("back")


def test_a_nested_update_that_fails_takes_the_outer_stack_back(
    stacks: Stacks, dump: Dump, publish: Callable[[str, Any], str]
) -> None:
    url = publish("inside", inner())
    first = parameter("first", Name="/outer/first")
    stacks.create("inside", outer(url, "one", First=first))
    before = dump()
    broken = {**BROKEN, "DependsOn": "Parameter"}
    publish("inside", inner(Broken=broken))
    changed = parameter("changed", Name="/outer/first")
    body = outer(url, "two", First=changed)
    body["Resources"]["Inner"]["DependsOn"] = "First"
    stack = stacks.update("inside", body)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "was not successfully updated" in stacks.reasons("inside", "UPDATE_FAILED")["Inner"]
    assert {**dump(), "buckets": None} == {**before, "buckets": None}
    stacks.delete("inside")


def test_templates_come_from_s3_by_every_form_of_address(
    cloud: LocalCloud, stacks: Stacks, publish: Callable[[str, Any], str]
) -> None:
    publish("address", {"Resources": {"A": parameter("a")}})
    for index, url in enumerate(
        (
            "https://templates.s3.amazonaws.com/address.json",
            f"https://templates.s3.{cloud.region}.amazonaws.com/address.json",
            f"https://templates.s3-{cloud.region}.amazonaws.com/address.json",
            f"https://s3.{cloud.region}.amazonaws.com/templates/address.json",
            f"{cloud.endpoint_url}/templates/address.json",
        )
    ):
        name = f"address-{index}"
        stack_id = stacks.client.create_stack(StackName=name, TemplateURL=url)["StackId"]
        assert stacks.settled(stack_id)["StackStatus"] == "CREATE_COMPLETE"
        stacks.delete(name)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"TemplateURL": "https://example.com/a.json"}, "TemplateURL must be a supported URL"),
        ({"TemplateURL": "https://templates.s3.amazonaws.com/nothing.json"}, "S3 error"),
        ({"TemplateBody": "{}", "TemplateURL": "https://templates.s3.amazonaws.com/a"}, "both"),
        ({}, "Either Template URL or Template Body must be specified"),
        ({"TemplateBody": "x" * 51_201}, "length less than or equal to 51200"),
    ],
)
def test_templates_that_are_not_there(
    stacks: Stacks, publish: Callable[[str, Any], str], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ClientError, match=problem):
        stacks.client.create_stack(StackName="nowhere", **options)
