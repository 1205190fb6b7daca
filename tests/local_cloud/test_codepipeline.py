"""Pipelines call real services: a push becomes a build, a stack, an execution and an approval."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole, wait_for

BUCKET, DATA = "artifacts", "sources"
PATIENCE = 120.0
Declare = Callable[..., str]

BUILDSPEC = """
version: 0.2
env: {exported-variables: [SAID, GROUP]}
phases:
  build:
    commands:
      - export SAID="say \\"$WORD\\" for $RELEASE" GROUP=/made/by-$(cat name.txt)
      - test "$WORD" != fail
      - cp template.json configuration.json input.json out/
artifacts: {base-directory: out, files: ["*"]}
"""
TEMPLATE = {
    "Parameters": {"Name": {"Type": "String"}, "Days": {"Type": "Number"}},
    "Resources": {
        "Group": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": {"Ref": "Name"}, "RetentionInDays": {"Ref": "Days"}},
        }
    },
    "Outputs": {"Made": {"Value": {"Ref": "Group"}}},
}
FILES = {
    "buildspec.yml": BUILDSPEC,
    "name.txt": "ada",
    "out/.keep": "",
    "template.json": json.dumps(TEMPLATE),
    "configuration.json": json.dumps({"Parameters": {"Days": "7"}, "Tags": {"a": "b"}}),
    "input.json": '{"from": "file"}',
}


@pytest.fixture(scope="module")
def client(cloud: LocalCloud) -> Any:
    s3 = cloud.client("s3")
    for bucket in (BUCKET, DATA):
        place = {"LocationConstraint": cloud.region}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    s3.put_bucket_versioning(Bucket=DATA, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=DATA, Key="source.zip", Body=zipped({"a.txt": "one"}))
    return cloud.client("codepipeline")


@pytest.fixture(scope="module")
def role(make_role: MakeRole) -> str:
    """What every pipeline here may do."""
    return make_role(
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
        (["s3:GetObject", "s3:GetObjectVersion"], f"arn:aws:s3:::{DATA}/*"),
        ("s3:GetBucketVersioning", f"arn:aws:s3:::{DATA}"),
        (["codecommit:GetBranch", "codecommit:GetCommit", "codecommit:UploadArchive"], "*"),
        (["codebuild:StartBuild", "codebuild:BatchGetBuilds"], "*"),
        (["cloudformation:*", "iam:PassRole", "sns:Publish"], "*"),
        (["states:StartExecution", "states:DescribeExecution"], "*"),
        service="codepipeline.amazonaws.com",
    )


def zipped(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def action(category: str, provider: str, name: str = "", **options: Any) -> dict[str, Any]:
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    for key in ("inputArtifacts", "outputArtifacts"):
        options[key] = [{"name": artifact} for artifact in options.get(key, [])]
    return {"name": name or provider, "actionTypeId": kind, **options}


def source(**configuration: str) -> dict[str, Any]:
    wanted = {"S3Bucket": DATA, "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"}
    return action(
        "Source", "S3", namespace="Src", outputArtifacts=["Code"],
        configuration={**wanted, **configuration},
    )  # fmt: skip


def approval(name: str = "Approve", **options: Any) -> dict[str, Any]:
    return action("Approval", "Manual", name, **options)


@pytest.fixture
def declare(client: Any, role: str) -> Iterator[Declare]:
    """Create a pipeline of these stages; give its name."""
    names = []

    def create(*stages: dict[str, Any], **options: Any) -> str:
        name = f"p-{uuid.uuid4().hex[:8]}"
        declaration = {
            "name": name,
            "roleArn": role,
            "pipelineType": "V2",
            "executionMode": "QUEUED",
            "artifactStore": {"type": "S3", "location": BUCKET},
            "stages": list(stages),
            **options,
        }
        client.create_pipeline(pipeline=declaration)
        names.append(name)
        return name

    yield create
    for name in names:
        client.delete_pipeline(name=name)


def stage(name: str, *actions: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"name": name, "actions": list(actions), **options}


def executions(client: Any, name: str) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = client.list_pipeline_executions(pipelineName=name)
    return list(answer["pipelineExecutionSummaries"][::-1])


def ended(client: Any, name: str, index: int = -1) -> dict[str, Any]:
    def is_over() -> Any:
        execution = executions(client, name)[index]
        return execution if execution["status"] not in {"InProgress", "Stopping"} else None

    return dict(wait_for(is_over, PATIENCE))


def states(client: Any, name: str) -> dict[str, dict[str, Any]]:
    found = client.get_pipeline_state(name=name)["stageStates"]
    return {state["stageName"]: state for state in found}


def latest(client: Any, name: str, stage_name: str, index: int = 0) -> dict[str, Any]:
    state = states(client, name)[stage_name]["actionStates"][index]
    return dict(state.get("latestExecution", {}))


def token(client: Any, name: str, stage_name: str, index: int = 0) -> str:
    return str(wait_for(lambda: latest(client, name, stage_name, index).get("token"), PATIENCE))


def answer(client: Any, name: str, stage_name: str, status: str = "Approved", **more: str) -> None:
    found = more.pop("token", None) or token(client, name, stage_name)
    client.put_approval_result(
        pipelineName=name,
        stageName=stage_name,
        actionName=more.get("action", "Approve"),
        result={"status": status, "summary": "seen"},
        token=found,
    )


# ------------------------------------------------------------------------------ the whole way


@pytest.fixture(scope="module")
def parts(cloud: LocalCloud, client: Any, make_role: MakeRole) -> dict[str, str]:
    """A repository, a build project, a state machine, a topic and a role that deploys."""
    codecommit = cloud.client("codecommit")
    codecommit.create_repository(repositoryName="app")
    put = [{"filePath": name, "fileContent": text.encode()} for name, text in FILES.items()]
    commit = codecommit.create_commit(
        repositoryName="app", branchName="main", commitMessage="Begin\n\nmore", putFiles=put
    )
    build_role = make_role(
        (["logs:*"], "*"),
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*"),
        service="codebuild.amazonaws.com",
    )
    cloud.client("codebuild").create_project(
        name="app",
        source={"type": "CODEPIPELINE"},
        artifacts={"type": "CODEPIPELINE"},
        environment={
            "type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole=build_role,
    )  # fmt: skip
    machine = cloud.client("stepfunctions").create_state_machine(
        name="app",
        definition='{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}',
        roleArn=make_role(service="states.amazonaws.com"),
    )
    return {
        "commit": commit["commitId"],
        "machine": machine["stateMachineArn"],
        "topic": cloud.client("sns").create_topic(Name="app")["TopicArn"],
        "deployer": make_role(("logs:*", "*"), service="cloudformation.amazonaws.com"),
    }


def whole(parts: dict[str, str], stack: str) -> list[dict[str, Any]]:
    variables = [
        {"name": "RELEASE", "value": "#{codepipeline.PipelineExecutionId}"},
        {"name": "WORD", "value": "#{variables.WORD}"},
    ]
    code = {"RepositoryName": "app", "BranchName": "main", "PollForSourceChanges": "false"}
    deploy = {
        "ActionMode": "CREATE_UPDATE",
        "StackName": stack,
        "TemplatePath": "Build::template.json",
        "TemplateConfiguration": "Build::configuration.json",
        "ParameterOverrides": '{"Name": "#{Build.GROUP}"}',
        "RoleArn": parts["deployer"],
        "Capabilities": "CAPABILITY_IAM",
    }
    invoke = {
        "StateMachineArn": parts["machine"],
        "ExecutionNamePrefix": stack,
        "InputType": "FilePath",
        "Input": "input.json",
    }
    review = {
        "NotificationArn": parts["topic"],
        "CustomData": "#{Build.SAID}; commit #{Source.CommitId}; made #{Stack.Made}",
        "ExternalEntityLink": "https://example.com/#{codepipeline.PipelineExecutionId}",
    }
    return [
        stage(
            "Source",
            action(
                "Source", "CodeCommit", namespace="Source", configuration=code,
                outputArtifacts=["Code"],
            ),
        ),
        stage(
            "Build",
            action(
                "Build", "CodeBuild", namespace="Build", inputArtifacts=["Code"],
                outputArtifacts=["Build"], configuration={
                    "ProjectName": "app", "EnvironmentVariables": json.dumps(variables),
                },
            ),
        ),
        stage(
            "Deploy",
            action(
                "Deploy", "CloudFormation", "Deploy", runOrder=1, namespace="Stack",
                inputArtifacts=["Build"], configuration=deploy,
            ),
            action(
                "Invoke", "StepFunctions", "Invoke", runOrder=2, inputArtifacts=["Build"],
                configuration=invoke,
            ),
            approval(runOrder=3, configuration=review),
        ),
    ]  # fmt: skip


def test_a_commit_goes_the_whole_way(
    cloud: LocalCloud, client: Any, declare: Declare, parts: dict[str, str]
) -> None:
    word = 'a "quoted"\nword'
    stack = f"s-{uuid.uuid4().hex[:6]}"
    name = declare(*whole(parts, stack), variables=[{"name": "WORD", "defaultValue": word}])
    try:
        approval_token = token(client, name, "Deploy", 2)
    except AssertionError:
        raise AssertionError(json.dumps(states(client, name), default=str, indent=1)) from None
    (execution,) = executions(client, name)
    release = execution["pipelineExecutionId"]
    assert execution["trigger"]["triggerType"] == "CreatePipeline"
    assert execution["sourceRevisions"][0]["revisionId"] == parts["commit"]
    (made,) = cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    assert made["Outputs"][0]["OutputValue"] == "/made/by-ada"
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix="/made/by")["logGroups"]
    assert group["retentionInDays"] == 7
    workflow = cloud.client("stepfunctions")
    (run,) = workflow.list_executions(stateMachineArn=parts["machine"])["executions"]
    assert run["name"].startswith(f"{stack}-")
    started = workflow.describe_execution(executionArn=run["executionArn"])
    assert json.loads(started["input"]) == {"from": "file"}
    from moto.sns.models import sns_backends

    topic = sns_backends[cloud.account_id][cloud.region].topics[parts["topic"]]
    message = json.loads(topic.sent_notifications[-1][1])["approval"]
    assert message["customData"] == (
        f'say "{word}" for {release}; commit {parts["commit"]}; made /made/by-ada'
    )
    assert message["externalEntityLink"].endswith(release)
    assert message["token"] == approval_token
    answer(client, name, "Deploy", token=approval_token)
    assert ended(client, name)["status"] == "Succeeded"
    details = client.list_action_executions(
        pipelineName=name, filter={"pipelineExecutionId": release}
    )["actionExecutionDetails"]
    names = ["CodeCommit", "CodeBuild", "Deploy", "Invoke", "Approve"]
    assert [_["actionName"] for _ in details[::-1]] == names
    assert {_["status"] for _ in details} == {"Succeeded"}
    with pytest.raises(ClientError) as error:
        answer(client, name, "Deploy", token=approval_token)
    assert error.value.response["Error"]["Code"] == "ApprovalAlreadyCompletedException"


def test_a_build_that_fails_fails_the_stage_and_is_retried(
    cloud: LocalCloud, client: Any, declare: Declare, parts: dict[str, str]
) -> None:
    stages = whole(parts, "never")
    name = declare(
        *stages[:2],
        stage("End", approval()),
        variables=[{"name": "WORD", "defaultValue": "fail"}],
    )
    first = ended(client, name)
    assert first["status"] == "Failed"
    error = latest(client, name, "Build")["errorDetails"]
    assert "Phase: BUILD, Code: COMMAND_EXECUTION_ERROR" in error["message"]
    assert 'test "$WORD" != fail' in error["message"]
    assert first["statusSummary"] == f"Build: CodeBuild: {error['message']}"
    client.retry_stage_execution(
        pipelineName=name,
        stageName="Build",
        pipelineExecutionId=first["pipelineExecutionId"],
        retryMode="FAILED_ACTIONS",
    )
    assert ended(client, name)["status"] == "Failed"
    builds = client.list_action_executions(pipelineName=name)["actionExecutionDetails"]
    assert [build["actionName"] for build in builds] == ["CodeBuild", "CodeBuild", "CodeCommit"]
    again = client.start_pipeline_execution(
        name=name, variables=[{"name": "WORD", "value": "good"}]
    )["pipelineExecutionId"]
    answer(client, name, "End")
    assert ended(client, name)["pipelineExecutionId"] == again
    assert ended(client, name)["status"] == "Succeeded"


def test_a_stack_that_fails_says_which_resource_and_why(
    client: Any, declare: Declare, parts: dict[str, str], cloud: LocalCloud
) -> None:
    template = {
        "Resources": {
            "Group": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": "/taken"},
            }
        }
    }
    cloud.client("logs").create_log_group(logGroupName="/taken")
    body = zipped({"t.json": json.dumps(template)})
    cloud.client("s3").put_object(Bucket=DATA, Key="stack.zip", Body=body)
    configuration = {
        "ActionMode": "CREATE_UPDATE",
        "StackName": f"s-{uuid.uuid4().hex[:6]}",
        "TemplatePath": "Code::t.json",
        "RoleArn": parts["deployer"],
    }
    deploy = action(
        "Deploy", "CloudFormation", inputArtifacts=["Code"], configuration=configuration
    )
    name = declare(stage("S", source(S3ObjectKey="stack.zip")), stage("D", deploy))
    assert ended(client, name)["status"] == "Failed"
    message = latest(client, name, "D")["errorDetails"]["message"]
    assert "Group" in message
    assert "exist" in message


# ------------------------------------------------------------------------------ approvals


def test_a_rejection_fails_the_stage(client: Any, declare: Declare) -> None:
    name = declare(stage("S", source()), stage("A", approval()))
    token(client, name, "A")
    with pytest.raises(ClientError) as error:
        answer(client, name, "A", token=str(uuid.uuid4()))
    assert error.value.response["Error"]["Code"] == "InvalidApprovalTokenException"
    answer(client, name, "A", "Rejected")
    assert ended(client, name)["status"] == "Failed"
    action_state = latest(client, name, "A")
    assert action_state["errorDetails"]["code"] == "Rejected"
    assert action_state["errorDetails"]["message"].endswith("seen")


def test_a_retry_keeps_the_actions_that_succeeded(client: Any, declare: Declare) -> None:
    name = declare(stage("S", source()), stage("A", approval("Left"), approval("Right")))
    for side, (action_name, status) in enumerate({"Left": "Approved", "Right": "Rejected"}.items()):
        found = token(client, name, "A", side)
        answer(client, name, "A", status, token=found, action=action_name)
    failed = ended(client, name)
    assert failed["status"] == "Failed"
    client.retry_stage_execution(
        pipelineName=name,
        stageName="A",
        pipelineExecutionId=failed["pipelineExecutionId"],
        retryMode="FAILED_ACTIONS",
    )
    answer(client, name, "A", token=token(client, name, "A", 1), action="Right")
    assert ended(client, name)["status"] == "Succeeded"
    details = client.list_action_executions(pipelineName=name)["actionExecutionDetails"]
    assert [_["actionName"] for _ in details].count("Left") == 1


def test_an_approval_that_nobody_gives_fails(client: Any, declare: Declare) -> None:
    name = declare(stage("S", source()), stage("A", approval(timeoutInMinutes=5)))  # 0.3 s here
    assert ended(client, name)["status"] == "Failed"
    assert latest(client, name, "A")["errorDetails"]["code"] == "ApprovalTimedOut"


def test_who_may_not_approve_is_refused(
    cloud: LocalCloud, client: Any, declare: Declare, make_role: MakeRole
) -> None:
    name = declare(stage("S", source()), stage("A", approval()))
    found = token(client, name, "A")
    place = f"{cloud.region}:{cloud.account_id}:{name}"
    allowed = f"arn:aws:codepipeline:{place}/A/Approve"
    for resource in (f"arn:aws:codepipeline:{place}/B/Approve", allowed):
        person = cloud.client(
            "codepipeline",
            role_arn=make_role(("codepipeline:PutApprovalResult", resource)),
            service_principal="sagemaker.amazonaws.com",
        )
        if resource != allowed:
            with pytest.raises(ClientError, match="not authorized"):
                answer(person, name, "A", token=found)
        else:
            answer(person, name, "A", token=found)
    assert ended(client, name)["status"] == "Succeeded"


# ------------------------------------------------------------------------------ order


def test_executions_queue_and_none_overtakes(client: Any, declare: Declare) -> None:
    name = declare(stage("S", source()), stage("A", approval()), stage("B", approval()))
    token(client, name, "A")
    second = client.start_pipeline_execution(name=name)["pipelineExecutionId"]
    third = client.start_pipeline_execution(name=name)["pipelineExecutionId"]

    def inbound(stage_name: str) -> list[str]:
        waiting = states(client, name)[stage_name].get("inboundExecutions", [])
        return [_["pipelineExecutionId"] for _ in waiting]

    wait_for(lambda: inbound("A") == [second, third], PATIENCE)
    answer(client, name, "A")
    token(client, name, "B")
    wait_for(lambda: inbound("A") == [third], PATIENCE)
    stopped = client.stop_pipeline_execution(
        pipelineName=name, pipelineExecutionId=third, reason="too many"
    )
    assert stopped["pipelineExecutionId"] == third
    assert ended(client, name, 2)["status"] == "Stopped"
    answer(client, name, "A")
    wait_for(lambda: inbound("B") == [second], PATIENCE)
    answer(client, name, "B")
    assert ended(client, name, 0)["status"] == "Succeeded"
    client.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=second, abandon=True)
    assert ended(client, name, 1)["status"] == "Stopped"
    with pytest.raises(ClientError) as error:
        client.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=second)
    assert error.value.response["Error"]["Code"] == "PipelineExecutionNotStoppableException"


def test_a_closed_transition_holds_executions(client: Any, declare: Declare) -> None:
    waiting = stage("A", approval("Left"), approval("Right"))
    name = declare(stage("S", source()), waiting)
    first = ended_source(client, name)
    for side in (0, 1):  # both wait at the same time
        token(client, name, "A", side)
    for side, action_name in enumerate(("Left", "Right")):
        found = token(client, name, "A", side)
        answer(client, name, "A", token=found, action=action_name)
    assert ended(client, name)["status"] == "Succeeded"
    client.disable_stage_transition(
        pipelineName=name, stageName="A", transitionType="Inbound", reason="holiday"
    )
    second = client.start_pipeline_execution(name=name)["pipelineExecutionId"]
    wait_for(lambda: states(client, name)["A"].get("inboundExecution"), PATIENCE)
    state = states(client, name)["A"]
    assert state["inboundTransitionState"]["disabledReason"] == "holiday"
    assert state["latestExecution"]["pipelineExecutionId"] == first
    client.enable_stage_transition(pipelineName=name, stageName="A", transitionType="Inbound")
    token(client, name, "A")
    assert states(client, name)["A"]["latestExecution"]["pipelineExecutionId"] == second


def ended_source(client: Any, name: str) -> str:
    wait_for(lambda: latest(client, name, "S").get("status") == "Succeeded", PATIENCE)
    return str(executions(client, name)[-1]["pipelineExecutionId"])


@pytest.mark.parametrize(
    ("result", "value", "ends"),
    [
        ("SKIP", "yes", ("Succeeded", "Skipped")),
        ("FAIL", "yes", ("Failed", "Failed")),
        ("SKIP", "source.zip", ("Succeeded", "Succeeded")),
    ],
)
def test_a_condition_decides_whether_a_stage_is_entered(
    client: Any, declare: Declare, result: str, value: str, ends: tuple[str, str]
) -> None:
    kind = {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"}
    configuration = {"Variable": "#{Src.ObjectKey}", "Operator": "EQ", "Value": value}
    rule = {"name": "Check", "ruleTypeId": kind, "configuration": configuration}
    condition = {"conditions": [{"result": result, "rules": [rule]}]}
    name = declare(stage("S", source()), stage("A", approval(), beforeEntry=condition))
    if value == "source.zip":  # as the source says: the stage is entered, and its approval waits
        answer(client, name, "A")
    execution = ended(client, name)
    state = states(client, name)["A"]
    assert (execution["status"], state["latestExecution"]["status"]) == ends


# ------------------------------------------------------------------------------ sources and events


def test_a_source_may_be_an_older_version(cloud: LocalCloud, client: Any, declare: Declare) -> None:
    s3 = cloud.client("s3")
    old, _new = (
        s3.put_object(Bucket=DATA, Key="v.zip", Body=zipped({"a": text}))["VersionId"]
        for text in ("old", "new")
    )
    name = declare(stage("S", source(S3ObjectKey="v.zip")), stage("A", approval()))
    client.start_pipeline_execution(
        name=name,
        sourceRevisions=[
            {"actionName": "S3", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": old}
        ],
    )
    answer(client, name, "A")
    ended(client, name, 0)
    answer(client, name, "A")
    execution = ended(client, name)
    assert execution["sourceRevisions"][0]["revisionId"] == old
    details = client.list_action_executions(pipelineName=name)["actionExecutionDetails"]
    sources = [detail for detail in details if detail["actionName"] == "S3"]
    place = sources[0]["output"]["outputArtifacts"][0]["s3location"]
    body = s3.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).read("a") == b"old"


def test_a_permission_that_is_missing_is_named(
    client: Any, declare: Declare, make_role: MakeRole
) -> None:
    poor = make_role(service="codepipeline.amazonaws.com")
    name = declare(stage("S", source()), stage("A", approval()), roleArn=poor)
    assert ended(client, name)["status"] == "Failed"
    message = latest(client, name, "S")["errorDetails"]["message"]
    assert "s3:GetBucketVersioning" in message


def test_an_event_starts_a_pipeline_and_its_end_is_an_event(
    cloud: LocalCloud, client: Any, declare: Declare, make_role: MakeRole
) -> None:
    events, states_client = cloud.client("events"), cloud.client("stepfunctions")
    name = declare(stage("S", source()), stage("A", approval(timeoutInMinutes=5)))
    ended(client, name)
    arn = f"arn:aws:codepipeline:{cloud.region}:{cloud.account_id}:{name}"
    machine = states_client.create_state_machine(
        name=name,
        definition='{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}',
        roleArn=make_role(service="states.amazonaws.com"),
    )["stateMachineArn"]
    role = make_role(
        ("codepipeline:StartPipelineExecution", arn),
        ("states:StartExecution", machine),
        service="events.amazonaws.com",
    )
    failed = {"source": ["aws.codepipeline"], "resources": [arn], "detail": {"state": ["FAILED"]}}
    pattern = {**failed, "detail-type": ["CodePipeline Pipeline Execution State Change"]}
    events.put_rule(Name=f"{name}-end", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{name}-end", Targets=[{"Id": "m", "Arn": machine, "RoleArn": role}])
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "p", "Arn": arn, "RoleArn": role}])
    events.put_events(Entries=[{"Source": name, "DetailType": "d", "Detail": "{}"}])
    wait_for(lambda: len(executions(client, name)) == 2, PATIENCE)
    execution = ended(client, name)
    assert execution["trigger"]["triggerType"] == "CloudWatchEvent"
    (told,) = wait_for(
        lambda: states_client.list_executions(stateMachineArn=machine)["executions"], PATIENCE
    )
    event = json.loads(states_client.describe_execution(executionArn=told["executionArn"])["input"])
    assert event["detail"]["execution-id"] == execution["pipelineExecutionId"]


# ------------------------------------------------------------------------------ declarations


@pytest.mark.parametrize(
    ("stages", "options", "message"),
    [
        ([stage("S", source())], {}, "at least two stages"),
        ([stage("S", source()), stage("S", approval())], {}, "unique"),
        ([stage("S", approval()), stage("A", approval())], {}, "first stage"),
        (
            [stage("S", source()), stage("A", approval(inputArtifacts=["Nothing"]))],
            {},
            "artifact Nothing",
        ),
        (
            [stage("S", source()), stage("A", approval(configuration={"CustomData": "#{X.Y}"}))],
            {},
            "namespace X",
        ),
        (
            [
                stage("S", source()),
                stage("A", approval(configuration={"CustomData": "#{variables.V}"})),
            ],
            {},
            "no variable V",
        ),
        ([stage("S", source()), stage("A", action("Invoke", "Lambda"))], {}, "Invoke Lambda"),
        ([stage("S", source(Other="x")), stage("A", approval())], {}, "Other"),
        (
            [stage("S", source(PollForSourceChanges="true")), stage("A", approval())],
            {},
            "PollForSourceChanges",
        ),
        (
            [stage("S", source()), stage("A", approval(), onFailure={"result": "ROLLBACK"})],
            {},
            "onFailure",
        ),
        ([stage("S", source()), stage("A", approval())], {"executionMode": "PARALLEL"}, "QUEUED"),
        (
            [
                stage("S", source()),
                stage("A", approval() | {"roleArn": "arn:aws:iam::210987654321:role/there"}),
            ],
            {},
            "role arn:aws:iam::210987654321:role/there of another account",
        ),
        (
            [stage("S", source()), stage("A", approval())],
            {"roleArn": "arn:aws:iam::000000000000:role/none"},
            "AssumeRole",
        ),
    ],
)
def test_what_a_pipeline_may_not_be(
    declare: Declare, stages: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        declare(*stages, **options)


def test_a_pipeline_is_read_updated_and_deleted(client: Any, declare: Declare) -> None:
    name = declare(
        stage("S", source()),
        stage("A", approval()),
        variables=[{"name": "V", "description": "no default"}],
    )
    assert executions(client, name) == []  # V has no value
    with pytest.raises(ClientError, match="Variable V needs a value"):
        client.start_pipeline_execution(name=name)
    declaration = client.get_pipeline(name=name)["pipeline"]
    assert (declaration["version"], len(declaration["stages"])) == (1, 2)
    with pytest.raises(ClientError, match="already exists"):
        client.create_pipeline(pipeline=declaration)
    declaration["stages"].append(stage("B", approval()))
    assert client.update_pipeline(pipeline=declaration)["pipeline"]["version"] == 2
    given = {"name": name, "variables": [{"name": "V", "value": "v"}], "clientRequestToken": "t"}
    first = client.start_pipeline_execution(**given)["pipelineExecutionId"]
    assert client.start_pipeline_execution(**given)["pipelineExecutionId"] == first
    execution = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=first)
    assert execution["pipelineExecution"]["variables"] == [{"name": "V", "resolvedValue": "v"}]
    arn = client.get_pipeline(name=name)["metadata"]["pipelineArn"]
    client.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    client.delete_pipeline(name=name)
    with pytest.raises(ClientError) as error:
        client.get_pipeline(name=name)
    assert error.value.response["Error"]["Code"] == "PipelineNotFoundException"
