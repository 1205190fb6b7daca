"""What IAM is asked when CloudFormation creates, reads, updates or deletes a resource.

A permission that a handler needs (:mod:`cfn.needs`) becomes a request for each thing that AWS
checks it on (:mod:`cfn.authorization`), with what the request carries: the tags that the template
gives, the role that is passed and to whom, the service through which a key is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cfn import authorization
from cfn.evaluation import ACCOUNT, REGION, STACK, Resource, Stack, walk
from local_cloud.policies import Request

__all__ = ["KEYS", "OTHERS", "PROJECT_TAG", "requests"]

PROJECT_TAG = "mlsystem-project"

#: Condition keys that a policy of ours may ask for; where a request does not carry one it has none.
KEYS = frozenset(
    {
        "application-autoscaling:service-namespace",
        "aws:requesttag/*",
        "aws:resourcetag/*",
        "cloudformation:roleArn",
        "cloudwatch:namespace",
        "codeconnections:passedtoservice",
        "codestar-connections:passedtoservice",
        "ec2:createaction",
        "elasticfilesystem:createaction",
        "iam:awsservicename",
        "iam:passedtoservice",
        "iam:permissionsboundary",
        "kms:grantisforawsresource",
        "kms:viaservice",
        "s3:existingobjecttag/*",
        "s3:if-none-match",
        "s3:prefix",
    }
)

#: Who is handed a role by a resource of this type.
_PASSED_TO = {
    "AWS::CodeDeploy::DeploymentGroup": "codedeploy.amazonaws.com",
    "AWS::CodeBuild::Project": "codebuild.amazonaws.com",
    "AWS::CodePipeline::Pipeline": "codepipeline.amazonaws.com",
    "AWS::EC2::FlowLog": "vpc-flow-logs.amazonaws.com",
    "AWS::Events::Rule": "events.amazonaws.com",
    "AWS::Lambda::Function": "lambda.amazonaws.com",
    "AWS::SageMaker::EndpointConfig": "sagemaker.amazonaws.com",
    "AWS::SageMaker::Model": "sagemaker.amazonaws.com",
    "AWS::StepFunctions::StateMachine": "states.amazonaws.com",
}

#: Whose service-linked role a resource of this type may be the first to need, and its name.
_SERVICE_LINKED = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "sagemaker.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    ),
    "AWS::EFS::FileSystem": (
        "elasticfilesystem.amazonaws.com",
        "AWSServiceRoleForAmazonElasticFileSystem",
    ),
    "AWS::EFS::MountTarget": (
        "elasticfilesystem.amazonaws.com",
        "AWSServiceRoleForAmazonElasticFileSystem",
    ),
}

#: Who uses the key when a resource of this type is made.
_USES_KEY = {
    "AWS::CodeCommit::Repository": "s3",
    "AWS::ECR::Repository": "ecr",
    "AWS::EFS::FileSystem": "elasticfilesystem",
    "AWS::SageMaker::EndpointConfig": "sagemaker",
}

#: Kinds of things that requests are about and that no resource of ours stands for.
OTHERS = {
    "cloudwatch:alarm": (
        f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
        "TargetTracking-endpoint/model-p-default-prod-r/variant/primary-AlarmHigh-0"
    ),
    "codedeploy:application": f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:application:{STACK}",
    "codedeploy:deploymentconfig": (
        f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentconfig:CodeDeployDefault.LambdaAllAtOnce"
    ),
    "codedeploy:deploymentgroup": (
        f"arn:aws:codedeploy:{REGION}:{ACCOUNT}:deploymentgroup:{STACK}/{STACK}"
    ),
    "ecr:repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/model-p-default-api",
    "codeconnections:Connection": f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/0",
    "codestar-connections:Connection": (
        f"arn:aws:codestar-connections:{REGION}:{ACCOUNT}:connection/0"
    ),
    "kms:key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/TemplateKey",
    "ec2:network-interface": f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/eni",
    "s3:object": "arn:aws:s3:::templates/versions/unpublished/seed_code.zip",
}

#: The same, of resources that say it in their own way.
_OWN = {
    ("AWS::ApplicationAutoScaling::ScalableTarget", kind): (
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{STACK}-r"
    )
    for kind in ("endpoint", "endpoint-config")
}

_ROLE = re.compile(r"arn:aws:iam::\d+:role/\S+")


def requests(
    stack: Stack, resource: Resource, handler: str, action: str, neighbour: Stack | None = None
) -> Iterator[Request]:
    """Yield what IAM is asked about `action` when `handler` works on `resource`.

    `neighbour` is a stack whose things the resource uses too.
    """
    things = list(_things(stack, resource, action))
    if not things and authorization.action(action)["knows_resources"] and _is_about_roles(action):
        return  # there is none
    for kind, arn in things or [("", "*")]:
        context = {
            **_carried(resource, handler, action, kind),
            **_request_tag(resource, action, kind),
            **_resource_tag([stack, neighbour or stack], resource, handler, action, arn),
        }
        yield Request(action, arn, {key: (value,) for key, value in context.items()}, KEYS)


# --- on what ------------------------------------------------------------------------------------


def _things(stack: Stack, resource: Resource, action: str) -> Iterator[tuple[str, str]]:
    service = action.split(":", maxsplit=1)[0]
    if action == "iam:CreateServiceLinkedRole":
        owner, name = _SERVICE_LINKED[resource.type]
        yield "role", f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{owner}/{name}"
        return
    if _is_about_roles(action) and resource.type != "AWS::IAM::Role":
        for arn in _roles(resource):
            yield "role", arn
        return
    kinds = authorization.kinds(action)
    required = authorization.action(action)["required"]
    for kind in kinds:
        for arn in _of_kind(stack, resource, service, kind, optional=kind not in required):
            yield kind, arn


def _is_about_roles(action: str) -> bool:
    return action in {"iam:PassRole", "iam:GetRole"}


def _roles(resource: Resource) -> list[str]:
    """Roles that the resource is given; a role in a pipeline's action is the pipeline's to pass."""
    given = {key: value for key, value in resource.properties.items() if key != "Stages"}
    texts = [node for node in walk(given) if isinstance(node, str)]
    return sorted({text for text in texts if _ROLE.fullmatch(text)})


def _of_kind(
    stack: Stack, resource: Resource, service: str, kind: str, *, optional: bool
) -> list[str]:
    """ARNs of this kind: the resource itself, what it is about, or one of the others."""
    pattern = authorization.as_regex(authorization.arn_pattern(service, kind))
    if re.fullmatch(pattern, resource.arn):
        return [resource.arn]
    found = [arn for arn in _mentioned(stack, resource) if re.fullmatch(pattern, arn)]
    other = OTHERS.get(f"{service}:{kind}") or _OWN.get((resource.type, kind))
    if found or other is None:
        return found
    return [] if optional and service == "ec2" else [other]


def _mentioned(stack: Stack, resource: Resource) -> list[str]:
    """ARNs that stand in a property, and of the resources whose name or ARN does."""
    texts = {node for node in walk(resource.properties) if isinstance(node, str)}
    found = {text for text in texts if text.startswith("arn:") and "*" not in text}
    for other in stack.resources.values():
        if {other.name, other.logical_id} & texts or any(
            other.arn in text for text in texts if other.arn.startswith("arn:")
        ):
            found.add(other.arn)
    return sorted(found)


# --- with what ----------------------------------------------------------------------------------


def _carried(resource: Resource, handler: str, action: str, kind: str) -> dict[str, str]:
    service, verb = action.split(":")
    found: dict[str, str] = {}
    if action == "iam:PassRole":
        found["iam:passedtoservice"] = _PASSED_TO[resource.type]
    if action == "iam:CreateServiceLinkedRole":
        found["iam:awsservicename"] = _SERVICE_LINKED[resource.type][0]
    if service == "application-autoscaling":
        found["application-autoscaling:service-namespace"] = "sagemaker"
    if service == "iam" and "PermissionsBoundary" in resource.properties:
        found["iam:permissionsboundary"] = resource.properties["PermissionsBoundary"]
    if verb == "PassConnection":
        found[f"{service}:passedtoservice"] = "codepipeline.amazonaws.com"
    if service == "kms" and resource.type in _USES_KEY:
        found["kms:viaservice"] = f"{_USES_KEY[resource.type]}.{REGION}.amazonaws.com"
    if handler == "create" and action in {"ec2:CreateTags", "elasticfilesystem:TagResource"}:
        found[f"{service}:createaction"] = f"Create{resource.type.rsplit('::', 1)[1]}"
    if kind == "network-interface":
        found["aws:viaawsservice"] = "true"
    return found


def _request_tag(resource: Resource, action: str, kind: str) -> dict[str, str]:
    known = [*authorization.action(action)["keys"], *authorization.kinds(action).get(kind, [])]
    own = _tag(resource)
    if own is None or "aws:RequestTag/${TagKey}" not in known:
        return {}
    return {f"aws:requesttag/{PROJECT_TAG}": own}


def _resource_tag(
    stacks: Sequence[Stack], resource: Resource, handler: str, action: str, arn: str
) -> dict[str, str]:
    others = [other for stack in stacks for other in stack.resources.values()]
    # What belongs to an API or to a usage plan has its tags.
    found = (_tag(other) for other in others if f"{arn}/".startswith(f"{other.arn}/"))
    theirs = next((tag for tag in found if tag is not None), None)
    if theirs is None or _comes_to_be(resource, handler, action, arn):
        return {}
    return {f"aws:resourcetag/{PROJECT_TAG}": theirs}


def _comes_to_be(resource: Resource, handler: str, action: str, arn: str) -> bool:
    """Whether the thing has no tag yet that counts.

    A thing has none before it is made, and a key's may count only after five minutes:
    https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html
    """
    verb = action.split(":")[1]
    if handler != "create":
        return False
    is_made = resource.arn == arn and verb.startswith(("Create", "Allocate", "Tag"))
    is_key = action.startswith("kms:") and resource.type != "AWS::SageMaker::EndpointConfig"
    return is_made or is_key


def _tag(resource: Resource) -> str | None:
    for name in ("Tags", "FileSystemTags", "AccessPointTags"):
        tags: list[Mapping[str, Any]] = resource.properties.get(name, [])
        for tag in tags:
            if tag["Key"] == PROJECT_TAG:
                return str(tag["Value"])
    return None
