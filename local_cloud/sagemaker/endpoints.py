"""Endpoints: real containers behind a load balancer, created, updated and deleted as on AWS.

Each endpoint has one thread that does one thing at a time: deploy a configuration, change counts
and weights, replace what died, end. An operation of the API sets the status and leaves the rest.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import SageMakerModelBackend

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.sagemaker import capture
from local_cloud.sagemaker.balancer import Balancer, Upstream
from local_cloud.sagemaker.capture import Capture
from local_cloud.sagemaker.instances import Instance, Unhealthy, Variant
from local_cloud.sagemaker.parameters import ANY, Parameters, only
from local_cloud.sagemaker.registry import ModelRegistry
from local_cloud.sagemaker.storage import Storage, StorageError

__all__ = ["ACCEPTED", "Endpoint", "EndpointConfig", "Endpoints"]

#: What each operation honours.
ACCEPTED: dict[str, dict[str, Any]] = {
    "CreateEndpointConfig": {
        "EndpointConfigName": ANY,
        "ProductionVariants": {
            "VariantName": ANY,
            "ModelName": ANY,
            "InitialInstanceCount": ANY,
            "InstanceType": ANY,
            "InitialVariantWeight": ANY,
            "VolumeSizeInGB": ANY,
            "ModelDataDownloadTimeoutInSeconds": ANY,
            "ContainerStartupHealthCheckTimeoutInSeconds": ANY,
            "EnableSSMAccess": only(False),
        },
        "DataCaptureConfig": {
            "EnableCapture": ANY,
            "InitialSamplingPercentage": ANY,
            "DestinationS3Uri": ANY,
            "KmsKeyId": ANY,
            "CaptureOptions": {"CaptureMode": ANY},
            "CaptureContentTypeHeader": ANY,
        },
        "KmsKeyId": ANY,
        "Tags": ANY,
    },
    "DescribeEndpointConfig": {"EndpointConfigName": ANY},
    "DeleteEndpointConfig": {"EndpointConfigName": ANY},
    "CreateEndpoint": {"EndpointName": ANY, "EndpointConfigName": ANY, "Tags": ANY},
    "UpdateEndpoint": {
        "EndpointName": ANY,
        "EndpointConfigName": ANY,
        "RetainAllVariantProperties": only(False),
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": only("ALL_AT_ONCE"),
                    "WaitIntervalInSeconds": only(0),
                },
                "TerminationWaitInSeconds": only(0),
                "MaximumExecutionTimeoutInSeconds": ANY,
            },
        },
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": ANY,
        "DesiredWeightsAndCapacities": {
            "VariantName": ANY,
            "DesiredWeight": ANY,
            "DesiredInstanceCount": ANY,
        },
    },
    "DescribeEndpoint": {"EndpointName": ANY},
    "DeleteEndpoint": {"EndpointName": ANY},
}

#: AWS gives a container eight minutes when the variant does not say otherwise.
_STARTUP_SECONDS = 480.0
#: What of that remains when waits are shortened: a process starts no faster.
_LEAST_STARTUP_SECONDS = 30.0
#: AWS' default for MaximumExecutionTimeoutInSeconds of an update: none; longer than any start.
_UNLIMITED_SECONDS = float("inf")
#: How often an endpoint looks after its instances.
_LOOK_SECONDS = 0.1
#: Wait before an instance that died at once is started again; doubled each time.
_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 30.0
#: How long the local cloud waits for an endpoint's end before it ends the processes itself.
_END_SECONDS = 20.0
_REASON_LENGTH = 1024


class EndpointConfig:
    """An endpoint configuration; it never changes.

    Attributes that are named as moto names them are read by its List and tag operations.
    """

    def __init__(self, arn: str, request: Parameters) -> None:
        self.endpoint_config_name: str = request["EndpointConfigName"]
        self.arn = arn
        self.request = request
        self.tags = list(request.get("Tags", []))
        self.creation_time = utcnow()

    def summary(self) -> dict[str, Any]:
        """Entry of ListEndpointConfigs."""
        return {
            "EndpointConfigName": self.endpoint_config_name,
            "EndpointConfigArn": self.arn,
            "CreationTime": self.creation_time,
        }

    def describe(self) -> dict[str, Any]:
        """Answer of DescribeEndpointConfig."""
        request = {name: value for name, value in self.request.items() if name != "Tags"}
        return {**request, **self.summary()}


class Endpoint:
    """One endpoint, from its creation to its end.

    Attributes that are named as moto names them are read by its List and tag operations.

    Parameters
    ----------
    cloud
        The account.
    name, arn, tags
        What the request says.
    models
        Where its models are.
    forget
        Called when it is gone.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        *,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        models: ModelRegistry,
        forget: Callable[[Endpoint], object],
    ) -> None:
        self.endpoint_name = name
        self.arn = arn
        self.tags = tags
        self.endpoint_status = "Creating"
        self.creation_time = self.last_modified_time = utcnow()
        self.capture: Capture | None = None
        self._failure_reason = ""
        self._config_name = ""
        self._capture_config: Mapping[str, Any] = {}
        self._variants: dict[str, Variant] = {}
        self._instances: list[Instance] = []
        self._lock = threading.Lock()
        self._cloud = cloud
        self._models = models
        self._forget = forget
        self._place = cloud.root / "endpoints" / name
        self._deployment = self._place / "none"
        self._ending = threading.Event()
        self._balancer = Balancer(cloud, name, self._place / "balancer", self._ending)
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"endpoint {name}", daemon=True)

    @property
    def port(self) -> int | None:
        """Port of its load balancer while it takes requests, else ``None``."""
        serving = self.endpoint_status in {"InService", "Updating"}
        return self._balancer.port if serving else None

    # ---------------------------------------------------------------- operations

    def create(self, config: EndpointConfig) -> None:
        """Begin to deploy the first configuration."""
        self._config_name = config.endpoint_config_name
        self._work.put(lambda: self._change(lambda: self._deploy(config), otherwise="Failed"))
        self._thread.start()

    def update(self, config: EndpointConfig, limit_seconds: float = _UNLIMITED_SECONDS) -> None:
        """Begin to deploy another configuration; the old one serves until then.

        `limit_seconds` is how long the new containers may take to answer at the most.
        """
        self._begin_update()
        self._work.put(
            lambda: self._change(lambda: self._deploy(config, limit_seconds), otherwise="InService")
        )

    def resize(self, wishes: Sequence[Mapping[str, Any]]) -> None:
        """Begin to change the weights and instance counts of variants."""
        names = [wish["VariantName"] for wish in wishes]
        if len(set(names)) < len(names) or not set(names) <= self._variants.keys():
            raise ValidationError(
                f"The variant name(s) {names} must be distinct, and present within endpoint "
                f"{self.endpoint_name}, which has {sorted(self._variants)}."
            )
        self._begin_update()
        self._work.put(lambda: self._change(lambda: self._resize(wishes), otherwise="InService"))

    def delete(self) -> None:
        """Begin to end; an update is not interrupted."""
        with self._lock:
            if self.endpoint_status == "Updating":
                raise ValidationError(f'Cannot delete in-progress endpoint "{self.arn}".')
            self._set_status("Deleting")
        self._ending.set()

    def end(self) -> None:
        """Begin to end, whatever happens, because the local cloud stops."""
        self._ending.set()

    def wait(self) -> None:
        """Wait until everything of it has ended."""
        self._thread.join(_END_SECONDS)

    def summary(self) -> dict[str, Any]:
        """Entry of ListEndpoints."""
        return {
            "EndpointName": self.endpoint_name,
            "EndpointArn": self.arn,
            "CreationTime": self.creation_time,
            "LastModifiedTime": self.last_modified_time,
            "EndpointStatus": self.endpoint_status,
        }

    def describe(self) -> dict[str, Any]:
        """Answer of DescribeEndpoint."""
        with self._lock:
            counts = Counter(instance.variant.name for instance in self._instances)
            description = {**self.summary(), "EndpointConfigName": self._config_name}
            if self._variants:
                description["ProductionVariants"] = [
                    _describe_variant(variant, counts[variant.name])
                    for variant in self._variants.values()
                ]
            if self._capture_config:
                description["DataCaptureConfig"] = capture.describe(self._capture_config)
            if self._failure_reason:
                description["FailureReason"] = self._failure_reason
        return description

    def _begin_update(self) -> None:
        with self._lock:
            if self.endpoint_status != "InService":
                raise ValidationError(
                    f'Cannot update in-progress endpoint "{self.arn}": its status is '
                    f"{self.endpoint_status}."
                )
            self._failure_reason = ""
            self._set_status("Updating")

    def _set_status(self, status: str) -> None:
        self.endpoint_status = status
        self.last_modified_time = utcnow()

    # ---------------------------------------------------------------- the endpoint's thread

    def _run(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)  # of an earlier life of this folder
        while not self._ending.is_set():
            try:
                work = self._work.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                work = self._look_after_instances
            work()
        _stop(self._instances)
        self._balancer.stop()
        self._capture_with({})
        shutil.rmtree(self._place, ignore_errors=True)
        self._forget(self)

    def _change(self, change: Callable[[], None], *, otherwise: str) -> None:
        """Make a change; whatever goes wrong in it, a status with the reason is the end of it."""
        status, reason = "InService", ""
        try:
            change()
        except Exception as error:
            status, reason = otherwise, _reason(error)
        with self._lock:
            if self.endpoint_status != "Deleting":
                self._failure_reason = reason[:_REASON_LENGTH]
                self._set_status(status)

    def _deploy(self, config: EndpointConfig, limit_seconds: float = _UNLIMITED_SECONDS) -> None:
        """Start a configuration's instances, switch to them, stop those that served before."""
        folder = self._place / f"deployment-{time.time_ns()}"
        try:
            entries = config.request["ProductionVariants"]
            variants = [self._variant(entry, folder, limit_seconds) for entry in entries]
            self._switch(
                variants, [_ for variant in variants for _ in [variant] * variant.count], [], folder
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(self._deployment, ignore_errors=True)
        self._deployment = folder
        self._capture_with(config.request.get("DataCaptureConfig", {}))
        with self._lock:
            self._config_name = config.endpoint_config_name

    def _capture_with(self, config: Mapping[str, Any]) -> None:
        """Capture as a configuration says, from now on; what was gathered is stored."""
        before = self.capture
        roles = {variant.name: variant.model.role for variant in self._variants.values()}
        folder = self._place / "capture"
        name = self.endpoint_name
        self.capture = Capture(self._cloud, name, config, roles, folder) if config else None
        self._capture_config = config
        if before is not None:
            before.store()

    def _variant(self, entry: Mapping[str, Any], folder: Path, limit_seconds: float) -> Variant:
        model = self._models.served(entry["ModelName"])
        archive = None
        if model.model_data_url:
            archive = folder / entry["VariantName"] / "model.tar.gz"
            Storage(model.role).download_file(model.model_data_url, archive)
        asked = entry.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_SECONDS)
        least = min(asked, _LEAST_STARTUP_SECONDS)
        startup_seconds = max(asked * self._cloud.wait_factor, least)
        return Variant(
            entry["VariantName"],
            model,
            archive,
            entry["InitialInstanceCount"],
            entry.get("InitialVariantWeight", 1.0),
            min(startup_seconds, limit_seconds),
        )

    def _resize(self, wishes: Sequence[Mapping[str, Any]]) -> None:
        variants = dict(self._variants)
        for wish in wishes:
            variant = variants[wish["VariantName"]]
            variants[variant.name] = replace(
                variant,
                count=wish.get("DesiredInstanceCount", variant.count),
                weight=wish.get("DesiredWeight", variant.weight),
            )
        kept: list[Instance] = []
        added: list[Variant] = []
        for variant in variants.values():
            serving = [_ for _ in self._instances if _.variant.name == variant.name]
            kept += serving[: variant.count]
            added += [variant] * (variant.count - len(serving))
        self._switch(list(variants.values()), added, kept, self._deployment)

    def _look_after_instances(self) -> None:
        """Replace what has died; what dies again at once is given more and more time."""
        alive = [instance for instance in self._instances if instance.alive]
        healthy = len(alive) == len(self._instances)
        balanced = self._balancer.alive or not self._instances
        if (healthy and balanced) or time.monotonic() < self._retry_at:
            return
        dead = [self._variants[_.variant.name] for _ in self._instances if _ not in alive]
        try:
            self._switch(list(self._variants.values()), dead, alive, self._deployment)
            self._retry_seconds = _FIRST_RETRY_SECONDS
        except Exception:  # the others serve; its log says why it died, and it is tried again
            self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
        self._retry_at = time.monotonic() + self._retry_seconds

    def _switch(
        self,
        variants: Sequence[Variant],
        added: Sequence[Variant],
        kept: Sequence[Instance],
        folder: Path,
    ) -> None:
        """Start an instance for each entry of `added`, serve from these and `kept`, stop the rest.

        When it fails, everything is as before.
        """
        new = [Instance(self._cloud, self.endpoint_name, _, folder) for _ in added]
        serving = [*kept, *new]
        try:
            for instance in new:
                instance.start()
            for instance in new:
                instance.wait_until_healthy(self._ending)
            self._balancer.serve(_upstreams(variants, serving))
        except BaseException:
            _stop(new)
            raise
        with self._lock:
            superseded = [instance for instance in self._instances if instance not in kept]
            self._instances = serving
            self._variants = {variant.name: variant for variant in variants}
        _stop(superseded)


