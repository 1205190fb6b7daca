"""The templates keep our rules, and every rule can be broken."""

import importlib
import pkgutil

import pytest
from cfn import needs, rules, text
from cfn.evaluation import ROOT, evaluate, load, loads

RULES = [
    importlib.import_module(f"cfn.rules.{module.name}")
    for module in pkgutil.iter_modules(rules.__path__)
]
STACKS = {
    "studio": lambda: needs.studio(CostCenter="a", PrincipalPattern1="arn:aws:iam:::role/a*"),
    "studio-first": lambda: needs.studio(Version1="none", S3Templates="no"),
    "nat": lambda: needs.projects()[0],
    "endpoints": lambda: needs.projects()[1],
    "elsewhere": needs.elsewhere,
    "production": needs.production,
}


def short(rule):
    return rule.__name__.rsplit(".", 1)[1]


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("rule", RULES, ids=short)
def test_the_templates_keep_the_rule(rule, name):
    assert list(rule.check(STACKS[name]())) == []


@pytest.mark.parametrize("rule", RULES, ids=short)
def test_what_keeps_the_rule_is_not_found(rule):
    assert list(rule.check(evaluate(loads(rule.GOOD)))) == []


@pytest.mark.parametrize("rule", RULES, ids=short)
def test_what_breaks_the_rule_is_found_with_its_place(rule):
    found = list(rule.check(evaluate(loads(rule.BAD))))
    assert found
    assert all(": " in message for message in found)


@pytest.mark.parametrize("rule", RULES, ids=short)
def test_a_rule_says_where_it_comes_from(rule):
    assert rule.SOURCE.startswith("https://docs.aws.amazon.com/")


# --- how they are written -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["studio.yml", "pipeline.yml"])
def test_every_wildcard_has_its_reason_beside_it(name):
    assert list(text.wildcards_without_reason(ROOT / name)) == []


@pytest.mark.parametrize("line", ['Resource: "*"', "Resource: [a, b/*]", "Action: s3:*"])
def test_a_wildcard_without_a_reason_is_found(tmp_path, line):
    template = tmp_path / "a.yml"
    template.write_text(f"Statement:\n  - Effect: Allow\n    {line}\n")
    assert len(list(text.wildcards_without_reason(template))) == 1
    template.write_text(f"Statement:\n  - Effect: Allow\n    {line}  # because\n")
    assert list(text.wildcards_without_reason(template)) == []


def test_every_parameter_of_a_project_helps_who_fills_it_in():
    assert list(text.parameters_without_help(load("pipeline.yml"), set())) == []


def test_every_parameter_of_the_organization_helps_who_fills_it_in():
    # Names of buckets are global: none can be given beforehand.
    without = {"TemplateBucketName"}
    assert list(text.parameters_without_help(load("studio.yml"), without)) == []


def test_a_parameter_without_help_is_found():
    document = loads("""
        Metadata:
          AWS::CloudFormation::Interface: {ParameterGroups: [{Parameters: [B]}]}
        Parameters: {A: {Type: String, Default: ""}}
    """)
    assert len(list(text.parameters_without_help(document, set()))) == 6


@pytest.mark.parametrize("name", ["studio.yml", "pipeline.yml"])
def test_a_template_needs_no_macro(name):
    assert "Transform" not in load(name)
    assert "Fn::Transform" not in (ROOT / name).read_text()
