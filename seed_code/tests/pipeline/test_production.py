"""What is recorded around a deployment to production, and the way back."""

from __future__ import annotations

import datetime
import json
from io import BytesIO

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY

from mlsystem.errors import PlatformError, UserError
from mlsystem.names import Names
from pipeline import rollback as going_back
from pipeline.__main__ import main
from pipeline.registry import Package

KEY, RELEASE = "churn-p-1", "5b1f3a52-0d5b-4e2c-9d7f-c0ffee000000"
STACK = f"{KEY}-prod"
ARN = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{KEY}"


#: What production uses of the account that it is in.
PLACE = {
    "AccessPointArn": "arn:aws:elasticfilesystem:eu-west-1:210987654321:access-point/fsap-0a",
    "FileSystemArn": "arn:aws:elasticfilesystem:eu-west-1:210987654321:file-system/fs-0a",
    "FunctionSecurityGroup": "sg-0a",
    "KmsKeyArn": "arn:aws:kms:eu-west-1:210987654321:key/2",
    "NotificationTopicArn": f"arn:aws:sns:eu-west-1:210987654321:{KEY}-notifications",
    "PermissionsBoundaryArn": "arn:aws:iam::210987654321:policy/boundary",
    "PrivateSubnetA": "subnet-0a",
    "PrivateSubnetB": "subnet-0b",
    "VpcId": "vpc-0a",
}


def version(number, release, since=""):
    known = {"release": release} | ({"in_production_since": since} if since else {})
    return {"number": number, "CustomerMetadataProperties": known}


def stack(aws, status="UPDATE_COMPLETE", *, serving=RELEASE, **more):
    outputs = {"ServingRelease": serving, "ApiUrl": "https://a.example/prod"}
    described = {
        "StackName": STACK, "StackStatus": status, "CreationTime": 0,
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
        **more,
    }  # fmt: skip
    aws.answers("cloudformation", "describe_stacks", {"Stacks": [described]}, StackName=STACK)


def no_stack(aws):
    message = f"Stack with id {STACK} does not exist"
    aws.refuses("cloudformation", "describe_stacks", "ValidationError", message=message)


def updated(aws, arn, **request):
    aws.answers(
        "sagemaker",
        "update_model_package",
        {"ModelPackageArn": arn},
        ModelPackageArn=arn,
        **request,
    )


def last_word(capsys):
    return capsys.readouterr().err.splitlines()[-1]


# --- approve ------------------------------------------------------------------------------------


