"""Application Auto Scaling's operations, and what is done when a policy's alarm is on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_cloud.actions import Need
from local_cloud.autoscaling.activity import Activity, capacity
from local_cloud.autoscaling.policy import HIGH, LOW, Policy
from local_cloud.autoscaling.target import DIMENSION, NAMESPACE, Target, check_kind, invalid
from local_cloud.errors import UnsupportedError
from local_cloud.iam import DeniedError, Identity
from local_cloud.json_api import ApiError, Operation, refuse_others

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["AutoScaling"]

Parameters = Mapping[str, Any]

_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
_MOST_ACTIVITIES = 1_000


@dataclass(frozen=True)
class _Wish:
    """A number of instances, for a reason.

    Parameters
    ----------
    target
        What is to have it.
    wanted
        Gives the number, from the present one.
    cause
        Why.
    policy, kind
        Which policy, by which of its alarms.
    """

    target: Target
    wanted: Callable[[int], int]
    cause: str
    policy: Policy | None = None
    kind: str = ""

    def changes(self, current: int) -> bool:
        """Whether anything is to be done; the lower alarm never adds, the upper never takes."""
        count = self.wanted(current)
        allowed = {HIGH: count > current, LOW: count < current}
        return allowed.get(self.kind, count != current)


class AutoScaling:
    """Application Auto Scaling of an account.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._lock = threading.RLock()
        self._targets: dict[str, Target] = {}
        self._policies: dict[tuple[str, str], Policy] = {}
        self._activities: list[Activity] = []
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    @property
    def _sagemaker(self) -> Any:
        return self._cloud.client("sagemaker")

    @property
    def _cloudwatch(self) -> Any:
        return self._cloud.client("cloudwatch")

    def stop(self) -> None:
        """Scale nothing any more."""
        self._stopping.set()
        for thread in list(self._threads):
            thread.join()

    def operations(self) -> dict[str, Operation]:
        """What is supported, by name."""
        return {
            "DeleteScalingPolicy": self._delete_policy,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": lambda given, _: self._describe_targets(given),
            "DescribeScalingActivities": lambda given, _: self._describe_activities(given),
            "DescribeScalingPolicies": lambda given, _: self._describe_policies(given),
            "ListTagsForResource": lambda given, _: {"Tags": dict(self._tagged(given).tags)},
            "PutScalingPolicy": self._put_policy,
            "RegisterScalableTarget": self._register,
            "TagResource": lambda given, _: self._tagged(given).tags.update(given["Tags"]),
            "UntagResource": lambda given, _: self._untag(given),
        }

    # ---------------------------------------------------------------- targets

    def _register(self, given: Parameters, caller: Identity) -> dict[str, Any]:
        check_kind(given)
        with self._lock:
            before = self._targets.get(given["ResourceId"])
            least, most = self._bounds(given, before)
            target = before or Target(given["ResourceId"], least, most, self._role_arn())
            arn = self._endpoint_arn(target.endpoint_name)
            self._require(
                caller,
                Need("sagemaker:DescribeEndpoint", arn),
                Need("sagemaker:UpdateEndpointWeightsAndCapacities", arn),
            )
            self._check_variant(target)
            self._make_role(caller)
            target.least, target.most = least, most
            target.suspended.update(given.get("SuspendedState") or {})
            target.tags.update(given.get("Tags") or {})
            self._targets[target.resource_id] = target
        self._scale(_Wish(target, target.within, "minimum or maximum capacity was set"))
        return {"ScalableTargetARN": self._target_arn(target)}

    def _bounds(self, given: Parameters, before: Target | None) -> tuple[int, int]:
        least = given.get("MinCapacity", before.least if before else None)
        most = given.get("MaxCapacity", before.most if before else None)
        if least is None or most is None:
            raise invalid("MinCapacity and MaxCapacity are required for a new scalable target")
        if not 1 <= least <= most:
            raise invalid(
                f"Minimum capacity {least} must be at least 1, and not above maximum capacity"
                f" {most}"
            )
        return int(least), int(most)

    def _check_variant(self, target: Target) -> None:
        try:
            found = self._sagemaker.describe_endpoint(EndpointName=target.endpoint_name)
        except ClientError as error:
            raise invalid(f"Endpoint {target.endpoint_name}: {error}") from error
        names = [item["VariantName"] for item in found.get("ProductionVariants", [])]
        if target.variant_name not in names:
            raise invalid(
                f"Endpoint {target.endpoint_name} has no variant {target.variant_name}; it has"
                f" {', '.join(names) or 'none yet'}"
            )

    def _deregister(self, given: Parameters, caller: Identity) -> None:
        target = self._target(given)
        with self._lock:
            names = [key for key in self._policies if key[0] == target.resource_id]
        for key in names:
            self._delete_policy({**given, "PolicyName": key[1]}, caller)
        with self._lock:
            self._targets.pop(target.resource_id, None)

    def _describe_targets(self, given: Parameters) -> dict[str, Any]:
        check_kind(given)
        wanted = given.get("ResourceIds")
        found = [
            target.describe(self._target_arn(target))
            for target in list(self._targets.values())
            if not wanted or target.resource_id in wanted
        ]
        return {"ScalableTargets": found}

    def _target(self, given: Parameters) -> Target:
        check_kind(given)
        target = self._targets.get(given["ResourceId"])
        if target is None:
            raise ApiError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID:"
                f" {given['ResourceId']}, scalable dimension: {DIMENSION}",
            )
        return target

    # ---------------------------------------------------------------- policies

    def _put_policy(self, given: Parameters, caller: Identity) -> dict[str, Any]:
        refuse_others(
            "application-autoscaling:PutScalingPolicy",
            given,
            {"PolicyName", "PolicyType", "ResourceId", "ScalableDimension", "ServiceNamespace",
             "TargetTrackingScalingPolicyConfiguration"},
        )  # fmt: skip
        if given.get("PolicyType") != "TargetTrackingScaling":
            raise UnsupportedError(
                "application-autoscaling:PutScalingPolicy",
                f"PolicyType {given.get('PolicyType', 'StepScaling')}",
                "TargetTrackingScaling is supported",
            )
        target = self._target(given)
        configuration = given.get("TargetTrackingScalingPolicyConfiguration") or {}
        with self._lock:
            key = (target.resource_id, given["PolicyName"])
            before = self._policies.get(key)
            policy = Policy(given["PolicyName"], target, configuration)
            if before is not None:
                policy.id, policy.alarm_ids = before.id, before.alarm_ids
                policy.created, policy.cooled_at = before.created, before.cooled_at
            self._require_alarms(caller, policy, "PutMetricAlarm", "DescribeAlarms")
            self._policies[key] = policy
        self._replace_alarms(before, policy)
        return {"PolicyARN": self._policy_arn(policy), "Alarms": self._described(policy)["Alarms"]}

    def _replace_alarms(self, before: Policy | None, policy: Policy) -> None:
        for alarm in policy.alarms(self._policy_arn(policy)):
            self._cloudwatch.put_metric_alarm(**alarm)
        gone = set(before.alarm_names if before else ()) - set(policy.alarm_names)
        if gone:
            self._cloudwatch.delete_alarms(AlarmNames=sorted(gone))

    def _delete_policy(self, given: Parameters, caller: Identity) -> None:
        target = self._target(given)
        key = (target.resource_id, given["PolicyName"])
        policy = self._policies.get(key)
        if policy is None:
            raise ApiError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {NAMESPACE}, resource ID:"
                f" {target.resource_id}, scalable dimension: {DIMENSION}: {given['PolicyName']}",
            )
        self._require_alarms(caller, policy, "DeleteAlarms")
        with self._lock:
            self._policies.pop(key, None)
        self._cloudwatch.delete_alarms(AlarmNames=policy.alarm_names)

    def _describe_policies(self, given: Parameters) -> dict[str, Any]:
        check_kind(given)
        names = given.get("PolicyNames")
        found = [
            self._described(policy)
            for (resource_id, name), policy in list(self._policies.items())
            if given.get("ResourceId") in {None, resource_id} and (not names or name in names)
        ]
        return {"ScalingPolicies": found}

    def _described(self, policy: Policy) -> dict[str, Any]:
        cloud = self._cloud
        place = f"arn:aws:cloudwatch:{cloud.region}:{cloud.account_id}:alarm"
        arns = {name: f"{place}:{name}" for name in policy.alarm_names}
        return policy.describe(self._policy_arn(policy), arns)

    # ---------------------------------------------------------------- scaling

    def handle(self, policy_arn: str, alarm_name: str) -> None:
        """Do what a policy wants when one of its alarms is on; it is tried again each minute."""
        with self._lock:
            found = [item for item in self._policies.values()
                     if self._policy_arn(item) == policy_arn]  # fmt: skip
        for policy in found:
            kind = HIGH if alarm_name == policy.alarm_name(HIGH) else LOW
            value = self._last_value(policy)
            is_cooling = time.monotonic() < policy.cooled_at
            if value is None or is_cooling or policy.is_suspended(kind):
                continue
            cause = f"monitor alarm {alarm_name} in state ALARM triggered policy {policy.name}"
            wanted = partial(policy.wanted, value=value)
            self._scale(_Wish(policy.target, wanted, cause, policy, kind))

    def _last_value(self, policy: Policy) -> float | None:
        """The metric in the last minute that is over."""
        metric, statistic = policy.metric
        metrics = self._cloud.metrics
        return metrics.read(metric, metrics.minute_at(time.time()) - 1, 1).statistic(statistic)

    def _scale(self, wish: _Wish) -> None:
        """Bring a target to a number of instances, unless its number is being changed."""
        with self._lock:
            resource_id = wish.target.resource_id
            if resource_id in self._busy or self._stopping.is_set():
                return
            self._busy.add(resource_id)
            thread = threading.Thread(
                target=self._fulfil, args=(wish,), name=f"scaling of {resource_id}", daemon=True
            )
            self._threads = [item for item in self._threads if item.is_alive()] + [thread]
            thread.start()

    def _fulfil(self, wish: _Wish) -> None:
        try:
            current = capacity(self._sagemaker, wish.target)
            if current is None or not wish.changes(current):
                return
            activity = Activity(wish.target, wish.wanted(current), wish.cause)
            with self._lock:
                self._activities.append(activity)
                del self._activities[:-_MOST_ACTIVITIES]
            activity.run(self._sagemaker, self._stopping)
            if wish.policy is not None:
                seconds = wish.policy.cooldown_seconds(wish.kind) * self._cloud.wait_factor
                wish.policy.cooled_at = time.monotonic() + seconds
        finally:
            self._busy.discard(wish.target.resource_id)

    def _describe_activities(self, given: Parameters) -> dict[str, Any]:
        check_kind(given)
        found = [
            activity.describe()
            for activity in reversed(self._activities)
            if given.get("ResourceId") in {None, activity.target.resource_id}
        ]
        return {"ScalingActivities": found}

    # ---------------------------------------------------------------- names and permissions

    def _tagged(self, given: Parameters) -> Target:
        for target in self._targets.values():
            if self._target_arn(target) == given["ResourceARN"]:
                return target
        raise ApiError("ResourceNotFoundException", f"{given['ResourceARN']} does not exist")

    def _untag(self, given: Parameters) -> None:
        for key in given["TagKeys"]:
            self._tagged(given).tags.pop(key, None)

    def _target_arn(self, target: Target) -> str:
        return f"{self._place('application-autoscaling')}:scalable-target/{target.id}"

    def _policy_arn(self, policy: Policy) -> str:
        resource = f"resource/{NAMESPACE}/{policy.target.resource_id}"
        place = self._place("autoscaling")
        return f"{place}:scalingPolicy:{policy.id}:{resource}:policyName/{policy.name}"

    def _endpoint_arn(self, name: str) -> str:
        return f"{self._place('sagemaker')}:endpoint/{name.lower()}"

    def _place(self, service: str) -> str:
        return f"arn:aws:{service}:{self._cloud.region}:{self._cloud.account_id}"

    def _role_arn(self) -> str:
        return f"arn:aws:iam::{self._cloud.account_id}:role/aws-service-role/{_SERVICE}/{_ROLE}"

    def _make_role(self, caller: Identity) -> None:
        """Make the service's own role with the caller's permission, where it is not there yet."""
        if self._cloud.account.role(self._role_arn()) is None:
            context = {"iam:awsservicename": (_SERVICE,)}
            self._require(caller, Need("iam:CreateServiceLinkedRole", self._role_arn(), context))
            trust = {
                "Effect": "Allow",
                "Principal": {"Service": _SERVICE},
                "Action": "sts:AssumeRole",
            }
            self._cloud.client("iam").create_role(
                RoleName=_ROLE,
                Path=f"/aws-service-role/{_SERVICE}/",
                AssumeRolePolicyDocument=json.dumps(
                    {"Version": "2012-10-17", "Statement": [trust]}
                ),
            )

    def _require_alarms(self, caller: Identity, policy: Policy, *operations: str) -> None:
        place = self._place("cloudwatch")
        for name in policy.alarm_names:
            needs = [Need(f"cloudwatch:{item}", f"{place}:alarm:{name}") for item in operations]
            self._require(caller, *needs)

    def _require(self, caller: Identity, *needs: Need) -> None:
        """Return when the caller may do to others what is about to be done for it."""
        if caller.is_administrator:
            return
        try:
            self._cloud.account.check(caller, list(needs))
        except DeniedError as error:
            raise ApiError("AccessDeniedException", str(error)) from error
