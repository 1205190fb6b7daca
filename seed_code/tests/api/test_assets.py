"""A release's folder: whole or not there, whatever is in the bucket and whoever came before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from api import assets
from api.app import Api
from api.environment import ApiEnvironment
from mlsystem import archive, artifacts
from mlsystem.artifacts import GoldenRequest, GoldenRequests

RELEASE = "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
BUCKET = "churn-p-1-data"
MODEL_KEY = f"releases/{RELEASE}/model/job/output/model.tar.gz"
GOLDEN = GoldenRequests(
    "small",
    1e-6,
    (GoldenRequest("application/json", "application/json", '{"instances": [{}]}', {}),),
)
FILES = {"model.json", "model.onnx", "golden_requests.json", "openapi.json", "assets.json"}


@dataclasses.dataclass
class Bench:
    account: Any
    root: Path
    model: Path

    @property
    def folder(self) -> Path:
        return self.root / "releases" / RELEASE

    def upload(self) -> None:
        packed = self.model.parent / "model.tar.gz"
        archive.pack(self.model, packed)
        self.account.objects[f"{BUCKET}/{MODEL_KEY}"] = packed.read_bytes()

    def ask(self, request: str = "Create", **more: Any) -> dict[str, Any]:
        """Have CloudFormation ask; return what it was told."""
        properties = {"Release": RELEASE, "ModelDataUrl": f"s3://{BUCKET}/{MODEL_KEY}"}
        properties |= more.pop("properties", {})
        asked = {
            "RequestType": request,
            "ResponseURL": f"{self.account.url}/cloudformation/1",
            "StackId": "stack",
            "RequestId": "1",
            "LogicalResourceId": "Assets",
            "ResourceProperties": properties,
            **more,
        }
        assets.handler(asked, None)
        told: dict[str, Any] = self.account.responses[-1]
        return told

    @property
    def left_behind(self) -> list[str]:
        releases = self.root / "releases"
        return [path.name for path in releases.iterdir()] if releases.exists() else []


@pytest.fixture
def bench(
    account: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save_model: Callable[..., Any],
) -> Bench:
    for name, value in {
        "PROJECT_KEY": "churn-p-1",
        "DATA_BUCKET": BUCKET,
        "ASSETS_DIR": str(tmp_path / "efs"),
        "AUTH": "iam",
        "MAX_INSTANCES": "1000",
    }.items():
        monkeypatch.setenv(name, value)
    made = Bench(account, tmp_path / "efs", tmp_path / "model")
    save_model(made.model)
    made.upload()
    key = f"{BUCKET}/releases/{RELEASE}/evaluation/golden_requests.json"
    account.objects[key] = GOLDEN.to_json().encode()
    return made


def test_puts_a_release_in_its_place(bench):
    told = bench.ask()
    assert told["Status"] == "SUCCESS"
    assert told["PhysicalResourceId"] == f"releases/{RELEASE}"
    assert told["Data"]["Folder"] == str(bench.folder)
    assert {path.name for path in bench.folder.iterdir()} == FILES
    digest = hashlib.sha256((bench.folder / "model.onnx").read_bytes()).hexdigest()
    assert told["Data"]["OnnxSha256"] == digest
    manifest = artifacts.read(assets.Manifest, bench.folder / "assets.json")
    assert manifest.files["model.onnx"] == digest
    assert bench.left_behind == [RELEASE]


def test_the_api_answers_from_it(bench, event):
    bench.ask()
    environment = ApiEnvironment("churn-p-1", RELEASE, "lambda", "", bench.root, 3, 10)
    answer = Api(environment, write=lambda _: None).answer(event('{"instances": [[1, 2, "high"]]}'))
    assert answer["statusCode"] == 200


def test_publishes_a_valid_document(bench):
    bench.ask()
    published = bench.account.objects[f"{BUCKET}/releases/{RELEASE}/deployment/openapi.json"]
    assert published == (bench.folder / "openapi.json").read_bytes()
    document = json.loads(published)
    validate(document)
    assert document["info"]["version"] == RELEASE


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_a_whole_folder_stays_as_it_is(bench, request_type):
    bench.ask()
    before = bench.folder.stat().st_ino
    bench.account.objects.pop(f"{BUCKET}/{MODEL_KEY}")  # not even looked at
    assert bench.ask(request_type)["Status"] == "SUCCESS"
    assert bench.folder.stat().st_ino == before


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "no manifest"])
def test_a_damaged_folder_is_replaced(bench, damage):
    bench.ask()
    if damage == "changed":
        (bench.folder / "model.onnx").write_bytes(b"other")
    elif damage == "missing":
        (bench.folder / "openapi.json").unlink()
    elif damage == "added":
        (bench.folder / "more.json").write_text("{}")
    else:
        (bench.folder / "assets.json").unlink()
    assert bench.ask()["Status"] == "SUCCESS"
    assert {path.name for path in bench.folder.iterdir()} == FILES
    assert (bench.folder / "model.onnx").read_bytes() == (bench.model / "model.onnx").read_bytes()
    assert bench.left_behind == [RELEASE]


def test_what_a_stopped_attempt_left_is_removed(bench):
    left = bench.root / "releases" / f".partial-{RELEASE}.abc" / "content"
    left.mkdir(parents=True)
    (left / "model.json").write_text("{")
    bench.ask()
    assert bench.left_behind == [RELEASE]


def _evil(bench: Bench) -> None:
    with tarfile.open(bench.model.parent / "evil.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("model.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    content = (bench.model.parent / "evil.tar.gz").read_bytes()
    bench.account.objects[f"{BUCKET}/{MODEL_KEY}"] = content


def _other_graph(bench: Bench) -> None:
    (bench.model / "model.onnx").write_bytes(b"another")
    bench.upload()


def _more_files(bench: Bench) -> None:
    (bench.model / "code.py").write_text("print()")
    bench.upload()


def _no_golden(bench: Bench) -> None:
    bench.account.objects.pop(f"{BUCKET}/releases/{RELEASE}/evaluation/golden_requests.json")


def _bad_golden(bench: Bench) -> None:
    key = f"{BUCKET}/releases/{RELEASE}/evaluation/golden_requests.json"
    bench.account.objects[key] = b"{}"


def _no_archive(bench: Bench) -> None:
    bench.account.objects.pop(f"{BUCKET}/{MODEL_KEY}")


def _truncated(bench: Bench) -> None:
    key = f"{BUCKET}/{MODEL_KEY}"
    bench.account.objects[key] = bench.account.objects[key][:-30]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_evil, "a link"),
        (_other_graph, "model.onnx: SHA-256"),
        (_more_files, "code.py: an unexpected file"),
        (_no_golden, "NoSuchKey"),
        (_bad_golden, "golden_requests.json#/version"),
        (_no_archive, "NoSuchKey"),
        (_truncated, "truncated"),
    ],
)
def test_what_cannot_be_used_leaves_nothing(bench, spoil, reason):
    spoil(bench)
    told = bench.ask()
    assert told["Status"] == "FAILED"
    assert reason in told["Reason"]
    assert told["PhysicalResourceId"] == f"releases/{RELEASE}"
    assert bench.left_behind == []
    assert bench.ask("Delete", PhysicalResourceId=told["PhysicalResourceId"])["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    "properties",
    [{"Release": "../../etc"}, {"Release": ""}, {"ModelDataUrl": "http://x/y"}, {"Release": "a/b"}],
)
def test_what_leads_elsewhere_is_refused(bench, properties):
    told = bench.ask(properties=properties)
    assert told["Status"] == "FAILED"
    assert bench.left_behind == []


def test_without_its_environment_it_says_so(bench, monkeypatch):
    monkeypatch.delenv("DATA_BUCKET")
    assert "DATA_BUCKET: not set" in bench.ask()["Reason"]


def test_deleting_removes_that_release_alone(bench):
    bench.ask()
    shutil.copytree(bench.folder, bench.folder.with_name("another"))
    told = bench.ask("Delete", PhysicalResourceId=f"releases/{RELEASE}")
    assert told["Status"] == "SUCCESS"
    assert bench.left_behind == ["another"]
    assert bench.ask("Delete", PhysicalResourceId=f"releases/{RELEASE}")["Status"] == "SUCCESS"


@pytest.mark.parametrize("physical_id", ["releases/..", "releases/", "2024/11/[$LATEST]", "/etc"])
def test_deleting_what_is_not_ours_does_nothing(bench, physical_id):
    bench.ask()
    assert bench.ask("Delete", PhysicalResourceId=physical_id)["Status"] == "SUCCESS"
    assert {path.name for path in bench.folder.iterdir()} == FILES


def test_no_log_has_the_presigned_address(bench, capsys):
    bench.ask()
    out = capsys.readouterr().out
    assert json.loads(out)["request"] == "Create"
    assert bench.account.url not in out
