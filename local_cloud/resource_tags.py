"""Tags of what is there, for conditions on ``aws:ResourceTag``, where moto keeps them.

Known for networks, file systems, keys and APIs, whose names say nothing, so that policies go by
tags, and for stacks, whose policies say by them which project they belong to.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from moto.backends import get_backend

from local_cloud.requests import Call

__all__ = ["completed", "tags_of"]


def tags_of(arn: str) -> Mapping[str, str]:
    """The tags of a network, a file system, a key, an API or a stack; none of anything else."""
    if arn.count(":") < _COLONS:
        return {}
    _, _, service, region, account_id, resource = arn.split(":", _COLONS)
    name = resource.rpartition("/")[2]
    tags: Mapping[str, str] = {}
    if service == "ec2":
        tags = _backend("ec2", account_id, region).tags.get(name, {})
    elif service == "elasticfilesystem":
        tagged = _backend("efs", account_id, region).tagging_service
        tags = tagged.get_tag_dict_for_resource(name)
    elif service == "kms":
        tags = _backend("kms", account_id, region).tagger.get_tag_dict_for_resource(name)
    elif service == "apigateway":
        tags = importlib.import_module("local_cloud.apigateway").tags_of(resource)
    elif service == "cloudformation":
        tags = importlib.import_module("local_cloud.cloudformation").tags_of(resource)
    return tags


def completed(call: Call, account_id: str, region: str) -> Call:
    """A call with the ids of what it changes, where it says only the id of a part."""
    found: Mapping[str, Any] = {}
    if call.operation == "DisassociateRouteTable":
        found = _table_of(call.parameters["AssociationId"], _backend("ec2", account_id, region))
    elif call.service == "efs" and "MountTargetId" in call.parameters:
        targets = _backend("efs", account_id, region).mount_targets_by_id
        target = targets.get(call.parameters["MountTargetId"])
        found = {"FileSystemId": target.file_system_id} if target else {}
    return dataclasses.replace(call, parameters={**call.parameters, **found})


_COLONS = 5


def _backend(service: str, account_id: str, region: str) -> Any:
    """Where moto keeps a service; its module, which makes a session, is imported here alone."""
    return get_backend(service)[account_id][region]


def _table_of(association_id: str, network: Any) -> dict[str, str]:
    for table in network.route_tables.values():
        for association in table.associations:
            if association["RouteTableAssociationId"] == association_id:
                subnet_id = association.get("SubnetId")
                return {"RouteTableId": table.id, **({"SubnetId": subnet_id} if subnet_id else {})}
    return {}
