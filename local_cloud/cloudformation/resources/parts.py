"""Parts of a resource: groups of properties that calls of their own bring from old to new.

The same part serves creation (there was nothing), update (both), deletion (nothing will be) and
rollback (an update the other way round).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import Action, Operation, Source, State, prop

__all__ = ["TAG_KEYS", "Items", "Part", "Setting", "tags"]


class Part(Protocol):
    """A group of properties with calls of its own."""

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation that it may call."""

    @property
    def operations_to_make(self) -> tuple[Operation, ...]:
        """Operations that a resource which has these properties takes in any case."""

    @property
    def made_with_resource(self) -> bool:
        """Whether the call that makes the resource takes care of it."""

    @property
    def undone_before_deletion(self) -> bool:
        """Whether it must be taken away before the resource can be deleted."""

    def problems(self, state: State) -> list[str]:
        """What of the state it cannot pass on."""

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        """Bring the part from what was to what is wanted; ``None`` is no resource."""


def _values(state: State | None, names: tuple[str, ...]) -> dict[str, Any]:
    properties: Mapping[str, Any] = state.properties if state else {}
    return {name: properties[name] for name in names if name in properties}


@dataclass(frozen=True)
class Setting:
    """Properties that one call sets and, perhaps, another takes away.

    Parameters
    ----------
    put
        Sets them.
    remove
        Takes them away when the template sets none of them any more; without it `put` is called,
        whose sources' defaults say what AWS falls back to.
    made_with_resource, undone_before_deletion
        See :class:`Part`.
    """

    put: Action
    remove: Action | None = None
    made_with_resource: bool = False
    undone_before_deletion: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties that `put` passes on."""
        return self.put.properties

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Those of both calls."""
        return self.put.operations + (self.remove.operations if self.remove else ())

    @property
    def operations_to_make(self) -> tuple[Operation, ...]:
        """`put`, and `remove` when it must be taken away."""
        put = () if self.made_with_resource else self.put.operations
        return put + (self.remove.operations if self.remove and self.undone_before_deletion else ())

    def problems(self, state: State) -> list[str]:
        """What `put` cannot pass on."""
        return self.put.problems(state) if _values(state, self.properties) else []

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        """Call `put` or `remove` when a property differs."""
        wanted = _values(after, self.properties)
        if wanted == _values(before, self.properties):
            return
        if after is not None and (wanted or self.remove is None):
            self.put.run(deployer, after)
        elif self.remove is not None and before is not None:
            self.remove.run(deployer, after or before)


@dataclass(frozen=True)
class Items:
    """Members of a list that are added and removed one by one, or several at once.

    Parameters
    ----------
    members
        The list.
    add, remove
        Calls with :data:`ITEM` or :func:`item`.
    key
        Keys by which members are the same although they differ. Without them a changed member is
        added, and the old one removed.
    update
        Changes such a member; without it `add` does.
    at_once
        Whether the calls take all members, as a list.
    removed_first
        Whether what is gone must make place for what is new.
    made_with_resource, undone_before_deletion
        See :class:`Part`.
    """

    members: Source
    add: Action
    remove: Action
    key: tuple[str, ...] = ()
    update: Action | None = None
    at_once: bool = False
    removed_first: bool = False
    made_with_resource: bool = False
    undone_before_deletion: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """The list, and what its calls need besides."""
        others = (name for name in self.add.properties if name not in self.members.properties)
        return (*self.members.properties, *others)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Those of both calls."""
        update = self.update.operations if self.update else ()
        return self.add.operations + self.remove.operations + update

    @property
    def operations_to_make(self) -> tuple[Operation, ...]:
        """`add`, and `remove` when members must be taken away."""
        add = () if self.made_with_resource else self.add.operations
        return add + (self.remove.operations if self.undone_before_deletion else ())

    def problems(self, state: State) -> list[str]:
        """What `add` cannot pass on."""
        return [
            problem
            for item in self._calls(self._members(state))
            for problem in self.add.problems(dataclasses.replace(state, item=item))
        ]

    def apply(self, deployer: Deployer, before: State | None, after: State | None) -> None:
        """Add what is new or differs, remove what is gone."""
        old, new = self._members(before), self._members(after)
        gone = [member for member in old if not self._among(member, new)]
        added = [member for member in new if not self._among(member, old)]
        changed = [member for member in new if member not in old and self._among(member, old)]
        steps = [
            (self.add, after, added),
            (self.update or self.add, after, changed),
            (self.remove, before, gone),
        ]
        for action, state, members in reversed(steps) if self.removed_first else steps:
            for item in self._calls(members):
                if state is not None:
                    action.run(deployer, dataclasses.replace(state, item=item))

    def _among(self, member: Any, others: list[Any]) -> bool:
        return any(self._same(member, other) for other in others)

    def _members(self, state: State | None) -> list[Any]:
        members = self.members.value(state) if state else []
        if isinstance(members, Mapping):  # the tags of some types
            return [{"Key": key, "Value": value} for key, value in members.items()]
        return list(members) if isinstance(members, list) else []

    def _calls(self, members: list[Any]) -> list[Any]:
        if self.at_once:
            return [members] if members else []
        return members

    def _same(self, one: Any, other: Any) -> bool:
        if self.key:
            return all(one.get(name) == other.get(name) for name in self.key)
        return bool(one == other)


def tags(
    tag: Action, untag: Action, *, name: str = "Tags", made_with_resource: bool = True
) -> Items:
    """Tags, which :data:`ITEM` gives to `tag`, and :data:`TAG_KEYS` their keys to `untag`."""
    return Items(
        prop(name), tag, untag, key=("Key",), at_once=True, made_with_resource=made_with_resource
    )


#: Keys of the tags that a call is about.
TAG_KEYS = Source(lambda state: [tag["Key"] for tag in state.item])
