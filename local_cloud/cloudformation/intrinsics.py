"""The values of a template's functions: Ref, Fn::GetAtt, Fn::Sub, Fn::If and the others.

A value that depends on a resource which is not there yet is :class:`Unknown`; whatever is made of
it is unknown too. So a plan, and the checks before anything is made, use the same evaluation as the
making itself.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local_cloud.cloudformation.errors import TemplateError

__all__ = [
    "FUNCTIONS",
    "NO_VALUE",
    "RULE_FUNCTIONS",
    "Reference",
    "References",
    "Scope",
    "Unknown",
    "evaluate",
    "function_of",
    "is_known",
    "references",
    "text_of",
    "verdict",
]


@dataclass(frozen=True)
class Unknown:
    """A value that exists only after a resource was made.

    Parameters
    ----------
    source
        What it waits for, for instance ``Role.Arn``.
    """

    source: str

    def __str__(self) -> str:
        return f"{{{{changeSet:KNOWN_AFTER_APPLY:{self.source}}}}}"


class _NoValue:
    """What ``AWS::NoValue`` refers to: its key, or its place in a list, is left out."""


NO_VALUE = _NoValue()

#: What needs the AWS::LanguageExtensions transform, or a macro.
_REFUSED = {
    "Fn::ForEach": "it needs the transform AWS::LanguageExtensions",
    "Fn::GetStackOutput": "it reads the stacks of other accounts",
    "Fn::Length": "it needs the transform AWS::LanguageExtensions",
    "Fn::ToJsonString": "it needs the transform AWS::LanguageExtensions",
    "Fn::Transform": "there are no macros",
}


class References(Protocol):
    """What ``Ref`` and ``Fn::GetAtt`` to a resource give; either may be :class:`Unknown`."""

    def ref(self, logical_id: str) -> Any:
        """The physical id."""

    def attribute(self, logical_id: str, name: str) -> Any:
        """An attribute."""


@dataclass
class Scope:
    """Everything that the value of a function may depend on.

    Parameters
    ----------
    values
        Parameters and pseudo parameters.
    conditions, mappings
        As in the template.
    resources
        What refers to resources; ``None`` where the template may not (conditions, rules).
    exports
        Value of an export of another stack by name, ``None`` without.
    zones
        Names of the region's availability zones.
    """

    values: Mapping[str, Any]
    conditions: Mapping[str, Any]
    mappings: Mapping[str, Mapping[str, Mapping[str, Any]]]
    resources: References | None
    exports: Callable[[str], str | None]
    zones: Callable[[], list[str]]
    _verdicts: dict[str, bool | None] = field(default_factory=dict)

    def condition(self, name: str, where: str) -> bool:
        """Whether a named condition holds; each is evaluated once."""
        if name not in self.conditions:
            raise _error(where, f"there is no condition {name!r}")
        if name not in self._verdicts:
            self._verdicts[name] = None
            without_resources = Scope(
                self.values, self.conditions, self.mappings, None, self.exports, self.zones,
                self._verdicts,
            )  # fmt: skip
            place = f"/Conditions/{name}"
            self._verdicts[name] = verdict(self.conditions[name], without_resources, place)
        holds = self._verdicts[name]
        if holds is None:
            raise _error(where, f"condition {name!r} depends on itself")
        return holds


def _error(where: str, problem: str) -> TemplateError:
    return TemplateError(f"Template error: {where}: {problem}")


def is_known(value: Any) -> bool:
    """Whether a value holds nothing unknown, at any depth."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, Mapping):
        return all(is_known(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_known(item) for item in value)
    return True


def text_of(value: Any) -> str:
    """A scalar as CloudFormation writes it.

    Examples
    --------
    >>> text_of(True), text_of(3)
    ('true', '3')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def function_of(value: Mapping[str, Any], where: str) -> str | None:
    """Name of the function that a mapping calls; ``None`` when it is data.

    Raises
    ------
    TemplateError
        For an unknown or refused function, and for one with other keys beside it.
    """
    names = [key for key in value if key == "Ref" or key.startswith("Fn::")]
    if not names:
        return None
    name = names[0]
    if name.startswith("Fn::ForEach"):
        name = "Fn::ForEach"
    if name in _REFUSED:
        raise _error(where, f"{name} is not part of the local cloud: {_REFUSED[name]}")
    if name not in FUNCTIONS:
        raise _error(where, f"there is no function {name!r}")
    if len(value) > 1:
        raise _error(where, f"{name} stands beside other keys; a function must be alone")
    return name


def evaluate(value: Any, scope: Scope, where: str) -> Any:
    """A template's value with every function replaced by what it gives.

    Parameters
    ----------
    value
        Data of the template.
    scope
        What the functions may depend on.
    where
        JSON pointer of the value, for messages.

    Raises
    ------
    TemplateError
        When a function has wrong arguments or no value.
    """
    if isinstance(value, Mapping):
        name = function_of(value, where)
        if name is not None:
            return FUNCTIONS[name](value[name], scope, f"{where}/{name}")
        items = {key: evaluate(item, scope, f"{where}/{key}") for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not NO_VALUE}
    if isinstance(value, list):
        found = (evaluate(item, scope, f"{where}/{index}") for index, item in enumerate(value))
        return [item for item in found if item is not NO_VALUE]
    return value


# ------------------------------------------------------------------------------ references


@dataclass(frozen=True)
class Reference:
    """One mention of a parameter or resource.

    Parameters
    ----------
    name
        Parameter, pseudo parameter or logical id.
    attribute
        Of ``Fn::GetAtt``; ``None`` for ``Ref``.
    where
        JSON pointer of the mention.
    """

    name: str
    attribute: str | None
    where: str


def references(value: Any, where: str) -> Iterator[Reference]:
    """Every mention at any depth, in all branches of ``Fn::If``, in order."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{where}/{index}")
    if not isinstance(value, Mapping):
        return
    name = function_of(value, where)
    place = f"{where}/{name}"
    if name == "Ref":
        yield Reference(_name(value["Ref"], place), None, place)
    elif name == "Fn::GetAtt":
        logical_id, attribute = _get_att_parts(value[name], place)
        yield Reference(logical_id, attribute if isinstance(attribute, str) else "", place)
        yield from references(attribute, place)
    elif name == "Fn::Sub":
        yield from _sub_references(value[name], place)
    else:
        for key, item in value.items():
            yield from references(item, f"{where}/{key}")


