"""What calls of EC2 and EFS need: their resources are named by ids that say what they are.

Written from the Service Authorization Reference, as :mod:`local_cloud.actions`, whose tables these
are two of. What a request does not name, because it is about to be made or is known to the service
alone, is any resource of its kind.

Sources:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticfilesystem.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["EC2", "EFS"]

#: First part of an id -> resource type in ARNs.
_KINDS = {
    "eipalloc": "elastic-ip",
    "fl": "vpc-flow-log",
    "fs": "file-system",
    "fsap": "access-point",
    "igw": "internet-gateway",
    "nat": "natgateway",
    "rtb": "route-table",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}

Resources = Callable[[Mapping[str, Any]], list[str]]


def _of(*names: str, new: str = "") -> Resources:
    """Resources whose ids these parameters hold; before them any of the kind that is made."""

    def resources(parameters: Mapping[str, Any]) -> list[str]:
        found = [f"{new}/*"] if new else []
        for name in names:
            value = parameters.get(name)
            ids = value if isinstance(value, list) else [value]
            found += [f"{_KINDS.get(str(_).partition('-')[0], '*')}/{_}" for _ in ids if _]
        return found or ["*"]

    return resources


def _associated(parameters: Mapping[str, Any]) -> list[str]:
    """Route table and subnet of an association, or any where they are not known."""
    table, subnet = (parameters.get(name) or "*" for name in ("RouteTableId", "SubnetId"))
    return [f"route-table/{table}", f"subnet/{subnet}"]


_Rules = dict[str, list[tuple[str, Resources]]]


def _same(operations: Mapping[str, Resources]) -> _Rules:
    return {name: [(name, resources)] for name, resources in operations.items()}


_group = _of("GroupId")
_route_table = _of("RouteTableId")

EC2 = _same(
    {
        "AllocateAddress": _of(new="elastic-ip"),
        "AssociateRouteTable": _of("RouteTableId", "SubnetId", "GatewayId"),
        "AttachInternetGateway": _of("InternetGatewayId", "VpcId"),
        "AuthorizeSecurityGroupEgress": _group,
        "AuthorizeSecurityGroupIngress": _group,
        "CreateFlowLogs": _of("ResourceIds", new="vpc-flow-log"),
        "CreateInternetGateway": _of(new="internet-gateway"),
        "CreateNatGateway": _of("SubnetId", "AllocationId", new="natgateway"),
        "CreateRoute": _route_table,
        "CreateRouteTable": _of("VpcId", new="route-table"),
        "CreateSecurityGroup": _of("VpcId", new="security-group"),
        "CreateSubnet": _of("VpcId", new="subnet"),
        "CreateTags": _of("Resources"),
        "CreateVpc": _of(new="vpc"),
        "CreateVpcEndpoint": _of(
            "VpcId", "RouteTableIds", "SubnetIds", "SecurityGroupIds", new="vpc-endpoint"
        ),
        "DeleteFlowLogs": _of("FlowLogIds"),
        "DeleteInternetGateway": _of("InternetGatewayId"),
        "DeleteNatGateway": _of("NatGatewayId"),
        "DeleteRoute": _route_table,
        "DeleteRouteTable": _route_table,
        "DeleteSecurityGroup": _group,
        "DeleteSubnet": _of("SubnetId"),
        "DeleteTags": _of("Resources"),
        "DeleteVpc": _of("VpcId"),
        "DeleteVpcEndpoints": _of("VpcEndpointIds"),
        "DescribeAddresses": _of(),
        "DescribeAvailabilityZones": _of(),
        "DescribeFlowLogs": _of(),
        "DescribeInternetGateways": _of(),
        "DescribeNatGateways": _of(),
        "DescribeNetworkAcls": _of(),
        "DescribeRouteTables": _of(),
        "DescribeSecurityGroups": _of(),
        "DescribeSubnets": _of(),
        "DescribeVpcAttribute": _of("VpcId"),
        "DescribeVpcEndpoints": _of(),
        "DescribeVpcs": _of(),
        "DetachInternetGateway": _of("InternetGatewayId", "VpcId"),
        "DisassociateRouteTable": _associated,
        "ModifySubnetAttribute": _of("SubnetId"),
        "ModifyVpcAttribute": _of("VpcId"),
        "ModifyVpcEndpoint": _of(
            "VpcEndpointId",
            "AddRouteTableIds",
            "AddSecurityGroupIds",
            "AddSubnetIds",
            "RemoveRouteTableIds",
            "RemoveSecurityGroupIds",
            "RemoveSubnetIds",
        ),
        "ReleaseAddress": _of("AllocationId"),
        "ReplaceRoute": _route_table,
        "RevokeSecurityGroupEgress": _group,
        "RevokeSecurityGroupIngress": _group,
    }
)

_file_system = _of("FileSystemId")
_tagged = _of("ResourceId")


def _of_file_system(parameters: Mapping[str, Any]) -> list[str]:
    """The file system, or any where the request names a part of it."""
    return [f"file-system/{parameters.get('FileSystemId') or '*'}"]


EFS = _same(
    {
        "CreateAccessPoint": _file_system,
        "CreateFileSystem": _of(),
        "CreateMountTarget": _file_system,
        "DeleteAccessPoint": _of("AccessPointId"),
        "DeleteFileSystem": _file_system,
        "DeleteFileSystemPolicy": _file_system,
        "DeleteMountTarget": _of_file_system,
        "DescribeAccessPoints": _of_file_system,
        "DescribeFileSystemPolicy": _file_system,
        "DescribeFileSystems": _of_file_system,
        "DescribeLifecycleConfiguration": _file_system,
        "DescribeMountTargets": _of_file_system,
        "ListTagsForResource": _tagged,
        "ModifyMountTargetSecurityGroups": _of_file_system,
        "PutBackupPolicy": _file_system,
        "PutFileSystemPolicy": _file_system,
        "PutLifecycleConfiguration": _file_system,
        "TagResource": _tagged,
        "UntagResource": _tagged,
        "UpdateFileSystem": _file_system,
    }
)
