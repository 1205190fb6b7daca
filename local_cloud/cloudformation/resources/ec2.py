"""AWS::EC2: networks, the ways in and out of them, and their security groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer, ResourceError
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    Source,
    State,
    attr,
    dig,
    given,
    prop,
)
from local_cloud.cloudformation.resources.parts import Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType, Wait
from local_cloud.cloudformation.resources.tag_forms import specification

__all__ = ["TYPES"]

_call = partial(Call, "ec2")


def _tags() -> Items:
    return tags(
        _call("CreateTags", {"Resources": Source(lambda state: [_tagged(state)]), "Tags": ITEM}),
        _call(
            "DeleteTags",
            {
                "Resources": Source(lambda state: [_tagged(state)]),
                "Tags": Source(lambda state: [{"Key": tag["Key"]} for tag in state.item]),
            },
        ),
    )


def _tagged(state: State) -> Any:
    """An address is tagged by its allocation; everything else by what ``Ref`` gives."""
    return state.attributes.get("AllocationId", state.physical_id)


def _one(value: Any) -> list[Any]:
    return [value]


_THIS = Source(lambda state: [state.physical_id])

# ------------------------------------------------------------------------------ networks


def _switch(name: str, *, default: bool) -> Source:
    """EC2 wraps a boolean attribute."""
    return prop(name, lambda on: {"Value": on}, default=default)


def _describe_vpc(deployer: Deployer, state: State) -> dict[str, Any]:
    """The VPC, with the ids of what AWS makes along with it."""
    answer = _DESCRIBE_VPC.run(deployer, state)
    of_vpc = {"Name": "vpc-id", "Values": [state.physical_id]}
    groups = deployer.call(
        "ec2",
        "DescribeSecurityGroups",
        {"Filters": [of_vpc, {"Name": "group-name", "Values": ["default"]}]},
    )
    acls = deployer.call(
        "ec2",
        "DescribeNetworkAcls",
        {"Filters": [of_vpc, {"Name": "default", "Values": ["true"]}]},
    )
    return {
        "Vpc": dig(answer, "Vpcs.0"),
        "DefaultSecurityGroup": dig(groups, "SecurityGroups.0.GroupId"),
        "DefaultNetworkAcl": dig(acls, "NetworkAcls.0.NetworkAclId"),
    }


_DESCRIBE_VPC = _call("DescribeVpcs", {"VpcIds": _THIS})

VPC = ResourceType(
    name="AWS::EC2::VPC",
    create=_call(
        "CreateVpc",
        {**given("CidrBlock", "InstanceTenancy"), "TagSpecifications": specification("vpc")},
    ),
    made={"VpcId": "Vpc.VpcId"},
    id=attr("VpcId"),
    parts=(
        *(
            Setting(
                _call("ModifyVpcAttribute", {"VpcId": ID, name: _switch(name, default=default)})
            )
            for name, default in (("EnableDnsSupport", True), ("EnableDnsHostnames", False))
        ),
        _tags(),
    ),
    read=Code(
        _describe_vpc,
        (_DESCRIBE_VPC,),
        (("ec2", "DescribeSecurityGroups"), ("ec2", "DescribeNetworkAcls")),
    ),
    attributes={
        "CidrBlock": "Vpc.CidrBlock",
        "DefaultNetworkAcl": "DefaultNetworkAcl",
        "DefaultSecurityGroup": "DefaultSecurityGroup",
    },
    wait=Wait(status="Vpc.State", ready=frozenset({"available"})),
    delete=(_call("DeleteVpc", {"VpcId": ID}),),
    missing=("InvalidVpcID.NotFound",),
)

SUBNET = ResourceType(
    name="AWS::EC2::Subnet",
    create=_call(
        "CreateSubnet",
        {
            **given("AvailabilityZone", "CidrBlock", "VpcId"),
            "TagSpecifications": specification("subnet"),
        },
    ),
    made={"SubnetId": "Subnet.SubnetId"},
    id=attr("SubnetId"),
    parts=(
        Setting(
            _call(
                "ModifySubnetAttribute",
                {
                    "SubnetId": ID,
                    "MapPublicIpOnLaunch": _switch("MapPublicIpOnLaunch", default=False),
                },
            )
        ),
        _tags(),
    ),
    read=_call("DescribeSubnets", {"SubnetIds": _THIS}),
    attributes={
        "AvailabilityZone": "Subnets.0.AvailabilityZone",
        "AvailabilityZoneId": "Subnets.0.AvailabilityZoneId",
        "CidrBlock": "Subnets.0.CidrBlock",
        "VpcId": "Subnets.0.VpcId",
    },
    wait=Wait(status="Subnets.0.State", ready=frozenset({"available"})),
    delete=(_call("DeleteSubnet", {"SubnetId": ID}),),
    missing=("InvalidSubnetID.NotFound",),
)

# ------------------------------------------------------------------------------ ways in and out

INTERNET_GATEWAY = ResourceType(
    name="AWS::EC2::InternetGateway",
    create=_call("CreateInternetGateway", {"TagSpecifications": specification("internet-gateway")}),
    made={"InternetGatewayId": "InternetGateway.InternetGatewayId"},
    id=attr("InternetGatewayId"),
    parts=(_tags(),),
    delete=(_call("DeleteInternetGateway", {"InternetGatewayId": ID}),),
    missing=("InvalidInternetGatewayID.NotFound",),
)

_ATTACHED = given("InternetGatewayId", "VpcId")

GATEWAY_ATTACHMENT = ResourceType(
    name="AWS::EC2::VPCGatewayAttachment",
    create=_call("AttachInternetGateway", _ATTACHED),
    id=Source(lambda state: f"IGW|{state.properties['VpcId']}"),
    delete=(_call("DetachInternetGateway", _ATTACHED),),
    missing=("Gateway.NotAttached", "InvalidInternetGatewayID.NotFound", "InvalidVpcID.NotFound"),
    immutable=("InternetGatewayId",),
)

ROUTE_TABLE = ResourceType(
    name="AWS::EC2::RouteTable",
    create=_call(
        "CreateRouteTable", {**given("VpcId"), "TagSpecifications": specification("route-table")}
    ),
    made={"RouteTableId": "RouteTable.RouteTableId"},
    id=attr("RouteTableId"),
    parts=(_tags(),),
    delete=(_call("DeleteRouteTable", {"RouteTableId": ID}),),
    missing=("InvalidRouteTableID.NotFound",),
)

_DESTINATION = given("DestinationCidrBlock", "RouteTableId")
_ROUTE = {
    **_DESTINATION,
    **given("GatewayId", "NatGatewayId", "NetworkInterfaceId", "TransitGatewayId"),
}

ROUTE = ResourceType(
    name="AWS::EC2::Route",
    create=_call("CreateRoute", _ROUTE),
    id=Source(
        lambda state: (
            f"{state.properties['RouteTableId']}|{state.properties.get('DestinationCidrBlock')}"
        )
    ),
    parts=(Setting(_call("ReplaceRoute", _ROUTE), made_with_resource=True),),
    delete=(_call("DeleteRoute", _DESTINATION),),
    missing=("InvalidRoute.NotFound", "InvalidRouteTableID.NotFound"),
)

ROUTE_TABLE_ASSOCIATION = ResourceType(
    name="AWS::EC2::SubnetRouteTableAssociation",
    create=_call("AssociateRouteTable", given("RouteTableId", "SubnetId")),
    made={"Id": "AssociationId"},
    id=attr("Id"),
    delete=(_call("DisassociateRouteTable", {"AssociationId": ID}),),
    missing=("InvalidAssociationID.NotFound",),
)

EIP = ResourceType(
    name="AWS::EC2::EIP",
    create=_call(
        "AllocateAddress",
        {"Domain": prop("Domain", default="vpc"), "TagSpecifications": specification("elastic-ip")},
    ),
    made={"AllocationId": "AllocationId", "PublicIp": "PublicIp"},
    id=attr("PublicIp"),
    parts=(_tags(),),
    delete=(_call("ReleaseAddress", {"AllocationId": attr("AllocationId")}),),
    missing=("InvalidAllocationID.NotFound",),
    immutable=("Domain",),
)

NAT_GATEWAY = ResourceType(
    name="AWS::EC2::NatGateway",
    create=_call(
        "CreateNatGateway",
        {
            **given("AllocationId", "ConnectivityType", "SubnetId"),
            "TagSpecifications": specification("natgateway"),
        },
    ),
    made={"NatGatewayId": "NatGateway.NatGatewayId"},
    id=attr("NatGatewayId"),
    parts=(_tags(),),
    read=_call("DescribeNatGateways", {"NatGatewayIds": _THIS}),
    wait=Wait(
        status="NatGateways.0.State",
        ready=frozenset({"available"}),
        failed=frozenset({"failed"}),
        reason="NatGateways.0.FailureMessage",
        gone=frozenset({"deleted"}),
    ),
    delete=(_call("DeleteNatGateway", {"NatGatewayId": ID}),),
    missing=("NatGatewayNotFound",),
)


def _route_tables(key: str) -> Call:
    return _call("ModifyVpcEndpoint", {"VpcEndpointId": ID, key: ITEM})


def _endpoint_list(name: str, part: str) -> Items:
    return Items(
        prop(name),
        _route_tables(f"Add{part}"),
        _route_tables(f"Remove{part}"),
        at_once=True,
        made_with_resource=True,
    )


def _describe_endpoint(deployer: Deployer, state: State) -> dict[str, Any]:
    """The endpoint, with its names as a template sees them."""
    answer = _DESCRIBE_ENDPOINT.run(deployer, state)
    entries = dig(answer, "VpcEndpoints.0.DnsEntries") or []
    names = [f"{entry['HostedZoneId']}:{entry['DnsName']}" for entry in entries]
    return {"Endpoint": dig(answer, "VpcEndpoints.0"), "DnsEntries": names}


_DESCRIBE_ENDPOINT = _call("DescribeVpcEndpoints", {"VpcEndpointIds": _THIS})

VPC_ENDPOINT = ResourceType(
    name="AWS::EC2::VPCEndpoint",
    create=_call(
        "CreateVpcEndpoint",
        {
            **given(
                "PolicyDocument",
                "PrivateDnsEnabled",
                "RouteTableIds",
                "SecurityGroupIds",
                "ServiceName",
                "SubnetIds",
                "VpcEndpointType",
                "VpcId",
            ),
            "TagSpecifications": specification("vpc-endpoint"),
        },
    ),
    made={"Id": "VpcEndpoint.VpcEndpointId"},
    id=attr("Id"),
    parts=(
        _endpoint_list("RouteTableIds", "RouteTableIds"),
        _endpoint_list("SubnetIds", "SubnetIds"),
        _endpoint_list("SecurityGroupIds", "SecurityGroupIds"),
        Setting(
            _call("ModifyVpcEndpoint", {"VpcEndpointId": ID, **given("PolicyDocument")}),
            _call("ModifyVpcEndpoint", {"VpcEndpointId": ID, "ResetPolicy": True}),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "ModifyVpcEndpoint",
                {
                    "VpcEndpointId": ID,
                    "PrivateDnsEnabled": prop("PrivateDnsEnabled", default=False),
                },
            ),
            made_with_resource=True,
        ),
        _tags(),
    ),
    read=Code(_describe_endpoint, (_DESCRIBE_ENDPOINT,)),
    attributes={
        "CreationTimestamp": "Endpoint.CreationTimestamp",
        "DnsEntries": "DnsEntries",
        "NetworkInterfaceIds": "Endpoint.NetworkInterfaceIds",
    },
    wait=Wait(
        status="Endpoint.State",
        ready=frozenset({"available", "Available"}),
        failed=frozenset({"failed", "Failed", "rejected", "Rejected"}),
        gone=frozenset({"deleted", "Deleted"}),
    ),
    delete=(_call("DeleteVpcEndpoints", {"VpcEndpointIds": _THIS}),),
    missing=("InvalidVpcEndpointId.NotFound",),
)

# ------------------------------------------------------------------------------ security groups


def _permission(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A rule in EC2's form; what it has no place for stays, and is refused by name."""
    found = dict(rule)
    described = {"Description": found.pop("Description")} if "Description" in found else {}
    for keys, container, name in _PEERS:
        for key in keys:
            if key in found:
                found[container] = [{name: found.pop(key), **described}]
    return [found]


