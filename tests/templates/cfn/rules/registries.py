"""An image is scanned, its tag never moves, and old ones go."""

import json
from collections.abc import Iterator

from cfn.evaluation import Stack

SOURCE = "https://docs.aws.amazon.com/securityhub/latest/userguide/ecr-controls.html"

_REGISTRY = """
Resources:
  Images:
    Type: AWS::ECR::Repository
    Properties:
      ImageTagMutability: {mutability}
      ImageScanningConfiguration: {{ScanOnPush: true}}
      EmptyOnDelete: true
      LifecyclePolicy:
        LifecyclePolicyText: '{{"rules": [{{"selection": {{"tagStatus": "any"}}}}]}}'
"""
GOOD = _REGISTRY.format(mutability="IMMUTABLE")
BAD = _REGISTRY.format(mutability="MUTABLE")


def check(stack: Stack) -> Iterator[str]:
    """Yield what a registry lacks."""
    for registry in stack.of_type("AWS::ECR::Repository"):
        properties = registry.properties
        if properties.get("ImageTagMutability") != "IMMUTABLE":
            yield f"{registry.logical_id}: tags may move; IMMUTABLE is required"
        if not properties.get("ImageScanningConfiguration", {}).get("ScanOnPush"):
            yield f"{registry.logical_id}: not scanned; ScanOnPush is required"
        if properties.get("EmptyOnDelete") is not True:
            yield f"{registry.logical_id}: cannot be deleted with images; EmptyOnDelete is required"
        text = properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText", '{"rules": []}')
        if not json.loads(text)["rules"]:
            yield f"{registry.logical_id}: no lifecycle; one is required"
