"""A template as data: its sections, checked for form, names and mentions.

What is checked here needs neither parameters nor the account. What a section of AWS's grammar does
that this cloud does not (macros, hooks, creation policies, snapshots) is refused by name.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.cloudformation import parameters, syntax
from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.intrinsics import (
    NO_VALUE,
    RULE_FUNCTIONS,
    references,
)
from local_cloud.cloudformation.parameters import Parameter

__all__ = ["PSEUDO_PARAMETERS", "Output", "Resource", "Rule", "Template", "parse"]

PSEUDO_PARAMETERS = frozenset(
    {
        "AWS::AccountId",
        "AWS::NoValue",
        "AWS::NotificationARNs",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)
_SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion", "Conditions", "Description", "Mappings", "Metadata", "Outputs",
        "Parameters", "Resources", "Rules",
    }
)  # fmt: skip
_REFUSED_SECTIONS = {"Hooks": "there are no hooks", "Transform": "there are no macros"}
_RESOURCE_KEYS = frozenset(
    {
        "Condition", "DeletionPolicy", "DependsOn", "Metadata", "Properties", "Type",
        "UpdatePolicy", "UpdateReplacePolicy",
    }
)  # fmt: skip
_REFUSED_RESOURCE_KEYS = {"CreationPolicy": "nothing sends signals"}
_DELETION_POLICIES = frozenset({"Delete", "Retain", "RetainExceptOnCreate"})
_LIMITS = {"Mappings": 200, "Outputs": 200, "Parameters": 200, "Resources": 500}
_DESCRIPTION_BYTES = 1024


@dataclass(frozen=True)
class Resource:
    """One resource as it is declared; its properties are not evaluated yet."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    update_policy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """JSON pointer of its properties."""
        return f"/Resources/{self.logical_id}/Properties"


@dataclass(frozen=True)
class Output:
    """One output as it is declared."""

    name: str
    value: Any
    description: str = ""
    condition: str | None = None
    export_name: Any = None


@dataclass(frozen=True)
class Rule:
    """Assertions about parameters, as declared; `condition` is ``None`` when they always hold."""

    name: str
    condition: Any
    assertions: tuple[tuple[Any, str], ...]


@dataclass(frozen=True)
class Template:
    """A template whose form is right.

    Parameters
    ----------
    text
        As it was given.
    data
        As plain data.
    """

    text: str
    data: Mapping[str, Any] = field(repr=False)
    description: str
    parameters: Mapping[str, Parameter]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    rules: tuple[Rule, ...]
    resources: Mapping[str, Resource]
    outputs: Mapping[str, Output]


@functools.lru_cache(maxsize=64)
def parse(text: str) -> Template:
    """A template from its text, JSON or YAML.

    Raises
    ------
    TemplateError
        With every problem that was found.
    """
    data = syntax.read(text)
    problems: list[str] = list(_section_problems(data))
    if problems:
        raise TemplateError(*problems)
    declared = {
        name: parameters.declare(name, item, problems)
        for name, item in data.get("Parameters", {}).items()
    }
    resources = _each(data, "Resources", _resource, problems)
    template = Template(
        text=text,
        data=data,
        description=str(data.get("Description", "")),
        parameters={name: item for name, item in declared.items() if item is not None},
        mappings=data.get("Mappings", {}),
        conditions=data.get("Conditions", {}),
        rules=tuple(_each(data, "Rules", _rule, problems).values()),
        resources=resources,
        outputs=_each(data, "Outputs", _output, problems),
    )
    problems += _mention_problems(template, frozenset(declared))
    if problems:
        raise TemplateError(*problems)
    return template


def _format(where: str, problem: str) -> str:
    return f"Template format error: [{where}] {problem}"


def _section_problems(data: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(set(data) - _SECTIONS):
        if name in _REFUSED_SECTIONS:
            reason = _REFUSED_SECTIONS[name]
            yield f"[/{name}] the section {name} is not part of the local cloud: {reason}"
        else:
            yield f"Invalid template property or properties [{name}]"
    version = data.get("AWSTemplateFormatVersion", "2010-09-09")
    if version != "2010-09-09":
        yield f"Template format error: {version!r} is not a supported AWSTemplateFormatVersion"
    if not data.get("Resources"):
        yield (
            "Template format error: At least one Resources member must be defined."
        )  # a mapping without members, too
    for name in _SECTIONS - {"AWSTemplateFormatVersion", "Description"}:
        if name in data and not isinstance(data[name], Mapping):
            yield _format(f"/{name}", "a mapping is required")
        elif len(data.get(name, {})) > _LIMITS.get(name, 500):
            yield _format(f"/{name}", f"more than {_LIMITS[name]} members")
    description = data.get("Description", "")
    if not isinstance(description, str) or len(description.encode()) > _DESCRIPTION_BYTES:
        yield _format("/Description", f"text of at most {_DESCRIPTION_BYTES} bytes is required")


_Reader = Callable[[str, Mapping[str, Any]], Any]


def _each(
    data: Mapping[str, Any], section: str, read: _Reader, problems: list[str]
) -> dict[str, Any]:
    """What `read` makes of every member of a section; its problems are gathered."""
    found = {}
    for name, item in data.get(section, {}).items():
        where = f"/{section}/{name}"
        try:
            if not re.fullmatch(r"[A-Za-z0-9]{1,255}", name):
                raise TemplateError(_format(where, "a name of letters and digits is required"))
            if not isinstance(item, Mapping):
                raise TemplateError(_format(where, "a mapping is required"))
            found[name] = read(name, item)
        except TemplateError as error:
            problems += error.problems
    return found


def _resource(logical_id: str, item: Mapping[str, Any]) -> Resource:
    problems = list(_resource_problems(logical_id, item))
    if problems:
        raise TemplateError(*problems)
    depends_on = item.get("DependsOn", [])
    return Resource(
        logical_id=logical_id,
        type=item["Type"],
        properties=item.get("Properties", {}),
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=item.get("Condition"),
        deletion_policy=item.get("DeletionPolicy", "Delete"),
        update_replace_policy=item.get("UpdateReplacePolicy", "Delete"),
        update_policy=item.get("UpdatePolicy", {}),
    )


def _resource_problems(logical_id: str, item: Mapping[str, Any]) -> Iterator[str]:
    where = f"/Resources/{logical_id}"
    for key in sorted(set(item) - _RESOURCE_KEYS):
        if key in _REFUSED_RESOURCE_KEYS:
            reason = _REFUSED_RESOURCE_KEYS[key]
            yield f"[{where}/{key}] {key} is not part of the local cloud: {reason}"
        else:
            yield _format(where, f"Invalid template resource property '{key}'")
    if not isinstance(item.get("Type"), str):
        yield _format(where, "Every Resources object must contain a Type member.")
    for key in ("Properties", "UpdatePolicy"):
        if not isinstance(item.get(key, {}), Mapping):
            yield _format(f"{where}/{key}", "a mapping is required")
    for key in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = item.get(key, "Delete")
        allowed = _DELETION_POLICIES - ({"RetainExceptOnCreate"} if key[0] == "U" else set())
        if not isinstance(policy, str) or policy not in allowed:
            yield (
                f"[{where}/{key}] {policy!r} is not part of the local cloud;"
                f" it has {', '.join(sorted(allowed))}"
            )
    depends_on = item.get("DependsOn", [])
    names = [depends_on] if isinstance(depends_on, str) else depends_on
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        yield _format(f"{where}/DependsOn", "a logical id, or a list of them, is required")
    if not isinstance(item.get("Condition", ""), str):
        yield _format(f"{where}/Condition", "the name of a condition is required")


def _output(name: str, item: Mapping[str, Any]) -> Output:
    where = f"/Outputs/{name}"
    export = item.get("Export", {})
    problems = [
        _format(where, f"Invalid template output property '{key}'")
        for key in sorted(set(item) - {"Condition", "Description", "Export", "Value"})
    ]
    if "Value" not in item:
        problems.append(_format(where, "Every Outputs member must contain a Value object"))
    if not isinstance(export, Mapping) or set(export) - {"Name"}:
        problems.append(_format(f"{where}/Export", "a mapping with a Name is required"))
    if problems:
        raise TemplateError(*problems)
    return Output(
        name,
        item["Value"],
        str(item.get("Description", "")),
        item.get("Condition"),
        export.get("Name"),
    )


def _rule(name: str, item: Mapping[str, Any]) -> Rule:
    where = f"/Rules/{name}"
    assertions = item.get("Assertions")
    if set(item) - {"Assertions", "RuleCondition"} or not isinstance(assertions, list):
        raise TemplateError(_format(where, "Assertions, and RuleCondition if any, are required"))
    for index, assertion in enumerate(assertions):
        if not isinstance(assertion, Mapping) or "Assert" not in assertion:
            raise TemplateError(_format(f"{where}/Assertions/{index}", "an Assert is required"))
    return Rule(
        name,
        item.get("RuleCondition"),
        tuple((item["Assert"], str(item.get("AssertDescription", ""))) for item in assertions),
    )


# ------------------------------------------------------------------------------ mentions


def _mention_problems(template: Template, parameter_names: frozenset[str]) -> Iterator[str]:
    """Names that are mentioned and not there, dynamic references, functions out of place."""
    names = parameter_names | PSEUDO_PARAMETERS
    yield from _dangling(template.conditions, "/Conditions", names, "Conditions")
    yield from _dangling(template.data.get("Rules", {}), "/Rules", names, "Rules")
    resources = frozenset(template.data["Resources"])
    for resource in template.resources.values():
        for part in (resource.properties, resource.update_policy):
            yield from _dangling(part, resource.where, names | resources, "Resources")
        yield from _unknown_dependencies(resource, resources)
        yield from _unknown_condition(template, resource.condition, resource.where)
    for output in template.outputs.values():
        where = f"/Outputs/{output.name}"
        value = [output.value, NO_VALUE if output.export_name is None else output.export_name]
        yield from _dangling(value, where, names | resources, "Outputs")
        yield from _unknown_condition(template, output.condition, where)
    for section in ("Resources", "Outputs", "Conditions"):
        yield from _misplaced(template.data.get(section, {}), f"/{section}")
    for section in ("Resources", "Outputs"):
        yield from _dynamic_references(template.data.get(section, {}), f"/{section}")


def _dangling(value: Any, where: str, names: frozenset[str], section: str) -> Iterator[str]:
    try:
        missing = sorted({item.name for item in references(value, where)} - names)
    except TemplateError as error:
        yield from error.problems
        return
    if missing:
        yield (
            f"Template format error: Unresolved resource dependencies [{', '.join(missing)}]"
            f" in the {section} block of the template ({where})"
        )


def _unknown_dependencies(resource: Resource, resources: frozenset[str]) -> Iterator[str]:
    missing = sorted(set(resource.depends_on) - resources)
    if missing:
        yield (
            f"Template format error: Unresolved resource dependencies [{', '.join(missing)}]"
            f" in the Resources block of the template (/Resources/{resource.logical_id}/DependsOn)"
        )


def _unknown_condition(template: Template, name: str | None, where: str) -> Iterator[str]:
    if name is not None and name not in template.conditions:
        yield f"Template format error: Unresolved condition dependency {name} ({where})"


def _misplaced(value: Any, where: str) -> Iterator[str]:
    for place, item in _mappings(value, where):
        for name in set(item) & set(RULE_FUNCTIONS):
            yield f"Template error: {place}: {name} may be called in Rules only"


def _mappings(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        yield where, value
        for key, item in value.items():
            if not (key == "Metadata" and where.count("/") == _RESOURCE_DEPTH):
                yield from _mappings(item, f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mappings(item, f"{where}/{index}")


_RESOURCE_DEPTH = 2  # of "/Resources/LogicalId"


def _dynamic_references(value: Any, where: str) -> Iterator[str]:
    for place, item in _mappings(value, where):
        for key, text in item.items():
            texts = text if isinstance(text, list) else [text]
            if any(isinstance(text, str) and "{{resolve:" in text for text in texts):
                yield f"[{place}/{key}] dynamic references are not part of the local cloud"
