"""Stacks on a running cloud: made, changed, replaced, deleted; what fails says why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from local_cloud.cloudformation import stacks as stacks_module

Stacks = Any  # the driver of conftest.py
Dump = Callable[[], dict[str, Any]]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "cloudformation.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def policy(*actions: str, resource: str = "*") -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def bucket(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": properties}


def role(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": TRUST, **properties},
    }


def log_group(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def parameter(value: Any, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": value, **properties},
    }


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def with_outputs(body: dict[str, Any], **outputs: Any) -> dict[str, Any]:
    return {**body, "Outputs": {name: {"Value": value} for name, value in outputs.items()}}


#: Fails when it is made, not before: its role is not there.
BROKEN = {
    "Type": "AWS::IAM::Policy",
    "Properties": {
        "PolicyName": "broken",
        "PolicyDocument": policy("s3:*"),
        "Roles": ["nobody"],
    },
}

# ------------------------------------------------------------------------------ life


def test_a_stack_from_creation_to_deletion(cloud: LocalCloud, stacks: Stacks, dump: Dump) -> None:
    before = dump()
    body = """
    Parameters:
      Days: {Type: Number, Default: 7, AllowedValues: [7, 14]}
    Conditions:
      IsLong: !Equals [!Ref Days, 14]
    Resources:
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Version: 2012-10-17
            Statement:
              - {Effect: Allow, Principal: {Service: states.amazonaws.com}, Action: sts:AssumeRole}
          Policies:
            - PolicyName: write
              PolicyDocument:
                Version: 2012-10-17
                Statement: {Effect: Allow, Action: "s3:*", Resource: !Sub "${Bucket.Arn}/*"}
      Bucket: {Type: AWS::S3::Bucket}
      Logs:
        Type: AWS::Logs::LogGroup
        Properties:
          LogGroupName: !Sub "/${AWS::StackName}/${Bucket}"
          RetentionInDays: !Ref Days
      Long: {Type: AWS::S3::Bucket, Condition: IsLong}
    Outputs:
      Role: {Value: !GetAtt Role.Arn, Description: who writes}
      Bucket: {Value: !Ref Bucket}
    """
    stack = stacks.create("life", body, Tags=[{"Key": "team", "Value": "churn"}])
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    ids = stacks.physical_ids("life")
    assert set(ids) == {"Role", "Bucket", "Logs"}
    assert stacks.outputs("life") == {
        "Role": f"arn:aws:iam::000000000000:role/{ids['Role']}", "Bucket": ids["Bucket"],
    }  # fmt: skip
    assert ids["Logs"] == f"/life/{ids['Bucket']}"
    found = cloud.client("iam").get_role_policy(RoleName=ids["Role"], PolicyName="write")
    statement = found["PolicyDocument"]["Statement"]
    assert statement["Resource"] == f"arn:aws:s3:::{ids['Bucket']}/*"
    tags = cloud.client("iam").list_role_tags(RoleName=ids["Role"])["Tags"]
    assert tags == [{"Key": "team", "Value": "churn"}]
    assert [event for event in stacks.events("life") if event[0] in {"life", "Logs"}] == [
        ("life", "CREATE_IN_PROGRESS", "User Initiated"),
        ("Logs", "CREATE_IN_PROGRESS", ""),
        ("Logs", "CREATE_IN_PROGRESS", "Resource creation Initiated"),
        ("Logs", "CREATE_COMPLETE", ""),
        ("life", "CREATE_COMPLETE", ""),
    ]

    stack = stacks.update("life", body, parameters={"Days": "14"})
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    changed = stacks.physical_ids("life")
    assert {name: changed[name] for name in ids} == ids
    assert "Long" in changed
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/life/")["logGroups"]
    assert group["retentionInDays"] == 14

    stack = stacks.delete("life")
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    assert dump() == before
    with pytest.raises(ClientError, match="Stack with id life does not exist"):
        stacks.client.describe_stacks(StackName="life")


def test_a_property_that_cannot_change_makes_a_new_resource_before_the_old_one_goes(
    stacks: Stacks, dump: Dump
) -> None:
    before = dump()
    stacks.create("replaced", template(Role=role(Path="/old/"), Text=parameter({"Ref": "Role"})))
    old = stacks.physical_ids("replaced")
    stack = stacks.update(
        "replaced", template(Role=role(Path="/new/"), Text=parameter({"Ref": "Role"}))
    )
    new = stacks.physical_ids("replaced")
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert new["Role"] != old["Role"]
    assert new["Text"] == old["Text"]
    found = dump()
    assert set(found["roles"]) - set(before["roles"]) == {new["Role"]}
    assert found["parameters"][new["Text"]][1] == new["Role"]
    events = stacks.events("replaced")
    made = events.index(("Role", "UPDATE_COMPLETE", ""))
    changed = events.index(("Text", "UPDATE_COMPLETE", ""))
    deleted = events.index(("Role", "DELETE_COMPLETE", ""))
    assert made < changed < deleted
    stacks.delete("replaced")
    assert dump() == before


def test_a_stack_that_was_rolled_back_is_what_it_was_for_the_next_update(
    stacks: Stacks, dump: Dump
) -> None:
    body = {"Parameters": {"Text": {"Type": "String"}}, **template(A=parameter({"Ref": "Text"}))}
    body = with_outputs(body, Text={"Ref": "Text"})
    stacks.create("again", body, parameters={"Text": "one"})
    before = dump()
    broken = {**body, "Resources": {**body["Resources"], "Broken": {**BROKEN, "DependsOn": "A"}}}
    stack = stacks.update("again", broken, parameters={"Text": "two"})
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert dump() == before
    assert stacks.client.get_template(StackName="again")["TemplateBody"] == body
    assert stack["Parameters"] == [{"ParameterKey": "Text", "ParameterValue": "one"}]
    assert stacks.outputs("again") == {"Text": "one"}
    resources = stacks.client.describe_stack_resources(StackName="again")["StackResources"]
    assert {item["LogicalResourceId"]: item["ResourceStatus"] for item in resources} == {
        "A": "UPDATE_COMPLETE"
    }
    with pytest.raises(ClientError, match=r"No updates are to be performed\."):
        stacks.update("again", body, parameters={"Text": "one"})
    stacks.delete("again")


def test_a_custom_name_must_change_with_a_replacement(stacks: Stacks, dump: Dump) -> None:
    stacks.create("custom", template(Role=role(Path="/old/", RoleName="custom-role")))
    before = dump()
    stack = stacks.update("custom", template(Role=role(Path="/new/", RoleName="custom-role")))
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "Rename custom-role and update" in stacks.reasons("custom", "UPDATE_FAILED")["Role"]
    assert stacks.events("custom")[-3:-1] == [
        ("Role", "UPDATE_COMPLETE", ""),
        ("custom", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", ""),
    ]
    assert dump() == before
    stack = stacks.update("custom", template(Role=role(Path="/new/", RoleName="custom-role-2")))
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    stacks.delete("custom")


def test_what_is_taken_out_is_deleted_after_everything_else(stacks: Stacks, dump: Dump) -> None:
    before = dump()
    stacks.create("smaller", template(A=bucket(), B=log_group(), C=parameter({"Ref": "A"})))
    stack = stacks.update("smaller", template(B=log_group()))
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert set(stacks.physical_ids("smaller")) == {"B"}
    deleted = [name for name, status, _ in stacks.events("smaller") if status == "DELETE_COMPLETE"]
    assert deleted == ["C", "A"]
    stacks.delete("smaller")
    assert dump() == before


@pytest.mark.parametrize("name", ["same", "same-with-defaults"])
def test_an_update_without_a_change_is_refused(stacks: Stacks, name: str) -> None:
    body = template(Logs=log_group(RetentionInDays=7))
    stacks.create(name, body)
    with pytest.raises(ClientError, match=r"No updates are to be performed\."):
        stacks.update(name, template(Logs=log_group(RetentionInDays="7")))
    with pytest.raises(ClientError, match=r"No updates are to be performed\."):
        stacks.client.update_stack(StackName=name, UsePreviousTemplate=True)
    assert stacks.settled(name)["StackStatus"] == "CREATE_COMPLETE"


def test_previous_values_and_templates(stacks: Stacks) -> None:
    body = {
        "Parameters": {"Text": {"Type": "String"}, "Other": {"Type": "String", "Default": "x"}},
        **template(A=parameter({"Fn::Sub": "${Text}-${Other}"})),
    }
    body = with_outputs(body, Value={"Fn::GetAtt": ["A", "Value"]})
    stacks.create("previous", body, parameters={"Text": "one"})
    stacks.client.update_stack(
        StackName="previous",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": "Text", "UsePreviousValue": True},
            {"ParameterKey": "Other", "ParameterValue": "two"},
        ],
    )
    stacks.settled("previous")
    assert stacks.outputs("previous") == {"Value": "one-two"}


# ------------------------------------------------------------------------------ failures


def test_a_creation_that_fails_leaves_nothing(stacks: Stacks, dump: Dump) -> None:
    before = dump()
    broken = {**BROKEN, "DependsOn": ["Role", "Logs"]}
    stack = stacks.create(
        "fails", template(Role=role(), Logs=log_group(), Broken=broken, Never=parameter({
            "Ref": "Broken"}))
    )  # fmt: skip
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert dump() == before
    reason = stacks.reasons("fails", "CREATE_FAILED")["Broken"]
    assert "nobody" in reason
    assert "Operation: PutRolePolicy" in reason or "Operation: GetRolePolicy" in reason
    rolled_back = stacks.reasons("fails", "ROLLBACK_IN_PROGRESS")["fails"]
    assert rolled_back == (
        "The following resource(s) failed to create: [Broken]. Rollback requested by user."
    )
    assert "Never" not in {name for name, _, _ in stacks.events("fails")}
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        stacks.update("fails", template(Role=role()))
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        stacks.create("fails", template(Role=role()))
    assert stacks.delete("fails")["StackStatus"] == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("options", "status", "is_left"),
    [
        ({"OnFailure": "DELETE"}, "DELETE_COMPLETE", False),
        ({"OnFailure": "DO_NOTHING"}, "CREATE_FAILED", True),
        ({"DisableRollback": True}, "CREATE_FAILED", True),
        ({"OnFailure": "ROLLBACK"}, "ROLLBACK_COMPLETE", False),
    ],
)
def test_what_a_failed_creation_does_is_the_callers_choice(
    stacks: Stacks, dump: Dump, options: dict[str, Any], status: str, is_left: bool
) -> None:
    before = dump()
    name = f"choice-{status.replace('_', '-')}-{len(options)}-{'-'.join(options)}"
    body = template(Role=role(), Broken={**BROKEN, "DependsOn": "Role"})
    stack = stacks.create(name, body, **options)
    assert stack["StackStatus"] == status
    assert (dump() != before) is is_left
    if status != "DELETE_COMPLETE":
        stacks.delete(name)
    assert dump() == before


@pytest.mark.parametrize(
    ("deletion_policy", "options", "is_kept"),
    [
        ("Delete", {}, False),
        ("Retain", {}, True),
        ("RetainExceptOnCreate", {}, False),
        ("Retain", {"RetainExceptOnCreate": True}, False),
    ],
)
def test_what_a_rollback_keeps(
    cloud: LocalCloud, stacks: Stacks, deletion_policy: str, options: dict[str, Any], is_kept: bool
) -> None:
    name = f"kept-{deletion_policy}-{len(options)}"
    kept = {**log_group(LogGroupName=name), "DeletionPolicy": deletion_policy}
    body = template(Kept=kept, Broken={**BROKEN, "DependsOn": "Kept"})
    stack = stacks.create(name, body, **options)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    groups = cloud.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert bool(groups) is is_kept
    assert ("Kept" in stacks.reasons(name, "DELETE_SKIPPED")) is is_kept


def test_deletion_keeps_what_is_to_be_retained(cloud: LocalCloud, stacks: Stacks) -> None:
    stacks.create(
        "retains",
        template(
            Kept={**log_group(LogGroupName="retained"), "DeletionPolicy": "Retain"},
            Gone=log_group(LogGroupName="not-retained"),
        ),
    )
    stack = stacks.delete("retains")
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    names = {group["logGroupName"] for group in groups}
    assert "retained" in names
    assert "not-retained" not in names
    assert "Kept" in stacks.reasons(stack["StackId"], "DELETE_SKIPPED")


def test_a_deletion_that_fails_can_be_repeated(cloud: LocalCloud, stacks: Stacks) -> None:
    body = template(Bucket=bucket(BucketName="full-bucket"), Logs=log_group())
    stacks.create("full", body)
    cloud.client("s3").put_object(Bucket="full-bucket", Key="a", Body=b"b")
    stack = stacks.delete("full")
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert stack["StackStatusReason"] == "The following resource(s) failed to delete: [Bucket]."
    assert "not empty" in stacks.reasons("full", "DELETE_FAILED")["Bucket"]
    stacks.client.delete_stack(StackName="full", RetainResources=["Bucket"])
    assert stacks.settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    cloud.client("s3").head_bucket(Bucket="full-bucket")


def test_what_a_resource_that_stays_needs_stays(cloud: LocalCloud, stacks: Stacks) -> None:
    stacks.create(
        "chain",
        template(Name=parameter("chained-bucket"), Bucket={
            **bucket(BucketName="chained-bucket"), "DependsOn": "Name"}),
    )  # fmt: skip
    cloud.client("s3").put_object(Bucket="chained-bucket", Key="a", Body=b"b")
    assert stacks.delete("chain")["StackStatus"] == "DELETE_FAILED"
    assert stacks.physical_ids("chain")["Name"]
    assert "Name" not in {name for name, status, _ in stacks.events("chain") if "DELETE" in status}
    cloud.client("s3").delete_object(Bucket="chained-bucket", Key="a")
    assert stacks.delete("chain")["StackStatus"] == "DELETE_COMPLETE"


def test_termination_protection(stacks: Stacks) -> None:
    stacks.create("protected", template(Logs=log_group()), EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        stacks.client.delete_stack(StackName="protected")
    stacks.client.update_termination_protection(
        StackName="protected", EnableTerminationProtection=False
    )
    assert stacks.delete("protected")["StackStatus"] == "DELETE_COMPLETE"


def test_a_value_that_is_wrong_only_when_it_is_known(stacks: Stacks, dump: Dump) -> None:
    before = dump()
    body = template(
        Days=parameter("8"),
        Logs=log_group(RetentionInDays={"Fn::GetAtt": ["Days", "Value"]}),
    )
    stack = stacks.create("late", body)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = stacks.reasons("late", "CREATE_FAILED")["Logs"]
    assert "Properties validation failed for resource Logs" in reason
    assert "#/RetentionInDays: 8 is not a valid enum value" in reason
    assert dump() == before


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("body", "code", "problem"),
    [
        (template(A={"Type": "AWS::SQS::Queue"}), "LocalCloudUnsupported",
         "/Resources/A: resource type AWS::SQS::Queue is not part of the local cloud"),
        (template(A={"Type": "AWS::SQS::Bueue"}), "ValidationError", "Unrecognized resource types"),
        (template(A=bucket(AccelerateConfiguration={"AccelerationStatus": "Enabled"})),
         "LocalCloudUnsupported", "/Resources/A/Properties/AccelerateConfiguration is not part"),
        (template(A=bucket(Color="red")), "ValidationError", r"extraneous key \[Color\]"),
        (template(A=bucket(LifecycleConfiguration={"Rules": [{
            "Status": "Enabled", "TagFilters": [{"Key": "a", "Value": "b"}]}]})),
         "LocalCloudUnsupported",
         "/Resources/A/Properties/LifecycleConfiguration/Rules/0/TagFilters"),
        (template(A={"Type": "AWS::CloudFormation::WaitConditionHandle"}), "LocalCloudUnsupported",
         "WaitConditionHandle is not part of the local cloud"),
        ({"Transform": "AWS::Serverless-2016-10-31", **template(A=bucket())}, "ValidationError",
         "there are no macros"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_by_name_before_anything_is(
    stacks: Stacks, dump: Dump, body: dict[str, Any], code: str, problem: str
) -> None:
    before = dump()
    with pytest.raises(ClientError, match=problem) as caught:
        stacks.create("refused", body)
    assert caught.value.response["Error"]["Code"] == code
    assert dump() == before
    with pytest.raises(ClientError, match="does not exist"):
        stacks.client.describe_stacks(StackName="refused")


def test_every_refusal_is_listed(stacks: Stacks) -> None:
    body = template(
        Queue={"Type": "AWS::SQS::Queue"},
        Bucket=bucket(AccelerateConfiguration={"AccelerationStatus": "Enabled"}),
        Table={"Type": "AWS::DynamoDB::Table"},
    )
    with pytest.raises(ClientError) as caught:
        stacks.create("many", body)
    for name in ("AWS::SQS::Queue", "AWS::DynamoDB::Table", "AccelerateConfiguration"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"Capabilities": []}, r"InsufficientCapabilities.*\[CAPABILITY_NAMED_IAM\]"),
        ({"Capabilities": ["CAPABILITY_IAM"]}, r"\[CAPABILITY_NAMED_IAM\]"),
        ({"parameters": {"Who": "x"}}, r"Parameters: \[Who\] do not exist"),
        ({"TimeoutInMinutes": 5}, "TimeoutInMinutes"),
        ({"NotificationARNs": ["arn:aws:sns:xx-local-1:0:a"]}, "NotificationARNs"),
        ({"StackPolicyBody": "{}"}, "StackPolicyBody"),
        ({"RoleARN": "arn:aws:iam::000000000000:role/nobody"}, "is invalid or cannot be assumed"),
        ({"OnFailure": "DELETE", "DisableRollback": True}, "either DisableRollback or OnFailure"),
    ],
)
def test_what_a_request_may_not_ask(stacks: Stacks, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ClientError, match=problem):
        stacks.create("asks", template(Role=role(RoleName="named")), **options)


def test_names_of_stacks(stacks: Stacks) -> None:
    for name in ("1st", "under_score", "x" * 129):
        with pytest.raises(ClientError, match="stackName"):
            stacks.create(name, template(Logs=log_group()))


# ------------------------------------------------------------------------------ permissions


def test_a_permission_that_the_role_lacks_fails_the_resource_that_needs_it(
    cloud: LocalCloud, stacks: Stacks, dump: Dump
) -> None:
    iam = cloud.client("iam")
    arn = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    allowed = policy("ssm:PutParameter", "ssm:GetParameters", "ssm:DeleteParameter")
    iam.put_role_policy(RoleName="deployer", PolicyName="some", PolicyDocument=json.dumps(allowed))
    before = dump()
    body = template(
        Text=parameter("a"), Logs={**log_group(LogGroupName="denied"), "DependsOn": "Text"}
    )
    stack = stacks.create("lacks", body, RoleARN=arn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert stack["RoleARN"] == arn
    reason = stacks.reasons("lacks", "CREATE_FAILED")["Logs"]
    assert "is not authorized to perform: logs:CreateLogGroup on resource" in reason
    assert "log-group:denied" in reason
    assert "assumed-role/deployer/cloudformation" in reason
    assert "HandlerErrorCode: AccessDenied" in reason
    assert dump() == before

    allowed = policy("ssm:*", "logs:*")
    iam.put_role_policy(RoleName="deployer", PolicyName="some", PolicyDocument=json.dumps(allowed))
    stacks.delete("lacks")
    assert stacks.create("lacks", body, RoleARN=arn)["StackStatus"] == "CREATE_COMPLETE"
    # The role stays the stack's: nobody has to name it again.
    assert stacks.delete("lacks")["StackStatus"] == "DELETE_COMPLETE"
    iam.delete_role_policy(RoleName="deployer", PolicyName="some")
    iam.delete_role(RoleName="deployer")


def test_a_deployer_that_may_make_roles_at_one_path_within_a_boundary_only(
    cloud: LocalCloud, stacks: Stacks, dump: Dump
) -> None:
    iam = cloud.client("iam")
    document = json.dumps(policy("s3:GetObject"))
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=document)["Policy"]["Arn"]
    arn = iam.create_role(RoleName="maker", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
        "Arn"
    ]
    roles = "arn:aws:iam::000000000000:role/project/*"
    bounded = {
        **policy("iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", resource=roles)[
            "Statement"
        ][0],
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
    }
    (others,) = policy(
        "iam:DeleteRole", "iam:GetRole", "iam:TagRole", "iam:UpdateRole", resource=roles
    )["Statement"]
    iam.put_role_policy(
        RoleName="maker",
        PolicyName="some",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [bounded, others]}),
    )
    before = dump()

    def body(**properties: Any) -> dict[str, Any]:
        inline = [{"PolicyName": "own", "PolicyDocument": policy("s3:GetObject")}]
        return template(Role=role(Policies=inline, **properties))

    within = {"Path": "/project/", "PermissionsBoundary": boundary}
    for name, properties in (
        ("no-boundary", {"Path": "/project/"}),
        ("elsewhere", {"Path": "/other/", "PermissionsBoundary": boundary}),
        ("no-path", {"PermissionsBoundary": boundary}),
    ):
        stack = stacks.create(f"maker-{name}", body(**properties), RoleARN=arn)
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
        reason = stacks.reasons(f"maker-{name}", "CREATE_FAILED")["Role"]
        assert "not authorized to perform: iam:CreateRole on resource" in reason
        assert dump() == before
    assert stacks.create("maker", body(**within), RoleARN=arn)["StackStatus"] == "CREATE_COMPLETE"
    changed = body(Description="new", **within)
    assert stacks.update("maker", changed)["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.delete("maker")["StackStatus"] == "DELETE_COMPLETE"
    assert dump() == before
    iam.delete_role_policy(RoleName="maker", PolicyName="some")
    iam.delete_role(RoleName="maker")
    iam.delete_policy(PolicyArn=boundary)


def test_without_a_role_of_its_own_a_stack_is_made_by_the_caller(
    cloud: LocalCloud, stacks: Stacks
) -> None:
    iam = cloud.client("iam")
    trust = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": "*"}}]}
    arn = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
        "Arn"
    ]
    allowed = policy("cloudformation:*", "ssm:*")
    iam.put_role_policy(RoleName="caller", PolicyName="some", PolicyDocument=json.dumps(allowed))
    assumed = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    client = boto3.client(
        "cloudformation",
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )
    by_caller = type(stacks)(client)
    by_caller.create("by-caller", template(Text=parameter("a"), Logs=log_group()))
    reason = by_caller.reasons("by-caller", "CREATE_FAILED")["Logs"]
    assert "assumed-role/caller/me is not authorized to perform: logs:CreateLogGroup" in reason
    client.close()


# ------------------------------------------------------------------------------ exports


def exporting(value: str) -> dict[str, Any]:
    return {
        **template(Text=parameter(value)),
        "Outputs": {
            "Text": {"Value": {"Fn::GetAtt": ["Text", "Value"]}, "Export": {"Name": "shared-text"}}
        },
    }


def test_exports_are_unique_and_stay_while_they_are_imported(stacks: Stacks) -> None:
    importing = with_outputs(
        template(Text=parameter({"Fn::ImportValue": {"Fn::Sub": "shared-text"}})),
        Text={"Fn::GetAtt": ["Text", "Value"]},
    )
    with pytest.raises(ClientError, match="No export named shared-text found"):
        stacks.create("importer", importing)
    stacks.create("exporter", exporting("one"))
    stacks.create("importer", importing)
    assert stacks.outputs("importer") == {"Text": "one"}
    (export,) = stacks.client.list_exports()["Exports"]
    assert (export["Name"], export["Value"]) == ("shared-text", "one")
    imports = stacks.client.list_imports(ExportName="shared-text")["Imports"]
    assert imports == ["importer"]

    second = stacks.create("second", exporting("two"))
    assert second["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = stacks.reasons("second", "ROLLBACK_IN_PROGRESS")["second"]
    assert "Export with name shared-text is already exported by stack exporter." in reason

    with pytest.raises(ClientError, match="cannot be deleted as it is in use by importer"):
        stacks.client.delete_stack(StackName="exporter")
    changed = stacks.update("exporter", exporting("other"))
    assert changed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.outputs("exporter") == {"Text": "one"}
    removed = stacks.update("exporter", template(Text=parameter("one")))
    assert removed["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"

    stacks.delete("importer")
    with pytest.raises(ClientError, match="not imported by any stack"):
        stacks.client.list_imports(ExportName="shared-text")
    changed = stacks.update("exporter", exporting("other"))
    assert changed["StackStatus"] == "UPDATE_COMPLETE"
    assert stacks.delete("exporter")["StackStatus"] == "DELETE_COMPLETE"
    assert stacks.client.list_exports()["Exports"] == []


# ------------------------------------------------------------------------------ at the same time


def test_stacks_at_once(stacks: Stacks, dump: Dump) -> None:
    before = dump()
    body = template(Role=role(), Logs=log_group(), Text=parameter({"Ref": "Role"}))
    threads = [
        threading.Thread(target=stacks.create, args=(f"at-once-{number}", body))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [stacks.physical_ids(f"at-once-{number}") for number in range(4)]
    assert len({item["Role"] for item in ids}) == 4
    for number in range(4):
        assert stacks.delete(f"at-once-{number}")["StackStatus"] == "DELETE_COMPLETE"
    assert dump() == before


def test_creation_answers_at_once_and_a_busy_stack_is_left_alone(stacks: Stacks) -> None:
    roles = {f"Role{number}": role() for number in range(20)}
    stacks.client.create_stack(
        StackName="busy",
        TemplateBody=json.dumps(template(**roles)),
        Capabilities=["CAPABILITY_IAM"],
    )
    (stack,) = stacks.client.describe_stacks(StackName="busy")["Stacks"]
    assert stack["StackStatus"] == "CREATE_IN_PROGRESS"
    with pytest.raises(ClientError, match="CREATE_IN_PROGRESS state and can not be updated"):
        stacks.update("busy", template(Role=role()))
    with pytest.raises(ClientError, match="cannot be deleted while in status CREATE_IN_PROGRESS"):
        stacks.client.delete_stack(StackName="busy")
    stacks.client.get_waiter("stack_create_complete").wait(
        StackName="busy", WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000}
    )
    stacks.client.delete_stack(StackName="busy")
    stacks.client.get_waiter("stack_delete_complete").wait(
        StackName=stack["StackId"], WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000}
    )


def test_the_cloud_stops_while_a_stack_is_made(tmp_path: Path) -> None:
    roles = {f"Role{number}": role() for number in range(200)}
    LocalCloud._started, started = None, LocalCloud._started
    try:
        with LocalCloud(tmp_path) as cloud:
            stacks = stacks_module.Stacks(cloud)
            request = stacks_module.Request(
                credentials=cloud.account.administrator.credentials,
                name="stopped",
                body=json.dumps(template(**roles)),
                capabilities=("CAPABILITY_IAM",),
            )
            stack = stacks.create(request)
            stacks.stop()
            made = [role for role in stack.resources.values() if role.status == "CREATE_COMPLETE"]
            assert len(made) < len(roles)
            assert stack.status == "CREATE_IN_PROGRESS"
    finally:
        LocalCloud._started = started
    assert not [thread for thread in threading.enumerate() if thread.name == "stack stopped"]
    log = tmp_path / "logs" / "local_cloud.log"
    assert not log.exists() or "Traceback" not in log.read_text()
