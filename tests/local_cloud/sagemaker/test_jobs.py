"""Training and processing jobs run as on AWS, with their role, and always end."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.sagemaker import containers, training

_MACHINE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}


def channel(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "ContentType": "text/csv", "DataSource": {"S3DataSource": source}}


def processing_input(uri: str, path: str) -> dict[str, Any]:
    source = {
        "S3Uri": uri,
        "LocalPath": path,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": "input", "S3Input": source}


def processing_output(uri: str, path: str) -> dict[str, Any]:
    target = {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"}
    return {"OutputName": "output", "S3Output": target}


# -------------------------------------------------------------------------------- training


def test_training_sees_what_sagemaker_shows_and_its_model_is_stored(account):
    account.put("train/a.csv", "1,2\n")
    account.put("train/deep/b.csv", "3,4\n")
    code = """
seen = {str(p.relative_to(base)): p.read_text() for p in base.rglob("*") if p.is_file()}
seen["arguments"] = sys.argv[1:]
(base / "model" / "seen.json").write_text(json.dumps(seen))
(base / "output" / "data" / "extra.txt").write_text("more")
print("epoch 1"); print("to stderr", file=sys.stderr)
"""
    request = account.training(
        code,
        HyperParameters={"depth": "3", "rate": "0.1"},
        InputDataConfig=[channel("train", f"s3://{account.bucket}/train")],
    )
    description = account.run(request)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")

    artifact = description["ModelArtifacts"]["S3ModelArtifacts"]
    key = f"out/{request['TrainingJobName']}/output/model.tar.gz"
    assert artifact == f"s3://{account.bucket}/{key}"
    seen = json.loads(members(account.get(key))["seen.json"])
    assert seen["arguments"] == ["train"]
    assert seen["input/data/train/a.csv"] == "1,2\n"
    assert seen["input/data/train/deep/b.csv"] == "3,4\n"
    assert json.loads(seen["input/config/hyperparameters.json"]) == {"depth": "3", "rate": "0.1"}
    assert json.loads(seen["input/config/inputdataconfig.json"]) == {
        "train": {
            "ContentType": "text/csv",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    resources = json.loads(seen["input/config/resourceconfig.json"])
    assert resources["hosts"] == ["algo-1"]
    assert resources["current_instance_type"] == "ml.m5.large"
    output = account.get(f"out/{request['TrainingJobName']}/output/output.tar.gz")
    assert members(output) == {"extra.txt": b"more"}

    stages = [stage["Status"] for stage in description["SecondaryStatusTransitions"]]
    assert stages == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in stage for stage in description["SecondaryStatusTransitions"])
    assert description["SecondaryStatus"] == "Completed"
    assert description["BillableTimeInSeconds"] >= 1
    assert description["TrainingStartTime"] <= description["TrainingEndTime"]
    group = "/aws/sagemaker/TrainingJobs"
    assert sorted(account.log(group, request["TrainingJobName"])) == ["epoch 1", "to stderr"]
    listed = account.client.list_training_jobs()["TrainingJobSummaries"]
    assert request["TrainingJobName"] in {job["TrainingJobName"] for job in listed}


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = [member for member in tar.getmembers() if member.isfile()]
        return {member.name: tar.extractfile(member).read() for member in files}


def test_the_same_training_stores_the_same_bytes(account):
    code = '(base / "model" / "a").write_text("x"); (base / "model" / "b").write_text("y")'
    archives = []
    for _ in range(2):
        request = account.training(code)
        account.run(request)
        archives.append(account.get(f"out/{request['TrainingJobName']}/output/model.tar.gz"))
    assert archives[0] == archives[1]
    assert gzip.decompress(archives[0])


def test_environment_names_the_job_and_nothing_of_the_runner(account, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_RUNNER", "hush")
    code = '(base / "model" / "env.json").write_text(json.dumps(dict(os.environ)))'
    request = account.training(code)
    description = account.run(request)
    key = f"out/{request['TrainingJobName']}/output/model.tar.gz"
    environment = json.loads(members(account.get(key))["env.json"])
    assert environment["TRAINING_JOB_NAME"] == request["TrainingJobName"]
    assert environment["TRAINING_JOB_ARN"] == description["TrainingJobArn"]
    assert environment["AWS_REGION"] == account.cloud.region
    assert environment["AWS_ENDPOINT_URL"] == account.cloud.endpoint_url
    assert environment["AWS_SESSION_TOKEN"]
    assert "SECRET_OF_THE_RUNNER" not in environment
    assert environment["HOME"] != os.environ["HOME"]


def test_network_isolation_gives_no_credentials(account):
    code = '(base / "model" / "env.json").write_text(json.dumps(dict(os.environ)))'
    request = account.training(code, EnableNetworkIsolation=True)
    assert account.run(request)["EnableNetworkIsolation"] is True
    key = f"out/{request['TrainingJobName']}/output/model.tar.gz"
    environment = json.loads(members(account.get(key))["env.json"])
    assert not {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
    } & set(environment)


def test_manifest_names_its_objects(account):
    account.put("lists/one.csv", "1")
    account.put("lists/sub/two.csv", "2")
    manifest = [{"prefix": f"s3://{account.bucket}/lists/"}, "one.csv", "sub/two.csv"]
    account.put("lists/manifest.json", json.dumps(manifest))
    code = """
