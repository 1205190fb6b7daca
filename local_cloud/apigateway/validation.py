"""Whether a request is what its method's models and parameters say.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from local_cloud.apigateway.definition import Definition, Route
from local_cloud.apigateway.responses import RefusedError

__all__ = ["check"]

_BAD_REQUEST = "BadRequestException"


def check(
    definition: Definition,
    route: Route,
    headers: Mapping[str, str],
    query: Mapping[str, Any],
    body: bytes,
) -> None:
    """Return when a request is right.

    Parameters
    ----------
    definition
        Of the API.
    route
        The method.
    headers
        By lower-case name.
    query
        By name.
    body
        As it came.

    Raises
    ------
    RefusedError
        When it is not; with what is wrong.
    """
    validator = definition.validators.get(route.method.get("requestValidatorId", ""))
    if validator is None:
        return
    if validator["validateRequestParameters"]:
        _check_parameters(route, headers, query)
    if validator["validateRequestBody"]:
        _check_body(definition, route, headers.get("content-type", ""), body)


def _check_parameters(route: Route, headers: Mapping[str, str], query: Mapping[str, Any]) -> None:
    found = {"header": headers, "querystring": query, "path": route.path_parameters}
    missing = []
    for name, is_required in route.method.get("requestParameters", {}).items():
        _, _, place, parameter = name.split(".", 3)
        key = parameter.lower() if place == "header" else parameter
        if is_required and not found[place].get(key):
            missing.append(parameter)
    if missing:
        text = f"Missing required request parameters: [{', '.join(missing)}]"
        raise RefusedError("BAD_REQUEST_PARAMETERS", text, _BAD_REQUEST)


def _check_body(definition: Definition, route: Route, content_type: str, body: bytes) -> None:
    models = route.method.get("requestModels") or {}
    media_type = content_type.partition(";")[0].strip().lower() or "application/json"
    name = models.get(media_type) or models.get("$default")
    if name is None:
        return
    problems = _problems(definition.models[name]["schema"], body)
    if problems:
        # AWS escapes the quotes, so that it can stand between quotes in a template.
        details = {"error.validationErrorString": json.dumps(f"[{', '.join(problems)}]")[1:-1]}
        raise RefusedError(
            "BAD_REQUEST_BODY", "Invalid request body", _BAD_REQUEST, details=details
        )


def _problems(schema: str, body: bytes) -> list[str]:
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return ["Error validating request body: it is not JSON"]
    return sorted({_text(error) for error in _validator(schema).iter_errors(document)})


def _no_constant(text: str) -> None:
    raise ValueError(text)  # Python would take NaN and Infinity, which are no JSON


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    return jsonschema.Draft4Validator(json.loads(schema))


def _text(error: Any) -> str:
    """What API Gateway says: values of the request are in it only where AWS shows them."""
    wanted, found = error.validator_value, error.instance
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in found]
            return f"object has missing required properties ({_listed(missing)})"
        case "type":
            allowed = [wanted] if isinstance(wanted, str) else sorted(wanted)
            return (
                f"instance type ({_kind(found)}) does not match any allowed primitive types"
                f" (allowed: {_listed(allowed)})"
            )
        case "minItems":
            return (
                f"array is too short: must have at least {wanted} elements but instance has"
                f" {len(found)} elements"
            )
        case "maxItems":
            return (
                f"array is too long: must have at most {wanted} elements but instance has"
                f" {len(found)} elements"
            )
        case "additionalProperties":
            extra = sorted(set(found) - set(error.schema.get("properties", {})))
            return (
                "object instance has properties which are not allowed by the schema:"
                f" {_listed(extra)}"
            )
    return f"instance does not match keyword {error.validator}"


def _listed(names: list[str]) -> str:
    return json.dumps(names, separators=(",", ":"))


def _kind(value: Any) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
