"""The table of blame, over everything that SageMaker may answer."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from api import failures
from api.failures import ModelFailureError, RelayedError, ThrottledError

STATUSES = st.integers(0, 599)
TEXTS = st.text(max_size=30) | st.builds(
    lambda value: json.dumps({"detail": value}), st.text(max_size=9) | st.integers() | st.none()
)
CODES = st.sampled_from(
    [
        "AccessDeniedException", "InternalDependencyException", "InternalFailure",
        "ModelNotReadyException", "ServiceUnavailable", "ValidationError", "ExpiredToken",
    ]
) | st.text(max_size=20)  # fmt: skip


@given(STATUSES, TEXTS)
def test_what_the_container_answers_blames_the_client_for_422_alone(status, text):
    response = {
        "Error": {"Code": "ModelError"}, "OriginalStatusCode": status, "OriginalMessage": text,
    }  # fmt: skip
    found = failures.of_service(response)
    if status == 422:
        assert isinstance(found, RelayedError)
        assert found.status == 422
        assert found.detail
    else:
        assert isinstance(found, ModelFailureError)
        assert found.status in (502, 503, 504)
        assert str(status) in found.reason


@given(CODES.filter(lambda code: code not in ("ModelError", *failures._THROTTLED)))
def test_whatever_else_blames_the_model(code):
    found = failures.of_service({"Error": {"Code": code}})
    assert isinstance(found, ModelFailureError)
    assert found.status in (502, 503)


@given(st.sampled_from(sorted(failures._THROTTLED)))
def test_throttling_blames_nobody(code):
    assert isinstance(failures.of_service({"Error": {"Code": code}}), ThrottledError)


def test_an_answer_without_anything_blames_the_model():
    assert isinstance(failures.of_service({}), ModelFailureError)
    assert isinstance(failures.of_service({"Error": {"Code": "ModelError"}}), ModelFailureError)
    assert isinstance(failures.of_answer("nonsense"), ModelFailureError)


def test_the_containers_words_reach_the_client():
    text = json.dumps({"detail": "row 3: a prediction that is not a finite number"})
    response = {
        "Error": {"Code": "ModelError"}, "OriginalStatusCode": 422, "OriginalMessage": text,
    }  # fmt: skip
    found = failures.of_service(response)
    assert found.detail == "row 3: a prediction that is not a finite number"