files = [str(p.relative_to(base)) for p in (base / "input" / "data").rglob("*") if p.is_file()]
(base / "model" / "files.json").write_text(json.dumps(sorted(files)))
"""
    uri = f"s3://{account.bucket}/lists/manifest.json"
    request = account.training(code, InputDataConfig=[channel("x", uri, "ManifestFile")])
    description = account.run(request)
    assert description["TrainingJobStatus"] == "Completed", description.get("FailureReason")
    key = f"out/{request['TrainingJobName']}/output/model.tar.gz"
    files = json.loads(members(account.get(key))["files.json"])
    assert files == ["input/data/x/one.csv", "input/data/x/sub/two.csv"]


def test_failure_text_and_exit_code_become_the_reason(account):
    code = '(base / "output" / "failure").write_text("row 3: no target"); sys.exit(7)'
    description = account.run(account.training(code))
    assert description["TrainingJobStatus"] == "Failed"
    assert description["SecondaryStatus"] == "Failed"
    assert description["FailureReason"] == "AlgorithmError: row 3: no target, exit code: 7"
    assert "TrainingEndTime" in description


def test_long_failure_text_is_cut_but_keeps_its_exit_code(account):
    code = '(base / "output" / "failure").write_text("x" * 5000); sys.exit(1)'
    reason = account.run(account.training(code))["FailureReason"]
    assert len(reason) == 1024
    assert reason.endswith("xx, exit code: 1")


def test_failure_that_is_a_link_shows_no_file_of_the_machine(account, tmp_path):
    (tmp_path / "secret").write_text("hush")
    code = f'os.symlink({str(tmp_path / "secret")!r}, base / "output" / "failure"); sys.exit(1)'
    assert account.run(account.training(code))["FailureReason"] == "AlgorithmError: , exit code: 1"


def test_signal_is_reported_as_a_container_reports_it(account):
    description = account.run(account.training("os.kill(os.getpid(), signal.SIGKILL)"))
    assert description["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_maximum_runtime_stops_the_job_and_keeps_what_it_saved(account):
    code = '(base / "model" / "a").write_text("x"); print("on"); time.sleep(60)'
    request = account.training(code, StoppingCondition={"MaxRuntimeInSeconds": 1})
    description = account.run(request)
    assert description["TrainingJobStatus"] == "Stopped"
    assert description["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert account.keys(f"out/{request['TrainingJobName']}/") == [
        f"out/{request['TrainingJobName']}/output/model.tar.gz"
    ]


def test_stopped_training_gets_sigterm_first(account):
    code = """
def leave(*_):
    (base / "model" / "saved").write_text("in time"); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""
    request = account.training(code)
    name = account.start(request)
    group = "/aws/sagemaker/TrainingJobs"
    account.poll(lambda: account.cloud.logs.last_line(group, name) == "ready")
    account.client.stop_training_job(TrainingJobName=name)
    description = account.end(request)
    assert description["TrainingJobStatus"] == "Stopped"
    assert description["SecondaryStatus"] == "Stopped"
    assert "Stopping" in [_["Status"] for _ in description["SecondaryStatusTransitions"]]
    archive = account.get(f"out/{name}/output/model.tar.gz")
    assert members(archive) == {"saved": b"in time"}
    with pytest.raises(ClientError, match="in status Stopped"):
        account.client.stop_training_job(TrainingJobName=name)


def test_job_that_ignores_sigterm_is_killed_with_everything_it_started(account, tmp_path):
    code = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    time.sleep(60)
pathlib.Path({str(tmp_path / "pids")!r}).write_text(f"{{os.getpid()}} {{child}}")
time.sleep(60)
"""
    request = account.training(code)
    name = account.start(request)
    pids = account.poll(lambda: _read(tmp_path / "pids"))
    account.client.stop_training_job(TrainingJobName=name)
    assert account.end(request)["TrainingJobStatus"] == "Stopped"
    account.poll(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.split()), seconds=10)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_process_that_leaves_the_container_does_not_keep_the_job(account, monkeypatch):
    monkeypatch.setattr(containers, "_LOG_CLOSE_SECONDS", 0.2)
    code = """
