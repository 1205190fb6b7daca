"""Which permissions an API call needs: action, resource and what conditions may ask about it.

One table per service, written from the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html), for what a
project calls. A call that is missing here can be made by the administrator only: for a role it is
refused by name, never allowed silently. Where AWS documents two resources for an action and leaves
open which one it checks, both are checked: what is allowed here is allowed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from local_cloud import (
    api_actions,
    catalog_actions,
    function_actions,
    network_actions,
    release_actions,
)
from local_cloud.errors import UnsupportedError
from local_cloud.requests import Call

__all__ = ["CONDITION_KEYS", "Need", "copy_source", "needs", "pass_role"]

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Need:
    """One permission that a call needs.

    Parameters
    ----------
    action
        For instance ``s3:GetObject``.
    resource
        ARN, or ``*`` for an action without resources.
    context
        Condition key, lower case -> values.
    """

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    region: str
    account_id: str

    def arn(self, service: str, resource: str) -> str:
        if service in {"iam", "s3"}:
            account = self.account_id if service == "iam" else ""
            return f"arn:aws:{service}::{account}:{resource}"
        if service == "apigateway":
            return f"arn:aws:{service}:{self.region}::{resource}"
        if resource.startswith("dashboard/"):
            return f"arn:aws:{service}::{self.account_id}:{resource}"
        name = "catalog" if service == "servicecatalog" else service
        return f"arn:aws:{name}:{self.region}:{self.account_id}:{resource}"


#: Parameters of a call -> what follows the account in the ARNs; whole ARNs are kept, ``*`` too.
Resources = Callable[[Parameters], list[str]]

#: Condition keys of each service whose values :func:`needs` gives where they apply; a key that
#: ends in ``*`` stands for any name. A policy with another key is refused.
CONDITION_KEYS: dict[str, frozenset[str]] = {
    "apigateway": frozenset({"aws:resourcetag/*"}),
    "application-autoscaling": frozenset(
        {
            "application-autoscaling:scalable-dimension",
            "application-autoscaling:service-namespace",
        }
    ),
    "cloudformation": frozenset(
        {"aws:resourcetag/*", "cloudformation:rolearn", "cloudformation:templateurl"}
    ),
    "cloudwatch": frozenset({"cloudwatch:namespace"}),
    "ec2": frozenset({"aws:resourcetag/*", "ec2:createaction"}),
    "elasticfilesystem": frozenset({"aws:resourcetag/*", "elasticfilesystem:createaction"}),
    "iam": frozenset(
        {
            "iam:awsservicename",
            "iam:passedtoservice",
            "iam:permissionsboundary",
            "iam:policyarn",
        }
    ),
    "kms": frozenset(
        {
            "aws:resourcetag/*",
            "kms:calleraccount",
            "kms:encryptioncontext:*",
            "kms:grantisforawsresource",
            "kms:viaservice",
        }
    ),
    "s3": frozenset(
        {
            "s3:delimiter",
            "s3:existingobjecttag/*",
            "s3:if-none-match",
            "s3:max-keys",
            "s3:prefix",
            "s3:versionid",
            "s3:x-amz-acl",
            "s3:x-amz-server-side-encryption",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
        }
    ),
    "sagemaker": frozenset(
        {
            "sagemaker:instancetypes",
            "sagemaker:modelapprovalstatus",
            "sagemaker:networkisolation",
            "sagemaker:outputkmskey",
            "sagemaker:volumekmskey",
            "sagemaker:vpcsecuritygroupids",
            "sagemaker:vpcsubnets",
        }
    ),
    "sts": frozenset({"sts:externalid", "sts:rolesessionname"}),
}


def needs(call: Call, region: str, account_id: str) -> list[Need]:
    """Every permission that a call needs of the one who makes it.

    Raises
    ------
    UnsupportedError
        When nobody has written down what this operation needs.
    """
    prefix, table = _TABLES.get(call.service, ("", {}))
    rules = table.get(call.operation)
    if rules is None:
        raise UnsupportedError(
            "IAM",
            f"{call.service}:{call.operation} called with a role",
            "an operation with a known permission is needed (local_cloud/actions.py)",
            "Call it as administrator, or add the operation to the table",
        )
    place = _Place(region, account_id)
    context = {**_tags_context(call.parameters), **_service_context(prefix, call.parameters)}
    found = [
        Need(f"{prefix}:{action}", _whole(place, prefix, resource), context)
        for action, resources in [*rules, *_s3_extras(call)]
        for resource in resources(call.parameters)
    ]
    return [*found, *_tagging(place, prefix, call, found), *_passed_roles(call)]


def pass_role(role_arn: str, service_principal: str) -> Need:
    """The permission to hand a role to a service."""
    return Need("iam:PassRole", role_arn, {"iam:passedtoservice": (service_principal,)})


def _whole(place: _Place, service: str, resource: str) -> str:
    if resource == "*" or resource.startswith("arn:"):
        return resource
    return place.arn(service, resource)


# ------------------------------------------------------------------------------ resources


def _anything(_: Parameters) -> list[str]:
    return ["*"]


def _named(kind: str, *names: str, lower: bool = False) -> Resources:
    """``kind`` followed by the parameter, which may be a name or a whole ARN; ``*`` without it."""

    def resources(parameters: Parameters) -> list[str]:
        value = next((str(parameters[name]) for name in names if parameters.get(name)), "*")
        if value.startswith("arn:"):
            return [value]
        # SageMaker writes names in ARNs in lower case, whatever the case of the name.
        return [f"{kind}{value.lower() if lower else value}"]

    return resources


def _all(*rules: Resources) -> Resources:
    return lambda parameters: [resource for rule in rules for resource in rule(parameters)]


Rules = dict[str, list[tuple[str, Resources]]]


def _same(operations: Mapping[str, Resources]) -> Rules:
    """Rules of operations whose action has the same name."""
    return {name: [(name, resources)] for name, resources in operations.items()}


# ------------------------------------------------------------------------------ S3


def _bucket(parameters: Parameters) -> list[str]:
    return [parameters["Bucket"]]


def _object(parameters: Parameters) -> list[str]:
    return [f"{parameters['Bucket']}/{parameters['Key']}"]


def _objects(parameters: Parameters) -> list[str]:
    bucket = parameters["Bucket"]
    return [f"{bucket}/{item['Key']}" for item in parameters["Delete"]["Objects"]]


def copy_source(parameters: Parameters) -> str:
    """``<bucket>/<key>`` of the object that a call copies."""
    return unquote(str(parameters["CopySource"]).removeprefix("/").partition("?versionId=")[0])


def _copied(parameters: Parameters) -> list[str]:
    return [copy_source(parameters)]


_S3_BUCKET = {
    "CreateBucket": "CreateBucket",
    "DeleteBucket": "DeleteBucket",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketPolicy": "DeleteBucketPolicy",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketAcl": "GetBucketAcl",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketLocation": "GetBucketLocation",
    "GetBucketOwnershipControls": "GetBucketOwnershipControls",
    "GetBucketPolicy": "GetBucketPolicy",
    "GetBucketTagging": "GetBucketTagging",
    "GetBucketVersioning": "GetBucketVersioning",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketLogging": "PutBucketLogging",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutBucketOwnershipControls": "PutBucketOwnershipControls",
    "PutBucketPolicy": "PutBucketPolicy",
    "PutBucketTagging": "PutBucketTagging",
    "PutBucketVersioning": "PutBucketVersioning",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
_S3_OBJECT = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObject": "DeleteObject",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "GetObject": "GetObject",
    "GetObjectAttributes": "GetObject",
    "GetObjectTagging": "GetObjectTagging",
    "HeadObject": "GetObject",
    "ListParts": "ListMultipartUploadParts",
    "PutObject": "PutObject",
    "PutObjectTagging": "PutObjectTagging",
    "UploadPart": "PutObject",
}
_S3: Rules = {
    **{name: [(action, _bucket)] for name, action in _S3_BUCKET.items()},
    **{name: [(action, _object)] for name, action in _S3_OBJECT.items()},
    "CopyObject": [("GetObject", _copied), ("PutObject", _object)],
    "UploadPartCopy": [("GetObject", _copied), ("PutObject", _object)],
    "DeleteObjects": [("DeleteObject", _objects)],
    "ListBuckets": [("ListAllMyBuckets", _anything)],
}


def _s3_extras(call: Call) -> list[tuple[str, Resources]]:
    """What an option of an object's call needs on top of the call itself."""
    parameters = call.parameters
    if call.service != "s3" or "Key" not in parameters:
        return []
    extras: list[tuple[str, Resources]] = []
    if parameters.get("VersionId"):
        versioned = [action.replace("Object", "ObjectVersion") for action, _ in _S3[call.operation]]
        extras += [(action, _object) for action in versioned]
    if call.operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
        extras += [("PutObjectTagging", _object)] if parameters.get("Tagging") else []
        extras += [("PutObjectAcl", _object)] if parameters.get("ACL") else []
    return extras


