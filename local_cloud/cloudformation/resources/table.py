"""Every resource type that is implemented, by name."""

from __future__ import annotations

from local_cloud.cloudformation.resources import (
    codebuild,
    codecommit,
    codepipeline,
    ec2,
    ecr,
    efs,
    events,
    functions,
    iam,
    kms,
    logs,
    nested,
    s3,
    sagemaker,
    servicecatalog,
    sns,
    ssm,
    stepfunctions,
)
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_MODULES = (
    codebuild, codecommit, codepipeline, ec2, ecr, efs, events, functions, iam, kms, logs, nested,
    s3, sagemaker, servicecatalog, sns, ssm, stepfunctions,
)  # fmt: skip

TYPES: dict[str, ResourceType] = {
    resource_type.name: resource_type for module in _MODULES for resource_type in module.TYPES
}
