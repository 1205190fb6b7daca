"""Stacks with functions, versions, aliases and custom resources."""

from __future__ import annotations

import io
import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.cloudformation.custom_responses import Responses

from .cloudformation.conftest import Driver
from .conftest import MakeRole
from .function_account import FunctionAccount


@pytest.fixture(scope="module")
def account(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> FunctionAccount:
    """An account for this module."""
    return FunctionAccount(cloud, tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def stacks(cloud: LocalCloud) -> Driver:
    """Stacks of the administrator."""
    return Driver(cloud.client("cloudformation"))


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


def release(account: FunctionAccount, label: str, **more: Any) -> dict[str, Any]:
    """A function with the version and the alias of a release."""
    return {
        "Resources": {
            "Function": resource(
                "AWS::Lambda::Function",
                Role=account.role_arn,
                PackageType="Image",
                Code={"ImageUri": account.image_uri},
                Environment={"Variables": {"RELEASE": label}},
                Timeout=20,
                MemorySize=256,
                **more,
            ),
            "Version": resource(
                "AWS::Lambda::Version", FunctionName=ref("Function"), Description=label
            ),
            "Live": resource(
                "AWS::Lambda::Alias",
                FunctionName=ref("Function"),
                FunctionVersion=att("Version", "Version"),
                Name="live",
            ),
            "Permission": resource(
                "AWS::Lambda::Permission",
                FunctionName=ref("Live"),
                Action="lambda:InvokeFunction",
                Principal="apigateway.amazonaws.com",
                SourceAccount=ref("AWS::AccountId"),
            ),
            "Events": {
                "DependsOn": "Live",
                **resource(
                    "AWS::Lambda::EventInvokeConfig",
                    FunctionName=ref("Function"),
                    Qualifier="live",
                    MaximumRetryAttempts=0,
                ),
            },
        },
        "Outputs": {
            "Function": {"Value": ref("Function")},
            "Live": {"Value": ref("Live")},
            "Version": {"Value": att("Version", "Version")},
        },
    }


def test_a_release_is_a_version_behind_the_alias(account: FunctionAccount, stacks: Driver) -> None:
    stack = stacks.create("release", release(account, "one", ReservedConcurrentExecutions=7))
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = stacks.outputs("release")
    first = account.invoke(outputs["Live"])
    assert first["ExecutedVersion"] == outputs["Version"] == "1"
    assert first["Payload"]["environment"]["RELEASE"] == "one"
    function = outputs["Function"]
    tagged = release(account, "two", Tags=[{"Key": "a", "Value": "b"}])
    assert stacks.update("release", tagged)["StackStatus"] == "UPDATE_COMPLETE"
    second = account.invoke(outputs["Live"])
    assert second["ExecutedVersion"] == stacks.outputs("release")["Version"] == "2"
    assert second["Payload"]["environment"]["RELEASE"] == "two"
    versions = account.client.list_versions_by_function(FunctionName=function)["Versions"]
    assert [item["Version"] for item in versions] == ["$LATEST", "2"]  # the old one is cleaned up
    described = account.client.get_function(FunctionName=function)
    assert described["Tags"] == {"a": "b"}
    assert "Concurrency" not in described
    assert stacks.delete("release")["StackStatus"] == "DELETE_COMPLETE"
    assert not any(_["FunctionName"] == function
                   for _ in account.client.list_functions()["Functions"])  # fmt: skip


def test_a_version_of_what_has_not_changed_is_refused(
    account: FunctionAccount, stacks: Driver
) -> None:
    template = release(account, "same")
    stacks.create("same", template)
    template["Resources"]["Version"]["Properties"]["Description"] = "another"
    assert stacks.update("same", template)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert (
        "A version for this Lambda function exists ( 1 )"
        in (stacks.reasons("same", "UPDATE_FAILED")["Version"])
    )
    assert account.invoke(stacks.outputs("same")["Live"])["ExecutedVersion"] == "1"


def test_weights_of_a_template_are_those_of_the_alias(
    account: FunctionAccount, stacks: Driver
) -> None:
    template = release(account, "one")
    stacks.create("weights", template)
    template["Resources"]["Function"]["Properties"]["Environment"] = {"Variables": {"COLOUR": "b"}}
    template["Resources"]["Second"] = resource(
        "AWS::Lambda::Version", FunctionName=ref("Function"), Description="two"
    )
    weight = {"FunctionVersion": att("Second", "Version"), "FunctionWeight": 1}
    template["Resources"]["Live"]["Properties"]["RoutingConfig"] = {
        "AdditionalVersionWeights": [weight]
    }
    assert stacks.update("weights", template)["StackStatus"] == "UPDATE_COMPLETE"
    assert account.invoke(stacks.outputs("weights")["Live"])["ExecutedVersion"] == "2"


def test_a_function_mounts_an_access_point(account: FunctionAccount, stacks: Driver) -> None:
    subnet = account.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    mount = {"Arn": att("Point", "Arn"), "LocalMountPath": "/mnt/assets"}
    template = release(
        account,
        "mounted",
        FileSystemConfigs=[mount],
        VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": []},
    )
    resources = template["Resources"]
    resources["Files"] = resource("AWS::EFS::FileSystem")
    resources["Target"] = resource(
        "AWS::EFS::MountTarget", FileSystemId=ref("Files"), SubnetId=subnet, SecurityGroups=[]
    )
    resources["Point"] = resource(
        "AWS::EFS::AccessPoint", FileSystemId=ref("Files"), RootDirectory={"Path": "/a"}
    )
    resources["Function"]["DependsOn"] = "Target"
    resources["Function"]["Properties"]["Environment"]["Variables"]["ASSETS_DIR"] = "/mnt/assets"
    assert stacks.create("mounted", template)["StackStatus"] == "CREATE_COMPLETE"
    account.invoke(stacks.outputs("mounted")["Live"], {"write": "here"})
    folder = account.cloud.root / "efs" / stacks.physical_ids("mounted")["Files"] / "a"
    assert (folder / "note.txt").read_text() == "here"


def test_a_function_asks_a_vpc_endpoint_by_its_name(
    account: FunctionAccount, stacks: Driver
) -> None:
    (subnet, *_) = account.cloud.client("ec2").describe_subnets()["Subnets"]
    network = {"SubnetIds": [subnet["SubnetId"]], "SecurityGroupIds": []}
    template = release(account, "asking", VpcConfig=network)
    first = {"Fn::Select": [0, att("Endpoint", "DnsEntries")]}
    address = {
        "Fn::Sub": ["https://${Name}", {"Name": {"Fn::Select": [1, {"Fn::Split": [":", first]}]}}]
    }
    resources = template["Resources"]
    resources["Endpoint"] = resource(
        "AWS::EC2::VPCEndpoint",
        VpcEndpointType="Interface",
        VpcId=subnet["VpcId"],
        ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.sagemaker.runtime"},
        SubnetIds=network["SubnetIds"],
        PrivateDnsEnabled=False,
    )
    variables = resources["Function"]["Properties"]["Environment"]["Variables"]
    variables["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = address
    template["Outputs"]["Address"] = {"Value": address}
    assert stacks.create("asking", template)["StackStatus"] == "CREATE_COMPLETE"
    outputs = stacks.outputs("asking")
    name = (
        rf"https://vpce-\w+-\w+\.runtime\.sagemaker\.{account.cloud.region}\.vpce\.amazonaws\.com"
    )
    assert re.fullmatch(name, outputs["Address"])
    environment = account.invoke(outputs["Live"])["Payload"]["environment"]
    assert environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] == account.cloud.endpoint_url

    def started_with(variable: str, **place: Any) -> Any:
        settings = {"Environment": {"Variables": {variable: outputs["Address"]}}, **place}
        return account.invoke(account.make(**settings))["Payload"]

    other = started_with("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", VpcConfig=network)
    assert (
        "sagemaker.runtime; requests that this variable is for are answered by logs"
        in (other["errorMessage"])
    )
    outside = started_with("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME")
    assert "the function in no network" in outside["errorMessage"]
    assert stacks.delete("asking")["StackStatus"] == "DELETE_COMPLETE"
    gone = started_with("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", VpcConfig=network)
    assert gone["environment"]["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] == outputs["Address"]


def test_a_function_of_an_archive_is_refused(account: FunctionAccount, stacks: Driver) -> None:
    template = release(account, "zip")
    template["Resources"]["Function"]["Properties"]["Runtime"] = "python3.13"
    with pytest.raises(Exception, match=r"Function/Properties/Runtime is not part"):
        stacks.create("zip", template)


# ------------------------------------------------------------------------------ custom resources


def custom(account: FunctionAccount, function: str, **properties: Any) -> dict[str, Any]:
    token = account.client.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
    return {
        "Resources": {
            "Thing": resource("Custom::Thing", ServiceToken=token, **properties),
            "Note": resource("AWS::SSM::Parameter", Type="String", Value=att("Thing", "Verb")),
        },
        "Outputs": {
            "Id": {"Value": ref("Thing")},
            "Colour": {"Value": att("Thing", "Colour")},
        },
    }


@pytest.fixture
def maker(account: FunctionAccount) -> str:
    """A function that makes custom resources."""
    return account.make(ImageConfig={"Command": ["custom.handler"]})


def asked(account: FunctionAccount, function: str) -> list[dict[str, Any]]:
    """What the function was asked, in order."""
    folder = account.cloud.root / "logs" / "aws" / "lambda" / function
    lines = [line for path in folder.rglob("*.log") for line in path.read_text().splitlines()]
    return [json.loads(line.removeprefix("ASKED ")) for line in lines if line.startswith("ASKED ")]


def verbs(account: FunctionAccount, function: str) -> list[tuple[str, str | None]]:
    return [
        (event["RequestType"], event.get("PhysicalResourceId"))
        for event in asked(account, function)
    ]


def test_a_custom_resource_is_made_changed_replaced_and_deleted(
    account: FunctionAccount, stacks: Driver, maker: str
) -> None:
    first = custom(account, maker, Id="one", Colour="red", Count=3, Deep={"Yes": True})
    stack = stacks.create("custom", first)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stacks.outputs("custom") == {"Id": "one", "Colour": "red"}
    (created,) = asked(account, maker)
    assert created["RequestType"] == "Create"
    assert created["ResourceType"] == "Custom::Thing"
    assert created["LogicalResourceId"] == "Thing"
    assert created["StackId"] == stack["StackId"]
    properties = created["ResourceProperties"]
    assert properties.pop("ServiceToken").endswith(f":{maker}")
    assert properties == {"Id": "one", "Colour": "red", "Count": "3", "Deep": {"Yes": "true"}}

    stacks.update("custom", custom(account, maker, Id="one", Colour="blue"))
    assert stacks.outputs("custom") == {"Id": "one", "Colour": "blue"}
    updated = asked(account, maker)[-1]
    assert updated["OldResourceProperties"]["Colour"] == "red"
    note = account.cloud.client("ssm").get_parameter(Name=stacks.physical_ids("custom")["Note"])
    assert note["Parameter"]["Value"] == "Update"

    second = custom(account, maker, Id="two", Colour="blue")
    second["Resources"]["Note"]["Properties"]["Name"] = "/another"  # is replaced too
    stacks.update("custom", second)
    assert stacks.outputs("custom")["Id"] == "two"
    deleted = [name for name, status, _ in stacks.events("custom") if status == "DELETE_COMPLETE"]
    assert deleted == ["Note", "Thing"]  # what depends on it goes first
    assert stacks.delete("custom")["StackStatus"] == "DELETE_COMPLETE"
    assert verbs(account, maker) == [
        ("Create", None), ("Update", "one"), ("Update", "one"), ("Delete", "one"),
        ("Delete", "two"),
    ]  # fmt: skip


def test_a_failed_creation_says_why_and_is_deleted(
    account: FunctionAccount, stacks: Driver, maker: str
) -> None:
    stack = stacks.create("fails", custom(account, maker, Id="one", FailsAt="Create"))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    reason = stacks.reasons("fails", "CREATE_FAILED")["Thing"]
    assert reason.startswith(
        "Received response status [FAILED] from custom resource. Message returned: it was asked to"
    )
    assert verbs(account, maker) == [("Create", None), ("Delete", "one")]


def test_a_failed_update_is_rolled_back(
    account: FunctionAccount, stacks: Driver, maker: str
) -> None:
    stacks.create("rolled", custom(account, maker, Id="one", Colour="red"))
    template = custom(account, maker, Id="two", Colour="blue")
    template["Resources"]["Note"]["Properties"]["Type"] = "StringList"
    template["Resources"]["Bad"] = resource("AWS::SSM::Parameter", Type="String", Value="")
    template["Resources"]["Bad"]["DependsOn"] = "Thing"
    assert stacks.update("rolled", template)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.outputs("rolled") == {"Id": "one", "Colour": "red"}
    said = [(name, status) for name, status, _ in stacks.events("rolled")]
    cleaning = said.index(("rolled", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert said.index(("Thing", "DELETE_COMPLETE")) > cleaning
    assert verbs(account, maker) == [
        ("Create", None), ("Update", "one"), ("Update", "two"), ("Delete", "two"),
    ]  # fmt: skip
    failing = custom(account, maker, Id="one", Colour="green", FailsAt="Update")
    assert stacks.update("rolled", failing)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert asked(account, maker)[-1]["ResourceProperties"]["Colour"] == "red"


def test_no_answer_is_a_failure_after_the_timeout(
    account: FunctionAccount, stacks: Driver, maker: str
) -> None:
    template = custom(account, maker, Silent=True, ServiceTimeout=1)
    began = time.monotonic()
    stack = stacks.create("silent", template, OnFailure="DO_NOTHING")
    assert 1 <= time.monotonic() - began < 20
    assert stack["StackStatus"] == "CREATE_FAILED"
    reason = stacks.reasons("silent", "CREATE_FAILED")["Thing"]
    (event,) = asked(account, maker)
    assert "did not receive a response" in reason
    assert event["RequestId"] in reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"PhysicalResourceId": ""}, "Invalid PhysicalResourceId"),
        ({"RequestId": "another"}, "RequestId is not that of the request"),
        ({"Status": "FINE"}, "Invalid response status"),
        ({"Data": {"Long": "x" * 4096}}, "Response object is too long"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(
    account: FunctionAccount, stacks: Driver, maker: str, response: dict[str, Any], reason: str
) -> None:
    name = f"wrong-{maker}"
    template = custom(account, maker, Response=json.dumps(response))
    stack = stacks.create(name, template, OnFailure="DO_NOTHING")
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert reason in stacks.reasons(name, "CREATE_FAILED")["Thing"]


def test_the_deploying_role_must_be_allowed_to_invoke(
    account: FunctionAccount, stacks: Driver, make_role: MakeRole, maker: str
) -> None:
    role_arn = make_role(("ssm:*", "*"), service="cloudformation.amazonaws.com")
    stack = stacks.create("denied", custom(account, maker), RoleARN=role_arn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "lambda:InvokeFunction" in stacks.reasons("denied", "CREATE_FAILED")["Thing"]
    assert asked(account, maker) == []


def put(responses: Responses, path: str, body: bytes, verb: str = "PUT") -> str:
    seen: list[str] = []
    environ = {"REQUEST_METHOD": verb, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    responses(environ, lambda status, _: seen.append(status))
    return seen[0]


def test_the_first_answer_counts() -> None:
    responses = Responses()
    path = responses.expect()
    assert put(responses, path, b"{}", "GET") == "403 Forbidden"
    assert responses.take(path) is None
    assert put(responses, path, b'{"a": 1}') == "200 OK"
    assert put(responses, path, b'{"a": 2}') == "403 Forbidden"
    assert responses.take(path) == {"a": 1}
    assert responses.take(path) is None
    forgotten = responses.expect()
    responses.forget(forgotten)
    assert put(responses, forgotten, b"{}") == "403 Forbidden"


def test_an_address_is_good_for_one_answer(
    account: FunctionAccount, stacks: Driver, maker: str
) -> None:
    stacks.create("once", custom(account, maker))
    (event,) = asked(account, maker)
    guessed = f"{event['ResponseURL'].rpartition('/')[0]}/guessed"
    for url in (event["ResponseURL"], guessed):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(url, b"{}", method="PUT"))
        assert error.value.code == 403
        error.value.close()
