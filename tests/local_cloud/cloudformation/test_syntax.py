"""Template text becomes plain data, and what CloudFormation does not take is refused."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cloudformation import syntax
from local_cloud.cloudformation.errors import TemplateError

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
def test_the_same_data_comes_from_json_and_yaml(data: dict[str, object]) -> None:
    assert syntax.read(json.dumps(data)) == data
    assert syntax.read(yaml.safe_dump(data, allow_unicode=True)) == data


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref Bucket", {"Ref": "Bucket"}),
        ("!Condition IsProd", {"Condition": "IsProd"}),
        ("!GetAtt Bucket.Arn", {"Fn::GetAtt": ["Bucket", "Arn"]}),
        ("!GetAtt Inner.Outputs.Name", {"Fn::GetAtt": ["Inner", "Outputs.Name"]}),
        ("!GetAtt [Bucket, Arn]", {"Fn::GetAtt": ["Bucket", "Arn"]}),
        ('!Sub "${A}-b"', {"Fn::Sub": "${A}-b"}),
        ("!Sub ['${A}', {A: !Ref B}]", {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!If [A, !Ref B, !Ref C]", {"Fn::If": ["A", {"Ref": "B"}, {"Ref": "C"}]}),
        ("!Not [!Equals [a, b]]", {"Fn::Not": [{"Fn::Equals": ["a", "b"]}]}),
        ("!Base64 text", {"Fn::Base64": "text"}),
        ("!GetAZs ''", {"Fn::GetAZs": ""}),
    ],
)
def test_short_forms_are_the_long_ones(short: str, long: object) -> None:
    assert syntax.read(f"Value: {short}") == {"Value": long}


def test_scalars_are_what_yaml_says_and_dates_stay_text() -> None:
    text = "a: 1\nb: true\nc: 2010-09-09\nd: '1'\ne: 1.5\nf: 2024-01-01T00:00:00Z"
    assert syntax.read(text) == {
        "a": 1, "b": True, "c": "2010-09-09", "d": "1", "e": 1.5, "f": "2024-01-01T00:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the template is empty"),
        ("- a", "the template must be a mapping"),
        ('{"a": 1,}', r"JSON not well-formed. \(line 1, column 9\)"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ('{"a": {"b": null}}', r"\[/a/b\] 'null' values are not allowed"),
        ("a: [1\nb: 2", r"YAML not well-formed. \(line 2"),
        ("a: 1\na: 2", r"\(line 2, column 1\): duplicate key 'a'"),
        ("a:\n  b:", r"\[/a/b\] 'null' values are not allowed"),
        ("a: &x 1\nb: *x", "aliases are not supported"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "keys must be plain text"),
        ("a: !!python/object:os.system x", "unknown tag|could not determine"),
        ("a: !Fly x", "unknown tag !Fly"),
        ("? [a]\n: b", "keys must be plain text"),
        ("a: \x01", "not well-formed"),
    ],
)
def test_what_is_not_well_formed_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        syntax.read(text)
