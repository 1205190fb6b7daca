"""Change sets: what would happen to a stack, until somebody lets it happen."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from local_cloud.cloudformation.definition import Definition
from local_cloud.cloudformation.errors import (
    AlreadyExistsError,
    ChangeSetMissingError,
    ChangeSetStatusError,
    CloudFormationError,
)
from local_cloud.cloudformation.plan import Plan
from local_cloud.cloudformation.stack import Stack, now
from local_cloud.cloudformation.stacks import Request, Stacks
from local_cloud.errors import UnsupportedError

__all__ = ["ChangeSet", "ChangeSets"]

_NOTHING = (
    "The submitted information didn't contain changes. Submit different information to create a"
    " change set."
)


@dataclass
class ChangeSet:
    """A plan with the definition that it brings a stack to.

    Parameters
    ----------
    kind
        ``CREATE`` or ``UPDATE``.
    version
        Of the stack that it was made for: whatever is done to the stack makes it obsolete.
    plan
        ``None`` when there is none, which `status` and `reason` explain.
    """

    id: str
    name: str
    stack: Stack
    kind: str
    description: str
    definition: Definition
    role_arn: str | None
    on_failure: str
    version: int
    plan: Plan | None = None
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    is_executed: bool = False
    created: dt.datetime = field(default_factory=now)

    @property
    def execution_status(self) -> str:
        """Whether it can be executed, as AWS says it."""
        if self.is_executed:
            return "EXECUTE_COMPLETE"
        if self.plan is None:
            return "UNAVAILABLE"
        return "AVAILABLE" if self.stack.version == self.version else "OBSOLETE"

    def fill(self, make: Callable[[], Plan]) -> None:
        """Make the plan; a template that cannot be carried out is a failed change set."""
        try:
            found = make()
        except (CloudFormationError, UnsupportedError) as error:
            self.status, self.reason = "FAILED", str(error)
            return
        if found.is_empty:
            self.status, self.reason = "FAILED", _NOTHING
            return
        self.plan, self.status = found, "CREATE_COMPLETE"


class ChangeSets:
    """The change sets of an account.

    Parameters
    ----------
    stacks
        Its stacks.
    """

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._all: dict[str, ChangeSet] = {}

    def of(self, stack: Stack) -> list[ChangeSet]:
        """Change sets of a stack, the newest first."""
        return [item for item in reversed(self._all.copy().values()) if item.stack is stack]

    def find(self, name: str, stack_name: str | None) -> ChangeSet:
        """A change set by ARN, or by its name and its stack's.

        Raises
        ------
        ChangeSetMissingError
            When there is none.
        """
        for change_set in self._all.copy().values():
            names = {change_set.stack.name, change_set.stack.id, None}
            if change_set.id == name or (change_set.name == name and stack_name in names):
                return change_set
        raise ChangeSetMissingError(f"ChangeSet [{name}] does not exist")

    def create(self, request: Request, name: str, kind: str, description: str) -> ChangeSet:
        """Plan the creation (``CREATE``) or update (``UPDATE``) of a stack."""
        stacks = self._stacks
        with stacks.lock:
            previous = stacks.updatable(request.name) if kind == "UPDATE" else None
            definition = stacks.definition(request, previous)
            stack = previous or self._stack_to_review(request, definition)
            if any(item.name == name for item in self.of(stack)):
                raise AlreadyExistsError(f"ChangeSet {name} already exists in stack {stack.name}")
            change_set = ChangeSet(
                id=stacks.arn(f"changeSet/{name}/{uuid.uuid4()}"),
                name=name,
                stack=stack,
                kind=kind,
                description=description,
                definition=definition,
                role_arn=request.role_arn,
                on_failure=request.on_failure,
                version=stack.version,
            )
            self._all[change_set.id] = change_set
            deployer = stacks.deployer(request, stack)
            change_set.fill(lambda: stacks.plan(stack, definition, deployer))
        return change_set

    def _stack_to_review(self, request: Request, definition: Definition) -> Stack:
        """The stack that a change set creates: a new one, or one that waits for that."""
        try:
            stack = self._stacks.find(request.name)
        except CloudFormationError:
            stack = self._stacks.new(request, definition)
            self._stacks.begin(stack, "REVIEW_IN_PROGRESS", request.token)
            return stack
        if stack.status != "REVIEW_IN_PROGRESS":
            raise CloudFormationError(
                f"Stack [{stack.name}] already exists and cannot be created again with the"
                " changeSet."
            )
        return stack

    def execute(self, request: Request, change_set: ChangeSet) -> None:
        """Start what a change set has planned."""
        stack, stacks = change_set.stack, self._stacks
        with stacks.lock:
            if change_set.execution_status != "AVAILABLE":
                raise ChangeSetStatusError(
                    f"ChangeSet [{change_set.id}] cannot be executed in its current status of"
                    f" [{change_set.status}], execution status [{change_set.execution_status}]"
                )
            stack.role_arn = change_set.role_arn or stack.role_arn
            engine = stacks.engine(stack, stacks.deployer(request, stack))
            change_set.is_executed = True
            if change_set.kind == "CREATE":
                stack.definition, stack.on_failure = change_set.definition, change_set.on_failure
                stacks.begin(stack, "CREATE_IN_PROGRESS", request.token)
                stacks.start(stack, engine.create)
            else:
                stack.redefine(change_set.definition)
                stacks.begin(stack, "UPDATE_IN_PROGRESS", request.token)
                stacks.start(stack, engine.update)

    def delete(self, change_set: ChangeSet) -> None:
        """Forget a change set."""
        self._all.pop(change_set.id, None)
