"""Each resource type: complete against its schema, and alive against the APIs that it calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from local_cloud.actions import _TABLES
from local_cloud.cloud import LocalCloud
from local_cloud.cloudformation.resources import availability
from local_cloud.cloudformation.resources.calls import Call, State
from local_cloud.cloudformation.resources.resource_type import ResourceType
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.services import SERVICES

Stacks = Any  # the driver of conftest.py
SESSION = botocore.session.get_session()
KINDS = sorted(TYPES.values(), key=lambda kind: kind.name)
by_type = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)

# ------------------------------------------------------------------------------ contracts


@by_type
def test_properties_and_attributes_are_those_of_the_schema(kind: ResourceType) -> None:
    assert kind.properties <= set(kind.schema.document["properties"])
    known = kind.schema.attributes | set(kind.schema.document["properties"])
    assert {*kind.made, *kind.attributes} <= known


@by_type
def test_every_property_can_change_or_says_why_not(kind: ResourceType) -> None:
    at_creation = set(kind.create.properties) if kind.create else set()
    at_deletion = {name for action in kind.delete for name in action.properties} - at_creation
    in_parts = {name for part in kind.parts for name in part.properties}
    replacing = {pointer[0] for pointer in kind.schema.create_only}
    changeable = in_parts | replacing | at_deletion | {*kind.fixed, *kind.immutable}
    assert kind.properties <= changeable


@by_type
def test_a_type_that_takes_tags_takes_them(kind: ResourceType) -> None:
    if kind.schema.tag_property is not None:
        assert kind.schema.tag_property in kind.properties


@by_type
def test_operations_exist(kind: ResourceType) -> None:
    for service, operation in kind.operations:
        assert operation in SESSION.get_service_model(service).operation_names


@by_type
def test_a_deployer_needs_no_permission_that_aws_does_not_name(kind: ResourceType) -> None:
    """The schema lists what AWS's own handlers need: what works there must work here."""
    handlers = kind.schema.document.get("handlers", {}).values()
    named = {action for handler in handlers for action in handler.get("permissions", [])}
    for service, operation in kind.operations if named else ():
        prefix, rules = _TABLES.get(service, (service, {}))
        for action, _ in rules.get(operation, [(operation, None)]):
            assert f"{prefix}:{action}" in named


@by_type
def test_a_role_can_deploy_whatever_the_administrator_can(kind: ResourceType) -> None:
    here = {service for services in SERVICES.values() for service in services} & set(_TABLES)
    for service, operation in kind.operations:
        if service in here:
            assert operation in _TABLES[service][1], f"{service}:{operation} is in no table"


def test_availability_follows_services_refusals_and_moto() -> None:
    assert availability.missing([("iam", "CreateRole")]) == []
    assert availability.missing([("sqs", "CreateQueue")]) == ["sqs:CreateQueue"]
    assert availability.missing([("iam", "CreateUser")]) == ["iam:CreateUser"]
    assert availability.missing([("logs", "PutTransformer")]) == ["logs:PutTransformer"]


def test_a_call_takes_the_names_and_types_of_its_operation() -> None:
    call = Call(
        "codebuild",
        "CreateProject",
        {"Name": "n", "Environment": {"Type": "LINUX", "PrivilegedMode": "true"}, "Cache": None},
    )
    rendered, problems = call._render(State("", {}))
    assert rendered == {
        "name": "n", "environment": {"type": "LINUX", "privilegedMode": True},
    }  # fmt: skip
    assert not problems
    odd = Call("codebuild", "CreateProject", {"Environment": {"Colour": "red"}})
    assert odd.problems(State("", {})) == ["#/Environment/Colour is not part of the local cloud"]


# ------------------------------------------------------------------------------ life

Check = Callable[[LocalCloud, dict[str, str]], Any]


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


def trust(service: str) -> dict[str, Any]:
    principal = {"Service": f"{service}.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy(*actions: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(service: str, *actions: str) -> dict[str, Any]:
    inline = [{"PolicyName": "own", "PolicyDocument": policy(*actions)}] if actions else []
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=trust(service), Policies=inline)


