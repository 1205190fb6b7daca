"""Task states: what a state machine calls, with its own role, and how it waits for a job.

Two kinds of integration are here: the AWS SDK (``aws-sdk:<service>:<operation>``) for the services
of the local cloud, and the one that Step Functions has for SageMaker, with ``.sync`` for training,
processing and transform jobs. Names of errors, texts of causes and the case of keys are AWS's, as a
``Catch`` must match in both places.

Sources:
https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html,
https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html,
https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from moto.core.model import OperationModel
from moto.core.utils import get_service_model
from moto.stepfunctions.parser.api import (
    HistoryEventExecutionDataDetails,
    HistoryEventType,
    TaskFailedEventDetails,
    TaskSubmittedEventDetails,
)
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.credentials import (
    StateCredentials,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    Resource,
    ResourceCondition,
    ResourceRuntimePart,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (  # noqa: E501
    StateTaskService,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local_cloud.errors import UnsupportedError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["SERVICE_PRINCIPAL", "check_resource", "job_kind", "task_for"]

SERVICE_PRINCIPAL = "states.amazonaws.com"

#: How often a job is looked at; AWS is told by an event instead.
_POLL_SECONDS = 0.1

#: Service in a resource (the name of the package in the Java SDK, lower case) -> the name in
#: boto3 and the name in errors. https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
_SDK_SERVICES = {
    "cloudformation": ("cloudformation", "CloudFormation"),
    "cloudwatch": ("cloudwatch", "CloudWatch"),
    "cloudwatchlogs": ("logs", "CloudWatchLogs"),
    "ecr": ("ecr", "Ecr"),
    "iam": ("iam", "Iam"),
    "kms": ("kms", "Kms"),
    "s3": ("s3", "S3"),
    "sagemaker": ("sagemaker", "SageMaker"),
    "sagemakerruntime": ("sagemaker-runtime", "SageMakerRuntime"),
    "sfn": ("stepfunctions", "Sfn"),
    "ssm": ("ssm", "Ssm"),
    "sts": ("sts", "Sts"),
}
_SAGEMAKER_OPERATIONS = frozenset(
    {"createEndpoint", "createEndpointConfig", "createModel", "updateEndpoint"}
)
#: Operations with ``.sync``, and the kind of job that they start.
_SAGEMAKER_JOBS = {
    "createProcessingJob": "ProcessingJob",
    "createTrainingJob": "TrainingJob",
    "createTransformJob": "TransformJob",
}
#: What Step Functions puts on a job that it waits for; therefore a role needs sagemaker:AddTags.
_MANAGED_TAG = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


def task_for(resource: Resource, cloud: LocalCloud) -> StateTaskService:
    """The task state of a resource that :func:`check_resource` has let through."""
    kind = _SdkTask if resource.service_name == "aws-sdk" else _SageMakerTask
    return kind(cloud)


def check_resource(resource_arn: str, where: str) -> None:
    """Return when a task state can call this resource here.

    Parameters
    ----------
    resource_arn
        ``Resource`` of the state.
    where
        Name of the state, for the message.

    Raises
    ------
    UnsupportedError
        When it is an integration, an operation or a pattern that is not here, or nowhere.
    """
    found = _RESOURCE.fullmatch(resource_arn)
    if found is None or not _is_known(**found.groupdict()):
        raise UnsupportedError(
            f"State {where!r}",
            f"Resource {resource_arn!r}",
            "an operation of aws-sdk:{"
            + ",".join(_SDK_SERVICES)
            + "}, or sagemaker:{"
            + ",".join(sorted({*_SAGEMAKER_OPERATIONS, *_SAGEMAKER_JOBS}))
            + "} with .sync for jobs, is part of the local cloud",
            "See docs/parity.md",
        )


def job_kind(resource_arn: str) -> str | None:
    """Kind of the job that a resource starts and waits for, for instance ``TrainingJob``."""
    found = _RESOURCE.fullmatch(resource_arn)
    if found is None or found["pattern"] != "sync":
        return None
    return _SAGEMAKER_JOBS.get(found["operation"])


_RESOURCE = re.compile(
    r"arn:aws:states:::((?P<sdk>aws-sdk):)?(?P<service>[a-z0-9]+):(?P<operation>[A-Za-z0-9]+)"
    r"(\.(?P<pattern>.+))?"
)


def _is_known(sdk: str | None, service: str, operation: str, pattern: str | None) -> bool:
    if sdk is not None:
        if pattern is not None or service not in _SDK_SERVICES:
            return False
        model = get_service_model(_SDK_SERVICES[service][0])
        return _upper_first(operation) in model.operation_names
    if service != "sagemaker" or pattern not in {None, "sync"}:
        return False
    return operation in _SAGEMAKER_JOBS or (pattern is None and operation in _SAGEMAKER_OPERATIONS)


class _Task(StateTaskService):  # type: ignore[misc]
    """One call of one operation with the role of the state machine."""

    def __init__(self, cloud: LocalCloud) -> None:
        super().__init__()
        self._cloud = cloud

    def _service_names(self) -> tuple[str, str]:
        """Name in boto3 and name in errors."""
        raise NotImplementedError

    def _error_name(self, error: ClientError, operation: OperationModel) -> str:
        """Name that Retry and Catch see."""
        raise NotImplementedError

    def _cause(self, error: ClientError) -> str:
        """Text that goes with the name."""
        raise NotImplementedError

    def _time(self, moment: dt.datetime) -> Any:
        """How a time is written in the task's output."""
        raise NotImplementedError

    def _validate_service_integration_is_supported(self) -> None:
        """Nothing: `check_resource` has done it, with a better message."""

    def _operation(self) -> OperationModel:
        name = _upper_first(self.resource.api_action)
        return get_service_model(self._service_names()[0]).operation_model(name)

    def _eval_service_task(
        self,
        env: Environment,
        resource_runtime_part: ResourceRuntimePart,  # noqa: ARG002 - there is one region
        normalised_parameters: dict[str, Any],
        state_credentials: StateCredentials,
    ) -> None:
        operation = self._operation()
        client = self._client(env, state_credentials)
        parameters = _to_boto(normalised_parameters, operation.input_shape, "Parameters")
        response = getattr(client, xform_name(operation.name))(**parameters)
        metadata = response.pop("ResponseMetadata", {})
        output = _from_boto(response, operation.output_shape, self._time)
        env.stack.append({**output, **self._metadata(metadata)})

    def _metadata(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def _client(self, env: Environment, state_credentials: StateCredentials) -> Any:
        state_machine = env.states.context_object.context_object_data["StateMachine"]
        return self._cloud.client(
            self._service_names()[0],
            role_arn=state_credentials.role_arn,
            service_principal=SERVICE_PRINCIPAL,
            source_arn=state_machine["Id"],
        )

    def _from_error(self, env: Environment, ex: Exception) -> FailureEvent:
        if isinstance(ex, ClientError):
            name = self._error_name(ex, self._operation())
            return self._failure(env, CustomErrorName(name), name, self._cause(ex))
        return super()._from_error(env=env, ex=ex)

    def _failure(
        self, env: Environment, error_name: ErrorName, error: str, cause: str
    ) -> FailureEvent:
        details = TaskFailedEventDetails(
            error=error,
            cause=cause,
            resource=self._get_sfn_resource(),
            resourceType=self._get_sfn_resource_type(),
        )
        return FailureEvent(
            env=env,
            error_name=error_name,
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )


class _SdkTask(_Task):
    """``arn:aws:states:::aws-sdk:<service>:<operation>``."""

    def _service_names(self) -> tuple[str, str]:
        return _SDK_SERVICES[self.resource.api_name]

    def _get_sfn_resource_type(self) -> str:
        return f"{self.resource.service_name}:{self.resource.api_name}"

    def _error_name(self, error: ClientError, operation: OperationModel) -> str:
        prefix = self._service_names()[1]
        shape = _modelled(error, operation)
        name = prefix if shape is None else shape
        return f"{prefix}.{name.removesuffix('Exception')}Exception"

    def _cause(self, error: ClientError) -> str:
        metadata = error.response.get("ResponseMetadata", {})
        return (
            f"{error.response['Error'].get('Message', '')} (Service: {self._service_names()[1]}, "
            f"Status Code: {metadata.get('HTTPStatusCode')}, "
            f"Request ID: {metadata.get('RequestId')})"
        )

    def _time(self, moment: dt.datetime) -> str:
        return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _SageMakerTask(_Task):
    """``arn:aws:states:::sagemaker:<operation>``, with ``.sync`` for jobs."""

    def _service_names(self) -> tuple[str, str]:
        return "sagemaker", "SageMaker"

    @property
    def _waits(self) -> bool:
        return bool(self.resource.condition == ResourceCondition.Sync)

    def _get_sfn_resource(self) -> str:
        return f"{self.resource.api_action}{'.sync' if self._waits else ''}"

    def _error_name(self, error: ClientError, operation: OperationModel) -> str:
        shape = _modelled(error, operation)
        name = "AmazonSageMaker" if shape is None else shape
        return f"SageMaker.{name.removesuffix('Exception')}Exception"

    def _cause(self, error: ClientError) -> str:
        metadata = error.response.get("ResponseMetadata", {})
        return (
            f"{error.response['Error'].get('Message', '')} (Service: AmazonSageMaker; "
            f"Status Code: {metadata.get('HTTPStatusCode')}; "
            f"Error Code: {error.response['Error'].get('Code')}; "
            f"Request ID: {metadata.get('RequestId')}; Proxy: null)"
        )

    def _time(self, moment: dt.datetime) -> int:
        return int(moment.timestamp() * 1000)

    def _metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "SdkHttpMetadata": {
                "HttpHeaders": dict(metadata.get("HTTPHeaders", {})),
                "HttpStatusCode": metadata.get("HTTPStatusCode"),
            },
            "SdkResponseMetadata": {"RequestId": metadata.get("RequestId")},
        }

    def _eval_parameters(self, env: Environment) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._eval_parameters(env)
        if self._waits:
            parameters = {**parameters, "Tags": [*parameters.get("Tags", []), _MANAGED_TAG]}
        return parameters

    def _after_eval_execution(
        self,
        env: Environment,
        resource_runtime_part: ResourceRuntimePart,
        normalised_parameters: dict[str, Any],
        state_credentials: StateCredentials,
    ) -> None:
        if self._waits:
            self._note_submitted(env, env.stack.pop())
            job = _Job.of(
                _SAGEMAKER_JOBS[self.resource.api_action],
                self._client(env, state_credentials),
                normalised_parameters,
            )
            description = self._wait(env, job)
            env.stack.append(description)
            if description is None:  # stopped or timed out: nobody reads it, nothing succeeded
                return
        super()._after_eval_execution(
            env, resource_runtime_part, normalised_parameters, state_credentials
        )

    def _note_submitted(self, env: Environment, output: Mapping[str, Any]) -> None:
        details = TaskSubmittedEventDetails(
            resource=self._get_sfn_resource(),
            resourceType=self._get_sfn_resource_type(),
            output=_to_json(output),
            outputDetails=HistoryEventExecutionDataDetails(truncated=False),
        )
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=HistoryEventType.TaskSubmitted,
            event_details=EventDetails(taskSubmittedEventDetails=details),
        )

    def _wait(self, env: Environment, job: _Job) -> dict[str, Any] | None:
        """Description of the completed job; ``None`` when the job was stopped with its state."""
        while env.is_running():
            description = job.describe()
            status = description[job.status_key]
            if status in {"Completed", "Failed", "Stopped"}:
                return self._outcome(env, job, status, description)
            env.program_state_event.wait(_POLL_SECONDS)
        job.stop()
        return None

    def _outcome(
        self, env: Environment, job: _Job, status: str, description: dict[str, Any]
    ) -> dict[str, Any]:
        output: dict[str, Any] = _from_boto(description, job.description_shape, self._time)
        if status == "Completed":
            return output
        failed = StatesErrorNameType.StatesTaskFailed
        raise FailureEventException(
            self._failure(env, StatesErrorName(typ=failed), failed.to_name(), _to_json(output))
        )


