"""What can go wrong in the local cloud.

::

    LocalCloudError
    ├── MachineError      a port, a disk, a program of this machine
    ├── TrustError        a role does not trust who wants to assume it
    └── UnsupportedError  AWS can do it, the local cloud refuses it (docs/parity.md)

Every message reads ``<Where>: <what was found>; <what is required>. <How to fix>.``
"""

from __future__ import annotations

__all__ = ["LocalCloudError", "MachineError", "TrustError", "UnsupportedError"]


class LocalCloudError(Exception):
    """An expected failure with a message for a person.

    Parameters
    ----------
    where
        Service, file or state: the place to look at.
    found
        What was found there, with the offending value.
    required
        What would have been accepted.
    fix
        What to do about it; may be empty when ``required`` already says so.
    """

    def __init__(self, where: str, found: str, required: str, fix: str = "") -> None:
        self.where = where
        self.found = found
        self.required = required
        self.fix = fix
        remedy = f" {fix}." if fix else ""
        super().__init__(f"{where}: {found}; {required}.{remedy}")


class MachineError(LocalCloudError):
    """The machine cannot do it: a port is taken, a disk is full, a program is missing."""


class TrustError(LocalCloudError):
    """A role's trust policy does not let this principal assume it."""


class UnsupportedError(LocalCloudError):
    """AWS knows it, the local cloud does not: refused, never ignored."""