# ------------------------------------------------------------------------------ SageMaker

#: Resource type of each thing, with the parameter that names it.
_SAGEMAKER_KINDS = {
    "Endpoint": ("endpoint/", "EndpointName"),
    "EndpointConfig": ("endpoint-config/", "EndpointConfigName"),
    "Experiment": ("experiment/", "ExperimentName"),
    "Model": ("model/", "ModelName"),
    "ModelPackageGroup": ("model-package-group/", "ModelPackageGroupName"),
    "ProcessingJob": ("processing-job/", "ProcessingJobName"),
    "Project": ("project/", "ProjectName"),
    "TrainingJob": ("training-job/", "TrainingJobName"),
    "TransformJob": ("transform-job/", "TransformJobName"),
}
_SAGEMAKER_LISTS = (
    "Domains",
    "EndpointConfigs",
    "Endpoints",
    "ModelPackageGroups",
    "ModelPackages",
    "Models",
    "ProcessingJobs",
    "Projects",
    "TrainingJobs",
    "TransformJobs",
)


def _kind(name: str) -> Resources:
    return _named(*_SAGEMAKER_KINDS[name], lower=True)


def _new_package(parameters: Parameters) -> list[str]:
    """A version is named by its group, and has no number yet."""
    group = parameters.get("ModelPackageGroupName")
    if group is None:
        return _named("model-package/", "ModelPackageName", lower=True)(parameters)
    name = str(group).rpartition("/")[2].lower()
    return [f"model-package/{name}/*", f"model-package-group/{name}"]


