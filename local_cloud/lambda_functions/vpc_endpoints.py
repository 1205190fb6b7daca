"""VPC endpoints by their names: whom a function reaches by them.

An interface endpoint without private DNS is asked by its own name, which only its network resolves
to it. A process has no network of its own, so the addresses in the function's environment variables
that have such a name are rewritten to the local cloud's. A function is not started with the name of
an endpoint in another network or for another service; a name that no endpoint has stays as it is,
and leads nowhere.

Source: https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from botocore.utils import EVENT_ALIASES

from local_cloud.errors import LocalCloudError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["here"]

#: The SDK asks a service at the address in this variable, followed by the service's id.
_VARIABLE = "AWS_ENDPOINT_URL_"


def here(
    cloud: LocalCloud, settings: Mapping[str, Any], variables: Mapping[str, str]
) -> dict[str, str]:
    """A function's variables, with the local cloud's address for those of VPC endpoints.

    Parameters
    ----------
    cloud
        The account; a name that none of its endpoints has stays what it is.
    settings
        Of the function: ``VpcConfig``.
    variables
        Name -> value.

    Raises
    ------
    LocalCloudError
        When the endpoint is in another network, or is for another service than the variable.
    """
    asked = {name: urlsplit(value).hostname for name, value in variables.items() if "://" in value}
    found = dict(variables)
    if not any(host and ".vpce." in host for host in asked.values()):
        return found
    endpoints = _by_name(cloud)
    for variable, host in asked.items():
        endpoint = endpoints.get(host or "")
        if endpoint is not None:
            _check(cloud, settings, variable, str(host), endpoint)
            found[variable] = cloud.endpoint_url
    return found


def _by_name(cloud: LocalCloud) -> dict[str, dict[str, Any]]:
    endpoints = cloud.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    return {
        entry["DnsName"]: endpoint
        for endpoint in endpoints
        for entry in endpoint.get("DnsEntries", [])
        if endpoint["State"] != "deleted"
    }


def _check(
    cloud: LocalCloud,
    settings: Mapping[str, Any],
    variable: str,
    host: str,
    endpoint: Mapping[str, Any],
) -> None:
    where = f"environment variable {variable}"
    vpc = _network(cloud, settings)
    if vpc != endpoint["VpcId"]:
        raise LocalCloudError(
            where,
            f"{host} is an endpoint in {endpoint['VpcId']}, the function in {vpc or 'no network'}",
            "a function reaches endpoints of its own network",
        )
    if not variable.startswith(_VARIABLE):
        return
    prefix = _endpoint_prefix(variable.removeprefix(_VARIABLE))
    if not host.partition(".")[2].startswith(f"{prefix}."):
        raise LocalCloudError(
            where,
            f"{host} is an endpoint for {endpoint['ServiceName']}",
            f"requests that this variable is for are answered by {prefix}",
        )


def _network(cloud: LocalCloud, settings: Mapping[str, Any]) -> str:
    subnets = settings.get("VpcConfig", {}).get("SubnetIds")
    if not subnets:
        return ""
    (subnet, *_) = cloud.client("ec2").describe_subnets(SubnetIds=subnets)["Subnets"]
    return str(subnet["VpcId"])


@functools.cache
def _endpoint_prefix(service_id: str) -> str:
    """How host names of the service begin, for instance ``runtime.sagemaker``."""
    session = botocore.session.get_session()
    for name in session.get_available_services():
        if EVENT_ALIASES.get(name, name).replace("-", "_").upper() == service_id:
            return str(session.get_service_model(name).endpoint_prefix)
    return f"no service, as {service_id} is none"
