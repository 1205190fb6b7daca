"""Builds are real processes that run a buildspec."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from local_cloud.codebuild.__main__ import main as codebuild_main
from local_cloud.codebuild.buildspec import BuildspecError, parse

from .conftest import MakeRole, wait_for

BUCKET = "builds"
StartBuild = Callable[..., Any]
PATIENCE = 120.0


@pytest.fixture(scope="module")
def role(cloud: LocalCloud, make_role: MakeRole) -> str:
    cloud.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    return make_role(
        (["logs:CreateLogStream", "logs:PutLogEvents", "logs:CreateLogGroup"], "*"),
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
        ("sts:GetCallerIdentity", "*"),
        (["ecr:*"], "*"),
        ("codebuild:CreateReportGroup", "arn:aws:codebuild:*:*:report-group/p-*-tests"),
        service="codebuild.amazonaws.com",
    )


@pytest.fixture
def project(cloud: LocalCloud, role: str) -> str:
    name = f"p-{uuid.uuid4().hex[:8]}"
    cloud.client("codebuild").create_project(
        name=name,
        source={"type": "CODEPIPELINE", "buildspec": "buildspec.yml"},
        artifacts={"type": "CODEPIPELINE"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:6.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "OF_PROJECT", "value": "one"}],
        },
        serviceRole=role,
    )
    return name


@pytest.fixture
def start(cloud: LocalCloud, project: str) -> StartBuild:
    """Start a build of a source with these files; give its id."""

    def begin(buildspec: str, files: dict[str, str] | None = None, **options: Any) -> str:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for name, text in {"buildspec.yml": buildspec, **(files or {})}.items():
                archive.writestr(name, text)
        key = f"source/{project}.zip"
        cloud.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content.getvalue())
        answer = cloud.client("codebuild").start_build(
            projectName=project,
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{BUCKET}/{key}",
            **options,
        )
        return str(answer["build"]["id"])

    return begin


def describe(cloud: LocalCloud, build_id: str) -> dict[str, Any]:
    (build,) = cloud.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
    return dict(build)


def finish(cloud: LocalCloud, build_id: str) -> dict[str, Any]:
    def ended() -> Any:
        build = describe(cloud, build_id)
        return build if build["buildComplete"] else None

    return dict(wait_for(ended, PATIENCE))


def log(cloud: LocalCloud, build: dict[str, Any]) -> str:
    logs = build["logs"]
    answer = cloud.client("logs").get_log_events(
        logGroupName=logs["groupName"], logStreamName=logs["streamName"]
    )
    return "\n".join(event["message"] for event in answer["events"])


def phases(build: dict[str, Any]) -> dict[str, str]:
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def archive(cloud: LocalCloud, key: str) -> dict[str, bytes]:
    body = cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def place(name: str, **more: str) -> dict[str, str]:
    return {
        "type": "S3", "location": BUCKET, "path": "out", "name": name, "packaging": "ZIP", **more,
    }  # fmt: skip


def test_a_build_runs_its_phases_and_leaves_artifacts(
    cloud: LocalCloud, start: StartBuild, project: str, role: str
) -> None:
    buildspec = """
version: 0.2
env:
  shell: bash
  variables: {OF_SPEC: two, OF_START: spec}
  exported-variables: [MADE, LINES, NEVER]
phases:
  install:
    runtime-versions: {python: "3.13"}
    commands:
      - mkdir -p out/deep && cd out
      - export MADE="$OF_PROJECT $OF_SPEC $OF_START"
  pre_build:
    commands:
      - |
        LINES="first
        'second'"
        export LINES
      - aws sts get-caller-identity --query Arn --output text
      - python -c 'import sys; print(sys.prefix)'
      - pip --version
  build:
    commands:
      - echo "$MADE" > deep/made.txt   # still in out
      - env | sort > env.txt
      - cat ../data.txt
    finally:
      - echo finally > finally.txt
artifacts:
  base-directory: out
  files: ["**/*"]
  secondary-artifacts:
    Flat: {files: [out/deep/made.txt, data.txt], discard-paths: "yes"}