_package = _named("model-package/", "ModelPackageArn", "ModelPackageName", lower=True)
_SAGEMAKER: Rules = {
    **_same(
        {
            f"{verb}{name}": _kind(name)
            for name in _SAGEMAKER_KINDS
            for verb in ("Create", "Describe", "Update", "Delete", "Stop")
        }
    ),
    **_same({f"List{name}": _anything for name in _SAGEMAKER_LISTS}),
    **_same(
        {
            "AddTags": _named("", "ResourceArn"),
            "CreateEndpoint": _all(_kind("Endpoint"), _kind("EndpointConfig")),
            "CreateModelPackage": _new_package,
            "CreateDomain": _named("domain/", "DomainId"),
            "DeleteDomain": _named("domain/", "DomainId"),
            "DeleteModelPackage": _package,
            "DeleteModelPackageGroupPolicy": _kind("ModelPackageGroup"),
            "DeleteTags": _named("", "ResourceArn"),
            "DescribeDomain": _named("domain/", "DomainId"),
            "DescribeModelPackage": _package,
            "ListTags": _named("", "ResourceArn"),
            "PutModelPackageGroupPolicy": _kind("ModelPackageGroup"),
            "UpdateEndpoint": _all(_kind("Endpoint"), _kind("EndpointConfig")),
            "UpdateEndpointWeightsAndCapacities": _kind("Endpoint"),
            "UpdateModelPackage": _package,
        }
    ),
}
_RUNTIME = _same(
    {
        "InvokeEndpoint": _kind("Endpoint"),
        "InvokeEndpointAsync": _kind("Endpoint"),
        "InvokeEndpointWithResponseStream": _kind("Endpoint"),
    }
)

# ------------------------------------------------------------------------------ conditions


