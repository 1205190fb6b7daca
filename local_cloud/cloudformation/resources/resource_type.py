"""A resource type: which calls make, read, change and delete its resources."""

from __future__ import annotations

import dataclasses
import datetime as dt
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.cloudformation import schema
from local_cloud.cloudformation.deployer import Deployer, ResourceError, has_sign
from local_cloud.cloudformation.resources.calls import (
    ID,
    Action,
    Operation,
    Source,
    State,
    dig,
)
from local_cloud.cloudformation.resources.parts import Part
from local_cloud.cloudformation.schema import Schema

__all__ = ["ResourceType", "Wait"]

_SUFFIX_LENGTH = 12
_LONGEST_NAME = 255
#: What a service says when something is already, or not yet, as it should be.
_HALF_DONE = ("InvalidPermission.Duplicate", "InvalidPermission.NotFound")


@dataclass(frozen=True)
class Wait:
    """Polling until a resource has a status.

    Parameters
    ----------
    status, reason
        Paths in the answer of the type's `read` call.
    ready
        Statuses that end the wait.
    failed
        Statuses that end it with an error, which says the reason.
    gone
        Statuses of what is deleted and still shown.
    shows
        Path in the answer -> what must be there when it is ready: an update may have been undone.
    seconds
        After how long it is given up.
    """

    status: str
    ready: frozenset[str]
    failed: frozenset[str] = frozenset()
    reason: str = ""
    gone: frozenset[str] = frozenset()
    shows: Mapping[str, Source] = field(default_factory=dict)
    seconds: float = 600.0


