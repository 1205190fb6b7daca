"""What an operation will do to a stack's resources, as data.

A change set shows a plan, and an update carries one out. Where a property depends on a resource
that is not there yet, the plan says so, and the decision is made when the value is known, by the
same comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from local_cloud.cloudformation import graph
from local_cloud.cloudformation.definition import Definition, Surroundings
from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.evaluation import Evaluation
from local_cloud.cloudformation.intrinsics import is_known
from local_cloud.cloudformation.resources import availability
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stack import Stack, StackResource
from local_cloud.errors import UnsupportedError

__all__ = ["Action", "Change", "Plan", "Step", "action_of", "compare", "deletion_order", "make"]


class Action(Enum):
    """What happens to a resource."""

    CREATE = "Add"
    CHANGE = "Modify"
    REPLACE = "Replace"
    DELETE = "Remove"
    KEEP = "Keep"


@dataclass(frozen=True)
class Change:
    """One property that differs.

    Parameters
    ----------
    name
        The property; empty when it is something behind the properties.
    replaces
        Whether the resource must be made anew for it.
    is_known
        Whether the new value is known already.
    """

    name: str
    replaces: bool
    is_known: bool


@dataclass(frozen=True)
class Step:
    """What happens to one resource; `changes` are empty when it is made or deleted."""

    action: Action
    logical_id: str
    type: str
    physical_id: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are taken; deletions come last.

    Parameters
    ----------
    steps
        One for each resource.
    changes_stack
        Whether an output, an export or a tag of the stack itself differs.
    """

    steps: tuple[Step, ...]
    changes_stack: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        kept = all(step.action is Action.KEEP for step in self.steps)
        return kept and not self.changes_stack


def make(
    definition: Definition, surroundings: Surroundings, stack: Stack, deployer: Deployer
) -> Plan:
    """The plan that brings a stack to a definition.

    Parameters
    ----------
    definition
        What the stack is to be.
    surroundings
        What the definition can ask for.
    stack
        As it is.
    deployer
        Who would do it.

    Raises
    ------
    TemplateError
        When the definition cannot be reached from there.
    UnsupportedError
        When a change takes an API call that is not here.
    """
    outlook = dict(stack.states)
    expected = Evaluation(definition, surroundings, outlook)
    steps = []
    for logical_id in expected.order:
        resource = expected.active[logical_id]
        properties, _ = expected.properties(logical_id)
        step = _step(resource.type, logical_id, properties, stack, deployer)
        steps.append(step)
        if step.action in {Action.CREATE, Action.REPLACE}:
            outlook.pop(logical_id, None)
        elif step.action is Action.CHANGE:
            expected.resources.changing[logical_id] = TYPES[resource.type].volatile
    gone = {name: item for name, item in stack.resources.items() if name not in expected.active}
    steps += [
        Step(Action.DELETE, name, item.declared.type, item.state.physical_id)
        for name, item in deletion_order(gone)
    ]
    tags_differ = dict(definition.tags) != dict(stack.definition.tags)
    return Plan(tuple(steps), tags_differ or expected.outputs() != stack.outputs)


def _step(
    kind: str, logical_id: str, properties: dict[str, Any], stack: Stack, deployer: Deployer
) -> Step:
    before = stack.resources.get(logical_id)
    if before is None:
        return Step(Action.CREATE, logical_id, kind)
    if before.declared.type != kind:
        raise TemplateError(
            "Update of resource type is not permitted. The new template modifies resource type"
            f" of the following resources: [{logical_id}]"
        )
    changes = compare(TYPES[kind], before, properties, deployer)
    action = action_of(changes)
    if action is Action.CHANGE:
        _require_changeable(TYPES[kind], logical_id, {change.name for change in changes})
    return Step(action, logical_id, kind, before.state.physical_id, changes)


def _require_changeable(kind: ResourceType, logical_id: str, names: set[str]) -> None:
    fixed = sorted(names & set(kind.immutable))
    if fixed:
        raise TemplateError(
            *(
                f"/Resources/{logical_id}/Properties/{name}: a change of it is refused;"
                " another logical id makes a new resource"
                for name in fixed
            )
        )
    missing = availability.missing(kind.operations_to_change(names))
    if missing:
        raise UnsupportedError(
            "CloudFormation",
            f"/Resources/{logical_id}: changing {', '.join(sorted(names))} of {kind.name} takes"
            f" {', '.join(missing)}",
            "which is not part of the local cloud",
        )


def compare(
    kind: ResourceType, before: StackResource, wanted: Mapping[str, Any], deployer: Deployer
) -> tuple[Change, ...]:
    """Properties in which a resource differs from what is wanted, by name."""
    names = sorted(
        name for name in {*before.wanted, *wanted} if before.wanted.get(name) != wanted.get(name)
    )
    changes = [
        Change(name, _replaces(kind, name, before.wanted, wanted), is_known(wanted.get(name)))
        for name in names
    ]
    if not changes and kind.fingerprint(deployer, wanted) != before.fingerprint:
        changes.append(Change("", replaces=False, is_known=False))
    return tuple(changes)


def _replaces(
    kind: ResourceType, name: str, before: Mapping[str, Any], wanted: Mapping[str, Any]
) -> bool:
    pointers = [pointer for pointer in kind.schema.create_only if pointer[0] == name]
    return any(_at(before, pointer) != _at(wanted, pointer) for pointer in pointers)


def _at(value: Any, pointer: tuple[str, ...]) -> Any:
    for part in pointer:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def action_of(changes: tuple[Change, ...]) -> Action:
    """What such changes make of a resource."""
    if any(change.replaces for change in changes):
        return Action.REPLACE
    return Action.CHANGE if changes else Action.KEEP


def deletion_order(resources: Mapping[str, StackResource]) -> list[tuple[str, StackResource]]:
    """Resources so that each comes before all that it was made with."""
    needs = {name: resource.needs for name, resource in resources.items()}
    return [(name, resources[name]) for name in reversed(graph.order(needs))]
