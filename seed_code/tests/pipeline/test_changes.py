"""Documentation alone does not retrain; code, settings and data do."""

from __future__ import annotations

import pytest

from mlsystem import settings
from mlsystem.names import Names
from pipeline import changes, releases
from pipeline.changes import ReleaseInputs

INPUTS = ReleaseInputs(code="c", settings="s", data="d")


# --- code ---------------------------------------------------------------------------------------


def digest(repository):
    return changes.code_digest(repository, repository / "release")


@pytest.mark.parametrize(
    "name",
    ["README.md", "mlsystem/README.md", "docs/how.txt", "docs/new.py", "tests/test_model.py",
     "data/churn.csv", "project.yml", "LICENSE", ".gitignore", ".github/workflow.yml",
     "release/workflow.json", "mlsystem/__pycache__/a.pyc"],
)  # fmt: skip
def test_what_changes_no_model_is_not_code(name, repository):
    before = digest(repository)
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something new")
    assert digest(repository) == before


@pytest.mark.parametrize(
    "name",
    ["mlsystem/model.py", "mlsystem/data/split.py", "mlsystem/docs/a.py", "container/Dockerfile",
     "infrastructure/stack.py", "pipeline/acceptance.py", "buildspec.yml", "new_folder/a",
     "container/requirements.txt", ".dockerignore"],
)  # fmt: skip
def test_all_else_is(name, repository):
    before = digest(repository)
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("something new")
    assert digest(repository) != before


# --- settings and data --------------------------------------------------------------------------

SETTINGS = (
    "model: {name: churn, problem: binary, target: churn}\n"
    "evaluate: {metric: roc_auc, threshold: 0.9}\n"
)


def test_settings_are_what_they_mean():
    def digest_of(text):
        return changes.settings_digest(settings.loads(text))

    with_a_default = f"# a comment\n{SETTINGS}deploy: {{by: pipeline}}\n"
    assert digest_of(SETTINGS) == digest_of(with_a_default)
    assert digest_of(SETTINGS) != digest_of(SETTINGS.replace("0.9", "0.91"))


def test_data_are_names_sizes_and_tags(aws, environment):
    def digest_of(*contents):
        aws.answers(
            "s3", "list_objects_v2", {"Contents": list(contents)},
            Bucket=environment.data_bucket, Prefix="data/",
        )  # fmt: skip
        return changes.data_digest(changes.data_files(aws("s3"), environment.data_bucket, "data"))

    first = {"Key": "data/a.csv", "Size": 1, "ETag": '"1"'}
    versions = [
        (), (first,), ({**first, "ETag": '"2"'},), ({**first, "Key": "data/b.csv"},),
        (first, {**first, "Key": "data/b.csv"}),
    ]  # fmt: skip
    assert len({digest_of(*contents) for contents in versions}) == len(versions)
    assert digest_of(first) == digest_of(first)


# --- the decision -------------------------------------------------------------------------------


def test_the_first_release_trains():
    decision = changes.decide(INPUTS, None)
    assert (decision.train, decision.reason) == (True, "no release has been trained before")


def test_the_same_inputs_do_not_train_again():
    decision = changes.decide(INPUTS, ("r-1", INPUTS))
    assert not decision.train
    assert decision.reason == "code, settings and data are those of release r-1"


@pytest.mark.parametrize("part", ["code", "settings", "data"])
def test_any_change_trains(part):
    before = ReleaseInputs(**{**vars(INPUTS), part: "other"})
    decision = changes.decide(INPUTS, ("r-1", before))
    assert (decision.train, decision.reason) == (True, f"{part} changed since release r-1")


# --- earlier releases ---------------------------------------------------------------------------


def executed(aws, *executions):
    """Announce the pipeline's executions, newest first: id, status."""
    aws.answers(
        "codepipeline", "list_pipeline_executions",
        {"pipelineExecutionSummaries": [
            {"pipelineExecutionId": release, "status": status} for release, status in executions
        ]},
    )  # fmt: skip


@pytest.fixture
def newest(aws, environment):
    def find():
        names = Names(environment.project_key, environment.release)
        return releases.newest_trained(
            aws("codepipeline"), aws("s3"), "churn-p-1", environment.data_bucket, names
        )

    return find


def note(release):
    return f"releases/{release}/settings/inputs.json"


def verdict(release):
    return f"releases/{release}/evaluation/evaluation.json"


def test_no_other_execution(aws, newest, environment):
    executed(aws, (environment.release, "InProgress"))
    assert newest() is None


def test_the_newest_with_a_verdict_counts_however_it_ended(aws, newest, environment):
    executed(aws, (environment.release, "InProgress"), ("untrained", "Succeeded"),
             ("broken", "Failed"), ("rejected", "Failed"), ("older", "Succeeded"))  # fmt: skip
    aws.listing(note("untrained"))
    aws.listing(note("broken"), note("broken"))
    aws.listing(verdict("broken"))
    aws.listing(note("rejected"), note("rejected"))
    aws.listing(verdict("rejected"), verdict("rejected"))
    aws.object(note("rejected"), INPUTS.to_json())
    assert newest() == ("rejected", INPUTS)


def test_a_release_that_is_being_trained_counts(aws, newest, environment):
    executed(aws, (environment.release, "InProgress"), ("running", "InProgress"))
    aws.listing(note("running"), note("running"))
    aws.object(note("running"), INPUTS.to_json())
    assert newest() == ("running", INPUTS)


def test_another_key_with_the_same_beginning_does_not_count(aws, newest):
    executed(aws, ("r-1", "Succeeded"))
    aws.listing(note("r-1"), note("r-1") + ".bak")
    assert newest() is None


def test_a_note_that_cannot_be_read_trains_again(aws, newest, capsys):
    executed(aws, ("running", "InProgress"))
    aws.listing(note("running"), note("running"))
    aws.object(note("running"), '{"version": 2}')
    assert newest() is None
    assert "Training again, because of s3://" in capsys.readouterr().out
