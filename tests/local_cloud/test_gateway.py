"""Who is not known is turned away, what is not here is named, both in the service's own words."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.sts.models import sts_backends

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole

new_client: Any = boto3.client
ONCE = Config(retries={"total_max_attempts": 1})

#: A call of each protocol: JSON, query, REST-XML, REST-JSON.
CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("sagemaker", lambda client: client.list_models()),
    ("stepfunctions", lambda client: client.list_state_machines()),
    ("iam", lambda client: client.list_roles()),
    ("s3", lambda client: client.list_buckets()),
    (
        "sagemaker-runtime",
        lambda client: client.invoke_endpoint(EndpointName="e", Body=b"{}"),
    ),
]
IDS = [service for service, _ in CALLS]


def fails(service: str, call: Callable[[Any], Any], **keys: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call(new_client(service, config=ONCE, **keys))
    response = error.value.response
    error_part = response["Error"]
    return (
        error_part["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        error_part["Message"],
    )


@pytest.mark.parametrize(("service", "call"), CALLS, ids=IDS)
def test_an_unknown_key_is_turned_away(
    cloud: LocalCloud, service: str, call: Callable[[Any], Any]
) -> None:
    code, status, message = fails(
        service, call, aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key="x"
    )
    expected = {"s3": ("InvalidAccessKeyId", 403), "iam": ("InvalidClientTokenId", 403)}
    assert (code, status) == expected.get(service, ("UnrecognizedClientException", 400))
    assert message == "The security token included in the request is invalid."


@pytest.mark.parametrize(("service", "call"), CALLS, ids=IDS)
def test_a_wrong_secret_is_turned_away(
    cloud: LocalCloud, service: str, call: Callable[[Any], Any]
) -> None:
    key = cloud.environment()["AWS_ACCESS_KEY_ID"]
    code, _, message = fails(service, call, aws_access_key_id=key, aws_secret_access_key="x")
    assert code in {"SignatureDoesNotMatch", "InvalidSignatureException"}
    assert "does not match" in message


def test_a_session_that_is_over_is_turned_away(cloud: LocalCloud, make_role: MakeRole) -> None:
    credentials = cloud.credentials(make_role(("s3:*", "*")), "sagemaker.amazonaws.com")
    backend = sts_backends[cloud.account_id]["aws"]
    session = backend.get_assumed_role_from_access_key(credentials.access_key)
    session.expiration = session.expiration.replace(year=2000)
    code, *_ = fails(
        "s3",
        lambda client: client.list_buckets(),
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
    )
    assert code == "ExpiredToken"


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/bucket/key",
        "/moto-api/data.json",
        "/moto-api/reset",
        "/latest/meta-data/",
        "/?Action=x",
    ],
)
def test_who_does_not_sign_is_turned_away(cloud: LocalCloud, path: str) -> None:
    """Also from the addresses by which moto itself would be read and reset."""
    status, body = get(f"{cloud.endpoint_url}{path}")
    assert status == 403
    assert b"AccessDenied" in body


def test_who_does_not_sign_is_told_in_the_form_that_was_asked(cloud: LocalCloud) -> None:
    status, body = get(cloud.endpoint_url, **{"X-Amz-Target": "SageMaker.ListModels"})
    assert status == 400
    assert json.loads(body)["__type"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("kinesis", lambda client: client.list_streams()),
        ("dynamodb", lambda client: client.list_tables()),
        ("glue", lambda client: client.list_jobs()),
        ("sqs", lambda client: client.list_queues()),
        ("athena", lambda client: client.list_work_groups()),
    ],
)
def test_a_service_that_is_not_here_is_named(
    cloud: LocalCloud, service: str, call: Callable[[Any], Any]
) -> None:
    code, status, message = fails(service, call)
    assert (code, status) == ("LocalCloudUnsupported", 501)
    assert message.startswith(f"{service}: this service is not part of the local cloud")
    assert "docs/parity.md" in message


@pytest.mark.parametrize(
    ("service", "call", "named"),
    [
        (
            "cloudwatch",
            lambda client: client.put_composite_alarm(AlarmName="a", AlarmRule="TRUE"),
            "cloudwatch:PutCompositeAlarm",
        ),
        ("iam", lambda client: client.create_user(UserName="u"), "iam:CreateUser"),
        ("sts", lambda client: client.get_session_token(), "sts:GetSessionToken"),
    ],
)
def test_an_operation_that_would_do_nothing_is_refused_by_name(
    cloud: LocalCloud, service: str, call: Callable[[Any], Any], named: str
) -> None:
    code, status, message = fails(service, call)
    assert (code, status) == ("LocalCloudUnsupported", 501)
    assert message.startswith(named)


def test_an_operation_that_moto_does_not_have_is_refused_by_name(cloud: LocalCloud) -> None:
    code, status, message = fails("logs", lambda client: client.list_anomalies())
    assert (code, status) == ("LocalCloudUnsupported", 501)
    assert "list_anomalies" in message


def test_an_error_inside_is_answered_and_kept(cloud: LocalCloud) -> None:
    """A query without its version makes moto's S3 Select fail; any other failure would do."""

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the inside is broken")

    from moto.kms import responses

    original = cloud.replace(responses.KmsResponse, "list_keys", broken)
    code, status, message = fails("kms", lambda client: client.list_keys())
    responses.KmsResponse.list_keys = original
    assert (code, status) == ("InternalFailure", 500)
    assert message == "RuntimeError: the inside is broken"
    log = (cloud.root / "logs" / "local_cloud.log").read_text()
    assert "RuntimeError: the inside is broken" in log
    assert "Traceback" in log


