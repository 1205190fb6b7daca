"""Where the functions run: the project's private subnets, and their way to the endpoint.

A network without a way out (``NetworkEgress: none``) reaches S3 alone. Where predictions come from
an endpoint, the stack then makes the one way that is missing, and lets nothing through but requests
to the project's own endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infrastructure.parameters import choice, parameter
from infrastructure.production_release import Release, condition

__all__ = ["Network", "make_network"]

_HTTPS = 443


@dataclass(frozen=True)
class Network:
    """Where functions run."""

    placement: lambda_.CfnFunction.VpcConfigProperty
    runtime_endpoint: str
    """Id of the way to the endpoint, or ``none`` where there is another one."""


def make_network(scope: Construct, release: Release) -> Network:
    """Return where the functions run."""
    subnets = [_id(scope, f"PrivateSubnet{zone}", "subnet") for zone in "AB"]
    functions = _id(scope, "FunctionSecurityGroup", "sg")
    return Network(
        placement=lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=subnets, security_group_ids=[functions]
        ),
        runtime_endpoint=_runtime_endpoint(scope, release, subnets, functions),
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


def _runtime_endpoint(
    scope: Construct, release: Release, subnets: list[str], functions: str
) -> str:
    is_asked = choice(
        scope, "RuntimeEndpoint", "Whether the network has no way to an endpoint.", "yes", "no"
    )
    is_needed = condition(
        scope,
        "NeedsRuntimeEndpoint",
        Fn.condition_and(
            Fn.condition_equals(is_asked, "yes"),
            Fn.condition_equals(release.serving, "endpoint"),
        ),
    )
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
        "RuntimeVpcEndpoint",
        vpc_endpoint_type="Interface",
        vpc_id=vpc,
        service_name=f"com.amazonaws.{Aws.REGION}.sagemaker.runtime",
        subnet_ids=subnets,
        security_group_ids=[group.attr_group_id],
        private_dns_enabled=True,
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
        resource.cfn_options.condition = is_needed
    chosen: str = Fn.condition_if(is_needed.logical_id, endpoint.ref, "none").to_string()
    return chosen
