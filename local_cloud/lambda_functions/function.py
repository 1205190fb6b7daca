"""Functions, their versions and aliases, as Lambda keeps them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html,
https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.images import Image

__all__ = ["LATEST", "Alias", "Function", "Version", "now"]

LATEST = "$LATEST"


def now() -> str:
    """The time, as Lambda writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def _revision() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Version:
    """A version, which never changes; ``$LATEST`` is replaced by another when it does.

    Parameters
    ----------
    name
        Of the function.
    arn
        Of this version.
    number
        ``$LATEST``, ``1``, ``2``, …
    settings
        As the API names them, complete.
    image_uri, image
        What it runs.
    modified, revision
        When it was made, and its unique id.
    """

    name: str
    arn: str
    number: str
    settings: Mapping[str, Any]
    image_uri: str
    image: Image
    modified: str = field(default_factory=now)
    revision: str = field(default_factory=_revision)

    def is_like(self, other: Version) -> bool:
        """Whether another one would do the same; a description does nothing."""
        return self.image.digest == other.image.digest and _doing(self) == _doing(other)

    def describe(self) -> dict[str, Any]:
        """FunctionConfiguration."""
        settings = dict(self.settings)
        image_config = settings.pop("ImageConfig", None)
        network = settings.get("VpcConfig")
        return {
            **settings,
            **({"VpcConfig": {**network, "VpcId": ""}} if network else {}),
            **({"ImageConfigResponse": {"ImageConfig": image_config}} if image_config else {}),
            "CodeSha256": self.image.digest,
            "CodeSize": 0,
            "FunctionArn": self.arn,
            "FunctionName": self.name,
            "LastModified": self.modified,
            "LastUpdateStatus": "Successful",
            "PackageType": "Image",
            "RevisionId": self.revision,
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "State": "Active",
            "TracingConfig": {"Mode": "PassThrough"},
            "Version": self.number,
        }


def _doing(version: Version) -> dict[str, Any]:
    return {name: value for name, value in version.settings.items() if name != "Description"}


@dataclass(frozen=True)
class Alias:
    """A name for a version, or for two that share the events."""

    name: str
    arn: str
    version: str
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    revision: str = field(default_factory=_revision)

    def choose(self) -> str:
        """The version that answers the next event, by chance and weight."""
        drawn = random.random()  # noqa: S311 - no secret
        for version, weight in self.weights.items():
            drawn -= weight
            if drawn < 0:
                return version
        return self.version

    def describe(self) -> dict[str, Any]:
        """AliasConfiguration."""
        routing = {"AdditionalVersionWeights": dict(self.weights)}
        return {
            "AliasArn": self.arn,
            "Description": self.description,
            "FunctionVersion": self.version,
            "Name": self.name,
            "RevisionId": self.revision,
            **({"RoutingConfig": routing} if self.weights else {}),
        }


@dataclass
class Function:
    """A function with everything that has its name.

    Parameters
    ----------
    name, arn
        Of the function, without a version.
    latest
        ``$LATEST``.
    tags
        Key -> value.
    versions
        Number -> published version.
    aliases
        Name -> alias.
    statements
        Qualifier, empty for none -> statement id -> statement of the resource's policy.
    event_configs
        Qualifier -> what is done with asynchronous events.
    reserved
        Most events at the same time; `None` without a limit.
    published
        The last version's number.
    in_flight
        Events that are being handled.
    """

    name: str
    arn: str
    latest: Version
    tags: dict[str, str]
    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    statements: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    event_configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    reserved: int | None = None
    published: int = 0
    in_flight: int = 0

    def version(self, number: str) -> Version | None:
        """A version, or ``$LATEST``."""
        return self.latest if number == LATEST else self.versions.get(number)
