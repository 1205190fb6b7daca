"""Training jobs.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.sagemaker import archives
from local_cloud.sagemaker.job import (
    S3_DATA_TYPES,
    S3_DISTRIBUTIONS,
    VPC,
    Job,
    fetch,
    read_text,
    resource_configuration,
    write_json,
)
from local_cloud.sagemaker.parameters import ANY, Parameters, only
from local_cloud.sagemaker.storage import Storage

__all__ = ["ACCEPTED", "TrainingJob", "check"]

#: What CreateTrainingJob honours.
ACCEPTED: dict[str, Any] = {
    "TrainingJobName": ANY,
    "RoleArn": ANY,
    "AlgorithmSpecification": {
        "TrainingImage": ANY,
        "TrainingInputMode": only("File"),
        "ContainerEntrypoint": ANY,
        "ContainerArguments": ANY,
        "EnableSageMakerMetricsTimeSeries": only(False),
    },
    "InputDataConfig": {
        "ChannelName": ANY,
        "ContentType": ANY,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": S3_DATA_TYPES,
                "S3Uri": ANY,
                "S3DataDistributionType": S3_DISTRIBUTIONS,
            }
        },
        "CompressionType": only("None"),
        "RecordWrapperType": only("None"),
        "InputMode": only("File"),
    },
    "HyperParameters": ANY,
    "Environment": ANY,
    "OutputDataConfig": {
        "S3OutputPath": ANY,
        "KmsKeyId": ANY,
        "CompressionType": only("GZIP"),
    },
    "ResourceConfig": {
        "InstanceType": ANY,
        "InstanceCount": only(1),
        "VolumeSizeInGB": ANY,
        "VolumeKmsKeyId": ANY,
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": ANY},
    "VpcConfig": VPC,
    "EnableNetworkIsolation": ANY,
    "EnableInterContainerTrafficEncryption": ANY,
    "EnableManagedSpotTraining": only(False),
    "Tags": ANY,
}


class TrainingJob(Job):
    """One training job.

    Attributes that are named as moto names them are read by its List and Search operations.
    """

    kind = "training-job"
    log_group = "/aws/sagemaker/TrainingJobs"

    def __init__(self, cloud: LocalCloud, request: Parameters) -> None:
        self.transitions: list[dict[str, Any]] = []
        super().__init__(cloud, request["TrainingJobName"], request)
        self._enter("Starting", "Preparing the instances for training")

    @property
    def training_job_name(self) -> str:
        """Name of the job."""
        return self.name

    @property
    def training_job_status(self) -> str:
        """Primary status."""
        return self.status

    @property
    def training_end_time(self) -> datetime | None:
        """When it ended."""
        return self.end_time

    @property
    def _image_uri(self) -> str:
        return str(self.request["AlgorithmSpecification"]["TrainingImage"])

    @property
    def _isolated(self) -> bool:
        return bool(self.request.get("EnableNetworkIsolation", False))

    @property
    def _output_uri(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = {
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.transitions[-1]["Status"],
            "SecondaryStatusTransitions": [dict(transition) for transition in self.transitions],
            "ModelArtifacts": {"S3ModelArtifacts": f"{self._output_uri}/model.tar.gz"},
            "EnableNetworkIsolation": self._isolated,
            "EnableInterContainerTrafficEncryption": self.request.get(
                "EnableInterContainerTrafficEncryption", False
            ),
            "EnableManagedSpotTraining": False,
        }
        if self.start_time:
            description["TrainingStartTime"] = self.start_time
        if self.end_time:
            description["TrainingEndTime"] = self.end_time
            seconds = (self.end_time - (self.start_time or self.end_time)).total_seconds()
            description["TrainingTimeInSeconds"] = max(1, round(seconds))
            description["BillableTimeInSeconds"] = max(1, round(seconds))
        return description

    def _enter(self, stage: str, message: str) -> None:
        now = utcnow()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.transitions.append({"Status": stage, "StartTime": now, "StatusMessage": message})
        if self.ended:
            self.transitions[-1]["EndTime"] = now

    def _command(self) -> tuple[list[str], list[str] | None]:
        algorithm = self.request["AlgorithmSpecification"]
        entrypoint = algorithm.get("ContainerEntrypoint")
        arguments = algorithm.get("ContainerArguments", [] if entrypoint else ["train"])
        return arguments, entrypoint

    def _identity(self) -> dict[str, str]:
        return {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn}

    def _write_configuration(self) -> None:
        folder = self.base / "input" / "config"
        write_json(folder / "hyperparameters.json", self.request.get("HyperParameters", {}))
        resources = self.request.get("ResourceConfig", {})
        write_json(
            folder / "resourceconfig.json", resource_configuration(resources["InstanceType"])
        )
        channels = {_["ChannelName"]: _channel(_) for _ in self.request.get("InputDataConfig", [])}
        write_json(folder / "inputdataconfig.json", channels)
        for name in ("model", "output/data"):
            (self.base / name).mkdir(parents=True)

    def _download(self, storage: Storage) -> None:
        for channel in self.request.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            folder = self.base / "input" / "data" / channel["ChannelName"]
            fetch(storage, source, folder)

    def _upload(self, storage: Storage, *, stopped: bool) -> None:  # noqa: ARG002
        # What a stopped training has saved until then is kept, as on AWS.
        kms_key = self.request["OutputDataConfig"].get("KmsKeyId")
        for folder, name in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
            source = self.base / folder
            if not source.is_dir() or not any(source.iterdir()):
                continue
            archive = self._place / name
            archives.pack(source, archive)
            storage.upload_file(archive, f"{self._output_uri}/{name}", kms_key)

    def _failure_text(self) -> str:
        return read_text(self.base / "output" / "failure")


def check(request: Parameters) -> None:
    """Refuse what AWS refuses before it answers, beyond single parameters."""
    if "TrainingImage" not in request["AlgorithmSpecification"]:
        raise ValidationError("AlgorithmSpecification must have a TrainingImage.")
    channels = request.get("InputDataConfig", [])
    names = [channel["ChannelName"] for channel in channels]
    if len(set(names)) < len(names) or {".", ".."} & set(names):
        raise ValidationError(f"Channel names must be distinct names of folders, got {names}.")
    for channel in channels:
        if "S3DataSource" not in channel["DataSource"]:
            raise ValidationError(f"Channel {channel['ChannelName']} needs an S3DataSource.")


def _channel(channel: Mapping[str, Any]) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    configuration = {
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        configuration["ContentType"] = channel["ContentType"]
    return configuration
