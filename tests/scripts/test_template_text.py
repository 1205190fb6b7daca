"""Parts of our templates are cut out of the text; here against a parser."""

from pathlib import Path

import pytest
import yaml

from scripts.errors import ScriptError
from scripts.publication import FIRST
from scripts.template_text import crossing, entries, part, published

ROOT = Path(__file__).parent.parent.parent
STUDIO = (ROOT / "studio.yml").read_text(encoding="utf-8")
PIPELINE = (ROOT / "pipeline.yml").read_text(encoding="utf-8")


class Loader(yaml.SafeLoader):
    """Reads ``!Ref a`` and the like as a pair of the tag and the node's own text."""


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return suffix, loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return suffix, loader.construct_sequence(node, deep=True)
    return suffix, loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", short_form)


def load(text):
    return yaml.load(text, Loader)  # a subclass of SafeLoader


@pytest.mark.parametrize("section", ["Parameters", "Resources", "Conditions", "Outputs", "None"])
def test_entries_are_those_of_the_section(section):
    assert list(entries(STUDIO, section)) == list(load(STUDIO).get(section, {}))


def test_a_part_has_the_resources_as_they_are_and_everything_they_refer_to():
    whole, cut = load(STUDIO), load(part(STUDIO, FIRST))
    assert cut["Resources"] == {name: whole["Resources"][name] for name in FIRST}
    assert "Outputs" not in cut
    for section in set(whole) - {"Resources", "Outputs"}:
        assert cut[section] == whole[section]
    known = {*cut["Resources"], *cut["Parameters"], "AWS::NoValue", "AWS::AccountId"}
    assert set(references(cut["Resources"])) <= known


def references(value):
    if isinstance(value, tuple) and value[0] == "Ref":
        yield value[1]
    elif isinstance(value, tuple) and value[0] == "GetAtt":
        yield value[1].split(".")[0]
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from references(item)


def test_the_first_part_fits_into_a_request():
    assert len(part(STUDIO, FIRST).encode()) <= 51_200


def test_an_unknown_resource_is_refused():
    with pytest.raises(ScriptError, match="no resources Missing"):
        part(STUDIO, ["TemplateKey", "Missing"])


@pytest.mark.parametrize("version", ["1c9ffcbdd35c", "123456789012", "1234567890e1"])
def test_publishing_writes_the_version_as_text_and_nothing_else(version):
    before, after = load(PIPELINE), load(published(PIPELINE, version))
    assert after["Mappings"]["Published"]["Template"].pop("Version") == version
    assert before["Mappings"]["Published"]["Template"].pop("Version") == "unpublished"
    assert after == before


def test_publishing_writes_other_accounts_and_their_functions_as_text():
    accounts = ["012345678901", "444455556666"]
    given = load(crossing(PIPELINE, accounts))["Mappings"]["Published"]["Template"]
    assert given["OtherAccounts"] == accounts
    assert given["OtherFunctions"] == [f"arn:*:lambda:*:{each}:function:*" for each in accounts]
    assert crossing(PIPELINE, []) == PIPELINE


@pytest.mark.parametrize("template", ["", "Version: unpublished\n" * 2])
def test_a_template_without_its_one_place_is_refused(template):
    with pytest.raises(ScriptError, match="once is required"):
        published(template, "1")
    with pytest.raises(ScriptError, match="once is required"):
        crossing(template, [])
