"""API calls as data: which operation, and where each of its parameters comes from.

A call is written once and used three ways: made, checked before anything is made (does the API take
these properties?), and read (which permissions does the deploying role need?).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from moto.core.utils import get_service_model

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.intrinsics import Unknown, is_known, text_of

__all__ = [
    "ID",
    "ITEM",
    "Action",
    "Call",
    "Code",
    "Operation",
    "Source",
    "State",
    "attr",
    "dig",
    "given",
    "item",
    "naming",
    "prop",
]

#: Service and operation, as boto3 and AWS name them.
Operation = tuple[str, str]


@dataclass(frozen=True)
class State:
    """A resource as the calls that make, change and delete it see it.

    Parameters
    ----------
    name
        Unique name: what a resource without a name of its own is called.
    properties
        Evaluated, with the generated name where the type needs one.
    physical_id
        What ``Ref`` gives; empty before it is made.
    attributes
        What ``Fn::GetAtt`` gives.
    item
        One member of a list, or several, for calls about members.
    update_policy
        How a change of it is to be made; empty when it is taken back.
    """

    name: str
    properties: Mapping[str, Any]
    physical_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    item: Any = None
    update_policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where a parameter of a call comes from.

    Parameters
    ----------
    value
        From the state; ``None`` leaves the parameter out.
    properties
        The template's properties that it is made of.
    """

    value: Callable[[State], Any]
    properties: tuple[str, ...] = ()


#: The physical id.
ID = Source(lambda state: state.physical_id)
#: The member, or members, that the call is about.
ITEM = Source(lambda state: state.item)


def prop(name: str, convert: Callable[[Any], Any] | None = None, default: Any = None) -> Source:
    """A property, in another form if wanted; `default` where the template does not set it."""

    def value(state: State) -> Any:
        found = state.properties.get(name, default)
        if convert is None or found is None or isinstance(found, Unknown):
            return found
        return convert(found)

    return Source(value, (name,))


def naming(name: str) -> Source:
    """A property by which the call finds the resource, and which it is not about."""
    return Source(lambda state: state.properties.get(name))


def attr(name: str) -> Source:
    """An attribute of the resource."""
    return Source(lambda state: state.attributes.get(name))


def item(name: str) -> Source:
    """A key of the member that the call is about."""
    return Source(lambda state: state.item.get(name))


def given(*names: str) -> dict[str, Source]:
    """Properties as parameters of the same names."""
    return {name: prop(name) for name in names}


