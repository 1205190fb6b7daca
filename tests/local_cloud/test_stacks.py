"""A stack, as the CDK writes it, becomes a state machine that runs with the stack's role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from local_cloud.cloud import LocalCloud
from local_cloud.stacks import RESOURCE_TYPES

from .conftest import wait_for

PARTITION = {"Ref": "AWS::Partition"}


def allow(action: Any, resource: Any) -> dict[str, Any]:
    return {"Action": action, "Effect": "Allow", "Resource": resource}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Statement": list(statements), "Version": "2012-10-17"}


LOG_DELIVERY = [
    f"logs:{action}"
    for action in (
        "CreateLogDelivery",
        "GetLogDelivery",
        "UpdateLogDelivery",
        "DeleteLogDelivery",
        "ListLogDeliveries",
        "PutResourcePolicy",
        "DescribeResourcePolicies",
        "DescribeLogGroups",
    )
]
READ = allow(
    "s3:GetObject",
    {"Fn::Join": ["", ["arn:", PARTITION, ":s3:::", {"Ref": "BucketName"}, "/*"]]},
)
DEFINITION = (
    '{"StartAt":"ReadEvaluation","States":{"ReadEvaluation":{"Type":"Task","Resource":"arn:'
)
REST = (
    ':states:::aws-sdk:s3:getObject","Parameters":{"Bucket":"${Bucket}","Key":"evaluation.json"},'
    '"ResultSelector":{"Evaluation.$":"States.StringToJson($.Body)"},"End":true}},'
    '"TimeoutSeconds":${Limit},"Comment":"of '
)


def template(*statements: dict[str, Any], comment: str = "1") -> dict[str, Any]:
    """What `cdk synth` writes for a log group, a role and a state machine."""
    return {
        "Parameters": {"BucketName": {"Type": "String"}},
        "Resources": {
            "Logs6819BB44": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": "/aws/vendedlogs/states/churn"},
                "UpdateReplacePolicy": "Delete",
                "DeletionPolicy": "Delete",
                "Metadata": {"aws:cdk:path": "Workflow/Logs/Resource"},
            },
            "WorkflowRole6E2DFDB1": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": document(
                        {
                            "Action": "sts:AssumeRole",
                            "Condition": {
                                "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
                            },
                            "Effect": "Allow",
                            "Principal": {"Service": "states.amazonaws.com"},
                        }
                    )
                },
            },
            "WorkflowRoleDefaultPolicyA6CB4FD2": {
                "Type": "AWS::IAM::Policy",
                "Properties": {
                    "PolicyDocument": document(*statements),
                    "PolicyName": "WorkflowRoleDefaultPolicyA6CB4FD2",
                    "Roles": [{"Ref": "WorkflowRole6E2DFDB1"}],
                },
            },
            "WorkflowE0B6F3D4": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": "churn",
                    "RoleArn": {"Fn::GetAtt": ["WorkflowRole6E2DFDB1", "Arn"]},
                    "DefinitionString": {
                        "Fn::Join": [
                            "",
                            [DEFINITION, PARTITION, REST, {"Ref": "BucketName"}, f' {comment}"}}'],
                        ]
                    },
                    "DefinitionSubstitutions": {"Bucket": {"Ref": "BucketName"}, "Limit": 60},
                    "LoggingConfiguration": {
                        "Destinations": [
                            {
                                "CloudWatchLogsLogGroup": {
                                    "LogGroupArn": {"Fn::GetAtt": ["Logs6819BB44", "Arn"]}
                                }
                            }
                        ],
                        "IncludeExecutionData": False,
                        "Level": "ERROR",
                    },
                    "Tags": [{"Key": "project", "Value": "churn"}],
                },
                "DependsOn": ["WorkflowRoleDefaultPolicyA6CB4FD2", "WorkflowRole6E2DFDB1"],
            },
        },
        "Outputs": {
            "StateMachineArn": {"Value": {"Ref": "WorkflowE0B6F3D4"}},
            "RoleArn": {"Value": {"Fn::GetAtt": ["WorkflowRole6E2DFDB1", "Arn"]}},
        },
    }


@pytest.fixture(scope="module")
def bucket(cloud: LocalCloud) -> str:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="churn", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket="churn", Key="evaluation.json", Body=b'{"passed": true}')
    return "churn"


def parameters(bucket: str) -> list[dict[str, str]]:
    return [{"ParameterKey": "BucketName", "ParameterValue": bucket}]


def outputs(cloud: LocalCloud, stack: str) -> dict[str, str]:
    (described,) = cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in described["Outputs"]}


def run(cloud: LocalCloud, machine: str, name: str) -> dict[str, Any]:
    client = cloud.client("stepfunctions")
    execution = client.start_execution(stateMachineArn=machine, name=name)["executionArn"]

    def finished() -> dict[str, Any] | None:
        described: dict[str, Any] = client.describe_execution(executionArn=execution)
        return None if described["status"] == "RUNNING" else described

    return dict(wait_for(finished))


def test_a_stack_is_created_runs_is_updated_and_deleted(cloud: LocalCloud, bucket: str) -> None:
    stacks, machines = cloud.client("cloudformation"), cloud.client("stepfunctions")
    body = template(READ, allow(LOG_DELIVERY, "*"))
    stacks.create_stack(
        StackName="workflow",
        TemplateBody=json.dumps(body),
        Parameters=parameters(bucket),
        Capabilities=["CAPABILITY_IAM"],
    )
    found = outputs(cloud, "workflow")
    machine = found["StateMachineArn"]
    assert machine == f"arn:aws:states:{cloud.region}:{cloud.account_id}:stateMachine:churn"
    described = machines.describe_state_machine(stateMachineArn=machine)
    assert described["roleArn"] == found["RoleArn"]
    assert described["loggingConfiguration"]["level"] == "ERROR"
    definition = json.loads(described["definition"])
    assert definition["TimeoutSeconds"] == 60
    assert definition["Comment"] == "of churn 1"

    finished = run(cloud, machine, "first")
    assert finished["status"] == "SUCCEEDED"
    assert json.loads(finished["output"]) == {"Evaluation": {"passed": True}}

    changed = template(READ, allow(LOG_DELIVERY, "*"), comment="2")
    stacks.update_stack(
        StackName="workflow", TemplateBody=json.dumps(changed), Parameters=parameters(bucket)
    )
    described = machines.describe_state_machine(stateMachineArn=machine)
    assert json.loads(described["definition"])["Comment"] == "of churn 2"

    stacks.delete_stack(StackName="workflow")
    assert machines.list_state_machines()["stateMachines"] == []


def test_the_machine_of_a_stack_has_the_rights_of_its_role_only(
    cloud: LocalCloud, bucket: str
) -> None:
    stacks = cloud.client("cloudformation")
    stacks.create_stack(
        StackName="powerless",
        TemplateBody=json.dumps(template(allow(LOG_DELIVERY, "*"))),
        Parameters=parameters(bucket),
    )
    finished = run(cloud, outputs(cloud, "powerless")["StateMachineArn"], "denied")
    assert finished["error"] == "S3.S3Exception"
    assert "not authorized to perform: s3:GetObject" in finished["cause"]
    events = cloud.client("logs").filter_log_events(logGroupName="/aws/vendedlogs/states/churn")
    messages = [json.loads(event["message"]) for event in events["events"]]
    assert [message["type"] for message in messages] == ["TaskFailed", "ExecutionFailed"]
    stacks.delete_stack(StackName="powerless")


def test_a_stack_whose_machine_is_not_allowed_fails_and_leaves_nothing(
    cloud: LocalCloud, bucket: str
) -> None:
    stacks = cloud.client("cloudformation")
    stacks.create_stack(
        StackName="silent",
        TemplateBody=json.dumps(template(READ)),
        Parameters=parameters(bucket),
    )
    (stack,) = stacks.describe_stacks(StackName="silent")["Stacks"]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "not authorized to access the Log Destination" in stack["StackStatusReason"]
    events = stacks.describe_stack_events(StackName="silent")["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert failed[0]["ResourceStatusReason"] == stack["StackStatusReason"]
    assert cloud.client("logs").describe_log_groups()["logGroups"] == []
    roles = [role["RoleName"] for role in cloud.client("iam").list_roles()["Roles"]]
    assert not [name for name in roles if name.startswith("silent")]
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_create_complete").wait(
            StackName="silent", WaiterConfig={"Delay": 0, "MaxAttempts": 1}
        )


def test_a_type_that_is_not_here_is_refused_by_name(cloud: LocalCloud) -> None:
    body = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::SQS::Queue\]"):
        cloud.client("cloudformation").create_stack(
            StackName="queue", TemplateBody=json.dumps(body)
        )
    with pytest.raises(ClientError, match="does not exist"):
        cloud.client("cloudformation").describe_stacks(StackName="queue")


def test_a_template_in_yaml_has_short_functions_and_runs_nothing(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    body = """
Resources:
  Group: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/${AWS::Region}/group"}}
