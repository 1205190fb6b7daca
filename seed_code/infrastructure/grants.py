"""From grants to roles: what every role of the templates is made of.

A grant names actions and resources; where a ``*`` is in a resource it says why, and nothing but
that ``*`` is acknowledged to cdk-nag. A role is one actor's, at the project's path, within the
permissions boundary, and trusted for this account's things alone.

Source: `confused deputy <https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html>`_.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from aws_cdk import Acknowledgment, Aws, CfnCondition, CfnResource, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import Construct

__all__ = [
    "NAMES",
    "NO_RESOURCE",
    "RELEASES",
    "Grant",
    "Project",
    "acknowledge",
    "arn",
    "make_role",
    "make_sagemaker_role",
    "may_publish_metrics",
    "may_pull_image",
    "may_read",
    "may_write",
    "trusted",
]

RELEASES = "Any release's, within this project's bucket: releases are made after the role is"
NAMES = "Any release's, of this project: their names start with the project's and the stage's"
NO_RESOURCE = "AWS knows no resource for these actions"


@dataclass(frozen=True)
class Project:
    """What a project owns: values of the template's parameters."""

    name: str
    bucket: str
    key_arn: str
    """Encrypts what is in this account: volumes, logs, messages."""
    data_key_arn: str
    """Encrypts the bucket's objects."""
    registry: str
    """Account whose registry has the image."""
    repository: str
    boundary_arn: str
    """Permissions boundary of every role; may be what leaves the property out."""

    @property
    def role_path(self) -> str:
        """Where the project's roles are; whoever deploys may touch no others."""
        return f"/mlsystem/{self.name}/"

    @property
    def state_machine(self) -> str:
        """Name of the state machine, as in ``mlsystem.names``."""
        return f"{self.name}-training"

    @property
    def bucket_arn(self) -> str:
        """ARN of the data bucket."""
        return f"arn:{Aws.PARTITION}:s3:::{self.bucket}"

    @property
    def repository_arn(self) -> str:
        """ARN of the image's repository."""
        return arn("ecr", f"repository/{self.repository}", self.registry)

    def objects(self, *patterns: str) -> list[str]:
        """Return the ARNs of objects in the data bucket."""
        return [f"{self.bucket_arn}/{pattern}" for pattern in patterns]

    def sagemaker(self, kind: str, *names: str) -> list[str]:
        """Return the ARNs of things in SageMaker whose names begin with the project's."""
        return [arn("sagemaker", f"{kind}/{self.name}{name}") for name in names]


@dataclass(frozen=True)
class Grant:
    """Actions on resources; `why` says why a ``*`` is in the resources.

    A refusal is one too, with ``effect=iam.Effect.DENY``: it holds whatever else is granted.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    why: str = ""
    conditions: dict[str, Any] = field(default_factory=dict)
    effect: iam.Effect = iam.Effect.ALLOW

    def __post_init__(self) -> None:
        if any("*" in resource for resource in self.resources) and not self.why:
            raise ValueError(f"{', '.join(self.actions)}: a * without a reason; say why")


# --- grants that several roles have -----------------------------------------------------------


def may_read(project: Project, *folders: str) -> list[Grant]:
    """Return what lists and reads the objects below `folders`."""
    patterns = [f"{folder}*" for folder in folders]
    return [
        Grant(["s3:GetObject"], project.objects(*patterns), RELEASES),
        Grant(
            ["s3:ListBucket"],
            [project.bucket_arn],
            conditions={"StringLike": {"s3:prefix": patterns}},
        ),
    ]


def may_write(project: Project, folder: str) -> Grant:
    """Return what writes objects below `folder`."""
    actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
    return Grant(actions, project.objects(f"{folder}*"), RELEASES)


def may_publish_metrics(namespace: str) -> Grant:
    """Return what publishes metrics of `namespace`."""
    return Grant(
        ["cloudwatch:PutMetricData"],
        ["*"],
        "Metrics are not resources; the condition names the only namespace",
        {"StringEquals": {"cloudwatch:namespace": namespace}},
    )


def may_pull_image(project: Project) -> list[Grant]:
    """Return what pulls the container image."""
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        Grant(pull, [project.repository_arn]),
        Grant(["ecr:GetAuthorizationToken"], ["*"], f"{NO_RESOURCE}; it is the registry's"),
    ]


# --- roles ---------------------------------------------------------------------------------------


def arn(service: str, rest: str, account: str = Aws.ACCOUNT_ID) -> str:
    """Return an ARN of this region, and of this account where no other is given."""
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{account}:{rest}"


def trusted(service: str, source_arn: str) -> iam.IPrincipal:
    """Return the service, on behalf of this account's things alone."""
    return iam.ServicePrincipal(
        service,
        conditions={
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": source_arn},
        },
    )


def make_sagemaker_role(
    scope: Construct,
    project: Project,
    name: str,
    grants: Sequence[Grant],
    *,
    condition: CfnCondition | None = None,
) -> iam.Role:
    """Return a role that SageMaker assumes."""
    principal = trusted("sagemaker.amazonaws.com", arn("sagemaker", "*"))
    return make_role(scope, project, name, principal, grants, condition=condition)


def make_role(
    scope: Construct,
    project: Project,
    name: str,
    principal: iam.IPrincipal,
    grants: Sequence[Grant],
    *,
    condition: CfnCondition | None = None,
) -> iam.Role:
    """Return a role that `principal` assumes, there only when `condition` holds."""
    statements = [
        iam.PolicyStatement(
            effect=grant.effect,
            actions=list(grant.actions),
            resources=list(grant.resources),
            conditions=grant.conditions or None,
        )
        for grant in grants
    ]
    role = iam.Role(
        scope,
        name,
        assumed_by=principal,
        path=project.role_path,
        permissions_boundary=iam.ManagedPolicy.from_managed_policy_arn(
            scope, f"{name}Boundary", project.boundary_arn
        ),
        inline_policies={name: iam.PolicyDocument(statements=statements)},
    )
    if condition is not None:
        cast("CfnResource", role.node.default_child).cfn_options.condition = condition
    for grant in grants:
        _acknowledge(role, grant)
    return role


def acknowledge(resource: Construct, finding: str, reason: str) -> None:
    """Tell cdk-nag why its `finding` about `resource` is as it shall be."""
    Validations.of(resource).acknowledge(Acknowledgment(id=finding, reason=reason))


def _acknowledge(role: iam.Role, grant: Grant) -> None:
    for resource in grant.resources:
        if "*" in resource:
            place = _as_in_template(role, resource)
            acknowledge(role, f"AwsSolutions-IAM5[Resource::{place}]", grant.why)


def _as_in_template(role: iam.Role, text: str) -> str:
    """Return `text` as cdk-nag writes it: a parameter's value as ``<Name>``."""
    resolved = Stack.of(role).resolve(text)
    parts = resolved["Fn::Join"][1] if isinstance(resolved, dict) else [resolved]
    return "".join(f"<{part['Ref']}>" if isinstance(part, dict) else part for part in parts)
