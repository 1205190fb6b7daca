"""SageMaker's API: what is executed here goes to our modules, what is only kept goes to moto."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.responses import SageMakerResponse

from local_cloud.errors import UnsupportedError
from local_cloud.sagemaker import endpoints, jobs, parameters, projects, registry

__all__ = ["SageMakerApi", "Service"]

_ACCEPTED = {**jobs.ACCEPTED, **registry.ACCEPTED, **endpoints.ACCEPTED, **projects.ACCEPTED}
#: What moto does as AWS does it.
_MOTO = {
    "AddTags",
    "CreateDomain",
    "DeleteDomain",
    "DeleteTags",
    "DescribeDomain",
    "DescribeModelPackage",
    "DescribeModelPackageGroup",
    "ListDomains",
    "ListEndpointConfigs",
    "ListEndpoints",
    "ListModelPackageGroups",
    "ListModelPackages",
    "ListModels",
    "ListProcessingJobs",
    "ListTags",
    "ListTrainingJobs",
}


class Service:
    """SageMaker of one account: its jobs, models, endpoints and projects."""

    def __init__(
        self,
        backend: Any,
        account_jobs: jobs.Jobs,
        models: registry.ModelRegistry,
        account_endpoints: endpoints.Endpoints,
        account_projects: projects.Projects,
    ) -> None:
        self.backend = backend
        self.jobs = account_jobs
        self.models = models
        self.endpoints = account_endpoints
        self.projects = account_projects


class SageMakerApi(SageMakerResponse):  # type: ignore[misc]
    """Operations of ``sagemaker``; moto makes one object for each request."""

    service: ClassVar[Service]

    def call_action(self) -> Any:
        """Answer the request, or refuse an operation that nothing here executes."""
        operation = self._get_action()
        if operation not in _ACCEPTED and operation not in _MOTO:
            raise UnsupportedError(
                "Local cloud, SageMaker",
                f"operation {operation}",
                f"supported are {', '.join(sorted({*_ACCEPTED, *_MOTO}))}",
            )
        return super().call_action()

    def _read(self) -> dict[str, Any]:
        operation = self._get_action()
        return parameters.read(operation, self.body, _ACCEPTED[operation])

    # ---------------------------------------------------------------- jobs

    def create_training_job(self) -> ActionResult:
        """CreateTrainingJob."""
        return ActionResult(self.service.jobs.create_training_job(self._read()))

    def describe_training_job(self) -> ActionResult:
        """DescribeTrainingJob."""
        job = self.service.jobs.training_job(self._read()["TrainingJobName"])
        return ActionResult(job.describe())

    def stop_training_job(self) -> EmptyResult:
        """StopTrainingJob."""
        self.service.jobs.training_job(self._read()["TrainingJobName"]).stop()
        return EmptyResult()

    def create_processing_job(self) -> ActionResult:
        """CreateProcessingJob."""
        return ActionResult(self.service.jobs.create_processing_job(self._read()))

    def describe_processing_job(self) -> ActionResult:
        """DescribeProcessingJob."""
        job = self.service.jobs.processing_job(self._read()["ProcessingJobName"])
        return ActionResult(job.describe())

    def stop_processing_job(self) -> EmptyResult:
        """StopProcessingJob."""
        self.service.jobs.processing_job(self._read()["ProcessingJobName"]).stop()
        return EmptyResult()

    # ---------------------------------------------------------------- models and packages

    def create_model(self) -> ActionResult:
        """CreateModel."""
        return ActionResult(self.service.models.create_model(self._read()))

    def describe_model(self) -> ActionResult:
        """DescribeModel."""
        return ActionResult(self.service.models.describe_model(self._read()["ModelName"]))

    def create_model_package_group(self) -> ActionResult:
        """CreateModelPackageGroup."""
        return ActionResult(self.service.models.create_model_package_group(self._read()))

    def delete_model_package_group(self) -> EmptyResult:
        """DeleteModelPackageGroup."""
        self.service.models.delete_model_package_group(self._read()["ModelPackageGroupName"])
        return EmptyResult()

    def create_model_package(self) -> ActionResult:
        """CreateModelPackage."""
        return ActionResult(self.service.models.create_model_package(self._read()))

    def update_model_package(self) -> ActionResult:
        """UpdateModelPackage."""
        return ActionResult(self.service.models.update_model_package(self._read()))

    def delete_model_package(self) -> EmptyResult:
        """DeleteModelPackage."""
        self.service.models.delete_model_package(self._read()["ModelPackageName"])
        return EmptyResult()

    # ---------------------------------------------------------------- endpoints

    def create_endpoint_config(self) -> ActionResult:
        """CreateEndpointConfig."""
        return ActionResult(self.service.endpoints.create_config(self._read()))

    def describe_endpoint_config(self) -> ActionResult:
        """DescribeEndpointConfig."""
        name = self._read()["EndpointConfigName"]
        return ActionResult(self.service.endpoints.describe_config(name))

    def delete_endpoint_config(self) -> EmptyResult:
        """DeleteEndpointConfig."""
        self.service.endpoints.delete_config(self._read()["EndpointConfigName"])
        return EmptyResult()

    def create_endpoint(self) -> ActionResult:
        """CreateEndpoint."""
        return ActionResult(self.service.endpoints.create(self._read()))

    def update_endpoint(self) -> ActionResult:
        """UpdateEndpoint."""
        return ActionResult(self.service.endpoints.update(self._read()))

    def update_endpoint_weights_and_capacities(self) -> ActionResult:
        """UpdateEndpointWeightsAndCapacities."""
        return ActionResult(self.service.endpoints.resize(self._read()))

    def describe_endpoint(self) -> ActionResult:
        """DescribeEndpoint."""
        return ActionResult(self.service.endpoints.describe(self._read()["EndpointName"]))

    def delete_endpoint(self) -> EmptyResult:
        """DeleteEndpoint."""
        self.service.endpoints.delete(self._read()["EndpointName"])
        return EmptyResult()

    # ---------------------------------------------------------------- projects

    def create_project(self) -> ActionResult:
        """CreateProject."""
        projects = self.service.projects
        return ActionResult(projects.create(self._read(), self.get_access_key()))

    def update_project(self) -> ActionResult:
        """UpdateProject."""
        projects = self.service.projects
        return ActionResult(projects.update(self._read(), self.get_access_key()))

    def delete_project(self) -> EmptyResult:
        """DeleteProject."""
        self.service.projects.delete(self._read()["ProjectName"], self.get_access_key())
        return EmptyResult()

    def describe_project(self) -> ActionResult:
        """DescribeProject."""
        return ActionResult(self.service.projects.describe(self._read()["ProjectName"]))

    def list_projects(self) -> ActionResult:
        """ListProjects."""
        return ActionResult(self.service.projects.summaries(self._read()))

    # ---------------------------------------------------------------- tags

    def add_tags(self) -> ActionResult:
        """AddTags; a tag that is there is replaced."""
        resource = self._tagged()
        known = resource.tags or []  # a domain that was made without tags has None
        tags = {tag["Key"]: tag for tag in [*known, *self._get_param("Tags")]}
        resource.tags = list(tags.values())
        return ActionResult({"Tags": resource.tags})

    def list_tags(self) -> ActionResult:
        """ListTags."""
        return ActionResult({"Tags": self._tagged().tags or []})

    def delete_tags(self) -> EmptyResult:
        """DeleteTags."""
        resource = self._tagged()
        keys = self._get_param("TagKeys")
        resource.tags = [tag for tag in resource.tags if tag["Key"] not in keys]
        return EmptyResult()

    def _tagged(self) -> Any:
        """The resource of an ARN; moto looks for its name, which an ARN has in lower case."""
        arn = self._get_param("ResourceArn")
        backend = self.service.backend
        for resources in (
            self.service.projects.by_arn(),
            backend.training_jobs,
            backend.processing_jobs,
            backend._models,  # noqa: SLF001 - moto has no other way to ask
            backend.model_package_groups,
            backend.model_packages,
            backend.endpoint_configs,
            backend.endpoints,
            backend.domains,
        ):
            for resource in list(resources.values()):
                if resource.arn.lower() == arn.lower():
                    return resource
        raise ValidationError(f"Could not find resource {arn}.")
