"""The calls of types whose API another module brings: right by the service's own model."""

from __future__ import annotations

import io
import stat
import threading
import zipfile
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from local_cloud.cloudformation.deployer import Deployer, Pauses, ResourceError
from local_cloud.cloudformation.resources.calls import State
from local_cloud.cloudformation.resources.table import TYPES

SESSION = botocore.session.get_session()


def example(shape: Any, name: str, depth: int = 0) -> Any:
    """An answer as the model describes it: every text is the name of its member."""
    match shape.type_name:
        case "structure":
            members = shape.members.items() if depth < 6 else ()
            return {key: example(member, key, depth + 1) for key, member in members}
        case "list":
            return [example(shape.member, name, depth + 1)]
        case "map":
            return {}
        case "string":
            return name
        case "boolean":
            return True
    return 1


class RecordingDeployer(Deployer):
    """Checks each call against its model, remembers it, and answers as the model describes."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers or {}

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        model = SESSION.get_service_model(service).operation_model(operation)
        report = ParamValidator().validate(dict(parameters), model.input_shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        self.made.append((operation, dict(parameters)))
        if operation in self._answers:
            return self._answers[operation]
        return example(model.output_shape, "") if model.output_shape else {}

    def pauses(self, seconds: float) -> Pauses:
        return Pauses(threading.Event(), seconds)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.made]


def made(
    name: str, properties: dict[str, Any], answers: Mapping[str, Any] | None = None
) -> tuple[State, RecordingDeployer]:
    """A resource, and what was called for it; its properties are checked first."""
    kind = TYPES[name]
    checked, problems = kind.schema.check(properties)
    assert not problems
    assert not list(kind.problems(checked))
    deployer = RecordingDeployer(answers)
    wanted = kind.state(kind.new_name("stack", "Logical"), checked)
    state = kind.make(deployer, wanted, lambda _: None)
    return state, deployer


def changed(name: str, before: State, properties: dict[str, Any]) -> RecordingDeployer:
    kind = TYPES[name]
    checked, problems = kind.schema.check(properties)
    assert not problems
    deployer = RecordingDeployer()
    kind.change(deployer, before, checked, [])
    return deployer


def removed(name: str, state: State) -> RecordingDeployer:
    deployer = RecordingDeployer()
    TYPES[name].remove(deployer, state)
    return deployer


# ------------------------------------------------------------------------------ Service Catalog

ROLE = "arn:aws:iam::0:role/x"
VERSION = {"Name": "v1", "Info": {"LoadTemplateFromURL": "https://x/1"}, "Description": "first"}
PRODUCT = {
    "Name": "project",
    "Owner": "platform",
    "ProvisioningArtifactParameters": [VERSION],
    "Tags": [{"Key": "a", "Value": "b"}],
}


def test_a_product_with_its_versions() -> None:
    name = "AWS::ServiceCatalog::CloudFormationProduct"
    second = {**VERSION, "Name": "v2", "Info": {"LoadTemplateFromURL": "https://x/2"}}
    state, deployer = made(name, {**PRODUCT, "ProvisioningArtifactParameters": [VERSION, second]})
    assert deployer.operations() == [
        "CreateProduct", "CreateProvisioningArtifact", "DescribeProductAsAdmin",
    ]  # fmt: skip
    first = deployer.made[0][1]
    assert first["ProvisioningArtifactParameters"] == {
        **VERSION, "Type": "CLOUD_FORMATION_TEMPLATE",
    }  # fmt: skip
    assert deployer.made[1][1]["Parameters"]["Name"] == "v2"
    assert state.physical_id == "ProductId"
    assert state.attributes["ProvisioningArtifactIds"] == "Id"

    third = {**VERSION, "Name": "v3", "Info": {"LoadTemplateFromURL": "https://x/3"}}
    described = {**VERSION, "Description": "better"}
    kind = TYPES[name]
    answer = {
        "ListProvisioningArtifacts": {
            "ProvisioningArtifactDetails": [
                {"Id": "pa-2", "Name": "v2", "CreatedTime": 2},
                {"Id": "pa-1", "Name": "v1", "CreatedTime": 1},
            ]
        }
    }
    deployer = RecordingDeployer(answer)
    wanted = {**PRODUCT, "ProvisioningArtifactParameters": [described, third]}
    kind.change(deployer, state, wanted, [])
    made_calls = dict(deployer.made)
    assert made_calls["CreateProvisioningArtifact"]["Parameters"]["Name"] == "v3"
    assert made_calls["UpdateProvisioningArtifact"]["ProvisioningArtifactId"] == "pa-1"
    assert made_calls["UpdateProvisioningArtifact"]["Description"] == "better"
    assert made_calls["DeleteProvisioningArtifact"]["ProvisioningArtifactId"] == "pa-2"
    assert "UpdateProduct" not in made_calls
    assert removed(name, state).made == [("DeleteProduct", {"Id": "ProductId"})]


def test_a_version_that_is_not_there() -> None:
    name = "AWS::ServiceCatalog::CloudFormationProduct"
    state, _ = made(name, PRODUCT)
    other = {**VERSION, "Info": {"LoadTemplateFromURL": "https://x/9"}}
    with pytest.raises(ResourceError, match="has no version 'v1'"):
        changed(name, state, {**PRODUCT, "ProvisioningArtifactParameters": [other]})


def test_a_portfolio() -> None:
    name = "AWS::ServiceCatalog::Portfolio"
    properties = {"DisplayName": "d", "ProviderName": "p", "Tags": [{"Key": "a", "Value": "b"}]}
    state, deployer = made(name, properties)
    assert deployer.operations() == ["CreatePortfolio", "DescribePortfolio"]
    assert state.physical_id == "Id"
    assert state.attributes["PortfolioName"] == "DisplayName"
    deployer = changed(name, state, {"DisplayName": "e", "ProviderName": "p"})
    assert deployer.made[0] == (
        "UpdatePortfolio",
        {"Id": "Id", "DisplayName": "e", "ProviderName": "p", "Description": ""},
    )
    assert deployer.made[1] == ("UpdatePortfolio", {"Id": "Id", "RemoveTags": ["a"]})


@pytest.mark.parametrize(
    ("name", "properties", "made_with", "physical_id", "deleted_with"),
    [
        (
            "AWS::ServiceCatalog::PortfolioProductAssociation",
            {"PortfolioId": "port-1", "ProductId": "prod-1"},
            ("AssociateProductWithPortfolio", {"PortfolioId": "port-1", "ProductId": "prod-1"}),
            "port-1|prod-1",
            ("DisassociateProductFromPortfolio", {"PortfolioId": "port-1", "ProductId": "prod-1"}),
        ),
        (
            "AWS::ServiceCatalog::PortfolioPrincipalAssociation",
            {
                "PortfolioId": "port-1",
                "PrincipalARN": ROLE,
                "PrincipalType": "IAM_PATTERN",
            },
            (
                "AssociatePrincipalWithPortfolio",
                {
                    "PortfolioId": "port-1",
                    "PrincipalARN": ROLE,
                    "PrincipalType": "IAM_PATTERN",
                },
            ),
            f"port-1|{ROLE}",
            (
                "DisassociatePrincipalFromPortfolio",
                {
                    "PortfolioId": "port-1",
                    "PrincipalARN": ROLE,
                    "PrincipalType": "IAM_PATTERN",
                },
            ),
        ),
        (
            "AWS::ServiceCatalog::TagOptionAssociation",
            {"TagOptionId": "tag-1", "ResourceId": "port-1"},
            ("AssociateTagOptionWithResource", {"TagOptionId": "tag-1", "ResourceId": "port-1"}),
            "tag-1|port-1",
            ("DisassociateTagOptionFromResource", {"TagOptionId": "tag-1", "ResourceId": "port-1"}),
        ),
        (
            "AWS::ServiceCatalog::TagOption",
            {"Key": "stage", "Value": "dev"},
            ("CreateTagOption", {"Key": "stage", "Value": "dev"}),
            "Id",
            ("DeleteTagOption", {"Id": "Id"}),
        ),
    ],
)
def test_who_belongs_together(
    name: str, properties: Any, made_with: Any, physical_id: str, deleted_with: Any
) -> None:
    state, deployer = made(name, properties)
    assert deployer.made == [made_with]
    assert state.physical_id == physical_id
    assert removed(name, state).made == [deleted_with]


def test_a_launch_role() -> None:
    name = "AWS::ServiceCatalog::LaunchRoleConstraint"
    properties = {"PortfolioId": "p", "ProductId": "q", "LocalRoleName": "launch"}
    state, deployer = made(name, properties)
    ((operation, parameters),) = deployer.made
    assert operation == "CreateConstraint"
    assert parameters["Type"] == "LAUNCH"
    assert parameters["Parameters"] == '{"LocalRoleName":"launch"}'
    assert parameters["IdempotencyToken"]
    deployer = changed(name, state, {**properties, "LocalRoleName": "other"})
    assert deployer.made == [
        ("UpdateConstraint", {"Id": "ConstraintId", "Parameters": '{"LocalRoleName":"other"}'})
    ]


# ------------------------------------------------------------------------------ Code*


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name.endswith("sh") else 0o644) << 16
            entry.external_attr |= stat.S_IFREG << 16
            opened.writestr(entry, content)
        opened.mkdir("folder")
    return packed.getvalue()


def object_of(content: bytes) -> dict[str, Any]:
    return {"GetObject": {"ContentLength": len(content), "Body": io.BytesIO(content)}}


REPOSITORY = {
    "RepositoryName": "churn",
    "Code": {"S3": {"Bucket": "templates", "Key": "seed.zip", "ObjectVersion": "7"}},
}


def test_a_repository_is_filled_once() -> None:
    name = "AWS::CodeCommit::Repository"
    content = archive(**{"README.md": b"hello", "run.sh": b"#!/bin/sh"})
    state, deployer = made(name, REPOSITORY, object_of(content))
    assert deployer.operations() == ["CreateRepository", "GetObject", "CreateCommit"]
    assert deployer.made[1][1] == {"Bucket": "templates", "Key": "seed.zip", "VersionId": "7"}
    commit = deployer.made[2][1]
    assert commit["repositoryName"] == "churn"
    assert commit["branchName"] == "main"
    files = {
        item["filePath"]: (item["fileMode"], item["fileContent"]) for item in commit["putFiles"]
    }
    assert files == {"README.md": ("NORMAL", b"hello"), "run.sh": ("EXECUTABLE", b"#!/bin/sh")}
    other = {"S3": {"Bucket": "templates", "Key": "other.zip"}}
    deployer = changed(name, state, {**REPOSITORY, "Code": other, "RepositoryDescription": "new"})
    assert deployer.operations() == ["UpdateRepositoryDescription"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"no archive", "seed.zip is no ZIP archive"),
        (b"x" * (20 * 2**20 + 1), "s3://templates/seed.zip has 20971521 bytes; an archive"),
    ],
)
def test_an_archive_that_cannot_be_used(content: bytes, problem: str) -> None:
    with pytest.raises(ResourceError, match=problem):
        made("AWS::CodeCommit::Repository", REPOSITORY, object_of(content))


def test_an_archive_that_unpacks_to_more_than_code_can_be() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(9):
            opened.writestr(f"{number}.bin", bytes(40 * 2**20))
    with pytest.raises(ResourceError, match="unpacks to more than"):
        made("AWS::CodeCommit::Repository", REPOSITORY, object_of(packed.getvalue()))


PIPELINE = {
    "Name": "churn",
    "RoleArn": "arn:aws:iam::000000000000:role/pipeline",
    "PipelineType": "V2",
    "ExecutionMode": "QUEUED",
    "ArtifactStore": {"Type": "S3", "Location": "artifacts"},
    "Stages": [
        {
            "Name": "Source",
            "Actions": [
                {
                    "Name": "Code",
                    "ActionTypeId": {
                        "Category": "Source",
                        "Owner": "AWS",
                        "Provider": "CodeCommit",
                        "Version": "1",
                    },
                    "Configuration": {"BranchName": "main", "PollForSourceChanges": False},
                    "OutputArtifacts": [{"Name": "Code"}],
                    "RunOrder": 1,
                }
            ],
        },
        {
            "Name": "Approve",
            "Actions": [
                {
                    "Name": "Person",
                    "ActionTypeId": {
                        "Category": "Approval",
                        "Owner": "AWS",
                        "Provider": "Manual",
                        "Version": "1",
                    },
                }
            ],
        },
    ],
}


def test_a_pipeline() -> None:
    name = "AWS::CodePipeline::Pipeline"
    state, deployer = made(name, {**PIPELINE, "Tags": [{"Key": "a", "Value": "b"}]})
    assert deployer.operations() == ["CreatePipeline", "GetPipeline"]
    created = deployer.made[0][1]
    assert created["tags"] == [{"key": "a", "value": "b"}]
    (action,) = created["pipeline"]["stages"][0]["actions"]
    assert action["configuration"] == {"BranchName": "main", "PollForSourceChanges": "false"}
    assert action["outputArtifacts"] == [{"name": "Code"}]
    assert created["pipeline"]["executionMode"] == "QUEUED"
    assert state.physical_id == "churn"

    closed = [{"StageName": "Source", "Reason": "holidays"}]
    deployer = changed(
        name,
        state,
        {
            **PIPELINE,
            "ExecutionMode": "PARALLEL",
            "RestartExecutionOnUpdate": True,
            "DisableInboundStageTransitions": closed,
        },
    )
    assert deployer.operations() == [
        "UpdatePipeline", "StartPipelineExecution", "DisableStageTransition", "UntagResource",
        "GetPipeline",
    ]  # fmt: skip


def test_a_build_project() -> None:
    name = "AWS::CodeBuild::Project"
    properties = {
        "Name": "churn",
        "ServiceRole": "arn:aws:iam::000000000000:role/build",
        "Artifacts": {"Type": "CODEPIPELINE"},
        "Source": {"Type": "CODEPIPELINE", "BuildSpec": "buildspec.yml"},
        "Environment": {
            "Type": "LINUX_CONTAINER",
            "ComputeType": "BUILD_GENERAL1_SMALL",
            "Image": "aws/codebuild/standard:7.0",
            "EnvironmentVariables": [{"Name": "A", "Value": "b"}],
        },
        "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "g"}},
        "TimeoutInMinutes": "45",
    }
    state, deployer = made(name, properties)
    ((operation, parameters),) = deployer.made
    assert operation == "CreateProject"
    assert parameters["source"] == {"type": "CODEPIPELINE", "buildspec": "buildspec.yml"}
    assert parameters["timeoutInMinutes"] == 45
    assert parameters["logsConfig"]["cloudWatchLogs"]["groupName"] == "g"
    assert changed(name, state, {**properties, "TimeoutInMinutes": 50}).operations() == [
        "UpdateProject"
    ]
    assert removed(name, state).made == [("DeleteProject", {"name": "churn"})]


# ------------------------------------------------------------------------------ others


def test_a_file_systems_settings_change_one_by_one() -> None:
    name = "AWS::EFS::FileSystem"
    answers = {"DescribeFileSystems": {"FileSystems": [{"LifeCycleState": "available"}]}}
    first = {
        "FileSystemPolicy": {"Statement": []},
        "BackupPolicy": {"Status": "ENABLED"},
        "ThroughputMode": "bursting",
    }
    state, deployer = made(name, first, answers)
    assert deployer.operations() == [
        "CreateFileSystem", "PutFileSystemPolicy", "DescribeFileSystems",
    ]  # fmt: skip
    assert deployer.made[0][1]["Backup"] is True
    kind = TYPES[name]
    deployer = RecordingDeployer(answers)
    kind.change(deployer, state, {"ThroughputMode": "elastic"}, [])
    assert deployer.operations() == [
        "DeleteFileSystemPolicy", "PutBackupPolicy", "UpdateFileSystem", "DescribeFileSystems",
    ]  # fmt: skip


def test_a_model_package_groups_policy() -> None:
    name = "AWS::SageMaker::ModelPackageGroup"
    answers = {"DescribeModelPackageGroup": {"ModelPackageGroupStatus": "Completed"}}
    group = {"ModelPackageGroupName": "churn"}
    state, deployer = made(name, {**group, "ModelPackageGroupPolicy": {"Statement": []}}, answers)
    assert deployer.operations() == [
        "CreateModelPackageGroup", "PutModelPackageGroupPolicy", "DescribeModelPackageGroup",
    ]  # fmt: skip
    assert deployer.made[1][1]["ResourcePolicy"] == '{"Statement":[]}'
    deployer = RecordingDeployer(answers)
    TYPES[name].change(deployer, state, group, [])
    assert deployer.operations()[0] == "DeleteModelPackageGroupPolicy"


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        (["Creating", "InService"], None),
        (["Creating", "Failed"], "e: the container died"),
    ],
)
def test_an_endpoint_is_made_when_it_serves(statuses: list[str], problem: str | None) -> None:
    class Endpoint(RecordingDeployer):
        def call(self, service: str, operation: str, parameters: Any) -> dict[str, Any]:
            answer = super().call(service, operation, parameters)
            if operation != "DescribeEndpoint":
                return answer
            status = statuses.pop(0)
            return {
                **answer,
                "EndpointStatus": status,
                "EndpointConfigName": "config",
                "FailureReason": "the container died",
            }

    kind = TYPES["AWS::SageMaker::Endpoint"]
    config = "arn:aws:sagemaker:xx-local-1:000000000000:endpoint-config/config"
    wanted = kind.state("e", {"EndpointConfigName": config})
    deployer = Endpoint({"CreateEndpoint": {"EndpointArn": "e"}})
    if problem is None:
        assert kind.make(deployer, wanted, lambda _: None).attributes["EndpointName"]
        assert deployer.made[0][1]["EndpointConfigName"] == "config"
        return
    with pytest.raises(ResourceError, match=problem):
        kind.make(deployer, wanted, lambda _: None)


def test_an_endpoint_whose_update_was_undone_by_itself_has_failed() -> None:
    kind = TYPES["AWS::SageMaker::Endpoint"]
    still = {
        "EndpointStatus": "InService",
        "EndpointConfigName": "old",
        "EndpointName": "e",
        "FailureReason": "no ping",
    }
    before = State("e", {"EndpointName": "e", "EndpointConfigName": "old"}, "e", {})
    deployer = RecordingDeployer({"DescribeEndpoint": still})
    with pytest.raises(ResourceError, match="e: no ping"):
        kind.change(deployer, before, {"EndpointConfigName": "new"}, started := [])
    assert "UpdateEndpoint" in deployer.operations()
    after = kind.changed(before, {"EndpointConfigName": "new"})
    deployer = RecordingDeployer({"DescribeEndpoint": still})
    kind.revert(deployer, before, after, started)
    assert "UpdateEndpoint" not in deployer.operations()
