"""What functions are told: each variable is needed, and is what it must be."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.environment import ApiEnvironment, AssetsEnvironment, GuardEnvironment, read
from mlsystem.errors import UserError

VARIABLES = {
    "PROJECT_KEY": "churn-p-1",
    "RELEASE": "r-1",
    "SERVING": "endpoint",
    "ENDPOINT_NAME": "churn-p-1-prod-r-1",
    "ASSETS_DIR": "/mnt/assets",
    "TIMEOUT_SECONDS": "10",
    "MAX_INSTANCES": "1000",
    "DATA_BUCKET": "churn-p-1-data",
    "GUARD": "before",
    "FUNCTION": "arn:aws:lambda:eu-west-1:123456789012:function:churn-p-1-api:7",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:churn",
    "LATENCY_REQUESTS": "100",
    "LATENCY_P50_MS": "200",
    "LATENCY_P99_MS": "1000.5",
    "AUTH": "iam",
}
KINDS = [ApiEnvironment, AssetsEnvironment, GuardEnvironment]
NEEDED = [(kind, name) for kind in KINDS for name in kind.__dataclass_fields__]


def test_values_have_their_types():
    api = read(ApiEnvironment, VARIABLES)
    assert api.timeout_seconds == 10
    assert api.folder == Path("/mnt/assets/releases/r-1")
    assert read(GuardEnvironment, VARIABLES).latency_p99_ms == 1000.5


@pytest.mark.parametrize("kind", [ApiEnvironment, GuardEnvironment])
def test_a_function_that_predicts_itself_needs_no_endpoint(kind):
    variables = {**VARIABLES, "SERVING": "lambda"}
    assert read(kind, variables).endpoint_name == ""
    del variables["ENDPOINT_NAME"]
    assert read(kind, variables).endpoint_name == ""


@pytest.mark.parametrize(("kind", "field"), NEEDED)
def test_each_variable_is_needed(kind, field):
    for value in ({}, {field.upper(): ""}):
        variables = {**VARIABLES, **value}
        if not value:
            del variables[field.upper()]
        with pytest.raises(UserError, match=f"{field.upper()}: not set"):
            read(kind, variables)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ApiEnvironment, "SERVING", "fargate"),
        (ApiEnvironment, "TIMEOUT_SECONDS", "ten"),
        (GuardEnvironment, "GUARD", "during"),
        (GuardEnvironment, "LATENCY_P50_MS", "fast"),
        (AssetsEnvironment, "AUTH", "none"),
    ],
)
def test_a_value_must_be_what_it_is_for(kind, name, value):
    with pytest.raises(UserError, match=f"{name}: {value!r}"):
        read(kind, {**VARIABLES, name: value})
