"""Application Auto Scaling: as many instances of an endpoint's variant as its traffic takes.

=============== =================================================================
module          holds
=============== =================================================================
``target``      what is scaled
``policy``      target tracking: alarms, and how many instances
``activity``    one change of a number of instances
``api``         requests and answers, and what is done when an alarm is on
=============== =================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.applicationautoscaling import urls

from local_cloud import alarms
from local_cloud.autoscaling.api import AutoScaling
from local_cloud.json_api import JsonApi
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity(
        "Application Auto Scaling",
        "exact",
        "Variants of SageMaker endpoints: scalable targets with their bounds, target tracking on"
        " SageMakerVariantInvocationsPerInstance or a metric of one's own, its two alarms (three"
        " minutes above, fifteen a tenth below), cooldowns, suspended scaling, activities, tags;"
        " serving processes are added and taken away without a lost request; without traffic there"
        " is no metric, so nothing is taken away",
    ),
    Parity(
        "Application Auto Scaling",
        "partial",
        "Minutes and cooldowns shrink by the factor of all waits; the service acts as the"
        " administrator, its role is made at the first target; nothing is done during a cooldown,"
        " more neither; lists come in one page",
    ),
    Parity(
        "Application Auto Scaling",
        "refused",
        "Other services and dimensions, step and predictive scaling, scheduled actions, metric math"
        " in a policy, other predefined metrics",
    ),
]


def install(cloud: LocalCloud) -> None:
    """Scale until `cloud` stops."""
    scaling = AutoScaling(cloud)
    JsonApi(cloud, "application-autoscaling", scaling.operations()).install(urls)
    alarms.handle("autoscaling", scaling.handle)
    cloud.on_stop(scaling.stop)
