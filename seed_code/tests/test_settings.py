"""project.yml: what is accepted, and what a mistake is told."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlsystem import settings
from mlsystem.errors import SettingsError

MINIMAL = """\
model:
  name: churn
  problem: binary
  target: churn
evaluate:
  metric: roc_auc
  threshold: 0.85
"""


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings.loads(text)
    return str(caught.value)


def test_the_shortest_file_has_documented_defaults():
    loaded = settings.loads(MINIMAL)
    assert loaded.model.algorithm == "xgboost"
    assert loaded.data.split.train == 0.7
    assert loaded.direction == "minimum"


def test_the_projects_own_file_loads():
    loaded = settings.load(Path(settings.__file__).parent.parent / "project.yml")
    assert settings.loads(loaded.to_json()) == loaded


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("canary-10-percent-30-minutes", ("canary", 10, 30)),
        ("linear-10-percent-every-1-minute", ("linear", 10, 1)),
        ("all-at-once", ("all-at-once", 10, 5)),
        ("{kind: linear, percent: 25, minutes: 4}", ("linear", 25, 4)),
    ],
)
def test_a_strategy_is_a_name_or_numbers(given, expected):
    loaded = settings.loads(f"{MINIMAL}deploy: {{production: {{strategy: {given}}}}}\n")
    strategy = loaded.deploy.production.strategy
    assert (strategy.kind, strategy.percent, strategy.minutes) == expected
    assert settings.loads(loaded.to_json()) == loaded


def test_json_for_the_jobs_loads_to_the_same_settings():
    loaded = settings.loads(MINIMAL)
    assert settings.loads(loaded.to_json()) == loaded


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  target: churn", "  targt: churn",
         "project.yml:4 model/targt: unknown key 'targt'"),
        ("  target: churn", "  targt: churn", "Did you mean 'target'?"),
        ("evaluate:", "evalute:", "project.yml:5 evalute: unknown key 'evalute'"),
        ("binary", "binry", "project.yml:3 model/problem: \"binry\""),
        ("name: churn", "name: Churn", "project.yml:2 model/name: \"Churn\""),
        ("name: churn", "name: 12", "Put it in quotes"),
        ("roc_auc", "rmse", "project.yml:6 evaluate/metric: 'rmse'; a metric of a binary problem"),
        ("0.85", "high", "project.yml:7 evaluate/threshold"),
        ("0.85", ".nan", "finite number"),
        ("  target: churn", "  target: churn\n  algorithm: xgbost", "Did you mean 'xgboost'?"),
        ("  target: churn", "  target: churn\n  hyperparameters: {max_dept: 3}",
         "Did you mean 'max_depth'?"),
        ("  target: churn", "  target: churn\n  hyperparameters: {max_depth: 300}",
         "project.yml:5 model/hyperparameters/max_depth: 300"),
        ("  target: churn", "  target: churn\n  target: other",
         "'target' a second time (first in line 4)"),
        ("evaluate:", "data: {split: {train: 0.9}}\nevaluate:",
         "train + validation + test = 1.2; a sum of 1"),
        ("evaluate:", "data: {split: {by: time}}\nevaluate:", "no column with by: time"),
        ("evaluate:", "data: {split: {column: day}}\nevaluate:", "column 'day' with by: row"),
        ("evaluate:", "data: {columns: [a, b]}\nevaluate:", "given together with header: true"),
        ("evaluate:", "data: {header: false, columns: [a, a]}\nevaluate:", "'a' twice"),
        ("evaluate:", "data: {types: {churn: ignore}}\nevaluate:", "the target is ignored"),
        ("problem: binary", "problem: regression\n  positive_label: 'yes'",
         "given for a regression problem"),
        ("evaluate:", "deploy: {serving: lamda}\nevaluate:", "project.yml:5 deploy/serving"),
        ("evaluate:", "deploy: {production: {strategy: canary-10-percent}}\nevaluate:",
         "project.yml:5 deploy/production/strategy: 'canary-10-percent'; one of canary-10"),
        ("evaluate:", "deploy: {production: {strategy: all-at-onc}}\nevaluate:",
         "Did you mean 'all-at-once'?"),
        ("evaluate:", "deploy: {production: {strategy: {kind: linear, minutes: 600}}}\nevaluate:",
         "deploy/production/strategy: 9 steps of 600 minutes; at most 2880 minutes"),
        ("evaluate:", "deploy: {production: {strategy: {percent: 100}}}\nevaluate:",
         "deploy/production/strategy/percent: 100; input should be less than or equal to 99"),
        ("evaluate:", "deploy: {production: {instances: {min: 1}}}\nevaluate:",
         "deploy/production/instances/min: 1; input should be greater than or equal to 2"),
        ("evaluate:", "deploy: {production: {instances: {min: 5}}}\nevaluate:",
         "max: 4, with min: 5; at least as many as min. Set max to 5 or more."),
        ("evaluate:", "deploy: {api: {quota_per_day: 9}}\nevaluate:",
         "quota_per_day: given with auth: iam; auth: key."),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_the_fix(before, after, expected):
    assert before in MINIMAL
    assert expected in refusal(MINIMAL.replace(before, after, 1))


# Families that SageMaker's API knows for training, processing and hosting.
X86 = "c4 c5 c5n c6i c6in c7i c7i-flex c8i inf1 inf2 m4 m5 m6i m7i m7i-flex m8i-flex p2 p3 r5 r6i"
ARM = "c6g c6gd c6gn c7g c8g m6g m6gd m7g m8g p6e-gb200 r6g r6gd r7gd r8g t4g g5g"
WITH_STORAGE = "c5d c6id dl1 g4dn g5 g6 g6e g7e m5d p3dn p4d p4de p5 p5en p6-b200 r5d trn1 trn1n"


@pytest.mark.parametrize(
    ("families", "reason"),
    [(X86, None), (ARM, "x86 processors, as the image needs"),
     (WITH_STORAGE, "local storage, for which SageMaker takes no key")],
    ids=["x86", "arm", "storage"],
)  # fmt: skip
def test_machines_run_x86_images_and_take_the_projects_key(families, reason):
    places = [
        ("instances", "train"), ("instances", "endpoint"), ("deploy", "production", "instances"),
    ]  # fmt: skip
    for family, place in itertools.product(families.split(), places):
        section: dict[str, Any] = {"type": f"ml.{family}.2xlarge"}
        for key in reversed(place):
            section = {key: section}
        text = MINIMAL + yaml.safe_dump(section)
        if reason is None:
            settings.loads(text)
        else:
            assert f"{'/'.join(place)}/type: ml.{family}.2xlarge has " in refusal(text), family
            assert reason in refusal(text), family


def test_every_mistake_is_reported_at_once():
    lines = refusal("model: {name: X, problem: binary}\nevaluat: 1\n").splitlines()
    assert len(lines) == 4  # name, target, evaluate missing, evaluat unknown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no settings"),
        ("- 1\n", "no settings"),
        ("a: [", "project.yml:1"),
        ("a: !!x 1", "yml:1"),
    ],
)
def test_what_is_not_a_mapping_is_refused(text, expected):
    assert expected in refusal(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yml: no such file"):
        settings.load(tmp_path / "nowhere.yml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "project.yml"
    path.write_bytes(b"model: \xff")
    with pytest.raises(SettingsError, match="readable UTF-8"):
        settings.load(path)


def test_hyperparameters_are_read_from_strings():
    parsed = settings.parse_hyperparameters("xgboost", {"max_depth": "3", "eta": "0.5"})
    assert (parsed.max_depth, parsed.eta) == (3, 0.5)


@given(st.dictionaries(st.text(max_size=8), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)))  # fmt: skip
def test_no_document_brings_anything_but_settings_or_a_settings_error(document):
    try:
        settings.loads(yaml.safe_dump(document, allow_unicode=True))
    except SettingsError as error:
        assert str(error).startswith("project.yml")


def test_the_metrics_in_the_schema_are_those_of_the_table():
    description = settings.Evaluate.model_fields["metric"].description
    for metrics in settings.METRICS.values():
        for metric in metrics:
            assert f"`{metric}`" in description


def test_the_json_form_is_json():
    assert json.loads(settings.loads(MINIMAL).to_json())["model"]["name"] == "churn"