def _service_context(prefix: str, parameters: Parameters) -> dict[str, tuple[str, ...]]:
    """Values of the service's own condition keys; a key without a value is absent."""
    values: dict[str, list[Any]] = {}
    if prefix == "s3":
        values = {f"s3:{key}": [parameters.get(name)] for key, name in _S3_CONTEXT.items()}
    elif prefix == "sagemaker":
        values = {
            f"sagemaker:{key}": _every(parameters, names)
            for key, names in _SAGEMAKER_CONTEXT.items()
        }
    elif prefix == "iam":
        values = {
            "iam:permissionsboundary": [parameters.get("PermissionsBoundary")],
            "iam:policyarn": [parameters.get("PolicyArn")],
        }
    elif prefix == "sts":
        values = {
            "sts:externalid": [parameters.get("ExternalId")],
            "sts:rolesessionname": [parameters.get("RoleSessionName")],
        }
    elif prefix == "application-autoscaling":
        values = {
            "application-autoscaling:scalable-dimension": [parameters.get("ScalableDimension")],
            "application-autoscaling:service-namespace": [parameters.get("ServiceNamespace")],
        }
    elif prefix == "cloudformation":
        values = {
            "cloudformation:rolearn": [parameters.get("RoleARN")],
            "cloudformation:templateurl": [parameters.get("TemplateURL")],
        }
    elif prefix == "cloudwatch":
        values = {"cloudwatch:namespace": [parameters.get("Namespace")]}
    elif prefix == "kms":
        values = {
            f"kms:encryptioncontext:{key.lower()}": [value]
            for key, value in (parameters.get("EncryptionContext") or {}).items()
        }
    return {key: found for key, item in values.items() if (found := _texts(item))}


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(
        str(value).lower() if isinstance(value, bool) else str(value)
        for value in values
        if value is not None
    )


_S3_CONTEXT = {
    "delimiter": "Delimiter",
    "if-none-match": "IfNoneMatch",
    "max-keys": "MaxKeys",
    "prefix": "Prefix",
    "versionid": "VersionId",
    "x-amz-acl": "ACL",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
}
#: Condition key -> names of the parameters, at any depth, that hold its values.
_SAGEMAKER_CONTEXT = {
    "instancetypes": {"InstanceType"},
    "modelapprovalstatus": {"ModelApprovalStatus"},
    "networkisolation": {"EnableNetworkIsolation"},
    "outputkmskey": {"KmsKeyId"},
    "volumekmskey": {"VolumeKmsKeyId"},
    "vpcsecuritygroupids": {"SecurityGroupIds"},
    "vpcsubnets": {"Subnets"},
}


def _every(value: Any, names: set[str]) -> list[Any]:
    """Values of the parameters with one of these names, at any depth; lists are flattened."""
    return [item for name, item in _leaves(value) if name in names]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name)
    else:
        yield name, value


def _tags(parameters: Parameters) -> dict[str, str]:
    tags = parameters.get("Tags") or parameters.get("tags") or _specified_tags(parameters)
    if isinstance(tags, Mapping):
        return {str(key): str(value) for key, value in tags.items()}
    return {_of_tag(tag, "key"): _of_tag(tag, "value") for tag in tags}


def _specified_tags(parameters: Parameters) -> list[Mapping[str, Any]]:
    """Tags as EC2 takes them for what it makes."""
    specifications = parameters.get("TagSpecifications") or []
    return [tag for specification in specifications for tag in specification.get("Tags", [])]


def _of_tag(tag: Mapping[str, Any], part: str) -> str:
    """Key or value of a tag: ``Key``, ``key`` or, for a KMS key, ``TagKey``."""
    names = (part.capitalize(), part, f"Tag{part.capitalize()}")
    return next((str(tag[name]) for name in names if name in tag), "")


def _tags_context(parameters: Parameters) -> dict[str, tuple[str, ...]]:
    tags = _tags(parameters)
    context = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return {**context, "aws:tagkeys": tuple(tags)} if tags else {}


#: Service prefix -> action that a call with tags needs besides its own.
_TAGGING = {
    "application-autoscaling": "TagResource",
    "cloudformation": "TagResource",
    "cloudwatch": "TagResource",
    "codedeploy": "TagResource",
    "ec2": "CreateTags",
    "ecr": "TagResource",
    "elasticfilesystem": "TagResource",
    "iam": "TagRole",
    "kms": "TagResource",
    "lambda": "TagResource",
    "logs": "TagResource",
    "sagemaker": "AddTags",
    "ssm": "AddTagsToResource",
    "states": "TagResource",
}


