"""The release's endpoint, in production: its own, never changed, and as large as traffic asks.

Everything is named after the release. So CloudFormation makes a new endpoint beside the old one,
and deletes the old one only when the update is over: after the alias has moved to the new one and
has stayed there (:mod:`infrastructure.production_traffic`).
"""

from __future__ import annotations

from aws_cdk import CfnCondition
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infrastructure import production_permissions as permissions
from infrastructure.parameters import image_uri, instance_type, number
from infrastructure.production_release import Release

__all__ = ["make_endpoint"]

_VARIANT = "primary"
_MOST_INSTANCES = 100
# More at once, when it has become too much for a minute; fewer one after the other, for the next
# rise may come soon. https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
_SCALE_OUT_SECONDS = 60
_SCALE_IN_SECONDS = 300


def make_endpoint(scope: Construct, release: Release, archive: str) -> sagemaker.CfnEndpoint:
    """Return the endpoint that serves `archive`, with all that belongs to it."""
    project, condition = release.project, release.has_endpoint
    least = number(scope, "InstancesMin", "Fewest machines.", least=2, most=_MOST_INSTANCES)
    role = permissions.endpoint_role(scope, project, condition)
    container = sagemaker.CfnModel.ContainerDefinitionProperty(
        image=image_uri(scope, "ImageUri", "Image of the release, by digest."),
        model_data_url=archive,
    )
    model = sagemaker.CfnModel(
        scope,
        "Model",
        model_name=release.name,
        primary_container=container,
        execution_role_arn=role.role_arn,
        enable_network_isolation=True,
    )
    config = sagemaker.CfnEndpointConfig(
        scope,
        "EndpointConfig",
        endpoint_config_name=release.name,
        production_variants=[
            sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                variant_name=_VARIANT,
                model_name=model.attr_model_name,
                instance_type=instance_type(scope),
                initial_instance_count=least,
                initial_variant_weight=1,
            )
        ],
        data_capture_config=_capture(scope, release),
        kms_key_id=project.key_arn,
    )
    endpoint = sagemaker.CfnEndpoint(
        scope,
        "Endpoint",
        endpoint_name=release.name,
        endpoint_config_name=config.attr_endpoint_config_name,
    )
    for resource in (model, config, endpoint):
        resource.cfn_options.condition = condition
    _scale(scope, endpoint, least, condition)
    return endpoint


def _capture(
    scope: Construct, release: Release
) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty:
    option = sagemaker.CfnEndpointConfig.CaptureOptionProperty
    return sagemaker.CfnEndpointConfig.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=number(
            scope, "CapturePercent", "Share of requests that are kept.", least=1, most=100
        ),
        destination_s3_uri=f"s3://{release.project.bucket}/releases/{release.id}/capture",
        kms_key_id=release.project.data_key_arn,
        capture_options=[option(capture_mode="Input"), option(capture_mode="Output")],
        capture_content_type_header=sagemaker.CfnEndpointConfig.CaptureContentTypeHeaderProperty(
            csv_content_types=["text/csv"],
            json_content_types=["application/json", "application/jsonlines"],
        ),
    )


def _scale(
    scope: Construct, endpoint: sagemaker.CfnEndpoint, least: int, condition: CfnCondition
) -> None:
    """Keep each machine at its share of the requests."""
    target = autoscaling.CfnScalableTarget(
        scope,
        "ScalableTarget",
        service_namespace="sagemaker",
        resource_id=f"endpoint/{endpoint.attr_endpoint_name}/variant/{_VARIANT}",
        scalable_dimension="sagemaker:variant:DesiredInstanceCount",
        min_capacity=least,
        max_capacity=number(scope, "InstancesMax", "Most machines.", least=2, most=_MOST_INSTANCES),
    )
    policy = autoscaling.CfnScalingPolicy(
        scope,
        "ScalingPolicy",
        policy_name="invocations-per-instance",
        policy_type="TargetTrackingScaling",
        scaling_target_id=target.ref,
        target_tracking_scaling_policy_configuration=autoscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=number(
                scope,
                "TargetInvocationsPerMinute",
                "Requests per minute of each machine that the number of machines aims at.",
                least=1,
                most=10_000_000,
            ),
            predefined_metric_specification=autoscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                predefined_metric_type="SageMakerVariantInvocationsPerInstance"
            ),
            scale_out_cooldown=_SCALE_OUT_SECONDS,
            scale_in_cooldown=_SCALE_IN_SECONDS,
        ),
    )
    for resource in (target, policy):
        resource.cfn_options.condition = condition
