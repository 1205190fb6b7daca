"""The stacks of one account: what may be done to them, and who does it.

What an operation asks for is checked here, at once; what it does runs in a thread of its own.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from local_cloud.cloud import Credentials, LocalCloud
from local_cloud.cloudformation import parameters, plan, sources, template, validation
from local_cloud.cloudformation.definition import Content, Definition, Surroundings
from local_cloud.cloudformation.deployer import Deployer, Deployers, StoppedError
from local_cloud.cloudformation.engine import Engine
from local_cloud.cloudformation.errors import (
    AlreadyExistsError,
    CloudFormationError,
    TemplateError,
)
from local_cloud.cloudformation.evaluation import Evaluation
from local_cloud.cloudformation.exports import Exports
from local_cloud.cloudformation.stack import Stack
from local_cloud.errors import LocalCloudError, TrustError

__all__ = ["Request", "Stacks"]

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_UPDATABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
_PRINCIPAL = "cloudformation.amazonaws.com"
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Request:
    """What a caller asks for.

    Parameters
    ----------
    credentials
        Of the caller.
    name
        Name or ARN of the stack.
    body, url
        TemplateBody and TemplateURL; neither for the template that the stack has.
    parameters
        Name -> text, or ``None`` for the value that the stack has.
    tags
        ``None`` for those that the stack has.
    capabilities, role_arn, token
        As given.
    on_failure
        See :class:`Stack`.
    """

    credentials: Credentials
    name: str
    body: str | None = None
    url: str | None = None
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    capabilities: tuple[str, ...] = ()
    role_arn: str | None = None
    token: str = ""
    on_failure: str = "ROLLBACK"
    retains_except_on_create: bool = False
    is_protected: bool = False


class Stacks:
    """Every stack of a cloud, deleted ones too.

    Parameters
    ----------
    cloud
        The account.
    deployers
        Makes those who call its APIs.
    """

    def __init__(self, cloud: LocalCloud, deployers: type[Deployers] = Deployers) -> None:
        self.lock = threading.RLock()
        self.exports = Exports(lambda: [stack for stack in self.all() if not stack.is_deleted])
        self._cloud = cloud
        self._deployers = deployers(cloud, self)
        self._stacks: dict[str, Stack] = {}
        self._threads: set[threading.Thread] = set()

    def stop(self) -> None:
        """Have everybody who works on a stack leave it as it is."""
        self._deployers.stopping.set()
        for thread in list(self._threads):
            thread.join(_STOP_SECONDS)
        self._deployers.close()

    def all(self) -> list[Stack]:
        """Every stack, the newest first."""
        return sorted(self._stacks.copy().values(), key=lambda stack: stack.created, reverse=True)

    def find(self, name: str) -> Stack:
        """A stack by name, or by ARN when it may be deleted.

        Raises
        ------
        CloudFormationError
            When there is none.
        """
        for stack in self.all():
            if stack.id == name or (stack.name == name and not stack.is_deleted):
                return stack
        raise CloudFormationError(f"Stack with id {name} does not exist")

    # ---------------------------------------------------------------- operations

    def create(self, request: Request) -> Stack:
        """Start the creation of a stack."""
        definition = self.definition(request, None)
        with self.lock:
            stack = self.new(request, definition)
            deployer = self.deployer(request, stack)
            self._validate(stack, definition, deployer)
            self.begin(stack, "CREATE_IN_PROGRESS", request.token)
        self.start(stack, self.engine(stack, deployer).create)
        return stack

    def update(self, request: Request) -> Stack:
        """Start the update of a stack."""
        with self.lock:
            stack = self.updatable(request.name)
            definition = self.definition(request, stack)
            deployer = self.deployer(request, stack)
            if self.plan(stack, definition, deployer).is_empty:
                raise CloudFormationError("No updates are to be performed.")
            stack.redefine(definition)
            stack.role_arn = request.role_arn or stack.role_arn
            self.begin(stack, "UPDATE_IN_PROGRESS", request.token)
        self.start(stack, self.engine(stack, deployer).update)
        return stack

    def delete(self, request: Request, retained: Iterable[str] = ()) -> None:
        """Start the deletion of a stack; one that is not there is no error."""
        kept = tuple(retained)
        with self.lock:
            try:
                stack = self.find(request.name)
            except CloudFormationError:
                return
            if stack.is_deleted:
                return
            deployer = self.deployer(request, stack)
            self._require_deletable(stack, kept)
            self.begin(stack, "DELETE_IN_PROGRESS", request.token)
        engine = self.engine(stack, deployer)
        self.start(stack, lambda: engine.delete(kept))

    def continue_rollback(self, request: Request, skipped: Iterable[str] = ()) -> None:
        """Start the rollback of an update again where it failed."""
        left = frozenset(skipped)
        with self.lock:
            stack = self.find(request.name)
            if stack.status != "UPDATE_ROLLBACK_FAILED":
                raise CloudFormationError(
                    f"Stack:{stack.id} is in {stack.status} state and can not continue rollback."
                )
            engine = self.engine(stack, self.deployer(request, stack))
            self.begin(stack, "UPDATE_ROLLBACK_IN_PROGRESS", request.token)
        self.start(stack, lambda: engine.roll_back("User Initiated", left))

    def protect(self, name: str, *, is_protected: bool) -> Stack:
        """Set termination protection."""
        stack = self.find(name)
        stack.is_protected = is_protected
        return stack

    # ---------------------------------------------------------------- stacks in stacks

    def open_nested(self, deployer: Deployer, name: str, content: Content) -> Stack:
        """A new stack inside the one that `deployer` works on, about to be created."""
        outer = _outer(deployer)
        definition = _defined(content, outer.definition.capabilities, None)
        stack = Stack(
            id=self.arn(f"stack/{name}/{uuid.uuid4()}"),
            name=name,
            definition=definition,
            role_arn=outer.role_arn,
            parent_id=outer.id,
            root_id=outer.root_id or outer.id,
            on_failure="DO_NOTHING",  # the outer stack deletes it
            retains_except_on_create=outer.retains_except_on_create,
        )
        self._validate(stack, definition, deployer)
        self.begin(stack, "CREATE_IN_PROGRESS", outer.token)
        return stack

    def redefine_nested(self, deployer: Deployer, stack: Stack, content: Content) -> bool:
        """Have a nested stack become another; ``False`` when it is that already."""
        outer = _outer(deployer)
        definition = _defined(content, outer.definition.capabilities, None)
        if self.plan(stack, definition, deployer).is_empty:
            return False
        stack.redefine(definition)
        self.begin(stack, "UPDATE_IN_PROGRESS", outer.token)
        return True

    # ---------------------------------------------------------------- what is asked for

    def definition(self, request: Request, stack: Stack | None) -> Definition:
        """What a stack is to be; what the request does not say stays as `stack` has it."""
        caller = self.caller(request.credentials)  # who reads the template, whoever deploys it
        text = sources.template_text(caller, request.body, request.url)
        previous = stack.definition if stack else None
        if text is None:
            if previous is None:
                raise CloudFormationError("Either Template URL or Template Body must be specified.")
            text = previous.template.text
        tags = request.tags
        if tags is None:
            tags = previous.tags if previous else {}
        content = Content(text, request.parameters, tags)
        return _defined(content, request.capabilities, previous)

    def new(self, request: Request, definition: Definition) -> Stack:
        """A stack that is not in the list yet.

        Raises
        ------
        CloudFormationError
            When the name cannot be a stack's, or is one's.
        """
        if _NAME.fullmatch(request.name) is None:
            raise CloudFormationError(
                f"1 validation error detected: Value '{request.name}' at 'stackName' failed to"
                " satisfy constraint: Member must satisfy regular expression pattern:"
                " [a-zA-Z][-a-zA-Z0-9]*"
            )
        if any(_.name == request.name and not _.is_deleted for _ in self.all()):
            raise AlreadyExistsError(f"Stack [{request.name}] already exists")
        return Stack(
            id=self.arn(f"stack/{request.name}/{uuid.uuid4()}"),
            name=request.name,
            definition=definition,
            role_arn=request.role_arn,
            on_failure=request.on_failure,
            retains_except_on_create=request.retains_except_on_create,
            is_protected=request.is_protected,
        )

    def plan(self, stack: Stack, definition: Definition, deployer: Deployer) -> plan.Plan:
        """What would bring a stack to a definition; see :func:`plan.make`."""
        self._validate(stack, definition, deployer)
        return plan.make(definition, self._surroundings(stack, deployer), stack, deployer)

    def updatable(self, name: str) -> Stack:
        """A stack that can be updated.

        Raises
        ------
        CloudFormationError
            When there is none, or it cannot.
        """
        stack = self.find(name)
        if stack.status not in _UPDATABLE:
            raise CloudFormationError(
                f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )
        return stack

    def _validate(self, stack: Stack, definition: Definition, deployer: Deployer) -> None:
        surroundings = self._surroundings(stack, deployer)
        validation.check(Evaluation(definition, surroundings, {}))

    def _require_deletable(self, stack: Stack, retained: tuple[str, ...]) -> None:
        if stack.is_protected:
            raise CloudFormationError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        if stack.is_busy:
            raise CloudFormationError(
                f"Stack [{stack.id}] cannot be deleted while in status {stack.status}"
            )
        if retained and stack.status != "DELETE_FAILED":
            raise CloudFormationError(
                f"Invalid operation on stack [{stack.id}]. Resources can be retained only when the"
                " stack is in the DELETE_FAILED state"
            )
        self.exports.require_unused(stack)

    # ---------------------------------------------------------------- who works

    def caller(self, credentials: Credentials) -> Deployer:
        """Who calls with these credentials."""
        return self._deployers.of(credentials)

    def deployer(self, request: Request, stack: Stack) -> Deployer:
        """Who makes the resources: the request's role, the stack's, or the caller.

        Raises
        ------
        CloudFormationError
            When the role cannot be assumed by CloudFormation.
        """
        role_arn = request.role_arn or stack.role_arn
        if role_arn is None:
            return self.caller(request.credentials)
        try:
            return self._deployers.of(self._cloud.credentials(role_arn, _PRINCIPAL))
        except TrustError as error:
            raise CloudFormationError(
                f"Role {role_arn} is invalid or cannot be assumed: {error}"
            ) from error

    def engine(self, stack: Stack, deployer: Deployer) -> Engine:
        """Who carries out what is to be done to a stack."""
        inside = deployer.within(stack)
        return Engine(stack, inside, self._surroundings(stack, inside), self.exports.publish)

    def arn(self, resource: str) -> str:
        """ARN of something of CloudFormation's."""
        place = f"{self._cloud.region}:{self._cloud.account_id}"
        return f"arn:aws:cloudformation:{place}:{resource}"

    def _surroundings(self, stack: Stack, deployer: Deployer) -> Surroundings:
        return Surroundings(
            account_id=self._cloud.account_id,
            region=self._cloud.region,
            stack_id=stack.id,
            stack_name=stack.name,
            exports=lambda name: self.exports.value(name, stack),
            zones=lambda: _zones(deployer),
        )

    def begin(self, stack: Stack, status: str, token: str) -> None:
        """Put a stack into the list with the status of what is done to it now."""
        self._stacks[stack.id] = stack
        stack.begin(status, token)

    def start(self, stack: Stack, work: Callable[[], None]) -> None:
        """Do it in a thread."""
        thread = threading.Thread(
            target=self._work, args=(stack, work), name=f"stack {stack.name}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _work(self, stack: Stack, work: Callable[[], None]) -> None:
        try:
            work()
        except StoppedError:
            pass  # the cloud stops; what was made goes with it
        except Exception as error:
            self.caller(self._cloud.account.administrator.credentials).write_down(error)
            status = stack.status.removesuffix("_IN_PROGRESS").removesuffix("_CLEANUP")
            stack.note(f"{status}_FAILED", f"Internal error: {error}")
        finally:
            self._threads.discard(threading.current_thread())


def _outer(deployer: Deployer) -> Stack:
    if deployer.stack is None:
        raise LocalCloudError("CloudFormation", "a nested stack without an outer one", "a bug")
    return deployer.stack


def _defined(
    content: Content, capabilities: tuple[str, ...], previous: Definition | None
) -> Definition:
    parsed = template.parse(content.text)
    validation.check_capabilities(parsed, capabilities)
    before = previous.parameters if previous else None
    texts = parameters.resolve(parsed.parameters, content.parameters, before)
    return Definition(parsed, texts, dict(content.tags), capabilities)


def _zones(deployer: Deployer) -> list[str]:
    try:
        answer = deployer.call("ec2", "DescribeAvailabilityZones", {})
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        raise TemplateError(f"Template error: Fn::GetAZs: {message}") from error
    return [zone["ZoneName"] for zone in answer["AvailabilityZones"]]
