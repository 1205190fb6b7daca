"""A request's parameters: checked as AWS checks them, and refused where nothing here honours them.

Constraints (types, lengths, ranges, patterns, allowed values) come from botocore's model of the
service; the messages are those of the service. What is accepted is a tree beside the code that
honours it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape
from moto.core.exceptions import ServiceException
from moto.sagemaker.exceptions import ValidationError

from local_cloud.errors import UnsupportedError

__all__ = ["ANY", "Accepted", "Parameters", "only", "read"]

Parameters = dict[str, Any]

#: What is accepted at one place of a request: anything, one of some values, or these members. The
#: members of a list are all checked against the same tree.
Accepted = None | Collection[Any] | Mapping[str, Any]

#: The parameter is honoured, whatever its value.
ANY: Accepted = None


class SerializationError(ServiceException):  # type: ignore[misc]
    """The request is not JSON, or a value has another type than the model says."""

    code = "SerializationException"


def only(*values: Any) -> Accepted:
    """Accept these values and refuse the others."""
    return tuple(values)


def read(operation: str, body: str, accepted: Mapping[str, Any]) -> Parameters:
    """Parameters of a SageMaker request.

    Parameters
    ----------
    operation
        For instance ``CreateTrainingJob``.
    body
        The request's JSON.
    accepted
        Tree of what is honoured.

    Raises
    ------
    SerializationError, moto.sagemaker.exceptions.ValidationError
        As AWS answers.
    UnsupportedError
        For what AWS can do and this cannot; it names the parameter and what is accepted.
    """
    try:
        parameters = _without_nulls(json.loads(body or "{}"))
    except json.JSONDecodeError as error:
        raise SerializationError(f"{operation}: the body is not JSON: {error}") from error
    shape = _service_model().operation_model(operation).input_shape
    errors = list(_violations(parameters, shape, ""))
    if errors:
        count = f"{len(errors)} validation error{'s' if len(errors) > 1 else ''} detected"
        raise ValidationError(f"{count}: {'; '.join(errors)}")
    _refuse_unsupported(parameters, accepted, operation, "")
    return dict(parameters)


@functools.cache
def _service_model() -> Any:
    return botocore.session.get_session().get_service_model("sagemaker")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_nulls(member) for name, member in value.items() if member is not None
        }
    if isinstance(value, list):
        return [_without_nulls(member) for member in value]
    return value


def _violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Violated constraints, in the words of AWS."""
    _check_type(value, shape, path)
    if isinstance(shape, StructureShape):
        yield from _structure_violations(value, shape, path)
    elif isinstance(shape, ListShape):
        yield from _size_violations(value, len(value), "length", shape, path)
        for number, member in enumerate(value, start=1):
            yield from _violations(member, shape.member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        yield from _size_violations(value, len(value), "length", shape, path)
        for name, member in value.items():
            yield from _violations(name, shape.key, f"{path}.key")
            yield from _violations(member, shape.value, f"{path}.{name}.member")
    elif shape.type_name == "string":
        yield from _size_violations(value, len(value), "length", shape, path)
        yield from _text_violations(value, shape, path)
    elif shape.type_name in {"integer", "long", "float", "double"}:
        yield from _size_violations(value, value, "value", shape, path)


def _structure_violations(value: Any, shape: StructureShape, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield _violation("null", f"{path}.{_camel(name)}", "Member must not be null")
    for name, member in value.items():
        if name not in shape.members:
            yield f"Unknown parameter {name} at '{path.lstrip('.') or 'request'}'"
        else:
            yield from _violations(member, shape.members[name], f"{path}.{_camel(name)}")


def _size_violations(value: Any, size: float, what: str, shape: Shape, path: str) -> Iterator[str]:
    if size < shape.metadata.get("min", size):
        bound = f"greater than or equal to {shape.metadata['min']}"
        yield _violation(value, path, f"Member must have {what} {bound}")
    if size > shape.metadata.get("max", size):
        bound = f"less than or equal to {shape.metadata['max']}"
        yield _violation(value, path, f"Member must have {what} {bound}")


def _text_violations(value: str, shape: Shape, path: str) -> Iterator[str]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield _violation(value, path, f"Member must satisfy enum value set: {allowed}")
    pattern = _compiled(shape.metadata.get("pattern", ""))
    if pattern is not None and not pattern.fullmatch(value):
        required = f"Member must satisfy regular expression pattern: {pattern.pattern}"
        yield _violation(value, path, required)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern; ``None`` without one, and for Java's classes, which Python does not know."""
    if not pattern or r"\p{" in pattern:
        return None
    return re.compile(pattern.replace(r"\z", r"\Z"))


def _violation(value: Any, path: str, required: str) -> str:
    place = path.lstrip(".")
    return f"Value '{value}' at '{place}' failed to satisfy constraint: {required}".replace(
        "Value 'null'", "Value null"
    )


def _check_type(value: Any, shape: Shape, path: str) -> None:
    types: dict[str, tuple[type, ...]] = {
        "structure": (dict,),
        "map": (dict,),
        "list": (list,),
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "long": (int,),
        "float": (int, float),
        "double": (int, float),
    }
    expected = types.get(shape.type_name, (object,))
    is_bool = isinstance(value, bool) and shape.type_name != "boolean"
    if is_bool or not isinstance(value, expected):
        raise SerializationError(
            f"{path.lstrip('.') or 'The request'} must be a {shape.type_name}, got {value!r}"
        )


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _refuse_unsupported(value: Any, accepted: Accepted, operation: str, path: str) -> None:
    if accepted is None:
        return
    if isinstance(value, list):
        for member in value:
            _refuse_unsupported(member, accepted, operation, path)
    elif isinstance(accepted, Mapping):
        for name, member in value.items():
            place = f"{path}.{name}".lstrip(".")
            if name not in accepted:
                raise _refused(operation, f"parameter {place}", sorted(accepted))
            _refuse_unsupported(member, accepted[name], operation, place)
    elif value not in accepted:
        raise _refused(operation, f"{path}={value!r}", accepted)


def _refused(operation: str, what: str, accepted: Collection[Any]) -> UnsupportedError:
    listed = ", ".join(str(_) for _ in accepted)
    return UnsupportedError(f"Local cloud, {operation}", what, f"accepted here are {listed}")
