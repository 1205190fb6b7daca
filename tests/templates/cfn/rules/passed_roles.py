"""A role is handed over only with a condition that says to whom."""

from collections.abc import Iterator

from cfn.evaluation import Stack
from cfn.statements import as_list, documents

SOURCE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"

_POLICY = """
Resources:
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement:
          - Effect: Allow
            Action: [iam:PassRole]
            Resource: arn:aws:iam::123456789012:role/a
            Condition: {condition}
"""
GOOD = _POLICY.format(condition="{StringEquals: {iam:PassedToService: states.amazonaws.com}}")
BAD = _POLICY.format(condition="{}")


def check(stack: Stack) -> Iterator[str]:
    """Yield every statement that lets a role be passed to anybody, or any role to somebody."""
    for document in documents(stack):
        for statement in document.statements():
            actions = as_list(statement.get("Action", []))
            passes = any(
                action in {"iam:PassRole", "iam:Pass*", "iam:*", "*"} for action in actions
            )
            if statement["Effect"] != "Allow" or not passes or document.kind != "identity":
                continue
            if "iam:PassedToService" not in statement.get("Condition", {}).get("StringEquals", {}):
                yield f"{document.where}: iam:PassRole without iam:PassedToService; it is required"
            if "*" in as_list(statement["Resource"]):
                yield f"{document.where}: iam:PassRole on every role; name the roles"
