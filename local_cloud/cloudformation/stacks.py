"""The stacks and change sets of one account: what may be done to them, and who does it.

What an operation asks for is checked here, at once; what it does runs in a thread of its own.
"""

from __future__ import annotations

import functools
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from local_cloud.cloud import Credentials, LocalCloud
from local_cloud.cloudformation import parameters, plan, sources, template, validation
from local_cloud.cloudformation.change_set import ChangeSet
from local_cloud.cloudformation.deployer import Deployer, Deployers, StoppedError
from local_cloud.cloudformation.engine import Engine
from local_cloud.cloudformation.errors import (
    AlreadyExistsError,
    ChangeSetMissingError,
    ChangeSetStatusError,
    CloudFormationError,
    TemplateError,
)
from local_cloud.cloudformation.evaluation import Definition, Evaluation, Output, Surroundings
from local_cloud.cloudformation.stack import Stack, now
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
        self._cloud = cloud
        self._deployers = deployers(cloud, self)
        self._lock = threading.RLock()
        self._stacks: dict[str, Stack] = {}
        self._change_sets: dict[str, ChangeSet] = {}
        self._threads: set[threading.Thread] = set()

    def stop(self) -> None:
        """Have everybody who works on a stack leave it as it is."""
        self._deployers.stopping.set()
        for thread in list(self._threads):
            thread.join(_STOP_SECONDS)
        self._deployers.close()

    # ---------------------------------------------------------------- looking

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

    def exports(self) -> list[tuple[str, str, str]]:
        """Name, value and exporting stack's ARN of every export."""
        return [
            (output.export_name, output.value, stack.id)
            for stack in self.all()
            if not stack.is_deleted
            for output in stack.outputs.values()
            if output.export_name is not None
        ]

    def importers(self, export_name: str) -> list[str]:
        """Names of the stacks that import an export."""
        return sorted(
            stack.name
            for stack in self.all()
            if export_name in stack.imports and not stack.is_deleted
        )

    # ---------------------------------------------------------------- operations

    def create(self, request: Request) -> Stack:
        """Start the creation of a stack."""
        deployer = self._deployer(request, None)
        definition = self._definition(request, None)
        with self._lock:
            stack = self._new_stack(request, definition)
            self._validate(stack, deployer)
            self._begin(stack, "CREATE_IN_PROGRESS", request.token)
        self._start(stack, self.engine(stack, deployer).create)
        return stack

    def update(self, request: Request) -> Stack:
        """Start the update of a stack."""
        stack = self.find(request.name)
        deployer = self._deployer(request, stack)
        definition = self._definition(request, stack.definition)
        with self._lock:
            self._require_updatable(stack)
            if not self._redefine(stack, deployer, definition):
                raise CloudFormationError("No updates are to be performed.")
            stack.role_arn = request.role_arn or stack.role_arn
            self._begin(stack, "UPDATE_IN_PROGRESS", request.token)
        self._start(stack, self.engine(stack, deployer).update)
        return stack

    def delete(self, request: Request, retained: Iterable[str] = ()) -> None:
        """Start the deletion of a stack; one that is not there is no error."""
        try:
            stack = self.find(request.name)
        except CloudFormationError:
            return
        if stack.is_deleted:
            return
        deployer = self._deployer(request, stack)
        kept = tuple(retained)
        with self._lock:
            self._require_deletable(stack, kept)
            self._begin(stack, "DELETE_IN_PROGRESS", request.token)
        self._start(stack, functools.partial(self.engine(stack, deployer).delete, kept))

    def continue_rollback(self, request: Request, skipped: Iterable[str] = ()) -> None:
        """Start the rollback of an update again where it failed."""
        stack = self.find(request.name)
        deployer = self._deployer(request, stack)
        with self._lock:
            if stack.status != "UPDATE_ROLLBACK_FAILED":
                raise CloudFormationError(
                    f"Stack:{stack.id} is in {stack.status} state and can not continue rollback."
                )
            self._begin(stack, "UPDATE_ROLLBACK_IN_PROGRESS", request.token)
        engine = self.engine(stack, deployer)
        left = frozenset(skipped)
        self._start(stack, lambda: engine.roll_back("User Initiated", left))

    def protect(self, name: str, *, is_protected: bool) -> Stack:
        """Set termination protection."""
        stack = self.find(name)
        stack.is_protected = is_protected
        return stack

    # ---------------------------------------------------------------- change sets

    def create_change_set(
        self, request: Request, name: str, kind: str, description: str
    ) -> ChangeSet:
        """Plan the creation or update of a stack."""
        with self._lock:
            previous = self.find(request.name) if kind == "UPDATE" else None
            if previous is not None:
                self._require_updatable(previous)
            deployer = self._deployer(request, previous)
            definition = self._definition(request, previous.definition if previous else None)
            stack = previous or self._stack_to_review(request, definition)
            if any(item.name == name for item in self.change_sets(stack)):
                raise AlreadyExistsError(f"ChangeSet {name} already exists in stack {stack.name}")
            change_set = ChangeSet(
                id=self._arn(f"changeSet/{name}/{uuid.uuid4()}"),
                name=name,
                stack=stack,
                kind=kind,
                description=description,
                definition=definition,
                role_arn=request.role_arn,
                on_failure=request.on_failure,
            )
            self._change_sets[change_set.id] = change_set
            change_set.fill(functools.partial(self._plan, stack, definition, deployer))
        return change_set

    def _stack_to_review(self, request: Request, definition: Definition) -> Stack:
        """The stack that a change set creates: a new one, or one that waits for that."""
        try:
            stack = self.find(request.name)
        except CloudFormationError:
            stack = self._new_stack(request, definition)
            self._begin(stack, "REVIEW_IN_PROGRESS", request.token)
            return stack
        if stack.status != "REVIEW_IN_PROGRESS":
            raise CloudFormationError(
                f"Stack [{stack.name}] already exists and cannot be created again with the"
                " changeSet."
            )
        return stack

    def change_sets(self, stack: Stack) -> list[ChangeSet]:
        """Change sets of a stack, the newest first."""
        found = [item for item in list(self._change_sets.values()) if item.stack is stack]
        return found[::-1]

    def find_change_set(self, name: str, stack_name: str | None) -> ChangeSet:
        """A change set by ARN, or by its name and its stack's.

        Raises
        ------
        ChangeSetMissingError
            When there is none.
        """
        for change_set in list(self._change_sets.values()):
            names = {change_set.stack.name, change_set.stack.id, None}
            if change_set.id == name or (change_set.name == name and stack_name in names):
                return change_set
        raise ChangeSetMissingError(f"ChangeSet [{name}] does not exist")

    def execute(self, request: Request, change_set: ChangeSet) -> None:
        """Start what a change set has planned."""
        stack = change_set.stack
        with self._lock:
            if change_set.execution_status != "AVAILABLE":
                raise ChangeSetStatusError(
                    f"ChangeSet [{change_set.id}] cannot be executed in its current status of"
                    f" [{change_set.status}]"
                )
            role_arn = change_set.role_arn or stack.role_arn
            deployer = self._deployer_of(request.credentials, role_arn)
            stack.role_arn, stack.on_failure = role_arn, change_set.on_failure
            change_set.execution_status = "EXECUTE_COMPLETE"
            for other in self.change_sets(stack):
                if other is not change_set:
                    other.execution_status = "OBSOLETE"
            stack.previous = (stack.definition, stack.outputs, stack.imports)
            stack.definition = change_set.definition
            is_new = change_set.kind == "CREATE"
            verb = "CREATE" if is_new else "UPDATE"
            self._begin(stack, f"{verb}_IN_PROGRESS", request.token)
        engine = self.engine(stack, deployer)
        self._start(stack, engine.create if is_new else engine.update)

    def delete_change_set(self, change_set: ChangeSet) -> None:
        """Forget a change set."""
        self._change_sets.pop(change_set.id, None)

    # ---------------------------------------------------------------- stacks in stacks

    def open_nested(
        self,
        deployer: Deployer,
        name: str,
        text: str,
        given: Mapping[str, str | None],
        tags: Mapping[str, str],
    ) -> Stack:
        """A new stack inside the one that `deployer` works on, about to be created."""
        outer = _outer(deployer)
        definition = _defined(text, given, tags, outer.definition.capabilities, None)
        stack = Stack(
            id=self._arn(f"stack/{name}/{uuid.uuid4()}"),
            name=name,
            definition=definition,
            role_arn=outer.role_arn,
            parent_id=outer.id,
            root_id=outer.root_id or outer.id,
            on_failure="DO_NOTHING",  # the outer stack deletes it
            retains_except_on_create=outer.retains_except_on_create,
        )
        self._validate(stack, deployer)
        with self._lock:
            self._begin(stack, "CREATE_IN_PROGRESS", outer.token)
        return stack

    def redefine_nested(
        self,
        deployer: Deployer,
        stack: Stack,
        text: str,
        given: Mapping[str, str | None],
        tags: Mapping[str, str],
    ) -> bool:
        """Have a nested stack become another; ``False`` when it is that already."""
        outer = _outer(deployer)
        definition = _defined(text, given, tags, outer.definition.capabilities, None)
        with self._lock:
            if not self._redefine(stack, deployer, definition):
                return False
            self._begin(stack, "UPDATE_IN_PROGRESS", outer.token)
        return True

    def engine(self, stack: Stack, deployer: Deployer) -> Engine:
        """Who works on a stack."""
        inside = deployer.within(stack)
        return Engine(stack, inside, self._surroundings(stack, inside), self._publish)

    # ---------------------------------------------------------------- checks

    def _definition(self, request: Request, previous: Definition | None) -> Definition:
        caller = self.deployer(request.credentials)  # who reads the template, whoever deploys it
        text = sources.template_text(caller, request.body, request.url)
        if text is None and previous is None:
            raise CloudFormationError("Either Template URL or Template Body must be specified.")
        tags = request.tags
        if tags is None:
            tags = previous.tags if previous else {}
        if text is None and previous is not None:
            text = previous.template.text
        return _defined(text or "", request.parameters, tags, request.capabilities, previous)

    def _new_stack(self, request: Request, definition: Definition) -> Stack:
        if _NAME.fullmatch(request.name) is None:
            raise CloudFormationError(
                f"1 validation error detected: Value '{request.name}' at 'stackName' failed to"
                " satisfy constraint: Member must satisfy regular expression pattern:"
                " [a-zA-Z][-a-zA-Z0-9]*"
            )
        if any(_.name == request.name and not _.is_deleted for _ in self.all()):
            raise AlreadyExistsError(f"Stack [{request.name}] already exists")
        return Stack(
            id=self._arn(f"stack/{request.name}/{uuid.uuid4()}"),
            name=request.name,
            definition=definition,
            role_arn=request.role_arn,
            on_failure=request.on_failure,
            retains_except_on_create=request.retains_except_on_create,
            is_protected=request.is_protected,
        )

    def _validate(self, stack: Stack, deployer: Deployer) -> None:
        surroundings = self._surroundings(stack, deployer)
        validation.check(Evaluation(stack.definition, surroundings, {}))

    def _plan(self, stack: Stack, definition: Definition, deployer: Deployer) -> plan.Plan:
        surroundings = self._surroundings(stack, deployer)
        validation.check(Evaluation(definition, surroundings, {}))
        return plan.make(definition, surroundings, stack, deployer)

    def _redefine(self, stack: Stack, deployer: Deployer, definition: Definition) -> bool:
        """Whether there is something to do; then the definition is the stack's."""
        steps = self._plan(stack, definition, deployer)
        if steps.is_empty and dict(definition.tags) == dict(stack.definition.tags):
            return False
        stack.previous = (stack.definition, stack.outputs, stack.imports)
        stack.definition = definition
        return True

    @staticmethod
    def _require_updatable(stack: Stack) -> None:
        if stack.status not in _UPDATABLE:
            raise CloudFormationError(
                f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )

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
        for name, _, owner in self.exports():
            users = self.importers(name) if owner == stack.id else []
            if users:
                raise CloudFormationError(
                    f"Export {name} cannot be deleted as it is in use by {' and '.join(users)}"
                )

    # ---------------------------------------------------------------- who works

    def deployer(self, credentials: Credentials) -> Deployer:
        """Who calls with these credentials."""
        return self._deployers.of(credentials)

    def _deployer(self, request: Request, stack: Stack | None) -> Deployer:
        return self._deployer_of(
            request.credentials, request.role_arn or (stack.role_arn if stack else None)
        )

    def _deployer_of(self, credentials: Credentials, role_arn: str | None) -> Deployer:
        if role_arn is not None:
            try:
                credentials = self._cloud.credentials(role_arn, _PRINCIPAL)
            except TrustError as error:
                raise CloudFormationError(
                    f"Role {role_arn} is invalid or cannot be assumed: {error}"
                ) from error
        return self._deployers.of(credentials)

    def _surroundings(self, stack: Stack, deployer: Deployer) -> Surroundings:
        return Surroundings(
            account_id=self._cloud.account_id,
            region=self._cloud.region,
            stack_id=stack.id,
            stack_name=stack.name,
            exports=functools.partial(self._export_value, stack),
            zones=functools.partial(_zones, deployer),
        )

    def _export_value(self, stack: Stack, name: str) -> str | None:
        return next(
            (
                value
                for found, value, owner in self.exports()
                if found == name and owner != stack.id
            ),
            None,
        )

    def _publish(
        self, stack: Stack, outputs: Mapping[str, Output], imports: frozenset[str]
    ) -> None:
        """Keep a stack's outputs, unless an export is another stack's, or in use and different."""
        wanted = {
            output.export_name: output.value
            for output in outputs.values()
            if output.export_name is not None
        }
        with self._lock:
            for name, value, owner in self.exports():
                if owner != stack.id and name in wanted:
                    exporter = self.find(owner).name
                    raise CloudFormationError(
                        f"Export with name {name} is already exported by stack {exporter}."
                    )
                users = self.importers(name) if owner == stack.id else []
                if users and wanted.get(name) != value:
                    done = "updated" if name in wanted else "deleted"
                    raise CloudFormationError(
                        f"Export {name} cannot be {done} as it is in use by {' and '.join(users)}"
                    )
            stack.outputs, stack.imports = dict(outputs), imports

    def _arn(self, resource: str) -> str:
        place = f"{self._cloud.region}:{self._cloud.account_id}"
        return f"arn:aws:cloudformation:{place}:{resource}"

    # ---------------------------------------------------------------- working

    def _begin(self, stack: Stack, status: str, token: str) -> None:
        self._stacks[stack.id] = stack
        stack.token = token
        if status == "UPDATE_IN_PROGRESS":
            stack.updated = now()
        stack.note(status, "User Initiated")

    def _start(self, stack: Stack, work: Callable[[], None]) -> None:
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
            with (self._cloud.root / "logs" / "local_cloud.log").open("a") as file:
                traceback.print_exception(error, file=file)
            status = stack.status.removesuffix("_IN_PROGRESS")
            stack.note(f"{status.removesuffix('_CLEANUP')}_FAILED", f"Internal error: {error}")
        finally:
            self._threads.discard(threading.current_thread())


def _outer(deployer: Deployer) -> Stack:
    if deployer.stack is None:
        raise LocalCloudError("CloudFormation", "a nested stack without an outer one", "a bug")
    return deployer.stack


def _defined(
    text: str,
    given: Mapping[str, str | None],
    tags: Mapping[str, str],
    capabilities: tuple[str, ...],
    previous: Definition | None,
) -> Definition:
    parsed = template.parse(text)
    validation.check_capabilities(parsed, capabilities)
    before = previous.parameters if previous else None
    texts = parameters.resolve(parsed.parameters, given, before)
    return Definition(parsed, texts, dict(tags), capabilities)


def _zones(deployer: Deployer) -> list[str]:
    try:
        answer = deployer.call("ec2", "DescribeAvailabilityZones", {})
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        raise TemplateError(f"Template error: Fn::GetAZs: {message}") from error
    return [zone["ZoneName"] for zone in answer["AvailabilityZones"]]
