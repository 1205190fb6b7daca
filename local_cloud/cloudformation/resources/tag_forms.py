"""The forms in which services take tags; a template's are a list of ``Key`` and ``Value``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import Call, Code, Source, State, attr

__all__ = ["ARN", "as_list", "as_map", "specification", "with_arn", "with_prefix"]

#: ARN for :func:`with_arn`.
ARN = attr("its ARN")


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


def with_arn(call: Call, arn: Callable[[Deployer, State], str]) -> Code:
    """A call with :data:`ARN`, for a resource that has an ARN which no answer gives."""

    def run(deployer: Deployer, state: State) -> Mapping[str, Any]:
        attributes = {**state.attributes, "its ARN": arn(deployer, state)}
        return call.run(deployer, dataclasses.replace(state, attributes=attributes))

    return Code(run, (call,))
