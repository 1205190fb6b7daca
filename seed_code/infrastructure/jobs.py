"""The requests of the SageMaker jobs: what is the same for every project and release.

Values that differ are read from the execution's input (:mod:`infrastructure.workflow_input`).
Every job is isolated from the network, encrypted with the project's key and tagged.
"""

from __future__ import annotations

from typing import Any

__all__ = ["processing", "training"]


def processing(verb: str, role_arn: str, key_arn: str) -> dict[str, Any]:
    """Return a request of CreateProcessingJob that runs `verb` of the container.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
    """
    return {
        "ProcessingJobName.$": f"$.{verb}.job_name",
        "RoleArn": role_arn,
        "AppSpecification": {"ImageUri.$": "$.image", "ContainerArguments": [verb]},
        # A whole list, because an input that may be missing (the champion) cannot be written here.
        "ProcessingInputs.$": f"$.{verb}.inputs",
        "ProcessingOutputConfig": {"Outputs.$": f"$.{verb}.outputs", "KmsKeyId": key_arn},
        "ProcessingResources": {"ClusterConfig": _machine(verb, key_arn)},
        "NetworkConfig": {
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds.$": f"$.{verb}.max_runtime_seconds"},
        "Tags.$": "$.tags",
    }


def training(role_arn: str, key_arn: str) -> dict[str, Any]:
    """Return a request of CreateTrainingJob.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
    """
    return {
        "TrainingJobName.$": "$.train.job_name",
        "RoleArn": role_arn,
        "AlgorithmSpecification": {"TrainingImage.$": "$.image", "TrainingInputMode": "File"},
        "HyperParameters.$": "$.train.hyperparameters",
        "InputDataConfig.$": "$.train.channels",
        "OutputDataConfig": {"S3OutputPath.$": "$.train.output_uri", "KmsKeyId": key_arn},
        "ResourceConfig": _machine("train", key_arn),
        "EnableNetworkIsolation": True,
        "EnableInterContainerTrafficEncryption": True,
        "StoppingCondition": {"MaxRuntimeInSeconds.$": "$.train.max_runtime_seconds"},
        "Tags.$": "$.tags",
    }


def _machine(section: str, key_arn: str) -> dict[str, Any]:
    return {
        "InstanceCount": 1,
        "InstanceType.$": f"$.{section}.instance_type",
        "VolumeSizeInGB.$": f"$.{section}.volume_gb",
        "VolumeKmsKeyId": key_arn,
    }
