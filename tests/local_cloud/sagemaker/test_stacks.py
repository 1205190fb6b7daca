"""An endpoint in a stack: served when the stack is made, and served again when an update fails."""

from __future__ import annotations

import json
import time
from typing import Any

Account = Any  # of conftest.py

DEADLINE_SECONDS = 60.0


def template(account: Account, release: str) -> str:
    """A model with this release, its configuration, and an endpoint of a fixed name."""
    archive = account.put(f"stacks/{release}/model.tar.gz", account.archive(release))
    container = {"Image": account.image_uri, "ModelDataUrl": archive}
    variant = {
        "VariantName": "primary",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
    }
    resources = {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {"ExecutionRoleArn": account.role_arn, "PrimaryContainer": container},
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {"ProductionVariants": [variant]},
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {
                "EndpointName": "of-a-stack",
                "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
            },
        },
    }
    return json.dumps({"Resources": resources})


def settled(client: Any, stack_id: str) -> str:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        (stack,) = client.describe_stacks(StackName=stack_id)["Stacks"]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return str(stack["StackStatus"])
        time.sleep(0.05)
    raise AssertionError(f"{stack_id} is still {stack['StackStatus']}")


def failures(client: Any, stack_id: str) -> dict[str, str]:
    events = client.describe_stack_events(StackName=stack_id)["StackEvents"]
    return {
        event["LogicalResourceId"]: event["ResourceStatusReason"]
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
    }


def names(account: Account) -> tuple[set[str], set[str]]:
    models = account.client.list_models()["Models"]
    configs = account.client.list_endpoint_configs()["EndpointConfigs"]
    return (
        {item["ModelName"] for item in models},
        {item["EndpointConfigName"] for item in configs},
    )


def test_an_endpoint_in_a_stack(account: Account) -> None:
    client = account.cloud.client("cloudformation")
    stack_id = client.create_stack(StackName="dev", TemplateBody=template(account, "one"))[
        "StackId"
    ]
    assert settled(client, stack_id) == "CREATE_COMPLETE"
    assert account.ask("of-a-stack")["release"] == "one"

    client.update_stack(StackName="dev", TemplateBody=template(account, "two"))
    assert settled(client, stack_id) == "UPDATE_COMPLETE"
    assert account.ask("of-a-stack")["release"] == "two"
    models, configs = names(account)
    assert len(models) == len(configs) == 1  # those of the first release are gone

    client.update_stack(StackName="dev", TemplateBody=template(account, "dies"))
    assert settled(client, stack_id) == "UPDATE_ROLLBACK_COMPLETE"
    assert account.ask("of-a-stack")["release"] == "two"
    assert names(account) == (models, configs)
    assert "of-a-stack" in failures(client, stack_id)["Endpoint"]

    client.delete_stack(StackName="dev")
    assert settled(client, stack_id) == "DELETE_COMPLETE"
    assert names(account) == (set(), set())
    assert account.client.list_endpoints()["Endpoints"] == []


def test_an_endpoint_that_does_not_serve_leaves_nothing(account: Account) -> None:
    client = account.cloud.client("cloudformation")
    stack_id = client.create_stack(StackName="bad", TemplateBody=template(account, "dies"))[
        "StackId"
    ]
    assert settled(client, stack_id) == "ROLLBACK_COMPLETE"
    assert "HandlerErrorCode: NotStabilized" in failures(client, stack_id)["Endpoint"]
    assert names(account) == (set(), set())
    assert account.client.list_endpoints()["Endpoints"] == []
