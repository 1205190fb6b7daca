"""Image 2 as it ships, in the local cloud: assets, guard and API of a project's first release."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.images import STORE, Registry, build
from mlsystem import archive
from mlsystem.artifacts import GoldenRequest, GoldenRequests

from .cloudformation.conftest import Driver
from .conftest import MakeRole

ROOT = Path(__file__).parents[2]
RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
KEY, BUCKET = "churn-p-1", "churn-p-1-data"
MODEL_KEY = f"releases/{RELEASE}/model/job/output/model.tar.gz"
ROW = {"x": 1, "y": 2, "size": "high"}  # sigmoid(4), see the fixture that makes the model
JSON = "application/json"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An account that shares the repository's layers, which take a while to install."""
    root = tmp_path_factory.mktemp("local")
    (root / "docker").symlink_to(ROOT / STORE)
    with LocalCloud(root, wait_factor=0.001) as started:
        yield started


@pytest.fixture(scope="module")
def image_uri(cloud: LocalCloud) -> str:
    context = ROOT / "seed_code"
    image = build(context, context / "api" / "Dockerfile", cloud.root / "docker")
    cloud.client("ecr").create_repository(repositoryName="api")
    return Registry(cloud).push(image, "api", "v1")


@pytest.fixture
def template(
    cloud: LocalCloud, image_uri: str, make_role: MakeRole, tmp_path: Path
) -> dict[str, Any]:
    """Functions and custom resources as the production stack has them."""
    role = make_role(("*", "*"), service="lambda.amazonaws.com")
    topic = cloud.client("sns").create_topic(Name="releases")["TopicArn"]
    common = {"PROJECT_KEY": KEY, "DATA_BUCKET": BUCKET, "ASSETS_DIR": str(tmp_path / "efs")}
    serving = {**common, "RELEASE": RELEASE, "SERVING": "lambda"}

    def function(command: str, **variables: Any) -> dict[str, Any]:
        return {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Role": role,
                "PackageType": "Image",
                "Code": {"ImageUri": image_uri},
                "ImageConfig": {"Command": [command]},
                "Environment": {"Variables": variables},
                "MemorySize": 512,
                "Timeout": 120,
            },
        }

    def custom(kind: str, by: str, **properties: Any) -> dict[str, Any]:
        token = {"ServiceToken": {"Fn::GetAtt": [by, "Arn"]}, "Release": RELEASE}
        return {"Type": f"Custom::{kind}", "Properties": {**token, **properties}}

    return {
        "Resources": {
            "AssetsFunction": function(
                "api.assets.handler", **common, AUTH="iam", MAX_INSTANCES="1000"
            ),
            "Assets": custom(
                "ReleaseAssets", "AssetsFunction", ModelDataUrl=f"s3://{BUCKET}/{MODEL_KEY}"
            ),
            "Api": function(
                "api.app.handler", **serving, TIMEOUT_SECONDS="10", MAX_INSTANCES="1000"
            ),
            "Version": {
                "Type": "AWS::Lambda::Version",
                "DependsOn": "Assets",
                "Properties": {"FunctionName": {"Ref": "Api"}},
            },
            "Guard": function(
                "api.checks.handler", **serving, GUARD="before", FUNCTION={"Ref": "Version"},
                TOPIC_ARN=topic, LATENCY_REQUESTS="10", LATENCY_P50_MS="60000",
                LATENCY_P99_MS="60000",
            ),
            "Check": custom(
                "ReleaseCheck", "Guard", Version={"Ref": "Version"}, TimeoutSeconds="10"
            ),
            "Live": {
                "Type": "AWS::Lambda::Alias",
                "DependsOn": "Check",
                "Properties": {
                    "FunctionName": {"Ref": "Api"},
                    "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]},
                    "Name": "live",
                },
            },
        },
        "Outputs": {"Live": {"Value": {"Ref": "Live"}}},
    }  # fmt: skip


def _upload(cloud: LocalCloud, folder: Path, score: float) -> None:
    """Put a model and what `evaluate` has computed for it, `score`, into the bucket."""
    path = ROOT / "seed_code" / "tests" / "conftest.py"
    spec = importlib.util.spec_from_file_location("seed_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._save_model(folder / "model")
    archive.pack(folder / "model", folder / "model.tar.gz")
    request = GoldenRequest(
        JSON, JSON, json.dumps({"instances": [ROW]}), {"score": score, "predicted_label": "yes"}
    )
    golden = GoldenRequests("small", 1e-6, (request,)).to_json()
    s3 = cloud.client("s3")
    if not s3.list_buckets()["Buckets"]:
        where = {"LocationConstraint": cloud.region}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    s3.put_object(Bucket=BUCKET, Key=MODEL_KEY, Body=(folder / "model.tar.gz").read_bytes())
    key = f"releases/{RELEASE}/evaluation/golden_requests.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=golden.encode())


def _object(cloud: LocalCloud, name: str) -> dict[str, Any]:
    key = f"releases/{RELEASE}/deployment/{name}"
    return json.loads(cloud.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())


def test_a_first_release_is_prepared_guarded_and_answers(cloud, template, tmp_path):
    _upload(cloud, tmp_path, score=0.98201376)
    stacks = Driver(cloud.client("cloudformation"))
    stack = stacks.create("prod", template)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    report = _object(cloud, "before.json")
    assert report["passed"], report["reason"]
    assert _object(cloud, "openapi.json")["info"]["version"] == RELEASE
    event = {
        "resource": "/predict", "httpMethod": "POST", "headers": {"Content-Type": JSON},
        "body": json.dumps({"instances": [ROW]}), "requestContext": {"requestId": "r-1"},
    }  # fmt: skip
    invoked = cloud.client("lambda").invoke(
        FunctionName=stacks.outputs("prod")["Live"], Payload=json.dumps(event).encode()
    )
    answer = json.loads(invoked["Payload"].read())
    assert answer["statusCode"] == 200
    assert answer["headers"]["X-Release"] == RELEASE
    assert json.loads(answer["body"])["predictions"][0]["predicted_label"] == "yes"
    folder = tmp_path / "efs" / "releases" / RELEASE
    assert (folder / "assets.json").exists()
    assert stacks.delete("prod")["StackStatus"] == "DELETE_COMPLETE"
    assert not folder.exists()


def test_a_first_release_that_answers_wrong_is_never_there(cloud, template, tmp_path):
    _upload(cloud, tmp_path, score=0.5)
    stacks = Driver(cloud.client("cloudformation"))
    stack = stacks.create("bad", template)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert not _object(cloud, "before.json")["passed"]
    reason = stacks.reasons("bad", "CREATE_FAILED")["Check"]
    assert "golden: 0 of 1 answered as evaluated" in reason
    assert not (tmp_path / "efs" / "releases" / RELEASE).exists()
