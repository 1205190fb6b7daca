"""A template holds no program: no function, no shell, no macro, no resource of an own making."""

from collections.abc import Iterator

from cfn.evaluation import Stack, walk

SOURCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-section-structure.html"

GOOD = """
Resources:
  Build: {Type: AWS::CodeBuild::Project, Properties: {Source: {BuildSpec: buildspec.yml}}}
"""
BAD = """
Resources:
  Build:
    Type: AWS::CodeBuild::Project
    Properties:
      Source:
        BuildSpec: |
          version: 0.2
          phases: {build: {commands: [echo]}}
"""

_REFUSED = ("AWS::CloudFormation::CustomResource", "AWS::CloudFormation::Macro", "Custom::")


def check(stack: Stack) -> Iterator[str]:
    """Yield every program."""
    for resource in stack.resources.values():
        if resource.type.startswith(_REFUSED):
            yield f"{resource.logical_id}: {resource.type}; it needs a program of its own"
        for node in walk(resource.properties):
            if isinstance(node, dict):
                specification = node.get("BuildSpec")
                if specification is not None and not str(specification).endswith(".yml"):
                    yield f"{resource.logical_id}: BuildSpec written out; name a file of the code"
                for name in ("ZipFile", "InlineCode", "UserData", "Commands"):
                    if name in node:
                        yield f"{resource.logical_id}: {name}; programs belong into the repository"