@pytest.fixture
def built(variables, monkeypatch, tmp_path):
    """The artifact of the Build stage, and an empty folder for what is written."""
    folder = tmp_path / "Build"
    folder.mkdir()
    text = json.dumps({"Parameters": {"ReleaseId": RELEASE}, "Tags": {"mlsystem-project": KEY}})
    (folder / "prod-configuration.json").write_text(text)
    monkeypatch.setenv("CODEBUILD_SRC_DIR_Build", str(folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "prod-configuration.json"


def place(aws):
    answer = {"Parameter": {"Value": json.dumps(PLACE)}}
    aws.answers("ssm", "get_parameter", answer, Name=f"/mlsystem/{KEY}-production")


@pytest.fixture
def approved(aws, built):
    aws.packages(version(7, RELEASE), status=None)
    updated(
        aws, f"{ARN}/7", ModelApprovalStatus="Approved",
        ApprovalDescription=f"Approved in pipeline {KEY}: {RELEASE}",
    )  # fmt: skip


@pytest.mark.usefixtures("approved")
@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_an_approval_is_recorded_and_production_left_alone(aws, status):
    stack(aws, status)
    place(aws)
    assert main(["approve"], aws) == 0


@pytest.mark.usefixtures("approved")
def test_the_first_release_has_no_stack(aws):
    no_stack(aws)
    place(aws)
    assert main(["approve"], aws) == 0


@pytest.mark.usefixtures("approved")
def test_what_production_uses_of_its_account_completes_what_build_wrote(aws, built):
    no_stack(aws)
    place(aws)
    assert main(["approve"], aws) == 0
    assert json.loads(built.read_text()) == {
        "Parameters": {"ReleaseId": RELEASE, **PLACE}, "Tags": {"mlsystem-project": KEY},
    }  # fmt: skip


ELSEWHERE = f"arn:aws:iam::210987654321:role/mlsystem/{KEY}/there"


@pytest.mark.usefixtures("approved")
def test_an_approval_looks_where_production_is(aws, built, monkeypatch):
    """The registry is the project's; stack and place are asked with the role of production."""
    monkeypatch.setenv("PRODUCTION_ACCESS_ROLE_ARN", ELSEWHERE)
    there = aws.assumes(ELSEWHERE, Names(KEY, RELEASE).label)
    stack(there, "ROLLBACK_COMPLETE")
    there.answers("cloudformation", "delete_stack", {}, StackName=STACK)
    no_stack(there)
    place(there)
    assert main(["approve"], aws) == 0
    assert json.loads(built.read_text())["Parameters"]["VpcId"] == PLACE["VpcId"]


def test_a_champion_is_asked_where_production_is(aws, variables, monkeypatch):
    monkeypatch.setenv("PRODUCTION_ACCESS_ROLE_ARN", ELSEWHERE)
    there = aws.assumes(ELSEWHERE, Names(KEY, RELEASE).label)
    answers(there)
    aws.packages(version(7, RELEASE), status=None)
    aws.answers("sagemaker", "update_model_package", {"ModelPackageArn": f"{ARN}/7"})
    stack(there)
    assert main(["promote"], aws) == 0


@pytest.mark.usefixtures("approved")
@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"])
def test_a_stack_that_never_was_makes_room(aws, status, capsys):
    stack(aws, status)
    aws.answers("cloudformation", "delete_stack", {}, StackName=STACK)
    no_stack(aws)
    place(aws)
    assert main(["approve"], aws) == 0
    assert f"Deleting {STACK}: {status}" in capsys.readouterr().out


@pytest.mark.usefixtures("approved")
def test_a_stack_that_cannot_be_deleted(aws, capsys):
    stack(aws, "ROLLBACK_COMPLETE")
    aws.answers("cloudformation", "delete_stack", {}, StackName=STACK)
    stack(aws, "DELETE_FAILED")
    assert main(["approve"], aws) == 1
    assert last_word(capsys).startswith(f"stack {STACK}: ")


# --- promote ------------------------------------------------------------------------------------


def answers(aws, status=200, release=RELEASE, **more):
    body = {"statusCode": status, "headers": {"X-Release": release}, "body": "{}"}
    text = json.dumps(body).encode()
    payload = StreamingBody(BytesIO(text), len(text))
    aws.answers("lambda", "invoke", {"StatusCode": 200, "Payload": payload, **more})


def test_what_answers_is_the_champion(aws, variables, capsys):
    answers(aws)
    aws.packages(version(7, RELEASE), status=None)
    aws.answers("sagemaker", "update_model_package", {"ModelPackageArn": f"{ARN}/7"})
    stack(aws)
    assert main(["promote"], aws) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"In production: {ARN}/7", "POST https://a.example/prod/predict",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"release": "another"}, f"status 200 of release another; 200 of release {RELEASE}"),
        ({"status": 503}, f"status 503 of release {RELEASE}; 200 of"),
        ({"FunctionError": "Unhandled"}, "Unhandled: "),
    ],
)
def test_what_does_not_answer_is_no_champion(aws, variables, capsys, answer, expected):
    answers(aws, **answer)
    assert main(["promote"], aws) == 1
    assert last_word(capsys).startswith(f"function {KEY}-api:live: {expected}")


# --- the way back -------------------------------------------------------------------------------

