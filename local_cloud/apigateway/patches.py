"""Patch operations: how an update of API Gateway says what is to change.

Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local_cloud.errors import UnsupportedError
from local_cloud.json_api import ApiError

__all__ = ["BOOLEAN", "FLOAT", "INTEGER", "TEXT", "Patch", "apply", "parts", "setting"]

#: Changes a thing: operation, value.
Patch = Callable[[dict[str, Any], str, str], None]
Convert = Callable[[str], Any]


def BOOLEAN(text: str) -> bool:  # noqa: N802 - named as the constant that it is used as
    """``true`` or ``false``."""
    return text.lower() == "true"


TEXT: Convert = str
INTEGER: Convert = int
FLOAT: Convert = float


def parts(path: str) -> list[str]:
    """The parts of a patch's path, decoded.

    Examples
    --------
    >>> parts("/~1predict/POST/throttling/rateLimit")
    ['/predict', 'POST', 'throttling', 'rateLimit']
    """
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def setting(*names: str, convert: Convert = TEXT) -> Patch:
    """Sets a member of the thing, at any depth; ``remove`` takes it away."""

    def patch(thing: dict[str, Any], operation: str, value: str) -> None:
        *outer, last = names
        for name in outer:
            thing = thing.setdefault(name, {})
        if operation == "remove":
            thing.pop(last, None)
        else:
            thing[last] = convert(value)

    return patch


def apply(
    where: str,
    thing: dict[str, Any],
    operations: Sequence[Mapping[str, Any]],
    patches: Mapping[str, Patch],
) -> None:
    """Change a thing as the operations say.

    Parameters
    ----------
    where
        Which operation of the API, for messages.
    thing
        Is changed.
    operations
        Of the request.
    patches
        Path -> how it is changed.

    Raises
    ------
    UnsupportedError
        For a path that is not among them.
    """
    for operation in operations:
        path, verb = operation.get("path", ""), operation.get("op", "")
        patch = patches.get(path)
        if patch is None or verb not in {"add", "remove", "replace"}:
            raise UnsupportedError(
                f"apigateway:{where}",
                f"patch operation {verb} of {path}",
                f"of the paths {', '.join(sorted(patches))} are supported",
            )
        try:
            patch(thing, verb, operation.get("value", ""))
        except ValueError as error:
            raise ApiError(
                "BadRequestException", f"Invalid value for {path}: {operation.get('value')}"
            ) from error
