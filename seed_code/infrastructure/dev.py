"""The dev endpoint's template: a release's model, its endpoint configuration, the endpoint.

Model and configuration cannot be changed, so each release has its own, named after it; the endpoint
keeps its name and moves from one configuration to the next without losing a request. CloudFormation
deletes the old ones afterwards, or, when the endpoint does not come into service, moves it back.
"""

from __future__ import annotations

from aws_cdk import CfnOutput, LegacyStackSynthesizer, Stack, Tags
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infrastructure import permissions
from infrastructure.grants import Project
from infrastructure.parameters import (
    archive_uri,
    image_uri,
    instance_type,
    number,
    project,
    release_label,
)
from infrastructure.workflow_input import PROJECT_TAG

__all__ = ["DevStack"]

_MOST_INSTANCES = 100


class DevStack(Stack):
    """The endpoint that a release is tested and reviewed on, given its image and archive."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(
            scope,
            name,
            description="Dev endpoint: a release's model, to be tested and reviewed",
            synthesizer=LegacyStackSynthesizer(),
        )
        owner = project(self)
        Tags.of(self).add(PROJECT_TAG, owner.name)
        # As mlsystem.names.Names has them.
        endpoint_name = f"{owner.name}-dev"
        release_name = f"{endpoint_name}-{release_label(self)}"
        role = permissions.endpoint_role(self, owner, endpoint_name)
        model = self._model(release_name, role.role_arn)
        config = self._config(release_name, model, owner)
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=endpoint_name,
            endpoint_config_name=config.attr_endpoint_config_name,
        )
        CfnOutput(
            self,
            "EndpointName",
            value=endpoint.attr_endpoint_name,
            description="What to send requests to",
        )

    def _model(self, name: str, role_arn: str) -> sagemaker.CfnModel:
        container = sagemaker.CfnModel.ContainerDefinitionProperty(
            image=image_uri(self, "ImageUri", "Image of the release, by digest."),
            model_data_url=archive_uri(self),
        )
        return sagemaker.CfnModel(
            self,
            "Model",
            model_name=name,
            primary_container=container,
            execution_role_arn=role_arn,
            enable_network_isolation=True,
        )

    def _config(
        self, name: str, model: sagemaker.CfnModel, owner: Project
    ) -> sagemaker.CfnEndpointConfig:
        variant = sagemaker.CfnEndpointConfig.ProductionVariantProperty(
            variant_name="primary",
            model_name=model.attr_model_name,
            instance_type=instance_type(self),
            initial_instance_count=number(
                self, "InstanceCount", "Machines of the endpoint.", least=1, most=_MOST_INSTANCES
            ),
            initial_variant_weight=1,
        )
        return sagemaker.CfnEndpointConfig(
            self,
            "EndpointConfig",
            endpoint_config_name=name,
            production_variants=[variant],
            kms_key_id=owner.key_arn,
        )
