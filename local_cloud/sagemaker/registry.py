"""Models and model packages: moto keeps them; what it does not check or forgets is added here."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ConflictException, ResourceNotFound, ValidationError
from moto.sagemaker.models import Model, ModelPackage, SageMakerModelBackend

from local_cloud.cloud import LocalCloud
from local_cloud.images import Image, ImageNotFoundError, Registry
from local_cloud.sagemaker.parameters import ANY, Parameters, only
from local_cloud.sagemaker.roles import Role

__all__ = ["ACCEPTED", "ModelRegistry", "ServedModel"]

_CONTAINER = {
    "Image": ANY,
    "ModelDataUrl": ANY,
    "ModelPackageName": ANY,
    "Environment": ANY,
    "ContainerHostname": ANY,
    "Mode": only("SingleModel"),
}
_DESCRIPTION = {
    "ModelPackageDescription": ANY,
    "ModelApprovalStatus": ANY,
    "CustomerMetadataProperties": ANY,
    "MetadataProperties": ANY,
    "ModelMetrics": ANY,
    "DriftCheckBaselines": ANY,
    "Domain": ANY,
    "Task": ANY,
    "SamplePayloadUrl": ANY,
    "ClientToken": ANY,
    "Tags": ANY,
}

#: What each operation honours.
ACCEPTED: dict[str, dict[str, Any]] = {
    "CreateModel": {
        "ModelName": ANY,
        "ExecutionRoleArn": ANY,
        "PrimaryContainer": _CONTAINER,
        "Containers": _CONTAINER,
        "EnableNetworkIsolation": ANY,
        "VpcConfig": {"SecurityGroupIds": ANY, "Subnets": ANY},
        "Tags": ANY,
    },
    "DescribeModel": {"ModelName": ANY},
    "DeleteModel": {"ModelName": ANY},
    "CreateModelPackageGroup": {
        "ModelPackageGroupName": ANY,
        "ModelPackageGroupDescription": ANY,
        "Tags": ANY,
    },
    "DeleteModelPackageGroup": {"ModelPackageGroupName": ANY},
    "CreateModelPackage": {
        **_DESCRIPTION,
        "ModelPackageGroupName": ANY,
        "InferenceSpecification": {
            "Containers": {
                "Image": ANY,
                "ImageDigest": ANY,
                "ModelDataUrl": ANY,
                "Environment": ANY,
                "ContainerHostname": ANY,
                "Framework": ANY,
                "FrameworkVersion": ANY,
                "NearestModelName": ANY,
            },
            "SupportedContentTypes": ANY,
            "SupportedResponseMIMETypes": ANY,
            "SupportedRealtimeInferenceInstanceTypes": ANY,
            "SupportedTransformInstanceTypes": ANY,
        },
    },
    "UpdateModelPackage": {
        "ModelPackageArn": ANY,
        "ModelApprovalStatus": ANY,
        "ApprovalDescription": ANY,
        "CustomerMetadataProperties": ANY,
        "CustomerMetadataPropertiesToRemove": ANY,
    },
    "DeleteModelPackage": {"ModelPackageName": ANY},
}


@dataclass(frozen=True)
class ServedModel:
    """What an endpoint needs of a model.

    Parameters
    ----------
    name
        Its name.
    role
        Its execution role.
    image
        The image.
    image_uri
        As the model names the image.
    model_data_url
        S3 URI of ``model.tar.gz``; empty for a model without data.
    environment
        Variables of the container.
    isolated
        Whether network isolation is on.
    """

    name: str
    role: Role
    image: Image
    image_uri: str
    model_data_url: str
    environment: Mapping[str, str]
    isolated: bool


class ModelRegistry:
    """Models and model packages of the account.

    Parameters
    ----------
    cloud
        The account.
    backend
        moto's, which keeps them.
    """

    def __init__(self, cloud: LocalCloud, backend: SageMakerModelBackend) -> None:
        self._cloud = cloud
        self._backend = backend
        self._lock = threading.Lock()

    # ---------------------------------------------------------------- models

    def create_model(self, request: Parameters) -> dict[str, str]:
        """Keep a model whose role, image and data were found, as AWS checks them."""
        name = request["ModelName"]
        containers = [request.get("PrimaryContainer"), *request.get("Containers", [])]
        given = [container for container in containers if container]
        if len(given) != 1:
            raise ValidationError(
                f"Model {name} has {len(given)} containers; the local cloud serves exactly one: "
                "give PrimaryContainer."
            )
        if name in self._backend._models:  # noqa: SLF001 - moto has no other way to ask
            raise ValidationError(f'Cannot create already existing model "{self._arn(name)}".')
        if not request.get("ExecutionRoleArn"):
            raise ValidationError(f"Model {name} needs an ExecutionRoleArn.")
        served = self._served(request, given[0])
        if served.model_data_url:
            reader = f'The role "{served.role.arn}"'
            _check_model_data(served.model_data_url, served.role.client("s3"), reader)
        model = Model(
            account_id=self._cloud.account_id,
            region_name=self._cloud.region,
            model_name=name,
            execution_role_arn=request["ExecutionRoleArn"],
            primary_container=given[0],
            vpc_config=request.get("VpcConfig", {}),
            tags=request.get("Tags", []),
        )
        model.enable_network_isolation = served.isolated
        self._backend._models[name] = model  # noqa: SLF001
        return {"ModelArn": model.arn}

    def describe_model(self, name: str) -> dict[str, Any]:
        """Answer of DescribeModel."""
        description = self._backend.describe_model(name).response_object
        return {key: value for key, value in description.items() if value not in ([], {})}

    def served(self, name: str) -> ServedModel:
        """What an endpoint needs of a model; checked again, since roles and images may change."""
        model = self._backend.describe_model(name)
        request = {
            "ModelName": name,
            "ExecutionRoleArn": model.execution_role_arn,
            "EnableNetworkIsolation": model.enable_network_isolation,
        }
        return self._served(request, model.primary_container)

    def _served(self, request: Parameters, container: Mapping[str, Any]) -> ServedModel:
        name = request["ModelName"]
        role = Role(self._cloud, request["ExecutionRoleArn"], self._arn(name))
        role.check()
        if "ModelPackageName" in container:
            container = self._packaged(container)
        if "Image" not in container:
            raise ValidationError(f"The container of model {name} needs Image or ModelPackageName.")
        try:
            image = Registry(self._cloud, role.client("ecr")).resolve(container["Image"])
        except (ImageNotFoundError, ClientError) as error:
            raise ValidationError(
                f"{error} (model {name}, role {role.arn}; it must exist, and the role must be "
                "allowed to pull it)"
            ) from error
        return ServedModel(
            name,
            role,
            image,
            container["Image"],
            container.get("ModelDataUrl", ""),
            container.get("Environment", {}),
            bool(request.get("EnableNetworkIsolation", False)),
        )

    def _packaged(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Container of an approved package, with the model's own environment on top.

        "For versioned models, the value of this parameter must be set to Approved to deploy the
        model": CreateModelPackage, ModelApprovalStatus.
        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html
        """
        package = self._package(container["ModelPackageName"])
        if package.model_package_version and package.model_approval_status != "Approved":
            raise ValidationError(
                f"Model package {package.arn} has approval status {package.model_approval_status}; "
                "it must be Approved to be deployed."
            )
        packaged: dict[str, Any] = package.inference_specification["Containers"][0]
        environment = {**packaged.get("Environment", {}), **container.get("Environment", {})}
        return {**packaged, "Environment": environment}

    def _arn(self, name: str) -> str:
        return (
            f"arn:aws:sagemaker:{self._cloud.region}:{self._cloud.account_id}:model/{name.lower()}"
        )

    # ---------------------------------------------------------------- packages

    def create_model_package_group(self, request: Parameters) -> dict[str, str]:
        """Keep a new group; AWS refuses a second one of the same name."""
        name = request["ModelPackageGroupName"]
        if name in self._backend.model_package_groups:
            arn = self._backend.model_package_groups[name].arn
            raise ValidationError(f"Model Package Group already exists: {arn}")
        arn = self._backend.create_model_package_group(
            name, request.get("ModelPackageGroupDescription", ""), request.get("Tags", [])
        )
        return {"ModelPackageGroupArn": arn}

    def delete_model_package_group(self, name: str) -> None:
        """Forget a group; it must be empty."""
        group = self._group(name)
        if self._versions(group):
            raise ConflictException(
                f"Model Package Group {name} cannot be deleted: it has model packages."
            )
        del self._backend.model_package_groups[group]

    def create_model_package(self, request: Parameters) -> dict[str, str]:
        """Keep the next version of a group."""
        if "ModelPackageGroupName" not in request:
            raise ValidationError("ModelPackageGroupName is needed: packages here are versions.")
        if request.get("Tags"):
            raise ValidationError(
                "Tags cannot be given to a version; it has the tags of its Model Package Group."
            )
        group = self._group(request["ModelPackageGroupName"])
        containers = request.get("InferenceSpecification", {}).get("Containers", [])
        if len(containers) != 1 or "Image" not in containers[0]:
            raise ValidationError("InferenceSpecification needs one container with an Image.")
        self._check_package(containers[0])
        with self._lock:
            for package in self._backend.model_packages.values():
                if package.client_token and package.client_token == request.get("ClientToken"):
                    return {"ModelPackageArn": package.arn}  # the same request, sent again
            package = self._new_package(request, group)
            self._backend.model_packages[package.arn] = package
            self._backend.model_package_name_mapping[package.arn] = package.arn
        return {"ModelPackageArn": package.arn}

    def _check_package(self, container: Mapping[str, Any]) -> None:
        """Refuse a version whose image or archive is not there; who may read them is not asked."""
        try:
            Registry(self._cloud).resolve(container["Image"])
        except ImageNotFoundError as error:
            raise ValidationError(str(error)) from error
        if "ModelDataUrl" in container:
            _check_model_data(container["ModelDataUrl"], self._cloud.client("s3"), "The caller")

    def _new_package(self, request: Parameters, group: str) -> ModelPackage:
        package = ModelPackage(
            model_package_name=group,
            model_package_group_name=group,
            model_package_version=max(self._versions(group), default=0) + 1,
            model_package_description=request.get("ModelPackageDescription"),
            inference_specification=request["InferenceSpecification"],
            source_algorithm_specification=None,
            validation_specification=None,
            certify_for_marketplace=False,
            model_approval_status=request.get("ModelApprovalStatus", "PendingManualApproval"),
            metadata_properties=request.get("MetadataProperties"),
            model_metrics=request.get("ModelMetrics"),
            approval_description=None,
            customer_metadata_properties=request.get("CustomerMetadataProperties"),
            drift_check_baselines=request.get("DriftCheckBaselines"),
            domain=request.get("Domain"),
            task=request.get("Task"),
            sample_payload_url=request.get("SamplePayloadUrl"),
            additional_inference_specifications=None,
            client_token=request.get("ClientToken"),
            region_name=self._cloud.region,
            account_id=self._cloud.account_id,
            model_package_type="Versioned",
            tags=[],
        )
        del package.created_by  # moto names a person whom nobody knows
        return package

    def update_model_package(self, request: Parameters) -> dict[str, str]:
        """Change what the request gives, and leave the rest."""
        package = self._package(request["ModelPackageArn"])
        if "ModelApprovalStatus" in request:
            package.set_model_approval_status(request["ModelApprovalStatus"])
        if "ApprovalDescription" in request:
            package.approval_description = request["ApprovalDescription"]
        properties = dict(package.customer_metadata_properties or {})
        properties |= request.get("CustomerMetadataProperties", {})
        for name in request.get("CustomerMetadataPropertiesToRemove", []):
            properties.pop(name, None)
        package.customer_metadata_properties = properties or None
        package.last_modified_time = utcnow()
        return {"ModelPackageArn": package.arn}

    def delete_model_package(self, name: str) -> None:
        """Forget a version."""
        package = self._package(name)
        del self._backend.model_packages[package.arn]
        self._backend.model_package_name_mapping.pop(package.arn, None)

    def _package(self, name: str) -> ModelPackage:
        if name not in self._backend.model_packages:
            raise ValidationError(f"ModelPackage {name} does not exist.")
        return self._backend.model_packages[name]

    def _group(self, name: str) -> str:
        """Name of a group that is given by name or ARN."""
        short = re.sub(r"^arn:.*:model-package-group/", "", name)
        for group in self._backend.model_package_groups:
            if short in {group, group.lower()}:
                return str(group)
        raise ResourceNotFound(f"Model Package Group {name} does not exist.")

    def _versions(self, group: str) -> list[int]:
        return [
            package.model_package_version
            for package in self._backend.model_packages.values()
            if package.model_package_group_name == group
        ]


def _check_model_data(url: str, client: Any, reader: str) -> None:
    """Refuse model data that is not there or may not be read, in the words of AWS."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchBucket", "NoSuchKey"}:
            raise ValidationError(f"Could not find model data at {url}.") from error
        raise ValidationError(
            f"Could not access model data at {url}. {reader} must have permission for "
            f"s3:GetObject on it. ({error.response['Error'].get('Message')})"
        ) from error
