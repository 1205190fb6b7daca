"""A template's text, JSON or YAML, as plain data: mappings, lists and scalars.

YAML's short forms become the long ones (``!Ref x`` is ``{"Ref": "x"}``), dates stay text, and what
CloudFormation does not take is refused: aliases, merges, duplicate keys, null.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from local_cloud.cloudformation.errors import TemplateError

__all__ = ["read"]

#: Where libyaml is compiled in, a long template takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_SHORT_FORMS = frozenset(
    {
        "And", "Base64", "Cidr", "Equals", "FindInMap", "GetAZs", "GetAtt", "If", "ImportValue",
        "Join", "Length", "Not", "Or", "Select", "Split", "Sub", "ToJsonString", "Transform",
    }
)  # fmt: skip
_BARE = frozenset({"Condition", "Ref"})
_PREFIX = "tag:yaml.org,2002:"
_KINDS = frozenset({"bool", "float", "int", "map", "null", "seq", "str", "timestamp"})


def read(text: str) -> dict[str, Any]:
    """The template as plain data.

    Raises
    ------
    TemplateError
        When it is not well-formed, with line and column or the place in the template.
    """
    data = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    if not isinstance(data, dict):
        raise TemplateError("Template format error: the template must be a mapping")
    return data


def _json(text: str) -> Any:
    try:
        return _without_nulls(json.loads(text, object_pairs_hook=_unique), "")
    except json.JSONDecodeError as error:
        place = f"(line {error.lineno}, column {error.colno})"
        raise TemplateError(
            f"Template format error: JSON not well-formed. {place}: {error.msg}"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TemplateError(f"Template format error: duplicate key {key!r}")
        found[key] = value
    return found


def _without_nulls(value: Any, where: str) -> Any:
    if value is None:
        raise _null(where)
    if isinstance(value, dict):
        return {key: _without_nulls(item, f"{where}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nulls(item, f"{where}/{index}") for index, item in enumerate(value)]
    return value


def _null(where: str) -> TemplateError:
    return TemplateError(
        f"Template format error: [{where}] 'null' values are not allowed in templates"
    )


def _yaml(text: str) -> Any:
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        problem = error.problem or "not well-formed"
        raise _not_well_formed(error.problem_mark, problem) from error
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: YAML not well-formed. {error}") from error
    if node is None:
        raise TemplateError("Template format error: the template is empty")
    return _Nodes().plain(node, "")


def _not_well_formed(mark: Any, problem: str) -> TemplateError:
    place = f"(line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return TemplateError(f"Template format error: YAML not well-formed. {place}: {problem}")


class _Nodes:
    """Plain data of a tree of YAML nodes."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def plain(self, node: yaml.Node, where: str) -> Any:
        if id(node) in self._seen:  # an alias is its anchor's node, met again
            raise _not_well_formed(node.start_mark, "aliases are not supported")
        self._seen.add(id(node))
        if node.tag.startswith("!"):
            return self._short_form(node, where)
        if node.tag.removeprefix(_PREFIX) not in _KINDS:
            raise _not_well_formed(node.start_mark, f"unknown tag {node.tag}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, where)
        return _scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or key_node.tag.endswith(":merge"):
                raise _not_well_formed(key_node.start_mark, "keys must be plain text")
            if key in found:
                raise _not_well_formed(key_node.start_mark, f"duplicate key {key!r}")
            found[key] = self.plain(value_node, f"{where}/{key}")
        return found

    def _sequence(self, node: yaml.SequenceNode, where: str) -> list[Any]:
        return [self.plain(item, f"{where}/{index}") for index, item in enumerate(node.value)]

    def _short_form(self, node: yaml.Node, where: str) -> dict[str, Any]:
        name = node.tag[1:]
        if name not in _SHORT_FORMS | _BARE:
            raise _not_well_formed(node.start_mark, f"unknown tag {node.tag}")
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, where)
        elif isinstance(node, yaml.SequenceNode):
            value = self._sequence(node, where)
        else:
            value = node.value
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in _BARE else f"Fn::{name}": value}


def _scalar(node: yaml.Node, where: str) -> Any:
    kind = node.tag.removeprefix(_PREFIX)
    if kind == "null":
        raise _null(where)
    if kind in {"bool", "float", "int"}:
        return getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")(node)
    return node.value  # text, and dates: AWSTemplateFormatVersion need not be quoted
