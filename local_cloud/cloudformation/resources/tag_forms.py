"""The forms in which services take tags; a template's are a list of ``Key`` and ``Value``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_cloud.cloudformation.resources.calls import Source

__all__ = ["as_list", "as_map", "specification", "with_prefix"]


def as_map(tags: list[dict[str, Any]]) -> dict[str, Any]:
    """``{key: value}``."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def as_list(tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A list, where a template has a map."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def with_prefix(tags: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``TagKey`` and ``TagValue``, as KMS has them."""
    return [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags]


def specification(kind: str) -> Source:
    """What EC2 takes when it makes a resource."""

    def value(properties: Mapping[str, Any]) -> Any:
        found = properties.get("Tags")
        return [{"ResourceType": kind, "Tags": found}] if found else None

    return Source(lambda state: value(state.properties), ("Tags",))