@dataclass(frozen=True)
class ResourceType:
    """One resource type; what AWS says about its properties is in its :class:`Schema`.

    Parameters
    ----------
    name
        For instance ``AWS::S3::Bucket``.
    create
        Makes the resource; ``None`` when its parts are all there is.
    exists
        Answers when `create` would take over, or write over, what is there.
    id
        The physical id: what ``Ref`` gives.
    made
        Attribute -> path in the answer of `create`.
    parts
        Groups of properties with calls of their own, in the order in which they are applied.
    read, attributes
        Call after creation and update, and attribute -> path in its answer.
    wait
        Until when a resource is not ready yet.
    delete
        Calls, in order.
    missing
        Error codes, or parts of messages, that say that there is no such resource.
    named
        The property that gets a unique name when the template gives none.
    longest_name
        Greatest length of that name where the schema does not say.
    fixed
        Properties that count at creation or deletion only: changing them changes nothing.
    immutable
        Properties whose change AWS refuses.
    volatile
        Attributes that an update in place may change; ``*`` for all.
    update_policies
        Update policies that it honours -> their members, with whether each is required.
    """

    name: str
    create: Action | None = None
    exists: Action | None = None
    id: Source = ID
    made: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    read: Action | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    wait: Wait | None = None
    delete: tuple[Action, ...] = ()
    missing: tuple[str, ...] = ()
    named: str | None = None
    longest_name: int = _LONGEST_NAME
    fixed: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    volatile: frozenset[str] = frozenset()
    update_policies: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    @property
    def schema(self) -> Schema:
        """What AWS publishes about it."""
        found = schema.find(self.name)
        if found is None:
            raise TypeError(f"{self.name} has no schema")
        return found

    @property
    def properties(self) -> frozenset[str]:
        """Properties that are implemented."""
        actions = [self.create, *self.parts, *self.delete]
        return frozenset(
            name for action in actions if action is not None for name in action.properties
        ) | frozenset(self.fixed)

    @property
    def operations(self) -> frozenset[Operation]:
        """Every operation that is called for such a resource, at any time."""
        actions = [self.exists, self.create, *self.parts, self.read, *self.delete]
        return frozenset(
            operation for action in actions if action is not None for operation in action.operations
        )

    def operations_for(self, properties: Mapping[str, Any]) -> frozenset[Operation]:
        """Operations that making, reading and deleting such a resource takes."""
        actions = [self.exists, self.create, self.read, *self.delete]
        always = {_ for action in actions if action is not None for _ in action.operations}
        present = [part for part in self.parts if set(part.properties) & set(properties)]
        return frozenset(always | {_ for part in present for _ in part.operations_to_make})

    def operations_to_change(self, names: Iterable[str]) -> frozenset[Operation]:
        """Operations that changing these properties, and changing them back, may take."""
        touched = [part for part in self.parts if set(part.properties) & set(names)]
        return frozenset(operation for part in touched for operation in part.operations)

    def has_attribute(self, name: str) -> bool:
        """Whether ``Fn::GetAtt`` gives it."""
        return name in self.made or name in self.attributes

    def problems(self, properties: Mapping[str, Any]) -> Iterator[str]:
        """What of a template's properties is not implemented, by place."""
        for name in sorted(set(properties) - self.properties):
            if name in self.schema.properties:
                yield f"#/{name} is not part of the local cloud"
        state = State("", properties)
        for action in (self.create, *self.parts):
            if action is not None:
                yield from action.problems(state)

    # ---------------------------------------------------------------- names

    def new_name(self, stack_name: str, logical_id: str) -> str:
        """A unique name in the form of AWS's: stack, logical id, random letters and digits."""
        limit = self.longest_name
        if self.named is not None:
            limit = min(limit, self.schema.max_length(self.named) or limit)
        room = (limit - _SUFFIX_LENGTH - 2) // 2
        letters = string.ascii_uppercase + string.digits
        suffix = "".join(secrets.choice(letters) for _ in range(_SUFFIX_LENGTH))
        name = f"{stack_name[:room]}-{logical_id[:room]}-{suffix}"
        if self.named is not None and not self.schema.accepts(self.named, name):
            return name.lower()
        return name

    def state(self, name: str, properties: Mapping[str, Any]) -> State:
        """A resource that is not made yet."""
        named = {} if self.named is None else {self.named: name}
        return State(name, {**named, **properties})

    # ---------------------------------------------------------------- life

    def make(self, deployer: Deployer, wanted: State, identified: Callable[[State], None]) -> State:
        """Make a resource and wait until it is ready.

        Parameters
        ----------
        deployer
            Who makes it.
        wanted
            Name and properties.
        identified
            Told as soon as there is something to be deleted.

        Raises
        ------
        ClientError, ResourceError
            When it cannot be made, or does not become ready.
        """
        if self.exists and self._unless_missing(self.exists, deployer, wanted) is not None:
            name = wanted.properties.get(self.named or "", wanted.name)
            raise ResourceError(
                f"Resource of type '{self.name}' with identifier '{name}' already exists."
            )
        answer = self.create.run(deployer, wanted) if self.create else {}
        made = {name: dig(answer, path) for name, path in self.made.items()}
        state = dataclasses.replace(wanted, attributes=made)
        state = dataclasses.replace(state, physical_id=str(self.id.value(state)))
        identified(state)
        for part in self.parts:
            if not part.made_with_resource:
                part.apply(deployer, None, state)
        return self._ready(deployer, state)

    def change(
        self,
        deployer: Deployer,
        before: State,
        wanted: Mapping[str, Any],
        started: list[Part],
    ) -> State:
        """Give a resource other properties, in place, and wait until it is ready.

        Parameters
        ----------
        deployer
            Who changes it.
        before
            As it is.
        wanted
            Properties.
        started
            Grows by each part that is begun: what :meth:`revert` has to take back.

        Raises
        ------
        ClientError, ResourceError
            When it cannot be changed, or does not become ready.
        """
        after = self.changed(before, wanted)
        for part in self.parts:
            started.append(part)
            part.apply(deployer, before, after)
        return self._ready(deployer, after)

    def changed(self, before: State, wanted: Mapping[str, Any]) -> State:
        """The resource with other properties."""
        named = self.state(before.name, wanted)
        return dataclasses.replace(before, properties=named.properties)

    def revert(self, deployer: Deployer, before: State, after: State, started: list[Part]) -> State:
        """Take back a change, finished or not, because the stack's update failed."""
        for part in started[:-1]:
            part.apply(deployer, after, before)
        for part in started[-1:]:  # it may have been interrupted: half of it is not there
            part.apply(deployer.tolerating((*self.missing, *_HALF_DONE)), after, before)
        return self._ready(deployer, before)

    def commit(self, deployer: Deployer, before: State, after: State) -> None:
        """Make a change final, because the stack's update succeeded."""

    def fingerprint(self, deployer: Deployer, properties: Mapping[str, Any]) -> str:  # noqa: ARG002
        """What an update must compare besides the properties; empty for nothing."""
        return ""

    def remove(self, deployer: Deployer, state: State) -> None:
        """Delete a resource and wait until it is gone; one that is not there is no error."""
        tolerant = deployer.tolerating(self.missing)
        for part in reversed(self.parts):
            if part.undone_before_deletion:
                part.apply(tolerant, state, None)
        for action in self.delete:
            action.run(tolerant, state)
        if self.wait is not None and self.read is not None:
            self._wait_until_gone(deployer, state, self.read, self.wait)

    def _unless_missing(self, action: Action, deployer: Deployer, state: State) -> Any:
        """What an action answers; ``None`` when there is no such resource."""
        try:
            return action.run(deployer, state)
        except ClientError as error:
            if not has_sign(error, self.missing):
                raise
            return None

    def _ready(self, deployer: Deployer, state: State) -> State:
        if self.read is None:
            return state
        answer = self._wait_until_ready(deployer, state, self.read)
        found = {name: _plain(dig(answer, path)) for name, path in self.attributes.items()}
        return dataclasses.replace(state, attributes={**state.attributes, **found})

    def _wait_until_ready(
        self, deployer: Deployer, state: State, read: Action
    ) -> Mapping[str, Any]:
        answer = read.run(deployer, state)
        if self.wait is None:
            return answer
        pauses = deployer.pauses(self.wait.seconds)
        while (status := dig(answer, self.wait.status)) not in self.wait.ready:
            if status in self.wait.failed:
                raise _not_stable(state, dig(answer, self.wait.reason), f"its status is {status}")
            pauses.pause(f"{state.physical_id} is {status}")
            answer = read.run(deployer, state)
        for path, source in self.wait.shows.items():
            if dig(answer, path) != source.value(state):
                was = f"{path} is still {dig(answer, path)}"
                raise _not_stable(state, dig(answer, self.wait.reason), was)
        return answer

    @staticmethod
    def _is_shown(answer: Any, wait: Wait) -> bool:
        return answer is not None and dig(answer, wait.status) not in {None, *wait.gone}

    def _wait_until_gone(self, deployer: Deployer, state: State, read: Action, wait: Wait) -> None:
        pauses = deployer.pauses(wait.seconds)
        while self._is_shown(self._unless_missing(read, deployer, state), wait):
            pauses.pause(f"{state.physical_id} is being deleted")


def _not_stable(state: State, reason: str | None, otherwise: str) -> ResourceError:
    return ResourceError(
        f'Resource handler returned message: "{state.physical_id}: {reason or otherwise}"'
        " (HandlerErrorCode: NotStabilized)"
    )


def _plain(value: Any) -> Any:
    """An attribute as a template sees it: times are text."""
    return value.isoformat() if isinstance(value, dt.datetime) else value