#: Services that say with which operation a tag comes.
_KNOWS_CREATION = frozenset({"ec2", "elasticfilesystem"})
#: Operation without resources -> what it tags.
_MADE = {"CreateFileSystem": "file-system/*"}


def _tagging(place: _Place, prefix: str, call: Call, found: list[Need]) -> list[Need]:
    action = _TAGGING.get(prefix)
    if action is None or call.operation == action or not _tags(call.parameters):
        return []
    made = {f"{prefix}:createaction": (call.operation,)} if prefix in _KNOWS_CREATION else {}
    resource = _whole(place, prefix, _MADE.get(call.operation, found[0].resource))
    return [Need(f"{prefix}:{action}", resource, {**found[0].context, **made})]


#: Service -> who is given the role, and the parameters, at any depth, that carry one.
_PASSING = {
    "cloudformation": ("cloudformation.amazonaws.com", {"RoleARN"}),
    "ec2": ("vpc-flow-logs.amazonaws.com", {"DeliverLogsPermissionArn"}),
    "events": ("events.amazonaws.com", {"RoleArn"}),
    "codebuild": ("codebuild.amazonaws.com", {"serviceRole"}),
    "codedeploy": ("codedeploy.amazonaws.com", {"serviceRoleArn"}),
    "codepipeline": ("codepipeline.amazonaws.com", {"roleArn"}),
    "lambda": ("lambda.amazonaws.com", {"Role"}),
    "sagemaker": ("sagemaker.amazonaws.com", {"ExecutionRoleArn", "RoleArn", "ValidationRole"}),
    "stepfunctions": ("states.amazonaws.com", {"roleArn"}),
}


def _passed_roles(call: Call) -> list[Need]:
    principal, names = _PASSING.get(call.service, ("", set()))
    return [pass_role(str(role), principal) for role in _every(call.parameters, names)]


# ------------------------------------------------------------------------------ the others


def _log_group(parameters: Parameters) -> list[str]:
    """As AWS names it in its denials: a group is its stream without a name."""
    name = parameters.get("logGroupName") or parameters.get("logGroupIdentifier") or ""
    name = str(name).rpartition(":log-group:")[2].removesuffix(":*")
    return [f"log-group:{name}:log-stream:{parameters.get('logStreamName', '')}"]


def _parameters(parameters: Parameters) -> list[str]:
    names = parameters.get("Names") or [parameters.get("Name") or parameters.get("Path") or "*"]
    return [f"parameter/{str(name).removeprefix('/')}" for name in names]


def _tagged_parameter(parameters: Parameters) -> list[str]:
    return [f"parameter/{str(parameters['ResourceId']).removeprefix('/')}"]


def _repositories(parameters: Parameters) -> list[str]:
    return [f"repository/{name}" for name in parameters.get("repositoryNames") or ["*"]]


_machine = _named("", "stateMachineArn")
_execution = _named("", "executionArn")
_repository = _named("repository/", "repositoryName")
_role = _named("role/", "RoleName")
_policy = _named("", "PolicyArn")
_tagged = _named("", "resourceArn")
_stack = _named("stack/", "StackName")
_key = _named("key/", "KeyId")


def _decrypting_key(parameters: Parameters) -> list[str]:
    """The key that is given, or the one whose id the ciphertext begins with."""
    if parameters.get("KeyId"):
        return _key(parameters)
    return [f"key/{parameters['CiphertextBlob'][:36].decode(errors='replace')}"]


def _stack_resources(parameters: Parameters) -> list[str]:
    (resource,) = _stack(parameters)
    return [resource if resource.startswith("arn:") or resource == "*" else f"{resource}/*"]


def _new_role(parameters: Parameters) -> list[str]:
    return [f"role{parameters.get('Path') or '/'}{parameters['RoleName']}"]


def _new_policy(parameters: Parameters) -> list[str]:
    return [f"policy{parameters.get('Path') or '/'}{parameters['PolicyName']}"]