def _sub_references(argument: Any, where: str) -> Iterator[Reference]:
    text, variables = _sub_parts(argument, where)
    for mention in _SUB.findall(text):
        if not mention.startswith("!") and mention not in variables:
            name, _, attribute = mention.partition(".")
            yield Reference(name, attribute or None, where)
    for key, item in variables.items():
        yield from references(item, f"{where}/1/{key}")


# ------------------------------------------------------------------------------ functions


def _name(argument: Any, where: str) -> str:
    if not isinstance(argument, str):
        raise _error(where, f"{argument!r} was found; a name is required")
    return argument


def _arguments(argument: Any, where: str, *counts: int) -> Sequence[Any]:
    if not isinstance(argument, list) or len(argument) not in counts:
        wanted = " or ".join(str(count) for count in counts)
        raise _error(where, f"{argument!r} was found; a list of {wanted} is required")
    return argument


def _ref(argument: Any, scope: Scope, where: str) -> Any:
    name = _name(argument, where)
    if name == "AWS::NoValue":
        return NO_VALUE
    if name in scope.values:
        return scope.values[name]
    if scope.resources is None:
        raise _error(where, f"{name!r} is no parameter; a resource cannot be referred to here")
    return scope.resources.ref(name)


def _get_att_parts(argument: Any, where: str) -> tuple[str, Any]:
    if isinstance(argument, str):
        argument = argument.split(".", 1)
    logical_id, attribute = _arguments(argument, where, 2)
    return _name(logical_id, where), attribute


def _get_att(argument: Any, scope: Scope, where: str) -> Any:
    logical_id, attribute = _get_att_parts(argument, where)
    if scope.resources is None:
        raise _error(where, f"{logical_id!r}: a resource cannot be referred to here")
    return scope.resources.attribute(logical_id, _name(evaluate(attribute, scope, where), where))


_SUB = re.compile(r"\$\{([^}]*)\}")
_MENTION = re.compile(r"!.*|[A-Za-z0-9]+([.:][A-Za-z0-9:._-]+)?")