KEY_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}
#: A key of log groups: the service itself must be allowed to use it.
LOG_KEY_POLICY = {
    **KEY_POLICY,
    "Statement": [
        *KEY_POLICY["Statement"],
        {
            "Effect": "Allow",
            "Principal": {"Service": "logs.xx-local-1.amazonaws.com"},
            "Action": ["kms:*crypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            "Resource": "*",
        },
    ],
}


def roles_before() -> dict[str, Any]:
    return {
        "Boundary": resource(
            "AWS::IAM::ManagedPolicy", PolicyDocument=policy("s3:*"), Description="d", Path="/x/"
        ),
        "Role": resource(
            "AWS::IAM::Role",
            AssumeRolePolicyDocument=trust("states"),
            Description="first",
            Path="/x/",
            PermissionsBoundary=ref("Boundary"),
            Policies=[
                {"PolicyName": "kept", "PolicyDocument": policy("s3:Get*")},
                {"PolicyName": "gone", "PolicyDocument": policy("s3:List*")},
            ],
            ManagedPolicyArns=[ref("Boundary")],
            Tags=[{"Key": "k", "Value": "v"}],
        ),
        "Policy": resource(
            "AWS::IAM::Policy",
            PolicyName="one",
            PolicyDocument=policy("logs:*"),
            Roles=[ref("Role")],
        ),
    }


def roles_after() -> dict[str, Any]:
    return {
        "Boundary": resource(
            "AWS::IAM::ManagedPolicy",
            PolicyDocument=policy("s3:Get*"),
            Description="d",
            Path="/x/",
            Roles=[ref("Role")],
        ),
        "Role": resource(
            "AWS::IAM::Role",
            AssumeRolePolicyDocument=trust("events"),
            MaxSessionDuration=7200,
            Path="/x/",
            Policies=[{"PolicyName": "kept", "PolicyDocument": policy("s3:Put*")}],
        ),
        "Policy": resource(
            "AWS::IAM::Policy",
            PolicyName="two",
            PolicyDocument=policy("logs:Get*"),
            Roles=[ref("Role")],
        ),
    }


def roles_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    iam = cloud.client("iam")
    found = iam.get_role(RoleName=ids["Role"])["Role"]
    document = iam.get_policy_version(
        PolicyArn=ids["Boundary"],
        VersionId=iam.get_policy(PolicyArn=ids["Boundary"])["Policy"]["DefaultVersionId"],
    )["PolicyVersion"]["Document"]
    inline = iam.list_role_policies(RoleName=ids["Role"])["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=ids["Role"])["AttachedPolicies"]
    return {
        "trusted": found["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"],
        "description": found.get("Description", ""),
        "duration": found["MaxSessionDuration"],
        "boundary": "PermissionsBoundary" in found,
        "tags": {tag["Key"] for tag in found.get("Tags", [])},
        "inline": sorted(inline),
        "kept": iam.get_role_policy(RoleName=ids["Role"], PolicyName="kept")["PolicyDocument"][
            "Statement"
        ][0]["Action"],
        "attached": [item["PolicyArn"] == ids["Boundary"] for item in attached],
        "document": document["Statement"][0]["Action"],
    }


def machines(definition: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "Role": role("states", "logs:*"),
        "Logs": resource("AWS::Logs::LogGroup"),
        "Machine": resource(
            "AWS::StepFunctions::StateMachine",
            RoleArn=att("Role", "Arn"),
            **definition,
            **properties,
        ),
    }


ASL = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


def machine_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    states = cloud.client("stepfunctions")
    found = states.describe_state_machine(stateMachineArn=ids["Machine"])
    return (
        json.loads(found["definition"]),
        found["loggingConfiguration"]["level"],
        found["tracingConfiguration"]["enabled"],
    )


def buckets_before() -> dict[str, Any]:
    return {
        "Bucket": resource(
            "AWS::S3::Bucket",
            BucketName="churn-data-of-types",
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {
                        "BucketKeyEnabled": True,
                        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                    }
                ]
            },
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "BlockPublicPolicy": "true",
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            VersioningConfiguration={"Status": "Enabled"},
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            LifecycleConfiguration={
                "Rules": [
                    {
                        "Id": "old",
                        "Status": "Enabled",
                        "Prefix": "a/",
                        "ExpirationInDays": 30,
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 5}],
                    }
                ]
            },
            NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            CorsConfiguration={
                "CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAge": 3}]
            },
            Tags=[{"Key": "k", "Value": "v"}],
        ),
        "Policy": resource(
            "AWS::S3::BucketPolicy",
            Bucket=ref("Bucket"),
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": att("Bucket", "Arn"),
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        ),
    }


