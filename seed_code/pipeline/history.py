"""What production could answer with, and what it did: for who decides, and for the notebooks."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlsystem.names import Names
from pipeline import registry
from pipeline.production import SERVING_RELEASE, describe, outputs

__all__ = ["Approved", "Measured", "approved", "traffic"]

# What the API writes for each request (api/records.py), and how one number is made of many.
_NAMESPACE = "MLSystem"
_STATISTICS = {"Requests": "Sum", "ModelErrors": "Sum", "ClientErrors": "Sum", "Latency": "p99"}


@dataclass(frozen=True)
class Approved:
    """A release that a person let into production."""

    release: str
    registered: datetime.datetime
    metric: str
    value: float
    """Of the metric, on rows that the model had never seen."""
    in_production_since: str
    """Since when it last answered (ISO 8601, UTC); empty when it never did."""
    serves: bool
    """Whether it answers now."""


@dataclass(frozen=True)
class Measured:
    """One number about the requests that a release has answered."""

    release: str
    metric: str
    """Requests, ModelErrors, ClientErrors: how many; Latency: p99, in milliseconds."""
    time: datetime.datetime
    value: float


def approved(project: str, client: Callable[[str], Any]) -> list[Approved]:
    """Return the approved releases of `project`, the newest first.

    `client` makes the client of an AWS service by its name.
    """
    names = Names(project, "none")
    serving = outputs(describe(client("cloudformation"), names.prod_stack)).get(SERVING_RELEASE)
    return [
        Approved(
            release=package.release,
            registered=package.created,
            metric=package.metric,
            value=float(package.value or "nan"),
            in_production_since=package.in_production_since,
            serves=package.release == serving,
        )
        for package in registry.approved(client("sagemaker"), project)
        if package.release
    ]


def traffic(
    project: str,
    releases: Sequence[str],
    client: Callable[[str], Any],
    now: datetime.datetime,
    *,
    hours: int,
) -> list[Measured]:
    """Return what CloudWatch knows of the requests to `releases` in the last `hours`.

    Parameters
    ----------
    project
        The project's key.
    releases
        At most 125.
    client
        Makes the client of an AWS service by its name.
    now
        The time.
    hours
        How far to look back; there are sixty numbers of each kind, but where nobody asked.
    """
    asked = [(release, metric) for release in releases for metric in _STATISTICS]
    pages = (
        client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(
            MetricDataQueries=[
                _query(f"q{number}", project, *each, 60 * hours)
                for number, each in enumerate(asked)
            ],
            StartTime=now - datetime.timedelta(hours=hours),
            EndTime=now,
            ScanBy="TimestampAscending",
        )
    )
    return [
        Measured(*asked[int(found["Id"][1:])], time, value)
        for page in pages
        for found in page["MetricDataResults"]
        for time, value in zip(found["Timestamps"], found["Values"], strict=True)
    ]


def _query(name: str, project: str, release: str, metric: str, period: int) -> dict[str, Any]:
    dimensions = {"Project": project, "Release": release}
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": _NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": period,
            "Stat": _STATISTICS[metric],
        },
    }
