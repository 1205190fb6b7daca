"""Every resource type that is implemented, by name."""

from __future__ import annotations

from local_cloud.cloudformation.resources import (
    apigateway,
    autoscaling,
    cloudwatch,
    codebuild,
    codecommit,
    codedeploy,
    codepipeline,
    custom,
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
    apigateway, autoscaling, cloudwatch, codebuild, codecommit, codedeploy, codepipeline, custom,
    ec2, ecr, efs, events, functions, iam, kms, logs, nested, s3, sagemaker, servicecatalog, sns,
    ssm, stepfunctions,
)  # fmt: skip


class _Types(dict[str, ResourceType]):
    """Types by name; a template's author makes a custom one by naming it."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or custom.is_custom(str(name))

    def __missing__(self, name: str) -> ResourceType:
        if not custom.is_custom(name):
            raise KeyError(name)
        return custom.resource_type(name)


TYPES: dict[str, ResourceType] = _Types(
    {resource_type.name: resource_type for module in _MODULES for resource_type in module.TYPES}
)
