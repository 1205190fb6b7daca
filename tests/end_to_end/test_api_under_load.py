"""The API of a project in production, while releases come and clients do what they like.

The real production stack, deployed by CloudFormation (`bench.production`); releases of one good
model, so that nothing may fail.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bench.abuse import CASES, UNTHROTTLED, abuse_a_release
from bench.production import BODIES, BUCKET, Production, share_images, small_model
from local_cloud.api_client import Answer
from local_cloud.cloud import LocalCloud
from local_cloud.traffic import Traffic

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
FAST = {**UNTHROTTLED, "serving": "lambda", "production": {"strategy": "all-at-once"}}
pytestmark = pytest.mark.xdist_group("api under load")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A project with a release that is answered by the function itself."""
    root = tmp_path_factory.mktemp("local")
    share_images(root)
    with LocalCloud(root, wait_factor=0.02) as cloud:
        made = Production(cloud, small_model(root / "model"), BODIES)
        made.release(FAST)
        yield made


def test_abuse_takes_no_release_back_and_costs_nobody_a_request(production):
    found = abuse_a_release(production, "endpoint", minutes=10, per_second=200)
    assert found.surprises == {}
    assert found.abuses >= 1_500
    assert found.abuses_while_traffic_moved >= len(CASES)
    assert (found.good_requests_failed, found.alarms) == (0, [])
    assert found.good_requests > 100


def test_no_request_is_lost_while_good_releases_follow_each_other(production):
    with Traffic(production.client(), BODIES, 40) as traffic:
        ids = {
            production.release({**UNTHROTTLED, "serving": serving})
            for serving in ("lambda", "endpoint")
        }
    answers = traffic.answers()
    assert Traffic.failed(answers) == []
    assert ids <= {answer.release for answer in answers}
    assert production.alarms() == []


class WithKey:
    """A client with an API key."""

    def __init__(self, production: Production) -> None:
        key = production.cloud.client("apigateway").get_api_key(
            apiKey=production.outputs["ApiKeyId"], includeValue=True
        )
        self._url = production.url
        self._headers = {"Content-Type": "application/json", "x-api-key": key["value"]}

    def close(self) -> None:
        """Nothing is kept."""

    def predict(self, body: str) -> Answer:
        found = requests.post(f"{self._url}/predict", body, headers=self._headers, timeout=30)
        release = found.headers.get("X-Release", "")
        return Answer(found.status_code, release, found.text, time.monotonic())


@pytest.fixture
def throttled(production: Production) -> Iterator[Production]:
    """The same, for a test that leaves few requests to others."""
    yield production
    production.release(FAST)


# 5 at once, and 5 a second; of the key also 30 a day.
@pytest.mark.parametrize(
    ("api", "client", "told"),
    [
        ({"auth": "iam"}, Production.client, {"Too Many Requests"}),
        (
            {"auth": "key", "quota_per_day": 30},
            WithKey,
            {"Too Many Requests", "Limit Exceeded"},
        ),
    ],
    ids=["the stage", "a usage plan"],
)
def test_throttled_clients_are_told_so_and_no_release_is_blamed(throttled, api, client, told):
    production = throttled
    deploy = {"serving": "lambda", "api": {**api, "rate_per_second": 5, "burst": 5}}
    production.release({**FAST, **deploy})
    with Traffic(client(production), BODIES, 60) as traffic:
        second = production.release(deploy)  # with a canary
    refused = [answer for answer in traffic.answers() if answer.status != 200]
    assert {answer.status for answer in refused} == {429}
    assert {json.loads(answer.text)["title"] for answer in refused} == told
    assert len(refused) > 50
    assert production.outputs["ServingRelease"] == second
    assert production.alarms() == []


class Signed(requests.auth.AuthBase):
    """Signs whatever is sent, as it is sent."""

    def __init__(self, production: Production) -> None:
        known = production.credentials()
        credentials = Credentials(
            known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"], known["AWS_SESSION_TOKEN"]
        )
        self._signer = SigV4Auth(credentials, "execute-api", production.cloud.region)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        signed = AWSRequest(
            request.method, request.url, {"Host": urlsplit(request.url).netloc}, request.body
        )
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


@pytest.mark.parametrize("serving", ["lambda", "endpoint"])
def test_answers_whatever_a_document_allows_or_not_as_the_document_says(production, serving):
    release = production.release({**FAST, "serving": serving})
    stored = production.cloud.client("s3").get_object(
        Bucket=BUCKET, Key=f"releases/{release}/deployment/openapi.json"
    )
    document = schemathesis.openapi.from_dict(json.loads(stored["Body"].read()))
    auth, url = Signed(production), production.url
    statuses = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.one_of(_cases(document)))
    def ask(case):
        answer = case.call(base_url=url, auth=auth)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)

    ask()
    assert statuses == {200, 400}


def _cases(document):
    """Requests as they must be, and as they must not be."""
    return [
        document[path][verb].as_strategy(generation_mode=mode)
        for path, verb in (("/predict", "POST"), ("/health", "GET"))
        for mode in GenerationMode
    ]