_LOGS = _same(
    {
        "AssociateKmsKey": _log_group,
        "CreateLogGroup": _log_group,
        "CreateLogStream": _log_group,
        "DeleteLogGroup": _log_group,
        "DeleteRetentionPolicy": _log_group,
        "DescribeLogGroups": _anything,
        "DescribeLogStreams": _log_group,
        "DisassociateKmsKey": _log_group,
        "FilterLogEvents": _log_group,
        "GetLogEvents": _log_group,
        "PutLogEvents": _log_group,
        "PutRetentionPolicy": _log_group,
        "TagResource": _tagged,
        "UntagResource": _tagged,
    }
)
_STATES = _same(
    {
        "CreateStateMachine": _named("stateMachine:", "name"),
        "DeleteStateMachine": _machine,
        "DescribeExecution": _execution,
        "DescribeStateMachine": _machine,
        "GetExecutionHistory": _execution,
        "ListExecutions": _machine,
        "ListStateMachines": _anything,
        "StartExecution": _machine,
        "StopExecution": _execution,
        "TagResource": _tagged,
        "UntagResource": _tagged,
        "UpdateStateMachine": _machine,
    }
)
_ECR = _same(
    {
        "BatchCheckLayerAvailability": _repository,
        "BatchGetImage": _repository,
        "CompleteLayerUpload": _repository,
        "CreateRepository": _repository,
        "DeleteLifecyclePolicy": _repository,
        "DeleteRepository": _repository,
        "DeleteRepositoryPolicy": _repository,
        "DescribeImages": _repository,
        "DescribeRepositories": _repositories,
        "GetAuthorizationToken": _anything,
        "GetDownloadUrlForLayer": _repository,
        "InitiateLayerUpload": _repository,
        "ListImages": _repository,
        "PutImage": _repository,
        "PutImageScanningConfiguration": _repository,
        "PutImageTagMutability": _repository,
        "PutLifecyclePolicy": _repository,
        "SetRepositoryPolicy": _repository,
        "TagResource": _tagged,
        "UntagResource": _tagged,
        "UploadLayerPart": _repository,
    }
)
#: What an alias needs is checked on its key, whose policy must allow it in any case.
_KMS = _same(
    {
        "CreateAlias": _named("key/", "TargetKeyId"),
        "CreateGrant": _key,
        "CreateKey": _anything,
        "Decrypt": _decrypting_key,
        "DeleteAlias": _named("key/", "AliasName"),
        "DescribeKey": _key,
        "DisableKey": _key,
        "DisableKeyRotation": _key,
        "EnableKey": _key,
        "EnableKeyRotation": _key,
        "Encrypt": _key,
        "GenerateDataKey": _key,
        "GenerateDataKeyWithoutPlaintext": _key,
        "ListAliases": _anything,
        "ListKeys": _anything,
        "PutKeyPolicy": _key,
        "ScheduleKeyDeletion": _key,
        "TagResource": _key,
        "UntagResource": _key,
        "UpdateAlias": _all(_named("key/", "AliasName"), _named("key/", "TargetKeyId")),
        "UpdateKeyDescription": _key,
    }
)
_IAM = _same(
    {
        "AttachRolePolicy": _role,
        "CreatePolicy": _new_policy,
        "CreatePolicyVersion": _policy,
        "CreateRole": _new_role,
        "DeletePolicy": _policy,
        "DeletePolicyVersion": _policy,
        "DeleteRole": _role,
        "DeleteRolePermissionsBoundary": _role,
        "DeleteRolePolicy": _role,
        "DetachRolePolicy": _role,
        "GetRole": _role,
        "GetRolePolicy": _role,
        "ListAttachedRolePolicies": _role,
        "ListPolicyVersions": _policy,
        "ListRolePolicies": _role,
        "ListRoles": _anything,
        "PutRolePermissionsBoundary": _role,
        "PutRolePolicy": _role,
        "TagRole": _role,
        "UntagRole": _role,
        "UpdateAssumeRolePolicy": _role,
        "UpdateRole": _role,
    }
)
_SSM = _same(
    {
        "AddTagsToResource": _tagged_parameter,
        "DeleteParameter": _parameters,
        "GetParameter": _parameters,
        "GetParameters": _parameters,
        "GetParametersByPath": _parameters,
        "PutParameter": _parameters,
        "RemoveTagsFromResource": _tagged_parameter,
    }
)


def _alarms(parameters: Parameters) -> list[str]:
    names = parameters.get("AlarmNames") or [parameters.get("AlarmName") or "*"]
    return [f"alarm:{name}" for name in names]


