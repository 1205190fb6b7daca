"""Processing jobs.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from moto.sagemaker.exceptions import ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.sagemaker.job import (
    S3_DATA_TYPES,
    S3_DISTRIBUTIONS,
    VPC,
    Job,
    fetch,
    resource_configuration,
    write_json,
)
from local_cloud.sagemaker.parameters import ANY, Parameters, only
from local_cloud.sagemaker.storage import Storage

__all__ = ["ACCEPTED", "ProcessingJob", "check"]

#: What CreateProcessingJob honours.
ACCEPTED: dict[str, Any] = {
    "ProcessingJobName": ANY,
    "RoleArn": ANY,
    "AppSpecification": {
        "ImageUri": ANY,
        "ContainerEntrypoint": ANY,
        "ContainerArguments": ANY,
    },
    "ProcessingInputs": {
        "InputName": ANY,
        "AppManaged": only(False),
        "S3Input": {
            "S3Uri": ANY,
            "LocalPath": ANY,
            "S3DataType": S3_DATA_TYPES,
            "S3InputMode": only("File"),
            "S3DataDistributionType": S3_DISTRIBUTIONS,
            "S3CompressionType": only("None"),
        },
    },
    "ProcessingOutputConfig": {
        "Outputs": {
            "OutputName": ANY,
            "AppManaged": only(False),
            "S3Output": {"S3Uri": ANY, "LocalPath": ANY, "S3UploadMode": only("EndOfJob")},
        },
        "KmsKeyId": ANY,
    },
    "ProcessingResources": {
        "ClusterConfig": {
            "InstanceType": ANY,
            "InstanceCount": only(1),
            "VolumeSizeInGB": ANY,
            "VolumeKmsKeyId": ANY,
        }
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": ANY},
    "Environment": ANY,
    "NetworkConfig": {
        "EnableNetworkIsolation": ANY,
        "EnableInterContainerTrafficEncryption": ANY,
        "VpcConfig": VPC,
    },
    "Tags": ANY,
}

_ROOT = PurePosixPath("/opt/ml/processing")


class ProcessingJob(Job):
    """One processing job.

    Attributes that are named as moto names them are read by its List operation.
    """

    kind = "processing-job"
    log_group = "/aws/sagemaker/ProcessingJobs"

    def __init__(self, cloud: LocalCloud, request: Parameters) -> None:
        super().__init__(cloud, request["ProcessingJobName"], request)

    @property
    def processing_job_name(self) -> str:
        """Name of the job."""
        return self.name

    @property
    def processing_job_status(self) -> str:
        """Status."""
        return self.status

    @property
    def processing_end_time(self) -> datetime | None:
        """When it ended."""
        return self.end_time

    @property
    def _image_uri(self) -> str:
        return str(self.request["AppSpecification"]["ImageUri"])

    @property
    def _isolated(self) -> bool:
        return bool(self.request.get("NetworkConfig", {}).get("EnableNetworkIsolation", False))

    @property
    def _outputs(self) -> list[dict[str, Any]]:
        outputs = self.request.get("ProcessingOutputConfig", {}).get("Outputs", [])
        return [output["S3Output"] for output in outputs]

    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = {
            "ProcessingJobArn": self.arn,
            "ProcessingJobStatus": self.status,
        }
        if self.start_time:
            description["ProcessingStartTime"] = self.start_time
        if self.end_time:
            description["ProcessingEndTime"] = self.end_time
        if self.end_time and self.exit_message:
            description["ExitMessage"] = self.exit_message
        return description

    def _enter(self, stage: str, message: str) -> None:
        """Processing jobs do not show their stages."""

    def _command(self) -> tuple[list[str], list[str] | None]:
        application = self.request["AppSpecification"]
        return application.get("ContainerArguments", []), application.get("ContainerEntrypoint")

    def _identity(self) -> dict[str, str]:
        return {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self.arn}

    def _write_configuration(self) -> None:
        folder = self.base / "config"
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        write_json(folder / "resourceconfig.json", resource_configuration(cluster["InstanceType"]))
        configuration = {name: value for name, value in self.request.items() if name != "Tags"}
        write_json(
            folder / "processingjobconfig.json", {"ProcessingJobArn": self.arn, **configuration}
        )
        for path in ("processing/input", "processing/output", "output"):
            (self.base / path).mkdir(parents=True)
        for output in self._outputs:
            self._local(output["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _download(self, storage: Storage) -> None:
        for entry in self.request.get("ProcessingInputs", []):
            source = entry["S3Input"]
            fetch(storage, source, self._local(source["LocalPath"]))

    def _upload(self, storage: Storage, *, stopped: bool) -> None:
        if stopped:
            return
        kms_key = self.request.get("ProcessingOutputConfig", {}).get("KmsKeyId")
        for output in self._outputs:
            storage.upload_folder(self._local(output["LocalPath"]), output["S3Uri"], kms_key)

    def _failure_text(self) -> str:
        # SageMaker reads output/failure of training jobs only; a processing container tells its
        # reason in output/message, which becomes ExitMessage:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/byoc-metadata.html
        return "See job logs for more information"

    def _local(self, path: str) -> Path:
        return self.base / "processing" / PurePosixPath(path).relative_to(_ROOT)


def check(request: Parameters) -> None:
    """Refuse what AWS refuses before it answers, beyond single parameters."""
    inputs = [_local_path(_, "S3Input") for _ in request.get("ProcessingInputs", [])]
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    for paths in (inputs, [_local_path(_, "S3Output") for _ in outputs]):
        if len(set(paths)) < len(paths):
            raise ValidationError(f"Each LocalPath must be used once, got {paths}.")


def _local_path(entry: Mapping[str, Any], member: str) -> PurePosixPath:
    """LocalPath of an input or output; refused outside ``/opt/ml/processing``."""
    name = entry.get("InputName") or entry.get("OutputName")
    text = entry.get(member, {}).get("LocalPath", "")
    path = PurePosixPath(text)
    if _ROOT not in path.parents or ".." in path.parts:
        raise ValidationError(
            f"{member}.LocalPath of {name} is {text!r}; a path under {_ROOT}/ is needed."
        )
    return path
