"""What a release left in the account, read into the run's summary.

All is found through the input of the release's workflow, which says where everything goes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local_cloud import endpoint_client
from local_cloud.sagemaker import address
from local_cloud.summary import Summary

__all__ = ["ask", "golden_requests", "location", "read_evaluation", "read_model"]

#: boto3 client of a service by its name, for whoever reads.
Client = Callable[[str], Any]


def location(inputs: dict[str, Any], name: str) -> str:
    """Return the S3 address of an input of the workflow's first job."""
    found = inputs["prepare"]["inputs"]
    return next(str(item["S3Input"]["S3Uri"]) for item in found if item["InputName"] == name)


def read_evaluation(client: Client, inputs: dict[str, Any], summary: Summary) -> None:
    """Copy metrics and verdict from ``evaluation.json``, where the release came that far."""
    s3, where = client("s3"), inputs["evaluate"]
    found = s3.list_objects_v2(Bucket=where["bucket"], Prefix=where["key"])
    if not found.get("Contents"):
        return
    evaluation = _json(s3, where["bucket"], where["key"])
    summary.metrics = evaluation["metrics"]
    summary.gate = evaluation["gate"]


def read_model(client: Client, inputs: dict[str, Any], summary: Summary) -> None:
    """Copy what the workflow registered."""
    registered = inputs["register"]
    packages = client("sagemaker").list_model_packages(
        ModelPackageGroupName=registered["model_package_group"],
        SortBy="CreationTime",
        SortOrder="Descending",
    )["ModelPackageSummaryList"]
    summary.model = {
        "archive": registered["model_archive_uri"],
        "package_arn": packages[0]["ModelPackageArn"],
    }


def ask(client: Client, inputs: dict[str, Any], endpoint: str, summary: Summary) -> None:
    """Ask the endpoint the project's examples, and test rows whose answers are known."""
    s3 = client("s3")
    bucket, _, settings_key = location(inputs, "settings").removeprefix("s3://").partition("/")
    settings = _json(s3, bucket, settings_key)
    golden = golden_requests(client, inputs)
    url = f"{address(endpoint)}/invocations"
    summary.endpoint = {"name": endpoint, "url": url}
    summary.golden_requests = endpoint_client.check(url, golden)
    is_label = settings["model"]["problem"] == "multiclass"
    summary.predictions = endpoint_client.ask(
        url, settings["deploy"]["examples"], golden, labels=is_label
    )
    sent, answered = (summary.golden_requests[key] for key in ("sent", "answered"))
    if answered < sent:
        summary.status = "FAILED"
        summary.error = f"{url}: {answered} of {sent} test rows answered as evaluated; all of them."


def golden_requests(client: Client, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the test rows whose answers ``evaluate`` computed."""
    where = inputs["evaluate"]
    key = where["key"].replace("evaluation.json", "golden_requests.json")
    return _json(client("s3"), where["bucket"], key)


def _json(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return found