def _sub_parts(argument: Any, where: str) -> tuple[str, Mapping[str, Any]]:
    text, variables = (argument, {}) if isinstance(argument, str) else _arguments(
        argument, where, 2
    )  # fmt: skip
    if not isinstance(text, str) or not isinstance(variables, Mapping):
        raise _error(where, f"{argument!r} was found; a text, or a text and a map, is required")
    for mention in _SUB.findall(text):
        if _MENTION.fullmatch(mention) is None:
            raise _error(where, f"${{{mention}}} is no name; ${{!{mention}}} writes it literally")
    return text, variables


def _sub(argument: Any, scope: Scope, where: str) -> Any:
    text, variables = _sub_parts(argument, where)
    given = {key: evaluate(item, scope, f"{where}/1/{key}") for key, item in variables.items()}
    pieces: list[Any] = []
    end = 0
    for found in _SUB.finditer(text):
        pieces += [text[end : found.start()], _mentioned(found.group(1), given, scope, where)]
        end = found.end()
    return _joined("", [*pieces, text[end:]], where)


def _mentioned(mention: str, given: Mapping[str, Any], scope: Scope, where: str) -> Any:
    if mention.startswith("!"):
        return f"${{{mention[1:]}}}"
    if mention in given:
        return given[mention]
    if "." in mention:
        return _get_att(mention, scope, where)
    return _ref(mention, scope, where)


def _joined(delimiter: str, pieces: Sequence[Any], where: str) -> Any:
    for piece in pieces:
        if isinstance(piece, Unknown):
            return piece
        if not isinstance(piece, str | int | float):
            raise _error(where, f"{piece!r} was found; only text can be put together")
    return delimiter.join(text_of(piece) for piece in pieces)


def _list(argument: Any, scope: Scope, where: str) -> Any:
    """A list as written, or what one function gives; unknown members stay in place."""
    value = evaluate(argument, scope, where)
    if not isinstance(value, list | Unknown):
        raise _error(where, f"{value!r} was found; a list is required")
    return value


def _join(argument: Any, scope: Scope, where: str) -> Any:
    delimiter, items = _arguments(argument, where, 2)
    values = _list(items, scope, f"{where}/1")
    if isinstance(values, Unknown):
        return values
    return _joined(_name(delimiter, where), values, where)


def _split(argument: Any, scope: Scope, where: str) -> Any:
    delimiter, text = _arguments(argument, where, 2)
    if not isinstance(delimiter, str) or not delimiter:
        raise _error(where, f"{delimiter!r} was found; a delimiter is required")
    value = evaluate(text, scope, f"{where}/1")
    if isinstance(value, Unknown):
        return value
    return _name(value, where).split(delimiter)


def _select(argument: Any, scope: Scope, where: str) -> Any:
    index, items = _arguments(argument, where, 2)
    values = _list(items, scope, f"{where}/1")
    chosen = evaluate(index, scope, f"{where}/0")
    if isinstance(values, Unknown):
        return values
    if not re.fullmatch(r"\d+", text_of(chosen)) or int(chosen) >= len(values):
        raise _error(where, f"index {chosen!r} was found; one of the list's {len(values)} members")
    return values[int(chosen)]


def _if(argument: Any, scope: Scope, where: str) -> Any:
    name, when_true, when_false = _arguments(argument, where, 3)
    holds = scope.condition(_name(name, where), where)
    return evaluate(when_true if holds else when_false, scope, f"{where}/{1 if holds else 2}")


def _find_in_map(argument: Any, scope: Scope, where: str) -> Any:
    keys = [
        _name(evaluate(key, scope, f"{where}/{index}"), where)
        for index, key in enumerate(_arguments(argument, where, 3))
    ]
    found: Any = scope.mappings
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            raise _error(where, f"Unable to get mapping for {'::'.join(keys)}")
        found = found[key]
    return found


def _import_value(argument: Any, scope: Scope, where: str) -> Any:
    name = evaluate(argument, scope, where)
    if isinstance(name, Unknown):
        raise _error(where, f"the name depends on {name.source}; it may depend on parameters only")
    value = scope.exports(_name(name, where))
    if value is None:
        raise TemplateError(f"No export named {name} found.")
    return value


def _base64(argument: Any, scope: Scope, where: str) -> Any:
    value = evaluate(argument, scope, where)
    if isinstance(value, Unknown):
        return value
    return base64.b64encode(_name(value, where).encode()).decode()


