"""What calls of EC2 and EFS need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.actions import needs
from local_cloud.network_actions import EC2, EFS
from local_cloud.requests import Call

REGION, ACCOUNT = "xx-local-1", "000000000000"
#: AWS's own list, as far as our templates use it.
REFERENCE = Path(__file__).parent.parent / "templates" / "cfn" / "authorization.json"
EXAMPLES: dict[str, Any] = {
    "AccessPointId": "fsap-1",
    "AddRouteTableIds": ["rtb-1"],
    "AddSecurityGroupIds": ["sg-1"],
    "AddSubnetIds": ["subnet-1"],
    "AllocationId": "eipalloc-1",
    "FileSystemId": "fs-1",
    "FlowLogIds": ["fl-1"],
    "GroupId": "sg-1",
    "InternetGatewayId": "igw-1",
    "NatGatewayId": "nat-1",
    "ResourceIds": ["vpc-1"],
    "RouteTableId": "rtb-1",
    "RouteTableIds": ["rtb-1"],
    "SecurityGroupIds": ["sg-1"],
    "SubnetId": "subnet-1",
    "SubnetIds": ["subnet-1"],
    "VpcEndpointId": "vpce-1",
    "VpcEndpointIds": ["vpce-1"],
    "VpcId": "vpc-1",
}


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("ec2", "CreateVpc", {}, ["ec2:CreateVpc vpc/*"]),
        ("ec2", "CreateSubnet", {"VpcId": "vpc-1"}, ["ec2:CreateSubnet subnet/*",
                                                     "ec2:CreateSubnet vpc/vpc-1"]),
        ("ec2", "DescribeVpcs", {}, ["ec2:DescribeVpcs *"]),
        ("ec2", "CreateTags", {"Resources": ["vpc-1", "igw-1"]},
         ["ec2:CreateTags vpc/vpc-1", "ec2:CreateTags internet-gateway/igw-1"]),
        ("ec2", "DeleteVpcEndpoints", {"VpcEndpointIds": ["vpce-1"]},
         ["ec2:DeleteVpcEndpoints vpc-endpoint/vpce-1"]),
        ("ec2", "DisassociateRouteTable", {"AssociationId": "rtbassoc-1"},
         ["ec2:DisassociateRouteTable route-table/*", "ec2:DisassociateRouteTable subnet/*"]),
        ("efs", "CreateMountTarget", {"FileSystemId": "fs-1"},
         ["elasticfilesystem:CreateMountTarget file-system/fs-1"]),
        ("efs", "DeleteMountTarget", {"MountTargetId": "fsmt-1"},
         ["elasticfilesystem:DeleteMountTarget file-system/*"]),
        ("efs", "TagResource", {"ResourceId": "fsap-1", "Tags": []},
         ["elasticfilesystem:TagResource access-point/fsap-1"]),
    ],
)  # fmt: skip
def test_needs(
    service: str, operation: str, parameters: dict[str, Any], expected: list[str]
) -> None:
    found = needs(Call(service, operation, parameters), REGION, ACCOUNT)
    prefixes = tuple(f"arn:aws:{_}:{REGION}:{ACCOUNT}:" for _ in ("ec2", "elasticfilesystem"))
    short = [need.resource for need in found]
    for prefix in prefixes:
        short = [resource.removeprefix(prefix) for resource in short]
    assert [f"{need.action} {name}" for need, name in zip(found, short, strict=True)] == expected


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "action", "resource"),
    [
        ("ec2", "CreateVpc", {"TagSpecifications": [{"Tags": [{"Key": "k", "Value": "v"}]}]},
         "ec2:CreateTags", f"arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/*"),
        ("efs", "CreateFileSystem", {"Tags": [{"Key": "k", "Value": "v"}]},
         "elasticfilesystem:TagResource",
         f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/*"),
    ],
)  # fmt: skip
def test_tags_that_come_with_what_is_made(
    service: str, operation: str, parameters: dict[str, Any], action: str, resource: str
) -> None:
    (tagging,) = (
        need
        for need in needs(Call(service, operation, parameters), REGION, ACCOUNT)
        if need.action == action
    )
    prefix = action.partition(":")[0]
    assert tagging.resource == resource
    assert tagging.context[f"{prefix}:createaction"] == (operation,)
    assert tagging.context["aws:requesttag/k"] == ("v",)


def test_a_flow_log_is_given_its_role() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/flow"
    call = Call("ec2", "CreateFlowLogs", {"DeliverLogsPermissionArn": role})
    passed = needs(call, REGION, ACCOUNT)[-1]
    assert (passed.action, passed.resource) == ("iam:PassRole", role)
    assert passed.context == {"iam:passedtoservice": ("vpc-flow-logs.amazonaws.com",)}


def test_resources_are_of_the_kinds_that_aws_names() -> None:
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))["actions"]
    compared = 0
    for prefix, table in (("ec2", EC2), ("elasticfilesystem", EFS)):
        for operation, ((_, resources),) in table.items():
            known = reference.get(f"{prefix}:{operation}")
            if known is None:
                continue
            compared += 1
            found = {resource.partition("/")[0] for resource in resources(EXAMPLES)} - {"*"}
            assert found <= set(known["kinds"]), operation
            assert set(known["required"]) <= found, operation
    assert compared > 30
