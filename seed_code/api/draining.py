"""How long a release that traffic has left is still needed.

CloudFormation deletes a release's endpoint, version and assets as soon as the stack needs them no
more: in the clean-up after the next release, and when this one is taken back. Requests that have
reached it may then still wait for their answers. So ``Custom::ReleaseCheck``, which goes first,
takes as long to go as any of the release's requests has taken (docs/decisions/0047).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from mlsystem.names import Names

__all__ = ["seconds_in_use"]

# For a request that is on its way when the alias moves. Lambda's changes reach all its machines in
# seconds, most of which CloudFormation has needed to come here.
_ARRIVAL_SECONDS: Final = 1.0
_REMEMBERED: Final = dt.timedelta(days=1)


def seconds_in_use(
    release: Mapping[str, str], project_key: str, bucket: str, make_client: Callable[..., Any]
) -> float:
    """Return after how many seconds nobody waits for an answer of a release any more.

    Parameters
    ----------
    release
        Properties of its ``Custom::ReleaseCheck``.
    project_key, bucket
        Whose it is, and where its guards' reports are.
    make_client
        Of a service's name, as :func:`api.aws.client`.
    """
    longest = float(release["TimeoutSeconds"])
    slowest = _slowest_seconds(release["Version"], make_client("cloudwatch"))
    if slowest is None:  # nobody has asked it, or CloudWatch does not know yet
        names = Names(project_key, release["Release"])
        if not _may_have_traffic(names, bucket, make_client("s3")):
            return 0.0
        slowest = longest
    return _ARRIVAL_SECONDS + min(slowest, longest)


def _slowest_seconds(version_arn: str, cloudwatch: Any) -> float | None:
    """Return how long the slowest request to the version has taken that came by the alias."""
    *_, function, version = version_arn.split(":")
    dimensions = {
        "FunctionName": function,
        "Resource": f"{function}:live",
        "ExecutedVersion": version,
    }
    now = dt.datetime.now(dt.UTC)
    found = cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Duration",
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - _REMEMBERED,
        EndTime=now,
        Period=int(_REMEMBERED.total_seconds()),
        Statistics=["Maximum"],
    )
    return max((point["Maximum"] / 1000 for point in found["Datapoints"]), default=None)


def _may_have_traffic(names: Names, bucket: str, s3: Any) -> bool:
    """Return whether the guard before traffic has let any come; without a report it may have."""
    key = f"{names.deployment_prefix}/before.json"
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
        return True
    report = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return bool(report["passed"])