"""
    build_id = start(
        buildspec,
        {"data.txt": "the data\n"},
        environmentVariablesOverride=[{"name": "OF_START", "value": "three"}],
        artifactsOverride=place("all.zip"),
        secondaryArtifactsOverride=[place("flat.zip", artifactIdentifier="Flat")],
        sourceVersion="abc",
    )
    build = finish(cloud, build_id)
    said = log(cloud, build)
    assert build["buildStatus"] == "SUCCEEDED", said
    assert set(phases(build).values()) == {"SUCCEEDED", ""}
    assert list(phases(build))[-3:] == ["UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"]
    exported = {_["name"]: _["value"] for _ in build["exportedEnvironmentVariables"]}
    assert exported == {"MADE": "one two three", "LINES": "first\n'second'", "NEVER": ""}
    files = archive(cloud, "out/all.zip")
    assert set(files) == {"deep/made.txt", "env.txt", "finally.txt"}
    assert archive(cloud, "out/flat.zip") == {
        "made.txt": b"one two three\n",
        "data.txt": b"the data\n",
    }
    variables = dict(line.partition("=")[::2] for line in files["env.txt"].decode().splitlines())
    assert variables["CODEBUILD_BUILD_ID"] == build_id
    assert variables["CODEBUILD_RESOLVED_SOURCE_VERSION"] == "abc"
    assert variables["CODEBUILD_BUILD_SUCCEEDING"] == "1"
    assert "PYTEST_CURRENT_TEST" not in variables
    assert f"assumed-role/{role.rpartition('/')[2]}/codebuild" in said
    assert "the data" in said
    assert str(cloud.root / "python") in said
    assert "of this machine stands for 3.13" in said
    assert build["logs"]["groupName"] == f"/aws/codebuild/{project}"
    assert not list((cloud.root / "codebuild" / project).iterdir())


def test_a_command_that_fails_is_named(cloud: LocalCloud, start: StartBuild) -> None:
    buildspec = """
version: 0.2
phases:
  build:
    commands: [echo one, (exit 3), echo never-said]
    finally: [echo finally-said]
  post_build:
    commands: [echo "succeeding=$CODEBUILD_BUILD_SUCCEEDING"]
"""
    build = finish(cloud, start(buildspec))
    said = log(cloud, build)
    assert build["buildStatus"] == "FAILED"
    assert (phases(build)["BUILD"], phases(build)["POST_BUILD"]) == ("FAILED", "SUCCEEDED")
    (context,) = next(_ for _ in build["phases"] if _["phaseType"] == "BUILD")["contexts"]
    assert context["statusCode"] == "COMMAND_EXECUTION_ERROR"
    assert context["message"] == ("Error while executing command: (exit 3). Reason: exit status 3")
    assert "echo never-said" not in said
    assert "finally-said" in said
    assert "succeeding=0" in said


@pytest.mark.parametrize(("phase", "goes_on"), [("install", "ABORT"), ("install", "CONTINUE")])
def test_what_follows_a_failure(
    cloud: LocalCloud, start: StartBuild, phase: str, goes_on: str
) -> None:
    buildspec = f"""
version: 0.2
phases:
  {phase}: {{on-failure: {goes_on}, commands: [exit 4]}}
  build: {{commands: [echo built]}}
