"""The API of one release as an OpenAPI 3.0 document, made from its model's contract.

It goes beside the release's other assets and into the bucket
(``releases/<release>/deployment/openapi.json``): for whoever writes a client, and for programs that
test an API against its document.

What a gateway checks for every release alike is less than what is here: a gateway's schema is
changed for all traffic at once, while a release's traffic moves step by step.

References
----------
https://spec.openapis.org/oas/v3.0.3. Amazon API Gateway reads 3.0, not 3.1; so a missing value is
``nullable``.
"""

from __future__ import annotations

import math
from typing import Any, Final

from api.environment import Auth
from mlsystem.artifacts import ModelContract, ModelFeature

__all__ = ["document"]

_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_LINES: Final = "application/jsonlines"
_PROBLEM: Final = "application/problem+json"
# What the model reads as float32: the last number that is not rounded to infinity.
_LARGEST: Final = math.nextafter(2.0**128 - 2.0**103, 0.0)

_NUMBER: Final[dict[str, Any]] = {
    "type": "number", "nullable": True, "minimum": -_LARGEST, "maximum": _LARGEST,
}  # fmt: skip
_CATEGORY: Final[list[dict[str, Any]]] = [
    {"type": "string", "nullable": True},
    {"type": "number"},
    {"type": "boolean"},
]

_SECURITY: Final[dict[Auth, dict[str, Any]]] = {
    "iam": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "AWS Signature Version 4 of a principal that may execute-api:Invoke.",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
}

_REFUSALS: Final = {
    "400": "The request is not what the model reads: where, and what is required.",
    "403": "The request is not signed, or has no key, or its sender may not ask.",
    "406": "`Accept` excludes all that the API can answer.",
    "413": "Too many rows, or too large a body or answer: send fewer rows at a time.",
    "415": "`Content-Type` or `Content-Encoding` is none that the API reads.",
    "422": "The numbers are beyond the model's reach.",
    "429": "Too many requests: try again later.",
}
_FAILURES: Final = {
    "500": "The service failed.",
    "502": "The model failed, or did not answer as it must.",
    "503": "The model is not there: try again later.",
    "504": "The model did not answer in time.",
}


def document(
    contract: ModelContract, release: str, *, auth: Auth, max_instances: int
) -> dict[str, Any]:
    """Return the OpenAPI document of `release`.

    Parameters
    ----------
    contract
        Of the release's model.
    release
        Its id: the document's version.
    auth
        How requests are authenticated.
    max_instances
        Most rows of a request.
    """
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"Predictions of {contract.target} by {contract.model_name}",
            "version": release,
        },
        "security": [{auth: []}],
        "paths": {
            "/predict": {"post": _predict(contract)},
            "/health": {"get": _health()},
        },
        "components": {
            "securitySchemes": {auth: _SECURITY[auth]},
            "headers": _headers(),
            "schemas": {
                "Instance": _instance(contract),
                "Request": _request(contract, max_instances),
                "Prediction": _prediction(contract),
                "Answer": _object(predictions=_list_of("#/components/schemas/Prediction")),
                "Health": _object(
                    status={"type": "string", "enum": ["ok"]},
                    release={"type": "string"},
                    serving={"type": "string", "enum": ["endpoint", "lambda"]},
                ),
                "Problem": _problem(),
            },
        },
    }


# --- operations ---------------------------------------------------------------------------------


def _predict(contract: ModelContract) -> dict[str, Any]:
    row = [_example(feature) for feature in contract.features]
    names = [feature.name for feature in contract.features]
    line = ",".join(str(value) for value in row)
    return {
        "operationId": "predict",
        "summary": f"Predict {contract.target}.",
        "parameters": [
            {
                "name": "X-Inference-Id",
                "in": "header",
                "description": "Your own name for the prediction; it comes back, and is kept with "
                "the captured record. Default: the id of the request.",
                "schema": {
                    "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$",
                },
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {
                    "schema": {"$ref": "#/components/schemas/Request"},
                    "example": {"instances": [dict(zip(names, row, strict=True))]},
                },
                _CSV: {"schema": {"type": "string"}, "example": f"{line}\n"},
                _LINES: {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": "A prediction for each row, in their order.",
                "headers": _header_references(),
                "content": {
                    _JSON: {"schema": {"$ref": "#/components/schemas/Answer"}},
                    _CSV: {"schema": {"type": "string"}},
                    _LINES: {"schema": {"type": "string"}},
                },
            },
            **_problems({**_REFUSALS, **_FAILURES}),
        },
    }  # fmt: skip


def _health() -> dict[str, Any]:
    return {
        "operationId": "health",
        "summary": "Whether the model has just answered.",
        "responses": {
            "200": {
                "description": "It has.",
                "headers": _header_references(),
                "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Health"}}},
            },
            **_problems({status: _REFUSALS[status] for status in ("403", "429")} | _FAILURES),
        },
    }


def _problems(by_status: dict[str, str]) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": description, "content": content}
        for status, description in by_status.items()
    }


def _headers() -> dict[str, Any]:
    return {
        "X-Release": {"description": "The release that answered.", "schema": {"type": "string"}},
        "X-Inference-Id": {"description": "Of the prediction.", "schema": {"type": "string"}},
    }


def _header_references() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _headers()}


# --- schemas ------------------------------------------------------------------------------------


def _request(contract: ModelContract, max_instances: int) -> dict[str, Any]:
    n_features = len(contract.features)
    by_position = {
        "type": "array",
        "description": f"Values in this order: {', '.join(_names(contract))}.",
        "items": _any_value(contract),
        "minItems": n_features,
        "maxItems": n_features,
    }
    rows = {
        "type": "array",
        "items": {"oneOf": [{"$ref": "#/components/schemas/Instance"}, by_position]},
        "minItems": 1,
        "maxItems": max_instances,
    }
    return _object(instances=rows)


def _instance(contract: ModelContract) -> dict[str, Any]:
    return _object(**{feature.name: _feature(feature) for feature in contract.features})


def _feature(feature: ModelFeature) -> dict[str, Any]:
    if feature.kind == "number":
        return _NUMBER
    known = [{"type": "string", "enum": list(feature.categories)}] if feature.categories else []
    return {
        "description": "One of the values that the model knows; it makes what it can of others.",
        "anyOf": [*known, *_CATEGORY],
    }


def _any_value(contract: ModelContract) -> dict[str, Any]:
    """Return the schema of a value at whichever position; OpenAPI 3.0 cannot tell them apart."""
    return {"anyOf": _CATEGORY} if contract.categories else _NUMBER


def _prediction(contract: ModelContract) -> dict[str, Any]:
    if contract.problem == "regression":
        return _object(score={"type": "number"})
    probability = {"type": "number", "minimum": 0}
    label = {"type": "string", "enum": list(contract.labels)}
    if contract.problem == "binary":
        score = {**probability, "description": f"Probability of {contract.labels[1]!r}."}
        return _object(score=score, predicted_label=label)
    return _object(
        score={**probability, "description": "Probability of the predicted label."},
        predicted_label=label,
        probabilities=_object(**dict.fromkeys(contract.labels, probability)),
    )


def _problem() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "RFC 9457",
        # What the gateway itself refuses has no status: it cannot write its own there.
        "required": ["type", "title", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }


def _object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _list_of(reference: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": reference}}


def _names(contract: ModelContract) -> list[str]:
    return [feature.name for feature in contract.features]


def _example(feature: ModelFeature) -> Any:
    """Return a value that tells nothing of the data: zero, or the first category."""
    return 0 if feature.kind == "number" else next(iter(feature.categories), "")
