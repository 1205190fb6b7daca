"""Parts of a template's text: what is needed before there is a bucket to read the whole from.

It goes by the layout of our templates: sections begin in column 1, their entries in column 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from scripts.errors import ScriptError

__all__ = ["crossing", "entries", "part", "published", "without_comments"]

_SECTION = re.compile(r"^(?=[A-Za-z])", re.MULTILINE)
_ENTRY = re.compile(r"^  (?=[A-Za-z0-9]+:)", re.MULTILINE)
_COMMENT = re.compile(r"^ *(#.*)?\n", re.MULTILINE)
_UNPUBLISHED = "Version: unpublished"
_NO_ACCOUNTS = "OtherAccounts: [none]"
_NO_FUNCTIONS = "OtherFunctions: [none]"


def entries(template: str, section: str) -> dict[str, str]:
    """Name -> text of what a section holds; nothing when there is no such section."""
    for text in _SECTION.split(template):
        if text.startswith(f"{section}:"):
            found = [f"  {each}" for each in _ENTRY.split(text)[1:]]
            return {each.split(":", 1)[0].strip(): each for each in found}
    return {}


def part(template: str, resources: Collection[str]) -> str:
    """The template with these resources alone, without outputs and comments.

    Raises
    ------
    ScriptError
        When it has no such resource.
    """
    known = entries(template, "Resources")
    if absent := sorted(set(resources) - set(known)):
        raise ScriptError(
            "Template", f"no resources {', '.join(absent)}", "they are made before the others"
        )
    kept = "".join(text for name, text in known.items() if name in resources)
    sections = [
        f"Resources:\n{kept}" if text.startswith("Resources:") else text
        for text in _SECTION.split(template)
        if not text.startswith("Outputs:")
    ]
    return without_comments("".join(sections))


def without_comments(template: str) -> str:
    """The template without lines that are empty or only a comment."""
    return _COMMENT.sub("", template)


def published(template: str, version: str) -> str:
    """pipeline.yml with its version (docs/decisions/0012).

    Raises
    ------
    ScriptError
        When the place is not there exactly once.
    """
    return _written(template, _UNPUBLISHED, f'Version: "{version}"')


def crossing(template: str, accounts: Sequence[str]) -> str:
    """pipeline.yml with the accounts that production may be in (docs/decisions/0045).

    Raises
    ------
    ScriptError
        When a place is not there exactly once.
    """
    known = ", ".join(f'"{account}"' for account in accounts)
    functions = ", ".join(f'"arn:*:lambda:*:{account}:function:*"' for account in accounts)
    template = _written(template, _NO_ACCOUNTS, f"OtherAccounts: [{known or 'none'}]")
    return _written(template, _NO_FUNCTIONS, f"OtherFunctions: [{functions or 'none'}]")


def _written(template: str, place: str, text: str) -> str:
    count = template.count(place)
    if count != 1:
        raise ScriptError(
            "pipeline.yml", f"{place!r} stands there {count} times", "once is required"
        )
    return template.replace(place, text)