"""
    build = finish(cloud, start(buildspec))
    assert build["buildStatus"] == "FAILED"
    assert ("BUILD" in phases(build)) is (goes_on == "CONTINUE")


REPORTS = """
version: 0.2
phases: {build: {commands: ["true"]}}
reports: {GROUP: {files: [tests.xml], file-format: JUNITXML}}
"""


def test_a_build_makes_its_report_group_once(
    cloud: LocalCloud, start: StartBuild, project: str
) -> None:
    codebuild = cloud.client("codebuild")
    for _ in range(2):
        build = finish(cloud, start(REPORTS.replace("GROUP", "tests")))
        assert build["buildStatus"] == "SUCCEEDED", build["phases"]
    [arn] = [arn for arn in codebuild.list_report_groups()["reportGroups"] if project in arn]
    assert arn.endswith(f":report-group/{project}-tests")
    codebuild.delete_report_group(arn=arn, deleteReports=True)
    codebuild.delete_report_group(arn=arn, deleteReports=True)
    assert arn not in codebuild.list_report_groups()["reportGroups"]


def test_a_report_group_needs_the_build_role(cloud: LocalCloud, start: StartBuild) -> None:
    build = finish(cloud, start(REPORTS.replace("GROUP", "others")))
    assert phases(build)["UPLOAD_ARTIFACTS"] == "FAILED"
    assert "codebuild:CreateReportGroup" in log(cloud, build)


def test_a_build_is_stopped(cloud: LocalCloud, start: StartBuild) -> None:
    build_id = start("version: 0.2\nphases: {build: {commands: [echo started, sleep 600]}}")
    wait_for(lambda: "started" in log_if_any(cloud, build_id), PATIENCE)
    cloud.client("codebuild").stop_build(id=build_id)
    build = finish(cloud, build_id)
    assert (build["buildStatus"], phases(build)["BUILD"]) == ("STOPPED", "STOPPED")


def log_if_any(cloud: LocalCloud, build_id: str) -> str:
    try:
        return log(cloud, describe(cloud, build_id))
    except ClientError:
        return ""


@pytest.mark.parametrize(
    ("buildspec", "message"),
    [
        ("version: 0.1\nphases: {build: {commands: [a]}}", "/version"),
        ("version: 0.2", "/phases"),
        ("version: 0.2\nphases: {biuld: {commands: [a]}}", "/phases/biuld"),
        ("version: 0.2\nphases: {build: {comands: [a]}}", "/phases/build/comands"),
        ("version: 0.2\nphases: {build: {commands: [{a: b}]}}", "/phases/build/commands/0"),
        ("version: 0.2\nenv: {parameter-store: {A: b}}\nphases: {}", "/env/parameter-store"),
        ("version: 0.2\ncache: {paths: [a]}\nphases: {}", "/cache"),
        (
            "version: 0.2\nphases: {install: {runtime-versions: {java: 17}}}",
            "/phases/install/runtime-versions/java",
        ),
        ("version: 0.2\nphases: {build: {on-failure: RETRY}}", "/phases/build/on-failure"),
        ("phases: [", "no YAML"),
        ("- a", "an object"),
    ],
)
def test_what_a_buildspec_may_not_say(buildspec: str, message: str) -> None:
    with pytest.raises(BuildspecError, match=message):
        parse(buildspec)


@pytest.mark.parametrize(
    ("buildspec", "phase", "message"),
    [
        ("version: 0.3\nphases: {}", "DOWNLOAD_SOURCE", "version 0.2"),
        (
            "version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: [no/*]}",
            "UPLOAD_ARTIFACTS",
            "no file matches",
        ),
    ],
)
def test_a_build_says_what_is_wrong_with_its_file(
    cloud: LocalCloud, start: StartBuild, buildspec: str, phase: str, message: str
) -> None:
    build = finish(cloud, start(buildspec, artifactsOverride=place("x.zip")))
    assert build["buildStatus"] == "FAILED"
    (context,) = next(_ for _ in build["phases"] if _["phaseType"] == phase)["contexts"]
    assert message in context["message"]


def test_the_build_makes_and_pushes_an_image(cloud: LocalCloud, start: StartBuild) -> None:
    repository = cloud.client("ecr").create_repository(repositoryName="app")["repository"]
    uri = repository["repositoryUri"]
    host = uri.partition("/")[0]
    buildspec = f"""
version: 0.2
env: {{exported-variables: [IMAGE, MISSING]}}
phases:
  build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin {host}
      - docker build --build-arg NAME=x -t {uri}:v1 app
      - docker push {uri}:v1
      - >-
        export IMAGE="$(aws ecr describe-images --repository-name app --image-ids imageTag=v1
        --query 'imageDetails[0].imageDigest' --output text)"
      - if aws ecr describe-images --repository-name app --image-ids imageTag=v2; then false; fi
      - export MISSING=yes
