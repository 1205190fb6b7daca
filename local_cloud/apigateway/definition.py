"""What an API is: resources and their methods, models, validators, answers of the gateway itself.

A deployment is a copy of all this. What is changed afterwards is not reachable before it is
deployed, too.

Source: https://docs.aws.amazon.com/apigateway/latest/api/API_Operations.html
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Definition", "Route"]


@dataclass(frozen=True)
class Route:
    """The method that a request asks for.

    Parameters
    ----------
    resource
        Resource, as the API shows it.
    method
        Its method, as the API shows it.
    path_parameters
        Name -> the part of the path that it stands for.
    """

    resource: Mapping[str, Any]
    method: Mapping[str, Any]
    path_parameters: Mapping[str, str]


@dataclass
class Definition:
    """The parts of an API, each as the API shows it.

    Parameters
    ----------
    settings
        Of the API itself: name, binary media types, where keys come from.
    resources
        Id -> resource, with its methods in ``resourceMethods``.
    models
        Name -> model.
    validators
        Id -> request validator.
    responses
        Response type -> gateway response.
    """

    settings: dict[str, Any]
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    validators: dict[str, dict[str, Any]] = field(default_factory=dict)
    responses: dict[str, dict[str, Any]] = field(default_factory=dict)

    def copied(self) -> Definition:
        """A copy that stays as it is."""
        return copy.deepcopy(self)

    def methods(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every method, with its resource."""
        for resource in self.resources.values():
            for method in resource["resourceMethods"].values():
                yield resource, method

    def find(self, path: str, verb: str) -> Route | None:
        """The method for a path, of the most exact resource; `None` when there is none.

        Source:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
        """
        trimmed = path.rstrip("/") or "/"
        found = [
            (_exactness(resource["path"]), resource, match.groupdict())
            for resource in self.resources.values()
            if (match := _pattern(resource["path"]).fullmatch(trimmed))
        ]
        for _, resource, parameters in sorted(found, key=lambda item: item[0]):
            methods = resource["resourceMethods"]
            method = methods.get(verb) or methods.get("ANY")
            if method is not None:
                names = _names(resource["path"])
                named = {name: parameters[f"p{index}"] for index, name in enumerate(names)}
                return Route(resource, method, named)
        return None

    def matches_binary(self, media_type: str) -> bool:
        """Whether a media type is one of those that are bytes, not text."""
        plain = media_type.partition(";")[0].strip().lower()
        known = self.settings.get("binaryMediaTypes") or []
        kind = plain.partition("/")[0]
        return any(_.lower() in {plain, "*/*", f"{kind}/*"} for _ in known) and bool(plain)


_PARAMETER = re.compile(r"\{([^}+]+)(\+?)\}")


def _names(path: str) -> list[str]:
    return [match[1] for match in _PARAMETER.finditer(path)]


def _pattern(path: str) -> re.Pattern[str]:
    pieces, end, index = [], 0, 0
    for match in _PARAMETER.finditer(path):
        pieces.append(re.escape(path[end : match.start()]))
        pieces.append(f"(?P<p{index}>{'.+' if match[2] else '[^/]+'})")
        end, index = match.end(), index + 1
    return re.compile("".join([*pieces, re.escape(path[end:])]))


def _exactness(path: str) -> tuple[int, ...]:
    """Sorts fixed parts of a path before parameters, and these before greedy ones."""
    return tuple(0 if "{" not in part else 1 if "+}" not in part else 2 for part in path.split("/"))
