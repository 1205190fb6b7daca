"""Metrics in log lines: CloudWatch's embedded metric format.

Source:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["collect"]

_MOST_VALUES = 100


def collect(cloud: LocalCloud, line: str) -> None:
    """Keep the metrics that a log line holds; a line that is not in this format holds none."""
    if not (line.startswith("{") and '"_aws"' in line):
        return
    try:
        document = json.loads(line)
        header = document["_aws"]
        for directive in header["CloudWatchMetrics"]:
            _collect(cloud, document, directive, header["Timestamp"] / 1000)
    except (ValueError, KeyError, TypeError, AttributeError):  # CloudWatch ignores it too
        return


def _collect(
    cloud: LocalCloud, document: Mapping[str, Any], directive: Mapping[str, Any], at: float
) -> None:
    values: dict[str, float | list[float]] = {}
    units = {}
    for metric in directive["Metrics"]:
        name, found = metric["Name"], document.get(metric["Name"])
        if isinstance(found, list):
            values[name] = [float(value) for value in found[:_MOST_VALUES]]
        elif isinstance(found, int | float) and not isinstance(found, bool):
            values[name] = float(found)
        units[name] = metric.get("Unit", "None")
    for names in directive.get("Dimensions") or [[]]:
        if all(name in document for name in names):
            dimensions = {name: str(document[name]) for name in names}
            cloud.metrics.record(directive["Namespace"], dimensions, values, units=units, at=at)
