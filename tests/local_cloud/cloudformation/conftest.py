"""A driver of stacks, and what all services know, to be compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud

DEADLINE_SECONDS = 60.0


class Driver:
    """Creates, updates and deletes stacks, and waits until nothing is going on."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def create(self, name: str, template: Any, **options: Any) -> dict[str, Any]:
        """The stack, when its creation has ended one way or the other."""
        stack_id = self.client.create_stack(
            StackName=name, TemplateBody=text_of(template), **with_defaults(options)
        )["StackId"]
        return self.settled(stack_id)

    def update(self, name: str, template: Any, **options: Any) -> dict[str, Any]:
        """The stack, when its update has ended one way or the other."""
        stack_id = self.client.update_stack(
            StackName=name, TemplateBody=text_of(template), **with_defaults(options)
        )["StackId"]
        return self.settled(stack_id)

    def delete(self, name: str, **options: Any) -> dict[str, Any]:
        """The stack, when its deletion has ended one way or the other."""
        stack_id = self.client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        self.client.delete_stack(StackName=name, **options)
        return self.settled(stack_id)

    def settled(self, name: str) -> dict[str, Any]:
        """The stack, when nothing is going on any more."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            (stack,) = self.client.describe_stacks(StackName=name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                print(*self.events(name), sep="\n")  # shown when a test fails
                return stack
            time.sleep(0.01)
        raise AssertionError(f"{name} is still {stack['StackStatus']}")

    def outputs(self, name: str) -> dict[str, str]:
        """Outputs by key."""
        (stack,) = self.client.describe_stacks(StackName=name)["Stacks"]
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Logical id, status and reason, oldest first."""
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (
                event["LogicalResourceId"],
                event["ResourceStatus"],
                event.get("ResourceStatusReason", ""),
            )
            for event in reversed(events)
        ]

    def reasons(self, name: str, status: str) -> dict[str, str]:
        """Logical id -> why, of the events with a status."""
        return {item: reason for item, found, reason in self.events(name) if found == status}

    def physical_ids(self, name: str) -> dict[str, str]:
        """Physical id by logical id."""
        summaries = self.client.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {item["LogicalResourceId"]: item.get("PhysicalResourceId", "") for item in summaries}


def text_of(template: Any) -> str:
    return template if isinstance(template, str) else json.dumps(template)


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"ParameterKey": key, "ParameterValue": value}
        for key, value in options.pop("parameters", {}).items()
    ]
    defaults: dict[str, Any] = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    return {**defaults, **({"Parameters": parameters} if parameters else {}), **options}


@pytest.fixture(scope="module")
def stacks(cloud: LocalCloud) -> Driver:
    """Stacks of the administrator."""
    return Driver(cloud.client("cloudformation"))


@pytest.fixture(scope="module")
def dump(cloud: LocalCloud) -> Callable[[], dict[str, Any]]:
    """Everything that the services know, but for the times at which it changed."""
    return lambda: dump_of(cloud)


def dump_of(cloud: LocalCloud) -> dict[str, Any]:
    iam = cloud.client("iam").get_account_authorization_details()
    return {
        "roles": {role["RoleName"]: without_times(role) for role in iam["RoleDetailList"]},
        "policies": {
            policy["Arn"]: (
                policy["AttachmentCount"],
                [item["Document"] for item in policy["PolicyVersionList"]
                 if item["IsDefaultVersion"]],
            )
            for policy in iam["Policies"]
        },
        "buckets": {
            bucket["Name"]: dump_of_bucket(cloud.client("s3"), bucket["Name"])
            for bucket in cloud.client("s3").list_buckets()["Buckets"]
        },
        "log groups": dump_of_logs(cloud.client("logs")),
        "parameters": dump_of_parameters(cloud.client("ssm")),
        "keys": dump_of_keys(cloud.client("kms")),
        "machines": dump_of_machines(cloud.client("stepfunctions")),
        "networks": dump_of_networks(cloud.client("ec2")),
    }  # fmt: skip


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: without_times(item)
            for key, item in value.items()
            if not key.lower().endswith(("date", "time", "timestamp"))
            and key not in {"ResponseMetadata", "Version", "revisionId"}
        }
    if isinstance(value, list):
        return sorted((without_times(item) for item in value), key=repr)
    return value


def answer_of(call: Callable[..., Any], **parameters: Any) -> Any:
    """What a call answers, or the code of its error."""
    try:
        return without_times(call(**parameters))
    except Exception as error:
        return type(error).__name__


def dump_of_bucket(s3: Any, name: str) -> dict[str, Any]:
    calls = (
        "get_bucket_encryption", "get_public_access_block", "get_bucket_ownership_controls",
        "get_bucket_versioning", "get_bucket_lifecycle_configuration", "get_bucket_tagging",
        "get_bucket_policy", "get_bucket_cors", "get_bucket_logging",
        "get_bucket_notification_configuration", "list_objects_v2",
    )  # fmt: skip
    return {call: answer_of(getattr(s3, call), Bucket=name) for call in calls}


def dump_of_logs(logs: Any) -> dict[str, Any]:
    return {
        group["logGroupName"]: (
            without_times(group),
            answer_of(logs.list_tags_for_resource, resourceArn=group["arn"].removesuffix(":*")),
        )
        for group in logs.describe_log_groups()["logGroups"]
    }


def dump_of_parameters(ssm: Any) -> dict[str, Any]:
    return {
        parameter["Name"]: (
            without_times(parameter),
            ssm.get_parameter(Name=parameter["Name"])["Parameter"]["Value"],
            answer_of(
                ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId=parameter["Name"]
            ),
        )
        for parameter in ssm.describe_parameters()["Parameters"]
    }


def dump_of_keys(kms: Any) -> dict[str, Any]:
    keys = {
        key["KeyId"]: (
            answer_of(kms.describe_key, KeyId=key["KeyId"]),
            answer_of(kms.get_key_policy, KeyId=key["KeyId"], PolicyName="default"),
            answer_of(kms.get_key_rotation_status, KeyId=key["KeyId"]),
            answer_of(kms.list_resource_tags, KeyId=key["KeyId"]),
        )
        for key in kms.list_keys()["Keys"]
    }
    # A key is never gone at once: one that waits for its deletion counts as deleted.
    alive = {name: key for name, key in keys.items()
             if key[0]["KeyMetadata"]["KeyState"] != "PendingDeletion"}  # fmt: skip
    return {**alive, "aliases": without_times(kms.list_aliases()["Aliases"])}


def dump_of_machines(states: Any) -> dict[str, Any]:
    return {
        machine["name"]: (
            answer_of(states.describe_state_machine, stateMachineArn=machine["stateMachineArn"]),
            answer_of(states.list_tags_for_resource, resourceArn=machine["stateMachineArn"]),
        )
        for machine in states.list_state_machines()["stateMachines"]
    }


def dump_of_networks(ec2_client: Any) -> dict[str, Any]:
    calls = (
        "describe_vpcs", "describe_subnets", "describe_internet_gateways", "describe_route_tables",
        "describe_security_groups", "describe_addresses", "describe_vpc_endpoints",
        "describe_flow_logs",
    )  # fmt: skip
    found = {call: answer_of(getattr(ec2_client, call)) for call in calls}
    # Like a key, an endpoint of a VPC is shown for a while after it was deleted.
    endpoints = found["describe_vpc_endpoints"]["VpcEndpoints"]
    alive = [endpoint for endpoint in endpoints if endpoint["State"] != "deleted"]
    return {**found, "describe_vpc_endpoints": alive}
