"""What is known about a stack: what it is to be, what it is made of, what has happened."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field

from local_cloud.cloudformation.definition import Definition
from local_cloud.cloudformation.evaluation import Output
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.parts import Part
from local_cloud.cloudformation.template import Resource

__all__ = ["STACK_TYPE", "Event", "Stack", "StackResource", "Undo", "now"]

STACK_TYPE = "AWS::CloudFormation::Stack"


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class StackResource:
    """One resource of a stack.

    Parameters
    ----------
    declared
        Its place in the template that it was made, or last changed, with.
    state
        Names, properties and attributes; without a physical id it was never made.
    wanted
        Properties as evaluated, without a generated name: what an update compares.
    needs
        Logical ids of the resources that it was made with.
    fingerprint
        What an update compares besides the properties.
    status, reason, changed
        As the last event says.
    """

    declared: Resource
    state: State
    wanted: dict[str, object]
    needs: tuple[str, ...]
    fingerprint: str = ""
    status: str = ""
    reason: str = ""
    changed: dt.datetime = field(default_factory=now)


@dataclass(frozen=True)
class Event:
    """One entry of a stack's history."""

    id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    token: str
    time: dt.datetime = field(default_factory=now)


@dataclass(frozen=True)
class Undo:
    """How one step of an update is taken back.

    Parameters
    ----------
    logical_id
        Of which resource.
    before
        What was there; ``None`` when the step made it.
    attempted
        What a change in place wanted; ``None`` when the step made a resource.
    started
        Parts that the change in place has begun.
    was_deleted
        Whether the old resource had to go before the new one could come.
    """

    logical_id: str
    before: StackResource | None = None
    attempted: State | None = None
    started: list[Part] = field(default_factory=list)
    was_deleted: bool = False


@dataclass
class Stack:
    """One stack, alive or deleted.

    Parameters
    ----------
    id, name
        ARN and name.
    definition
        What it is, or is becoming.
    role_arn
        Role that makes its resources; ``None`` for whoever calls.
    parent_id, root_id
        Of a nested stack.
    on_failure
        ``ROLLBACK``, ``DELETE`` or ``DO_NOTHING``, when creation fails.
    retains_except_on_create
        Whether ``Retain`` does not hold while creation is rolled back.
    resources
        By logical id.
    outputs, imports
        As of the last success.
    previous
        Definition, outputs and imports before the update that is going on.
    undo
        Steps of that update, oldest first.
    doomed
        Resources to be deleted at its end.
    events
        Oldest first.
    version
        How often something was done to it.
    """

    id: str
    name: str
    definition: Definition
    role_arn: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    on_failure: str = "ROLLBACK"
    retains_except_on_create: bool = False
    is_protected: bool = False
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    token: str = ""
    created: dt.datetime = field(default_factory=now)
    updated: dt.datetime | None = None
    deleted: dt.datetime | None = None
    resources: dict[str, StackResource] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    imports: frozenset[str] = frozenset()
    previous: tuple[Definition, dict[str, Output], frozenset[str]] | None = None
    undo: list[Undo] = field(default_factory=list)
    doomed: list[StackResource] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    version: int = 0

    @property
    def is_deleted(self) -> bool:
        """Whether it is gone; its description is kept."""
        return self.status == "DELETE_COMPLETE"

    @property
    def is_busy(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def states(self) -> dict[str, State]:
        """States of its resources that were made, by logical id."""
        return {
            name: resource.state
            for name, resource in list(self.resources.items())
            if resource.state.physical_id
        }

    def begin(self, status: str, token: str) -> None:
        """Give the stack the status of what somebody does to it now."""
        self.version += 1
        self.token = token
        if status == "UPDATE_IN_PROGRESS":
            self.updated = now()
        self.note(status, "User Initiated")

    def redefine(self, definition: Definition) -> None:
        """Have the stack become another; what it was is kept for a rollback."""
        self.previous = (self.definition, self.outputs, self.imports)
        self.definition = definition

    def note(self, status: str, reason: str = "") -> None:
        """Give the stack a status, with its event."""
        self.status, self.reason = status, reason
        self.events.append(
            Event(str(uuid.uuid4()), self.name, self.id, STACK_TYPE, status, reason, self.token)
        )

    def note_resource(self, resource: StackResource, status: str, reason: str = "") -> None:
        """Append an event about a resource."""
        logical_id = resource.declared.logical_id
        time = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.events.append(
            Event(
                id=f"{logical_id}-{status}-{time}",
                logical_id=logical_id,
                physical_id=resource.state.physical_id,
                type=resource.declared.type,
                status=status,
                reason=reason,
                token=self.token,
            )
        )