def buckets_after() -> dict[str, Any]:
    return {"Bucket": resource("AWS::S3::Bucket", BucketName="churn-data-of-types")}


def bucket_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    s3 = cloud.client("s3")
    seen: dict[str, Any] = {}
    for name, key in (
        ("bucket_encryption", "ServerSideEncryptionConfiguration"),
        ("public_access_block", "PublicAccessBlockConfiguration"),
        ("bucket_lifecycle_configuration", "Rules"),
        ("bucket_cors", "CORSRules"),
        ("bucket_policy", "Policy"),
        ("bucket_versioning", "Status"),
    ):
        try:
            seen[name] = getattr(s3, f"get_{name}")(Bucket=ids["Bucket"]).get(key)
        except s3.exceptions.ClientError:
            seen[name] = None
    return seen


def keys_before() -> dict[str, Any]:
    return {
        "Key": resource(
            "AWS::KMS::Key",
            KeyPolicy=KEY_POLICY,
            Description="first",
            EnableKeyRotation=True,
            PendingWindowInDays=7,
        ),
        "Alias": resource("AWS::KMS::Alias", AliasName="alias/of-types", TargetKeyId=ref("Key")),
    }


def keys_after() -> dict[str, Any]:
    return {
        "Key": resource("AWS::KMS::Key", KeyPolicy={**KEY_POLICY, "Id": "new"}, Enabled=False),
        "Other": resource("AWS::KMS::Key", KeyPolicy=KEY_POLICY),
        "Alias": resource("AWS::KMS::Alias", AliasName="alias/of-types", TargetKeyId=ref("Other")),
    }


def keys_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    kms = cloud.client("kms")
    document = kms.get_key_policy(KeyId=ids["Key"], PolicyName="default")["Policy"]
    metadata = kms.describe_key(KeyId=ids["Key"])["KeyMetadata"]
    alias = kms.describe_key(KeyId="alias/of-types")["KeyMetadata"]["KeyId"]
    return (
        json.loads(document).get("Id"),
        metadata["Description"],
        metadata["Enabled"],
        metadata["Enabled"] and kms.get_key_rotation_status(KeyId=ids["Key"])["KeyRotationEnabled"],
        "Other" if alias == ids.get("Other") else "Key",
    )


LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": 5,
            },
            "action": {"type": "expire"},
        }
    ]
}


def registry_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    ecr = cloud.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=[ids["Repository"]])["repositories"]
    return found["imageTagMutability"], found["imageScanningConfiguration"]["scanOnPush"]


def parameter_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    ssm = cloud.client("ssm")
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=ids["Watermark"])
    value = ssm.get_parameter(Name=ids["Watermark"])["Parameter"]["Value"]
    return value, {tag["Key"] for tag in tags["TagList"]}


def logs_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    logs = cloud.client("logs")
    (group,) = logs.describe_log_groups(logGroupNamePrefix=ids["Logs"])["logGroups"]
    tags = logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"]
    return group.get("retentionInDays"), "kmsKeyId" in group, tags


def topics_before() -> dict[str, Any]:
    return {
        "Topic": resource("AWS::SNS::Topic", DisplayName="first"),
        "Policy": resource(
            "AWS::SNS::TopicPolicy",
            Topics=[ref("Topic")],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": ref("Topic"),
                    }
                ],
            },
        ),
        "Subscription": resource(
            "AWS::SNS::Subscription",
            TopicArn=ref("Topic"),
            Protocol="email",
            Endpoint="a@example.com",
            RawMessageDelivery=True,
        ),
    }


def topics_after() -> dict[str, Any]:
    return {
        "Topic": resource("AWS::SNS::Topic", KmsMasterKeyId="alias/aws/sns"),
        "Subscription": resource(
            "AWS::SNS::Subscription",
            TopicArn=ref("Topic"),
            Protocol="email",
            Endpoint="a@example.com",
            FilterPolicy={"a": ["b"]},
        ),
    }


