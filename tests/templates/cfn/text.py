"""Rules about how a template is written: what evaluation does not show.

Like those of :mod:`cfn.rules`, but they read the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["parameters_without_help", "wildcards_without_reason"]


def wildcards_without_reason(path: Path) -> Iterator[str]:
    """Yield every ``*`` of a policy statement with no comment beside it.

    Beside it is: on its line, above its key or in the list that it is in, or above the statement.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for statement in _statements(yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)):
        above = lines[max(statement.start_mark.line - 1, 0)]
        for key, node in statement.value:
            for scalar in _scalars(node):
                last = scalar.start_mark.line
                nearby = [above, *lines[key.start_mark.line - 1 : last + 1]]
                if "*" in scalar.value and not any(map(_COMMENT.search, nearby)):
                    yield f"{path.name}:{last + 1}: {scalar.value} without a reason"


_COMMENT = re.compile(r"(^|\s)# \S")


def _statements(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        if "Effect" in {key.value for key, _ in node.value}:
            yield node
        for _, value in node.value:
            yield from _statements(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _statements(item)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars(value)


def parameters_without_help(
    document: Mapping[str, Any], without_default: set[str]
) -> Iterator[str]:
    """Yield what a parameter lacks that somebody who fills in the form needs."""
    interface = document["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    for name, rule in document["Parameters"].items():
        if ("Default" in rule) == (name in without_default):
            yield f"{name}: a default must {'not ' * (name in without_default)}be there"
        if not str(rule.get("Default", "x")).strip():
            yield f"{name}: an empty default, which Studio refuses"
        for key in ("Description", "ConstraintDescription"):
            if not rule.get(key):
                yield f"{name}: no {key}"
        has_rule = {"AllowedPattern", "AllowedValues", "MinValue"} & set(rule)
        if not has_rule or (rule["Type"] == "String" and "AllowedPattern" not in rule):
            yield f"{name}: nothing says what is allowed"
        if grouped.count(name) != 1:
            yield f"{name}: in {grouped.count(name)} groups of the form; in one it must be"
    for name in grouped:
        if name not in document["Parameters"]:
            yield f"{name}: in the form, and no parameter"
