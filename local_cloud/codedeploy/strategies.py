"""How traffic moves to another version: all at once, in two steps, or in equal ones.

Source:
https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.json_api import ApiError

__all__ = ["ALL_AT_ONCE", "PREDEFINED", "Step", "Strategy"]

_WHOLE = 100
_ALL = {"type": "AllAtOnce"}


@dataclass(frozen=True)
class Step:
    """A share of the traffic for the new version.

    Parameters
    ----------
    percent
        The share.
    minutes
        How long it stays so; the last step's wait is over at once.
    """

    percent: int
    minutes: int


@dataclass(frozen=True)
class Strategy:
    """A deployment configuration for Lambda.

    Parameters
    ----------
    name
        Its name.
    routing
        As the API describes it: ``trafficRoutingConfig``.
    """

    name: str
    routing: Mapping[str, Any]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Shares of the new version, in order; the last is the whole."""
        kind = self.routing["type"]
        if kind == "TimeBasedCanary":
            canary = self.routing["timeBasedCanary"]
            first = Step(canary["canaryPercentage"], canary["canaryInterval"])
            return (first, Step(_WHOLE, 0))
        if kind == "TimeBasedLinear":
            linear = self.routing["timeBasedLinear"]
            share, minutes = linear["linearPercentage"], linear["linearInterval"]
            shares = range(share, _WHOLE, share)
            return (*(Step(percent, minutes) for percent in shares), Step(_WHOLE, 0))
        return (Step(_WHOLE, 0),)

    def describe(self) -> dict[str, Any]:
        """``deploymentConfigInfo``."""
        return {
            "deploymentConfigId": self.name,
            "deploymentConfigName": self.name,
            "computePlatform": "Lambda",
            "trafficRoutingConfig": dict(self.routing),
        }

    @classmethod
    def read(cls, name: str, routing: Mapping[str, Any]) -> Strategy:
        """A configuration as CreateDeploymentConfig takes it.

        Raises
        ------
        ApiError
            When a share or a time is out of its bounds.
        """
        members = {
            "TimeBasedCanary": ("timeBasedCanary", "canaryPercentage", "canaryInterval"),
            "TimeBasedLinear": ("timeBasedLinear", "linearPercentage", "linearInterval"),
        }
        kind = routing.get("type", "AllAtOnce")
        if kind == "AllAtOnce":
            return cls(name, _ALL)
        if kind not in members:
            raise UnsupportedError(
                "codedeploy:CreateDeploymentConfig",
                f"type {kind!r}",
                f"AllAtOnce, {' and '.join(members)} are supported",
            )
        member, share, interval = members[kind]
        given = routing.get(member) or {}
        if not 1 <= given.get(share, 0) < _WHOLE or given.get(interval, 0) < 1:
            raise ApiError(
                "InvalidTrafficRoutingConfigurationException",
                f"{member}: {share} must be 1 to 99 and {interval} at least 1.",
            )
        return cls(name, {"type": kind, member: {key: given[key] for key in (share, interval)}})


def _canary(minutes: int) -> Strategy:
    values = {"canaryPercentage": 10, "canaryInterval": minutes}
    routing = {"type": "TimeBasedCanary", "timeBasedCanary": values}
    return Strategy(f"CodeDeployDefault.LambdaCanary10Percent{minutes}Minutes", routing)


def _linear(minutes: int) -> Strategy:
    values = {"linearPercentage": 10, "linearInterval": minutes}
    routing = {"type": "TimeBasedLinear", "timeBasedLinear": values}
    name = f"Every{minutes}Minute{'' if minutes == 1 else 's'}"
    return Strategy(f"CodeDeployDefault.LambdaLinear10Percent{name}", routing)


ALL_AT_ONCE = Strategy("CodeDeployDefault.LambdaAllAtOnce", _ALL)
#: Configurations that every account has.
PREDEFINED: Mapping[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        ALL_AT_ONCE,
        *(_canary(minutes) for minutes in (5, 10, 15, 30)),
        *(_linear(minutes) for minutes in (1, 2, 3, 10)),
    )
}
