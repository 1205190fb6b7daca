"""Change sets, descriptions and lists: what AWS's CLI and SDKs read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

Stacks = Any  # the driver of conftest.py
Dump = Callable[[], dict[str, Any]]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def body(*, path: str = "/one/", days: int = 7, extra: bool = False) -> dict[str, Any]:
    resources: dict[str, Any] = {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": TRUST, "Path": path},
        },
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": days}},
        "Text": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Ref": "Role"}},
        },
    }
    if extra:
        del resources["Logs"]
        resources["New"] = {"Type": "AWS::Logs::LogGroup"}
    return {
        "Description": "three things",
        "Parameters": {
            "Secret": {"Type": "String", "Default": "hush", "NoEcho": True},
            "Size": {"Type": "Number", "Default": 3, "Description": "how many"},
        },
        "Resources": resources,
        "Outputs": {
            "Role": {
                "Value": {"Fn::GetAtt": ["Role", "Arn"]},
                "Description": "who",
                "Export": {"Name": {"Fn::Sub": "${AWS::StackName}-role"}},
            }
        },
    }


def plan(stacks: Stacks, name: str, template: Any, kind: str = "UPDATE", **options: Any) -> Any:
    created = stacks.client.create_change_set(
        StackName=name,
        ChangeSetName=f"{name}-change",
        ChangeSetType=kind,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM"],
        **options,
    )
    return stacks.client.describe_change_set(ChangeSetName=created["Id"])


def actions(described: Any) -> dict[str, tuple[str, str | None]]:
    changes = [change["ResourceChange"] for change in described["Changes"]]
    return {
        change["LogicalResourceId"]: (change["Action"], change.get("Replacement"))
        for change in changes
    }


def test_a_change_set_creates_a_stack_when_it_is_executed(stacks: Stacks, dump: Dump) -> None:
    before = dump()
    described = plan(stacks, "planned", body(), "CREATE", Description="first")
    assert described["Status"] == "CREATE_COMPLETE"
    assert described["ExecutionStatus"] == "AVAILABLE"
    assert described["Description"] == "first"
    assert actions(described) == {
        "Role": ("Add", None),
        "Logs": ("Add", None),
        "Text": ("Add", None),
    }
    (stack,) = stacks.client.describe_stacks(StackName="planned")["Stacks"]
    assert stack["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert dump() == before
    stacks.client.execute_change_set(ChangeSetName="planned-change", StackName="planned")
    stacks.client.get_waiter("stack_create_complete").wait(
        StackName="planned", WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000}
    )
    assert dump() != before
    with pytest.raises(ClientError, match="cannot be executed in its current status"):
        stacks.client.execute_change_set(ChangeSetName="planned-change", StackName="planned")
    stacks.delete("planned")


def test_a_change_set_is_what_the_update_then_does(stacks: Stacks, dump: Dump) -> None:
    stacks.create("changes", body())
    before = dump()
    described = plan(stacks, "changes", body(path="/two/", extra=True))
    assert actions(described) == {
        "Role": ("Modify", "True"),
        "Text": ("Modify", "False"),
        "New": ("Add", None),
        "Logs": ("Remove", None),
    }
    details = {
        change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"]["Details"]
        for change in described["Changes"]
    }
    (path,) = details["Role"]
    assert path["Target"] == {
        "Attribute": "Properties", "Name": "Path", "RequiresRecreation": "Always",
    }  # fmt: skip
    assert path["Evaluation"] == "Static"
    (value,) = details["Text"]
    assert value["Evaluation"] == "Dynamic"
    assert dump() == before
    stacks.client.execute_change_set(ChangeSetName=described["ChangeSetId"])
    assert stacks.settled("changes")["StackStatus"] == "UPDATE_COMPLETE"
    done = [event for event in stacks.events("changes") if event[1] == "DELETE_COMPLETE"]
    assert [name for name, _, _ in done] == ["Logs", "Role"]
    assert set(stacks.physical_ids("changes")) == {"Role", "Text", "New"}
    stacks.delete("changes")


def test_change_sets_that_cannot_be_executed(stacks: Stacks) -> None:
    stacks.create("unchanged", body())
    described = plan(stacks, "unchanged", body())
    assert described["Status"] == "FAILED"
    assert "didn't contain changes" in described["StatusReason"]
    with pytest.raises(ClientError, match="cannot be executed"):
        stacks.client.execute_change_set(ChangeSetName="unchanged-change", StackName="unchanged")
    with pytest.raises(ClientError, match="already exists in stack unchanged"):
        plan(stacks, "unchanged", body())
    stacks.client.delete_change_set(ChangeSetName="unchanged-change", StackName="unchanged")
    with pytest.raises(ClientError, match=r"ChangeSet \[unchanged-change\] does not exist"):
        stacks.client.describe_change_set(ChangeSetName="unchanged-change", StackName="unchanged")
    broken = body()
    broken["Resources"]["Logs"]["Properties"]["RetentionInDays"] = 8
    described = plan(stacks, "unchanged", broken)
    assert described["Status"] == "FAILED"
    assert "8 is not a valid enum value" in described["StatusReason"]
    with pytest.raises(ClientError, match="already exists and cannot be created again"):
        plan(stacks, "unchanged", body(), "CREATE")
    with pytest.raises(ClientError, match="a change set of type IMPORT"):
        plan(stacks, "unchanged", body(), "IMPORT")
    stacks.delete("unchanged")


def test_an_executed_change_set_makes_the_others_obsolete(stacks: Stacks) -> None:
    stacks.create("two", body())
    first = plan(stacks, "two", body(days=14))
    second = stacks.client.create_change_set(
        StackName="two",
        ChangeSetName="other",
        TemplateBody=json.dumps(body(days=30)),
        Capabilities=["CAPABILITY_IAM"],
    )["Id"]
    listed = stacks.client.list_change_sets(StackName="two")["Summaries"]
    assert [item["ChangeSetName"] for item in listed] == ["other", "two-change"]
    stacks.client.execute_change_set(ChangeSetName=first["ChangeSetId"])
    stacks.settled("two")
    assert stacks.client.describe_change_set(ChangeSetName=second)["ExecutionStatus"] == "OBSOLETE"
    stacks.delete("two")


def test_a_stack_is_described(stacks: Stacks) -> None:
    stacks.create("described", body(), Tags=[{"Key": "a", "Value": "b"}], ClientRequestToken="tok")
    (stack,) = stacks.client.describe_stacks(StackName="described")["Stacks"]
    assert stack["Description"] == "three things"
    assert stack["Tags"] == [{"Key": "a", "Value": "b"}]
    assert stack["Capabilities"] == ["CAPABILITY_NAMED_IAM"]
    assert stack["EnableTerminationProtection"] is False
    assert {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]} == {
        "Secret": "****", "Size": "3",
    }  # fmt: skip
    ids = stacks.physical_ids("described")
    (output,) = stack["Outputs"]
    assert output == {
        "OutputKey": "Role",
        "OutputValue": f"arn:aws:iam::000000000000:role/one/{ids['Role']}",
        "Description": "who",
        "ExportName": "described-role",
    }
    detail = stacks.client.describe_stack_resource(StackName="described", LogicalResourceId="Role")[
        "StackResourceDetail"
    ]
    assert detail["PhysicalResourceId"] == ids["Role"]
    assert detail["ResourceStatus"] == "CREATE_COMPLETE"
    with pytest.raises(ClientError, match="Resource Nobody does not exist for stack described"):
        stacks.client.describe_stack_resource(StackName="described", LogicalResourceId="Nobody")
    found = stacks.client.describe_stack_resources(PhysicalResourceId=ids["Logs"])
    assert {item["LogicalResourceId"] for item in found["StackResources"]} == set(ids)
    (only,) = stacks.client.describe_stack_resources(
        StackName="described", LogicalResourceId="Logs"
    )["StackResources"]
    assert only["PhysicalResourceId"] == ids["Logs"]
    events = stacks.client.describe_stack_events(StackName="described")["StackEvents"]
    assert events[0]["ResourceStatus"] == "CREATE_COMPLETE"
    assert events[0]["LogicalResourceId"] == "described"
    assert {event["ClientRequestToken"] for event in events} == {"tok"}
    times = [event["Timestamp"] for event in events]
    assert times == sorted(times, reverse=True)
    assert len({event["EventId"] for event in events}) == len(events)
    assert "hush" not in json.dumps([stack, events], default=str)
    stacks.delete("described")


def test_templates_are_given_back_and_summarised(stacks: Stacks) -> None:
    text = json.dumps(body())
    stacks.create("given-back", text)
    assert stacks.client.get_template(StackName="given-back")["TemplateBody"] == body()
    for options in ({"TemplateBody": text}, {"StackName": "given-back"}):
        summary = stacks.client.get_template_summary(**options)
        assert summary["ResourceTypes"] == [
            "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::SSM::Parameter",
        ]  # fmt: skip
        assert summary["Capabilities"] == ["CAPABILITY_IAM"]
        assert [item["ParameterKey"] for item in summary["Parameters"]] == ["Secret", "Size"]
    checked = stacks.client.validate_template(TemplateBody=text)
    assert checked["Description"] == "three things"
    assert checked["CapabilitiesReason"].endswith("[AWS::IAM::Role]")
    size = checked["Parameters"][1]
    assert size["DefaultValue"] == "3"
    assert size["Description"] == "how many"
    with pytest.raises(ClientError, match="At least one Resources member"):
        stacks.client.validate_template(TemplateBody="{}")
    stacks.delete("given-back")


def test_stacks_are_listed_the_deleted_ones_too(stacks: Stacks) -> None:
    stacks.create("listed", body())
    stack_id = stacks.delete("listed")["StackId"]
    listed = {item["StackId"]: item for item in stacks.client.list_stacks()["StackSummaries"]}
    assert listed[stack_id]["StackStatus"] == "DELETE_COMPLETE"
    assert "DeletionTime" in listed[stack_id]
    wanted = stacks.client.list_stacks(StackStatusFilter=["CREATE_COMPLETE"])["StackSummaries"]
    assert stack_id not in {item["StackId"] for item in wanted}
    alive = stacks.client.describe_stacks()["Stacks"]
    assert stack_id not in {item["StackId"] for item in alive}
    again = stacks.create("listed", body())
    assert again["StackId"] != stack_id
    stacks.delete("listed")


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("detect_stack_drift", {"StackName": "x"}),
        ("list_stack_sets", {}),
        ("cancel_update_stack", {"StackName": "x"}),
        ("set_stack_policy", {"StackName": "x", "StackPolicyBody": "{}"}),
        ("signal_resource", {"StackName": "x", "LogicalResourceId": "a", "UniqueId": "b",
                             "Status": "SUCCESS"}),
    ],
)  # fmt: skip
def test_other_operations_are_refused_by_name(
    stacks: Stacks, operation: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(stacks.client, operation)(**options)
    assert caught.value.response["Error"]["Code"] == "LocalCloudUnsupported"
    assert operation.replace("_", "") in str(caught.value).lower()


def test_a_caller_needs_permission_for_stacks_and_to_pass_the_role(cloud: LocalCloud) -> None:
    iam, text = cloud.client("iam"), json.dumps(body())
    arn = iam.create_role(RoleName="passed", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    iam.create_role(RoleName="starter", AssumeRolePolicyDocument=json.dumps(TRUST))
    allowed = {"Effect": "Allow", "Action": "cloudformation:CreateStack", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="starter", PolicyName="some", PolicyDocument=document)
    starter = cloud.client(
        "cloudformation",
        role_arn="arn:aws:iam::000000000000:role/starter",
        service_principal="states.amazonaws.com",
    )
    with pytest.raises(ClientError, match="not authorized to perform: cloudformation:ListStacks"):
        starter.list_stacks()
    with pytest.raises(ClientError, match="not authorized to perform: iam:PassRole"):
        starter.create_stack(
            StackName="x", TemplateBody=text, RoleARN=arn, Capabilities=["CAPABILITY_IAM"]
        )
    starter.close()
    for name in ("passed", "starter"):
        if name == "starter":
            iam.delete_role_policy(RoleName=name, PolicyName="some")
        iam.delete_role(RoleName=name)
