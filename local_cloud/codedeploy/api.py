"""CodeDeploy's operations, and the threads in which deployments run."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import events
from local_cloud.codedeploy import revision as revisions
from local_cloud.codedeploy.deployment import PRINCIPAL, Deployment, StoppedError
from local_cloud.codedeploy.groups import Application, Group
from local_cloud.codedeploy.revision import Revision
from local_cloud.codedeploy.strategies import ALL_AT_ONCE, PREDEFINED, Strategy
from local_cloud.errors import LocalCloudError, TrustError, UnsupportedError
from local_cloud.json_api import ApiError, Operation, refuse_others
from local_cloud.release_actions import DEPLOYMENT_CONFIGS, DEPLOYMENT_GROUPS

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["CodeDeploy"]

Parameters = Mapping[str, Any]

_STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
_SETTINGS = {
    "alarmConfiguration", "autoRollbackConfiguration", "deploymentConfigName", "deploymentStyle",
    "serviceRoleArn", "triggerConfigurations",
}  # fmt: skip
_MOST_ALARMS = 10
_SUBJECT_LENGTH = 100
#: How a deployment stands -> state of its event, event of its triggers.
_TOLD = {
    "InProgress": ("START", "DeploymentStart"),
    "Succeeded": ("SUCCESS", "DeploymentSuccess"),
    "Failed": ("FAILURE", "DeploymentFailure"),
    "Stopped": ("STOP", "DeploymentStop"),
}


class CodeDeploy:
    """CodeDeploy of an account.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._lock = threading.RLock()
        self._applications: dict[str, Application] = {}
        self._strategies = dict(PREDEFINED)
        self._deployments: dict[str, Deployment] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def stop(self) -> None:
        """End every deployment where it stands."""
        self._stopping.set()
        for deployment in list(self._deployments.values()):
            deployment.wake()
        for thread in list(self._threads):
            thread.join()

    def operations(self) -> dict[str, Operation]:
        """What is supported, by name."""
        return {
            "CreateApplication": lambda given, _: self._create_application(given),
            "CreateDeployment": lambda given, _: self._create_deployment(given),
            "CreateDeploymentConfig": lambda given, _: self._create_config(given),
            "CreateDeploymentGroup": lambda given, _: self._create_group(given),
            "DeleteApplication": lambda given, _: self._delete_application(given),
            "DeleteDeploymentConfig": lambda given, _: self._delete_config(given),
            "DeleteDeploymentGroup": lambda given, _: self._delete_group(given),
            "GetApplication": lambda given, _: self._get_application(given),
            "GetDeployment": lambda given, _: self._get_deployment(given),
            "GetDeploymentConfig": lambda given, _: self._get_config(given),
            "GetDeploymentGroup": lambda given, _: self._get_group(given),
            "GetDeploymentTarget": lambda given, _: self._get_target(given),
            "ListApplications": lambda _, __: {"applications": sorted(self._applications)},
            "ListDeploymentConfigs": lambda _, __: {
                "deploymentConfigsList": sorted(self._strategies)
            },
            "ListDeploymentGroups": lambda given, _: self._list_groups(given),
            "ListDeploymentTargets": lambda given, _: self._list_targets(given),
            "ListDeployments": lambda given, _: self._list_deployments(given),
            "ListTagsForResource": lambda given, _: self._list_tags(given),
            "PutLifecycleEventHookExecutionStatus": lambda given, _: self._report(given),
            "StopDeployment": lambda given, _: self._stop_deployment(given),
            "TagResource": lambda given, _: self._tag(given),
            "UntagResource": lambda given, _: self._untag(given),
            "UpdateDeploymentGroup": lambda given, _: self._update_group(given),
        }

    # ---------------------------------------------------------------- applications

    def _create_application(self, given: Parameters) -> dict[str, Any]:
        name = given["applicationName"]
        if given.get("computePlatform") != "Lambda":
            platform = given.get("computePlatform", "Server")
            raise UnsupportedError(
                "codedeploy:CreateApplication", f"computePlatform {platform}", "Lambda is supported"
            )
        with self._lock:
            if name in self._applications:
                raise ApiError("ApplicationAlreadyExistsException", f"{name} already exists")
            application = Application(name)
            self._applications[name] = application
            self._tags[self._arn("application", name)] = _tags(given)
        return {"applicationId": application.id}

    def _get_application(self, given: Parameters) -> dict[str, Any]:
        return {"application": self._application(given).describe()}

    def _delete_application(self, given: Parameters) -> None:
        with self._lock:
            application = self._applications.pop(given["applicationName"], None)
            for name in application.groups if application else ():
                self._tags.pop(self._group_arn(given["applicationName"], name), None)
            self._tags.pop(self._arn("application", given["applicationName"]), None)

    def _application(self, given: Parameters) -> Application:
        name = given["applicationName"]
        if name not in self._applications:
            raise ApiError(
                "ApplicationDoesNotExistException", f"No application found for name: {name}"
            )
        return self._applications[name]

    # ---------------------------------------------------------------- configurations

    def _create_config(self, given: Parameters) -> dict[str, Any]:
        name = given["deploymentConfigName"]
        if given.get("computePlatform") != "Lambda":
            raise UnsupportedError(
                "codedeploy:CreateDeploymentConfig",
                f"computePlatform {given.get('computePlatform', 'Server')}",
                "Lambda is supported",
            )
        with self._lock:
            if name in self._strategies or name.startswith("CodeDeployDefault."):
                raise ApiError(
                    "DeploymentConfigAlreadyExistsException",
                    f"Deployment configuration already exists: {name}",
                )
            self._strategies[name] = Strategy.read(name, given.get("trafficRoutingConfig") or {})
        return {"deploymentConfigId": name}

    def _get_config(self, given: Parameters) -> dict[str, Any]:
        return {"deploymentConfigInfo": self._strategy(given["deploymentConfigName"]).describe()}

    def _delete_config(self, given: Parameters) -> None:
        name = given["deploymentConfigName"]
        with self._lock:
            if name in PREDEFINED:
                raise ApiError("InvalidOperationException", f"{name} cannot be deleted")
            used = [group.name for group in self._groups() if self._uses(group, name)]
            if used:
                raise ApiError(
                    "DeploymentConfigInUseException",
                    f"Deployment configuration is in use by: {', '.join(used)}",
                )
            self._strategies.pop(name, None)

    def _strategy(self, name: str) -> Strategy:
        if name not in self._strategies:
            raise ApiError(
                "DeploymentConfigDoesNotExistException",
                f"No deployment configuration found for name: {name}",
            )
        return self._strategies[name]

    @staticmethod
    def _uses(group: Group, name: str) -> bool:
        return group.settings.get("deploymentConfigName") == name

    # ---------------------------------------------------------------- groups

    def _create_group(self, given: Parameters) -> dict[str, Any]:
        name = given["deploymentGroupName"]
        settings = self._settings(given)
        with self._lock:
            application = self._application(given)
            if name in application.groups:
                raise ApiError(
                    "DeploymentGroupAlreadyExistsException",
                    f"Deployment group already exists for application: {application.name}",
                )
            group = Group(application.name, name, settings)
            application.groups[name] = group
            DEPLOYMENT_CONFIGS[f"{application.name}/{name}"] = settings["deploymentConfigName"]
            self._tags[self._group_arn(application.name, name)] = _tags(given)
        return {"deploymentGroupId": group.id}

    def _update_group(self, given: Parameters) -> dict[str, Any]:
        with self._lock:
            application = self._application(given)
            group = self._group(application.name, given["currentDeploymentGroupName"])
            settings = {**group.settings, **{key: given[key] for key in _SETTINGS & set(given)}}
            checked = self._settings({**given, **settings})
            name = given.get("newDeploymentGroupName", group.name)
            tags = self._tags.pop(self._group_arn(application.name, group.name))
            del application.groups[group.name]
            group.name, group.settings = name, checked
            application.groups[name] = group
            DEPLOYMENT_CONFIGS[f"{application.name}/{name}"] = checked["deploymentConfigName"]
            self._tags[self._group_arn(application.name, name)] = tags
        return {"hooksNotCleanedUp": []}

    def _settings(self, given: Parameters) -> dict[str, Any]:
        """Settings of a group, checked."""
        names = {"applicationName", "currentDeploymentGroupName", "deploymentGroupName",
                 "newDeploymentGroupName", "tags"}  # fmt: skip
        refuse_others("codedeploy:DeploymentGroup", given, _SETTINGS | names)
        settings = {name: given[name] for name in _SETTINGS if name in given}
        settings.setdefault("deploymentConfigName", ALL_AT_ONCE.name)
        self._strategy(settings["deploymentConfigName"])
        if settings.get("deploymentStyle") != _STYLE:
            raise ApiError(
                "InvalidDeploymentStyleException",
                "For Lambda deployment group, deployment type must be BLUE_GREEN and deployment"
                " option must be WITH_TRAFFIC_CONTROL.",
            )
        alarms = (settings.get("alarmConfiguration") or {}).get("alarms") or []
        if len(alarms) > _MOST_ALARMS:
            raise ApiError(
                "AlarmsLimitExceededException", f"At most {_MOST_ALARMS} alarms are allowed."
            )
        group = given.get("deploymentGroupName") or given["currentDeploymentGroupName"]
        group_arn = self._group_arn(given["applicationName"], group)
        self._check_role(settings["serviceRoleArn"], group_arn)
        return settings

    def _check_role(self, role_arn: str, group_arn: str) -> None:
        try:
            self._cloud.credentials(role_arn, PRINCIPAL, source_arn=group_arn)
        except TrustError as error:
            raise ApiError(
                "InvalidRoleException",
                "AWS CodeDeploy does not have the permissions required to assume the role"
                f" {role_arn}. ({error})",
            ) from error

    def _get_group(self, given: Parameters) -> dict[str, Any]:
        group = self._group(self._application(given).name, given["deploymentGroupName"])
        return {"deploymentGroupInfo": group.describe()}

    def _list_groups(self, given: Parameters) -> dict[str, Any]:
        application = self._application(given)
        return {
            "applicationName": application.name,
            "deploymentGroups": sorted(application.groups),
        }

    def _delete_group(self, given: Parameters) -> dict[str, Any]:
        with self._lock:
            application = self._application(given)
            name = given["deploymentGroupName"]
            if application.groups.pop(name, None) is not None:
                del self._tags[self._group_arn(application.name, name)]
        return {"hooksNotCleanedUp": []}

    def _group(self, application: str, name: str) -> Group:
        group = self._applications[application].groups.get(name)
        if group is None:
            raise ApiError(
                "DeploymentGroupDoesNotExistException",
                f"No Deployment Group found for name: {name}",
            )
        return group

    def _groups(self) -> list[Group]:
        return [group for item in self._applications.values() for group in item.groups.values()]

    # ---------------------------------------------------------------- deployments

    def _create_deployment(self, given: Parameters) -> dict[str, Any]:
        refuse_others(
            "codedeploy:CreateDeployment",
            given,
            {"applicationName", "deploymentConfigName", "deploymentGroupName", "description",
             "revision"},
        )  # fmt: skip
        if "deploymentGroupName" not in given or "revision" not in given:
            missing = "DeploymentGroupName" if "deploymentGroupName" not in given else "Revision"
            raise ApiError(f"{missing}RequiredException", f"{missing} is required.")
        location = dict(given["revision"])
        revision = revisions.read(location)
        with self._lock:
            application = self._application(given)
            group = self._group(application.name, given["deploymentGroupName"])
            active = [item for item in group.deployments if not item.is_over]
            if active:
                raise ApiError(
                    "DeploymentLimitExceededException",
                    f"The Deployment Group '{group.name}' already has an active Deployment"
                    f" '{active[0].id}'",
                )
            name = given.get("deploymentConfigName") or group.settings["deploymentConfigName"]
            deployment = self._add(
                Deployment(
                    self._cloud,
                    group,
                    revision,
                    location=location,
                    strategy=self._strategy(name),
                    stopping=self._stopping,
                    description=given.get("description", ""),
                )
            )
            thread = threading.Thread(
                target=self._run, args=(deployment,), name=f"deployment {deployment.id}"
            )
            self._threads = [item for item in self._threads if item.is_alive()] + [thread]
            thread.start()
        return {"deploymentId": deployment.id}

    def _add(self, deployment: Deployment) -> Deployment:
        with self._lock:
            group = deployment.group
            self._deployments[deployment.id] = deployment
            DEPLOYMENT_GROUPS[deployment.id] = f"{group.application}/{group.name}"
            group.deployments.append(deployment)
        return deployment

    def _run(self, deployment: Deployment) -> None:
        try:
            self._tell(deployment, "InProgress")
            deployment.run(self._take_back)
            if deployment.rollback is not None:
                deployment.rollback.run(self._take_back)
        except StoppedError:
            return
        self._tell(deployment, deployment.status)
        if deployment.rollback is not None:
            self._publish(deployment, "DeploymentRollback", deployment.status)
            self._tell(deployment.rollback, "InProgress")
            self._tell(deployment.rollback, deployment.rollback.status)

    def _take_back(self, failed: Deployment) -> Deployment:
        """The deployment that moves all traffic back; the group is busy until it is over."""
        revision = failed.revision
        return self._add(
            Deployment(
                self._cloud,
                failed.group,
                Revision(revision.function, revision.alias, revision.target, revision.current),
                location=failed.location,
                strategy=ALL_AT_ONCE,
                stopping=self._stopping,
                taken_back=failed,
            )
        )

    def _get_deployment(self, given: Parameters) -> dict[str, Any]:
        return {"deploymentInfo": self._deployment(given).describe()}

    def _get_target(self, given: Parameters) -> dict[str, Any]:
        return {"deploymentTarget": self._deployment(given).target()}

    def _list_targets(self, given: Parameters) -> dict[str, Any]:
        return {"targetIds": [self._deployment(given).target()["lambdaTarget"]["targetId"]]}

    def _list_deployments(self, given: Parameters) -> dict[str, Any]:
        statuses = given.get("includeOnlyStatuses")
        found = [
            item.id
            for item in reversed(self._deployments.values())
            if given.get("applicationName") in {None, item.group.application}
            and given.get("deploymentGroupName") in {None, item.group.name}
            and (not statuses or item.status in statuses)
        ]
        return {"deployments": found}

    def _stop_deployment(self, given: Parameters) -> dict[str, Any]:
        deployment = self._deployment(given)
        if deployment.is_over:
            raise ApiError(
                "DeploymentAlreadyCompletedException",
                f"The deployment {deployment.id} has already completed",
            )
        deployment.stop(rolls_back=given.get("autoRollbackEnabled"))
        return {"status": "Pending", "statusMessage": "The deployment is being stopped."}

    def _report(self, given: Parameters) -> dict[str, Any]:
        deployment = self._deployment(given)
        status, hook_id = given.get("status"), given.get("lifecycleEventHookExecutionId", "")
        if status not in {"Succeeded", "Failed"}:
            raise ApiError(
                "InvalidLifecycleEventHookExecutionStatusException",
                f"The status {status} is not valid: it must be Succeeded or Failed.",
            )
        taken = deployment.report(hook_id, status)
        if taken is None:
            raise ApiError(
                "InvalidLifecycleEventHookExecutionIdException",
                f"The lifecycle event hook execution id {hook_id} is not valid.",
            )
        if not taken:
            raise ApiError(
                "LifecycleEventAlreadyCompletedException",
                "The lifecycle event has already completed.",
            )
        return {"lifecycleEventHookExecutionId": hook_id}

    def _deployment(self, given: Parameters) -> Deployment:
        deployment_id = given.get("deploymentId", "")
        if deployment_id not in self._deployments:
            raise ApiError(
                "DeploymentDoesNotExistException",
                f"The deployment {deployment_id} could not be found",
            )
        return self._deployments[deployment_id]

    # ---------------------------------------------------------------- telling

    def _tell(self, deployment: Deployment, status: str) -> None:
        """Put an event on the bus, and publish to the triggers' topics with the group's role.

        Source:
        https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-cloudwatch-events.html
        """
        state, event = _TOLD[status]
        group = deployment.group
        detail = {
            "region": self._cloud.region,
            "deploymentId": deployment.id,
            "instanceGroupId": group.id,
            "deploymentGroup": group.name,
            "state": state,
            "application": group.application,
        }
        resources = [
            self._arn("application", group.application),
            self._group_arn(group.application, group.name),
        ]
        kind = "CodeDeploy Deployment State-change Notification"
        events.emit(self._cloud, "aws.codedeploy", kind, detail, resources)
        self._publish(deployment, event, status)

    def _publish(self, deployment: Deployment, event: str, status: str) -> None:
        group = deployment.group
        subject = (
            f"{status.upper()}: AWS CodeDeploy {deployment.id} in {self._cloud.region} to"
            f" {group.application}"
        )
        for trigger, topic_arn in group.topics(event):
            message = json.dumps(
                {
                    "region": self._cloud.region,
                    "accountId": self._cloud.account_id,
                    "eventTriggerName": trigger,
                    **_message(deployment, status),
                }
            )
            try:
                client = self._cloud.client(
                    "sns",
                    role_arn=group.role_arn,
                    service_principal=PRINCIPAL,
                    source_arn=self._group_arn(group.application, group.name),
                )
                client.publish(
                    TopicArn=topic_arn, Message=message, Subject=subject[:_SUBJECT_LENGTH]
                )
            except (ClientError, BotoCoreError, LocalCloudError) as error:
                self._log(f"deployment {deployment.id}, trigger {trigger}: {error}")

    def _log(self, line: str) -> None:
        path = self._cloud.root / "logs" / "codedeploy.log"
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{dt.datetime.now(dt.UTC).isoformat()} {line}\n")

    # ---------------------------------------------------------------- tags

    def _list_tags(self, given: Parameters) -> dict[str, Any]:
        tags = self._tags_of(given)
        return {"Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)]}

    def _tag(self, given: Parameters) -> None:
        self._tags_of(given).update({tag["Key"]: tag["Value"] for tag in given["Tags"]})

    def _untag(self, given: Parameters) -> None:
        for key in given["TagKeys"]:
            self._tags_of(given).pop(key, None)

    def _tags_of(self, given: Parameters) -> dict[str, str]:
        arn = given["ResourceArn"]
        if arn not in self._tags:
            raise ApiError("ArnNotSupportedException", f"{arn} names nothing that has tags")
        return self._tags[arn]

    def _group_arn(self, application: str, name: str) -> str:
        return self._arn("deploymentgroup", f"{application}/{name}")

    def _arn(self, kind: str, name: str) -> str:
        cloud = self._cloud
        return f"arn:aws:codedeploy:{cloud.region}:{cloud.account_id}:{kind}:{name}"


def _tags(given: Parameters) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in given.get("tags") or []}


def _message(deployment: Deployment, status: str) -> dict[str, Any]:
    """What a topic is told.

    Source:
    https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-sns-event-notifications-json-format.html
    """
    described = deployment.describe()
    found = {
        "applicationName": deployment.group.application,
        "deploymentId": deployment.id,
        "deploymentGroupName": deployment.group.name,
        "createTime": f"{deployment.created:%a %b %d %H:%M:%S UTC %Y}",
        "status": status.upper(),
        "deploymentOverview": json.dumps(described["deploymentOverview"]),
    }
    if deployment.completed is not None:
        found["completeTime"] = f"{deployment.completed:%a %b %d %H:%M:%S UTC %Y}"
    if deployment.error is not None:
        code, message = deployment.error
        found["errorInformation"] = json.dumps({"ErrorCode": code, "ErrorMessage": message})
    if "rollbackInfo" in described:
        found["rollbackInformation"] = json.dumps(described["rollbackInfo"])
    return found
