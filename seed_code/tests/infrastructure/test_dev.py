"""The dev endpoint's template: what it makes, and that nothing else can change it unnoticed.

``pytest seed_code/tests/infrastructure --update-golden`` writes the golden file again.
"""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.workflow_input import PROJECT_NAME_LENGTH
from mlsystem.names import LIMITS, Names

GOLDEN = Path(__file__).parent / "golden/dev.template.json"


def test_the_template_is_the_reviewed_one(templates, update_golden):
    text = json.dumps(templates["dev"], indent=2, sort_keys=True) + "\n"
    if update_golden:
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "see the diff after: make golden"


def test_names_are_those_of_mlsystem(dev_resources):
    names = Names("churn", "r-1")
    assert dev_resources["Model"]["ModelName"] == names.dev_model
    assert dev_resources["EndpointConfig"]["EndpointConfigName"] == names.dev_endpoint_config
    assert dev_resources["Endpoint"]["EndpointName"] == names.dev_endpoint


@given(st.uuids().map(str) | st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,80}", fullmatch=True))
def test_names_fit_for_the_longest_project(release):
    names = Names("p" * PROJECT_NAME_LENGTH, release)
    assert len(names.label) <= 13
    assert len(names.dev_model) <= LIMITS["model"]
    assert len(names.dev_endpoint_config) <= LIMITS["endpoint_config"]
    assert len(names.dev_endpoint) <= LIMITS["endpoint"]


def test_the_model_is_isolated_and_runs_what_the_release_made(dev_resources):
    model = dev_resources["Model"]
    assert model["EnableNetworkIsolation"] is True
    assert model["PrimaryContainer"]["Image"].endswith("@sha256:" + 64 * "a")
    assert model["PrimaryContainer"]["ModelDataUrl"].startswith("s3://bucket/releases/r-1/model/")
    assert model["ExecutionRoleArn"].split("/")[-1].startswith("EndpointRole")


def test_the_volumes_are_encrypted_and_machines_are_the_settings(dev_resources):
    config = dev_resources["EndpointConfig"]
    assert config["KmsKeyId"].startswith("arn:aws:kms:")
    (variant,) = config["ProductionVariants"]
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 1)


def test_the_endpoint_writes_to_its_own_log_alone(dev_resources):
    (policy,) = dev_resources["EndpointRole"]["Policies"]
    written = [
        resource
        for statement in policy["PolicyDocument"]["Statement"]
        if "logs:PutLogEvents" in statement["Action"]
        for resource in statement["Resource"]
    ]
    group = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/churn-dev"
    assert written == [group, f"{group}:*"]


def test_the_endpoint_is_told_by_an_output(templates):
    assert list(templates["dev"]["Outputs"]) == ["EndpointName"]
