"""The parameters of the templates, each with what it accepts."""

from __future__ import annotations

from aws_cdk import Aws, CfnCondition, CfnParameter, Fn
from constructs import Construct

from infrastructure.grants import Project
from infrastructure.workflow_input import PROJECT_NAME_LENGTH, PROJECT_NAME_PATTERN

__all__ = ["parameter", "project"]

# Where a boundary's ARN may stand; as long as one, for the CDK's checks do not know conditions.
_NO_BOUNDARY = "no-permissions-boundary"


def parameter(
    scope: Construct, name: str, description: str, *, pattern: str, required: str, length: int
) -> str:
    """Return the value of a new parameter: a text that matches `pattern`, at most `length` long."""
    value: str = CfnParameter(
        scope,
        name,
        description=description,
        allowed_pattern=f"^{pattern}$",
        constraint_description=f"{required}, at most {length} characters",
        max_length=length,
    ).value_as_string
    return value


def project(scope: Construct) -> Project:
    """Return the project that the parameters of the template `scope` describe."""
    return Project(
        name=parameter(
            scope,
            "ProjectName",
            "Unique in account and region; begins the name of everything that is made.",
            pattern=PROJECT_NAME_PATTERN,
            required="lower-case letters, digits and single hyphens, a letter first",
            length=PROJECT_NAME_LENGTH,
        ),
        bucket=parameter(
            scope,
            "DataBucketName",
            "Bucket of the project: data/ and releases/.",
            pattern="[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            required="the name of a bucket",
            length=63,
        ),
        key_arn=parameter(
            scope,
            "KmsKeyArn",
            "Key that encrypts the bucket, the jobs' volumes and the endpoint's.",
            pattern="arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+",
            required="the ARN of a key (not of an alias)",
            length=256,
        ),
        repository=parameter(
            scope,
            "RepositoryName",
            "ECR repository of the container image, in this account and region.",
            pattern="[a-z0-9]+([._/-][a-z0-9]+)*",
            required="the name of an ECR repository",
            length=256,
        ),
        boundary_arn=_boundary(scope),
    )


def _boundary(scope: Construct) -> str:
    """Return the boundary's ARN, or what leaves the property out."""
    given = CfnParameter(
        scope,
        "PermissionsBoundaryArn",
        description="The most that the roles may do, whatever their policies say.",
        default=_NO_BOUNDARY,
        allowed_pattern=rf"^({_NO_BOUNDARY}|arn:[a-z-]+:iam::[0-9]{{12}}:policy/[\w+=,.@/-]+)$",
        constraint_description=f"{_NO_BOUNDARY}, or the ARN of a managed policy",
        max_length=1024,
    ).value_as_string
    is_given = CfnCondition(
        scope,
        "HasPermissionsBoundary",
        expression=Fn.condition_not(Fn.condition_equals(given, _NO_BOUNDARY)),
    )
    chosen: str = Fn.condition_if(is_given.logical_id, given, Aws.NO_VALUE).to_string()
    return chosen