class Endpoints:
    """The endpoints and endpoint configurations of the account.

    Parameters
    ----------
    cloud
        The account.
    backend
        moto's, whose List and tag operations look for them.
    models
        The account's models.
    """

    def __init__(
        self, cloud: LocalCloud, backend: SageMakerModelBackend, models: ModelRegistry
    ) -> None:
        self.region = cloud.region
        self.account_id = cloud.account_id
        self._cloud = cloud
        self._models = models
        self._lock = threading.Lock()
        self._closed = False
        self._configs: dict[str, EndpointConfig] = backend.endpoint_configs
        self._endpoints: dict[str, Endpoint] = backend.endpoints

    def create_config(self, request: Parameters) -> dict[str, str]:
        """Keep a configuration whose models exist."""
        name = request["EndpointConfigName"]
        arn = self._arn("endpoint-config", name)
        variants = request["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise ValidationError(f"Production variants must have distinct names, got {names}.")
        for variant in variants:
            for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
                if member not in variant:
                    raise ValidationError(
                        f"Production variant {variant['VariantName']} needs {member}."
                    )
            self._models.describe_model(variant["ModelName"])
        if not any(variant.get("InitialVariantWeight", 1.0) for variant in variants):
            raise ValidationError("The weights of the production variants must not all be 0.")
        with self._lock:
            if name in self._configs:
                raise ValidationError(
                    f'Cannot create already existing endpoint configuration "{arn}".'
                )
            self._configs[name] = EndpointConfig(arn, request)
        return {"EndpointConfigArn": arn}

    def describe_config(self, name: str) -> dict[str, Any]:
        """Answer of DescribeEndpointConfig."""
        return self._config(name).describe()

    def delete_config(self, name: str) -> None:
        """Forget a configuration; endpoints that have it go on, as on AWS."""
        self._config(name)
        del self._configs[name]

    def create(self, request: Parameters) -> dict[str, str]:
        """Begin to create an endpoint."""
        name = request["EndpointName"]
        arn = self._arn("endpoint", name)
        config = self._config(request["EndpointConfigName"])
        tags = list(request.get("Tags", []))
        with self._lock:
            if self._closed:
                raise ValidationError("The local cloud is stopping.")
            if name in self._endpoints:
                raise ValidationError(f'Cannot create already existing endpoint "{arn}".')
            endpoint = Endpoint(
                self._cloud,
                name=name,
                arn=arn,
                tags=tags,
                models=self._models,
                forget=self._forget,
            )
            self._endpoints[name] = endpoint
            endpoint.create(config)
        return {"EndpointArn": arn}

    def update(self, request: Parameters) -> dict[str, str]:
        """Begin to update an endpoint to another configuration."""
        endpoint = self._endpoint(request["EndpointName"])
        policy = request.get("DeploymentConfig", {}).get("BlueGreenUpdatePolicy", {})
        limit_seconds = policy.get("MaximumExecutionTimeoutInSeconds", _UNLIMITED_SECONDS)
        endpoint.update(self._config(request["EndpointConfigName"]), limit_seconds)
        return {"EndpointArn": endpoint.arn}

    def resize(self, request: Parameters) -> dict[str, str]:
        """Begin to change weights and instance counts."""
        endpoint = self._endpoint(request["EndpointName"])
        endpoint.resize(request["DesiredWeightsAndCapacities"])
        return {"EndpointArn": endpoint.arn}

    def describe(self, name: str) -> dict[str, Any]:
        """Answer of DescribeEndpoint."""
        return self._endpoint(name).describe()

    def delete(self, name: str) -> None:
        """Begin to delete an endpoint."""
        self._endpoint(name).delete()

    def port(self, name: str) -> int | None:
        """Port of an endpoint that takes requests; ``None`` when there is none."""
        endpoint = self._endpoints.get(name)
        return endpoint.port if endpoint else None

    def capture(self, name: str) -> Capture | None:
        """What captures the requests of an endpoint; ``None`` when nothing does."""
        endpoint = self._endpoints.get(name)
        return endpoint.capture if endpoint else None

    def stop_all(self) -> None:
        """End every endpoint and wait."""
        with self._lock:
            self._closed = True
            endpoints = list(self._endpoints.values())
        for endpoint in endpoints:
            endpoint.end()
        for endpoint in endpoints:
            endpoint.wait()

    def _forget(self, endpoint: Endpoint) -> None:
        self._endpoints.pop(endpoint.endpoint_name, None)

    def _config(self, name: str) -> EndpointConfig:
        if name not in self._configs:
            arn = self._arn("endpoint-config", name)
            raise ValidationError(f'Could not find endpoint configuration "{arn}".')
        return self._configs[name]

    def _endpoint(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise ValidationError(f'Could not find endpoint "{self._arn("endpoint", name)}".')
        return self._endpoints[name]

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{kind}/{name.lower()}"


def _describe_variant(variant: Variant, count: int) -> dict[str, Any]:
    uri = variant.model.image_uri
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": uri, "ResolvedImage": uri}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": variant.count,
    }


def _upstreams(variants: Sequence[Variant], instances: Sequence[Instance]) -> list[Upstream]:
    """Each instance with its part of its variant's weight; variants of weight 0 get no request."""
    counts = Counter(instance.variant.name for instance in instances)
    weights = {variant.name: variant.weight for variant in variants}
    return [
        Upstream(instance.port, name, weights[name] / counts[name])
        for instance in instances
        if weights[name := instance.variant.name] > 0
    ]


def _stop(instances: Sequence[Instance]) -> None:
    """Stop instances at the same time: each may take its grace."""
    if instances:
        with ThreadPoolExecutor(max_workers=len(instances)) as pool:
            list(pool.map(Instance.stop, instances))


def _reason(error: Exception) -> str:
    if isinstance(error, Unhealthy | LocalCloudError):
        return str(error)
    if isinstance(error, StorageError):
        return f"Failed to download model data. {error}"
    if isinstance(error, ValidationError):
        return str(error.message)
    if isinstance(error, OSError):
        return f"InternalServerError: {error.filename or 'this machine'}: {error.strerror or error}"
    return f"InternalServerError: {type(error).__name__}: {error}"