NOW = datetime.datetime(2026, 5, 1, 9, 30, tzinfo=datetime.UTC)
PACKAGES = [
    Package(f"{ARN}/4", "r-4", "2026-04", (), NOW),
    Package(f"{ARN}/3", "r-3", "", (), NOW),
    Package(f"{ARN}/2", "r-2", "2026-02", (), NOW),
    Package(f"{ARN}/1", "r-1", "2026-01", (), NOW),
]


@pytest.mark.parametrize(
    ("serving", "to", "expected"),
    [
        ("r-4", None, "r-2"),  # r-3 was approved, and never in production
        ("r-2", None, "r-4"),  # after a return to r-2, the way forward again
        ("r-4", "r-3", "r-3"),
        ("r-4", f"{ARN}/1", "r-1"),
        ("unknown", None, "r-4"),
    ],
)
def test_where_it_leads(serving, to, expected):
    assert going_back.choose(PACKAGES, serving, to).release == expected


@pytest.mark.parametrize("to", ["r-4", "r-9"])
def test_there_is_no_way_to_what_serves_or_was_never_approved(to):
    with pytest.raises(UserError, match=f"--to: '{to}'; an approved .*: r-3, r-2, r-1"):
        going_back.choose(PACKAGES, "r-4", to)


def test_there_is_no_way_back_from_the_first():
    with pytest.raises(UserError, match="r-1, the first release in production"):
        going_back.choose(PACKAGES[1::2], "r-1", None)


NAMES = Names(KEY, "r-1")
RECORDED = {
    "Parameters": {
        "DataBucketName": "before", "ReleaseId": "r-1", "TrafficShift": "own", "AlarmsStop": "yes",
    },
    "Tags": {"mlsystem-project": KEY},
}  # fmt: skip
#: What is not recorded is of the account; what the present one has besides is not this one's.
TEMPLATE = json.dumps({"Parameters": {name: {} for name in ("VpcId", *RECORDED["Parameters"])}})
PRESENT = [
    {"ParameterKey": name, "ParameterValue": "now"}
    for name in ("DataBucketName", "DataKeyArn", "ReleaseId", "VpcId")
]

STACK_ARN = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{STACK}/1"
TOKEN = "rollback-20260501T093000"


@pytest.fixture
def chosen(aws, variables):
    stack(aws, serving="r-2", StackId=STACK_ARN, Parameters=PRESENT)
    versions(aws)


def versions(aws):
    aws.packages(version(2, "r-2", "2026-02"), version(1, "r-1", "2026-01"))


def deployed(aws, token=ANY, there=None):
    aws.object(NAMES.prod_configuration_key, json.dumps(RECORDED))
    aws.object(NAMES.prod_template_key, TEMPLATE)
    (there or aws).answers(
        "cloudformation", "update_stack", {"StackId": "arn:stack"},
        StackName=STACK, Capabilities=["CAPABILITY_IAM"], ClientRequestToken=token,
        TemplateURL=(
            f"https://{KEY}-data.s3.eu-west-1.amazonaws.com/releases/r-1/deployment/prod.json"
        ),
        Parameters=[
            {"ParameterKey": "VpcId", "UsePreviousValue": True},
            {"ParameterKey": "DataBucketName", "UsePreviousValue": True},
            {"ParameterKey": "ReleaseId", "ParameterValue": "r-1"},
            {"ParameterKey": "TrafficShift",
             "ParameterValue": "CodeDeployDefault.LambdaAllAtOnce"},
            {"ParameterKey": "AlarmsStop", "ParameterValue": "no"},
        ],
    )  # fmt: skip


def happened(aws, *events):
    """Announce that the stack's events are read, the newest first."""
    each = [
        {
            "StackId": "arn:stack",
            "StackName": STACK,
            "EventId": str(number),
            "Timestamp": 0,
            **event,
        }
        for number, event in enumerate(events)
    ]
    aws.answers("cloudformation", "describe_stack_events", {"StackEvents": each}, StackName=STACK)


