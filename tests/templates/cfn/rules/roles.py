"""A role is bounded, has a project's path and tag, and serves one service of this account.

One serves a project of another account, and says by whose path or name.

Where a service documents the condition keys of the confused deputy they are required; where it
does not (API Gateway, CloudFormation, CodePipeline, Service Catalog), the account is checked if it
is there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cfn.evaluation import ACCOUNT, EXPORTS, Resource, Stack
from cfn.requests import PROJECT_TAG
from cfn.statements import as_list

SOURCE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"

_ROLE = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      Path: /mlsystem/a-p-1/
      PermissionsBoundary: {boundary}
      Tags: [{{Key: mlsystem-project, Value: a-p-1}}]
      AssumeRolePolicyDocument:
        Statement:
          - Effect: Allow
            Principal: {{Service: codebuild.amazonaws.com}}
            Action: sts:AssumeRole
            Condition: {condition}
"""
_BOUNDARY = EXPORTS["mlsystem-permissions-boundary"]
_CONDITION = '{StringEquals: {aws:SourceAccount: "%s"}, ArnEquals: {aws:SourceArn: a}}'
GOOD = _ROLE.format(boundary=_BOUNDARY, condition=_CONDITION % ACCOUNT)
BAD = _ROLE.format(boundary=_BOUNDARY, condition="{}")

_UNDOCUMENTED = {
    "apigateway.amazonaws.com",
    "cloudformation.amazonaws.com",
    "codepipeline.amazonaws.com",
    "servicecatalog.amazonaws.com",
}
#: They make what a project's code defines; all others are what they make, or beside it.
_BOUNDARIES = dict.fromkeys(("DeployRole", "ProductionRole"), EXPORTS["mlsystem-deploy-boundary"])
#: The organization's own; its administrators say what they may.
_UNBOUNDED = {"ApiLogRole", "LaunchRole"}
#: Assumed from another account.
_WAYS_IN = {"ProductionAccessRole", "RollbackRole"}


def check(stack: Stack) -> Iterator[str]:
    """Yield what a role lacks."""
    for role in stack.of_type("AWS::IAM::Role"):
        if "RoleName" in role.properties:
            yield f"{role.logical_id}: RoleName; roles are global, so CloudFormation names them"
        if role.logical_id not in _UNBOUNDED:
            yield from _bounded(role)
        for statement in role.properties["AssumeRolePolicyDocument"]["Statement"]:
            yield from _trust(role, statement)


def _bounded(role: Resource) -> Iterator[str]:
    if role.properties.get("PermissionsBoundary") != _BOUNDARIES.get(role.logical_id, _BOUNDARY):
        yield f"{role.logical_id}: no permissions boundary; the organization's is required"
    tags = {tag["Key"]: tag["Value"] for tag in role.properties.get("Tags", [])}
    project = tags.get(PROJECT_TAG)
    if project is None:
        yield f"{role.logical_id}: no tag {PROJECT_TAG}; the boundary goes by it"
    elif role.properties.get("Path") != f"/mlsystem/{project}/":
        yield f"{role.logical_id}: path {role.properties.get('Path')}; /mlsystem/{project}/"


def _trust(role: Resource, statement: Mapping[str, Any]) -> Iterator[str]:
    if role.logical_id in _WAYS_IN:
        yield from _way_in(role, statement)
        return
    services = set(as_list(statement["Principal"].get("Service", [])))
    if set(statement["Principal"]) != {"Service"} or not services:
        yield f"{role.logical_id}: trusts {statement['Principal']}; services alone may be trusted"
    conditions = statement.get("Condition", {})
    if services <= _UNDOCUMENTED:
        if conditions != {"StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}}:
            yield f"{role.logical_id}: {conditions}; the account, if it is said, is required"
        return
    if len(services) != 1:
        yield f"{role.logical_id}: trusts {sorted(services)}; one role for each actor"
    if conditions.get("StringEquals", {}).get("aws:SourceAccount") != ACCOUNT:
        yield f"{role.logical_id}: no aws:SourceAccount; it is required"
    arns = [*conditions.get("ArnEquals", {}), *conditions.get("ArnLike", {})]
    if "aws:SourceArn" not in arns:
        yield f"{role.logical_id}: no aws:SourceArn; it is required"


def _way_in(role: Resource, statement: Mapping[str, Any]) -> Iterator[str]:
    root = str(statement["Principal"].get("AWS", ""))
    blocks = statement.get("Condition", {}).values()
    conditions = {key: value for block in blocks for key, value in block.items()}
    known = {"aws:PrincipalAccount", "aws:PrincipalArn"}
    if not root.endswith(":root") or set(conditions) != known:
        yield f"{role.logical_id}: trusts {root}; a known account and a role of it"
    value = str(conditions.get("aws:PrincipalArn"))
    if not value.startswith(root.removesuffix("root") + "role/"):
        yield f"{role.logical_id}: {value}; roles of {root} are required"
