"""A policy names actions that exist, on things that they can be limited to.

``*`` as resource is for actions that know no resource, or that a condition limits; whole services
as actions are for the boundary, which grants nothing.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cfn import authorization
from cfn.evaluation import ACCOUNT, REGION, Stack
from cfn.statements import Document, as_list, documents

SOURCE = "https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"

_POLICY = """
Resources:
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement: [{{Effect: Allow, Action: {action}, Resource: "{resource}"}}]
"""
GOOD = _POLICY.format(action="s3:GetObject", resource="arn:aws:s3:::a-p-1-data/*")
BAD = _POLICY.format(action="kms:Decrypt", resource="*")

#: What stands instead of a resource although the action knows some, and why.
_EVERYTHING = {
    "ec2:DescribeVpcAttribute": "described with the rest of networks",
    "elasticfilesystem": "CloudFormation also asks for what has no id yet",
    "sagemaker:ListModelPackages": "asked for a group, it knows no resource but single versions",
    "cloudformation:GetTemplateSummary": "asked about a template, not about a stack",
    "s3:GetObject": "Service Catalog's copy of the template, which its tag tells",
    "kms:TagResource": "while a key is made, it has no ARN; its tag tells",
}


#: Documents that grant nothing.
_LIMITS = {"DeployBoundary", "PermissionsBoundary"}


def check(stack: Stack) -> Iterator[str]:
    """Yield what AWS would not understand, and what is too wide."""
    for document in documents(stack):
        if document.kind == "identity":
            for statement in document.statements():
                yield from _statement(document, statement)


def _statement(document: Document, statement: Mapping[str, Any]) -> Iterator[str]:
    where = f"{document.where}/{statement.get('Sid', as_list(statement['Action'])[0])}"
    named = [action for action in as_list(statement["Action"]) if "*" not in action]
    resources = as_list(statement["Resource"])
    if len(named) < len(as_list(statement["Action"])):
        if document.resource.logical_id not in _LIMITS:
            yield f"{where}: whole services; name the actions"
        return
    for action in named:
        if not any(_applies(action, resource) for resource in resources):
            yield f"{where}: {action} knows none of {', '.join(resources)}"
        for block in statement.get("Condition", {}).values():
            for key in block:
                if not _is_known(action, key):
                    yield f"{where}: {action} does not know {key}"
    for resource in resources:
        if not any(_applies(action, resource) for action in named):
            yield f"{where}: no action knows {resource}"


def _applies(action: str, resource: str) -> bool:
    service = action.split(":", maxsplit=1)[0]
    if resource == "*":
        excused = {action, service} & set(_EVERYTHING)
        return not authorization.action(action)["knows_resources"] or bool(excused)
    patterns = [authorization.arn_pattern(service, kind) for kind in authorization.kinds(action)]
    return any(_overlaps(pattern, _renamed(resource)) for pattern in map(_renamed, patterns))


def _renamed(arn: str) -> str:
    """Return an ARN with the new name of its service; the old one goes on beside it."""
    return arn.replace(":codestar-connections:", ":codeconnections:")


def _overlaps(pattern: str, resource: str) -> bool:
    """Whether a policy's resource and an ARN of the reference can be the same thing."""
    text = re.sub(r"\$\{aws:[^}]+\}", "x", resource)
    first, star, rest = text.rpartition("*")
    # A log group is also written with the streams in it.
    candidates = [text.removesuffix(":*").replace("*", "x")] + [
        first.replace("*", "x") + part * bool(star) + rest
        for part in ("x", "x/x", "x:x", "log-stream:x", "x:log-stream:x")
    ]
    example = re.sub(r"\$\{\w+\}", "x", pattern).replace("arn:x:", "arn:aws:", 1)
    example = example.replace(":x:x:", f":{REGION}:{ACCOUNT}:", 1)
    return fnmatch.fnmatchcase(example, text) or any(
        re.fullmatch(authorization.as_regex(pattern), item) for item in candidates
    )


def _is_known(action: str, key: str) -> bool:
    if key in {"aws:PrincipalArn", "aws:ResourceAccount", "aws:ViaAWSService"}:
        return True
    return authorization.generic(key) in authorization.condition_keys(action)
