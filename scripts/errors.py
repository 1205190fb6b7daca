"""What can go wrong: one error, for a person.

Every message reads ``<Where>: <what was found>; <what is required>. <How to fix>.``
"""

from __future__ import annotations

__all__ = ["ScriptError"]


class ScriptError(Exception):
    """An expected failure with a message for a person.

    Parameters
    ----------
    where
        Stack, bucket, file or project: the place to look at.
    found
        What was found there, with the offending value.
    required
        What would have been accepted.
    fix
        What to do about it; may be empty when ``required`` already says so.
    """

    def __init__(self, where: str, found: str, required: str, fix: str = "") -> None:
        remedy = f" {fix}." if fix else ""
        super().__init__(f"{where}: {found}; {required}.{remedy}")
