"""A template with its parameters: which resources there are, with which properties and outputs."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.cloudformation import graph, parameters
from local_cloud.cloudformation.definition import Definition, Surroundings
from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.intrinsics import (
    Scope,
    Unknown,
    evaluate,
    is_known,
    text_of,
    verdict,
)
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.template import Resource

__all__ = ["Evaluation", "Output", "Resources"]


@dataclass(frozen=True)
class Output:
    """The value of one output; unknown in a plan."""

    name: str
    value: Any
    description: str
    export_name: str | None


class Resources:
    """What ``Ref`` and ``Fn::GetAtt`` give for the resources that are there.

    Parameters
    ----------
    states
        By logical id; read when a value is asked for, so it may grow.
    """

    def __init__(self, states: dict[str, State]) -> None:
        self.states = states
        self.changing: dict[str, frozenset[str]] = {}
        self.mentioned: set[str] = set()

    def ref(self, logical_id: str) -> Any:
        """The physical id; unknown when there is none yet."""
        self.mentioned.add(logical_id)
        state = self.states.get(logical_id)
        return state.physical_id if state else Unknown(logical_id)

    def attribute(self, logical_id: str, name: str) -> Any:
        """An attribute; unknown when it is not there yet, or is about to change."""
        self.mentioned.add(logical_id)
        state = self.states.get(logical_id)
        changing = self.changing.get(logical_id, frozenset())
        if state is None or name in changing or "*" in changing:
            return Unknown(f"{logical_id}.{name}")
        if state.attributes.get(name) is None:
            raise TemplateError(
                f"Template error: resource {logical_id} does not support attribute type {name}"
                " in Fn::GetAtt"
            )
        return state.attributes[name]


class Evaluation:
    """Values of a definition.

    Parameters
    ----------
    definition
        What the stack is to be.
    surroundings
        What it can ask for.
    states
        The resources that are there, by logical id.
    """

    def __init__(
        self, definition: Definition, surroundings: Surroundings, states: dict[str, State]
    ) -> None:
        self.definition = definition
        self.template = definition.template
        self.resources = Resources(states)
        self.imports: set[str] = set()
        self.surroundings = surroundings
        self._scope = Scope(
            values={
                **parameters.values(self.template.parameters, definition.parameters),
                **surroundings.pseudo_parameters,
            },
            conditions=self.template.conditions,
            mappings=self.template.mappings,
            resources=self.resources,
            exports=self._export,
            zones=surroundings.zones,
        )

    def _export(self, name: str) -> str | None:
        self.imports.add(name)
        return self.surroundings.exports(name)

    # ---------------------------------------------------------------- rules

    def check_rules(self) -> None:
        """Return when every assertion of every rule holds.

        Raises
        ------
        TemplateError
            With the descriptions of those that do not.
        """
        problems = []
        for rule in self.template.rules:
            where = f"/Rules/{rule.name}"
            if rule.condition is not None and not verdict(rule.condition, self._scope, where):
                continue
            problems += [
                f"Template validation error: Rule {rule.name}: {description or 'it does not hold'}"
                for assertion, description in rule.assertions
                if not verdict(assertion, self._scope, where)
            ]
        if problems:
            raise TemplateError(*problems)

    # ---------------------------------------------------------------- resources

    @functools.cached_property
    def active(self) -> dict[str, Resource]:
        """Resources whose conditions hold."""
        return {
            name: resource
            for name, resource in self.template.resources.items()
            if self._holds(resource.condition, resource.where)
        }

    def _holds(self, condition: str | None, where: str) -> bool:
        return condition is None or self._scope.condition(condition, where)

    @functools.cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """Logical id -> resources that it needs, in the branches that are taken.

        Raises
        ------
        TemplateError
            When a resource needs one whose condition does not hold.
        """
        probe = Evaluation(self.definition, self.surroundings, {})
        found = {}
        for name, resource in self.active.items():
            probe.resources.mentioned.clear()
            probe.value(resource.properties, resource.where)
            probe.update_policy(name)
            self._require_active(probe.resources.mentioned, resource.where)
            explicit = {item for item in resource.depends_on if item in self.active}
            found[name] = tuple(sorted(probe.resources.mentioned | explicit))
        return found

    def value(self, value: Any, where: str) -> Any:
        """A value of the template with its functions replaced by what they give."""
        return evaluate(value, self._scope, where)

    def _require_active(self, names: Iterable[str], where: str) -> None:
        missing = sorted(set(names) - set(self.active))
        if missing:
            raise TemplateError(
                "Template format error: Unresolved resource dependencies"
                f" [{', '.join(missing)}]; their conditions do not hold ({where})"
            )

    @functools.cached_property
    def order(self) -> list[str]:
        """Logical ids so that each comes after all that it needs."""
        return graph.order(self.dependencies)

    def properties(self, logical_id: str) -> tuple[dict[str, Any], list[str]]:
        """Properties of a resource with the stack's tags, in the types of its schema.

        Returns
        -------
        The properties, and what is wrong with them.
        """
        resource = self.active[logical_id]
        evaluated = self.value(resource.properties, resource.where)
        return TYPES[resource.type].schema.check(self._tagged(resource, evaluated))

    def update_policy(self, logical_id: str) -> dict[str, Any]:
        """How a change of a resource is to be made."""
        resource = self.active[logical_id]
        where = f"/Resources/{logical_id}/UpdatePolicy"
        return dict(self.value(resource.update_policy, where))

    def _tagged(self, resource: Resource, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Properties with the stack's tags; a tag of the resource's own wins."""
        schema = TYPES[resource.type].schema
        name = schema.tag_property
        if name is None or not self.definition.tags:
            return dict(properties)
        own = properties.get(name)
        if schema.tags_are_map:
            return {**properties, name: {**self.definition.tags, **(own or {})}}
        keys = {tag.get("Key") for tag in own or []}
        added = [{"Key": key, "Value": value} for key, value in self.definition.tags.items()
                 if key not in keys]  # fmt: skip
        return {**properties, name: [*(own or []), *added]}

    # ---------------------------------------------------------------- outputs

    def outputs(self) -> dict[str, Output]:
        """Outputs whose conditions hold, by name.

        Raises
        ------
        TemplateError
            When a value is not text, or an export's name depends on a resource.
        """
        found = {}
        for name, output in self.template.outputs.items():
            where = f"/Outputs/{name}"
            if not self._holds(output.condition, where):
                continue
            self.resources.mentioned.clear()
            value = self._output_text(self.value(output.value, f"{where}/Value"), where)
            self._require_active(self.resources.mentioned, where)
            export = output.export_name
            if export is not None:
                export = self._output_text(self.value(export, f"{where}/Export"), where)
                if not is_known(export):
                    raise TemplateError(f"Template error: {where}: an export's name is unknown")
            found[name] = Output(name, value, output.description, export)
        return found

    @staticmethod
    def _output_text(value: Any, where: str) -> Any:
        if isinstance(value, Unknown):
            return value
        if not isinstance(value, str | int | float):
            raise TemplateError(
                f"Template format error: {where}: the value must resolve to text, not {value!r}"
            )
        return text_of(value)
