"""The policy statements of an evaluated template, wherever a resource keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfn.evaluation import Resource, Stack

__all__ = ["Document", "as_list", "documents", "identity_documents"]


@dataclass(frozen=True)
class Document:
    """A policy: `kind` is ``identity``, ``trust`` or ``resource``."""

    resource: Resource
    kind: str
    name: str
    body: Mapping[str, Any]

    @property
    def where(self) -> str:
        """Where to look for it in the template."""
        return f"{self.resource.logical_id}/{self.name}"

    def statements(self) -> list[Mapping[str, Any]]:
        """Return the statements."""
        return as_list(self.body["Statement"])


def as_list(value: Any) -> list[Any]:
    """Return `value`, in a list when it is not one."""
    return list(value) if isinstance(value, list | tuple) else [value]


def documents(stack: Stack) -> Iterator[Document]:
    """Yield every policy of a stack."""
    for resource in stack.resources.values():
        properties = resource.properties
        for policy in properties.get("Policies", []):
            yield Document(resource, "identity", policy["PolicyName"], policy["PolicyDocument"])
        if "AssumeRolePolicyDocument" in properties:
            yield Document(resource, "trust", "trust", properties["AssumeRolePolicyDocument"])
        for name in ("PolicyDocument", "KeyPolicy", "FileSystemPolicy"):
            if name in properties:
                identity = resource.type in {"AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"}
                kind = "identity" if identity else "resource"
                yield Document(resource, kind, name, properties[name])


def identity_documents(stack: Stack, *logical_ids: str) -> list[Mapping[str, Any]]:
    """Return the policies that say what the roles or managed policies `logical_ids` may do."""
    return [
        document.body
        for document in documents(stack)
        if document.kind == "identity" and document.resource.logical_id in logical_ids
    ]
