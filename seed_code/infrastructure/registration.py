"""RegisterModel: the model that passed the gate becomes a version in the project's group.

A Parallel state with one branch, so that its states share one Catch and count as one stage.
"""

from __future__ import annotations

from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infrastructure.failures import expect
from infrastructure.tasks import Retry, call

__all__ = ["register_model"]

# That the group exists is told by the same error as throttling: not worth trying five times.
_GROUP_RETRIES = (Retry(("SageMaker.SdkClientException",), 1, 3, 10),)


def register_model(scope: Construct) -> sfn.Parallel:
    """Return the stage; it puts ``model_package_arn`` into ``$.registration``."""
    stage = sfn.Parallel(
        scope,
        "RegisterModel",
        parameters={
            "project.$": "$.project",
            "release.$": "$.release",
            "image.$": "$.image",
            "tags.$": "$.tags",
            "register.$": "$.register",
            "gate.$": "$.evaluation.document.gate",
        },
        result_selector={"model_package_arn.$": "$[0].package.ModelPackageArn"},
        result_path="$.registration",
    )
    create_package = _create_package(scope)
    create_group = _create_group(scope)
    # The group outlives the stack on purpose (a group with versions cannot be deleted), so it is
    # the workflow that makes it, the first time.
    expect(scope, create_group, "already exists", create_package, question="IsGroupThere")
    stage.branch(create_group.next(create_package))
    return stage


def _create_group(scope: Construct) -> sfn.CustomState:
    return call(
        scope,
        "CreateModelPackageGroup",
        "sagemaker:createModelPackageGroup",
        {
            "ModelPackageGroupName.$": "$.register.model_package_group",
            "ModelPackageGroupDescription.$": "States.Format('Models of {}', $.project)",
            "Tags.$": "$.tags",
        },
        retries=_GROUP_RETRIES,
    )


def _create_package(scope: Construct) -> sfn.CustomState:
    """Versions take the tags of their group, and refuse their own."""
    return call(
        scope,
        "CreateModelPackage",
        "sagemaker:createModelPackage",
        {
            "ModelPackageGroupName.$": "$.register.model_package_group",
            "ModelPackageDescription.$": "States.Format('Release {}', $.release)",
            "ClientToken.$": "$.register.client_token",
            "ModelApprovalStatus.$": "$.register.approval",
            "InferenceSpecification": {
                "Containers": [
                    {"Image.$": "$.image", "ModelDataUrl.$": "$.register.model_archive_uri"}
                ],
                "SupportedContentTypes.$": "$.register.content_types",
                "SupportedResponseMIMETypes.$": "$.register.response_types",
                "SupportedRealtimeInferenceInstanceTypes.$": "$.register.instance_types",
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri.$": "$.register.evaluation_uri",
                    }
                }
            },
            "CustomerMetadataProperties": {
                "project.$": "$.project",
                "release.$": "$.release",
                "metric.$": "$.gate.metric",
                "value.$": "States.Format('{}', $.gate.value)",
                "champion.$": "$.register.champion",
            },
        },
        result={"ModelPackageArn.$": "$.ModelPackageArn"},
        result_path="$.package",
    )
