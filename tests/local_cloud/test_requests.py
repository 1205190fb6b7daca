"""Every operation of every service is recognised from the request that botocore makes of it."""

from __future__ import annotations

import gzip
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from botocore.model import OperationModel
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st
from moto.core.request import Request

from local_cloud.requests import Call, UnknownOperationError, identify, read_signature
from local_cloud.services import REFUSED, SERVICES

SESSION = botocore.session.get_session()
#: Look on the wire like another operation: an older version's names, and S3 Express's list.
SUPERSEDED = {
    ("s3", "ListDirectoryBuckets"),
    ("s3", "GetBucketLifecycle"),
    ("s3", "GetBucketNotification"),
    ("s3", "PutBucketLifecycle"),
    ("s3", "PutBucketNotification"),
}
NAMES = [(signing, service) for signing, services in SERVICES.items() for service in services]


def example(shape: Any, name: str = "", depth: int = 0) -> Any:
    """A value with every required member, and none that is optional: the hardest to tell apart."""
    if shape is None:
        return {}
    match shape.type_name:
        case "structure":
            required = set(shape.required_members) if depth < 6 else set()
            if getattr(shape, "is_tagged_union", False) and shape.members:
                required = {next(iter(shape.members))}
            return {
                member: example(shape.members[member], member, depth + 1) for member in required
            }
        case "list":
            return [example(shape.member, name, depth + 1)]
        case "map":
            return {"key": example(shape.value, name, depth + 1)}
        case "string":
            return shape.enum[0] if getattr(shape, "enum", None) else f"{name or 'value'}-1"
        case "integer" | "long":
            return 1
        case "float" | "double":
            return 1.0
        case "boolean":
            return True
        case "timestamp":
            return 1_700_000_000
        case "blob":
            return b"bytes"
    raise AssertionError(shape.type_name)


def request_of(service: str, operation: OperationModel, parameters: dict[str, Any]) -> Request:
    protocol = operation.service_model.resolved_protocol
    parts = create_serializer(protocol, include_validation=False).serialize_to_request(
        parameters, operation
    )
    request = AWSRequest(
        method=parts["method"],
        url=f"http://127.0.0.1:5000{parts['url_path']}",
        headers=parts["headers"],
        params=parts["query_string"],
        data=parts["body"],
    ).prepare()
    return Request.from_primitives(request.method, request.url, request.headers, request.body)


def is_plain(shape: Any, depth: int = 0) -> bool:
    """Whether a value comes back as it was given: no bytes, no time."""
    if shape is None or depth > 6:
        return True
    match shape.type_name:
        case "structure":
            members = [shape.members[name] for name in shape.required_members]
            return all(is_plain(member, depth + 1) for member in members)
        case "list":
            return is_plain(shape.member, depth + 1)
        case "map":
            return is_plain(shape.value, depth + 1)
    return shape.type_name not in {"blob", "timestamp"}


def full(value: Any) -> Any:
    """A value without empty structures, which not every protocol can write down."""
    if isinstance(value, dict):
        return {key: full(item) for key, item in value.items() if item not in ({}, [{}])}
    return [full(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("signing_name", "service"), NAMES)
def test_every_operation_is_recognised_with_its_parameters(signing_name: str, service: str) -> None:
    model = SESSION.get_service_model(service)
    wrong = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        if (service, name) in SUPERSEDED:
            continue
        parameters = example(operation.input_shape)
        call = identify(request_of(service, operation, parameters), signing_name)
        if (call.service, call.operation) != (service, name):
            wrong.append(f"{name}: taken for {call.service}:{call.operation}")
        elif is_plain(operation.input_shape) and not (
            full(parameters).items() <= full(call.parameters).items()
        ):
            wrong.append(f"{name}: {parameters} became {call.parameters}")
    assert not wrong


def test_refused_operations_exist() -> None:
    for service, operation in REFUSED:
        assert operation in SESSION.get_service_model(service).operation_names


@given(key=st.text(min_size=1).filter(lambda key: not _is_lone_dots(key)))
def test_any_object_key_comes_back_as_it_was(key: str) -> None:
    operation = SESSION.get_service_model("s3").operation_model("GetObject")
    request = request_of("s3", operation, {"Bucket": "data", "Key": key})
    call = identify(request, "s3")
    assert call == Call("s3", "GetObject", call.parameters)
    assert (call.parameters["Bucket"], call.parameters["Key"]) == ("data", key)


def _is_lone_dots(key: str) -> bool:
    return bool({".", ".."} & set(key.split("/")))


def test_compressed_metrics_are_read() -> None:
    body = b'{"Namespace": "churn", "MetricData": [{"MetricName": "auc"}]}'
    request = Request.from_primitives(
        "POST",
        "http://127.0.0.1/",
        {
            "X-Amz-Target": "GraniteServiceVersion20100801.PutMetricData",
            "Content-Type": "application/x-amz-json-1.0",
            "Content-Encoding": "gzip",
        },
        gzip.compress(body),
    )
    call = identify(request, "monitoring")
    assert call == Call(
        "cloudwatch",
        "PutMetricData",
        {"Namespace": "churn", "MetricData": [{"MetricName": "auc"}]},
    )


def test_a_body_that_cannot_be_read_is_an_unknown_operation() -> None:
    request = Request.from_primitives(
        "POST",
        "http://127.0.0.1/",
        {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"},
        b"[1]",
    )
    with pytest.raises(UnknownOperationError, match="ListModels"):
        identify(request, "sagemaker")


def test_two_actions_are_none() -> None:
    """One would be allowed and the other done."""
    request = Request.from_primitives(
        "POST",
        "http://127.0.0.1/?Action=GetRole",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"Action=CreateRole",
    )
    with pytest.raises(UnknownOperationError, match="two are asked for"):
        identify(request, "iam")


def test_an_unknown_operation_is_named() -> None:
    request = Request.from_primitives(
        "POST", "http://127.0.0.1/", {"X-Amz-Target": "AWSStepFunctions.Fly"}, b"{}"
    )
    with pytest.raises(UnknownOperationError, match=r"states: POST AWSStepFunctions\.Fly"):
        identify(request, "states")


def test_the_signature_is_read_from_header_and_query() -> None:
    header = (
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/xx-local-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=abc"
    )
    request = Request.from_primitives(
        "GET",
        "http://127.0.0.1/data",
        {"Authorization": header, "X-Amz-Date": "20260101T000000Z", "X-Amz-Security-Token": "t"},
    )
    signature = read_signature(request)
    assert signature is not None
    assert signature.access_key == "AKID"
    assert signature.headers == ("host", "x-amz-date")
    assert (signature.service, signature.token) == ("s3", "t")
    assert signature.presigned_seconds is None
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260101%2Fxx-local-1%2Fs3%2F"
        "aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&"
        "X-Amz-Signature=abc"
    )
    presigned = read_signature(Request.from_primitives("GET", f"http://127.0.0.1/d?{query}", {}))
    assert presigned is not None
    assert (presigned.access_key, presigned.value) == ("AKID", "abc")
    assert presigned.presigned_seconds == 60
    assert presigned.is_over()
    assert not signature.is_over()


@pytest.mark.parametrize(
    "authorization", ["", "Basic YTpi", "AWS AKID:abc", "AWS4-HMAC-SHA256 Credential=AKID/s3"]
)
def test_other_signatures_are_none(authorization: str) -> None:
    request = Request.from_primitives(
        "GET", "http://127.0.0.1/", {"Authorization": authorization} if authorization else {}
    )
    assert read_signature(request) is None
