"""CloudWatch: metrics that are kept, alarms that are looked at every minute, whoever they tell.

=============== =================================================================
module          holds
=============== =================================================================
``expressions`` metric math
``queries``     statistics and expressions over windows of time
``evaluation``  M of N periods, and what a missing one counts
``alarm``       one alarm
``monitor``     all alarms: looking, states, history, whoever is told
``api``         requests and answers
=============== =================================================================

What is recorded is in :mod:`local_cloud.metrics`: ``cloud.metrics.record(...)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.cloudwatch import urls

from local_cloud.alarms.api import CloudWatchApi
from local_cloud.alarms.monitor import Alarms, Handler
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "handle", "install"]

PARITY = [
    Parity(
        "CloudWatch",
        "exact",
        "Metrics: put (values, counts, statistic sets), get, list; SampleCount, Average, Sum,"
        " Minimum, Maximum; metric math with + - * /, comparisons, AND, OR, IF, FILL. Alarms of a"
        " metric or an expression: M of N periods, the four treatments of missing data, states"
        " with AWS's reasons, history, actions, tags, SetAlarmState, the event CloudWatch Alarm"
        " State Change; actions: SNS by the topic's policy, scaling policies. Dashboards are kept",
    ),
    Parity(
        "CloudWatch",
        "partial",
        "A minute of an alarm, and so its periods, shrinks by the factor of all waits; questions"
        " about metrics are about real time; percentiles are right to half a percent; a week of"
        " minutes is kept; an alarm looks two periods beyond its own for missing values; lists"
        " come in one page",
    ),
    Parity(
        "CloudWatch",
        "refused",
        "Composite alarms, anomaly detection, periods below a minute, metrics of different periods"
        " in one question, other functions of metric math, trimmed means and the like, Metrics"
        " Insights, metric streams, insight rules, other accounts, other actions of alarms",
    ),
]

_installed: Alarms | None = None


def install(cloud: LocalCloud) -> None:
    """Look at alarms until `cloud` stops."""
    alarms = Alarms(cloud)
    members = {"alarms": alarms, "metrics": cloud.metrics}
    # moto makes one object of a class for each request, so what they share hangs on the class.
    api: Any = type("CloudWatchApi", (CloudWatchApi,), members)
    cloud.replace(urls, "url_paths", {"{0}/$": api.dispatch})
    _remember(alarms)
    cloud.on_stop(lambda: _remember(None))
    alarms.start()
    cloud.on_stop(alarms.stop)


def handle(service: str, handler: Handler) -> None:
    """Have actions of a service done: each is called for every minute that its alarm is on."""
    if _installed is not None:
        _installed.handlers[service] = handler


def _remember(alarms: Alarms | None) -> None:
    global _installed  # noqa: PLW0603 - one process holds one local cloud
    _installed = alarms