if os.fork() == 0:
    os.setsid()
    time.sleep(4)
    os._exit(0)
print("done", flush=True)
"""
    assert account.run(account.training(code))["TrainingJobStatus"] == "Completed"


# -------------------------------------------------------------------------------- processing


def test_processing_reads_and_writes_where_it_is_told(account):
    account.put("raw/data.csv", "a\n")
    code = """
seen = (base / "processing/input/data/data.csv").read_text()
config = json.loads((base / "config/processingjobconfig.json").read_text())
out = base / "processing/output/report"
(out / "deep").mkdir()
(out / "deep" / "seen.json").write_text(json.dumps([seen, sys.argv[1:], config]))
(base / "output" / "message").write_text("Completed: 1 row")
print(os.environ["PROCESSING_JOB_NAME"])
"""
    request = account.processing(
        code,
        ProcessingInputs=[
            processing_input(f"s3://{account.bucket}/raw/", "/opt/ml/processing/input/data")
        ],
        ProcessingOutputConfig={
            "Outputs": [
                processing_output(
                    f"s3://{account.bucket}/reports/x", "/opt/ml/processing/output/report"
                )
            ]
        },
    )
    description = account.run(request)
    assert description["ProcessingJobStatus"] == "Completed", description.get("FailureReason")
    assert description["ExitMessage"] == "Completed: 1 row"
    assert description["ProcessingStartTime"] <= description["ProcessingEndTime"]
    seen, arguments, config = json.loads(account.get("reports/x/deep/seen.json"))
    assert seen == "a\n"
    assert arguments == ["prepare", "it"]
    assert config["ProcessingJobArn"] == description["ProcessingJobArn"]
    assert config["ProcessingInputs"] == request["ProcessingInputs"]
    name = request["ProcessingJobName"]
    assert account.log("/aws/sagemaker/ProcessingJobs", name) == [name]


def test_failed_processing_says_why_in_its_exit_message_and_stores_nothing(account):
    code = """
