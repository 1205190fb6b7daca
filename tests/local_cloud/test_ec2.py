"""A network goes with what came with it, and not before what was added to it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud


@pytest.fixture
def ec2(cloud: LocalCloud) -> Any:
    return cloud.client("ec2")


def things(ec2: Any) -> dict[str, list[str]]:
    return {
        "acls": [item["NetworkAclId"] for item in ec2.describe_network_acls()["NetworkAcls"]],
        "groups": [item["GroupId"] for item in ec2.describe_security_groups()["SecurityGroups"]],
        "tables": [item["RouteTableId"] for item in ec2.describe_route_tables()["RouteTables"]],
        "vpcs": [item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"]],
    }


def test_a_network_takes_along_what_came_with_it(ec2: Any) -> None:
    before = things(ec2)
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/20")["Vpc"]["VpcId"]
    assert all(len(ids) > len(before[kind]) for kind, ids in things(ec2).items())
    ec2.delete_vpc(VpcId=vpc)
    assert things(ec2) == before


def test_a_network_stays_as_long_as_something_is_in_it(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.2.0.0/20")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    for thing, delete in (
        (group, lambda: ec2.delete_security_group(GroupId=group)),
        (acl, lambda: ec2.delete_network_acl(NetworkAclId=acl)),
        (gateway, lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)),
    ):
        with pytest.raises(ClientError, match=thing) as error:
            ec2.delete_vpc(VpcId=vpc)
        assert error.value.response["Error"]["Code"] == "DependencyViolation"
        delete()
    ec2.delete_vpc(VpcId=vpc)


def test_a_gateway_takes_its_interface_along(ec2: Any) -> None:
    def interfaces() -> list[str]:
        found = ec2.describe_network_interfaces()["NetworkInterfaces"]
        return sorted(item["NetworkInterfaceId"] for item in found)

    vpc = ec2.create_vpc(CidrBlock="10.3.0.0/20")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.3.0.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    before = interfaces()
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]
    assert interfaces() != before
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    assert interfaces() == before