Outputs:
  Name: {Value: !Ref Group}
"""
    stacks = cloud.client("cloudformation")
    stacks.create_stack(StackName="yaml", TemplateBody=body)
    assert outputs(cloud, "yaml") == {"Name": f"/{cloud.region}/group"}
    stacks.delete_stack(StackName="yaml")
    witness = tmp_path / "witness"
    hostile = f"Description: !!python/object/apply:os.mkdir ['{witness}']\n{body}"
    with pytest.raises(ClientError):
        stacks.create_stack(StackName="hostile", TemplateBody=hostile)
    assert not witness.exists()


MINIMAL: dict[str, dict[str, Any]] = {
    "AWS::ECR::Repository": {"RepositoryName": "of-a-stack"},
    "AWS::IAM::ManagedPolicy": {"PolicyDocument": document(allow("s3:GetObject", "*"))},
    "AWS::KMS::Key": {"KeyPolicy": document()},
    "AWS::S3::Bucket": {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
            ]
        }
    },
    "AWS::SSM::Parameter": {"Type": "String", "Value": "1", "Name": "/of/a/stack"},
}


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_other_types_can_be_made_and_deleted(cloud: LocalCloud, bucket: str, kind: str) -> None:
    stacks = cloud.client("cloudformation")
    body = {"Resources": {"One": {"Type": kind, "Properties": MINIMAL[kind]}}}
    stacks.create_stack(StackName="one", TemplateBody=json.dumps(body))
    (stack,) = stacks.describe_stacks(StackName="one")["Stacks"]
    assert (stack["StackStatus"], stack.get("StackStatusReason")) == ("CREATE_COMPLETE", None)
    (resource,) = stacks.describe_stack_resources(StackName="one")["StackResources"]
    assert resource["ResourceType"] == kind
    stacks.delete_stack(StackName="one")


def test_every_type_is_tried() -> None:
    of_workflow = {resource["Type"] for resource in template()["Resources"].values()}
    assert of_workflow | set(MINIMAL) == RESOURCE_TYPES
