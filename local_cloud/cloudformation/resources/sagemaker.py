"""AWS::SageMaker: model package groups, models, endpoints."""

from __future__ import annotations

from functools import partial

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    State,
    attr,
    given,
    naming,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType, Wait

__all__ = ["TYPES"]

_call = partial(Call, "sagemaker")
#: SageMaker answers with one code for everything; the texts are its own.
_MISSING = ("Could not find", "does not exist", "ResourceNotFound")


def _tags() -> Items:
    return tags(
        _call("AddTags", {"ResourceArn": ID, "Tags": ITEM}),
        _call("DeleteTags", {"ResourceArn": ID, "TagKeys": TAG_KEYS}),
    )


_GROUP = {"ModelPackageGroupName": naming("ModelPackageGroupName")}

MODEL_PACKAGE_GROUP = ResourceType(
    name="AWS::SageMaker::ModelPackageGroup",
    create=_call(
        "CreateModelPackageGroup",
        given("ModelPackageGroupDescription", "ModelPackageGroupName", "Tags"),
    ),
    made={"ModelPackageGroupArn": "ModelPackageGroupArn"},
    id=attr("ModelPackageGroupArn"),
    parts=(
        Setting(
            _call(
                "PutModelPackageGroupPolicy",
                {**_GROUP, "ResourcePolicy": prop("ModelPackageGroupPolicy")},
            ),
            _call("DeleteModelPackageGroupPolicy", _GROUP),
        ),
        _tags(),
    ),
    read=_call("DescribeModelPackageGroup", _GROUP),
    attributes={
        "CreationTime": "CreationTime",
        "ModelPackageGroupStatus": "ModelPackageGroupStatus",
    },
    wait=Wait(
        status="ModelPackageGroupStatus",
        ready=frozenset({"Completed"}),
        failed=frozenset({"Failed"}),
    ),
    delete=(_call("DeleteModelPackageGroup", _GROUP),),
    missing=_MISSING,
)

MODEL = ResourceType(
    name="AWS::SageMaker::Model",
    create=_call(
        "CreateModel",
        given(
            "Containers",
            "EnableNetworkIsolation",
            "ExecutionRoleArn",
            "InferenceExecutionConfig",
            "ModelName",
            "PrimaryContainer",
            "Tags",
            "VpcConfig",
        ),
    ),
    made={"ModelArn": "ModelArn"},
    id=attr("ModelArn"),
    named="ModelName",
    longest_name=63,
    parts=(_tags(),),
    read=_call("DescribeModel", given("ModelName")),
    attributes={"ModelName": "ModelName"},
    delete=(_call("DeleteModel", given("ModelName")),),
    missing=_MISSING,
)

ENDPOINT_CONFIG = ResourceType(
    name="AWS::SageMaker::EndpointConfig",
    create=_call(
        "CreateEndpointConfig",
        given(
            "AsyncInferenceConfig",
            "DataCaptureConfig",
            "EnableNetworkIsolation",
            "EndpointConfigName",
            "ExecutionRoleArn",
            "KmsKeyId",
            "ProductionVariants",
            "Tags",
            "VpcConfig",
        ),
    ),
    made={"EndpointConfigArn": "EndpointConfigArn"},
    id=attr("EndpointConfigArn"),
    named="EndpointConfigName",
    longest_name=63,
    parts=(_tags(),),
    read=_call("DescribeEndpointConfig", given("EndpointConfigName")),
    attributes={"EndpointConfigName": "EndpointConfigName"},
    delete=(_call("DeleteEndpointConfig", given("EndpointConfigName")),),
    missing=_MISSING,
)

#: Templates name the configuration, or refer to it, which gives its ARN.
_CONFIG_NAME = prop("EndpointConfigName", lambda name: name.rpartition("/")[2])

_DESCRIBE_ENDPOINT = _call("DescribeEndpoint", given("EndpointName"))
_UPDATE_ENDPOINT = _call(
    "UpdateEndpoint",
    {
        "EndpointConfigName": _CONFIG_NAME,
        **given(
            "DeploymentConfig",
            "EndpointName",
            "ExcludeRetainedVariantProperties",
            "RetainAllVariantProperties",
            "RetainDeploymentConfig",
        ),
    },
)


def _update_endpoint(deployer: Deployer, state: State) -> None:
    """Deploy the configuration, unless it is: an update that failed has been undone by itself."""
    described = _DESCRIBE_ENDPOINT.run(deployer, state)
    if described["EndpointConfigName"] != _CONFIG_NAME.value(state):
        _UPDATE_ENDPOINT.run(deployer, state)


ENDPOINT = ResourceType(
    name="AWS::SageMaker::Endpoint",
    create=_call(
        "CreateEndpoint",
        {"EndpointConfigName": _CONFIG_NAME, **given("DeploymentConfig", "EndpointName", "Tags")},
    ),
    made={"EndpointArn": "EndpointArn"},
    id=attr("EndpointArn"),
    named="EndpointName",
    longest_name=63,
    parts=(
        Setting(Code(_update_endpoint, (_UPDATE_ENDPOINT,)), made_with_resource=True),
        _tags(),
    ),
    read=_DESCRIBE_ENDPOINT,
    attributes={"EndpointName": "EndpointName"},
    wait=Wait(
        status="EndpointStatus",
        ready=frozenset({"InService"}),
        failed=frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"}),
        reason="FailureReason",
        shows={"EndpointConfigName": _CONFIG_NAME},
        seconds=3600.0,
    ),
    delete=(_call("DeleteEndpoint", given("EndpointName")),),
    missing=_MISSING,
)

TYPES = (MODEL_PACKAGE_GROUP, MODEL, ENDPOINT_CONFIG, ENDPOINT)
