"""Target tracking: a metric is kept at a value, by as many instances as that takes.

A policy has two alarms, as on AWS: one is on when the metric is above its target for three minutes,
the other when it is a tenth below for fifteen. What is to be done is decided here; the alarms are
CloudWatch's.

Source:
https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.autoscaling.target import DIMENSION, NAMESPACE, Target, invalid
from local_cloud.errors import UnsupportedError
from local_cloud.json_api import refuse_others
from local_cloud.metrics import Metric

__all__ = ["HIGH", "LOW", "Policy"]

HIGH, LOW = "AlarmHigh", "AlarmLow"
_PERIOD_SECONDS = 60
_HIGH_PERIODS, _LOW_PERIODS = 3, 15
#: The metric is this share of its target before instances are taken away.
_LOW_SHARE = 0.9
#: What AWS waits after an activity when a policy does not say.
_COOLDOWN_SECONDS = 300
_INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
_CONFIGURED = {
    "CustomizedMetricSpecification", "DisableScaleIn", "PredefinedMetricSpecification",
    "ScaleInCooldown", "ScaleOutCooldown", "TargetValue",
}  # fmt: skip
_CUSTOM = {"Dimensions", "MetricName", "Namespace", "Statistic", "Unit"}


@dataclass
class Policy:
    """A target tracking policy.

    Parameters
    ----------
    name
        Its name.
    target
        What it scales.
    configuration
        ``TargetTrackingScalingPolicyConfiguration``.
    """

    name: str
    target: Target
    configuration: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    alarm_ids: dict[str, str] = field(
        default_factory=lambda: {HIGH: str(uuid.uuid4()), LOW: str(uuid.uuid4())}
    )
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    cooled_at: float = 0.0

    def __post_init__(self) -> None:
        refuse_others("TargetTrackingScalingPolicyConfiguration", self.configuration, _CONFIGURED)
        _ = self.metric

    @property
    def metric(self) -> tuple[Metric, str]:
        """The metric, and the statistic of it, that is kept at the target value."""
        predefined = self.configuration.get("PredefinedMetricSpecification")
        custom = self.configuration.get("CustomizedMetricSpecification")
        if bool(predefined) == bool(custom):
            raise invalid(
                "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is"
                " required"
            )
        if predefined:
            kind = predefined["PredefinedMetricType"]
            if kind != _INVOCATIONS:
                raise UnsupportedError(
                    "Application Auto Scaling", f"the metric {kind}", f"{_INVOCATIONS} is supported"
                )
            dimensions = {
                "EndpointName": self.target.endpoint_name,
                "VariantName": self.target.variant_name,
            }
            return Metric.of("AWS/SageMaker", "InvocationsPerInstance", dimensions), "Sum"
        refuse_others("CustomizedMetricSpecification", custom or {}, _CUSTOM)
        given = custom or {}
        pairs = {item["Name"]: item["Value"] for item in given.get("Dimensions", [])}
        return Metric.of(given["Namespace"], given["MetricName"], pairs), given["Statistic"]

    def alarm_name(self, kind: str) -> str:
        """Name of one of its alarms."""
        return f"TargetTracking-{self.target.resource_id}-{kind}-{self.alarm_ids[kind]}"

    @property
    def alarm_names(self) -> list[str]:
        """Names of its alarms; without the lower one nothing is ever taken away."""
        kinds = [HIGH] if self.configuration.get("DisableScaleIn") else [HIGH, LOW]
        return [self.alarm_name(kind) for kind in kinds]

    def alarms(self, arn: str) -> list[dict[str, Any]]:
        """Requests of PutMetricAlarm."""
        metric, statistic = self.metric
        value = float(self.configuration["TargetValue"])
        described = [{"Name": name, "Value": item} for name, item in metric.dimensions]
        common = {
            "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {arn}.",
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Dimensions": described,
            "Statistic": statistic,
            "Period": _PERIOD_SECONDS,
            "AlarmActions": [arn],
        }
        high = {
            "AlarmName": self.alarm_name(HIGH),
            "EvaluationPeriods": _HIGH_PERIODS,
            "Threshold": value,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        low = {
            "AlarmName": self.alarm_name(LOW),
            "EvaluationPeriods": _LOW_PERIODS,
            "Threshold": value * _LOW_SHARE,
            "ComparisonOperator": "LessThanThreshold",
        }
        wanted = set(self.alarm_names)
        return [{**common, **alarm} for alarm in (high, low) if alarm["AlarmName"] in wanted]

    def wanted(self, capacity: int, value: float) -> int:
        """How many instances keep the metric, which is per instance, at its target."""
        target = float(self.configuration["TargetValue"])
        # A hair above a whole number is how it was computed, not one instance more.
        return self.target.within(math.ceil(round(capacity * value / target, 6)))

    def cooldown_seconds(self, kind: str) -> float:
        """How long nothing more is done after an activity."""
        name = "ScaleOutCooldown" if kind == HIGH else "ScaleInCooldown"
        return float(self.configuration.get(name, _COOLDOWN_SECONDS))

    def is_suspended(self, kind: str) -> bool:
        """Whether scaling in this direction is suspended."""
        direction = "Out" if kind == HIGH else "In"
        return self.target.suspended.get(f"DynamicScaling{direction}Suspended", False)

    def describe(self, arn: str, alarm_arns: Mapping[str, str]) -> dict[str, Any]:
        """Entry of DescribeScalingPolicies."""
        return {
            "PolicyARN": arn,
            "PolicyName": self.name,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.target.resource_id,
            "ScalableDimension": DIMENSION,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": dict(self.configuration),
            "Alarms": [
                {"AlarmName": name, "AlarmARN": alarm_arns[name]} for name in self.alarm_names
            ],
            "CreationTime": self.created,
        }
