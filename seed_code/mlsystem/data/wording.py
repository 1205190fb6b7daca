"""Values and names in messages: a few, and short."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = ["listed", "nearest", "plural", "shortened"]

_MOST_NAMES = 10
_MOST_CHARACTERS = 80


def shortened(text: str) -> str:
    """Return the beginning of `text`, or all of it if it is short."""
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 3] + "..."


def listed(names: Sequence[str]) -> str:
    """Return the first of `names`, with commas between.

    >>> listed(["a", "b"])
    'a, b'
    """
    some = [shortened(name) for name in names[:_MOST_NAMES]]
    return ", ".join(some + ["..."] * (len(names) > _MOST_NAMES))


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a question after the one of `names` that was probably meant, or nothing.

    >>> nearest("Churn", ["state", "churn"])
    "Did you mean 'churn'?"
    """
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"Did you mean {folded[close[0]]!r}?" if close else ""


def plural(count: int, noun: str) -> str:
    """Return `count` of `noun`.

    >>> plural(1, "row"), plural(3333, "row")
    ('1 row', '3,333 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