(base / "processing/output/x/part").write_text("half")
(base / "output" / "failure").write_text("not read by SageMaker for processing jobs")
(base / "output" / "message").write_text("data.csv:3: two columns, three needed")
sys.exit(1)
"""
    outputs = [processing_output(f"s3://{account.bucket}/failed", "/opt/ml/processing/output/x")]
    description = account.run(account.processing(code, ProcessingOutputConfig={"Outputs": outputs}))
    assert description["ProcessingJobStatus"] == "Failed"
    assert description["ExitMessage"] == "data.csv:3: two columns, three needed"
    reason = "AlgorithmError: See job logs for more information, exit code: 1"
    assert description["FailureReason"] == reason
    assert account.keys("failed") == []


def test_container_entrypoint_replaces_the_image_s(account):
    application = {
        "ImageUri": account.image_uri,
        "ContainerEntrypoint": ["python3", "-c", "import sys; sys.exit(len(sys.argv))"],
        "ContainerArguments": ["a", "b"],
    }
    description = account.run(account.processing(AppSpecification=application))
    assert description["FailureReason"].endswith("exit code: 3")


def test_stopped_processing_job(account):
    request = account.processing("print('ready', flush=True); time.sleep(60)")
    name = account.start(request)
    account.poll(
        lambda: account.cloud.logs.last_line("/aws/sagemaker/ProcessingJobs", name) == "ready"
    )
    account.client.stop_processing_job(ProcessingJobName=name)
    assert account.end(request)["ProcessingJobStatus"] == "Stopped"


# -------------------------------------------------------------------------------- permissions


def test_role_that_may_not_read_fails_the_job_and_is_named(account, make_role):
    account.put("secret/a.csv", "1")
    role_arn = make_role(
        ("s3:ListBucket", "*"), ("s3:PutObject", "*"), ("logs:*", "*"), ("ecr:*", "*")
    )
    request = account.training(
        "", RoleArn=role_arn, InputDataConfig=[channel("x", f"s3://{account.bucket}/secret/")]
    )
    reason = account.run(request)["FailureReason"]
    assert reason.startswith("ClientError: Data download failed")
    for part in (
        "AccessDenied",
        role_arn,
        "s3:GetObject",
        f"arn:aws:s3:::{account.bucket}/secret/a.csv",
    ):
        assert part in reason


def test_role_that_may_not_write_fails_the_job(account, make_role):
    role_arn = make_role(("logs:*", "*"), ("ecr:*", "*"))
    code = '(base / "model" / "a").write_text("x")'
    reason = account.run(account.training(code, RoleArn=role_arn))["FailureReason"]
    assert reason.startswith("ClientError: Artifact upload failed")
    assert "s3:PutObject" in reason


def test_role_that_may_not_pull_fails_the_job(account, make_role):
    role_arn = make_role(("s3:*", "*"), ("logs:*", "*"), ("ecr:GetAuthorizationToken", "*"))
    reason = account.run(account.training(RoleArn=role_arn))["FailureReason"]
    assert reason.startswith("ClientError: ")
    assert "ecr:BatchGetImage" in reason


def test_role_that_does_not_trust_sagemaker_is_refused_at_once(account, make_role):
    for role_arn in (
        make_role(service="states.amazonaws.com"),
        "arn:aws:iam::000000000000:role/no",
    ):
        with pytest.raises(ClientError, match=r"ValidationException.*Could not assume role"):
            account.start(account.training(RoleArn=role_arn))


def test_trust_may_be_limited_to_jobs_of_a_name(account, make_role):
    def trusting(pattern: str) -> str:
        arn = f"arn:aws:sagemaker:{account.cloud.region}:{account.cloud.account_id}:{pattern}"
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Condition": {"ArnLike": {"aws:SourceArn": arn}},
        }
        return make_role(("s3:*", "*"), ("logs:*", "*"), ("ecr:*", "*"), trust=trust)

    assert (
        account.run(account.training(RoleArn=trusting("training-job/job-*")))["TrainingJobStatus"]
        == "Completed"
    )
    with pytest.raises(ClientError, match="Could not assume role"):
        account.start(account.training(RoleArn=trusting("training-job/other-*")))


# -------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("s3://data/nothing/here", "No S3 objects found under S3 URL"),
        ("s3://no-such-bucket/x", "NoSuchBucket"),
    ],
)
def test_missing_input_fails_the_job(account, uri, found):
    reason = account.run(account.training(InputDataConfig=[channel("x", uri)]))["FailureReason"]
    assert reason.startswith("ClientError: Data download failed")
    assert found in reason


@pytest.mark.parametrize("key", ["evil/../../../../escaped.txt", "evil//x", "evil/./x"])
def test_key_that_leads_out_of_the_folder_is_refused(account, key):
    folder = f"{key.count('.')}-{key.count('/')}"
    account.put(f"{folder}/{key}", "x")
    uri = f"s3://{account.bucket}/{folder}/evil"
    description = account.run(account.training(InputDataConfig=[channel("x", uri)]))
    assert "illegal char sub-sequence" in description["FailureReason"]
    assert not list((account.cloud.root / "jobs").rglob("escaped.txt"))


def test_manifest_that_leads_out_is_refused(account):
    account.put("m/x", "1")
    manifest = [{"prefix": f"s3://{account.bucket}/m/"}, "../../../../x"]
    account.put("m/manifest", json.dumps(manifest))
    uri = f"s3://{account.bucket}/m/manifest"
    request = account.training(InputDataConfig=[channel("x", uri, "ManifestFile")])
    assert "illegal char sub-sequence" in account.run(request)["FailureReason"]


def test_broken_manifest_is_named(account):
    account.put("m/broken", "{}")
    uri = f"s3://{account.bucket}/m/broken"
    request = account.training(InputDataConfig=[channel("x", uri, "ManifestFile")])
    assert f"Manifest {uri} is not valid" in account.run(request)["FailureReason"]


def test_file_and_folder_of_one_name_clash(account):
    account.put("clash/a", "1")
    account.put("clash/a/b", "2")
    request = account.training(InputDataConfig=[channel("x", f"s3://{account.bucket}/clash/")])
    assert "clashes with it" in account.run(request)["FailureReason"]


def test_link_in_the_model_folder_is_not_followed(account):
    code = 'os.symlink("/etc/hostname", base / "model" / "link")'
    reason = account.run(account.training(code))["FailureReason"]
    assert "a link or special file" in reason


def test_unknown_image_fails_the_job(account):
    uri = account.image_uri.partition("@")[0] + ":no-such-tag"
    algorithm = {"TrainingImage": uri, "TrainingInputMode": "File"}
    reason = account.run(account.training(AlgorithmSpecification=algorithm))["FailureReason"]
    assert f"Requested image {uri} not found" in reason


def test_unusable_disk_is_an_internal_error_that_names_the_path(account):
    request = account.training()
    place = account.cloud.root / "jobs" / "training-job" / request["TrainingJobName"]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder must be")
    reason = account.run(request)["FailureReason"]
    assert reason.startswith(f"InternalServerError: {place}")


def test_mistake_of_the_platform_ends_the_job_too(account, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(training, "write_json", fail)
    description = account.run(account.training())
    assert description["TrainingJobStatus"] == "Failed"
    assert description["FailureReason"] == "InternalServerError: RuntimeError: a defect"


def test_second_job_of_a_name_is_refused(account):
    request = account.training()
    account.run(request)
    with pytest.raises(ClientError, match=r"ResourceInUse.*must be unique"):
        account.start(request)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"CheckpointConfig": {"S3Uri": "s3://b/c"}}, "parameter CheckpointConfig"),
        ({"EnableManagedSpotTraining": True}, "EnableManagedSpotTraining=True"),
        ({"ExperimentConfig": {"ExperimentName": "e"}}, "parameter ExperimentConfig"),
        (
            {"InputDataConfig": [{**channel("x", "s3://b/c"), "InputMode": "Pipe"}]},
            "InputDataConfig.InputMode='Pipe'",
        ),
        (
            {"InputDataConfig": [{**channel("x", "s3://b/c"), "CompressionType": "Gzip"}]},
            "InputDataConfig.CompressionType='Gzip'",
        ),
        (
            {"ResourceConfig": {**_MACHINE, "InstanceCount": 2}},
            "ResourceConfig.InstanceCount=2",
        ),
    ],
)  # fmt: skip
def test_what_is_not_honoured_is_refused_by_name(account, changes, refused):
    with pytest.raises(ClientError, match="LocalCloudUnsupported") as caught:
        account.start(account.training(**changes))
    assert refused in str(caught.value)
    assert "accepted here are" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        (
            {"TrainingJobName": "under_score"},
            "Value 'under_score' at 'trainingJobName' failed to satisfy constraint",
        ),
        ({"TrainingJobName": "x" * 64}, "Member must have length less than or equal to 63"),
        (
            {"ResourceConfig": {**_MACHINE, "InstanceType": "ml.huge"}},
            "at 'resourceConfig.instanceType' failed to satisfy constraint",
        ),
        (
            {"InputDataConfig": [{**channel("a b", "s3://b/c")}]},
            "Value 'a b' at 'inputDataConfig.1.member.channelName'",
        ),
        (
            {"InputDataConfig": [channel("..", "s3://b/c")]},
            "Channel names must be distinct names of folders",
        ),
    ],
)  # fmt: skip
def test_invalid_parameters_are_refused_as_aws_refuses_them(account, changes, violation):
    with pytest.raises(ClientError, match="ValidationException") as caught:
        account.start(account.training(**changes))
    assert violation in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/etc", "/opt/ml/processing", "/opt/ml/processing/../model", "processing/input"]
)
def test_local_path_outside_processing_is_refused(account, path):
    with pytest.raises(ClientError, match=r"ValidationException.*a path under /opt/ml/processing/"):
        account.start(
            account.processing(
                ProcessingInputs=[processing_input(f"s3://{account.bucket}/x", path)]
            )
        )


def test_job_that_does_not_exist(account):
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
        account.client.describe_training_job(TrainingJobName="no-such-job")


def test_operation_that_nothing_executes_is_refused_by_name(account):
    with pytest.raises(
        ClientError, match=r"LocalCloudUnsupported.*operation ListNotebookInstances"
    ):
        account.client.list_notebook_instances()


def test_tags_of_a_job_whatever_the_case_of_its_name(account):
    request = account.training(
        TrainingJobName="Upper-Case", Tags=[{"Key": "release", "Value": "1"}]
    )
    arn = account.run(request)["TrainingJobArn"]
    account.client.add_tags(
        ResourceArn=arn, Tags=[{"Key": "release", "Value": "2"}, {"Key": "a", "Value": "b"}]
    )
    account.client.delete_tags(ResourceArn=arn, TagKeys=["a"])
    tags = account.client.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "release", "Value": "2"}]


def test_stopping_cloud_ends_running_jobs(tmp_path):
    """In a process of its own: one process holds one local cloud."""
    program = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from local_cloud.cloud import LocalCloud
from conftest import Account

place = Path(sys.argv[1])
with LocalCloud(place / "local") as cloud:
    account = Account(cloud, place)
    name = account.start(account.training("print(os.getpid(), flush=True); time.sleep(60)"))
    print(account.poll(lambda: cloud.logs.last_line("/aws/sagemaker/TrainingJobs", name)))
"""
    here = Path(__file__).parent
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(here), str(here.parents[2])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert not Path(f"/proc/{int(finished.stdout)}").exists()
