"""A change set: what would happen to a stack, until somebody lets it happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from local_cloud.cloudformation.errors import CloudFormationError
from local_cloud.cloudformation.evaluation import Definition
from local_cloud.cloudformation.plan import Plan
from local_cloud.cloudformation.stack import Stack, now
from local_cloud.errors import UnsupportedError

__all__ = ["ChangeSet"]

_NOTHING = (
    "The submitted information didn't contain changes. Submit different information to create a"
    " change set."
)


@dataclass
class ChangeSet:
    """A plan with the definition that it brings a stack to.

    Parameters
    ----------
    kind
        ``CREATE`` or ``UPDATE``.
    plan
        ``None`` when there is none, which `status` and `reason` explain.
    """

    id: str
    name: str
    stack: Stack
    kind: str
    description: str
    definition: Definition
    role_arn: str | None
    on_failure: str
    plan: Plan | None = None
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    execution_status: str = "UNAVAILABLE"
    created: dt.datetime = field(default_factory=now)

    def fill(self, make: Callable[[], Plan]) -> None:
        """Make the plan; a template that cannot be carried out is a failed change set."""
        try:
            found = make()
        except (CloudFormationError, UnsupportedError) as error:
            self.status, self.reason = "FAILED", str(error)
            return
        if found.is_empty and dict(self.definition.tags) == dict(self.stack.definition.tags):
            self.status, self.reason = "FAILED", _NOTHING
            return
        self.plan = found
        self.status, self.execution_status = "CREATE_COMPLETE", "AVAILABLE"
