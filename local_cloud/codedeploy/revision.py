"""What a deployment deploys: the AppSpec of a Lambda function.

Source:
https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from local_cloud.errors import UnsupportedError
from local_cloud.json_api import ApiError

__all__ = ["HOOKS", "Revision", "read"]

#: Lifecycle events before and after which a function may be called.
HOOKS = ("BeforeAllowTraffic", "AfterAllowTraffic")


@dataclass(frozen=True)
class Revision:
    """An alias, the version that it names, and the one that it is to name.

    Parameters
    ----------
    function, alias
        Names.
    current, target
        Versions.
    hooks
        Lifecycle event -> function.
    """

    function: str
    alias: str
    current: str
    target: str
    hooks: Mapping[str, str] = field(default_factory=dict)


def read(location: Mapping[str, Any]) -> Revision:
    """The revision that CreateDeployment is given.

    Raises
    ------
    ApiError
        When it is not an AppSpec for one function.
    UnsupportedError
        When it is in S3 or on GitHub.
    """
    kind = location.get("revisionType")
    if kind not in {"AppSpecContent", "String"}:
        raise UnsupportedError(
            "codedeploy:CreateDeployment", f"a revision of type {kind}", "AppSpecContent is"
        )
    given = location.get("appSpecContent") or location.get("string") or {}
    text = given.get("content", "")
    digest = given.get("sha256", "")
    if digest and digest != hashlib.sha256(text.encode()).hexdigest():
        raise _invalid("the sha256 of the AppSpec content does not match the content")
    try:
        data = yaml.safe_load(text)  # JSON too, which is YAML
    except yaml.YAMLError as error:
        raise _invalid(f"the AppSpec content is neither YAML nor JSON: {error}") from error
    return _revision(_lowered(data) if isinstance(data, Mapping) else {})


def _revision(data: Mapping[str, Any]) -> Revision:
    resources = data.get("resources")
    if str(data.get("version")) != "0.0" or not isinstance(resources, list) or len(resources) != 1:
        raise _invalid("an AppSpec of version 0.0 with one resource is required")
    named = resources[0]
    (resource,) = named.values() if isinstance(named, Mapping) and len(named) == 1 else ({},)
    resource = _lowered(resource) if isinstance(resource, Mapping) else {}
    if resource.get("type") != "AWS::Lambda::Function":
        raise _invalid(f"the resource's type is {resource.get('type')}, not AWS::Lambda::Function")
    properties = _lowered(resource.get("properties") or {})
    names = ("name", "alias", "currentversion", "targetversion")
    missing = [name for name in names if not properties.get(name)]
    if missing:
        raise _invalid(f"the resource's properties lack {', '.join(missing)}")
    function, alias, current, target = (str(properties[name]) for name in names)
    return Revision(function, alias, current, target, _hooks(data.get("hooks")))


def _hooks(given: Any) -> dict[str, str]:
    found = {}
    for item in given or []:
        for event, function in item.items() if isinstance(item, Mapping) else [(str(item), "")]:
            if event not in HOOKS or not function:
                raise _invalid(f"the hook {event}: {', '.join(HOOKS)} name a function")
            found[event] = str(function)
    return found


def _lowered(value: Mapping[str, Any]) -> dict[str, Any]:
    """Names of an AppSpec are written in any case."""
    return {str(name).lower(): item for name, item in value.items()}


def _invalid(why: str) -> ApiError:
    return ApiError("InvalidRevisionException", f"The AppSpec is not valid: {why}.")
