"""The parameters of a template: what they accept, and their values for one stack.

Source:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.intrinsics import text_of

__all__ = ["Parameter", "declare", "resolve", "values"]

_MAX_BYTES = 4096
_MASK = "****"
_TYPES = frozenset({"CommaDelimitedList", "List<Number>", "Number", "String"})
_KEYS = frozenset(
    {
        "AllowedPattern", "AllowedValues", "ConstraintDescription", "Default", "Description",
        "MaxLength", "MaxValue", "MinLength", "MinValue", "NoEcho", "Type",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """What one parameter accepts.

    Parameters
    ----------
    name, type, default, description
        As declared; `default` is text, ``None`` when a value must be given.
    allowed_values, allowed_pattern, constraint_description
        ``None`` or empty when there is no such constraint.
    length
        Least and greatest number of characters.
    bounds
        Least and greatest number.
    no_echo
        Whether its value is hidden wherever it would be shown.
    """

    name: str
    type: str
    default: str | None
    description: str
    allowed_values: tuple[str, ...] | None
    allowed_pattern: str | None
    constraint_description: str
    length: tuple[float, float]
    bounds: tuple[float, float]
    no_echo: bool

    def problems(self, value: str) -> Iterator[str]:
        """Why a value is not accepted, in AWS's words; nothing when it is."""
        if len(value.encode()) > _MAX_BYTES:
            yield f"Parameter '{self.name}' is longer than {_MAX_BYTES} bytes"
        for item in self._members(value):
            yield from self._member_problems(item)

    def _members(self, value: str) -> list[str]:
        if self.type in {"CommaDelimitedList", "List<Number>"}:
            return [item.strip() for item in value.split(",")]
        return [value]

    def _member_problems(self, item: str) -> Iterator[str]:
        if self.type in {"Number", "List<Number>"} and _number(item) is None:
            yield f"Parameter '{self.name}' must be a number."
            return
        for holds, problem in self._constraints(item):
            if not holds:
                yield self._unsatisfied(problem)

    def _constraints(self, item: str) -> Iterator[tuple[bool, str]]:
        number = _number(item) or 0.0
        if self.allowed_values is not None:
            yield item in self.allowed_values, "must be one of AllowedValues"
        if self.allowed_pattern is not None:
            matched = re.fullmatch(self.allowed_pattern, item) is not None
            yield matched, f"must match pattern {self.allowed_pattern}"
        if self.type == "String":
            yield len(item) >= self.length[0], f"must contain at least {self.length[0]} characters"
            yield len(item) <= self.length[1], f"must contain at most {self.length[1]} characters"
        if "Number" in self.type:
            yield number >= self.bounds[0], f"must be a number not less than {self.bounds[0]}"
            yield number <= self.bounds[1], f"must be a number not greater than {self.bounds[1]}"

    def _unsatisfied(self, problem: str) -> str:
        if self.constraint_description:
            return (
                f"Parameter {self.name} failed to satisfy constraint: {self.constraint_description}"
            )
        return f"Parameter '{self.name}' {problem}"

    def value(self, text: str) -> str | list[str]:
        """What ``Ref`` gives for a value: text, or a list of texts."""
        return text if self.type in {"Number", "String"} else self._members(text)

    def shown(self, text: str) -> str:
        """The value as anybody may read it."""
        return _MASK if self.no_echo else text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# ------------------------------------------------------------------------------ declaration


def declare(name: str, declared: Mapping[str, Any], problems: list[str]) -> Parameter | None:
    """A parameter from its place in the template; ``None`` with its problems appended."""
    where = f"/Parameters/{name}"
    found = list(_declaration_problems(name, declared, where))
    if found:
        problems += found
        return None
    allowed = declared.get("AllowedValues")
    default = declared.get("Default")
    parameter = Parameter(
        name=name,
        type=declared["Type"],
        default=None if default is None else _default(default),
        description=str(declared.get("Description", "")),
        allowed_values=None if allowed is None else tuple(text_of(item) for item in allowed),
        allowed_pattern=declared.get("AllowedPattern"),
        constraint_description=str(declared.get("ConstraintDescription", "")),
        length=_range(declared, "MinLength", "MaxLength"),
        bounds=_range(declared, "MinValue", "MaxValue"),
        no_echo=text_of(declared.get("NoEcho", False)) == "true",
    )
    if parameter.default is not None:
        problems += [
            f"Template format error: [{where}/Default] {problem}"
            for problem in parameter.problems(parameter.default)
        ]
    return parameter


def _declaration_problems(name: str, declared: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(declared, Mapping):
        yield f"Template format error: [{where}] a mapping is required"
        return
    if not re.fullmatch(r"[A-Za-z0-9]{1,255}", name):
        yield f"Template format error: Parameter name {name} is non alphanumeric."
    for key in sorted(set(declared) - _KEYS):
        yield f"Template format error: [{where}] Invalid template parameter property '{key}'"
    kind = declared.get("Type")
    if kind is None:
        yield f"Template format error: [{where}] every parameter must have a Type"
    elif kind not in _TYPES:
        yield (
            f"[{where}/Type] parameter type {kind!r} is not part of the local cloud;"
            f" it has {', '.join(sorted(_TYPES))}"
        )
    for key in ("MinLength", "MaxLength", "MinValue", "MaxValue"):
        if key in declared and _number(text_of(declared[key])) is None:
            yield f"Template format error: [{where}/{key}] a number is required"
    if "AllowedPattern" in declared:
        yield from _pattern_problems(declared["AllowedPattern"], where)


def _pattern_problems(pattern: Any, where: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        yield f"Template format error: [{where}/AllowedPattern] {pattern!r}: {error}"


def _default(value: Any) -> str:
    return ",".join(text_of(item) for item in value) if isinstance(value, list) else text_of(value)


def _range(declared: Mapping[str, Any], least: str, greatest: str) -> tuple[float, float]:
    return _bound(declared.get(least, "-inf")), _bound(declared.get(greatest, "inf"))


def _bound(value: Any) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


# ------------------------------------------------------------------------------ values


def resolve(
    declared: Mapping[str, Parameter],
    given: Mapping[str, str | None],
    previous: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The text of every parameter of a stack.

    Parameters
    ----------
    declared
        Of the template.
    given
        Name -> text, or ``None`` for the value that the stack has (UsePreviousValue).
    previous
        Values that the stack has.

    Raises
    ------
    TemplateError
        With every parameter that is missing, unknown or not accepted.
    """
    problems: list[str] = []
    unknown = sorted(set(given) - set(declared))
    if unknown:
        problems.append(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    found: dict[str, str] = {}
    missing = []
    for name, parameter in declared.items():
        text = given.get(name, parameter.default)
        if name in given and text is None:
            text = (previous or {}).get(name)
        if text is None:
            missing.append(name)
            continue
        found[name] = text
        problems += parameter.problems(text)
    if missing:
        problems.append(f"Parameters: [{', '.join(missing)}] must have values")
    if problems:
        raise TemplateError(*problems)
    return found


def values(declared: Mapping[str, Parameter], texts: Mapping[str, str]) -> dict[str, Any]:
    """What ``Ref`` gives for each parameter."""
    return {name: parameter.value(texts[name]) for name, parameter in declared.items()}
