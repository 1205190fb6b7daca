"""Everything that an account has, by service: to compare before with after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from local_cloud.cloud import LocalCloud

__all__ = ["inventory", "names"]

#: Service, operation, where its answer has the list, what names an item ("" when it is a name).
_LISTS = (
    ("cloudformation", "describe_stacks", "Stacks", "StackName"),
    ("codebuild", "list_projects", "projects", ""),
    ("codebuild", "list_report_groups", "reportGroups", ""),
    ("codecommit", "list_repositories", "repositories", "repositoryName"),
    ("codepipeline", "list_pipelines", "pipelines", "name"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("efs", "describe_access_points", "AccessPoints", "AccessPointId"),
    ("efs", "describe_file_systems", "FileSystems", "FileSystemId"),
    ("events", "list_rules", "Rules", "Name"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("kms", "list_aliases", "Aliases", "AliasName"),
    ("kms", "list_keys", "Keys", "KeyId"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    ("sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
    ("sagemaker", "list_model_package_groups", "ModelPackageGroupSummaryList",
     "ModelPackageGroupName"),
    ("sagemaker", "list_models", "Models", "ModelName"),
    ("sagemaker", "list_projects", "ProjectSummaryList", "ProjectName"),
    ("servicecatalog", "search_provisioned_products", "ProvisionedProducts", "Id"),
    ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("ssm", "describe_parameters", "Parameters", "Name"),
    ("stepfunctions", "list_state_machines", "stateMachines", "name"),
)  # fmt: skip
#: What AWS still lists when it is gone.
_GONE = {"DeleteCompleted", "PendingDeletion", "deleted", "DELETE_COMPLETE"}


def inventory(cloud: LocalCloud) -> dict[str, Any]:
    """``<service> <operation> <name>`` -> what the account says of it, without times.

    What belongs to a thing and has no list of its own (policies, versions of objects, commits) is
    part of the thing.
    """
    return {
        key: _without_times({"item": item, **_MORE.get((service, operation), _nothing)(*thing)})
        for key, service, operation, item, thing in _things(cloud)
    }


def names(cloud: LocalCloud) -> set[str]:
    """The keys of the inventory alone."""
    return {key for key, *_ in _things(cloud)}


def _things(cloud: LocalCloud) -> Iterator[tuple[str, str, str, Any, tuple[Any, str]]]:
    for service, operation, where, name_of in _LISTS:
        client = cloud.client(service)
        for item in _items(client, operation, where):
            name = item[name_of] if name_of else item
            if not _is_gone(client, item, name):
                yield f"{service} {operation} {name}", service, operation, item, (client, name)


def _items(client: Any, operation: str, where: str) -> Iterator[Any]:
    if not client.can_paginate(operation):
        yield from getattr(client, operation)()[where]
        return
    for page in client.get_paginator(operation).paginate():
        yield from page.get(where, [])


def _is_gone(client: Any, item: Any, name: str) -> bool:
    """Whether AWS lists a thing that it has deleted, or will."""
    if not isinstance(item, dict):
        return False
    if "KeyArn" in item:
        return bool(client.describe_key(KeyId=name)["KeyMetadata"]["KeyState"] in _GONE)
    states = ("ProjectStatus", "State", "StackStatus")
    return any(item.get(state) in _GONE for state in states)


def _without_times(value: Any) -> Any:
    """A value without times, and without what changes when nothing has been changed."""
    if isinstance(value, dict):
        return {
            key: _without_times(item)
            for key, item in value.items()
            if not isinstance(item, dt.datetime) and key not in _RESTLESS
        }
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    return value


_RESTLESS = {
    "ResponseMetadata", "version", "storedBytes", "creationTime", "SizeInBytes", "lastModified",
    "LastUsedDate", "CreationTime", "RoleLastUsed",
}  # fmt: skip


# ------------------------------------------------------------------------------ more of a thing


def _nothing(_: Any, __: str) -> dict[str, Any]:
    return {}


def _bucket(s3: Any, name: str) -> dict[str, Any]:
    # Whoever looks at a bucket is written down in the one for access logs.
    content = {} if name.endswith("-access-logs") else _content(s3, name)
    return {
        **content,
        **{
            operation: _answer(s3, operation, Bucket=name)
            for operation in (
                "get_bucket_encryption", "get_bucket_lifecycle_configuration", "get_bucket_policy",
                "get_bucket_versioning", "get_bucket_logging", "get_public_access_block",
                "get_bucket_notification_configuration", "get_bucket_tagging",
            )
        },
    }  # fmt: skip


def _content(s3: Any, name: str) -> dict[str, Any]:
    versions = s3.list_object_versions(Bucket=name)
    uploads = s3.list_multipart_uploads(Bucket=name).get("Uploads", [])
    return {
        "objects": [
            (item["Key"], item["VersionId"])
            for kind in ("Versions", "DeleteMarkers")
            for item in versions.get(kind, [])
        ],
        "uploads": [item["Key"] for item in uploads],
    }


def _answer(client: Any, operation: str, **arguments: Any) -> Any:
    """What a service says, or the code of what it says against it."""
    try:
        return getattr(client, operation)(**arguments)
    except client.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


def _role(iam: Any, name: str) -> dict[str, Any]:
    return {
        "role": iam.get_role(RoleName=name)["Role"],
        "policies": {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        },
    }


def _key(kms: Any, name: str) -> dict[str, Any]:
    return {
        "key": kms.describe_key(KeyId=name)["KeyMetadata"],
        "policy": kms.get_key_policy(KeyId=name, PolicyName="default")["Policy"],
        "tags": kms.list_resource_tags(KeyId=name)["Tags"],
    }


def _pipeline(codepipeline: Any, name: str) -> dict[str, Any]:
    return {"pipeline": codepipeline.get_pipeline(name=name)["pipeline"]}


def _code(codecommit: Any, name: str) -> dict[str, Any]:
    branches = codecommit.list_branches(repositoryName=name)["branches"]
    return {
        branch: codecommit.get_branch(repositoryName=name, branchName=branch)["branch"]["commitId"]
        for branch in branches
    }


def _images(ecr: Any, name: str) -> dict[str, Any]:
    images = ecr.list_images(repositoryName=name)["imageIds"]
    policy = _answer(ecr, "get_lifecycle_policy", repositoryName=name)
    return {"images": images, "policy": policy}


def _packages(sagemaker: Any, name: str) -> dict[str, Any]:
    found = sagemaker.list_model_packages(ModelPackageGroupName=name)
    return {"packages": found["ModelPackageSummaryList"]}


def _targets(events: Any, name: str) -> dict[str, Any]:
    return {"targets": events.list_targets_by_rule(Rule=name)["Targets"]}


def _topic(sns: Any, arn: str) -> dict[str, Any]:
    return {"attributes": sns.get_topic_attributes(TopicArn=arn)["Attributes"]}


def _build_project(codebuild: Any, name: str) -> dict[str, Any]:
    return {"project": codebuild.batch_get_projects(names=[name])["projects"]}


def _endpoint(sagemaker: Any, name: str) -> dict[str, Any]:
    return {"endpoint": sagemaker.describe_endpoint(EndpointName=name)}


def _stack(cloudformation: Any, name: str) -> dict[str, Any]:
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {
        "resources": {
            item["LogicalResourceId"]: item.get("PhysicalResourceId") for item in resources
        }
    }


_MORE: dict[tuple[str, str], Callable[[Any, str], dict[str, Any]]] = {
    ("cloudformation", "describe_stacks"): _stack,
    ("codebuild", "list_projects"): _build_project,
    ("codecommit", "list_repositories"): _code,
    ("codepipeline", "list_pipelines"): _pipeline,
    ("ecr", "describe_repositories"): _images,
    ("events", "list_rules"): _targets,
    ("iam", "list_roles"): _role,
    ("kms", "list_keys"): _key,
    ("s3", "list_buckets"): _bucket,
    ("sagemaker", "list_endpoints"): _endpoint,
    ("sagemaker", "list_model_package_groups"): _packages,
    ("sns", "list_topics"): _topic,
}