_PEERS = (
    (("CidrIp",), "IpRanges", "CidrIp"),
    (("CidrIpv6",), "Ipv6Ranges", "CidrIpv6"),
    (("SourcePrefixListId", "DestinationPrefixListId"), "PrefixListIds", "PrefixListId"),
    (("SourceSecurityGroupId", "DestinationSecurityGroupId"), "UserIdGroupPairs", "GroupId"),
)
_ITEMS_PERMISSION = Source(lambda state: _permission(state.item))
#: What EC2 gives a new group of a VPC; a group with rules of its own does not have it.
_EVERYTHING_OUT = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def _rules(direction: str) -> tuple[Call, Call]:
    parameters = {"GroupId": ID, "IpPermissions": _ITEMS_PERMISSION}
    return (
        _call(f"AuthorizeSecurityGroup{direction}", parameters),
        _call(f"RevokeSecurityGroup{direction}", parameters),
    )


class _Egress(Items):
    """Rules that a new group does not lack: EC2 has put one there."""

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        if before is None and after is not None:
            before = dataclasses.replace(after, properties={})
        super().apply(deployer, before, after)


SECURITY_GROUP = ResourceType(
    name="AWS::EC2::SecurityGroup",
    create=_call(
        "CreateSecurityGroup",
        {
            **given("GroupName", "VpcId"),
            "Description": prop("GroupDescription"),
            "TagSpecifications": specification("security-group"),
        },
    ),
    made={"GroupId": "GroupId", "Id": "GroupId"},
    id=attr("GroupId"),
    named="GroupName",
    parts=(
        Items(prop("SecurityGroupIngress"), *_rules("Ingress"), removed_first=True),
        _Egress(
            Source(
                lambda state: state.properties.get("SecurityGroupEgress") or [_EVERYTHING_OUT],
                ("SecurityGroupEgress",),
            ),
            *_rules("Egress"),
            removed_first=True,
        ),
        _tags(),
    ),
    read=_call("DescribeSecurityGroups", {"GroupIds": _THIS}),
    attributes={"VpcId": "SecurityGroups.0.VpcId"},
    delete=(_call("DeleteSecurityGroup", {"GroupId": ID}),),
    missing=("InvalidGroup.NotFound",),
)