def _cidr(argument: Any, scope: Scope, where: str) -> Any:
    parts = _arguments(argument, where, 2, 3)
    block, count, *bits = (
        evaluate(part, scope, f"{where}/{index}") for index, part in enumerate(parts)
    )
    if not is_known([block, count, bits]):
        return next(part for part in (block, count, *bits) if isinstance(part, Unknown))
    try:
        network = ipaddress.ip_network(block)
        size = int(bits[0]) if bits else (8 if network.version == 4 else 64)  # noqa: PLR2004
        subnets = network.subnets(new_prefix=network.max_prefixlen - size)
        found = [str(subnet) for subnet, _ in zip(subnets, range(int(count)), strict=False)]
    except ValueError as error:
        raise _error(where, f"{block!r}, {count!r}, {bits!r}: {error}") from error
    if len(found) < int(count):
        raise _error(where, f"{block} holds {len(found)} networks of {size} bits, not {count}")
    return found


def _get_azs(argument: Any, scope: Scope, where: str) -> Any:
    region = evaluate(argument, scope, where)
    if region not in {"", scope.values["AWS::Region"]}:
        raise _error(where, f"{region!r} was found; this account is in one region only")
    return scope.zones()


# ------------------------------------------------------------------------------ conditions


def verdict(value: Any, scope: Scope, where: str) -> bool:
    """Whether a condition holds, written as a function or as ``{"Condition": name}``.

    Raises
    ------
    TemplateError
        When it is neither.
    """
    if isinstance(value, Mapping) and set(value) == {"Condition"}:
        return scope.condition(_name(value["Condition"], where), where)
    if not isinstance(value, Mapping) or function_of(value, where) not in _CONDITIONS:
        raise _error(where, f"{value!r} was found; one of {', '.join(_CONDITIONS)} is required")
    return bool(evaluate(value, scope, where))


def _verdicts(argument: Any, scope: Scope, where: str) -> Iterator[bool]:
    for index, item in enumerate(_arguments(argument, where, *range(2, 11))):
        yield verdict(item, scope, f"{where}/{index}")


def _and(argument: Any, scope: Scope, where: str) -> bool:
    return all(list(_verdicts(argument, scope, where)))


def _or(argument: Any, scope: Scope, where: str) -> bool:
    return any(list(_verdicts(argument, scope, where)))


def _not(argument: Any, scope: Scope, where: str) -> bool:
    (item,) = _arguments(argument, where, 1)
    return not verdict(item, scope, f"{where}/0")


def _equals(argument: Any, scope: Scope, where: str) -> bool:
    left, right = (
        _comparable(evaluate(item, scope, f"{where}/{index}"))
        for index, item in enumerate(_arguments(argument, where, 2))
    )
    return bool(left == right)


def _comparable(value: Any) -> Any:
    return value if isinstance(value, list | Mapping) else text_of(value)


def _contains(argument: Any, scope: Scope, where: str) -> bool:
    items, value = _arguments(argument, where, 2)
    return text_of(evaluate(value, scope, where)) in _texts(items, scope, where)


def _each_member_equals(argument: Any, scope: Scope, where: str) -> bool:
    items, value = _arguments(argument, where, 2)
    return set(_texts(items, scope, where)) <= {text_of(evaluate(value, scope, where))}


def _each_member_in(argument: Any, scope: Scope, where: str) -> bool:
    items, allowed = _arguments(argument, where, 2)
    return set(_texts(items, scope, where)) <= set(_texts(allowed, scope, where))


def _texts(argument: Any, scope: Scope, where: str) -> list[str]:
    return [text_of(item) for item in _list(argument, scope, where)]


_Function = Callable[[Any, Scope, str], Any]
#: Functions that only a rule may call.
RULE_FUNCTIONS: dict[str, _Function] = {
    "Fn::Contains": _contains,
    "Fn::EachMemberEquals": _each_member_equals,
    "Fn::EachMemberIn": _each_member_in,
}
_CONDITIONS: dict[str, _Function] = {
    "Fn::And": _and,
    "Fn::Equals": _equals,
    "Fn::Not": _not,
    "Fn::Or": _or,
    **RULE_FUNCTIONS,
}
FUNCTIONS: dict[str, _Function] = {
    **_CONDITIONS,
    "Fn::Base64": _base64,
    "Fn::Cidr": _cidr,
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": _get_azs,
    "Fn::GetAtt": _get_att,
    "Fn::If": _if,
    "Fn::ImportValue": _import_value,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::Sub": _sub,
    "Ref": _ref,
}