"""
    dockerfile = 'FROM scratch\nARG NAME\nENV N=$NAME\nCOPY a.txt /a.txt\nENTRYPOINT ["/a.txt"]\n'
    build = finish(cloud, start(buildspec, {"app/Dockerfile": dockerfile, "app/a.txt": "a"}))
    assert build["buildStatus"] == "SUCCEEDED", log(cloud, build)
    (image,) = cloud.client("ecr").describe_images(repositoryName="app")["imageDetails"]
    exported = {_["name"]: _["value"] for _ in build["exportedEnvironmentVariables"]}
    assert exported == {"IMAGE": image["imageDigest"], "MISSING": "yes"}
    assert image["imageTags"] == ["v1"]


def test_a_source_that_the_role_may_not_read_fails_the_build(
    cloud: LocalCloud, project: str
) -> None:
    answer = cloud.client("codebuild").start_build(
        projectName=project, sourceTypeOverride="S3", sourceLocationOverride="other/source.zip"
    )
    build = finish(cloud, answer["build"]["id"])
    assert (build["buildStatus"], phases(build)["DOWNLOAD_SOURCE"]) == ("FAILED", "FAILED")


def test_what_a_project_may_not_be(cloud: LocalCloud, project: str, make_role: MakeRole) -> None:
    client = cloud.client("codebuild")
    with pytest.raises(ClientError, match="started by a pipeline"):
        client.start_build(projectName=project)
    with pytest.raises(ClientError, match="cannot be found"):
        client.start_build(projectName="none")
    (known,) = client.batch_get_projects(names=[project])["projects"]
    given = {key: known[key] for key in ("source", "artifacts", "environment", "serviceRole")}
    with pytest.raises(ClientError, match="already exists"):
        client.create_project(name=project, **given)
    with pytest.raises(ClientError, match="vpcConfig"):
        client.create_project(name="x1", **given, vpcConfig={"vpcId": "vpc-1"})
    with pytest.raises(ClientError, match="cache LOCAL"):
        client.create_project(name="x1", **given, cache={"type": "LOCAL"})
    secret = {"name": "A", "value": "b", "type": "PARAMETER_STORE"}
    environment = {**known["environment"], "environmentVariables": [secret]}
    with pytest.raises(ClientError, match="PARAMETER_STORE"):
        client.create_project(name="x1", **{**given, "environment": environment})
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        client.create_project(name="x1", **{**given, "serviceRole": make_role()})
    assert "x1" not in client.list_projects()["projects"]


def test_the_stand_ins_refuse_the_rest_by_name(
    cloud: LocalCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    from local_cloud.codebuild import aws
    from local_cloud.images import docker

    monkeypatch.setenv("LOCAL_CLOUD_DOCKER", str(tmp_path / "names"))
    monkeypatch.setenv("LOCAL_CLOUD_STORE", str(tmp_path / "store"))
    assert docker.main(["run", "x"]) == 1
    assert "run" in capsys.readouterr().err
    assert docker.main(["push", "host/app:v1"]) == 1
    assert "No such image" in capsys.readouterr().err
    assert aws.main(["s3", "sync", "a", "b"]) == 252
    assert aws.main(["ecr", "fly"]) == 252
    assert aws.main(["ecr", "describe-images", "--repository-name", "none"]) == 254
    assert "RepositoryNotFoundException" in capsys.readouterr().err
    assert aws.main(["sts", "get-caller-identity", "--query", "Account", "--output", "text"]) == 0
    assert capsys.readouterr().out == f"{cloud.account_id}\n"
    assert (
        aws.main(["ssm", "put-parameter", "--name", "/a", "--value", "1", "--type", "String"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["Version"] == 1


def test_what_builds_install_is_installed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    install = {"install": {"commands": ["python -c 'import sys; print(sys.prefix)' > prefix"]}}
    other = {"build": {"commands": ["exit 1"]}}
    text = yaml.safe_dump({"version": 0.2, "phases": {**install, **other}})
    (source / "buildspec.yml").write_text(text.replace("> prefix", f"> {tmp_path / 'prefix'}"))
    monkeypatch.chdir(tmp_path)
    assert codebuild_main(["install", "source", "--store", "local/docker"]) == 0
    prefix = Path((tmp_path / "prefix").read_text().strip())
    assert prefix.is_relative_to(tmp_path / "local/python")
