"""The training and processing jobs of the account."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from moto.sagemaker.exceptions import ResourceInUseException, ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.sagemaker import processing, training
from local_cloud.sagemaker.job import Job
from local_cloud.sagemaker.parameters import ANY, Parameters
from local_cloud.sagemaker.processing import ProcessingJob
from local_cloud.sagemaker.training import TrainingJob

__all__ = ["ACCEPTED", "Jobs"]

#: What each operation honours.
ACCEPTED: dict[str, dict[str, Any]] = {
    "CreateTrainingJob": training.ACCEPTED,
    "CreateProcessingJob": processing.ACCEPTED,
    "DescribeTrainingJob": {"TrainingJobName": ANY},
    "DescribeProcessingJob": {"ProcessingJobName": ANY},
    "StopTrainingJob": {"TrainingJobName": ANY},
    "StopProcessingJob": {"ProcessingJobName": ANY},
}


class Jobs:
    """The jobs of the account.

    Parameters
    ----------
    cloud
        The account.
    training_jobs, processing_jobs
        Where moto's List, Search and tag operations look for jobs, by name.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        training_jobs: dict[str, Any],
        processing_jobs: dict[str, Any],
    ) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._closed = False
        self._training: dict[str, TrainingJob] = training_jobs
        self._processing: dict[str, ProcessingJob] = processing_jobs

    def create_training_job(self, request: Parameters) -> dict[str, str]:
        """Check what AWS checks before it answers, and start the job."""
        training.check(request)
        job = TrainingJob(self._cloud, request)
        self._start(job, self._training)
        return {"TrainingJobArn": job.arn}

    def create_processing_job(self, request: Parameters) -> dict[str, str]:
        """Check what AWS checks before it answers, and start the job."""
        processing.check(request)
        job = ProcessingJob(self._cloud, request)
        self._start(job, self._processing)
        return {"ProcessingJobArn": job.arn}

    def training_job(self, name: str) -> TrainingJob:
        """The training job of this name."""
        self._must_exist(name, self._training, "training job")
        return self._training[name]

    def processing_job(self, name: str) -> ProcessingJob:
        """The processing job of this name."""
        self._must_exist(name, self._processing, "processing job")
        return self._processing[name]

    def stop_all(self) -> None:
        """Stop every job that runs and wait for its thread."""
        with self._lock:
            self._closed = True
            jobs: list[Job] = [*self._training.values(), *self._processing.values()]
        running = [job for job in jobs if not job.ended]
        for job in running:
            job.abort(timeout_seconds=0)
        for job in running:
            job.abort(timeout_seconds=10)

    def _start(self, job: Job, jobs: dict[str, Any]) -> None:
        with self._lock:
            if self._closed:
                raise ValidationError("The local cloud is stopping.")
            if job.name in jobs:
                raise ResourceInUseException(
                    "Job name must be unique within an AWS account and region, and a job with "
                    f"this name already exists ({job.arn})"
                )
            jobs[job.name] = job
            job.start()

    @staticmethod
    def _must_exist(name: str, jobs: Mapping[str, Job], what: str) -> None:
        if name not in jobs:
            raise ValidationError(f"Requested resource not found: {what} {name!r}.")
