"""What a stack says of itself to whoever asks CloudFormation."""

from __future__ import annotations

from typing import Any

__all__ = ["outputs_of"]


def outputs_of(cloudformation: Any, stack: str) -> dict[str, str]:
    """Return the outputs of `stack`, a name or an id; `cloudformation` is a client."""
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
