"""Each function gives what AWS's reference says, and says what is wrong with its arguments."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.evaluation import Resources
from local_cloud.cloudformation.intrinsics import (
    FUNCTIONS,
    RULE_FUNCTIONS,
    Scope,
    Unknown,
    evaluate,
    is_known,
    references,
    verdict,
)
from local_cloud.cloudformation.resources.calls import State

SCOPE = Scope(
    values={
        "AWS::Region": "xx-local-1",
        "Name": "churn",
        "Count": "3",
        "Zones": ["a", "b", "c"],
    },
    conditions={
        "IsChurn": {"Fn::Equals": [{"Ref": "Name"}, "churn"]},
        "IsIris": {"Fn::Equals": [{"Ref": "Name"}, "iris"]},
        "IsNotIris": {"Fn::Not": [{"Condition": "IsIris"}]},
        "Both": {"Fn::And": [{"Condition": "IsChurn"}, {"Condition": "IsIris"}]},
        "Either": {"Fn::Or": [{"Condition": "IsChurn"}, {"Condition": "IsIris"}]},
        "Circle": {"Fn::Not": [{"Condition": "Circle"}]},
        "OfResource": {"Fn::Equals": [{"Ref": "Bucket"}, "x"]},
    },
    mappings={"Sizes": {"small": {"memory": 512, "zones": ["a", "b"]}}},
    resources=Resources(
        {"Bucket": State("b", {}, "churn-data", {"Arn": "arn:aws:s3:::churn-data"})}
    ),
    exports={"shared-key": "key-1"}.get,
    zones=lambda: ["xx-local-1a", "xx-local-1b"],
)


def value_of(value: Any) -> Any:
    return evaluate(value, SCOPE, "/Here")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ({"a": [1, True, {"b": "c"}]}, {"a": [1, True, {"b": "c"}]}),
        ({"Ref": "Name"}, "churn"),
        ({"Ref": "Bucket"}, "churn-data"),
        ({"Ref": "AWS::Region"}, "xx-local-1"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ([{"Ref": "AWS::NoValue"}, 1], [1]),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::churn-data"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:aws:s3:::churn-data"),
        ({"Fn::GetAtt": ["Bucket", {"Fn::Sub": "Arn"}]}, "arn:aws:s3:::churn-data"),
        ({"Fn::Sub": "${Name}/${Bucket}/${Bucket.Arn}"},
         "churn/churn-data/arn:aws:s3:::churn-data"),
        ({"Fn::Sub": "${!aws:username} ${AWS::Region}"}, "${aws:username} xx-local-1"),
        ({"Fn::Sub": ["${x}-${Name}", {"x": {"Ref": "Count"}}]}, "3-churn"),
        ({"Fn::Sub": ["${Name}", {"Name": "other"}]}, "other"),
        ({"Fn::Sub": "no variables"}, "no variables"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}, 3, True]]}, "a-churn-3-true"),
        ({"Fn::Join": [",", {"Ref": "Zones"}]}, "a,b,c"),
        ({"Fn::Join": ["", []]}, ""),
        ({"Fn::Split": [":", {"Fn::GetAtt": ["Bucket", "Arn"]}]},
         ["arn", "aws", "s3", "", "", "churn-data"]),
        ({"Fn::Select": [1, {"Ref": "Zones"}]}, "b"),
        ({"Fn::Select": ["2", ["x", "y", {"Ref": "Name"}]]}, "churn"),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "xx-local-1a"),
        ({"Fn::GetAZs": {"Ref": "AWS::Region"}}, ["xx-local-1a", "xx-local-1b"]),
        ({"Fn::If": ["IsChurn", "yes", "no"]}, "yes"),
        ({"Fn::If": ["IsIris", {"Ref": "Missing"}, {"Ref": "Name"}]}, "churn"),
        ({"a": {"Fn::If": ["IsIris", 1, {"Ref": "AWS::NoValue"}]}}, {}),
        ({"Fn::FindInMap": ["Sizes", "small", "memory"]}, 512),
        ({"Fn::FindInMap": ["Sizes", {"Fn::Sub": "small"}, "zones"]}, ["a", "b"]),
        ({"Fn::ImportValue": {"Fn::Sub": "shared-key"}}, "key-1"),
        ({"Fn::Base64": {"Ref": "Name"}}, "Y2h1cm4="),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Cidr": ["10.0.0.0/24", "3", "5"]}, ["10.0.0.0/27", "10.0.0.32/27", "10.0.0.64/27"]),
        ({"Fn::Cidr": ["2001:db8::/48", 1]}, ["2001:db8::/64"]),
        ({"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 4, 12]}]}, "10.0.16.0/20"),
    ],
)  # fmt: skip
def test_a_function_gives(value: Any, expected: Any) -> None:
    assert value_of(value) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("IsChurn", True), ("IsIris", False), ("IsNotIris", True), ("Both", False), ("Either", True)],
)
def test_a_condition_holds_or_not(name: str, expected: bool) -> None:
    assert SCOPE.condition(name, "/Here") is expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (True, "true", True),
        (1, "1", True),
        ("1.0", 1, False),
        (["a"], ["a"], True),
        ("a", ["a"], False),
    ],
)
def test_values_are_equal_as_text(left: Any, right: Any, expected: bool) -> None:
    assert verdict({"Fn::Equals": [left, right]}, SCOPE, "/Here") is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Fn::Contains": [["churn", "iris"], {"Ref": "Name"}]}, True),
        ({"Fn::Contains": [["iris"], {"Ref": "Name"}]}, False),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b", "c", "d"]]}, True),
        ({"Fn::EachMemberIn": [{"Ref": "Zones"}, ["a", "b"]]}, False),
        ({"Fn::EachMemberEquals": [["a", "a"], "a"]}, True),
        ({"Fn::EachMemberEquals": [{"Ref": "Zones"}, "a"]}, False),
    ],
)
def test_functions_of_rules(rule: Any, expected: bool) -> None:
    assert verdict(rule, SCOPE, "/Here") is expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"Ref": 3}, "3 was found; a name is required"),
        ({"Ref": "Name", "Other": 1}, "Ref stands beside other keys"),
        ({"Fn::Fly": []}, "there is no function 'Fn::Fly'"),
        (
            {"Fn::Transform": {}},
            "Fn::Transform is not part of the local cloud: there are no macros",
        ),
        ({"Fn::Length": []}, "AWS::LanguageExtensions"),
        ({"Fn::ToJsonString": {}}, "AWS::LanguageExtensions"),
        ({"Fn::ForEach::Each": []}, "AWS::LanguageExtensions"),
        ({"Fn::GetAtt": ["Bucket"]}, "a list of 2 is required"),
        ({"Fn::GetAtt": ["Bucket", "Colour"]}, "does not support attribute type Colour"),
        ({"Fn::Sub": ["a"]}, "a list of 2 is required"),
        ({"Fn::Sub": [1, {}]}, "a text, or a text and a map"),
        ({"Fn::Sub": "${a b}"}, r"\$\{a b\} is no name"),
        ({"Fn::Sub": "${Zones}"}, "only text can be put together"),
        ({"Fn::Join": ["-", "text"]}, "a list is required"),
        ({"Fn::Join": ["-", [["a"]]]}, "only text can be put together"),
        ({"Fn::Split": ["", "a"]}, "a delimiter is required"),
        ({"Fn::Select": [9, ["a"]]}, "index 9 was found; one of the list's 1 members"),
        ({"Fn::Select": [-1, ["a"]]}, "index -1 was found"),
        ({"Fn::If": ["Nothing", 1, 2]}, "there is no condition 'Nothing'"),
        ({"Fn::If": ["Circle", 1, 2]}, "condition 'Circle' depends on itself"),
        ({"Fn::If": ["OfResource", 1, 2]}, "a resource cannot be referred to here"),
        ({"Fn::If": ["IsChurn", 1]}, "a list of 3 is required"),
        ({"Fn::FindInMap": ["Sizes", "large", "memory"]}, "Unable to get mapping for Sizes::large"),
        ({"Fn::FindInMap": ["Sizes", "small", "memory", {"DefaultValue": 1}]}, "a list of 3"),
        ({"Fn::ImportValue": "nobody"}, "No export named nobody found."),
        ({"Fn::ImportValue": {"Ref": "Later"}}, "the name depends on Later"),
        ({"Fn::Cidr": ["10.0.0.0/24", 3, 7]}, "holds 2 networks of 7 bits, not 3"),
        ({"Fn::Cidr": ["nowhere", 1, 8]}, "nowhere"),
        ({"Fn::GetAZs": "us-east-1"}, "one region only"),
    ],
)
def test_a_wrong_argument_is_told_with_its_place(value: Any, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem) as caught:
        value_of({"Key": value})
    if "No export" not in problem and "attribute type" not in problem:
        assert any(place in str(caught.value) for place in ("/Here/Key", "/Conditions"))


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Later"},
        {"Fn::GetAtt": ["Later", "Arn"]},
        {"Fn::Sub": "a-${Later.Arn}"},
        {"Fn::Join": ["-", ["a", {"Ref": "Later"}]]},
        {"Fn::Split": [",", {"Ref": "Later"}]},
        {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Later"}]}]},
        {"Fn::Base64": {"Ref": "Later"}},
        {"Fn::Cidr": [{"Ref": "Later"}, 2, 8]},
        {"a": [{"Ref": "Later"}]},
    ],
)
def test_what_depends_on_a_resource_to_come_is_unknown(value: Any) -> None:
    assert not is_known(value_of(value))


def test_an_unknown_member_that_is_not_selected_does_not_matter() -> None:
    assert value_of({"Fn::Select": [0, ["a", {"Ref": "Later"}]]}) == "a"


def test_unknown_values_say_what_they_wait_for() -> None:
    assert value_of({"Fn::Sub": "${Later.Arn}"}) == Unknown("Later.Arn")


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
LITERALS = st.text(st.characters(codec="utf-8", exclude_characters="$"), max_size=8)


@given(st.lists(st.tuples(LITERALS, NAMES), max_size=5), LITERALS)
def test_sub_is_the_literals_around_the_values(pieces: list[tuple[str, str]], end: str) -> None:
    text = "".join(f"{literal}${{{name}}}" for literal, name in pieces) + end
    scope = dataclasses.replace(SCOPE, values={name: f"<{name}>" for _, name in pieces})
    expected = "".join(f"{literal}<{name}>" for literal, name in pieces) + end
    assert evaluate({"Fn::Sub": text}, scope, "") == expected


@given(st.text(max_size=3), st.lists(LITERALS, min_size=1, max_size=5))
def test_sub_and_join_agree(delimiter: str, texts: list[str]) -> None:
    joined = value_of({"Fn::Join": [delimiter, texts]})
    names = {f"v{index}": text for index, text in enumerate(texts)}
    literal = delimiter.replace("${", "${!") if "${" in delimiter else delimiter
    substituted = value_of({"Fn::Sub": [literal.join(f"${{{name}}}" for name in names), names]})
    assert joined == substituted == delimiter.join(texts)


@given(
    st.from_regex(r"[-,:|]{1,2}", fullmatch=True), st.lists(st.text("abc", max_size=3), min_size=1)
)
def test_split_undoes_join(delimiter: str, texts: list[str]) -> None:
    assert value_of({"Fn::Split": [delimiter, {"Fn::Join": [delimiter, texts]}]}) == texts


def test_references_are_found_in_every_branch() -> None:
    value = {
        "a": {"Fn::If": ["C", {"Ref": "One"}, {"Fn::GetAtt": ["Two", "Arn"]}]},
        "b": {"Fn::Sub": ["${Three.Id} ${x} ${!No}", {"x": {"Ref": "Four"}}]},
        "c": [{"Fn::Sub": "${AWS::Region}"}],
    }
    found = [(item.name, item.attribute) for item in references(value, "")]
    assert found == [
        ("One", None), ("Two", "Arn"), ("Three", "Id"), ("Four", None), ("AWS::Region", None),
    ]  # fmt: skip


def test_rule_functions_are_functions() -> None:
    assert set(RULE_FUNCTIONS) < set(FUNCTIONS)