def _single_rule(direction: str, *peers: str) -> ResourceType:
    names = ("CidrIp", "CidrIpv6", "Description", "FromPort", "IpProtocol", "ToPort", *peers)

    def permission(state: State) -> list[dict[str, Any]]:
        return _permission({key: state.properties[key] for key in names if key in state.properties})

    parameters = {**given("GroupId"), "IpPermissions": Source(permission, names)}
    return ResourceType(
        name=f"AWS::EC2::SecurityGroup{direction}",
        create=_call(f"AuthorizeSecurityGroup{direction}", parameters),
        made={"Id": "SecurityGroupRules.0.SecurityGroupRuleId"},
        id=attr("Id"),
        delete=(_call(f"RevokeSecurityGroup{direction}", parameters),),
        missing=("InvalidPermission.NotFound", "InvalidGroup.NotFound"),
        immutable=("Description",),
    )


SECURITY_GROUP_INGRESS = _single_rule("Ingress", "SourcePrefixListId", "SourceSecurityGroupId")
SECURITY_GROUP_EGRESS = _single_rule(
    "Egress", "DestinationPrefixListId", "DestinationSecurityGroupId"
)

# ------------------------------------------------------------------------------ flow logs


def _create_flow_log(deployer: Deployer, state: State) -> Mapping[str, Any]:
    """Of what failed, which is no error in the answer, one is made."""
    answer = _CREATE_FLOW_LOG.run(deployer, state)
    for entry in answer.get("Unsuccessful", []):
        raise ResourceError(f"{entry['ResourceId']}: {entry['Error']['Message']}")
    return answer


