"""What can go wrong, by who must act.

::

    MLSystemError
    ├── UserError        data or configuration: the message says what to change; never retried
    │   ├── SettingsError    project.yml
    │   ├── DataError        a data file, a column, a split
    │   └── RequestError     a prediction request (carries its HTTP status)
    ├── PlatformError    a service or the machine did not do its part: try again
    ├── ArtifactError    a file between two steps is missing, damaged or of another version
    └── AlgorithmError   our own code broke a promise: page someone

Every message reads ``<Where>: <what was found>; <what is required>. <How to fix>.``
"""

from __future__ import annotations

__all__ = [
    "AlgorithmError",
    "ArtifactError",
    "DataError",
    "MLSystemError",
    "PlatformError",
    "RequestError",
    "SettingsError",
    "UserError",
]


class MLSystemError(Exception):
    """An expected failure with a message for a person.

    Parameters
    ----------
    where
        File with line, JSON pointer, column or state: the place to look at.
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
        remedy = f" {fix}{'' if fix.endswith('?') else '.'}" if fix else ""
        super().__init__(f"{where}: {found}; {required}.{remedy}")


class UserError(MLSystemError):
    """Data or configuration is wrong; trying again without a change cannot help."""


class SettingsError(UserError):
    """``project.yml`` cannot be accepted."""


class DataError(UserError):
    """The data cannot be used as it is."""


class RequestError(UserError):
    """A prediction request cannot be answered.

    Parameters
    ----------
    status
        HTTP status of the answer, 400-499.
    """

    def __init__(
        self, where: str, found: str, required: str, fix: str = "", *, status: int = 400
    ) -> None:
        super().__init__(where, found, required, fix)
        self.status = status


class PlatformError(MLSystemError):
    """A service or the machine did not do its part; trying again can help."""


class ArtifactError(MLSystemError):
    """A file that one step hands to the next is missing, damaged or hostile."""


class AlgorithmError(MLSystemError):
    """The system broke one of its own promises (for instance, ONNX and estimator disagree)."""
