"""EC2: the availability zones of the one region, and what goes with a network.

A VPC with its subnets, gateways and security groups can be made, described and deleted, so that
templates work. Nothing is routed: the processes of this machine see each other anyway.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import vpcs
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.ec2.models.vpcs import VPCBackend

from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity("EC2", "exact", "Three availability zones; names of interface endpoints"),
    Parity(
        "EC2",
        "partial",
        "VPCs, subnets, route tables, gateways, VPC endpoints, security groups and flow logs are"
        " records: nothing is routed, filtered or logged",
    ),
]

_LETTERS = "abc"
_HOSTED_ZONE = "Z1LOCAL0CLOUD"


def install(cloud: LocalCloud) -> None:
    """Give the region its zones, and networks their end, until `cloud` stops."""
    region = cloud.region
    zones = [
        Zone(name=f"{region}{letter}", region_name=region, zone_id=f"local1-az{number}")
        for number, letter in enumerate(_LETTERS, start=1)
    ]
    cloud.replace(RegionsAndZonesBackend, "zones", {**RegionsAndZonesBackend.zones, region: zones})

    def delete_vpc(self: VPCBackend, vpc_id: str) -> Any:
        if left := sorted(_needing(self, vpc_id)):
            raise DependencyViolationError(
                f"The vpc '{vpc_id}' has dependencies and cannot be deleted: {', '.join(left)}"
            )
        vpc = original(self, vpc_id)
        for access_list in self.describe_network_acls(filters={"vpc-id": [vpc_id]}):
            del self.network_acls[access_list.id]  # it came with the VPC
        return vpc

    def delete_nat_gateway(self: NatGatewayBackend, nat_gateway_id: str) -> Any:
        gateway = original_nat_gateway(self, nat_gateway_id)
        self.enis.pop(gateway._eni.id, None)  # noqa: SLF001 - moto keeps it there
        return gateway

    def create_dns_entries(service_name: str, endpoint_id: str) -> dict[str, str]:
        """``com.amazonaws.<region>.sagemaker.runtime`` is asked at ``runtime.sagemaker...``."""
        service = service_name.removeprefix(f"com.amazonaws.{region}.").split(".")
        name = [f"{endpoint_id}-{secrets.token_hex(4)}", *reversed(service), region, "vpce"]
        return {"dns_name": f"{'.'.join(name)}.amazonaws.com", "hosted_zone_id": _HOSTED_ZONE}

    cloud.replace(vpcs, "create_dns_entries", create_dns_entries)
    original = cloud.replace(VPCBackend, "delete_vpc", delete_vpc)
    original_nat_gateway = cloud.replace(
        NatGatewayBackend, "delete_nat_gateway", delete_nat_gateway
    )


def _needing(backend: Any, vpc_id: str) -> Iterator[str]:
    """What must be deleted before a VPC, as far as moto does not look for it."""
    for group in backend.describe_security_groups(filters={"vpc-id": [vpc_id]}):
        if group.name != "default":
            yield group.id
    for gateway in backend.internet_gateways.values():
        if gateway.vpc and gateway.vpc.id == vpc_id:
            yield gateway.id
    for access_list in backend.describe_network_acls(filters={"vpc-id": [vpc_id]}):
        if not access_list.default:
            yield access_list.id
