"""Tests that have passed are not run again for the same files."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipeline import files
from pipeline.__main__ import main

UNKNOWN = 3


@pytest.fixture
def run(aws, repository, variables, monkeypatch):
    monkeypatch.chdir(repository)
    return lambda verb: main([verb, "--output", "release"], aws)


def key_of(repository):
    return f"repository-tests/{files.digest(repository, files.below(repository))}"


def test_files_of_which_nothing_is_known_are_to_be_tested(run, aws, repository):
    aws.listing(key_of(repository))
    assert run("tested") == UNKNOWN
    assert not (repository / "release").exists()


def test_files_that_have_passed_are_not_tested_and_the_report_says_so(run, aws, repository):
    key = key_of(repository)
    aws.listing(key, key)
    assert run("tested") == 0
    suite = ElementTree.parse(repository / "release/reports/tests.xml").getroot()
    (skipped,) = suite.iter("skipped")
    assert key.partition("/")[2] in skipped.get("message")


def test_what_has_passed_is_noted_once_and_the_builds_output_is_no_part_of_it(
    run, aws, repository, variables
):
    key = key_of(repository)
    (repository / "release").mkdir()
    (repository / "release/workflow.json").write_text("{}")
    aws.listing(key)
    aws.written(key, variables["RELEASE"].encode())
    assert run("passed") == 0
    aws.listing(key, key)
    assert run("passed") == 0


@pytest.mark.parametrize("name", ["README.md", "tests/test_model.py", "data/churn.csv"])
def test_any_change_is_tested(run, aws, repository, name):
    before = key_of(repository)
    (repository / name).write_text("changed")
    assert key_of(repository) != before
    aws.listing(key_of(repository))
    assert run("tested") == UNKNOWN
