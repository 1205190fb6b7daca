"""EC2: the availability zones of the one region; networks are moto's records.

A VPC with its subnets, gateways and security groups can be made, described and deleted, so that
templates work. Nothing is routed: the processes of this machine see each other anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone

from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity("EC2", "exact", "Three availability zones"),
    Parity(
        "EC2",
        "partial",
        "VPCs, subnets, route tables, gateways, VPC endpoints, security groups and flow logs are"
        " records: nothing is routed, filtered or logged",
    ),
]

_LETTERS = "abc"


def install(cloud: LocalCloud) -> None:
    """Give the region its zones until `cloud` stops."""
    region = cloud.region
    zones = [
        Zone(name=f"{region}{letter}", region_name=region, zone_id=f"local1-az{number}")
        for number, letter in enumerate(_LETTERS, start=1)
    ]
    cloud.replace(RegionsAndZonesBackend, "zones", {**RegionsAndZonesBackend.zones, region: zones})
