"""What is scaled: the instances of a variant of an endpoint."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.json_api import ApiError

__all__ = ["DIMENSION", "NAMESPACE", "Target", "check_kind", "invalid"]

NAMESPACE, DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


def invalid(message: str) -> ApiError:
    """The error of a request that Application Auto Scaling does not take."""
    return ApiError("ValidationException", message)


def check_kind(given: Mapping[str, Any]) -> None:
    """Return when a request is about variants of endpoints, where it says what it is about.

    Raises
    ------
    UnsupportedError
        When it is about something else.
    """
    for name, supported in (("ServiceNamespace", NAMESPACE), ("ScalableDimension", DIMENSION)):
        if given.get(name, supported) != supported:
            raise UnsupportedError(
                "Application Auto Scaling", f"{name} {given[name]}", f"{supported} is supported"
            )


@dataclass
class Target:
    """A scalable target.

    Parameters
    ----------
    resource_id
        ``endpoint/<name>/variant/<name>``.
    least, most
        Bounds of its number of instances.
    role_arn
        The service's role.
    suspended
        Which scaling is suspended: ``DynamicScalingInSuspended`` and so on.
    tags
        Key -> value.
    """

    resource_id: str
    least: int
    most: int
    role_arn: str
    suspended: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def endpoint_name(self) -> str:
        """Name of the endpoint."""
        return self._names()[0]

    @property
    def variant_name(self) -> str:
        """Name of the variant."""
        return self._names()[1]

    def _names(self) -> tuple[str, str]:
        match = _RESOURCE.fullmatch(self.resource_id)
        if match is None:
            raise invalid(
                f"Unsupported resource ID {self.resource_id}: endpoint/<name>/variant/<name> is"
                " required"
            )
        return match[1], match[2]

    def within(self, capacity: int) -> int:
        """The nearest number of instances within the bounds."""
        return min(max(capacity, self.least), self.most)

    def describe(self, arn: str) -> dict[str, Any]:
        """Entry of DescribeScalableTargets."""
        names = (
            "DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended",
        )  # fmt: skip
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource_id,
            "ScalableDimension": DIMENSION,
            "MinCapacity": self.least,
            "MaxCapacity": self.most,
            "RoleARN": self.role_arn,
            "CreationTime": self.created,
            "SuspendedState": {name: self.suspended.get(name, False) for name in names},
            "ScalableTargetARN": arn,
        }
