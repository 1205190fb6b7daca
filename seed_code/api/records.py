"""One line of JSON for each request: log and metrics in one (embedded metric format).

CloudWatch makes metrics of the line, dimensions ``[Project, Release]`` and ``[Project]``:

================ ============ =====================================================================
metric           unit         is
================ ============ =====================================================================
``Requests``     Count        1
``ClientErrors`` Count        1 when the client is to blame
``ModelErrors``  Count        1 when the release is to blame, see :mod:`api.failures`
``Latency``      Milliseconds to the answer, once the release is open; only when the model was
                 asked, so that no client's mistake makes a slow model look fast
================ ============ =====================================================================

No line has a value of a request in it.

References
----------
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

__all__ = ["NAMESPACE", "Blame", "record"]

NAMESPACE: Final = "MLSystem"

Blame = Literal["client", "model", "nobody"]


def record(
    *, project: str, release: str, timestamp_ms: int, blame: Blame, latency_ms: float | None,
    **facts: Any,
) -> str:  # fmt: skip
    """Return the line for one request.

    Parameters
    ----------
    project, release
        The dimensions.
    timestamp_ms
        Milliseconds since 1970.
    blame
        Who is to blame for an error; ``nobody`` when there is none.
    latency_ms
        None when the model was not asked.
    **facts
        What else the log shall have.
    """
    values = {
        "Requests": 1,
        "ClientErrors": int(blame == "client"),
        "ModelErrors": int(blame == "model"),
    }
    metrics = [{"Name": name, "Unit": "Count"} for name in values]
    measured = {}
    if latency_ms is not None:
        metrics.append({"Name": "Latency", "Unit": "Milliseconds"})
        measured = {"Latency": round(latency_ms, 3)}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Project", "Release"], ["Project"]],
        "Metrics": metrics,
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": timestamp_ms, "CloudWatchMetrics": [directive]},
            "Project": project,
            "Release": release,
            **values,
            **measured,
            **facts,
        }
    )
