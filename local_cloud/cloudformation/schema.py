"""What AWS publishes about a resource type: its properties, attributes and identifiers.

The resource provider schemas, with the constraints that cfn-lint's authors add, are data files of
the package cfn-lint. Each is read when its type is first used. A value is checked and brought to
the schema's type as CloudFormation does it: ``"true"`` is a boolean where one is wanted.

Source:
https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.cloudformation.intrinsics import Unknown, is_known, text_of
from local_cloud.errors import MachineError

__all__ = ["KEYWORDS", "Schema", "find"]

Pointer = tuple[str, ...]

#: Keywords that restrict a value, all of which are checked.
_RESTRICTIONS = frozenset(
    {
        "$ref", "additionalProperties", "anyOf", "const", "dependentExcluded", "dependentRequired",
        "enum", "enumCaseInsensitive", "items", "maxItems", "maxLength", "maxUniqueItems",
        "maximum", "minItems", "minLength", "minProperties", "minimum", "oneOf", "pattern",
        "patternProperties", "properties", "required", "requiredOr", "requiredXor", "type",
        "uniqueItems", "uniqueKeys",
    }
)  # fmt: skip
#: Keywords that say something else: about the type, about other resources, about display.
_ANNOTATIONS = frozenset(
    {
        "$comment", "default", "description", "examples", "format", "insertionOrder",
        "relationshipRef", "title",
    }
)  # fmt: skip
KEYWORDS = _RESTRICTIONS | _ANNOTATIONS

#: Any commercial region: types and their properties are the same wherever a type exists.
_REGION = "us-east-1"


@dataclass(frozen=True)
class Schema:
    """One resource type as AWS describes it.

    Parameters
    ----------
    name
        For instance ``AWS::S3::Bucket``.
    document
        The schema itself.
    """

    name: str
    document: Mapping[str, Any]

    @functools.cached_property
    def properties(self) -> frozenset[str]:
        """Names of the properties that a template may set."""
        read_only = {pointer[0] for pointer in self._pointers("readOnlyProperties")
                     if len(pointer) == 1}  # fmt: skip
        return frozenset(self.document["properties"]) - read_only

    @functools.cached_property
    def attributes(self) -> frozenset[str]:
        """Dotted names of the read-only properties: what ``Fn::GetAtt`` may ask for."""
        return frozenset(".".join(pointer) for pointer in self._pointers("readOnlyProperties"))

    @functools.cached_property
    def create_only(self) -> frozenset[Pointer]:
        """Properties that cannot be changed: another value needs another resource."""
        return frozenset(self._pointers("createOnlyProperties")) | frozenset(
            self._pointers("conditionalCreateOnlyProperties")
        )

    @property
    def deletes_first(self) -> bool:
        """Whether a replacement is made after the old one is gone, not before."""
        return bool(self.document.get("replacementStrategy") == "delete_then_create")

    @functools.cached_property
    def tag_property(self) -> str | None:
        """The property that the stack's tags are added to; ``None`` when it takes none."""
        tagging = self.document.get("tagging", {})
        if tagging.get("taggable", True) is False:
            return None
        name = str(tagging.get("tagProperty", "/properties/Tags")).rpartition("/")[2]
        return name if name in self.document["properties"] else None

    @functools.cached_property
    def tags_are_map(self) -> bool:
        """Whether tags are written as a map, not as a list of ``Key`` and ``Value``."""
        tags = self.document["properties"].get(self.tag_property, {})
        return bool(tags.get("type") == "object")

    def max_length(self, property_name: str) -> int | None:
        """Greatest length of a property's text; ``None`` without a limit."""
        limit = self._resolved(self.document["properties"][property_name]).get("maxLength")
        return None if limit is None else int(limit)

    def accepts(self, property_name: str, value: Any) -> bool:
        """Whether a property takes a value."""
        schema = self._resolved(self.document["properties"][property_name])
        _, problems = self._check(value, schema, "")
        return not problems

    def check(self, properties: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Properties in the schema's types, and what is wrong with them.

        Parameters
        ----------
        properties
            Evaluated; what is unknown is taken for right.

        Returns
        -------
        The properties, and one sentence per problem, each with the place in the properties.
        """
        problems = [
            f"#/{name}: it is read-only; a template cannot set it"
            for name in properties
            if name in self.document["properties"] and name not in self.properties
        ]
        checked, found = self._check(properties, self.document, "#")
        return checked, problems + found

    # ---------------------------------------------------------------- checking

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """A schema with what it refers to merged in; its own keywords win."""
        while "$ref" in schema:
            found: Any = self.document
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                found = found[part]
            schema = {**found, **{key: item for key, item in schema.items() if key != "$ref"}}
        return schema

    def _check(self, value: Any, schema: Mapping[str, Any], where: str) -> tuple[Any, list[str]]:
        schema = self._resolved(schema)
        if isinstance(value, Unknown):
            return value, []
        value, problem = _typed(value, schema.get("type"))
        if problem:
            return value, [f"{where}: {problem}"]
        problems = [f"{where}: {problem}" for problem in _restrictions(value, schema)]
        if isinstance(value, Mapping):
            value, found = self._check_members(value, schema, where)
            problems += found
        elif isinstance(value, list):
            checked = [
                self._check(item, schema.get("items", {}), f"{where}/{index}")
                for index, item in enumerate(value)
            ]
            value = [item for item, _ in checked]
            problems += [problem for _, found in checked for problem in found]
        problems += self._check_choices(value, schema, where)
        return value, problems

    def _check_members(
        self, value: Mapping[str, Any], schema: Mapping[str, Any], where: str
    ) -> tuple[dict[str, Any], list[str]]:
        known = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        checked: dict[str, Any] = {}
        problems: list[str] = []
        for name, item in value.items():
            member = known.get(name)
            if member is None:
                member = next((patterns[_] for _ in patterns if _search(_, name)), None)
            if member is None and schema.get("additionalProperties", True) is False:
                problems.append(f"{where}: extraneous key [{name}] is not permitted")
                continue
            checked[name], found = self._check(item, member or {}, f"{where}/{name}")
            problems += found
        return checked, problems

    def _check_choices(self, value: Any, schema: Mapping[str, Any], where: str) -> list[str]:
        for keyword in ("anyOf", "oneOf"):
            choices = schema.get(keyword)
            if choices and is_known(value):
                found = [self._check(value, choice, where)[1] for choice in choices]
                if all(found):
                    return found[0]
                if keyword == "oneOf" and sum(not problems for problems in found) > 1:
                    return [f"{where}: it matches more than one of the alternatives"]
        return []

    def _pointers(self, key: str) -> Iterator[Pointer]:
        for pointer in self.document.get(key, []):
            yield tuple(str(pointer).removeprefix("/properties/").split("/"))


# ------------------------------------------------------------------------------ types


def _typed(value: Any, wanted: Any) -> tuple[Any, str]:
    """The value in the first type that it can have without a change, then with one."""
    kinds = [wanted] if isinstance(wanted, str) else list(wanted or [])
    if not kinds or any(_is(value, kind) for kind in kinds):
        return value, ""
    for kind in kinds:
        converted = _CONVERSIONS.get(kind, _not_convertible)(value)
        if converted is not None:
            return converted, ""
    return value, f"expected type: {', '.join(kinds)}, found: {_kind(value)}"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(value, _PYTHON_TYPES[kind])


_PYTHON_TYPES: dict[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "object": Mapping,
    "string": str,
}


def _kind(value: Any) -> str:
    return next(kind for kind in (*_PYTHON_TYPES, "number") if _is(value, kind))


def _not_convertible(_: Any) -> Any:
    return None


def _to_text(value: Any) -> str | None:
    return text_of(value) if isinstance(value, bool | int | float) else None


def _to_boolean(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(str(value).lower())


def _to_integer(value: Any) -> int | None:
    text = str(value).removesuffix(".0")
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _to_number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "boolean": _to_boolean,
    "integer": _to_integer,
    "number": _to_number,
    "string": _to_text,
}

# ------------------------------------------------------------------------------ restrictions


def _restrictions(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    if "const" in schema and value != schema["const"]:
        yield f"{value!r} was found; {schema['const']!r} is required"
    if "enum" in schema and is_known(value) and value not in schema["enum"]:
        yield f"{value!r} is not a valid enum value; one of {_listed(schema['enum'])}"
    if isinstance(value, str):
        yield from _text_restrictions(value, schema)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _within(value, schema, "minimum", "maximum", f"{value}")
    elif isinstance(value, list):
        yield from _list_restrictions(value, schema)
    elif isinstance(value, Mapping):
        yield from _object_restrictions(value, schema)


def _listed(items: list[Any]) -> str:
    return ", ".join(str(item) for item in items)


def _within(
    size: float, schema: Mapping[str, Any], least: str, greatest: str, what: str
) -> Iterator[str]:
    if size < schema.get(least, size):
        yield f"{what} is less than {least} {schema[least]}"
    if size > schema.get(greatest, size):
        yield f"{what} is greater than {greatest} {schema[greatest]}"


def _text_restrictions(value: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from _within(len(value), schema, "minLength", "maxLength", f"length {len(value)}")
    pattern = schema.get("pattern")
    if pattern is not None and not _search(pattern, value):
        yield f"failed validation constraint for keyword [pattern]: {value!r} against {pattern}"
    choices = schema.get("enumCaseInsensitive")
    if choices is not None and value.lower() not in {str(item).lower() for item in choices}:
        yield f"{value!r} is not a valid enum value; one of {_listed(choices)}"


def _list_restrictions(value: list[Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield from _within(len(value), schema, "minItems", "maxItems", f"{len(value)} members")
    distinct = [item for index, item in enumerate(value) if item not in value[:index]]
    if schema.get("uniqueItems") and len(distinct) < len(value):
        yield "its members must differ from each other"
    yield from _within(len(distinct), schema, "", "maxUniqueItems", f"{len(distinct)} members")
    for key in schema.get("uniqueKeys", []):
        names = [item.get(key) for item in value if isinstance(item, Mapping)]
        if any(name in names[:index] for index, name in enumerate(names)):
            yield f"{key} must differ between its members"


def _object_restrictions(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    given = set(value)
    for name in schema.get("required", []):
        if name not in given:
            yield f"required key [{name}] not found"
    yield from _within(
        len(given), schema, "minProperties", "maxProperties", f"{len(given)} properties"
    )
    one_of = set(schema.get("requiredXor", []))
    if one_of and len(one_of & given) != 1:
        yield f"exactly one of {_listed(sorted(one_of))} is required"
    any_of = set(schema.get("requiredOr", []))
    if any_of and not any_of & given:
        yield f"at least one of {_listed(sorted(any_of))} is required"
    for name, others in schema.get("dependentRequired", {}).items():
        if name in given and set(others) - given:
            yield f"[{name}] requires {_listed(others)}"
    for name, others in schema.get("dependentExcluded", {}).items():
        if name in given and set(others) & given:
            yield f"[{name}] cannot be given together with {_listed(others)}"


#: Unicode's classes that Python's expressions have no name for. ``\w`` is letters, numbers and
#: the underscore, which every pattern that asks for the first two allows too.
_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{M}": "\u0300-\u036f",
    r"\p{N}": r"\d",
    r"\p{Print}": "[ -~]",  # it stands for itself, never within brackets
    r"\p{P}": r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u2027\u2030-\u205e",
    r"\p{S}": "$+<=>^`|~\u00a2-\u00a9\u00ac\u00ae-\u00b1\u00b4\u20a0-\u20c0\u2100-\u2bff",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for name, members in _CLASSES.items():
        pattern = pattern.replace(name, members)
    return re.compile(pattern)


def _search(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


# ------------------------------------------------------------------------------ files


def find(name: str) -> Schema | None:
    """The schema of a resource type; ``None`` when AWS has no such type."""
    digest = _index().get(name)
    if digest is None:
        return None
    return _read(name, digest)


@functools.cache
def _read(name: str, digest: str) -> Schema:
    text = (_folder() / "resources" / f"{digest}.json").read_text(encoding="utf-8")
    return Schema(name, json.loads(text))


@functools.cache
def _index() -> dict[str, str]:
    text = (_folder() / "providers" / f"{_REGION}.json").read_text(encoding="utf-8")
    index: dict[str, str] = json.loads(text)
    return index


@functools.cache
def _folder() -> Path:
    """Where the package cfn-lint keeps them; its code is not imported."""
    spec = importlib.util.find_spec("cfnlint")
    for place in spec.submodule_search_locations or [] if spec else []:
        folder = Path(place) / "data" / "schemas"
        if (folder / "providers" / f"{_REGION}.json").is_file():
            return folder
    raise MachineError(
        "CloudFormation",
        "the resource schemas of the package cfn-lint were not found",
        "cfn-lint 1.58 or newer must be installed",
        "Install requirements/run.txt",
    )
