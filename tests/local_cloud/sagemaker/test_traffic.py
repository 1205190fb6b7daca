"""Metrics of endpoints, and what is captured of their requests."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from local_cloud.metrics import Distribution, Metric
from local_cloud.sagemaker import address

CSV = {"CsvContentTypes": ["text/csv"]}
BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]


@pytest.fixture(scope="module")
def runtime(account) -> Any:
    return account.cloud.client("sagemaker-runtime")


def read(account, endpoint: str, name: str, variant: str = "primary") -> Distribution:
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    metric = Metric.of("AWS/SageMaker", name, dimensions)
    return account.cloud.metrics.read(metric, 0, 1 << 60)


def counted(account, endpoint: str, number: int, variant: str = "primary") -> None:
    """Wait until so many requests were counted."""
    account.poll(lambda: read(account, endpoint, "Invocations", variant).total == number)


# ------------------------------------------------------------------------------ metrics


def test_every_request_is_counted_by_how_it_ended(account, runtime):
    endpoint = account.endpoint(account.config(account.model("counted"), count=2))
    for body in (b"1,2", b"status 422 no", b"status 400 no", b"status 503 no"):
        try:
            runtime.invoke_endpoint(EndpointName=endpoint, Body=body)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ModelError"
    account.ask(endpoint)  # at its own address it counts as well
    counted(account, endpoint, 5)
    totals = {
        name: read(account, endpoint, name).total
        for name in ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors",
                     "InvocationsPerInstance")
    }  # fmt: skip
    assert totals == {
        "Invocation4XXErrors": 2, "Invocation5XXErrors": 1, "InvocationModelErrors": 3,
        "InvocationsPerInstance": 2.5,
    }  # fmt: skip
    errors = read(account, endpoint, "InvocationModelErrors")
    assert (errors.count, errors.statistic("Average")) == (5, 0.6)  # 0 is sent too


def test_a_ping_is_no_invocation_and_latency_is_in_microseconds(account, runtime):
    endpoint = account.endpoint(account.config(account.model("measured")))
    connection = http.client.HTTPConnection(urlsplit(address(endpoint)).netloc, timeout=10)
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200
    connection.close()
    for _ in range(20):
        account.ask(endpoint)
    counted(account, endpoint, 20)
    latency = read(account, endpoint, "ModelLatency")
    overhead = read(account, endpoint, "OverheadLatency")
    assert latency.count == overhead.count == 20
    assert latency.greatest < 5_000_000
    assert latency.total == 0 or latency.greatest >= 1000  # it is told by the millisecond
    found = account.cloud.client("cloudwatch").list_metrics(
        Namespace="AWS/SageMaker", Dimensions=[{"Name": "EndpointName", "Value": endpoint}]
    )
    assert len(found["Metrics"]) == 7


def test_variants_are_counted_apart_also_after_an_update(account):
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    model = account.model("apart")
    variants = [{**variant, "VariantName": name, "ModelName": model} for name in ("left", "right")]
    endpoint = account.endpoint(account.config("unused", ProductionVariants=variants))
    for _ in range(4):
        account.ask(endpoint)
    counted(account, endpoint, 2, "left")
    counted(account, endpoint, 2, "right")
    config = account.config(account.model("after"))
    account.client.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    account.settled(endpoint)
    account.ask(endpoint)
    counted(account, endpoint, 1)


# ------------------------------------------------------------------------------ capture


def capturing(account, percent: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percent,
        "DestinationS3Uri": f"s3://{account.bucket}/captured",
        "CaptureOptions": BOTH,
        "CaptureContentTypeHeader": CSV,
        **changes,
    }


def records(account, endpoint: str, number: int) -> list[dict[str, Any]]:
    """Records of an endpoint, when there are so many."""

    def found() -> list[dict[str, Any]] | None:
        keys = account.keys(f"captured/{endpoint}/")
        lines = [line for key in keys for line in account.get(key).splitlines()]
        return [json.loads(line) for line in lines] if len(lines) >= number else None

    return list(account.poll(found))


def test_requests_and_answers_are_captured_as_sagemaker_writes_them(account, runtime):
    key = account.cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    config = account.config(
        account.model("captured"), DataCaptureConfig=capturing(account, KmsKeyId=key)
    )
    endpoint = account.endpoint(config)
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, Body=b"1,2", ContentType="text/csv", InferenceId="request-1",
        CustomAttributes="colour=red",
    )  # fmt: skip
    body = answer["Body"].read()
    with pytest.raises(ClientError):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"status 500 no")
    (record,) = records(account, endpoint, 1)
    event = record["eventMetadata"]
    assert (event["inferenceId"], event["customAttributes"]) == ("request-1", ["colour=red"])
    assert event["eventId"]
    assert event["inferenceTime"].endswith("Z")
    assert record == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv", "mode": "INPUT", "data": "1,2",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json", "mode": "OUTPUT",
                "data": base64.b64encode(body).decode(), "encoding": "BASE64",
            },
        },
        "eventMetadata": event,
        "eventVersion": "0",
    }  # fmt: skip
    (name,) = account.keys(f"captured/{endpoint}/")
    prefix, _, file = name.rpartition("/")
    assert prefix.count("/") == 6  # captured/<endpoint>/<variant>/year/month/day/hour
    assert prefix.split("/")[2] == "primary"
    assert file.endswith(".jsonl")
    stored = account.cloud.client("s3").head_object(Bucket=account.bucket, Key=name)
    assert (stored["ServerSideEncryption"], stored["SSEKMSKeyId"]) == ("aws:kms", key)
    described = account.client.describe_endpoint(EndpointName=endpoint)["DataCaptureConfig"]
    assert (described["CaptureStatus"], described["CurrentSamplingPercentage"]) == ("Started", 100)


def test_a_share_of_the_requests_is_captured_with_the_side_that_is_wanted(account, runtime):
    inputs = {"CaptureOptions": [{"CaptureMode": "Input"}]}
    config = account.config(
        account.model("share"), DataCaptureConfig=capturing(account, 50, **inputs)
    )
    endpoint = account.endpoint(config)
    for _ in range(60):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1", ContentType="text/csv")
    account.client.delete_endpoint(EndpointName=endpoint)  # what was gathered is stored
    account.poll(lambda: not exists(account, endpoint))
    found = records(account, endpoint, 1)
    assert 5 < len(found) < 55
    assert {*found[0]["captureData"]} == {"endpointInput"}


def exists(account, endpoint: str) -> bool:
    try:
        account.client.describe_endpoint(EndpointName=endpoint)
    except ClientError:
        return False
    return True


def test_a_role_that_may_not_write_leaves_a_note_and_serves(account, runtime, make_role):
    role_arn = make_role(("s3:GetObject", "*"), ("logs:*", "*"), ("ecr:*", "*"))
    model = account.model("shy", ExecutionRoleArn=role_arn)
    endpoint = account.endpoint(account.config(model, DataCaptureConfig=capturing(account)))
    answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    path = account.cloud.logs.path(f"/aws/sagemaker/Endpoints/{endpoint}", "primary/data-log")
    account.poll(path.exists)
    assert "s3:PutObject" in path.read_text()
    assert not account.keys(f"captured/{endpoint}/")


def test_capture_that_is_turned_off_captures_nothing(account, runtime):
    config = account.config(
        account.model("off"), DataCaptureConfig=capturing(account, EnableCapture=False)
    )
    endpoint = account.endpoint(config)
    runtime.invoke_endpoint(EndpointName=endpoint, Body=b"1")
    described = account.client.describe_endpoint(EndpointName=endpoint)["DataCaptureConfig"]
    assert described["CaptureStatus"] == "Stopped"
    account.client.delete_endpoint(EndpointName=endpoint)
    account.poll(lambda: not exists(account, endpoint))
    assert not account.keys(f"captured/{endpoint}/")
