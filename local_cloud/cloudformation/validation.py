"""Whether everything that a definition asks for can be made, before anything is.

A mistake in a template is told apart from what AWS can do and this cloud cannot: the first is a
validation error as on AWS, the second is refused by name. All that is found is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from local_cloud.cloudformation import schema
from local_cloud.cloudformation.errors import CapabilitiesError, TemplateError
from local_cloud.cloudformation.evaluation import Evaluation
from local_cloud.cloudformation.intrinsics import references
from local_cloud.cloudformation.resources import availability
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.template import Resource, Template
from local_cloud.errors import UnsupportedError

__all__ = ["capabilities", "check", "check_capabilities"]

_IAM_TYPES = frozenset(
    f"AWS::IAM::{name}"
    for name in (
        "AccessKey", "Group", "InstanceProfile", "ManagedPolicy", "Policy", "Role", "User",
        "UserToGroupAddition",
    )
)  # fmt: skip
_NAMES = frozenset(
    {"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"}
)


def capabilities(template: Template) -> tuple[str, ...]:
    """What the caller must acknowledge for a template."""
    made = [item for item in template.resources.values() if item.type in _IAM_TYPES]
    if any(_NAMES & set(item.properties) for item in made):
        return ("CAPABILITY_NAMED_IAM",)
    return ("CAPABILITY_IAM",) if made else ()


def check_capabilities(template: Template, given: tuple[str, ...]) -> None:
    """Return when the caller acknowledged what the template makes.

    Raises
    ------
    CapabilitiesError
        When a capability is missing.
    """
    needed = capabilities(template)
    if "CAPABILITY_NAMED_IAM" in given:  # it holds for unnamed ones too
        return
    missing = [name for name in needed if name not in given]
    if missing:
        raise CapabilitiesError(f"Requires capabilities : [{', '.join(missing)}]")


def check(evaluation: Evaluation) -> None:
    """Return when every resource of a definition can be made.

    Parameters
    ----------
    evaluation
        Of the definition, without resources.

    Raises
    ------
    TemplateError
        With every mistake, and all that is refused besides.
    UnsupportedError
        With everything that is refused, when there is no mistake.
    """
    evaluation.check_rules()
    unknown, refused = _unknown_types(evaluation)
    if unknown:
        names = ", ".join(unknown)
        raise TemplateError(f"Template format error: Unrecognized resource types: [{names}]")
    if not refused:
        _ = evaluation.order  # circles, and conditions that do not hold
    mistakes: list[str] = []
    for resource in evaluation.active.values():
        if resource.type in TYPES:
            mistakes += _mistakes(evaluation, resource)
            refused += _refusals(evaluation, resource)
    mistakes += _unknown_attributes(evaluation)
    if mistakes:
        raise TemplateError(*mistakes, *refused)
    if refused:
        raise UnsupportedError("CloudFormation", "; ".join(refused), "see docs/parity.md")
    evaluation.outputs()


def _unknown_types(evaluation: Evaluation) -> tuple[list[str], list[str]]:
    """Types that AWS does not have, and refusals of those that this cloud does not have."""
    named = {resource.type for resource in evaluation.template.resources.values()}
    types = {name for name in named if name not in TYPES}
    unknown = sorted(name for name in types if schema.find(name) is None)
    refused = [
        f"/Resources/{resource.logical_id}: resource type {resource.type} is not part of the"
        " local cloud"
        for resource in evaluation.template.resources.values()
        if resource.type in types and resource.type not in unknown
    ]
    return unknown, refused


def _mistakes(evaluation: Evaluation, resource: Resource) -> list[str]:
    _, problems = evaluation.properties(resource.logical_id)
    return [
        f"Properties validation failed for resource {resource.logical_id} with message: {problem}"
        for problem in problems
    ] + list(_policy_mistakes(resource))


def _policy_mistakes(resource: Resource) -> Iterator[str]:
    for name, members in TYPES[resource.type].update_policies.items():
        given = resource.update_policy.get(name)
        where = f"Template format error: [/Resources/{resource.logical_id}/UpdatePolicy/{name}]"
        if given is None:
            continue
        if not isinstance(given, Mapping):
            yield f"{where} a mapping is required"
            continue
        unknown = sorted(set(given) - set(members))
        missing = sorted(key for key, needed in members.items() if needed and key not in given)
        if unknown or missing:
            yield f"{where} its members are {', '.join(members)}; got {', '.join(given) or 'none'}"


def _refusals(evaluation: Evaluation, resource: Resource) -> Iterator[str]:
    kind = TYPES[resource.type]
    properties, _ = evaluation.properties(resource.logical_id)
    for problem in kind.problems(properties):
        yield f"/Resources/{resource.logical_id}/Properties{problem.removeprefix('#')}"
    for name in sorted(set(resource.update_policy) - set(kind.update_policies)):
        yield (
            f"/Resources/{resource.logical_id}/UpdatePolicy/{name} is not part of the local cloud"
        )
    missing = availability.missing(kind.operations_for(properties))
    if missing:
        yield (
            f"/Resources/{resource.logical_id}: {resource.type} needs {', '.join(missing)},"
            " which is not part of the local cloud"
        )


def _unknown_attributes(evaluation: Evaluation) -> Iterator[str]:
    template = evaluation.template
    for section in ("Resources", "Outputs"):
        for mention in references(template.data.get(section, {}), f"/{section}"):
            resource = template.resources.get(mention.name)
            if mention.attribute and resource is not None and resource.type in TYPES:
                yield from _attribute_problems(resource, mention.attribute, mention.where)


def _attribute_problems(resource: Resource, attribute: str, where: str) -> Iterator[str]:
    kind = TYPES[resource.type]
    if kind.has_attribute(attribute):
        return
    if attribute in kind.schema.attributes:
        yield f"{where}: the attribute {attribute} is not part of the local cloud"
    else:
        yield (
            f"Template error: resource {resource.logical_id} does not support attribute type"
            f" {attribute} in Fn::GetAtt ({where})"
        )
