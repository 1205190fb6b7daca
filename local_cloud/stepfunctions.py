"""Step Functions: moto's interpreter of the Amazon States Language, made to behave as AWS does.

What is replaced here, each for a reason that stands beside it: what a task state can call and with
which role (:mod:`local_cloud.tasks`), how long a wait lasts, what stopping an execution does, what
is checked before a state machine is created, and where its log goes. Everything else is moto's.

Sources:
https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html,
https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import logs_backends
from moto.stepfunctions.exceptions import AWSError
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import (
    JitterStrategyDecl,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ServiceResource,
)
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import (
    WaitFunction,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.logging import is_logging_enabled_for
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)
from moto.stepfunctions.parser.utils import TMP_THREADS
from moto.stepfunctions.responses import StepFunctionResponse

from local_cloud.actions import Need
from local_cloud.errors import TrustError, UnsupportedError
from local_cloud.iam import Account, DeniedError
from local_cloud.parity import Parity
from local_cloud.tasks import SERVICE_PRINCIPAL, check_resource, job_kind, task_for

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "Step Functions",
        "exact",
        "Amazon States Language with JSONPath: Pass, Choice, Wait, Fail, Succeed, Parallel, inline"
        " Map, Task with Retry, Catch and timeouts; intrinsic functions; sagemaker: with .sync for"
        " training, processing and transform jobs; aws-sdk: for the services here; every call with"
        " the role of the state machine; names of errors; history; stopping; log groups",
    ),
    Parity(
        "Step Functions",
        "partial",
        "Wait states and the delays of Retry shrink by one factor; a job is polled ten times a"
        " second instead of reported by an event",
    ),
    Parity(
        "Step Functions",
        "refused",
        "JSONata, Express workflows, distributed Map, activities, Lambda and the other optimized"
        " integrations, waitForTaskToken, Credentials of a task",
    ),
]

#: Longest sleep between two looks at whether an execution still runs.
_LOOK_SECONDS = 0.5
#: How long an execution may take to notice that it is stopped.
_STOP_SECONDS = 10.0


def install(cloud: LocalCloud) -> None:
    """Make moto's Step Functions that of `cloud`, until it stops."""
    cloud.replace(preprocessor, "state_task_for", lambda resource: _task_for(resource, cloud))
    _refuse_other_clients(cloud)
    _shrink_waits(cloud, cloud.wait_factor)
    _keep_the_end(cloud)
    _tell_results(cloud)
    _name_executions(cloud)
    _check_before_creation(cloud)
    _write_logs(cloud)
    cloud.on_stop(lambda: _stop_all(cloud))


def _task_for(resource: Any, cloud: LocalCloud) -> Any:
    if not isinstance(resource, ServiceResource):
        raise UnsupportedError("Step Functions", f"resource {resource}", "a service is needed")
    return task_for(resource, cloud)


def _refuse_other_clients(cloud: LocalCloud) -> None:
    """No part of moto's interpreter calls anything with keys of its own ("ak", "sk")."""
    for module in list(sys.modules.values()):
        if module.__name__.startswith("moto.stepfunctions") and "boto_client_for" in vars(module):
            cloud.replace(module, "boto_client_for", _refuse_client)


def _refuse_client(*_: Any, service: str = "", **__: Any) -> Any:
    raise UnsupportedError(
        "Step Functions", f"a call of {service!r} outside a task state", "a task state is needed"
    )


# ------------------------------------------------------------------------------ waiting


def _shrink_waits(cloud: LocalCloud, factor: float) -> None:
    def wait_interval(_: Any, env: Environment, wait_seconds: float) -> None:
        _sleep(env, wait_seconds * factor)

    def eval_jitter(self: JitterStrategyDecl, env: Environment) -> None:
        original(self, env)
        _sleep(env, env.stack.pop() * factor)
        env.stack.append(0)  # what moto would sleep, deaf to the end of the execution

    cloud.replace(WaitFunction, "_wait_interval", wait_interval)
    original = cloud.replace(JitterStrategyDecl, "_eval_body", eval_jitter)


def _sleep(env: Environment, seconds: float) -> None:
    """Sleep as long as the execution runs."""
    deadline = time.monotonic() + seconds
    while env.is_running() and (left := deadline - time.monotonic()) > 0:
        env.program_state_event.wait(min(left, _LOOK_SECONDS))


# ------------------------------------------------------------------------------ the end