_CREATE_FLOW_LOG = _call(
    "CreateFlowLogs",
    {
        "ResourceIds": prop("ResourceId", _one),
        "TagSpecifications": specification("vpc-flow-log"),
        **given(
            "DeliverLogsPermissionArn",
            "LogDestination",
            "LogDestinationType",
            "LogFormat",
            "LogGroupName",
            "MaxAggregationInterval",
            "ResourceType",
            "TrafficType",
        ),
    },
)

FLOW_LOG = ResourceType(
    name="AWS::EC2::FlowLog",
    create=Code(_create_flow_log, (_CREATE_FLOW_LOG,)),
    made={"Id": "FlowLogIds.0"},
    id=attr("Id"),
    parts=(_tags(),),
    delete=(_call("DeleteFlowLogs", {"FlowLogIds": _THIS}),),
    missing=("InvalidFlowLogId.NotFound",),
)

TYPES = (
    VPC,
    SUBNET,
    INTERNET_GATEWAY,
    GATEWAY_ATTACHMENT,
    ROUTE_TABLE,
    ROUTE,
    ROUTE_TABLE_ASSOCIATION,
    EIP,
    NAT_GATEWAY,
    VPC_ENDPOINT,
    SECURITY_GROUP,
    SECURITY_GROUP_INGRESS,
    SECURITY_GROUP_EGRESS,
    FLOW_LOG,
)
