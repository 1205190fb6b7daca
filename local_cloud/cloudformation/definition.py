"""What a stack is to be, and what of the world around it a template can ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.cloudformation.template import Template

__all__ = ["Content", "Definition", "Surroundings"]


@dataclass(frozen=True)
class Content:
    """What somebody gives for a stack: a template's text, parameters and tags.

    A parameter without a text keeps the one that the stack has.
    """

    text: str
    parameters: Mapping[str, str | None]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Definition:
    """What a stack is to be.

    Parameters
    ----------
    template
        Checked for form.
    parameters
        Name -> text of every parameter.
    tags
        Of the stack; resources that take tags get them too.
    capabilities
        What the caller acknowledged.
    """

    template: Template
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """What of the account and the stack a template can ask for.

    Parameters
    ----------
    account_id, region, stack_id, stack_name
        Pseudo parameters.
    exports
        Value of another stack's export by its name; ``None`` without.
    zones
        Names of the availability zones.
    """

    account_id: str
    region: str
    stack_id: str
    stack_name: str
    exports: Callable[[str], str | None]
    zones: Callable[[], list[str]]

    @property
    def pseudo_parameters(self) -> dict[str, Any]:
        """Name -> value."""
        return {
            "AWS::AccountId": self.account_id,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackId": self.stack_id,
            "AWS::StackName": self.stack_name,
            "AWS::URLSuffix": "amazonaws.com",
        }