@dataclass(frozen=True)
class _Job:
    """One SageMaker job that a state waits for."""

    kind: str
    client: Any
    name: str

    @classmethod
    def of(cls, kind: str, client: Any, parameters: Mapping[str, Any]) -> _Job:
        return cls(kind, client, parameters[f"{kind}Name"])

    @property
    def status_key(self) -> str:
        return f"{self.kind}Status"

    @property
    def description_shape(self) -> Any:
        return get_service_model("sagemaker").operation_model(f"Describe{self.kind}").output_shape

    def describe(self) -> dict[str, Any]:
        description: dict[str, Any] = self._call("Describe")
        description.pop("ResponseMetadata", None)
        return description

    def stop(self) -> None:
        """Ask for the job's end; it may have ended by itself, or the role may not stop it."""
        try:
            self._call("Stop")
        except ClientError:
            return

    def _call(self, verb: str) -> Any:
        method = getattr(self.client, xform_name(f"{verb}{self.kind}"))
        return method(**{f"{self.kind}Name": self.name})


# ------------------------------------------------------------------------------ values


def _upper_first(name: str) -> str:
    return name[:1].upper() + name[1:]


def _modelled(error: ClientError, operation: OperationModel) -> str | None:
    """Name of the error's shape, when the operation's model has it; others are one base error."""
    code = error.response["Error"].get("Code")
    for shape in operation.error_shapes:
        if code in {shape.name, shape.metadata.get("error", {}).get("code")}:
            name: str = shape.name
            return name
    return None


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _to_boto(value: Any, shape: Any, where: str) -> Any:
    """Parameters with the names that boto3 has; a field that does not exist is refused."""
    if shape is None:
        return {}
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = {_upper_first(name): name for name in shape.members}
        unknown = [name for name in value if _upper_first(name) not in members]
        if unknown:
            raise ValueError(
                f"The field {unknown[0]!r} in {where!r} is not supported by Step Functions"
            )
        return {
            members[_upper_first(name)]: _to_boto(
                item, shape.members[members[_upper_first(name)]], f"{where}.{name}"
            )
            for name, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_to_boto(item, shape.member, where) for item in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: _to_boto(item, shape.value, where) for key, item in value.items()}
    if shape.type_name == "blob":
        return _to_json(value).encode()
    return value


def _from_boto(value: Any, shape: Any, time: Callable[[dt.datetime], Any]) -> Any:
    """A response as JSON, with the names that Step Functions has."""
    if isinstance(value, StreamingBody):
        return value.read().decode()
    if isinstance(value, dt.datetime):
        return time(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        members = shape.members if shape is not None and shape.type_name == "structure" else None
        return {
            key if members is None else _upper_first(key): _from_boto(
                item, shape.value if members is None else members.get(key), time
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_from_boto(item, shape.member, time) for item in value]
    return value
