"""The input of an execution: complete, acceptable to AWS, and refused early where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.workflow_input import workflow_input
from mlsystem import settings as project_settings
from mlsystem.errors import SettingsError, UserError
from mlsystem.names import Names
from mlsystem.settings import HYPERPARAMETERS, METRICS, Settings, parse_hyperparameters

MINIMAL = {
    "model": {"name": "churn", "problem": "binary", "target": "churn"},
    "evaluate": {"metric": "roc_auc", "threshold": 0.9},
}
ARCHIVE = "s3://bucket/releases/r-0/model/churn-train-r-0/output/model.tar.gz"
IMAGE = "repository/image@sha256:abc"


def make(
    document: dict[str, Any] = MINIMAL, names: tuple[str, str] = ("churn", "r-1"), **rest: Any
) -> dict[str, Any]:
    settings = project_settings.loads(json.dumps(document))
    arguments = {"bucket": "bucket", "image_uri": IMAGE, **rest}
    return workflow_input(settings, Names(*names), **arguments)


# --- any settings -------------------------------------------------------------------------------

NAME = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
INSTANCE = st.builds(
    lambda size, volume, minutes: {
        "type": f"ml.m5.{size}", "volume_gb": volume, "timeout_minutes": minutes,
    },
    st.sampled_from(["large", "xlarge", "24xlarge"]),
    st.integers(1, 16_384),
    st.integers(1, 7_200),
)  # fmt: skip
HYPERPARAMETER_VALUES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "xgboost": {
        "num_round": st.integers(1, 10_000), "max_depth": st.integers(1, 20),
        "eta": st.floats(1e-9, 1), "gamma": st.floats(0, 1e300),
        "subsample": st.floats(0.01, 1), "early_stopping_rounds": st.integers(0, 100),
    },
    "linear": {"l2": st.floats(0, 1e300), "max_iterations": st.integers(1, 1_000_000)},
    "decision_tree": {
        "max_depth": st.integers(1, 64), "min_samples_leaf": st.integers(1, 1_000),
        "max_leaf_nodes": st.integers(2, 1_000),
    },
}  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    problem = draw(st.sampled_from(sorted(METRICS)))
    algorithm = draw(st.sampled_from(sorted(HYPERPARAMETERS)))
    values = HYPERPARAMETER_VALUES[algorithm]
    return {
        "model": {
            "name": draw(NAME), "problem": problem, "target": draw(st.text("ab", min_size=1)),
            "algorithm": algorithm, "seed": draw(st.integers(0, 2**31 - 1)),
            "hyperparameters": draw(st.fixed_dictionaries({}, optional=values)),
        },
        "evaluate": {
            "metric": draw(st.sampled_from(sorted(METRICS[problem]))),
            "threshold": draw(st.floats(-1e9, 1e9)), "champion": draw(st.booleans()),
        },
        "deploy": {"by": draw(st.sampled_from(["workflow", "pipeline"]))},
        "instances": draw(
            st.fixed_dictionaries({"prepare": INSTANCE, "train": INSTANCE, "evaluate": INSTANCE})
        ),
    }  # fmt: skip


@given(documents(), st.none() | st.just(ARCHIVE))
def test_any_settings_give_an_input_that_aws_can_read(document, champion):
    made = make(document, champion_uri=champion)
    text = json.dumps(made, allow_nan=False)
    assert len(text.encode()) < 100_000  # an execution's input may have 262,144 bytes
    hyperparameters = made["train"]["hyperparameters"]
    assert len(hyperparameters) <= 100
    for name, value in hyperparameters.items():
        assert isinstance(value, str), name
        assert 0 < len(value) <= 2_500, name
    for section in ("prepare", "train", "evaluate"):
        assert made[section]["timeout_seconds"] > made[section]["max_runtime_seconds"] > 0


@given(documents())
def test_the_training_job_reads_the_hyperparameters_that_the_settings_mean(document):
    model = project_settings.loads(json.dumps(document)).model
    passed = make(document)["train"]["hyperparameters"]
    assert passed.pop("algorithm") == model.algorithm
    assert passed.pop("seed") == str(model.seed)
    assert passed.pop("model_name") == model.name
    expected = parse_hyperparameters(model.algorithm, dict(model.hyperparameters))
    assert parse_hyperparameters(model.algorithm, passed) == expected


# --- the contract with the container ------------------------------------------------------------


def test_locations_of_the_processing_jobs():
    made = make(champion_uri=ARCHIVE)
    release = "s3://bucket/releases/r-1"
    prefix = "/opt/ml/processing"
    inputs = {
        section: {
            item["InputName"]: (item["S3Input"]["S3Uri"], item["S3Input"]["LocalPath"])
            for item in made[section]["inputs"]
        }
        for section in ("prepare", "evaluate")
    }
    assert inputs["prepare"] == {
        "settings": (f"{release}/settings/project.json", f"{prefix}/input/settings"),
        "data": ("s3://bucket/data/", f"{prefix}/input/data"),
    }
    model = f"{release}/model/churn-train-r-1/output"
    assert inputs["evaluate"] == {
        "settings": (f"{release}/settings/project.json", f"{prefix}/input/settings"),
        "model": (f"{model}/model.tar.gz", f"{prefix}/input/model"),
        "training_output": (f"{model}/output.tar.gz", f"{prefix}/input/training_output"),
        "train": (f"{release}/data/train/", f"{prefix}/input/train"),
        "validation": (f"{release}/data/validation/", f"{prefix}/input/validation"),
        "test": (f"{release}/data/test/", f"{prefix}/input/test"),
        "champion": (ARCHIVE, f"{prefix}/input/champion"),
    }
    outputs = [
        (item["S3Output"]["S3Uri"], item["S3Output"]["LocalPath"])
        for section in ("prepare", "evaluate")
        for item in made[section]["outputs"]
    ]
    assert outputs == [
        (f"{release}/data", f"{prefix}/output/data"),
        (f"{release}/evaluation", f"{prefix}/output/evaluation"),
    ]


def test_channels_and_output_of_the_training_job():
    train = make()["train"]
    assert {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3Uri"]
        for channel in train["channels"]
    } == {
        name: f"s3://bucket/releases/r-1/data/{name}/" for name in ("train", "validation", "schema")
    }
    assert train["output_uri"] == "s3://bucket/releases/r-1/model"


def test_a_repeated_registration_is_recognized():
    token = make()["register"]["client_token"]
    assert token == make()["register"]["client_token"]
    assert token != make(names=("churn", "r-2"))["register"]["client_token"]
    assert token != make(names=("churn2", "r-1"))["register"]["client_token"]


# --- the champion -------------------------------------------------------------------------------


def _champion_inputs(made: dict[str, Any]) -> list[str]:
    inputs = made["evaluate"]["inputs"]
    return [item["S3Input"]["S3Uri"] for item in inputs if item["InputName"] == "champion"]


def test_without_a_champion_there_is_no_such_input():
    assert _champion_inputs(make()) == []
    assert make()["register"]["champion"] == "none"


def test_a_champion_is_compared_and_recorded():
    made = make(champion_uri=ARCHIVE, champion_package="arn:package/3")
    assert _champion_inputs(made) == [ARCHIVE]
    assert made["register"]["champion"] == "arn:package/3"
    assert make(champion_uri=ARCHIVE)["register"]["champion"] == ARCHIVE


def test_settings_that_want_no_comparison_get_none():
    document = {**MINIMAL, "evaluate": {**MINIMAL["evaluate"], "champion": False}}
    made = make(document, champion_uri=ARCHIVE, champion_package="arn:package/3")
    assert _champion_inputs(made) == []
    assert made["register"]["champion"] == "none"


@pytest.mark.parametrize(
    "uri",
    [
        "model.tar.gz", "s3://other/releases/r/model/x/output/model.tar.gz",
        "s3://bucket/releases/r/model/x/output/", "s3://bucket/releases/r/data/model.tar.gz",
        "s3://bucketXreleases/r/model/model.tar.gz",
    ],
)  # fmt: skip
def test_a_champion_that_the_job_could_not_read_is_refused(uri):
    with pytest.raises(UserError) as caught:
        make(champion_uri=uri)
    assert str(caught.value).startswith(f"champion: {uri!r}; an archive that a release has put")


# --- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (("Churn", "r"), "project name: 'Churn'"),
        (("a--b", "r"), "project name: 'a--b'"),
        (("a-", "r"), "project name: 'a-'"),
        (("p" * 46, "r"), f"project name: {'p' * 46!r}, 46 characters; at most 45."),
        (("churn", "r-"), "release: 'r-'"),
    ],
)
def test_a_name_that_aws_or_the_roles_would_refuse(names, where):
    with pytest.raises(UserError) as caught:
        make(names=names)
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize("image", ["", "an image", "i" * 256])
def test_an_image_that_is_none(image):
    with pytest.raises(UserError, match="image: "):
        make(image_uri=image)


@pytest.mark.parametrize("name", ["algorithm", "seed", "model_name"])
def test_a_hyperparameter_of_ones_own_cannot_take_our_names(name):
    with pytest.raises(SettingsError, match=f"model/hyperparameters/{name}: a name that the"):
        workflow_input(_own_algorithm({name: "x"}), Names("churn", "r"), "bucket", IMAGE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"long": "x" * 2_501}, "model/hyperparameters/long: 2,501 characters; at most 2,500."),
        (
            {f"h{number}": 1 for number in range(98)},
            "model/hyperparameters: 98 hyperparameters; at most 97.",
        ),
    ],
)
def test_what_a_training_job_cannot_take(values, message):
    with pytest.raises(SettingsError, match=message):
        workflow_input(_own_algorithm(values), Names("churn", "r"), "bucket", IMAGE)


def test_values_of_ones_own_algorithm_become_text():
    own = {"depth": 3, "rate": 0.5, "fast": True, "mode": "a b"}
    made = workflow_input(_own_algorithm(own), Names("churn", "r"), "bucket", IMAGE)
    passed = made["train"]["hyperparameters"]
    assert {name: passed[name] for name in own} == {
        "depth": "3", "rate": "0.5", "fast": "true", "mode": "a b",
    }  # fmt: skip


def _own_algorithm(hyperparameters: dict[str, Any]) -> Settings:
    """Return settings of a module in mlsystem/algorithms/ that this checkout does not have."""
    settings = project_settings.loads(json.dumps(MINIMAL))
    changes = {"algorithm": "forest", "hyperparameters": hyperparameters}
    return settings.model_copy(update={"model": settings.model.model_copy(update=changes)})
