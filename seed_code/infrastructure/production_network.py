"""Where the functions run: the project's private subnets, and their way to the endpoint.

Where predictions come from an endpoint, the stack makes a way to it, whatever other ways the
network has, and lets nothing through but requests to the project's own endpoints. The way has no
private DNS, which a network has once for a service, but a name of its own: what the project's
network comes to changes nothing of production.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infrastructure.parameters import parameter
from infrastructure.production_release import Release

__all__ = ["Network", "make_network"]

_HTTPS = 443


@dataclass(frozen=True)
class Network:
    """Where functions run."""

    placement: lambda_.CfnFunction.VpcConfigProperty
    runtime_url: str
    """Where the endpoint is asked; no value where there is none."""


def make_network(scope: Construct, release: Release) -> Network:
    """Return where the functions run."""
    subnets = [_id(scope, f"PrivateSubnet{zone}", "subnet") for zone in "AB"]
    functions = _id(scope, "FunctionSecurityGroup", "sg")
    return Network(
        placement=lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=subnets, security_group_ids=[functions]
        ),
        runtime_url=_runtime_url(scope, release, subnets, functions),
    )


def _id(scope: Construct, name: str, kind: str) -> str:
    return parameter(
        scope,
        name,
        "Of the project's network.",
        pattern=f"{kind}-[0-9a-f]+",
        required=f"an id, {kind}-...",
        length=32,
    )


def _runtime_url(scope: Construct, release: Release, subnets: list[str], functions: str) -> str:
    vpc = _id(scope, "VpcId", "vpc")
    group = ec2.CfnSecurityGroup(
        scope,
        "RuntimeSecurityGroup",
        group_description="Requests to endpoints of the project, from its functions",
        vpc_id=vpc,
        security_group_ingress=[
            ec2.CfnSecurityGroup.IngressProperty(
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                source_security_group_id=functions,
                description="HTTPS from the functions",
            )
        ],
        security_group_egress=[
            ec2.CfnSecurityGroup.EgressProperty(
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                destination_security_group_id=functions,
                description="none is opened from here; without a rule every one could be",
            )
        ],
    )
    endpoint = ec2.CfnVPCEndpoint(
        scope,
        "WayToEndpoint",
        vpc_endpoint_type="Interface",
        vpc_id=vpc,
        service_name=f"com.amazonaws.{Aws.REGION}.sagemaker.runtime",
        subnet_ids=subnets,
        security_group_ids=[group.attr_group_id],
        private_dns_enabled=False,
        policy_document={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OwnEndpoints",
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "sagemaker:InvokeEndpoint",
                    "Resource": release.project.sagemaker("endpoint", "-*"),
                }
            ],
        },
    )
    for resource in (group, endpoint):
        resource.cfn_options.condition = release.has_endpoint
    # <hosted zone>:<name>, the name for all zones first
    # (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-vpcendpoint.html).
    name = Fn.select(1, Fn.split(":", Fn.select(0, endpoint.attr_dns_entries)))
    url: str = Fn.condition_if(
        release.has_endpoint.logical_id, f"https://{name}", Aws.NO_VALUE
    ).to_string()
    return url
