"""SageMaker: jobs, models and endpoints that run, on top of what moto keeps."""

from __future__ import annotations

from typing import Any

import moto.sagemaker.urls
import moto.sagemakerruntime.urls
from moto.sagemaker.models import sagemaker_backends

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.parity import Parity
from local_cloud.sagemaker.api import SageMakerApi, Service
from local_cloud.sagemaker.endpoints import Endpoints
from local_cloud.sagemaker.jobs import Jobs
from local_cloud.sagemaker.projects import Projects
from local_cloud.sagemaker.registry import ModelRegistry
from local_cloud.sagemaker.runtime import RuntimeApi
from local_cloud.server import HOST

__all__ = ["PARITY", "address", "install"]

PARITY = [
    Parity(
        "SageMaker jobs",
        "exact",
        "Training and processing jobs: folders, configuration files, environment, channels by "
        "prefix or manifest, outputs, exit codes, `output/failure`, `output/message`, maximum "
        "runtime, stop with SIGTERM; inputs, outputs, image and logs with the job's role",
    ),
    Parity(
        "SageMaker jobs",
        "partial",
        "One instance, whatever its type: the machine's CPU, memory and network; with network "
        "isolation the code gets no credentials, but is not cut off; volumes are not encrypted; a "
        "completed job's folder is removed, a failed one's kept in `.local/jobs`",
    ),
    Parity(
        "SageMaker jobs",
        "refused",
        "Several instances, spot, pipe and fast-file mode, compressed channels, checkpoints, "
        "metric definitions, debugger, profiler, experiments, warm pools, dataset definitions, "
        "continuous upload; transform, tuning, AutoML, labelling and compilation jobs; pipelines",
    ),
    Parity(
        "SageMaker model registry",
        "exact",
        "Groups, versions, approval, metrics and metadata; only approved versions become models",
    ),
    Parity(
        "SageMaker model registry",
        "partial",
        "An unapproved version is refused by CreateModel; AWS documents that it cannot be deployed,"
        " not which call says so",
    ),
    Parity(
        "SageMaker model registry",
        "refused",
        "Unversioned packages, several containers, model cards, life cycles, validation",
    ),
    Parity(
        "SageMaker endpoints",
        "exact",
        "Instances of the model's image behind one address; create, update without a lost request, "
        "weights and counts, delete; a failed update leaves the old configuration in service; dead "
        "instances are replaced; InvokeEndpoint with its errors and its limit of 6 MB; metrics by "
        "variant; data capture by share, side and encoding, with the model's role, to S3; scaling",
    ),
    Parity(
        "SageMaker endpoints",
        "partial",
        "All at once after the new instances answer `/ping`; a container that ends before is not "
        "started again; an instance that lives but does not answer is not replaced; "
        "also reachable without the API, at its own loopback address, where nothing is captured; "
        "latencies are told by the millisecond; what was captured is stored each minute, which "
        "shrinks by the factor of all waits, only of requests that the model answered with 2XX",
    ),
    Parity(
        "SageMaker endpoints",
        "refused",
        "Serverless, asynchronous, shadow variants, inference components, "
        "multi-model and multi-container endpoints, deployment guardrails, "
        "InvokeEndpoint for a chosen variant, response streams",
    ),
    Parity(
        "SageMaker projects",
        "exact",
        "Create, update to another version, describe, list, delete; the product must be visible in "
        "Studio, and is launched with the caller's permissions in Service Catalog as "
        "<project>-<project id>, with SageMakerProjectName and SageMakerProjectId and the tags "
        "sagemaker:project-name and sagemaker:project-id",
    ),
    Parity(
        "SageMaker projects",
        "partial",
        "An update keeps every value that it does not give; the name of a deleted project is free",
    ),
    Parity("SageMaker Studio", "partial", "Domains are records with tags: no application runs"),
    Parity("SageMaker projects", "refused", "Template providers: projects from templates in S3"),
]

_installed: Endpoints | None = None


def install(cloud: LocalCloud) -> None:
    """Have SageMaker's operations executed until the cloud stops."""
    backend = sagemaker_backends[cloud.account_id][cloud.region]
    models = ModelRegistry(cloud, backend)
    endpoints = Endpoints(cloud, backend, models)
    jobs = Jobs(cloud, backend.training_jobs, backend.processing_jobs)
    service = Service(backend, jobs, models, endpoints, Projects(cloud))
    # moto makes one object of a class for each request, so what they share hangs on the class.
    api: Any = type("SageMakerApi", (SageMakerApi,), {"service": service})
    runtime: Any = type("RuntimeApi", (RuntimeApi,), {"endpoints": endpoints})
    cloud.replace(moto.sagemaker.urls, "url_paths", {"{0}/$": api.dispatch})
    cloud.replace(
        moto.sagemakerruntime.urls,
        "url_paths",
        dict.fromkeys(moto.sagemakerruntime.urls.url_paths, runtime.dispatch),
    )
    _remember(endpoints)
    cloud.on_stop(lambda: _remember(None))
    cloud.on_stop(endpoints.stop_all)
    cloud.on_stop(jobs.stop_all)


def address(endpoint_name: str) -> str:
    """Address of an endpoint in service, for instance ``http://127.0.0.1:41817``.

    It stays the same for the endpoint's life.

    Raises
    ------
    LocalCloudError
        When no local cloud is started in this process, or the endpoint is not in service.
    """
    port = _installed.port(endpoint_name) if _installed else None
    if port is None:
        raise LocalCloudError(
            "SageMaker",
            f"endpoint {endpoint_name!r} is not in service",
            "an endpoint in service of the local cloud of this process is needed",
        )
    return f"http://{HOST}:{port}"


def _remember(endpoints: Endpoints | None) -> None:
    global _installed  # noqa: PLW0603 - one process holds one local cloud
    _installed = endpoints