def _keep_the_end(cloud: LocalCloud) -> None:
    """A stopped execution is ABORTED with the given error and cause, whatever breaks meanwhile."""

    def set_error(self: Environment, error: Any) -> None:
        if not isinstance(self.program_state(), ProgramStopped | ProgramTimedOut):
            original_set_error(self, error)

    def stop_execution(self: StepFunctionResponse) -> Any:
        answer = original_stop(self)
        backend = self.stepfunction_backend
        execution = backend.describe_execution(self._get_param("executionArn"))
        execution.error = self._get_param("error")
        execution.cause = self._get_param("cause")
        _wait_until(lambda: execution.status != "RUNNING")
        answer.result["stopDate"] = execution.stop_date
        return answer

    def stop(self: Execution, stop_date: Any, error: str | None, cause: str | None) -> None:
        # An execution that was started a moment ago has no environment that could be stopped.
        _wait_until(lambda: self.status != "RUNNING" or _is_under_way(self))
        if self.status == "RUNNING":
            original_execution_stop(self, stop_date, error, cause)

    original_set_error = cloud.replace(Environment, "set_error", set_error)
    original_stop = cloud.replace(StepFunctionResponse, "stop_execution", stop_execution)
    original_execution_stop = cloud.replace(Execution, "stop", stop)


def _tell_results(cloud: LocalCloud) -> None:
    """What an execution returns is JSON, a text too; errors have their names."""

    def describe_execution(self: StepFunctionResponse) -> Any:
        answer = original(self)
        if answer.result["status"] == "SUCCEEDED":
            execution = self.stepfunction_backend.describe_execution(answer.result["executionArn"])
            answer.result["output"] = json.dumps(execution.output, separators=(",", ":"))
        return answer

    original = cloud.replace(StepFunctionResponse, "describe_execution", describe_execution)
    # moto's interpreter raises errors whose code does not reach the answer.
    for error in AWSError.__subclasses__():
        if error.__module__ == api.__name__:
            cloud.replace(error, "TYPE", error.code)
    # moto refuses names that begin with "States." also where a Fail state passes one on.
    cloud.replace(state_fail, "CustomErrorName", ErrorName)


def _name_executions(cloud: LocalCloud) -> None:
    """An execution that is given no name has a random one; moto calls them all None."""

    def start_execution(
        self: StepFunctionsParserBackend, arn: str, name: str | None, *given: Any
    ) -> Execution:
        return original(self, arn, name or str(uuid.uuid4()), *given)

    original = cloud.replace(StepFunctionsParserBackend, "start_execution", start_execution)


def _is_under_way(execution: Execution) -> bool:
    env = execution.exec_worker.env
    return env is not None and env.program_state() is not None


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def _stop_all(cloud: LocalCloud) -> None:
    """Stop what runs, so that every state stops its job before the processes are stopped."""
    backend = stepfunctions_parser_backends[cloud.account_id][cloud.region]
    running = [
        execution
        for state_machine in backend.state_machines
        for execution in state_machine.executions
        if execution.status == "RUNNING"
    ]
    for execution in running:
        execution.stop(stop_date=None, error=None, cause="The local cloud stops")
    _wait_until(lambda: all(execution.status != "RUNNING" for execution in running))
    TMP_THREADS.clear()  # moto keeps every thread of every execution


# ------------------------------------------------------------------------------ creation


def _check_before_creation(cloud: LocalCloud) -> None:
    """What AWS checks when a state machine is created, and what cannot run here."""

    def create(self: Any, name: str, definition: str, roleArn: str, **options: Any) -> Any:  # noqa: N803
        logging = options.get("loggingConfiguration")
        if options.get("sm_type") == "EXPRESS":
            raise UnsupportedError("Step Functions", "type EXPRESS", "type STANDARD is supported")
        _check(cloud.account, definition, roleArn, logging, _arn(cloud, name))
        existing = next((_ for _ in self.state_machines if _.name == name), None)
        if existing is not None and (existing.definition, existing.roleArn) != (
            definition,
            roleArn,
        ):
            raise _error(
                "StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'"
            )
        return original_create(self, name, definition, roleArn, **options)

    def update(
        self: Any, arn: str, definition: Any = None, role_arn: Any = None, **options: Any
    ) -> Any:
        old = self.describe_state_machine(arn)
        logging = options.get("logging_configuration") or old.loggingConfiguration
        role = role_arn or old.roleArn
        _check(cloud.account, definition or old.definition, role, logging, arn)
        return original_update(self, arn, definition, role_arn, **options)

    original_create = cloud.replace(StepFunctionsParserBackend, "create_state_machine", create)
    original_update = cloud.replace(StepFunctionsParserBackend, "update_state_machine", update)


def _arn(cloud: LocalCloud, name: str) -> str:
    return f"arn:aws:states:{cloud.region}:{cloud.account_id}:stateMachine:{name}"


def _check(
    account: Account,
    definition: str,
    role_arn: str,
    logging: Mapping[str, Any] | None,
    state_machine_arn: str,
) -> None:
    try:
        states = list(_states(json.loads(definition)))
    except (AttributeError, TypeError, ValueError):
        return  # moto's parser says what is wrong with it, and where
    kinds = set()
    for name, state in states:
        _check_state(name, state)
        kinds.add(job_kind(state.get("Resource", "")))
    try:
        account.check_trust(role_arn, SERVICE_PRINCIPAL, state_machine_arn)
    except TrustError as error:
        raise _error(
            "AccessDeniedException",
            "Neither the global service principal states.amazonaws.com, nor the regional one is "
            f"authorized to assume the provided role. ({error})",
        ) from error
    _check_permissions(account, role_arn, kinds - {None}, logging)


