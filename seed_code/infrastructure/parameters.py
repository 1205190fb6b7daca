"""The parameters of the templates, each with what it accepts."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, CfnCondition, CfnParameter, Fn
from constructs import Construct

from infrastructure.grants import Project
from infrastructure.workflow_input import PROJECT_NAME_LENGTH, PROJECT_NAME_PATTERN

__all__ = [
    "archive_uri",
    "choice",
    "image_uri",
    "instance_type",
    "key",
    "number",
    "parameter",
    "project",
    "release_label",
]

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


def choice(scope: Construct, name: str, description: str, *choices: str) -> str:
    """Return the value of a new parameter: one of `choices`."""
    value: str = CfnParameter(
        scope,
        name,
        description=description,
        allowed_pattern=f"^({'|'.join(choices)})$",
        constraint_description=f"{', '.join(choices[:-1])} or {choices[-1]}",
        max_length=max(map(len, choices)),
    ).value_as_string
    return value


def number(scope: Construct, name: str, description: str, *, least: float, most: float) -> Any:
    """Return the value of a new parameter: a number from `least` to `most`."""
    return CfnParameter(
        scope,
        name,
        type="Number",
        description=description,
        min_value=least,
        max_value=most,
        constraint_description=f"a number from {least:,} to {most:,}",
    ).value_as_number


# --- of a release -------------------------------------------------------------------------------


def release_label(scope: Construct) -> str:
    """Return the release in short, which ends the names of what is its own."""
    return parameter(
        scope,
        "Release",
        "The release in short (label of mlsystem.names): ends the names of what is its own.",
        pattern="[a-zA-Z0-9](-*[a-zA-Z0-9])*",
        required="letters, digits and hyphens, no hyphen first or last",
        length=13,
    )


def image_uri(scope: Construct, name: str, description: str) -> str:
    """Return the URI of an image that nobody can put another one in the place of."""
    return parameter(
        scope,
        name,
        description,
        pattern="[a-zA-Z0-9][a-zA-Z0-9._/:-]*@sha256:[0-9a-f]{64}",
        required="the URI of an image with its digest, ...@sha256:...",
        length=255,
    )


def archive_uri(scope: Construct) -> str:
    """Return where the release's model is."""
    return parameter(
        scope,
        "ModelArchiveUri",
        "Archive that the release has trained.",
        pattern="s3://[a-z0-9.-]+/releases/[^/]+/model/(.+/)?model\\.tar\\.gz",
        required="s3://<bucket>/releases/<release>/model/.../model.tar.gz",
        length=1024,
    )


def instance_type(scope: Construct) -> str:
    """Return the type of the endpoint's machines."""
    return parameter(
        scope,
        "InstanceType",
        "SageMaker instance type of the endpoint.",
        pattern="ml\\.[a-z0-9-]+\\.[a-z0-9]+",
        required="an instance type such as ml.m5.large",
        length=64,
    )


# --- of a project -------------------------------------------------------------------------------


def project(scope: Construct) -> Project:
    """Return the project that the parameters of the template `scope` describe, in one account."""
    key_arn = key(scope, "KmsKeyArn", "Key of volumes, logs and a bucket in this account.")
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
        key_arn=key_arn,
        data_key_arn=key_arn,
        registry=Aws.ACCOUNT_ID,
        repository=parameter(
            scope,
            "RepositoryName",
            "ECR repository of the container image, in this region.",
            pattern="[a-z0-9]+([._/-][a-z0-9]+)*",
            required="the name of an ECR repository",
            length=256,
        ),
        boundary_arn=_boundary(scope),
    )


def key(scope: Construct, name: str, description: str) -> str:
    """Return the ARN of a key."""
    return parameter(
        scope,
        name,
        description,
        pattern="arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+",
        required="the ARN of a key (not of an alias)",
        length=256,
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
