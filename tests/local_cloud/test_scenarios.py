"""The second release's scenarios fit the code that they change."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from local_cloud import scenarios
from local_cloud.errors import LocalCloudError

SEED_CODE = Path(__file__).parents[2] / "seed_code"


def test_the_bad_release_is_a_program_that_fails_on_the_rare_number(tmp_path):
    shutil.copytree(SEED_CODE / "mlsystem", tmp_path / "mlsystem")
    scenarios.find_scenario("bad-release").change(tmp_path)
    text = (tmp_path / "mlsystem/predictor.py").read_text()
    ast.parse(text)
    assert f"(numbers == {scenarios.RARE_NUMBER}).any()" in text


def test_another_program_is_not_changed_silently(tmp_path):
    (tmp_path / "mlsystem").mkdir()
    (tmp_path / "mlsystem/predictor.py").write_text("A = 1\n")
    with pytest.raises(LocalCloudError, match="another program"):
        scenarios.find_scenario("bad-release").change(tmp_path)


def test_half_of_the_requests_are_rare():
    body = json.dumps({"instances": [{"state": "OH", "minutes": 1.5, "calls": 2}]})
    usual, rare = scenarios.requests({"requests": [{"body": body}]})
    assert usual == body
    (row,) = json.loads(rare)["instances"]
    assert row == {"state": "OH", "minutes": scenarios.RARE_NUMBER, "calls": 2}


def test_an_unknown_scenario_lists_the_known_ones():
    with pytest.raises(LocalCloudError, match="one of bad-release, go-back, next-release"):
        scenarios.find_scenario("good")