def topics_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    sns = cloud.client("sns")
    topic = sns.get_topic_attributes(TopicArn=ids["Topic"])["Attributes"]
    found = sns.get_subscription_attributes(SubscriptionArn=ids["Subscription"])["Attributes"]
    return (
        topic["DisplayName"],
        topic.get("KmsMasterKeyId", ""),
        "__default_policy_ID" in topic["Policy"],
        found.get("RawMessageDelivery"),
        json.loads(found.get("FilterPolicy") or "{}"),
    )


def rules_before() -> dict[str, Any]:
    return {
        "Topic": resource("AWS::SNS::Topic"),
        "Rule": resource(
            "AWS::Events::Rule",
            Description="first",
            EventPattern={"source": ["aws.s3"]},
            State="ENABLED",
            Targets=[
                {"Id": "kept", "Arn": ref("Topic")},
                {
                    "Id": "gone",
                    "Arn": ref("Topic"),
                    "InputTransformer": {
                        "InputPathsMap": {"x": "$.detail"}, "InputTemplate": '"<x>"',
                    },
                },
            ],
        ),
    }  # fmt: skip


def rules_after() -> dict[str, Any]:
    target = {"Id": "kept", "Arn": ref("Topic"), "Input": "{}"}
    return {
        "Topic": resource("AWS::SNS::Topic"),
        "Rule": resource(
            "AWS::Events::Rule",
            ScheduleExpression="rate(1 day)",
            State="DISABLED",
            Targets=[target],
        ),
    }


def rules_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    events = cloud.client("events")
    rule = events.describe_rule(Name=ids["Rule"])
    targets = events.list_targets_by_rule(Rule=ids["Rule"])["Targets"]
    return rule["State"], sorted((target["Id"], target.get("Input")) for target in targets)


def network(*, is_first: bool) -> dict[str, Any]:
    """Everything that pipeline.yml has of a network, and a file system in it."""
    after_gateway = {"DependsOn": "Attachment"}
    return {
        "Vpc": resource(
            "AWS::EC2::VPC",
            CidrBlock="10.0.0.0/16",
            EnableDnsSupport=True,
            EnableDnsHostnames=is_first,
            Tags=[{"Key": "Name", "Value": "x"}],
        ),
        "Subnet": resource(
            "AWS::EC2::Subnet",
            VpcId=ref("Vpc"),
            CidrBlock={"Fn::Select": [1, {"Fn::Cidr": [att("Vpc", "CidrBlock"), 4, 8]}]},
            AvailabilityZone={"Fn::Select": [0, {"Fn::GetAZs": ""}]},
            MapPublicIpOnLaunch=is_first,
        ),
        "Gateway": resource("AWS::EC2::InternetGateway"),
        "Attachment": resource(
            "AWS::EC2::VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("Gateway")
        ),
        "Table": resource("AWS::EC2::RouteTable", VpcId=ref("Vpc")),
        "Route": {
            **resource(
                "AWS::EC2::Route",
                RouteTableId=ref("Table"),
                DestinationCidrBlock="0.0.0.0/0",
                GatewayId=ref("Gateway"),
            ),
            **after_gateway,
        },
        "Association": resource(
            "AWS::EC2::SubnetRouteTableAssociation",
            RouteTableId=ref("Table"),
            SubnetId=ref("Subnet"),
        ),
        "Address": {**resource("AWS::EC2::EIP", Domain="vpc"), **after_gateway},
        "Nat": resource(
            "AWS::EC2::NatGateway",
            AllocationId=att("Address", "AllocationId"),
            SubnetId=ref("Subnet"),
        ),
        "Group": resource(
            "AWS::EC2::SecurityGroup",
            GroupDescription="d",
            VpcId=ref("Vpc"),
            SecurityGroupIngress=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": 443 if is_first else 8443,
                    "ToPort": 443 if is_first else 8443,
                    "CidrIp": att("Vpc", "CidrBlock"),
                    "Description": "https",
                }
            ],
            SecurityGroupEgress=[
                {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "everything"}
            ],
        ),
        "Ingress": resource(
            "AWS::EC2::SecurityGroupIngress",
            GroupId=ref("Group"),
            IpProtocol="tcp",
            FromPort=2049,
            ToPort=2049,
            SourceSecurityGroupId=ref("Group"),
        ),
        "Egress": resource(
            "AWS::EC2::SecurityGroupEgress",
            GroupId=ref("Group"),
            IpProtocol="tcp",
            FromPort=2049,
            ToPort=2049,
            DestinationSecurityGroupId=ref("Group"),
        ),
        "Endpoint": resource(
            "AWS::EC2::VPCEndpoint",
            VpcId=ref("Vpc"),
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.s3"},
            VpcEndpointType="Gateway",
            RouteTableIds=[ref("Table")],
            PolicyDocument=policy("s3:*"),
        ),
        "FlowRole": role("vpc-flow-logs", "logs:*"),
        "FlowLogs": resource("AWS::Logs::LogGroup"),
        "FlowLog": resource(
            "AWS::EC2::FlowLog",
            ResourceId=ref("Vpc"),
            ResourceType="VPC",
            TrafficType="ALL",
            LogGroupName=ref("FlowLogs"),
            DeliverLogsPermissionArn=att("FlowRole", "Arn"),
        ),
        "Files": resource(
            "AWS::EFS::FileSystem",
            Encrypted=True,
            BackupPolicy={"Status": "ENABLED"},
            LifecyclePolicies=[{"TransitionToIA": "AFTER_30_DAYS" if is_first else "AFTER_7_DAYS"}],
        ),
        "Mount": resource(
            "AWS::EFS::MountTarget",
            FileSystemId=ref("Files"),
            SubnetId=ref("Subnet"),
            SecurityGroups=[ref("Group")],
        ),
        "Access": resource(
            "AWS::EFS::AccessPoint",
            FileSystemId=ref("Files"),
            PosixUser={"Uid": "1000", "Gid": "1000"},
            RootDirectory={
                "Path": "/data",
                "CreationInfo": {"OwnerUid": "1000", "OwnerGid": "1000", "Permissions": "0750"},
            },
        ),
    }


