"""AWS::ECR: repositories of images."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.resources.calls import ID, ITEM, Call, attr, given, prop
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "ecr")
_NAME = {"repositoryName": ID}
_ARN = {"resourceArn": attr("Arn")}

REPOSITORY = ResourceType(
    name="AWS::ECR::Repository",
    create=_call(
        "CreateRepository",
        given(
            "EncryptionConfiguration",
            "ImageScanningConfiguration",
            "ImageTagMutability",
            "RepositoryName",
            "Tags",
        ),
    ),
    made={"Arn": "repository.repositoryArn", "RepositoryUri": "repository.repositoryUri"},
    id=prop("RepositoryName"),
    named="RepositoryName",
    parts=(
        Setting(
            _call(
                "PutImageTagMutability",
                {**_NAME, "imageTagMutability": prop("ImageTagMutability", default="MUTABLE")},
            ),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "PutImageScanningConfiguration",
                {
                    **_NAME,
                    "imageScanningConfiguration": prop(
                        "ImageScanningConfiguration", default={"scanOnPush": False}
                    ),
                },
            ),
            made_with_resource=True,
        ),
        Setting(
            _call(
                "PutLifecyclePolicy",
                {
                    **_NAME,
                    "lifecyclePolicyText": prop(
                        "LifecyclePolicy", lambda policy: policy["LifecyclePolicyText"]
                    ),
                },
            ),
            _call("DeleteLifecyclePolicy", _NAME),
        ),
        Setting(
            _call("SetRepositoryPolicy", {**_NAME, "policyText": prop("RepositoryPolicyText")}),
            _call("DeleteRepositoryPolicy", _NAME),
        ),
        tags(
            _call("TagResource", {**_ARN, "tags": ITEM}),
            _call("UntagResource", {**_ARN, "tagKeys": TAG_KEYS}),
        ),
    ),
    delete=(_call("DeleteRepository", {**_NAME, "force": prop("EmptyOnDelete")}),),
    missing=("RepositoryNotFoundException",),
)

TYPES = (REPOSITORY,)
