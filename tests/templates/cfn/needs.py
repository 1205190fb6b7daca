"""Which permissions CloudFormation needs to create, read, update and delete a resource.

Every resource type in CloudFormation's registry comes with a list of them, for each of its
handlers; cfn-lint's wheel brings the registry along. The lists are for everything a type can do:
what is there for a property that our templates do not use is not needed, and :data:`UNUSED` says
which that is. As soon as a template uses such a property its permissions are needed again.

Source: https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html#schema-properties-handlers
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from cfn import workflow
from cfn.evaluation import ACCOUNT, REGION, Resource, Stack, evaluate, load, walk
from cfn.statements import as_list, documents

__all__ = [
    "HANDLERS",
    "NEVER",
    "PROJECT_ACCOUNT",
    "UNUSED",
    "all_actions",
    "all_arns",
    "all_keys",
    "elsewhere",
    "needed",
    "production",
    "project",
    "projects",
    "studio",
]

HANDLERS = ("create", "read", "update", "delete")

#: The types that the registry says nothing about.
#: https://docs.aws.amazon.com/codebuild/latest/userguide/auth-and-access-control-permissions-reference.html
_UNREGISTERED = {
    "AWS::CodeBuild::Project": {
        "create": ["codebuild:CreateProject", "iam:PassRole"],
        "read": ["codebuild:BatchGetProjects"],
        "update": ["codebuild:UpdateProject", "codebuild:BatchGetProjects", "iam:PassRole"],
        "delete": ["codebuild:DeleteProject"],
    },
}

#: What a type's handlers need without saying so.
UNSAID = {
    # https://docs.aws.amazon.com/efs/latest/ug/API_CreateMountTarget.html
    "AWS::EFS::MountTarget": {
        "create": ["ec2:CreateNetworkInterface", "ec2:DescribeSubnets"],
        "delete": ["ec2:DeleteNetworkInterface"],
    },
    # Whoever passes a connection passes it under the name that it was made with.
    "AWS::CodePipeline::Pipeline": {"create": ["codeconnections:PassConnection"]},
    # The seed code is encrypted.
    "AWS::CodeCommit::Repository": {"create": ["kms:Decrypt"]},
    # Fn::GetAZs.
    "AWS::EC2::Subnet": {"create": ["ec2:DescribeAvailabilityZones"]},
    # Encrypted for who creates the endpoint.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/encryption-at-rest.html
    "AWS::SageMaker::EndpointConfig": {"create": ["kms:CreateGrant"]},
    # Whoever makes a function of an image must be able to pull it.
    # https://docs.aws.amazon.com/lambda/latest/dg/images-permissions.html
    "AWS::Lambda::Function": {"create": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]},
    # Application Auto Scaling asks and changes with the permissions of the caller.
    # https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "create": [
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        ],
    },
}

#: Type -> property -> actions that are needed for that property alone.
UNUSED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AWS::ApiGateway::Method": {"Integration.Credentials": ("iam:PassRole",)},
    "AWS::ApiGateway::RestApi": {
        "BodyS3Location": ("s3:GetObject",),
        "CloneFrom": ("iam:PassRole",),
        "Policy": ("apigateway:UpdateRestApiPolicy",),
    },
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        "RoleARN": ("iam:PassRole",),
        "ScheduledActions": (
            "application-autoscaling:DeleteScheduledAction",
            "application-autoscaling:PutScheduledAction",
        ),
        "ServiceNamespace=lambda": (
            "lambda:DeleteProvisionedConcurrencyConfig",
            "lambda:GetProvisionedConcurrencyConfig",
            "lambda:PutProvisionedConcurrencyConfig",
        ),
    },
    "AWS::CodeCommit::Repository": {
        "Triggers": ("codecommit:PutRepositoryTriggers",),
        "KmsKeyId": ("codecommit:UpdateRepositoryEncryptionKey",),
    },
    "AWS::CodeDeploy::DeploymentGroup": {
        "OnPremisesInstanceTagFilters": ("codedeploy:RegisterOnPremisesInstance",),
    },
    "AWS::CodePipeline::Pipeline": {
        "DisableInboundStageTransitions": (
            "codepipeline:DisableStageTransition",
            "codepipeline:EnableStageTransition",
        ),
        # RestartExecutionOnUpdate is there, and false.
        "RestartExecutionOnUpdate=True": ("codepipeline:StartPipelineExecution",),
    },
    "AWS::EC2::EIP": {
        "TransferAddress": ("ec2:AcceptAddressTransfer",),
        "InstanceId": ("ec2:AssociateAddress",),
    },
    "AWS::EC2::FlowLog": {
        "LogDestinationType=s3": (
            "s3:GetBucketPolicy",
            "s3:PutBucketPolicy",
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
        ),
        "LogDestinationType=kinesis-data-firehose": ("iam:CreateServiceLinkedRole",),
        "ResourceType=NetworkInterface": ("autoscaling:DescribeTags",),
    },
    "AWS::EC2::NatGateway": {
        "SecondaryAllocationIds": (
            "ec2:AssociateNatGatewayAddress",
            "ec2:DisassociateNatGatewayAddress",
        ),
        "SecondaryPrivateIpAddresses": (
            "ec2:AssignPrivateNatGatewayAddress",
            "ec2:UnassignPrivateNatGatewayAddress",
        ),
    },
    "AWS::EC2::Subnet": {
        "Ipv6CidrBlock": ("ec2:AssociateSubnetCidrBlock", "ec2:DisassociateSubnetCidrBlock"),
    },
    "AWS::EC2::VPC": {
        "InstanceTenancy": ("ec2:ModifyVpcTenancy",),
        "VpcEncryptionControl": ("ec2:CreateVpcEncryptionControl",),
    },
    "AWS::EC2::VPCEndpoint": {
        "ServiceNetworkArn": (
            "vpc-lattice:CreateServiceNetworkVpcEndpointAssociation",
            "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
        ),
        "ServiceRegion": ("vpce:AllowMultiRegion",),
    },
    "AWS::EC2::VPCGatewayAttachment": {
        "VpnGatewayId": ("ec2:AttachVpnGateway", "ec2:DetachVpnGateway"),
    },
    "AWS::ECR::Repository": {
        "RepositoryPolicyText": ("ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"),
    },
    "AWS::EFS::FileSystem": {
        "ReplicationConfiguration": (
            "elasticfilesystem:CreateReplicationConfiguration",
            "elasticfilesystem:DeleteReplicationConfiguration",
            "iam:PassRole",
        ),
    },
    "AWS::KMS::Key": {
        "Enabled": ("kms:DisableKey", "kms:EnableKey"),
        "EnableKeyRotation=False": ("kms:DisableKeyRotation",),
    },
    "AWS::Lambda::Alias": {
        "ProvisionedConcurrencyConfig": (
            "lambda:DeleteProvisionedConcurrencyConfig",
            "lambda:PutProvisionedConcurrencyConfig",
        ),
    },
    "AWS::Lambda::Function": {
        "CapacityProviderConfig": ("lambda:PassCapacityProvider",),
        "Code.S3Bucket": ("s3:GetObject", "s3:GetObjectVersion"),
        "CodeSigningConfigArn": (
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
        ),
        "FunctionScalingConfig": ("lambda:PutFunctionScalingConfig",),
        "KmsKeyArn": (
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
        ),
        "Layers": ("lambda:GetLayerVersion",),
        "RecursiveLoop": ("lambda:PutFunctionRecursionConfig",),
        "ReservedConcurrentExecutions": (
            "lambda:DeleteFunctionConcurrency",
            "lambda:PutFunctionConcurrency",
        ),
        "RuntimeManagementConfig": (
            "lambda:AssociateRuntimeAlias",
            "lambda:PutRuntimeManagementConfig",
        ),
        "S3FilesConfigs": ("s3files:ListMountTargets",),
        "FileSystemConfigs": ("elasticfilesystem:DescribeMountTargets",),
    },
    "AWS::Lambda::Version": {
        "FunctionScalingConfig": ("lambda:PutFunctionScalingConfig",),
        "ProvisionedConcurrencyConfig": ("lambda:PutProvisionedConcurrencyConfig",),
        "RuntimePolicy": ("lambda:PutRuntimeManagementConfig",),
    },
    "AWS::Logs::LogGroup": {
        "DataProtectionPolicy": (
            "logs:PutDataProtectionPolicy",
            "logs:DeleteDataProtectionPolicy",
            "logs:CreateLogDelivery",
            "s3:REST.PUT.OBJECT",
            "firehose:TagDeliveryStream",
        ),
        "KmsKeyId": ("logs:AssociateKmsKey", "logs:DisassociateKmsKey"),
        "FieldIndexPolicies": ("logs:PutIndexPolicy", "logs:DeleteIndexPolicy"),
        "ResourcePolicyDocument": ("logs:PutResourcePolicy", "logs:DeleteResourcePolicy"),
        "DeletionProtectionEnabled": ("logs:PutLogGroupDeletionProtection",),
        "BearerTokenAuthenticationEnabled": ("logs:PutBearerTokenAuthentication",),
    },
    "AWS::S3::Bucket": {
        "AbacStatus": ("s3:PutBucketAbac",),
        "AccelerateConfiguration": ("s3:PutAccelerateConfiguration",),
        "AccessControl": ("s3:PutBucketAcl",),
        "AnalyticsConfigurations": (
            "s3:PutAnalyticsConfiguration",
            "s3:DeleteBucketAnalyticsConfiguration",
        ),
        "CorsConfiguration": ("s3:PutBucketCORS", "s3:DeleteBucketCors"),
        "IntelligentTieringConfigurations": ("s3:PutIntelligentTieringConfiguration",),
        "InventoryConfigurations": ("s3:PutInventoryConfiguration",),
        "MetadataTableConfiguration": (
            "s3:CreateBucketMetadataTableConfiguration",
            "s3:DeleteBucketMetadataTableConfiguration",
            "s3:UpdateBucketMetadataAnnotationTableConfiguration",
            "s3:UpdateBucketMetadataInventoryTableConfiguration",
            "s3:UpdateBucketMetadataJournalTableConfiguration",
            "s3tables:CreateNamespace",
            "s3tables:CreateTable",
            "s3tables:CreateTableBucket",
            "s3tables:GetTable",
            "s3tables:GetTableMetadataLocation",
            "s3tables:PutTableBucketPolicy",
            "s3tables:PutTableEncryption",
            "s3tables:PutTablePolicy",
            "s3tables:UpdateTableMetadataLocation",
        ),
        "MetricsConfigurations": (
            "s3:PutMetricsConfiguration",
            "s3:DeleteBucketMetricsConfiguration",
        ),
        "ObjectLockConfiguration": (
            "s3:PutBucketObjectLockConfiguration",
            "s3:PutObjectLockConfiguration",
        ),
        "ReplicationConfiguration": (
            "s3:PutBucketReplication",
            "s3:PutReplicationConfiguration",
            "s3:DeleteBucketReplication",
            "iam:PassRole",
        ),
        "WebsiteConfiguration": ("s3:PutBucketWebsite", "s3:DeleteBucketWebsite"),
    },
    "AWS::SNS::Subscription": {"SubscriptionRoleArn": ("iam:GetRole", "iam:PassRole")},
    "AWS::SNS::Topic": {
        "DataProtectionPolicy": ("sns:PutDataProtectionPolicy",),
        "DeliveryStatusLogging": ("iam:GetRole", "iam:PassRole"),
        "Subscription": ("sns:Unsubscribe",),
    },
    "AWS::SageMaker::ModelPackageGroup": {
        "ModelPackageGroupPolicy": (
            "sagemaker:PutModelPackageGroupPolicy",
            "sagemaker:DeleteModelPackageGroupPolicy",
        ),
    },
    "AWS::StepFunctions::StateMachine": {
        "DefinitionS3Location": ("s3:GetObject", "s3:GetObjectVersion"),
        "EncryptionConfiguration": ("kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"),
    },
}

#: Listed by CloudFormation, and not to be had, whatever a template uses.
NEVER = {
    "iam:DeleteRolePermissionsBoundary": "no role may leave the boundary",
    "s3:DeleteObject": "a bucket is deleted when it is empty; objects are the user's",
    "s3:PutObjectAcl": "buckets enforce that their owner owns every object: there are no ACLs",
    # Names that the registry lists and IAM does not know.
    "s3:DeleteBucketCors": "IAM checks s3:PutBucketCORS",
    "s3:DeleteBucketEncryption": "IAM checks s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "IAM checks s3:PutLifecycleConfiguration",
}


def needed(resource: Resource) -> dict[str, set[str]]:
    """Return the actions that each handler of a resource needs, without what it does not use."""
    handlers = _handlers(resource.type)
    excused = set(NEVER)
    for use, actions in UNUSED.get(resource.type, {}).items():
        if not _is_used(resource, use):
            excused |= set(actions)
    unsaid = UNSAID.get(resource.type, {})
    return {
        handler: (set(handlers.get(handler, [])) | set(unsaid.get(handler, []))) - excused
        for handler in HANDLERS
    }


def _is_used(resource: Resource, use: str) -> bool:
    name, _, value = use.partition("=")
    if name not in resource.properties:
        return False
    return not value or str(resource.properties[name]) == value


@functools.cache
def _handlers(type_: str) -> dict[str, list[str]]:
    if type_.startswith("Custom::"):
        return {name: ["lambda:InvokeFunction"] for name in ("create", "update", "delete")}
    if type_ in _UNREGISTERED:
        return _UNREGISTERED[type_]
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_).schema
    found = {name: rule["permissions"] for name, rule in schema["handlers"].items()}
    assert found, f"{type_}: no handlers in the registry; write down what it needs"
    return found


# --- the templates, in every way they can come out ----------------------------------------------

#: Kinds of things that handlers touch and that neither stands in a policy nor is a resource.
OTHERS = {
    f"arn:aws:ec2:{REGION}:123456789012:network-interface/eni",
    "arn:aws:s3:::templates/versions/unpublished/seed_code.zip",
}

_CONNECTION = (
    f"arn:aws:codeconnections:{REGION}:123456789012:connection/{'0' * 8}-0000-0000-0000-{'0' * 12}"
)


@functools.cache
def project(*, account: str = ACCOUNT, others: tuple[str, ...] = (), **parameters: str) -> Stack:
    """Return what pipeline.yml comes to, published for the accounts `others`."""
    document = load("pipeline.yml")
    crossing = {
        "OtherAccounts": list(others) or ["none"],
        "OtherFunctions": [f"arn:*:lambda:*:{each}:function:*" for each in others] or ["none"],
    }
    template = {**document["Mappings"]["Published"]["Template"], **crossing}
    mappings = {**document["Mappings"], "Published": {"Template": template}}
    return evaluate({**document, "Mappings": mappings}, parameters, account=account)


#: The account of a project, of which ours has the production side.
PROJECT_ACCOUNT = "210987654321"


def elsewhere(account: str = ACCOUNT, others: tuple[str, ...] = (ACCOUNT,)) -> Stack:
    """Return a project whose production is in another account: the one of :func:`production`."""
    there = production().resources
    return project(
        account=account,
        others=others,
        ProductionAccessRoleArn=there["ProductionAccessRole"].arn,
        ProductionRoleArn=there["ProductionRole"].arn,
    )


def production(others: tuple[str, ...] = (PROJECT_ACCOUNT,)) -> Stack:
    """Return the production side of a project of :data:`PROJECT_ACCOUNT`."""
    approver = f"arn:aws:iam::{PROJECT_ACCOUNT}:role/service-role/approver"
    return project(others=others, ProjectAccount=PROJECT_ACCOUNT, ApproverRoleArn=approver)


def projects() -> list[Stack]:
    """Return a project for each resource that a parameter brings in, or takes away."""
    return [
        project(NetworkEgress="nat", NotificationEmail="a@b.de", Production="yes"),
        project(NetworkEgress="endpoints", CodeProvider="CodeConnections",
                ConnectionArn=_CONNECTION, RepositoryId="a/b"),
        elsewhere(),
        production(),
    ]  # fmt: skip


@functools.cache
def studio(*, account: str = ACCOUNT, **parameters: str) -> Stack:
    """Return what studio.yml comes to, once it is published."""
    given = {
        "TemplateBucketName": "templates",
        "PrincipalArn1": "arn:aws:iam::123456789012:role/service-role/studio",
        "S3Templates": "yes",
        "Version1": "1",
    }
    return evaluate(load("studio.yml"), given | parameters, account=account)


def stacks() -> Iterator[Stack]:
    """Yield every stack of the product."""
    yield studio(CostCenter="a", PrincipalPattern1="arn:aws:iam:::role/a*")
    yield from projects()
    yield from workflow.stacks()


# --- what authorization.json has to know --------------------------------------------------------


def all_actions() -> set[str]:
    """Return every action that a policy names or a handler needs."""
    named = {
        action
        for stack in stacks()
        for document in documents(stack)
        for statement in document.statements()
        for action in as_list(statement.get("Action", []))
        if "*" not in action
    }
    return named | {
        action
        for stack in stacks()
        for resource in stack.resources.values()
        for actions in needed(resource).values()
        for action in actions
    }


def all_keys() -> set[str]:
    """Return every condition key that a policy uses."""
    found: set[str] = {"aws:RequestTag/x", "aws:ResourceTag/x"}
    for stack in stacks():
        for document in documents(stack):
            for node in walk(document.body):
                if isinstance(node, Mapping) and "Condition" in node:
                    conditions: Mapping[str, Any] = node["Condition"]
                    found |= {key for block in conditions.values() for key in block}
    return found


def all_arns() -> set[str]:
    """Return an ARN of every kind of thing that we make or that a policy speaks of."""
    found = {
        resource.arn for stack in stacks() for resource in stack.resources.values()
    }  # fmt: skip
    for stack in stacks():
        for document in documents(stack):
            for statement in document.statements():
                found |= {arn.replace("*", "x") for arn in as_list(statement.get("Resource", []))}
    return found | OTHERS