def event(resource, status, token=TOKEN, **more):
    return {
        "LogicalResourceId": resource, "ResourceStatus": status, "ClientRequestToken": token, **more
    }  # fmt: skip


@pytest.mark.usefixtures("chosen")
def test_the_release_before_is_deployed_as_it_was(aws, capsys):
    deployed(aws)
    stack(aws, "UPDATE_COMPLETE")
    happened(aws)
    aws.answers("sagemaker", "update_model_package", {"ModelPackageArn": f"{ARN}/1"})
    assert main(["rollback", KEY], aws) == 0
    assert "from release r-2 back to r-1" in capsys.readouterr().out


def test_the_way_back_leads_through_the_account_of_production(aws, variables):
    there = aws.assumes(ELSEWHERE, "rollback")
    stack(there, serving="r-2", StackId=STACK_ARN, Parameters=PRESENT)
    versions(aws)
    deployed(aws, there=there)
    stack(there, "UPDATE_COMPLETE")
    happened(there)
    aws.answers("sagemaker", "update_model_package", {"ModelPackageArn": f"{ARN}/1"})
    assert main(["rollback", KEY, "--production-role", ELSEWHERE], aws) == 0


@pytest.mark.usefixtures("chosen")
def test_what_happens_is_told_while_it_does(aws, capsys, monkeypatch):
    monkeypatch.setattr(going_back, "_POLL_SECONDS", 0)
    before = event("Old", "CREATE_COMPLETE", "another")
    made = event("New", "CREATE_COMPLETE")
    deployed(aws, TOKEN)
    stack(aws, "UPDATE_IN_PROGRESS")
    happened(aws, made, before)
    stack(aws, "UPDATE_ROLLBACK_COMPLETE", StackStatusReason="golden: 3 of 20")
    refused = event("Check", "CREATE_FAILED", ResourceStatusReason="golden: 3 of 20")
    happened(aws, refused, made, before)
    with pytest.raises(PlatformError) as error:
        going_back.rollback(KEY, None, aws, NOW)
    assert str(error.value) == (
        f"stack {STACK}: golden: 3 of 20; an update that succeeds. What answered before still does."
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "New: CREATE_COMPLETE", "Check: CREATE_FAILED (golden: 3 of 20)",
    ]  # fmt: skip


@pytest.mark.usefixtures("chosen")
def test_a_return_without_an_end_is_not_waited_for(aws, monkeypatch):
    monkeypatch.setattr(going_back, "_POLLS", 1)
    monkeypatch.setattr(going_back, "_POLL_SECONDS", 0)
    deployed(aws)
    stack(aws, "UPDATE_IN_PROGRESS")
    happened(aws)
    with pytest.raises(PlatformError, match=f"stack {STACK}: still UPDATE_IN_PROGRESS; "):
        going_back.rollback(KEY, None, aws, NOW)


@pytest.mark.usefixtures("chosen")
def test_a_dry_run_says_where_to_and_changes_nothing(aws, capsys):
    assert main(["rollback", KEY, "--dry-run"], aws) == 0
    assert capsys.readouterr().out == f"Production of {KEY}: from release r-2 back to r-1\n"


@pytest.mark.usefixtures("chosen")
def test_a_release_that_left_no_record(aws, capsys):
    aws.refuses("s3", "get_object", "NoSuchKey")
    assert main(["rollback", KEY], aws) == 1
    expected = f"s3://{KEY}-data/{NAMES.prod_configuration_key}: not there"
    assert last_word(capsys).startswith(expected)


def test_no_production_to_return(aws, capsys):
    no_stack(aws)
    assert main(["rollback", KEY], aws) == 1
    assert last_word(capsys).startswith(f"stack {STACK}: nothing in production")


@pytest.mark.parametrize("project", ["", "churn p-1", "/churn"])
def test_what_is_no_project(project, aws, capsys):
    assert main(["rollback", project], aws) == 1
    assert last_word(capsys).startswith(f"rollback: project: found {project!r}; ")