def network_seen(cloud: LocalCloud, ids: dict[str, str]) -> Any:
    ec2, efs = cloud.client("ec2"), cloud.client("efs")
    (group,) = ec2.describe_security_groups(GroupIds=[ids["Group"]])["SecurityGroups"]
    (subnet,) = ec2.describe_subnets(SubnetIds=[ids["Subnet"]])["Subnets"]
    hostnames = ec2.describe_vpc_attribute(VpcId=ids["Vpc"], Attribute="enableDnsHostnames")
    lifecycle = efs.describe_lifecycle_configuration(FileSystemId=ids["Files"])
    return {
        "hostnames": hostnames["EnableDnsHostnames"]["Value"],
        "public": subnet["MapPublicIpOnLaunch"],
        "cidr": subnet["CidrBlock"],
        "zone": subnet["AvailabilityZone"],
        "in": sorted(rule["FromPort"] for rule in group["IpPermissions"]),
        "out": sorted(rule["IpProtocol"] for rule in group["IpPermissionsEgress"]),
        "cold": lifecycle["LifecyclePolicies"][0]["TransitionToIA"],
    }


NETWORK = {
    "hostnames": True,
    "public": True,
    "cidr": "10.0.1.0/24",
    "zone": "xx-local-1a",
    "in": [443, 2049],
    "out": ["-1", "tcp"],
    "cold": "AFTER_30_DAYS",
}
ROLES = {
    "trusted": "states.amazonaws.com",
    "description": "first",
    "duration": 3600,
    "boundary": True,
    "tags": {"k", "team"},
    "inline": ["gone", "kept", "one"],
    "kept": ["s3:Get*"],
    "attached": [True],
    "document": ["s3:*"],
}
BUCKET = {
    "bucket_encryption": {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                "BucketKeyEnabled": True,
            }
        ]
    },
    "public_access_block": {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    },
    "bucket_versioning": "Enabled",
    "bucket_cors": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 3}],
}

