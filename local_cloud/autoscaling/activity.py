"""One change of a number of instances, from the wish to its end."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.autoscaling.target import DIMENSION, NAMESPACE, Target

__all__ = ["Activity", "capacity"]

_LOOK_SECONDS = 0.05
_BUSY = frozenset({"Updating", "SystemUpdating", "RollingBack"})


def capacity(sagemaker: Any, target: Target) -> int | None:
    """How many instances a variant is to have; ``None`` while its endpoint is not in service."""
    try:
        found = sagemaker.describe_endpoint(EndpointName=target.endpoint_name)
    except ClientError:
        return None
    if found["EndpointStatus"] != "InService":
        return None
    variants = {item["VariantName"]: item for item in found["ProductionVariants"]}
    variant = variants.get(target.variant_name)
    return None if variant is None else int(variant["DesiredInstanceCount"])


@dataclass
class Activity:
    """A scaling activity.

    Parameters
    ----------
    target
        What is scaled.
    wanted
        How many instances.
    cause
        Why.
    """

    target: Target
    wanted: int
    cause: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Pending"
    message: str = ""
    begun: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    ended: dt.datetime | None = None

    def run(self, sagemaker: Any, stopping: threading.Event) -> None:
        """Change the number of instances and wait until the endpoint has it."""
        self.status = "InProgress"
        try:
            sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=self.target.endpoint_name,
                DesiredWeightsAndCapacities=[
                    {
                        "VariantName": self.target.variant_name,
                        "DesiredInstanceCount": self.wanted,
                    }
                ],
            )
            reason = self._wait(sagemaker, stopping)
        except (ClientError, BotoCoreError) as error:
            reason = str(error)
        self.ended = dt.datetime.now(dt.UTC)
        if reason:
            self.message = f"Failed to set desired instance count to {self.wanted}. {reason}"
            self.status = "Failed"
            return
        self.message = (
            f"Successfully set desired instance count to {self.wanted}. Change successfully"
            " fulfilled by sagemaker."
        )
        self.status = "Successful"

    def _wait(self, sagemaker: Any, stopping: threading.Event) -> str:
        """Why the endpoint has not come to the wanted number; empty when it has."""
        while not stopping.wait(_LOOK_SECONDS):
            found = sagemaker.describe_endpoint(EndpointName=self.target.endpoint_name)
            if found["EndpointStatus"] not in _BUSY:
                return str(found.get("FailureReason", ""))
        return "The local cloud stops."

    def describe(self) -> dict[str, Any]:
        """Entry of DescribeScalingActivities."""
        return {
            "ActivityId": self.id,
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.target.resource_id,
            "ScalableDimension": DIMENSION,
            "Description": f"Setting desired instance count to {self.wanted}.",
            "Cause": self.cause,
            "StartTime": self.begun,
            **({"EndTime": self.ended} if self.ended else {}),
            "StatusCode": self.status,
            "StatusMessage": self.message,
        }
