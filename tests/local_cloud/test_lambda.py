"""Lambda: real processes of real images, asked through the API as on AWS."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from local_cloud.iam import Credentials
from local_cloud.lambda_functions import functions, pool
from local_cloud.lambda_functions.function import Alias
from local_cloud.lambda_functions.invocation import Invocation, Outcome
from local_cloud.lambda_functions.pool import Pool
from local_cloud.metrics import Metric

from .conftest import MakeRole, policy, wait_for
from .function_account import FunctionAccount


@pytest.fixture(scope="module")
def account(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> FunctionAccount:
    """An account for this module."""
    return FunctionAccount(cloud, tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def name(account: FunctionAccount) -> str:
    """A function that tests share; none changes it."""
    return account.make(Environment={"Variables": {"COLOUR": "red"}})


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def log_of(account: FunctionAccount, name: str) -> str:
    folder = account.cloud.root / "logs" / "aws" / "lambda" / name
    return "".join(path.read_text() for path in sorted(folder.rglob("*.log")))


def total(cloud: LocalCloud, metric: str, **dimensions: str) -> float:
    found = cloud.metrics.read(Metric.of("AWS/Lambda", metric, dimensions), 0, 1 << 60)
    return found.total


# ------------------------------------------------------------------------------ events


def test_an_event_is_handled_by_a_process_of_the_image(account: FunctionAccount, name: str) -> None:
    answer = account.invoke(name, {"a": 1})
    payload = answer["Payload"]
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert payload["event"] == {"a": 1}
    assert payload["arn"].endswith(f":function:{name}")
    assert 0 < payload["left"] <= 20_000
    environment = payload["environment"]
    assert environment["COLOUR"] == "red"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert environment["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
    assert environment["AWS_SESSION_TOKEN"]
    assert payload["pid"] != os.getpid()
    assert account.invoke(name)["Payload"]["pid"] == payload["pid"]  # it is kept


def test_the_client_context_is_passed_on(account: FunctionAccount, name: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    assert account.invoke(name, ClientContext=context)["Payload"]["client"] == {"k": "v"}


def test_an_exception_is_the_function_s_error(account: FunctionAccount, name: str) -> None:
    answer = account.invoke(name, {"raise": "too bad"})
    assert answer["FunctionError"] == "Unhandled"
    assert answer["StatusCode"] == 200
    assert answer["Payload"]["errorType"] == "ValueError"
    assert answer["Payload"]["errorMessage"] == "too bad"
    assert "FunctionError" not in account.invoke(name)


def test_a_process_that_ends_is_an_exit_error_and_replaced(account: FunctionAccount) -> None:
    name = account.make()
    first = account.invoke(name)["Payload"]["pid"]
    payload = account.invoke(name, {"exit": 3})["Payload"]
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert account.invoke(name)["Payload"]["pid"] != first


def test_a_function_that_takes_too_long_is_killed(account: FunctionAccount) -> None:
    name = account.make(Timeout=1)
    pid = account.invoke(name)["Payload"]["pid"]
    began = time.monotonic()
    payload = account.invoke(name, {"sleep": 30})["Payload"]
    assert 1 <= time.monotonic() - began < 10
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    wait_for(lambda: "\tStatus: timeout" in log_of(account, name))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("peak", [600, 300])
def test_a_function_that_takes_too_much_memory_is_killed(
    account: FunctionAccount, peak: int
) -> None:
    name = account.make(MemorySize=128)
    payload = account.invoke(name, {"megabytes": peak})["Payload"]
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("Runtime exited with error: signal: killed")
    wait_for(lambda: "Error Type: Runtime.OutOfMemory" in log_of(account, name))
    assert account.invoke(name)["Payload"]["calls"] == 1


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("import", "Runtime.ImportModuleError", "No module named 'missing_module'"),
        ("raise", "ValueError", "no"),
        ("exit", "Runtime.ExitError", "Runtime exited with error: exit status 7"),
    ],
)
def test_a_crash_at_import_is_the_answer(
    account: FunctionAccount, how: str, kind: str, message: str
) -> None:
    name = account.make(
        ImageConfig={"Command": ["broken.handler"]}, Environment={"Variables": {"HOW": how}}
    )
    answer = account.invoke(name)
    assert answer["FunctionError"] == "Unhandled"
    assert answer["Payload"]["errorType"] == kind
    assert message in answer["Payload"]["errorMessage"]
    wait_for(lambda: "INIT_REPORT" in log_of(account, name))
    assert total(account.cloud, "Errors", FunctionName=name) == 1


def test_a_command_that_is_not_there_is_the_answer(account: FunctionAccount) -> None:
    name = account.make(ImageConfig={"EntryPoint": ["/nothing"]})
    assert account.invoke(name)["Payload"]["errorType"] == "Runtime.InvalidEntrypoint"


def test_payloads_have_limits(account: FunctionAccount, name: str) -> None:
    with pytest.raises(ClientError) as error:
        account.invoke(name, "x" * 6_291_456)
    assert code_of(error) == "RequestTooLargeException"
    with pytest.raises(ClientError) as error:
        account.invoke(name, "x" * 1_048_576, InvocationType="Event")
    assert code_of(error) == "RequestTooLargeException"
    answer = account.invoke(name, {"answer": 6_300_000})
    assert answer["Payload"]["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(account.invoke(name, {"answer": 6_000_000})["Payload"]) == 6_000_000


def test_a_payload_is_json(account: FunctionAccount, name: str) -> None:
    with pytest.raises(ClientError) as error:
        account.client.invoke(FunctionName=name, Payload=b"no json")
    assert code_of(error) == "InvalidRequestContentException"
    assert account.client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def test_the_tail_of_the_log_comes_with_the_answer(account: FunctionAccount, name: str) -> None:
    answer = account.invoke(name, {"print": ["hello", "world"]}, LogType="Tail")
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert lines[0].startswith("START RequestId: ")
    assert lines[1:3] == ["hello", "world"]
    assert lines[3].startswith("END RequestId: ")
    assert "\tMemory Size: 256 MB\tMax Memory Used: " in lines[4]


def test_logs_reach_cloudwatch_with_the_function_s_role(account: FunctionAccount) -> None:
    name = account.make()
    account.invoke(name, {"print": ["seen by CloudWatch"]})
    logs = account.cloud.client("logs")

    def messages() -> list[str]:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in events]

    wait_for(lambda: "seen by CloudWatch" in messages())
    (stream,) = logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert "/[$LATEST]" in stream["logStreamName"]


def test_events_at_the_same_time_are_handled_by_several_processes(
    account: FunctionAccount,
) -> None:
    name = account.make()
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(account.invoke(name, {"sleep": 1})["Payload"]["pid"])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert 1 < len(set(found)) <= pool.MOST


def test_reserved_concurrency_is_a_limit(account: FunctionAccount) -> None:
    name = account.make()
    account.invoke(name)
    account.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    slow = threading.Thread(target=account.invoke, args=(name, {"sleep": 2}))
    slow.start()
    wait_for(lambda: functions().get(name).in_flight)
    with pytest.raises(ClientError) as error:
        account.invoke(name)
    assert code_of(error) == "TooManyRequestsException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    slow.join()
    account.client.delete_function_concurrency(FunctionName=name)
    account.invoke(name)
    assert total(account.cloud, "Throttles", FunctionName=name) == 1


def test_processes_end_when_they_are_idle(account: FunctionAccount) -> None:
    name = account.make()
    pid = account.invoke(name)["Payload"]["pid"]
    version = functions().get(name).latest
    wait_for(lambda: functions()._pools[version.revision]._free)
    functions()._pools[version.revision].end_idle(0)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    assert account.invoke(name)["Payload"]["pid"] != pid


def test_processes_end_with_the_cloud(account: FunctionAccount, name: str) -> None:
    own = Pool(account.cloud, functions().get(name).latest)
    pid = json.loads(own.run(Invocation(b"{}", "arn")).payload)["pid"]
    slow: list[Outcome] = []
    event = Invocation(b'{"sleep": 30}', "arn")
    thread = threading.Thread(target=lambda: slow.append(own.run(event)))
    thread.start()
    wait_for(lambda: not own._free)
    own.stop()
    thread.join()
    assert b"Runtime.ExitError" in slow[0].payload
    assert b"The local cloud is stopping" in own.run(event).payload
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    wait_for(lambda: not own._all)


# ------------------------------------------------------------------------------ asynchronous


def test_an_event_is_accepted_and_handled_later(account: FunctionAccount) -> None:
    name = account.make()
    answer = account.invoke(name, {"print": ["later"]}, InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"]) == (202, None)
    wait_for(lambda: "later" in log_of(account, name))


def test_an_event_is_tried_again_as_often_as_its_configuration_says(
    account: FunctionAccount,
) -> None:
    name = account.make()
    account.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    account.invoke(name, {"raise": "no"}, InvocationType="Event")
    wait_for(lambda: total(account.cloud, "Errors", FunctionName=name) == 2)
    time.sleep(0.3)  # a third one would come within 0.12 s
    assert total(account.cloud, "Errors", FunctionName=name) == 2
    config = account.client.get_function_event_invoke_config(FunctionName=name)
    assert config["MaximumRetryAttempts"] == 1
    account.client.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(ClientError):
        account.client.get_function_event_invoke_config(FunctionName=name)


# ------------------------------------------------------------------------------ versions, aliases


def test_a_version_never_changes(account: FunctionAccount) -> None:
    name = account.make(Environment={"Variables": {"COLOUR": "red"}})
    assert account.client.publish_version(FunctionName=name, Description="1st")["Version"] == "1"
    assert account.client.publish_version(FunctionName=name)["Version"] == "1"  # nothing changed
    account.client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}}
    )
    assert account.client.publish_version(FunctionName=name)["Version"] == "2"
    colours = {
        number: account.invoke(f"{name}:{number}")["Payload"]["environment"]["COLOUR"]
        for number in ("1", "2", "$LATEST")
    }
    assert colours == {"1": "red", "2": "blue", "$LATEST": "blue"}
    versions = account.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [(item["Version"], item["Description"]) for item in versions] == [
        ("$LATEST", ""), ("1", "1st"), ("2", ""),
    ]  # fmt: skip
    account.client.delete_function(FunctionName=name, Qualifier="1")
    with pytest.raises(ClientError) as error:
        account.invoke(f"{name}:1")
    assert code_of(error) == "ResourceNotFoundException"


def two_versions(account: FunctionAccount) -> str:
    name = account.make(Environment={"Variables": {"RELEASE": "1"}}, Publish=True)
    account.client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"RELEASE": "2"}}
    )
    account.client.publish_version(FunctionName=name)
    return name


def test_an_alias_shares_events_by_weight(account: FunctionAccount) -> None:
    name = two_versions(account)
    account.client.create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    answers = [account.invoke(name, Qualifier="live") for _ in range(40)]
    counts = Counter(answer["ExecutedVersion"] for answer in answers)
    assert set(counts) == {"1", "2"}  # all alike by chance: once in 10^12
    for answer in answers:
        assert answer["Payload"]["environment"]["RELEASE"] == answer["ExecutedVersion"]
        assert answer["Payload"]["arn"].endswith(f":{name}:live")
    of_alias = {"FunctionName": name, "Resource": f"{name}:live"}
    assert total(account.cloud, "Invocations", **of_alias) == 40
    for version, count in counts.items():
        found = total(account.cloud, "Invocations", **of_alias, ExecutedVersion=version)
        assert found == count
    account.client.update_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    assert {account.invoke(f"{name}:live")["ExecutedVersion"] for _ in range(5)} == {"2"}
    with pytest.raises(ClientError) as error:
        account.client.delete_function(FunctionName=name, Qualifier="2")
    assert code_of(error) == "ResourceConflictException"


def test_weights_are_shares() -> None:
    alias = Alias("live", "arn", "1", weights={"2": 0.25})
    counts = Counter(alias.choose() for _ in range(20_000))
    assert 0.22 < counts["2"] / 20_000 < 0.28
    assert Alias("live", "arn", "1", weights={"2": 1.0}).choose() == "2"
    assert Alias("live", "arn", "1", weights={"2": 0.0}).choose() == "1"


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        ({"7": 0.1}, "ResourceNotFoundException"),
        ({"1": 0.1}, "InvalidParameterValueException"),
        ({"2": 1.5}, "InvalidParameterValueException"),
    ],
)
def test_weights_that_make_no_sense_are_refused(
    account: FunctionAccount, weights: dict[str, float], code: str
) -> None:
    name = two_versions(account)
    with pytest.raises(ClientError) as error:
        account.client.create_alias(
            FunctionName=name,
            Name="live",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": weights},
        )
    assert code_of(error) == code


def test_a_change_in_between_is_noticed(account: FunctionAccount) -> None:
    name = two_versions(account)
    alias = account.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    change = {"FunctionName": name, "Name": "live", "RevisionId": alias["RevisionId"]}
    account.client.update_alias(**change, FunctionVersion="2")
    with pytest.raises(ClientError) as error:
        account.client.update_alias(**change, FunctionVersion="1")
    assert code_of(error) == "PreconditionFailedException"


def test_no_event_is_lost_while_versions_come_and_go(account: FunctionAccount) -> None:
    name = two_versions(account)
    account.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    failures: list[dict[str, Any]] = []
    answered: Counter[str] = Counter()
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            answer = account.invoke(name, Qualifier="live")
            answered[answer["ExecutedVersion"]] += 1
            if "FunctionError" in answer:
                failures.append(answer)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 7):
        account.client.update_alias(FunctionName=name, Name="live", FunctionVersion=str(number))
        wait_for(lambda number=number: answered[str(number)] > 3)
        account.client.delete_function(FunctionName=name, Qualifier=str(number - 1))
        account.client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"RELEASE": str(number + 1)}}
        )
        account.client.publish_version(FunctionName=name)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(answered) >= {"2", "3", "4", "5", "6"}


# ------------------------------------------------------------------------------ metrics


def test_lines_in_the_embedded_format_are_metrics(account: FunctionAccount, name: str) -> None:
    line = {
        "_aws": {
            "Timestamp": int(1000 * time.time()),
            "CloudWatchMetrics": [
                {
                    "Namespace": "Shop",
                    "Dimensions": [["Till"], ["Till", "Day"], ["Unknown"]],
                    "Metrics": [{"Name": "Sold", "Unit": "Count"}, {"Name": "Parts"}],
                }
            ],
        },
        "Till": "7", "Day": "1", "Sold": 3, "Parts": [1, 2],
    }  # fmt: skip
    account.invoke(name, {"print": [json.dumps(line), '{"_aws": 1}', '{"_aws": {}}']})

    def sold(**dimensions: str) -> float:
        return account.cloud.metrics.read(
            Metric.of("Shop", "Sold", dimensions), 0, 1 << 60
        ).total  # fmt: skip

    wait_for(lambda: sold(Till="7") == 3)
    assert sold(Till="7", Day="1") == 3
    parts = account.cloud.metrics.read(Metric.of("Shop", "Parts", {"Till": "7"}), 0, 1 << 60)
    assert (parts.count, parts.total) == (2, 3)


# ------------------------------------------------------------------------------ file systems


def test_an_access_point_is_a_folder(account: FunctionAccount) -> None:
    ec2, efs = account.cloud.client("ec2"), account.cloud.client("efs")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    file_system = efs.create_file_system(CreationToken="t")["FileSystemId"]
    point = efs.create_access_point(
        ClientToken="p", FileSystemId=file_system, RootDirectory={"Path": "/assets"}
    )
    mounted: dict[str, Any] = {
        "FileSystemConfigs": [{"Arn": point["AccessPointArn"], "LocalMountPath": "/mnt/assets"}],
        "VpcConfig": {"SubnetIds": [subnet], "SecurityGroupIds": []},
        "Environment": {"Variables": {"ASSETS_DIR": "/mnt/assets", "OTHER": "/mnt/assets2"}},
    }
    with pytest.raises(ClientError) as error:
        account.make(**mounted)
    assert code_of(error) == "EFSMountConnectivityException"
    efs.create_mount_target(FileSystemId=file_system, SubnetId=subnet)
    name, other = account.make(**mounted), account.make(**mounted)
    account.invoke(name, {"write": "from one, "})
    payload = account.invoke(other, {"write": "from another"})["Payload"]
    folder = account.cloud.root / "efs" / file_system / "assets"
    assert payload["environment"]["ASSETS_DIR"] == str(folder)
    assert payload["environment"]["OTHER"] == "/mnt/assets2"
    assert (folder / "note.txt").read_text() == "from one, from another"
    with pytest.raises(ClientError) as error:
        account.make(**{**mounted, "VpcConfig": {}})
    assert "must be configured to execute in a VPC" in str(error.value)


# ------------------------------------------------------------------------------ permissions


def test_a_role_invokes_what_it_may(
    account: FunctionAccount, make_role: MakeRole, cloud: LocalCloud, name: str
) -> None:
    arn = functions().arn(name)
    role_arn = make_role(("lambda:InvokeFunction", f"{arn}:live"))
    client = cloud.client("lambda", role_arn=role_arn, service_principal="sagemaker.amazonaws.com")
    with pytest.raises(ClientError, match="lambda:InvokeFunction on resource"):
        client.invoke(FunctionName=name)
    with pytest.raises(ClientError, match="Function not found"):  # it may, there is none
        client.invoke(FunctionName=name, Qualifier="live")


def test_a_service_invokes_where_the_policy_says_so(account: FunctionAccount) -> None:
    name = two_versions(account)
    account.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    api = f"arn:aws:execute-api:{account.cloud.region}:{account.cloud.account_id}:abc"
    account.client.add_permission(
        FunctionName=f"{name}:live",
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"{api}/*/POST/predict",
    )
    reference = functions().refer(f"{name}:live")
    functions().check_service("apigateway.amazonaws.com", f"{api}/prod/POST/predict", reference)
    for principal, source, called in (
        ("apigateway.amazonaws.com", f"{api}/prod/GET/predict", f"{name}:live"),
        ("events.amazonaws.com", f"{api}/prod/POST/predict", f"{name}:live"),
        ("apigateway.amazonaws.com", f"{api}/prod/POST/predict", name),
    ):
        with pytest.raises(Exception, match="no resource-based policy allows"):
            functions().check_service(principal, source, functions().refer(called))
    document = json.loads(account.client.get_policy(FunctionName=name, Qualifier="live")["Policy"])
    assert document["Statement"][0]["Sid"] == "api"
    account.client.remove_permission(FunctionName=name, Qualifier="live", StatementId="api")
    with pytest.raises(ClientError):
        account.client.get_policy(FunctionName=name, Qualifier="live")


def test_lambda_pulls_what_the_repository_or_the_caller_lets_it(
    account: FunctionAccount, make_role: MakeRole, cloud: LocalCloud
) -> None:
    role_arn = make_role((["lambda:CreateFunction"], "*"), ("iam:PassRole", account.role_arn))
    client = cloud.client("lambda", role_arn=role_arn, service_principal="sagemaker.amazonaws.com")
    with pytest.raises(ClientError, match="Lambda does not have permission to access the ECR"):
        client.create_function(**account.request())
    cloud.client("ecr").set_repository_policy(
        repositoryName="functions",
        policyText=policy(
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                "Condition": {"ArnLike": {"aws:SourceArn": functions().arn("project-*")}},
            }
        ),
    )
    client.create_function(**account.request(FunctionName="project-api"))
    with pytest.raises(ClientError, match="Lambda does not have permission to access the ECR"):
        client.create_function(**account.request(FunctionName="others-api"))


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Timeout": 901}, "Member must have value less than or equal to 900"),
        ({"MemorySize": 10_241}, "Member must have value less than or equal to 10240"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
        ({"Environment": {"Variables": {"A": "x" * 5000}}}, "exceeded the 4KB limit"),
        ({"Role": "arn:aws:iam::000000000000:role/nobody"}, "cannot be assumed by Lambda"),
        ({"Code": {"ImageUri": "000000000000.dkr.ecr.xx-local-1.amazonaws.com/no:1"}}, "does not"),
        ({"PackageType": "Zip", "Code": {"ZipFile": b"x"}}, "functions are container images"),
        ({"Layers": ["arn"]}, "Layers"),
        ({"TracingConfig": {"Mode": "Active"}}, "TracingConfig.Mode Active"),
        ({"DeadLetterConfig": {"TargetArn": "arn"}}, "DeadLetterConfig"),
    ],
)  # fmt: skip
def test_what_aws_or_the_local_cloud_refuses(
    account: FunctionAccount, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        account.make(**changes)


def test_a_function_in_a_network_needs_a_role_that_may_make_interfaces(
    account: FunctionAccount,
) -> None:
    subnet = account.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    role_arn = account.role({"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
    with pytest.raises(ClientError, match="permissions to call CreateNetworkInterface on EC2"):
        account.make(Role=role_arn, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": []})


def test_a_policy_can_hold_a_function_s_code_to_less_than_lambda(
    account: FunctionAccount,
) -> None:
    subnet = account.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    pattern = f"{functions().arn('*')}"
    role_arn = account.role(
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "ec2:*",
            "Resource": "*",
            "Condition": {"ArnLike": {"lambda:SourceFunctionArn": pattern}},
        },
    )
    name = account.make(Role=role_arn, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": []})
    environment = account.invoke(name)["Payload"]["environment"]
    credentials = Credentials(
        *(environment[f"AWS_{_}"] for _ in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    )
    assert account.cloud.client_as("sts", credentials).get_caller_identity()
    with pytest.raises(ClientError, match="explicit deny in an identity-based policy"):
        account.cloud.client_as("ec2", credentials).describe_subnets()


def test_a_deleted_function_is_gone(account: FunctionAccount) -> None:
    name = account.make(Tags={"a": "b"})
    arn = functions().arn(name)
    pid = account.invoke(name)["Payload"]["pid"]
    account.client.tag_resource(Resource=arn, Tags={"c": "d"})
    account.client.untag_resource(Resource=arn, TagKeys=["a"])
    assert account.client.list_tags(Resource=arn)["Tags"] == {"c": "d"}
    with pytest.raises(ClientError) as error:
        account.make(FunctionName=name)
    assert code_of(error) == "ResourceConflictException"
    account.client.delete_function(FunctionName=name)
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(ClientError) as error:
        account.client.get_function(FunctionName=name)
    assert code_of(error) == "ResourceNotFoundException"
    wait_for(lambda: not list((account.cloud.root / "functions").glob(f"{name}-*")))
