"""The OpenAPI document: valid, true to the contract, and true to what the API does."""

from __future__ import annotations

import copy
import json
import math

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from api.openapi import document
from mlsystem import artifacts
from mlsystem.artifacts import ModelContract, ModelFeature

PROBLEMS = {"binary": ("no", "yes"), "multiclass": ("a", "b", 'c "d"'), "regression": ()}


def _contract(problem: str = "binary", **changes: object) -> ModelContract:
    features = (
        ModelFeature("x", "number", ()),
        ModelFeature("y", "number", ()),
        ModelFeature("size", "category", ("high", "low")),
    )
    values = {
        "model_name": "small", "problem": problem, "algorithm": "linear", "target": "t",
        "labels": PROBLEMS[problem], "features": features, "onnx_sha256": "0", "libraries": {},
    }  # fmt: skip
    return ModelContract(**{**values, **changes})  # type: ignore[arg-type]


def _document(problem: str = "binary", **changes: object) -> dict:
    return document(_contract(problem, **changes), "r-1", auth="iam", max_instances=3)


def _json_schema(made: dict, name: str) -> dict:
    """A schema of the document in the dialect that jsonschema knows."""
    schemas = copy.deepcopy(made["components"]["schemas"])

    def translate(node):
        if isinstance(node, list):
            return [translate(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = {key: translate(value) for key, value in node.items()}
        if node.pop("nullable", False):
            node["type"] = [node["type"], "null"]
        return node

    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": translate(schemas)}}


@pytest.mark.parametrize("auth", ["iam", "key"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_is_a_valid_openapi_document(problem, auth):
    made = document(_contract(problem), "r-1", auth=auth, max_instances=3)
    validate(made)
    validate(json.loads(json.dumps(made, allow_nan=False)))
    assert made["info"]["version"] == "r-1"
    assert list(made["components"]["securitySchemes"]) == [auth]


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.builds(
            ModelFeature,
            st.text(min_size=1, max_size=8),
            st.sampled_from(["number", "category"]),
            st.lists(st.text(max_size=5), unique=True, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda feature: feature.name,
    ).map(tuple)
)
def test_is_valid_whatever_features_are_called(features):
    validate(_document(features=features))


def test_a_broken_document_would_be_found():
    made = _document()
    made["paths"]["/predict"]["post"]["responses"]["200"]["description"] = 1
    with pytest.raises(Exception, match="is not valid"):
        validate(made)


LARGEST = 3.4028235677973362e38  # rounds to the largest float32; the next one to infinity
ROW = {"x": 1.5, "y": None, "size": "low"}
ACCEPTED = [
    {"instances": [ROW]},
    {"instances": [{**ROW, "size": "unheard of"}, {**ROW, "size": None}]},
    {"instances": [{**ROW, "size": 3}, {**ROW, "size": True}]},
    {"instances": [[1, 2, "low"]]},
    {"instances": [{"x": LARGEST, "y": -LARGEST, "size": "low"}]},
]
REFUSED = [
    {"instances": []},
    {"instances": [ROW] * 4},
    {"instances": [{**ROW, "z": 1}]},
    {"instances": [{"x": 1, "y": 1}]},
    {"instances": [{**ROW, "x": "1"}]},
    {"instances": [{**ROW, "x": math.nextafter(LARGEST, math.inf)}]},
    {"instances": [{**ROW, "x": -1e39}]},
    {"instances": [[1, [], "low"]]},
    {"instances": [{**ROW, "size": []}]},
    {"instances": [[1, 2]]},
    {"instances": [1]},
    {"rows": [ROW]},
    [],
    3,
]


@pytest.mark.parametrize("serving", ["endpoint", "lambda"])
def test_the_api_accepts_and_refuses_what_the_document_does(serve, event, serving):
    served = serve(serving, max_instances=3)
    schema = _json_schema(_document(), "Request")
    for body in ACCEPTED + REFUSED:
        is_valid = jsonschema.Draft7Validator(schema).is_valid(body)
        answer, _ = served.ask(event(json.dumps(body)))
        assert is_valid == (body in ACCEPTED), body
        assert (answer["statusCode"] == 200) == is_valid, body


@pytest.mark.parametrize("serving", ["endpoint", "lambda"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_answers_are_what_the_document_says(serve, event, serving, problem):
    served = serve(serving, problem=problem)
    contract = artifacts.read(ModelContract, served.environment.folder / "model.json")
    made = document(contract, "r-1", auth="iam", max_instances=3)
    example = made["paths"]["/predict"]["post"]["requestBody"]["content"]
    for media_type in ("application/json", "text/csv"):
        body = example[media_type]["example"]
        text = body if isinstance(body, str) else json.dumps(body)
        asked = event(text, content_type=media_type, accept="application/json")
        answer, _ = served.ask(asked)
        assert answer["statusCode"] == 200
        jsonschema.validate(json.loads(answer["body"]), _json_schema(made, "Answer"))
        responses = made["paths"]["/predict"]["post"]["responses"]
        assert set(responses["200"]["headers"]) <= set(answer["headers"])
    health, _ = served.ask(event(path="/health", method="GET"))
    jsonschema.validate(json.loads(health["body"]), _json_schema(made, "Health"))
    refusal, _ = served.ask(event("{"))
    jsonschema.validate(json.loads(refusal["body"]), _json_schema(made, "Problem"))
    assert str(refusal["statusCode"]) in responses
