"""The answer that CloudFormation waits for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import custom_resource
from api.custom_resource import Outcome, respond


def _event(url: str) -> dict[str, str]:
    return {
        "ResponseURL": url,
        "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/churn-prod/1",
        "RequestId": "1",
        "LogicalResourceId": "Assets",
    }


def test_tells_the_outcome(account):
    respond(_event(f"{account.url}/cloudformation/1"), Outcome("id", {"Folder": "/mnt"}))
    (told,) = account.responses
    assert told["Status"] == "SUCCESS"
    assert told["PhysicalResourceId"] == "id"
    assert told["Data"] == {"Folder": "/mnt"}
    assert {"StackId", "RequestId", "LogicalResourceId"} <= set(told)


def test_tells_why_it_failed(account):
    respond(_event(f"{account.url}/cloudformation/1"), Outcome("id", reason="no such key"))
    assert account.responses[0]["Status"] == "FAILED"
    assert account.responses[0]["Reason"] == "no such key"


@given(st.text(max_size=200), st.integers(1, 60))
def test_a_reason_is_as_long_as_cloudformation_takes(text, times):
    answer = {"Status": "FAILED", "Reason": text * times, "PhysicalResourceId": "releases/1"}
    body = custom_resource._bounded(answer)
    assert len(body) <= 4096
    kept = json.loads(body)["Reason"]
    assert (text * times).startswith(kept)
    if len(kept) < len(text * times):
        assert len(body) > 4096 - 24  # no more is cut than must be


def test_tries_again_and_gives_up_in_the_end():
    slept: list[float] = []
    with pytest.raises(OSError, match="refused"):
        respond(_event("http://127.0.0.1:9/cloudformation/1"), Outcome("id"), sleep=slept.append)
    assert slept == [2, 4, 8]


def test_only_talks_to_the_web():
    with pytest.raises(ValueError, match="https"):
        respond(_event("file:///etc/passwd"), Outcome("id"))