def test_moto_s_own_errors_pass(cloud: LocalCloud) -> None:
    code, *_ = fails("iam", lambda client: client.get_role(RoleName="nobody"))
    assert code == "NoSuchEntity"


@pytest.fixture(scope="module")
def bucket(cloud: LocalCloud) -> str:
    cloud.client("s3").create_bucket(
        Bucket="signed", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    return "signed"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    key=st.text(
        alphabet="aé/ +%&?#=~*'()!:;,.$@\\[]{}\"^`|<>\u6f22", min_size=1, max_size=12
    ).filter(lambda key: not {".", ".."} & set(key.split("/")))
)
def test_any_key_is_signed_and_presigned(cloud: LocalCloud, bucket: str, key: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    assert get(url) == (200, key.encode())


def test_a_changed_presigned_address_is_turned_away(cloud: LocalCloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="mine", Body=b"mine")
    s3.put_object(Bucket=bucket, Key="other", Body=b"other")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "mine"})
    status, body = get(url.replace("/mine?", "/other?"))
    assert status == 403
    assert b"SignatureDoesNotMatch" in body


def test_a_presigned_address_is_good_for_its_time(cloud: LocalCloud, bucket: str) -> None:
    parameters = {"Bucket": bucket, "Key": "k"}
    url = cloud.client("s3").generate_presigned_url("get_object", Params=parameters, ExpiresIn=-1)
    status, body = get(url)
    assert status == 403
    assert b"Request has expired" in body


def test_another_region_is_refused_by_name(cloud: LocalCloud) -> None:
    code, status, message = fails(
        "sagemaker", lambda client: client.list_models(), region_name="us-east-1"
    )
    assert (code, status) == ("LocalCloudUnsupported", 501)
    assert message.startswith("us-east-1: this region is not part of the local cloud")


def test_a_presigned_address_has_the_rights_of_who_made_it(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    role = make_role(("s3:ListBucket", "*"))
    s3 = cloud.client("s3", role_arn=role, service_principal="sagemaker.amazonaws.com")
    status, body = get(
        s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    )
    assert status == 403
    assert b"s3:GetObject" in body


def test_a_form_is_not_consumed_before_moto_reads_it(cloud: LocalCloud) -> None:
    """Query requests are forms; whoever parses a form takes its body away."""
    iam = cloud.client("iam")
    iam.create_group(GroupName="readers")
    assert [group["GroupName"] for group in iam.list_groups()["Groups"]] == ["readers"]