def _dashboards(parameters: Parameters) -> list[str]:
    names = parameters.get("DashboardNames") or [parameters.get("DashboardName") or "*"]
    return [f"dashboard/{name}" for name in names]


_CLOUDWATCH = _same(
    {
        "DeleteAlarms": _alarms,
        "DeleteDashboards": _dashboards,
        "DescribeAlarmHistory": _alarms,
        "DescribeAlarms": _alarms,
        "DescribeAlarmsForMetric": _alarms,
        "DisableAlarmActions": _alarms,
        "EnableAlarmActions": _alarms,
        "GetDashboard": _dashboards,
        "GetMetricData": _anything,
        "GetMetricStatistics": _anything,
        "ListDashboards": _anything,
        "ListMetrics": _anything,
        "ListTagsForResource": _named("", "ResourceARN"),
        "PutDashboard": _dashboards,
        "PutMetricAlarm": _alarms,
        "PutMetricData": _anything,
        "SetAlarmState": _alarms,
        "TagResource": _named("", "ResourceARN"),
        "UntagResource": _named("", "ResourceARN"),
    }
)
_CLOUDFORMATION = _same(
    {
        **dict.fromkeys(
            (
                "ContinueUpdateRollback",
                "CreateChangeSet",
                "CreateStack",
                "DeleteChangeSet",
                "DeleteStack",
                "DescribeChangeSet",
                "DescribeStackEvents",
                "DescribeStackResource",
                "DescribeStackResources",
                "DescribeStacks",
                "ExecuteChangeSet",
                "GetTemplate",
                "GetTemplateSummary",
                "ListChangeSets",
                "ListStackResources",
                "UpdateStack",
                "UpdateTerminationProtection",
            ),
            _stack_resources,
        ),
        "ListExports": _anything,
        "ListImports": _anything,
        "ListStacks": _anything,
        "ValidateTemplate": _anything,
    }
)
_STS: Rules = {
    "AssumeRole": [("AssumeRole", _named("", "RoleArn"))],
    "GetCallerIdentity": [],  # needs no permission, and an explicit deny does not stop it
}

_repository_name = _named("", "repositoryName")
_CODECOMMIT = {
    **_same(
        {
            "CreateCommit": _repository_name,
            "CreateRepository": _repository_name,
            "DeleteRepository": _repository_name,
            "GetBranch": _repository_name,
            "GetCommit": _repository_name,
            "GetFile": _repository_name,
            "GetRepository": _repository_name,
            "ListBranches": _repository_name,
            "ListRepositories": _anything,
            "ListTagsForResource": _named("", "resourceArn"),
            "TagResource": _named("", "resourceArn"),
            "UntagResource": _named("", "resourceArn"),
            "UpdateDefaultBranch": _repository_name,
            "UpdateRepositoryDescription": _repository_name,
            "UpdateRepositoryEncryptionKey": _repository_name,
            "UpdateRepositoryName": _all(_named("", "oldName"), _named("", "newName")),
        }
    ),
}

_rule = _named("rule/", "Rule", "Name")
_EVENTS = _same(
    {
        "DeleteRule": _rule,
        "DescribeRule": _rule,
        "DisableRule": _rule,
        "EnableRule": _rule,
        "ListRules": _anything,
        "ListTagsForResource": _named("", "ResourceARN"),
        "ListTargetsByRule": _rule,
        "PutEvents": _named("event-bus/default", "Bus"),
        "PutRule": _rule,
        "PutTargets": _rule,
        "RemoveTargets": _rule,
        "TagResource": _named("", "ResourceARN"),
        "UntagResource": _named("", "ResourceARN"),
    }
)
_topic = _named("", "TopicArn", "Name", "ResourceArn")
_SNS = _same(
    {
        "CreateTopic": _topic,
        "DeleteTopic": _topic,
        "GetSubscriptionAttributes": _named("", "SubscriptionArn"),
        "GetTopicAttributes": _topic,
        "ListSubscriptions": _anything,
        "ListSubscriptionsByTopic": _topic,
        "ListTagsForResource": _topic,
        "ListTopics": _anything,
        "Publish": _topic,
        "SetSubscriptionAttributes": _named("", "SubscriptionArn"),
        "SetTopicAttributes": _topic,
        "Subscribe": _topic,
        "TagResource": _topic,
        "Unsubscribe": _named("", "SubscriptionArn"),
        "UntagResource": _topic,
    }
)

