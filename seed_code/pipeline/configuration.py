"""Parameters and tags of the project's stacks, as CloudFormation actions of a pipeline read them.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/continuous-delivery-codepipeline-cfn-artifacts.html
"""

from __future__ import annotations

from typing import Any

from infrastructure.workflow_input import PROJECT_TAG
from mlsystem.names import Names
from mlsystem.settings import Settings
from pipeline.environment import BuildEnvironment

__all__ = ["dev", "tags", "workflow"]


def tags(environment: BuildEnvironment) -> dict[str, str]:
    """Return the tags of everything that the project makes; Studio finds it by the first two."""
    return {
        "sagemaker:project-name": environment.sagemaker_project_name,
        "sagemaker:project-id": environment.sagemaker_project_id,
        PROJECT_TAG: environment.project_key,
    }


def workflow(environment: BuildEnvironment) -> dict[str, Any]:
    """Return the configuration of the workflow's stack."""
    return {"Parameters": _project(environment), "Tags": tags(environment)}


def dev(
    environment: BuildEnvironment, settings: Settings, names: Names, image_uri: str
) -> dict[str, Any]:
    """Return the configuration of the dev endpoint's stack for the release `names`."""
    machines = settings.instances.endpoint
    of_release = {
        "Release": names.label,
        "ImageUri": image_uri,
        "ModelArchiveUri": f"s3://{environment.data_bucket}/{names.model_archive_key}",
        "InstanceType": machines.type,
        "InstanceCount": str(machines.count),
    }
    return {"Parameters": {**_project(environment), **of_release}, "Tags": tags(environment)}


def _project(environment: BuildEnvironment) -> dict[str, str]:
    return {
        "ProjectName": environment.project_key,
        "DataBucketName": environment.data_bucket,
        "KmsKeyArn": environment.kms_key_arn,
        "RepositoryName": environment.container_repository,
        "PermissionsBoundaryArn": environment.permissions_boundary_arn,
    }
