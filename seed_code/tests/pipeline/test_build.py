"""The Build stage as buildspec.yml starts it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from mlsystem import settings
from mlsystem.names import Names
from pipeline import changes, configuration, files, images
from pipeline.__main__ import main

SEED_CODE = Path(__file__).parents[2]
PACKAGES = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn-p-1"
DIGEST = "sha256:" + 64 * "b"
DATA = {"Key": "data/a.csv", "Size": 1, "ETag": '"1"'}


@pytest.fixture
def run(aws, repository, variables, monkeypatch):
    monkeypatch.chdir(repository)
    return lambda: main(["build", "--output", "release"], aws)


def image_is_known(aws):
    aws.answers("ecr", "describe_images", {"imageDetails": [{"imageDigest": DIGEST}]})


def champion_is(aws, archive_uri=None):
    """The group has a version, with that archive, that was approved; or none."""
    if archive_uri is None:
        aws.packages()
    else:
        containers = [{"Image": "i", "ModelDataUrl": archive_uri}]
        aws.packages({"number": 3, "InferenceSpecification": {"Containers": containers}})


def data_was_there(aws):
    aws.answers("s3", "list_object_versions", {"DeleteMarkers": [{"Key": "data/a.csv"}]})
    aws.answers("s3", "list_objects_v2", {"Contents": [DATA]})


def executed_before(aws, *releases):
    summaries = [{"pipelineExecutionId": one, "status": "InProgress"} for one in releases]
    aws.answers(
        "codepipeline", "list_pipeline_executions", {"pipelineExecutionSummaries": summaries}
    )


def settings_are_uploaded(aws, variables, repository):
    names = Names(variables["PROJECT_KEY"], variables["RELEASE"])
    text = settings.load(repository / "project.yml").to_json().encode()
    aws.written(names.settings_key, text, ContentType="application/json")
    aws.written(names.inputs_key, ContentType="application/json")


def everything_is_new(aws, variables, repository, n_images=1):
    for _ in range(n_images):
        image_is_known(aws)
    champion_is(aws)
    data_was_there(aws)
    executed_before(aws)
    settings_are_uploaded(aws, variables, repository)


def test_what_later_stages_take_is_written(run, aws, variables, repository, capsys):
    everything_is_new(aws, variables, repository)
    assert run() == 0
    output = repository / "release"
    assert (output / "exports/TRAIN").read_text() == "yes\n"
    execution = json.loads((output / "workflow-input.json").read_text())
    assert execution["release"] == variables["RELEASE"]
    assert execution["image"] == f"{variables['CONTAINER_REPOSITORY_URI']}@{DIGEST}"
    assert execution["register"]["approval"] == "PendingManualApproval"
    assert execution["register"]["champion"] == "none"
    assert {tag["Key"]: tag["Value"] for tag in execution["tags"]} == {
        "sagemaker:project-name": "Churn",
        "sagemaker:project-id": "p-1",
        "mlsystem-project": "churn-p-1",
        "mlsystem:release": variables["RELEASE"],
    }
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Train: yes, no release has been trained before"
    )


@pytest.fixture
def with_production(variables, monkeypatch, repository):
    """The pipeline has a Prod stage, and the templates were synthesized."""
    monkeypatch.setenv("PRODUCTION", "yes")
    (repository / "release").mkdir()
    (repository / "release/prod.json").write_text("{}")
    return variables


def deployment_is_recorded(aws, variables):
    names = Names(variables["PROJECT_KEY"], variables["RELEASE"])
    once = {"ContentType": "application/json", "IfNoneMatch": "*"}
    aws.written(names.prod_template_key, b"{}", **once)
    aws.written(names.prod_configuration_key, **once)


def deployment_was_recorded(aws, variables, template):
    """By an earlier try of the same Build."""
    names = Names(variables["PROJECT_KEY"], variables["RELEASE"])
    aws.refuses("s3", "put_object", "PreconditionFailed")
    aws.object(names.prod_template_key, template)
    if template == "{}":
        aws.written(names.prod_configuration_key, IfNoneMatch="*", ContentType="application/json")


def production_of(repository):
    path = repository / "release/prod-configuration.json"
    return json.loads(path.read_text())["Parameters"]


def test_configurations_fit_their_templates(run, aws, with_production, repository, templates):
    everything_is_new(aws, with_production, repository, n_images=2)
    deployment_is_recorded(aws, with_production)
    assert run() == 0
    for name, template in templates.items():
        made = json.loads((repository / f"release/{name}-configuration.json").read_text())
        assert set(made) == {"Parameters", "Tags"}
        # What production uses of its account, that account says when the release is approved.
        lacking = template["Parameters"].keys() - made["Parameters"].keys()
        assert bool(lacking) == (name == "prod")
        assert lacking <= configuration.OF_PROJECT
        assert set(made["Parameters"]) <= set(template["Parameters"])
        for parameter, value in made["Parameters"].items():
            rule = template["Parameters"][parameter]
            assert re.search(rule.get("AllowedPattern", ""), value), parameter
            assert len(value) <= rule.get("MaxLength", 100), parameter
            if rule["Type"] == "Number":
                assert rule["MinValue"] <= float(value) <= rule["MaxValue"], parameter
        assert made["Tags"] == {
            "sagemaker:project-name": "Churn",
            "sagemaker:project-id": "p-1",
            "mlsystem-project": "churn-p-1",
        }


def test_production_gets_both_images_and_its_settings(
    run, aws, with_production, repository, monkeypatch
):
    everything_is_new(aws, with_production, repository, n_images=2)
    deployment_is_recorded(aws, with_production)
    assert run() == 0
    made = production_of(repository)
    assert made["ImageUri"] == f"{with_production['CONTAINER_REPOSITORY_URI']}@{DIGEST}"
    assert made["ApiImageUri"] == f"{with_production['API_REPOSITORY_URI']}@{DIGEST}"
    assert (made["ReleaseId"], made["Release"]) == (
        "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000",
        "5b1f-c831bf9b",
    )
    assert (made["TrafficShift"], made["AlarmsStop"]) == (
        "CodeDeployDefault.LambdaCanary10Percent5Minutes", "yes",
    )  # fmt: skip


def test_a_build_that_is_tried_again_finds_what_it_recorded(run, aws, with_production, repository):
    everything_is_new(aws, with_production, repository, n_images=2)
    deployment_was_recorded(aws, with_production, "{}")
    assert run() == 0


def test_a_recorded_deployment_is_not_replaced(run, aws, with_production, repository, capsys):
    everything_is_new(aws, with_production, repository, n_images=2)
    deployment_was_recorded(aws, with_production, '{"Resources": {}}')
    assert run() == 1
    assert "prod.json: another deployment of the same release" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("canary-10-percent-30-minutes", "CodeDeployDefault.LambdaCanary10Percent30Minutes"),
        ("linear-10-percent-every-1-minute",
         "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"),
        ("linear-10-percent-every-10-minutes",
         "CodeDeployDefault.LambdaLinear10PercentEvery10Minutes"),
        ("all-at-once", "CodeDeployDefault.LambdaAllAtOnce"),
        ("{kind: canary, percent: 10, minutes: 5}",
         "CodeDeployDefault.LambdaCanary10Percent5Minutes"),
        ("{kind: canary, percent: 20, minutes: 5}", "own"),
        ("{kind: canary, percent: 10, minutes: 7}", "own"),
        ("{kind: linear, percent: 10, minutes: 5}", "own"),
    ],
)  # fmt: skip
def test_a_strategy_that_codedeploy_has_is_called_by_its_name(strategy, expected, environment):
    text = (
        "model: {name: churn, problem: binary, target: churn}\n"
        "evaluate: {metric: roc_auc, threshold: 0.9}\n"
        f"deploy: {{by: pipeline, production: {{strategy: {strategy}}}}}\n"
    )
    names = Names("churn-p-1", "r-1")
    made = configuration.production(environment, settings.loads(text), names, "i", "a")
    assert made["Parameters"]["TrafficShift"] == expected


def test_numbers_are_written_without_an_exponent(environment):
    text = (
        "model: {name: churn, problem: binary, target: churn}\n"
        "evaluate: {metric: roc_auc, threshold: 0.9}\n"
        "deploy: {production: {instances: {target_invocations_per_minute: 10000000},"
        " alarms: {error_percent: 0.001}}}\n"
    )
    made = configuration.production(
        environment, settings.loads(text), Names("churn-p-1", "r-1"), "i", "a"
    )["Parameters"]
    assert (made["TargetInvocationsPerMinute"], made["AlarmErrorPercent"]) == ("10000000", "0.001")


def test_two_ways_into_production_are_refused(run, with_production, repository, capsys):
    project = repository / "project.yml"
    project.write_text(project.read_text().replace("by: pipeline", "by: workflow"))
    assert failed(run, capsys) == (
        "project.yml deploy/by: 'workflow'; pipeline, in a project whose pipeline has a Prod "
        "stage. Set by: pipeline, or update the project with Production: no."
    )


def test_the_champion_is_an_approved_version(run, aws, variables, repository):
    archive = f"s3://{variables['DATA_BUCKET']}/releases/r-0/model/j/output/model.tar.gz"
    image_is_known(aws)
    champion_is(aws, archive)
    data_was_there(aws)
    executed_before(aws)
    settings_are_uploaded(aws, variables, repository)
    assert run() == 0
    execution = json.loads((repository / "release/workflow-input.json").read_text())
    assert execution["evaluate"]["inputs"][-1]["S3Input"]["S3Uri"] == archive
    assert execution["register"]["champion"] == f"{PACKAGES}/3"


def test_documentation_alone_trains_nothing_and_writes_nothing_to_the_bucket(
    run, aws, variables, repository, capsys
):
    (repository / "README.md").write_text("better words")
    bucket = variables["DATA_BUCKET"]
    aws.answers("s3", "list_objects_v2", {"Contents": [DATA]})
    known = changes.ReleaseInputs(
        changes.code_digest(repository, repository / "release"),
        changes.settings_digest(settings.load(repository / "project.yml")),
        changes.data_digest(changes.data_files(aws("s3"), bucket, "data")),
    )
    image_is_known(aws)
    champion_is(aws)
    data_was_there(aws)
    executed_before(aws, variables["RELEASE"], "r-1")
    note = "releases/r-1/settings/inputs.json"
    aws.listing(note, note)
    aws.object(note, known.to_json())
    assert run() == 0
    assert (repository / "release/exports/TRAIN").read_text() == "no\n"
    expected = "Train: no, code, settings and data are those of release r-1"
    assert capsys.readouterr().out.splitlines()[-1] == expected


@pytest.fixture
def always(variables, monkeypatch):
    monkeypatch.setenv("RETRAIN", "always")
    return variables


def test_it_can_be_told_to_train(run, aws, always, repository, capsys):
    image_is_known(aws)
    champion_is(aws)
    data_was_there(aws)
    settings_are_uploaded(aws, always, repository)
    assert run() == 0
    assert "Train: yes, as the variable RETRAIN asks" in capsys.readouterr().out


def nobody_uploaded(aws, variables):
    aws.answers("s3", "list_object_versions", {}, Bucket=variables["DATA_BUCKET"],
                Prefix="data/", MaxKeys=1)  # fmt: skip


def repository_data_key(repository):
    path = repository / "data/churn.csv"
    return f"repository-data/{files.digest(repository / 'data', [path])}/churn.csv"


@pytest.mark.parametrize("is_there", [False, True])
def test_without_data_of_users_the_repositorys_are_taken_uploaded_once(
    run, aws, variables, repository, is_there
):
    image_is_known(aws)
    champion_is(aws)
    nobody_uploaded(aws, variables)
    key = repository_data_key(repository)
    uploaded = {"Contents": [{**DATA, "Key": key}]}
    aws.answers("s3", "list_objects_v2", uploaded if is_there else {})
    if not is_there:
        aws.written(key, (repository / "data/churn.csv").read_bytes())
    aws.answers("s3", "list_objects_v2", uploaded)
    executed_before(aws)
    settings_are_uploaded(aws, variables, repository)
    assert run() == 0
    execution = json.loads((repository / "release/workflow-input.json").read_text())
    (uri,) = (
        item["S3Input"]["S3Uri"]
        for item in execution["prepare"]["inputs"]
        if item["InputName"] == "data"
    )
    assert uri == f"s3://{variables['DATA_BUCKET']}/{key.rpartition('/')[0]}/"


def test_without_any_data_nothing_is_trained(run, aws, variables, repository, capsys):
    image_is_known(aws)
    champion_is(aws)
    nobody_uploaded(aws, variables)
    (repository / "data/churn.csv").unlink()
    aws.answers("s3", "list_objects_v2", {})
    aws.answers("s3", "list_objects_v2", {})
    assert run() == 0
    assert (repository / "release/exports/TRAIN").read_text() == "no\n"
    assert f"upload them to s3://{variables['DATA_BUCKET']}/data/" in capsys.readouterr().out


# --- mistakes -----------------------------------------------------------------------------------


def failed(run, capsys):
    """Return the last line of a build that failed."""
    assert run() == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err.splitlines()[-1]


def test_settings_that_are_not_accepted(run, repository, capsys):
    with (repository / "project.yml").open("a") as file:
        file.write("deplo: {}\n")
    assert "project.yml:4 deplo: unknown key 'deplo'" in failed(run, capsys)
    assert not (repository / "release").exists()


def test_a_dockerfile_that_does_not_build(run, aws, docker, capsys, repository):
    docker.fails_at("build")
    aws.refuses("ecr", "describe_images", "ImageNotFoundException")
    assert failed(run, capsys).startswith("container/Dockerfile: docker build ended with 2: ")
    assert not (repository / "release").exists()


def test_what_aws_refuses(run, aws, capsys):
    aws.refuses("ecr", "describe_images", "AccessDeniedException", message="not authorized")
    assert failed(run, capsys) == (
        "DescribeImages: AccessDeniedException: not authorized; an answer from AWS."
    )


def test_a_champion_of_another_bucket(run, aws, capsys):
    image_is_known(aws)
    champion_is(aws, "s3://somebody-elses/model.tar.gz")
    aws.answers("s3", "list_object_versions", {"Versions": [{"Key": "data/a.csv"}]})
    assert failed(run, capsys).startswith(
        "champion: 's3://somebody-elses/model.tar.gz'; an archive"
    )


@pytest.mark.parametrize("name", ["RELEASE", "DATA_BUCKET", "PERMISSIONS_BOUNDARY_ARN"])
def test_a_variable_that_is_missing(name, run, monkeypatch, capsys):
    monkeypatch.delenv(name)
    assert failed(run, capsys).startswith(f"environment variable {name}: not set; a value")


def test_a_variable_with_another_value(run, monkeypatch, capsys):
    monkeypatch.setenv("RETRAIN", "never")
    expected = "environment variable RETRAIN: 'never'; when-changed or always."
    assert failed(run, capsys) == expected


@pytest.mark.parametrize("arguments", [[], ["buil"], ["build"], ["test"]])
def test_a_wrong_command_line(arguments, aws, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments, aws)
    assert caught.value.code == 2
    assert "usage: python -m pipeline" in capsys.readouterr().err


# --- the repository's own -----------------------------------------------------------------------


def test_the_digest_of_our_image_can_be_computed():
    assert re.fullmatch(
        "[0-9a-f]{64}", images.content_digest(SEED_CODE, Path("container/Dockerfile"))
    )


@pytest.mark.parametrize("name", ["buildspec.yml", "buildspec-test.yml", "buildspec-release.yml"])
def test_a_buildspec_runs_programs_and_exports_files_that_they_write(name):
    document = yaml.safe_load((SEED_CODE / name).read_text())
    assert document["version"] == 0.2
    commands = [line for phase in document["phases"].values() for line in phase["commands"]]
    assert all(re.match(r"python -m \w+ |export [A-Z]+=", command) for command in commands)
    assert "post_build" not in document["phases"]
    exported = document.get("env", {}).get("exported-variables", [])
    exports = [command for command in commands if command.startswith("export")]
    assert exports == [f'export {one}="$(cat release/exports/{one})"' for one in exported]


def test_the_artifact_is_what_the_pipeline_takes():
    document = yaml.safe_load((SEED_CODE / "buildspec.yml").read_text())
    assert sorted(document["artifacts"]["files"]) == [
        "dev-configuration.json", "dev.json", "prod*.json", "workflow-configuration.json",
        "workflow-input.json", "workflow.json",
    ]  # fmt: skip