class Action(Protocol):
    """Something that is done to a resource."""

    @property
    def properties(self) -> tuple[str, ...]:
        """Properties that it is made of."""

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation that it may call."""

    def problems(self, state: State) -> list[str]:
        """What of the state it cannot pass on."""

    def run(self, deployer: Deployer, state: State) -> Mapping[str, Any]:
        """Do it; return the answer."""


@dataclass(frozen=True)
class Call:
    """One API call.

    Parameters
    ----------
    service, operation
        As boto3 and AWS name them: ``ec2``, ``CreateVpc``.
    parameters
        Name -> :class:`Source` or constant. Names and the keys of nested values may be written in
        CloudFormation's case; values get the types of the operation's model.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> tuple[str, ...]:
        """Properties that are passed on."""
        return tuple(
            name
            for source in self.parameters.values()
            if isinstance(source, Source)
            for name in source.properties
        )

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The one operation."""
        return ((self.service, self.operation),)

    def problems(self, state: State) -> list[str]:
        """Keys of nested values that the operation has no member for."""
        return self._render(state)[1]

    def run(self, deployer: Deployer, state: State) -> Mapping[str, Any]:
        """Make the call."""
        return deployer.call(self.service, self.operation, self._render(state)[0])

    def _render(self, state: State) -> tuple[dict[str, Any], list[str]]:
        shape = get_service_model(self.service).operation_model(self.operation).input_shape
        problems: list[str] = []
        rendered: dict[str, Any] = {}
        for name, source in self.parameters.items():
            value = source.value(state) if isinstance(source, Source) else source
            if value is None:
                continue
            member = _member(shape, name)
            if member is None:
                raise TypeError(f"{self.service}:{self.operation} has no parameter {name}")
            where = f"#/{source.properties[0]}" if _from_template(source) else f"#/{name}"
            rendered[member] = _fit(value, shape.members[member], where, problems)
        return rendered, problems


def _from_template(source: Any) -> bool:
    return isinstance(source, Source) and bool(source.properties)


@dataclass(frozen=True)
class Code:
    """What takes more than one call, or a decision.

    Parameters
    ----------
    function
        Does it and returns an answer.
    sends
        Calls that it makes.
    extra_operations, extra_properties
        What it calls and uses besides.
    """

    function: Callable[[Deployer, State], Mapping[str, Any] | None]
    sends: tuple[Call, ...] = ()
    extra_operations: tuple[Operation, ...] = ()
    extra_properties: tuple[str, ...] = ()

    @property
    def properties(self) -> tuple[str, ...]:
        """Those of its calls, and what it uses besides."""
        return (*self.extra_properties, *(_ for call in self.sends for _ in call.properties))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Those of its calls, and what it calls besides."""
        return (*self.extra_operations, *(_ for call in self.sends for _ in call.operations))

    def problems(self, state: State) -> list[str]:
        """What its calls cannot pass on."""
        return [problem for call in self.sends for problem in call.problems(state)]

    def run(self, deployer: Deployer, state: State) -> Mapping[str, Any]:
        """Do it."""
        return self.function(deployer, state) or {}


# ------------------------------------------------------------------------------ forms


def _fit(value: Any, shape: Any, where: str, problems: list[str]) -> Any:
    """A value in the form that an operation's model asks for."""
    if isinstance(value, Unknown):
        return value
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return _structure(value, shape, where, problems)
    if kind == "map" and isinstance(value, Mapping):
        return {
            key: _fit(member, shape.value, f"{where}/{key}", problems)
            for key, member in value.items()
        }
    if kind == "list" and isinstance(value, list | tuple):
        return [
            _fit(member, shape.member, f"{where}/{index}", problems)
            for index, member in enumerate(value)
        ]
    return _SCALARS.get(kind, _unchanged)(value)


def _structure(
    value: Mapping[str, Any], shape: Any, where: str, problems: list[str]
) -> dict[str, Any]:
    found = {}
    for key, member_value in value.items():
        member = _member(shape, key)
        if member is None:
            problems.append(f"{where}/{key} is not part of the local cloud")
            continue
        found[member] = _fit(member_value, shape.members[member], f"{where}/{key}", problems)
    return found


def _member(shape: Any, name: str) -> str | None:
    """The model's name for a member: as it is written, or in another case."""
    members = shape.members if shape is not None else {}
    if name in members:
        return name
    return next((member for member in members if member.lower() == name.lower()), None)


def _text(value: Any) -> Any:
    """A policy and the like is JSON text for an API, an object in a template."""
    if isinstance(value, Mapping | list):
        if not is_known(value):
            return Unknown("an object")
        return json.dumps(value, separators=(",", ":"))
    return text_of(value) if isinstance(value, bool | int | float) else value


def _unchanged(value: Any) -> Any:
    return value


def _boolean(value: Any) -> bool:
    return text_of(value) == "true"


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "double": float,
    "float": float,
    "integer": int,
    "long": int,
    "string": _text,
}


def dig(value: Any, path: str) -> Any:
    """The part of an answer at a dotted path; ``None`` where there is none.

    Examples
    --------
    >>> dig({"Vpcs": [{"VpcId": "vpc-1"}]}, "Vpcs.0.VpcId")
    'vpc-1'
    """
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = (value or {}).get(part)
    return value
