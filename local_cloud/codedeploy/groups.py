"""Applications and deployment groups: what is deployed how, with which role, under which alarms."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_cloud.codedeploy.deployment import Deployment

__all__ = ["Application", "Group"]

_ROLLBACK_EVENTS = {"Failed": "DEPLOYMENT_FAILURE", "Alarm": "DEPLOYMENT_STOP_ON_ALARM",
                    "Stopped": "DEPLOYMENT_STOP_ON_REQUEST"}  # fmt: skip


@dataclass
class Group:
    """A deployment group.

    Parameters
    ----------
    application, name
        Whose it is, and its name.
    settings
        As CreateDeploymentGroup takes them.
    """

    application: str
    name: str
    settings: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deployments: list[Deployment] = field(default_factory=list)

    @property
    def role_arn(self) -> str:
        """The role that deploys."""
        return str(self.settings["serviceRoleArn"])

    def arn(self, region: str, account_id: str) -> str:
        """For which resource CodeDeploy assumes that role, as its trust policy may ask."""
        place = f"arn:aws:codedeploy:{region}:{account_id}"
        return f"{place}:deploymentgroup:{self.application}/{self.name}"

    @property
    def alarm_names(self) -> list[str]:
        """Alarms that stop a deployment; none when they are turned off."""
        alarms = self.settings.get("alarmConfiguration") or {}
        if not alarms.get("enabled", False):
            return []
        return [alarm["name"] for alarm in alarms.get("alarms", [])]

    @property
    def ignores_unknown_alarms(self) -> bool:
        """Whether a deployment goes on when nobody knows how an alarm is."""
        alarms = self.settings.get("alarmConfiguration") or {}
        return bool(alarms.get("ignorePollAlarmFailure", False))

    def rolls_back(self, ending: str) -> bool:
        """Whether a deployment that ends so is taken back: ``Failed``, ``Alarm``, ``Stopped``."""
        rollback = self.settings.get("autoRollbackConfiguration") or {}
        events = rollback.get("events") or []
        return bool(rollback.get("enabled", False)) and _ROLLBACK_EVENTS[ending] in events

    def topics(self, event: str) -> list[tuple[str, str]]:
        """Name and topic of every trigger of an event."""
        return [
            (trigger["triggerName"], trigger["triggerTargetArn"])
            for trigger in self.settings.get("triggerConfigurations") or []
            if event in trigger.get("triggerEvents", [])
        ]

    def describe(self) -> dict[str, Any]:
        """``deploymentGroupInfo``."""
        ended = [item for item in self.deployments if item.is_over]
        good = [item for item in ended if item.status == "Succeeded"]
        attempts = {
            name: items[-1].summary()
            for name, items in (
                ("lastSuccessfulDeployment", good),
                ("lastAttemptedDeployment", self.deployments),
            )
            if items
        }
        return {
            **{name: value for name, value in self.settings.items() if name != "tags"},
            "applicationName": self.application,
            "deploymentGroupId": self.id,
            "deploymentGroupName": self.name,
            "computePlatform": "Lambda",
            **attempts,
        }


@dataclass
class Application:
    """An application: a name for deployment groups."""

    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    groups: dict[str, Group] = field(default_factory=dict)

    def describe(self) -> Mapping[str, Any]:
        """``application`` of GetApplication."""
        return {
            "applicationId": self.id,
            "applicationName": self.name,
            "createTime": self.created,
            "linkedToGitHub": False,
            "computePlatform": "Lambda",
        }
