"""What CloudFormation answers when it cannot do what it is asked.

::

    CloudFormationError            ValidationError
    ├── TemplateError              ValidationError, with every problem of a template
    ├── AlreadyExistsError         AlreadyExistsException
    ├── CapabilitiesError          InsufficientCapabilitiesException
    ├── ChangeSetMissingError      ChangeSetNotFound
    └── ChangeSetStatusError       InvalidChangeSetStatus

Where AWS has a text for a case, it is AWS's; the others read ``<where>: <found>; <required>``.
What AWS could do and this cloud cannot is an :class:`local_cloud.errors.UnsupportedError`.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExistsError",
    "CapabilitiesError",
    "ChangeSetMissingError",
    "ChangeSetStatusError",
    "CloudFormationError",
    "TemplateError",
]


class CloudFormationError(Exception):
    """An answer with an error code of CloudFormation's API."""

    code: ClassVar[str] = "ValidationError"


class TemplateError(CloudFormationError):
    """A template, or the values it is given, cannot be used.

    Parameters
    ----------
    problems
        All that was found, each a sentence with the place in the template.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(self.problems))


class AlreadyExistsError(CloudFormationError):
    """A stack or a change set of that name is there."""

    code = "AlreadyExistsException"


class CapabilitiesError(CloudFormationError):
    """The template makes roles or policies and the caller did not acknowledge it."""

    code = "InsufficientCapabilitiesException"


class ChangeSetMissingError(CloudFormationError):
    """There is no such change set."""

    code = "ChangeSetNotFound"


class ChangeSetStatusError(CloudFormationError):
    """The change set cannot be executed or deleted as it is."""

    code = "InvalidChangeSetStatus"