#: Name -> resources before and after an update, what one sees of them, and what that must be.
LIVES: dict[str, tuple[dict[str, Any], dict[str, Any], Check, Any, Any]] = {
    "roles": (
        roles_before(),
        roles_after(),
        roles_seen,
        ROLES,
        {
            **ROLES,
            "trusted": "events.amazonaws.com",
            "description": "",
            "duration": 7200,
            "boundary": False,
            "tags": {"team"},
            "inline": ["kept", "two"],
            "kept": ["s3:Put*"],
            "document": ["s3:Get*"],
        },
    ),
    "machines": (
        machines(
            {
                "DefinitionString": json.dumps(ASL).replace('"A",', '"${First}",'),
                "DefinitionSubstitutions": {"First": "A"},
            },
            TracingConfiguration={"Enabled": True},
            LoggingConfiguration={
                "Level": "ALL",
                "IncludeExecutionData": True,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": att("Logs", "Arn")}}],
            },
        ),
        machines({"Definition": {"Comment": "new", **ASL}}),
        machine_seen,
        (ASL, "ALL", True),
        ({"Comment": "new", **ASL}, "OFF", False),
    ),
    "keys": (
        keys_before(),
        keys_after(),
        keys_seen,
        (None, "first", True, True, "Key"),
        ("new", "", False, False, "Other"),
    ),
    "registry": (
        {
            "Repository": resource(
                "AWS::ECR::Repository",
                RepositoryName="of-types",
                ImageTagMutability="IMMUTABLE",
                ImageScanningConfiguration={"ScanOnPush": True},
                LifecyclePolicy={"LifecyclePolicyText": json.dumps(LIFECYCLE)},
                EmptyOnDelete=True,
            )
        },
        {"Repository": resource("AWS::ECR::Repository", RepositoryName="of-types")},
        registry_seen,
        ("IMMUTABLE", True),
        ("MUTABLE", False),
    ),
    "parameters": (
        {
            "Watermark": resource(
                "AWS::SSM::Parameter",
                Name="/of/types",
                Type="String",
                Value="one",
                Description="d",
                Tags={"k": "v"},
            )
        },
        {"Watermark": resource("AWS::SSM::Parameter", Name="/of/types", Type="String", Value="2")},
        parameter_seen,
        ("one", {"k", "team"}),
        ("2", {"team"}),
    ),
    "logs": (
        {
            "Key": resource("AWS::KMS::Key", KeyPolicy=LOG_KEY_POLICY),
            "Logs": resource(
                "AWS::Logs::LogGroup",
                RetentionInDays=7,
                KmsKeyId=att("Key", "Arn"),
                Tags=[{"Key": "k", "Value": "v"}],
            ),
        },
        {
            "Key": resource("AWS::KMS::Key", KeyPolicy=LOG_KEY_POLICY),
            "Logs": resource("AWS::Logs::LogGroup", KmsKeyId=att("Key", "Arn")),
        },
        logs_seen,
        (7, True, {"k": "v", "team": "churn"}),
        (None, True, {"team": "churn"}),
    ),
    "topics": (
        topics_before(),
        topics_after(),
        topics_seen,
        ("first", "", False, "true", {}),
        ("", "alias/aws/sns", True, "false", {"a": ["b"]}),
    ),
    "rules": (
        rules_before(),
        rules_after(),
        rules_seen,
        ("ENABLED", [("gone", None), ("kept", None)]),
        ("DISABLED", [("kept", "{}")]),
    ),
    "network": (
        network(is_first=True),
        network(is_first=False),
        network_seen,
        NETWORK,
        {
            **NETWORK,
            "hostnames": False,
            "public": False,
            "in": [2049, 8443],
            "cold": "AFTER_7_DAYS",
        },
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_resource_is_what_its_properties_say(
    cloud: LocalCloud, stacks: Stacks, dump: Callable[[], Any], name: str
) -> None:
    before, after, seen, first, second = LIVES[name]
    empty = dump()
    tags = [{"Key": "team", "Value": "churn"}]
    stack = stacks.create(f"life-of-{name}", {"Resources": before}, Tags=tags)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    ids = stacks.physical_ids(stack["StackId"])
    assert seen(cloud, ids) == first
    stack = stacks.update(f"life-of-{name}", {"Resources": after}, Tags=tags)
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    changed = stacks.physical_ids(stack["StackId"])
    assert {key: changed[key] for key in set(ids) & set(changed)} == {
        key: ids[key] for key in set(ids) & set(changed)
    }
    assert seen(cloud, changed) == second
    stack = stacks.delete(stack["StackId"])
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    assert dump() == empty


def test_a_bucket_is_what_its_properties_say(
    cloud: LocalCloud, stacks: Stacks, dump: Callable[[], Any]
) -> None:
    empty = dump()
    stacks.create("life-of-buckets", {"Resources": buckets_before()})
    ids = stacks.physical_ids("life-of-buckets")
    seen = bucket_seen(cloud, ids)
    assert {key: seen[key] for key in BUCKET} == BUCKET
    (rule,) = seen["bucket_lifecycle_configuration"]
    assert rule["ID"] == "old"
    assert rule["Filter"] == {"Prefix": "a/"}
    assert rule["Expiration"]["Days"] == 30
    assert rule["Transitions"] == [{"Days": 5, "StorageClass": "GLACIER"}]
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 3
    assert json.loads(seen["bucket_policy"])["Statement"][0]["Resource"].endswith(ids["Bucket"])
    stack = stacks.update("life-of-buckets", {"Resources": buckets_after()})
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    found = bucket_seen(cloud, ids)
    assert found.pop("bucket_versioning") == "Suspended"
    assert found.pop("bucket_encryption") != BUCKET["bucket_encryption"]
    assert set(found.values()) == {None}
    stacks.delete("life-of-buckets")
    assert dump() == empty


@pytest.mark.parametrize(
    "taken",
    [
        ("topic", resource("AWS::SNS::Topic", TopicName="taken"), "'AWS::SNS::Topic'.*'taken'"),
        ("rule", resource("AWS::Events::Rule", Name="taken", ScheduleExpression="rate(1 day)"),
         "'AWS::Events::Rule'.*'taken'"),
        ("group", resource("AWS::Logs::LogGroup", LogGroupName="taken"), "already exists"),
        ("bucket", resource("AWS::S3::Bucket", BucketName="taken"), "already"),
        ("role", resource("AWS::IAM::Role", RoleName="taken",
                          AssumeRolePolicyDocument=trust("ec2")), "already exists"),
        ("parameter", resource("AWS::SSM::Parameter", Name="taken", Type="String", Value="v"),
         "already exists"),
        ("inline", resource("AWS::IAM::Policy", PolicyName="taken", Roles=["taken"],
                            PolicyDocument=policy("s3:*")), "already exists"),
        ("access", resource("AWS::S3::BucketPolicy", Bucket="taken", PolicyDocument={
            "Version": "2012-10-17", "Statement": []}), "already exists"),
    ],
    ids=lambda taken: taken[0],
)  # fmt: skip
def test_what_is_there_already_is_never_taken_over(
    cloud: LocalCloud,
    stacks: Stacks,
    dump: Callable[[], Any],
    taken: tuple[str, dict[str, Any], str],
) -> None:
    name, body, problem = taken
    take_names(cloud)
    before = dump()
    stack = stacks.create(f"takes-{name}", {"Resources": {"It": body}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert re.search(problem, stacks.reasons(stack["StackId"], "CREATE_FAILED")["It"])
    assert dump() == before


def take_names(cloud: LocalCloud) -> None:
    iam, s3 = cloud.client("iam"), cloud.client("s3")
    if "taken" in {item["RoleName"] for item in iam.list_roles()["Roles"]}:
        return
    iam.create_role(RoleName="taken", AssumeRolePolicyDocument=json.dumps(trust("ec2")))
    document = json.dumps(policy("s3:*"))
    iam.put_role_policy(RoleName="taken", PolicyName="taken", PolicyDocument=document)
    where = {"LocationConstraint": cloud.region}
    s3.create_bucket(Bucket="taken", CreateBucketConfiguration=where)
    s3.put_bucket_policy(
        Bucket="taken", Policy=json.dumps({"Version": "2012-10-17", "Statement": []})
    )
    cloud.client("logs").create_log_group(logGroupName="taken")
    cloud.client("ssm").put_parameter(Name="taken", Type="String", Value="mine")
    cloud.client("sns").create_topic(Name="taken")
    cloud.client("events").put_rule(Name="taken", ScheduleExpression="rate(2 days)")
