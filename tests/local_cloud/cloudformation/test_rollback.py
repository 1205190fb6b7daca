"""Whatever call fails, whenever: a stack is left as it was before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import Credentials, LocalCloud
from local_cloud.cloudformation import stacks as stacks_module
from local_cloud.cloudformation.deployer import Deployer, Deployers
from local_cloud.cloudformation.stack import Stack
from local_cloud.cloudformation.stacks import Request, Stacks

Dump = Callable[[], dict[str, Any]]


class FailingDeployer(Deployer):
    """Makes the real calls, but for one, which is refused before it is made."""

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._deployers.count += 1
        if self._deployers.count == self._deployers.fails_at:
            details = {"Code": "InternalFailure", "Message": "the disk of the service is full"}
            raise ClientError({"Error": details}, operation)
        return super().call(service, operation, parameters)


class FailingDeployers(Deployers):
    """Counts calls, and has one of them fail."""

    count = 0
    fails_at = 0

    def of(self, credentials: Credentials) -> FailingDeployer:
        return FailingDeployer(self, credentials)


@pytest.fixture
def failing(cloud: LocalCloud) -> Iterator[Stacks]:
    """Stacks whose calls can be made to fail."""
    stacks = Stacks(cloud, FailingDeployers)
    yield stacks
    stacks.stop()


@pytest.fixture
def request_of(cloud: LocalCloud) -> Callable[..., Request]:
    def make(body: dict[str, Any], **options: Any) -> Request:
        return Request(
            credentials=cloud.account.administrator.credentials,
            name="failing",
            body=json.dumps(body),
            capabilities=("CAPABILITY_NAMED_IAM",),
            **options,
        )

    return make


def settled(stacks: Stacks, stack: Stack) -> str:
    for thread in list(stacks._threads):
        thread.join(60)
    assert not stack.is_busy
    return stack.status


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


def policy(*actions: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


BEFORE = {
    "Role": resource(
        "AWS::IAM::Role",
        AssumeRolePolicyDocument=TRUST,
        Policies=[
            {"PolicyName": "a", "PolicyDocument": policy("s3:Get*")},
            {"PolicyName": "b", "PolicyDocument": policy("s3:Put*")},
        ],
        Tags=[{"Key": "k", "Value": "v"}],
    ),
    "Policy": resource(
        "AWS::IAM::Policy",
        PolicyName="own",
        PolicyDocument=policy("logs:*"),
        Roles=[{"Ref": "Role"}],
    ),
    "Bucket": resource(
        "AWS::S3::Bucket",
        BucketName="bucket-that-changes",
        VersioningConfiguration={"Status": "Enabled"},
    ),
    "Logs": resource("AWS::Logs::LogGroup", RetentionInDays=7),
    "Gone": resource("AWS::SSM::Parameter", Type="String", Value={"Ref": "Logs"}),
    "Replaced": resource("AWS::SSM::Parameter", Name="/one", Type="String", Value="v"),
    "Groups": resource(
        "AWS::EC2::SecurityGroup",
        GroupDescription="d",
        VpcId={"Ref": "Vpc"},
        SecurityGroupIngress=[
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIp": "10.0.0.0/8"},
            {"IpProtocol": "tcp", "FromPort": 2, "ToPort": 2, "CidrIp": "10.0.0.0/8"},
        ],
    ),
    "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
}
AFTER = {
    "Role": resource(
        "AWS::IAM::Role",
        AssumeRolePolicyDocument=TRUST,
        Description="new",
        Policies=[
            {"PolicyName": "a", "PolicyDocument": policy("s3:List*")},
            {"PolicyName": "c", "PolicyDocument": policy("s3:*")},
        ],
    ),
    "Policy": resource(
        "AWS::IAM::Policy",
        PolicyName="renamed",
        PolicyDocument=policy("logs:Get*"),
        Roles=[{"Ref": "Role"}],
    ),
    "Bucket": resource(
        "AWS::S3::Bucket",
        BucketName="bucket-that-changes",
        PublicAccessBlockConfiguration={"BlockPublicAcls": True},
        Tags=[{"Key": "k", "Value": "v"}],
    ),
    "Logs": resource("AWS::Logs::LogGroup", LogGroupName="replaced-by-name"),
    "New": resource("AWS::SSM::Parameter", Type="String", Value={"Ref": "Replaced"}),
    "Replaced": resource("AWS::SSM::Parameter", Name="/two", Type="String", Value="v"),
    "Groups": resource(
        "AWS::EC2::SecurityGroup",
        GroupDescription="d",
        VpcId={"Ref": "Vpc"},
        SecurityGroupIngress=[
            {"IpProtocol": "tcp", "FromPort": 2, "ToPort": 2, "CidrIp": "10.0.0.0/8"},
            {"IpProtocol": "tcp", "FromPort": 3, "ToPort": 3, "CidrIp": "10.0.0.0/8"},
        ],
    ),
    "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.0.0.0/16", EnableDnsHostnames=True),
}


def test_creation_leaves_nothing_whichever_call_fails(
    failing: Stacks, request_of: Callable[..., Request], dump: Dump
) -> None:
    deployers = failing._deployers
    empty = dump()
    fails_at = 0
    while True:
        fails_at += 1
        deployers.count, deployers.fails_at = 0, fails_at
        stack = failing.create(request_of({"Resources": BEFORE}))
        if settled(failing, stack) == "CREATE_COMPLETE":
            break
        assert stack.status == "ROLLBACK_COMPLETE", stack.reason
        assert dump() == empty, f"call {fails_at}"
        assert "the disk of the service is full" in str([event.reason for event in stack.events])
        failing.delete(request_of({"Resources": BEFORE}))
        settled(failing, stack)
    assert fails_at > 20  # so many calls it takes, and each has failed once
    deployers.fails_at = 0
    failing.delete(request_of({"Resources": BEFORE}))
    assert settled(failing, stack) == "DELETE_COMPLETE"
    assert dump() == empty


def test_an_update_leaves_everything_as_it_was_whichever_call_fails(
    failing: Stacks, request_of: Callable[..., Request], dump: Dump
) -> None:
    deployers = failing._deployers
    empty = dump()
    stack = failing.create(request_of({"Resources": BEFORE}))
    assert settled(failing, stack) == "CREATE_COMPLETE"
    before = dump()
    resources = {name: item.state for name, item in stack.resources.items()}
    fails_at = 0
    while True:
        fails_at += 1
        deployers.count, deployers.fails_at = 0, fails_at
        try:
            failing.update(request_of({"Resources": AFTER}))
        except ClientError:
            pytest.fail("a plan makes no call")
        if settled(failing, stack) == "UPDATE_COMPLETE":
            break
        assert stack.status == "UPDATE_ROLLBACK_COMPLETE", stack.events[-20:]
        assert dump() == before, f"call {fails_at}"
        assert {name: item.state for name, item in stack.resources.items()} == resources
        assert not stack.undo
        assert not stack.doomed
    assert fails_at > 20
    deployers.fails_at = 0
    failing.delete(request_of({"Resources": AFTER}))
    assert settled(failing, stack) == "DELETE_COMPLETE"
    assert dump() == empty


def test_a_rollback_that_fails_can_be_continued(
    failing: Stacks, request_of: Callable[..., Request], dump: Dump
) -> None:
    deployers = failing._deployers
    body = {"Resources": {"Role": BEFORE["Role"], "Logs": BEFORE["Logs"]}}
    stack = failing.create(request_of(body))
    settled(failing, stack)
    before = dump()
    failing_twice = {
        "Resources": {
            "Role": AFTER["Role"],
            "Logs": {**resource("AWS::Logs::LogGroup", RetentionInDays=14), "DependsOn": "Role"},
        }
    }
    deployers.count, deployers.fails_at = 0, 10**6
    failing.update(request_of(failing_twice))
    assert settled(failing, stack) == "UPDATE_COMPLETE"
    all_calls = deployers.count
    failing.update(request_of(body))
    settled(failing, stack)
    assert dump() == before

    class FailsTwice(FailingDeployer):
        def call(self, service: str, operation: str, parameters: Any) -> dict[str, Any]:
            if deployers.count >= all_calls - 1 and operation == "UpdateRole":
                raise ClientError({"Error": {"Code": "Internal", "Message": "no"}}, operation)
            return super().call(service, operation, parameters)

    deployers.of = lambda credentials: FailsTwice(deployers, credentials)
    deployers.count, deployers.fails_at = 0, all_calls - 1
    failing.update(request_of(failing_twice))
    assert settled(failing, stack) == "UPDATE_ROLLBACK_FAILED"
    assert "[Role]" in stack.reason
    assert dump() != before
    del deployers.of
    failing.continue_rollback(request_of(body))
    assert settled(failing, stack) == "UPDATE_ROLLBACK_COMPLETE"
    assert dump() == before
    failing.delete(request_of(body))
    settled(failing, stack)


def test_a_resource_can_be_left_out_of_a_continued_rollback(
    failing: Stacks, request_of: Callable[..., Request]
) -> None:
    with pytest.raises(stacks_module.CloudFormationError, match="does not exist"):
        failing.continue_rollback(request_of({}), ["Role"])