def _states(definition: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and body of every state, those in branches and iterations included."""
    yield "(state machine)", {key: definition[key] for key in definition if key != "States"}
    for name, state in definition.get("States", {}).items():
        yield name, state
        inner = [*state.get("Branches", []), state.get("Iterator"), state.get("ItemProcessor")]
        for part in inner:
            if part is not None:
                yield from _states(part)


def _check_state(name: str, state: Mapping[str, Any]) -> None:
    if state.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise UnsupportedError(
            f"State {name!r}",
            f"QueryLanguage {state['QueryLanguage']!r}",
            "JSONPath is part of the local cloud",
            "See docs/parity.md",
        )
    if state.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
        raise UnsupportedError(
            "A Map state", "ProcessorConfig Mode 'DISTRIBUTED'", "Mode 'INLINE' is supported"
        )
    if "Credentials" in state:
        raise UnsupportedError(
            f"State {name!r}",
            "Credentials",
            "a task calls with the role of its state machine in the local cloud",
            "See docs/parity.md",
        )
    if state.get("Type") == "Task":
        check_resource(state.get("Resource", ""), name)


def _check_permissions(
    account: Account, role_arn: str, kinds: set[Any], logging: Mapping[str, Any] | None
) -> None:
    rules = [f"StepFunctionsGetEventsForSageMaker{kind}sRule" for kind in sorted(kinds)]
    managed = [
        Need(
            f"events:{action}", f"arn:aws:events:{account.region}:{account.account_id}:rule/{rule}"
        )
        for rule in rules
        for action in ("PutTargets", "PutRule", "DescribeRule")
    ]
    _require(account, role_arn, managed, f"'{role_arn}' is not authorized to create managed-rule.")
    if logging and logging.get("level", "OFF") != "OFF":
        delivery = [Need(f"logs:{action}", "*") for action in _LOG_DELIVERY]
        denial = "The state machine IAM Role is not authorized to access the Log Destination."
        _require(account, role_arn, delivery, denial)


_LOG_DELIVERY = (
    "CreateLogDelivery",
    "GetLogDelivery",
    "UpdateLogDelivery",
    "DeleteLogDelivery",
    "ListLogDeliveries",
    "PutResourcePolicy",
    "DescribeResourcePolicies",
    "DescribeLogGroups",
)


def _require(account: Account, role_arn: str, wanted: list[Need], denial: str) -> None:
    try:
        account.check(account.identity_of(role_arn), wanted)
    except DeniedError as error:
        raise _error("AccessDeniedException", f"{denial} ({error})") from error


def _error(code: str, message: str) -> AWSError:
    return AWSError(message, code, 400)


# ------------------------------------------------------------------------------ logs


class _ExecutionLog:
    """Writes an execution's events to the log group of its state machine, as AWS writes them."""

    def __init__(self, execution: Execution, group: str, configuration: Mapping[str, Any]) -> None:
        self.execution_arn = execution.exec_arn
        self.configuration = self  # moto asks it for `include_execution_data`
        self.include_execution_data = bool(configuration.get("includeExecutionData"))
        self._level = configuration["level"]
        self._backend = logs_backends[execution.account_id][execution.region_name]
        self._names = {
            "log_group_name": group,
            "log_stream_name": f"states/{execution.state_machine.name}/{execution.name}",
        }
        self._backend.create_log_stream(**self._names)

    def log_level_filter(self, history_event_type: Any) -> bool:
        """Whether the level of the state machine includes this event."""
        return bool(is_logging_enabled_for(self._level, history_event_type))

    def publish_history_log(self, history_log: Mapping[str, Any]) -> None:
        """Append one event."""
        milliseconds = time.time_ns() // 1_000_000
        event = {**history_log, "event_timestamp": str(milliseconds), "redrive_count": "0"}
        message = json.dumps(event, default=str)
        with contextlib.suppress(ResourceNotFoundException):  # the group was deleted meanwhile
            self._backend.put_log_events(
                **self._names, log_events=[{"timestamp": milliseconds, "message": message}]
            )


def _write_logs(cloud: LocalCloud) -> None:
    """Moto never opens the log that its interpreter could write."""

    def start(self: Execution) -> None:
        configuration = self.state_machine.loggingConfiguration or {}
        group = _log_group(configuration)
        if group is not None:
            self._cloud_watch_logging_session = _ExecutionLog(self, group, configuration)
        original(self)

    original = cloud.replace(Execution, "start", start)


def _log_group(configuration: Mapping[str, Any]) -> str | None:
    destinations = configuration.get("destinations") or []
    if configuration.get("level", "OFF") == "OFF" or not destinations:
        return None
    arn: str = destinations[0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    return arn.partition(":log-group:")[2].removesuffix(":*")