_project = _named("project/", "name", "projectName")


def _projects(parameters: Parameters) -> list[str]:
    return [f"project/{name}" for name in parameters.get("names") or ["*"]]


def _builds(parameters: Parameters) -> list[str]:
    """Permissions on builds are asked for on their project."""
    ids = parameters.get("ids") or [parameters.get("id") or "*"]
    names = {str(_id).rpartition("/")[2].partition(":")[0] for _id in ids}
    return [f"project/{name}" for name in sorted(names)]


_report_group = _named("report-group/", "name", "arn")
_CODEBUILD = _same(
    {
        "BatchGetBuilds": _builds,
        "BatchGetProjects": _projects,
        "CreateProject": _project,
        "CreateReportGroup": _report_group,
        "DeleteProject": _project,
        "DeleteReportGroup": _report_group,
        "ListBuilds": _anything,
        "ListBuildsForProject": _project,
        "ListProjects": _anything,
        "ListReportGroups": _anything,
        "StartBuild": _project,
        "StopBuild": _builds,
        "UpdateProject": _project,
    }
)


def _pipeline(parameters: Parameters) -> list[str]:
    declared = parameters.get("pipeline") or {}
    return [str(parameters.get("pipelineName") or parameters.get("name") or declared.get("name"))]


def _pipeline_stage(parameters: Parameters) -> list[str]:
    return [f"{_pipeline(parameters)[0]}/{parameters['stageName']}"]


def _pipeline_action(parameters: Parameters) -> list[str]:
    return [f"{_pipeline_stage(parameters)[0]}/{parameters['actionName']}"]


_CODEPIPELINE = _same(
    {
        "CreatePipeline": _pipeline,
        "DeletePipeline": _pipeline,
        "DisableStageTransition": _pipeline_stage,
        "EnableStageTransition": _pipeline_stage,
        "GetPipeline": _pipeline,
        "GetPipelineExecution": _pipeline,
        "GetPipelineState": _pipeline,
        "ListActionExecutions": _pipeline,
        "ListPipelineExecutions": _pipeline,
        "ListPipelines": _anything,
        "ListTagsForResource": _named("", "resourceArn"),
        "PutApprovalResult": _pipeline_action,
        "RetryStageExecution": _pipeline_stage,
        "StartPipelineExecution": _pipeline,
        "StopPipelineExecution": _pipeline,
        "TagResource": _named("", "resourceArn"),
        "UntagResource": _named("", "resourceArn"),
        "UpdatePipeline": _pipeline,
    }
)

_TABLES: dict[str, tuple[str, Rules]] = {
    "apigateway": ("apigateway", api_actions.API_GATEWAY),
    "application-autoscaling": ("application-autoscaling", release_actions.AUTOSCALING),
    "codedeploy": ("codedeploy", release_actions.CODEDEPLOY),
    "cloudformation": ("cloudformation", _CLOUDFORMATION),
    "cloudwatch": ("cloudwatch", _CLOUDWATCH),
    "codecommit": ("codecommit", _CODECOMMIT),
    "events": ("events", _EVENTS),
    "sns": ("sns", _SNS),
    "codebuild": ("codebuild", _CODEBUILD),
    "ec2": ("ec2", network_actions.EC2),
    "codepipeline": ("codepipeline", _CODEPIPELINE),
    "ecr": ("ecr", _ECR),
    "efs": ("elasticfilesystem", network_actions.EFS),
    "iam": ("iam", _IAM),
    "kms": ("kms", _KMS),
    "lambda": ("lambda", function_actions.LAMBDA),
    "logs": ("logs", _LOGS),
    "s3": ("s3", _S3),
    "sagemaker": ("sagemaker", _SAGEMAKER),
    "sagemaker-runtime": ("sagemaker", _RUNTIME),
    "servicecatalog": ("servicecatalog", _same(catalog_actions.SERVICE_CATALOG)),
    "ssm": ("ssm", _SSM),
    "stepfunctions": ("states", _STATES),
    "sts": ("sts", _STS),
}
