"""The order of things, and what a change makes of a resource: pure, no cloud."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.cloudformation import graph, parameters, plan, template, validation
from local_cloud.cloudformation.definition import Definition, Surroundings
from local_cloud.cloudformation.errors import TemplateError
from local_cloud.cloudformation.evaluation import Evaluation
from local_cloud.cloudformation.plan import Action
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.table import TYPES
from local_cloud.cloudformation.stack import Stack, StackResource

AROUND = Surroundings(
    "000000000000", "xx-local-1", "arn:stack", "churn", {"shared": "value"}.get, lambda: ["a"]
)
TRUST = {"Statement": []}


class NoCalls:
    """A plan of these types takes no call."""


def definition(resources: dict[str, Any], **sections: Any) -> Definition:
    tags = sections.pop("tags", {})
    parsed = template.parse(json.dumps({"Resources": resources, **sections}))
    return Definition(parsed, parameters.resolve(parsed.parameters, {}), tags)


def made(wanted: Definition) -> Stack:
    """A stack as it is when everything of a definition was made."""
    states: dict[str, State] = {}
    evaluation = Evaluation(wanted, AROUND, states)
    stack = Stack("arn:stack", "churn", wanted)
    for name in evaluation.order:
        declared = evaluation.active[name]
        properties, problems = evaluation.properties(name)
        assert not problems
        attributes = {"Arn": f"arn:{name}", "RoleId": f"id-of-{name}"}
        states[name] = State(name, properties, f"physical-{name}", attributes)
        stack.resources[name] = StackResource(
            declared, states[name], properties, evaluation.dependencies[name]
        )
    stack.outputs = evaluation.outputs()
    return stack


def steps(before: Definition, after: Definition) -> list[tuple[str, Action]]:
    found = plan.make(after, AROUND, made(before), NoCalls())  # type: ignore[arg-type]
    return [(step.logical_id, step.action) for step in found.steps]


def role(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": TRUST, **properties},
    }


def log_group(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties}


def parameter(value: Any, **properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": value, **properties},
    }


# ------------------------------------------------------------------------------ order


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    names = draw(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=8))
    return {
        name: draw(st.lists(st.sampled_from(names[:index] or ["-"]), max_size=3))
        for index, name in enumerate(names)
    }


@given(acyclic(), st.randoms())
def test_everything_comes_after_what_it_needs(needs: dict[str, list[str]], random: Any) -> None:
    names = list(needs)
    random.shuffle(names)
    found = graph.order({name: needs[name] for name in names})
    assert sorted(found) == sorted(needs)
    for name, needed in needs.items():
        assert all(found.index(item) < found.index(name) for item in needed if item in needs)


def test_a_circle_is_named() -> None:
    with pytest.raises(TemplateError, match=r"Circular dependency between resources: \[.*a.*b.*\]"):
        graph.order({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})


def test_order_follows_ref_getatt_sub_and_depends_on() -> None:
    evaluation = Evaluation(
        definition(
            {
                "E": {**log_group(), "DependsOn": "D"},
                "D": log_group(LogGroupName={"Fn::Sub": "/x/${C}"}),
                "C": role(Description={"Fn::Join": ["", [{"Fn::GetAtt": ["B", "Arn"]}]]}),
                "B": role(Description={"Ref": "A"}),
                "A": role(),
            }
        ),
        AROUND,
        {},
    )
    assert evaluation.order == ["A", "B", "C", "D", "E"]
    assert evaluation.dependencies["D"] == ("C",)


def test_only_branches_that_are_taken_make_an_order() -> None:
    conditions = {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}}
    evaluation = Evaluation(
        definition(
            {
                "A": role(Description={"Fn::If": ["No", {"Ref": "B"}, "none"]}),
                "B": role(Description={"Ref": "A"}),
                "C": {**log_group(), "Condition": "No"},
            },
            Conditions=conditions,
        ),
        AROUND,
        {},
    )
    assert evaluation.order == ["A", "B"]


def test_a_resource_cannot_need_one_whose_condition_does_not_hold() -> None:
    evaluation = Evaluation(
        definition(
            {"A": {**role(), "Condition": "No"}, "B": role(Description={"Ref": "A"})},
            Conditions={"No": {"Fn::Equals": ["a", "b"]}},
        ),
        AROUND,
        {},
    )
    with pytest.raises(TemplateError, match=r"\[A\]; their conditions do not hold"):
        _ = evaluation.order


# ------------------------------------------------------------------------------ actions


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [
        (role(), role(), Action.KEEP),
        (role(), role(Description="new"), Action.CHANGE),
        (role(Description="old"), role(), Action.CHANGE),
        (role(), role(RoleName="named"), Action.REPLACE),
        (role(Path="/a/"), role(Path="/b/", Description="new"), Action.REPLACE),
        (log_group(), log_group(RetentionInDays="7"), Action.CHANGE),
        (log_group(RetentionInDays=7), log_group(RetentionInDays="7"), Action.KEEP),
        (log_group(LogGroupName="a"), log_group(LogGroupName="b"), Action.REPLACE),
    ],
)
def test_what_a_change_makes_of_a_resource(
    before: dict[str, Any], after: dict[str, Any], action: Action
) -> None:
    assert steps(definition({"A": before}), definition({"A": after})) == [("A", action)]


def test_additions_come_in_order_and_deletions_last_and_backwards() -> None:
    before = {
        "Old1": role(),
        "Old2": role(Description={"Ref": "Old1"}),
        "Kept": log_group(),
    }
    after = {"New2": role(Description={"Ref": "New1"}), "New1": role(), "Kept": log_group()}
    assert steps(definition(before), definition(after)) == [
        ("New1", Action.CREATE),
        ("Kept", Action.KEEP),
        ("New2", Action.CREATE),
        ("Old2", Action.DELETE),
        ("Old1", Action.DELETE),
    ]


def test_a_replacement_reaches_what_refers_to_it() -> None:
    def resources(path: str) -> dict[str, Any]:
        return {
            "Role": role(Path=path),
            "ByRef": role(Description={"Ref": "Role"}),
            "ByName": log_group(LogGroupName={"Fn::Sub": "/x/${Role}"}),
            "Apart": log_group(),
        }

    found = plan.make(
        definition(resources("/b/")), AROUND, made(definition(resources("/a/"))), NoCalls()
    )  # type: ignore[arg-type]
    by_name = {step.logical_id: step for step in found.steps}
    assert by_name["Role"].action is Action.REPLACE
    assert by_name["ByRef"].action is Action.CHANGE
    assert by_name["ByName"].action is Action.REPLACE
    assert by_name["Apart"].action is Action.KEEP
    assert by_name["Role"].changes[0].is_known
    assert not by_name["ByRef"].changes[0].is_known


def test_a_change_in_place_does_not_reach_what_refers_to_it() -> None:
    def resources(text: str) -> dict[str, Any]:
        return {"Role": role(Description=text), "Other": role(Description={"Ref": "Role"})}

    assert steps(definition(resources("a")), definition(resources("b"))) == [
        ("Role", Action.CHANGE),
        ("Other", Action.KEEP),
    ]


def test_an_attribute_that_a_change_may_change_is_unknown() -> None:
    def resources(value: str) -> dict[str, Any]:
        return {
            "One": parameter(value),
            "Two": parameter({"Fn::GetAtt": ["One", "Value"]}),
        }

    before = made(definition({"One": parameter("a"), "Two": parameter("a")}))
    found = plan.make(definition(resources("b")), AROUND, before, NoCalls())  # type: ignore[arg-type]
    assert [step.action for step in found.steps] == [Action.CHANGE, Action.CHANGE]


def test_tags_of_the_stack_are_tags_of_what_takes_tags() -> None:
    resources = {"Role": role(Tags=[{"Key": "own", "Value": "1"}]), "Policy": {
        "Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {}}}}  # fmt: skip
    before = definition(resources, tags={"own": "2", "team": "a"})
    evaluation = Evaluation(before, AROUND, {})
    assert evaluation.properties("Role")[0]["Tags"] == [
        {"Key": "own", "Value": "1"},
        {"Key": "team", "Value": "a"},
    ]
    assert "Tags" not in evaluation.properties("Policy")[0]
    assert steps(before, definition(resources, tags={"team": "b"})) == [
        ("Role", Action.CHANGE),
        ("Policy", Action.KEEP),
    ]


def test_outputs_alone_are_a_change() -> None:
    resources = {"Role": role()}
    stack = made(definition(resources))
    same = plan.make(definition(resources), AROUND, stack, NoCalls())  # type: ignore[arg-type]
    other = definition(resources, Outputs={"Name": {"Value": {"Ref": "Role"}}})
    changed = plan.make(other, AROUND, stack, NoCalls())  # type: ignore[arg-type]
    assert same.is_empty
    assert not changed.is_empty


def test_another_type_under_the_same_logical_id_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"modifies resource type.*\[A\]"):
        steps(definition({"A": role()}), definition({"A": log_group()}))


def test_a_property_that_aws_does_not_change_is_refused() -> None:
    with pytest.raises(TemplateError, match="/Resources/A/Properties/LogGroupClass: a change"):
        steps(
            definition({"A": log_group(LogGroupClass="STANDARD")}),
            definition({"A": log_group(LogGroupClass="INFREQUENT_ACCESS")}),
        )


# ------------------------------------------------------------------------------ validation


def checked(resources: dict[str, Any], **sections: Any) -> None:
    validation.check(Evaluation(definition(resources, **sections), AROUND, {}))


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        ({"A": {"Type": "AWS::S3::Bouquet"}}, r"Unrecognized resource types: \[AWS::S3::Bouquet\]"),
        ({"A": role(Colour="red")}, r"extraneous key \[Colour\]"),
        ({"A": log_group(RetentionInDays=8)}, "#/RetentionInDays: 8 is not a valid enum value"),
        ({"A": role(), "B": role(Description={"Fn::GetAtt": ["A", "Colour"]})},
         "resource A does not support attribute type Colour"),
        ({"A": role(Description={"Ref": "B"}), "B": role(Description={"Ref": "A"})},
         "Circular dependency"),
        ({"A": role(Description={"Fn::ImportValue": "nobody"})}, "No export named nobody found"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_before_anything_is_made(
    resources: dict[str, Any], problem: str
) -> None:
    with pytest.raises(TemplateError, match=problem):
        checked(resources)


def test_capabilities_are_those_of_aws() -> None:
    unnamed, named = definition({"A": role()}), definition({"A": role(RoleName="x")})
    assert validation.capabilities(unnamed.template) == ("CAPABILITY_IAM",)
    assert validation.capabilities(named.template) == ("CAPABILITY_NAMED_IAM",)
    assert validation.capabilities(definition({"A": log_group()}).template) == ()


def test_rules_are_asserted_with_their_description() -> None:
    rules = {
        "Sizes": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "Stage"}, "production"]},
            "Assertions": [
                {"Assert": {"Fn::Contains": [["a"], "b"]}, "AssertDescription": "must be an a"}
            ],
        }
    }
    stage = {"Stage": {"Type": "String", "Default": "dev"}}
    checked({"A": role()}, Rules=rules, Parameters=stage)
    stage["Stage"]["Default"] = "production"
    with pytest.raises(TemplateError, match="Rule Sizes: must be an a"):
        checked({"A": role()}, Rules=rules, Parameters=stage)


def test_generated_names_fit_and_differ() -> None:
    for kind in TYPES.values():
        if kind.named is None:
            continue  # the service, or the function of a custom resource, names it
        names = {kind.new_name("churn" * 30, "LogicalId" * 30) for _ in range(3)}
        assert len(names) == 3
        for name in names:
            assert kind.schema.accepts(kind.named, name)
            assert len(name) <= (kind.schema.max_length(kind.named) or kind.longest_name)
