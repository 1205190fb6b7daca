"""Projects: what Studio's users create from what the organization has published."""

from __future__ import annotations

import copy
import io
import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from tests.local_cloud.conftest import wait_for
from tests.local_cloud.organization import PRODUCT, Organization

PIPELINE = Path(__file__).parents[3] / "pipeline.yml"
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def organization(cloud: LocalCloud) -> Organization:
    return Organization(cloud)


@pytest.fixture
def sagemaker(organization: Organization) -> Any:
    """SageMaker as a member of the organization sees it."""
    return organization.client("sagemaker")


def details(organization: Organization, **changes: Any) -> dict[str, Any]:
    values = changes.pop("values", {})
    return {
        "ProductId": organization.product_id,
        "ProvisioningArtifactId": organization.version_ids["v1"],
        **({"ProvisioningParameters": pairs(values)} if values else {}),
        **changes,
    }


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def settled(sagemaker: Any, name: str) -> dict[str, Any]:
    """A project, when nothing is going on any more."""

    def project() -> dict[str, Any] | None:
        found = sagemaker.describe_project(ProjectName=name)
        return None if found["ProjectStatus"].endswith("InProgress") else dict(found)

    return dict(wait_for(project, seconds=60))


def create(organization: Organization, sagemaker: Any, **changes: Any) -> dict[str, Any]:
    """A new project, when its creation has ended."""
    name = f"project-{next(_NUMBERS)}"
    given = details(organization, **changes)
    answer = sagemaker.create_project(
        ProjectName=name,
        ServiceCatalogProvisioningDetails=given,
        Tags=[{"Key": "team", "Value": "ml"}],
    )
    project = settled(sagemaker, name)
    assert project["ProjectId"] == answer["ProjectId"]
    return project


def launched(project: dict[str, Any]) -> str:
    return str(project["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductId"])


def message(project: dict[str, Any]) -> str:
    return str(
        project["ServiceCatalogProvisionedProductDetails"]["ProvisionedProductStatusMessage"]
    )


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def test_a_member_creates_a_project(organization: Organization, sagemaker: Any) -> None:
    project = create(organization, sagemaker, values={"Days": "3"})
    name, project_id = project["ProjectName"], project["ProjectId"]
    assert project["ProjectStatus"] == "CreateCompleted"
    assert re.fullmatch(r"p-[a-z0-9]{12}", project_id)
    assert organization.groups(project_id) == {"build": 3}
    stack = organization.stack(launched(project))
    values = {item["ParameterKey"]: item["ParameterValue"] for item in stack["Parameters"]}
    assert (values["SageMakerProjectName"], values["SageMakerProjectId"]) == (name, project_id)
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags == {
        "team": "ml",
        "sagemaker:project-name": name,
        "sagemaker:project-id": project_id,
        "cost-center": "42",
        "mlsystem-organization": "organization",
    }
    described = sagemaker.list_tags(ResourceArn=project["ProjectArn"])["Tags"]
    assert {"Key": "sagemaker:project-id", "Value": project_id} in described
    detail = organization.admin.describe_provisioned_product(Id=launched(project))
    assert detail["ProvisionedProductDetail"]["Name"] == f"{name}-{project_id}"
    assert name in {item["ProjectName"] for item in sagemaker.list_projects()["ProjectSummaryList"]}


def test_without_a_version_the_newest_is_taken(organization: Organization, sagemaker: Any) -> None:
    newer = copy.deepcopy(PRODUCT)
    newer["Description"] = "Newest"
    version = organization.publish(f"newest-{next(_NUMBERS)}", newer)
    name = f"project-{next(_NUMBERS)}"
    sagemaker.create_project(
        ProjectName=name,
        ServiceCatalogProvisioningDetails={"ProductId": organization.product_id},
    )
    project = settled(sagemaker, name)
    detail = organization.admin.describe_provisioned_product(Id=launched(project))
    assert detail["ProvisionedProductDetail"]["ProvisioningArtifactId"] == version


def test_a_failed_stack_is_told(organization: Organization, sagemaker: Any) -> None:
    project = create(organization, sagemaker, values={"Folder": "/elsewhere/"})
    assert project["ProjectStatus"] == "CreateFailed"
    assert "ResourceLogicalId:Log" in message(project)
    sagemaker.delete_project(ProjectName=project["ProjectName"])
    assert settled(sagemaker, project["ProjectName"])["ProjectStatus"] == "DeleteCompleted"


@pytest.mark.parametrize("with_version", [True, False])
def test_who_is_no_principal_is_denied(organization: Organization, with_version: bool) -> None:
    given = details(organization)
    if not with_version:
        del given["ProvisioningArtifactId"]
    with pytest.raises(ClientError) as error:
        organization.cloud.client("sagemaker").create_project(
            ProjectName="denied", ServiceCatalogProvisioningDetails=given
        )
    code, text = refusal(error)
    assert code == "ValidationException"
    assert "does not exist or access was denied" in text


def test_a_principal_needs_permissions_in_both_services(organization: Organization) -> None:
    may = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}
    role = organization.role("/pattern/", may, name="data-scientist")
    with pytest.raises(ClientError, match="servicecatalog:DescribeProvisioningParameters"):
        create(organization, organization.client("sagemaker", role))
    may = {"Effect": "Allow", "Action": "servicecatalog:*", "Resource": "*"}
    role = organization.role("/pattern/", may, name="data-scientist")
    with pytest.raises(ClientError) as error:
        create(organization, organization.client("sagemaker", role))
    code, text = refusal(error)
    assert code == "AccessDeniedException"
    assert "sagemaker:CreateProject" in text


def test_a_name_is_taken_until_its_project_is_deleted(
    organization: Organization, sagemaker: Any
) -> None:
    project = create(organization, sagemaker)
    again = {
        "ProjectName": project["ProjectName"],
        "ServiceCatalogProvisioningDetails": details(organization),
    }
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_project(**again)
    sagemaker.delete_project(ProjectName=project["ProjectName"])
    assert settled(sagemaker, project["ProjectName"])["ProjectStatus"] == "DeleteCompleted"
    assert organization.groups(project["ProjectId"]) == {}
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.delete_project(ProjectName=project["ProjectName"])
    assert sagemaker.create_project(**again)["ProjectId"] != project["ProjectId"]
    settled(sagemaker, project["ProjectName"])


def test_a_project_moves_to_a_new_version_in_place(
    organization: Organization, sagemaker: Any
) -> None:
    project = create(organization, sagemaker, values={"Days": "5"})
    stack_id = organization.stack(launched(project))["StackId"]
    newer = copy.deepcopy(PRODUCT)
    newer["Parameters"]["Another"] = {"Type": "String", "Default": "more"}
    group = copy.deepcopy(newer["Resources"]["Log"])
    group["Properties"]["LogGroupName"] = {
        "Fn::Sub": "/aws/codebuild/x-${SageMakerProjectId}-${Another}"
    }
    newer["Resources"]["More"] = group
    version = organization.publish(f"newer-{next(_NUMBERS)}", newer)
    sagemaker.update_project(
        ProjectName=project["ProjectName"],
        ServiceCatalogProvisioningUpdateDetails={"ProvisioningArtifactId": version},
    )
    updated = settled(sagemaker, project["ProjectName"])
    assert updated["ProjectStatus"] == "UpdateCompleted"
    assert organization.stack(launched(updated))["StackId"] == stack_id
    assert organization.groups(project["ProjectId"]) == {"build": 5, "more": 5}
    assert updated["ServiceCatalogProvisioningDetails"]["ProvisioningArtifactId"] == version


def test_a_failed_update_leaves_the_project(organization: Organization, sagemaker: Any) -> None:
    project = create(organization, sagemaker)
    sagemaker.update_project(
        ProjectName=project["ProjectName"],
        ServiceCatalogProvisioningUpdateDetails={
            "ProvisioningParameters": pairs({"Folder": "/else/"})
        },
    )
    failed = settled(sagemaker, project["ProjectName"])
    assert failed["ProjectStatus"] == "UpdateFailed"
    assert "ResourceLogicalId:Log" in message(failed)
    assert organization.groups(project["ProjectId"]) == {"build": 1}


def test_only_what_studio_shows_becomes_a_project(
    organization: Organization, sagemaker: Any
) -> None:
    key = "sagemaker:studio-visibility"
    product_id = organization.product_id
    organization.admin.update_product(Id=product_id, RemoveTags=[key])
    try:
        with pytest.raises(ClientError, match=key):
            create(organization, sagemaker)
    finally:
        tag = {"Key": key, "Value": "true"}
        organization.admin.update_product(Id=product_id, AddTags=[tag])


def test_the_project_template_is_made_and_deleted_with_the_launch_role(
    organization: Organization, sagemaker: Any
) -> None:
    """pipeline.yml itself: the launch role has every permission that it takes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("project.yml", "model: {}")
    template = PIPELINE.read_text().replace("unpublished", "real")
    version = organization.publish("real", template, archive.getvalue())
    project = create(organization, sagemaker, ProvisioningArtifactId=version)
    assert project["ProjectStatus"] == "CreateCompleted", message(project)
    codecommit = organization.cloud.client("codecommit")
    names = [item["repositoryName"] for item in codecommit.list_repositories()["repositories"]]
    [repository] = [name for name in names if name.endswith(project["ProjectId"])]
    file = codecommit.get_file(repositoryName=repository, filePath="project.yml")
    assert file["fileContent"] == b"model: {}"
    sagemaker.delete_project(ProjectName=project["ProjectName"])
    deleted = settled(sagemaker, project["ProjectName"])
    assert deleted["ProjectStatus"] == "DeleteCompleted", message(deleted)


@pytest.mark.parametrize("name", ["a b", "-a", "a" * 33])
def test_a_name_has_a_form(organization: Organization, sagemaker: Any, name: str) -> None:
    with pytest.raises(ClientError) as error:
        sagemaker.create_project(
            ProjectName=name, ServiceCatalogProvisioningDetails=details(organization)
        )
    code, text = refusal(error)
    assert code == "ValidationException"
    assert "projectName" in text


def test_templates_in_s3_are_refused_by_name(sagemaker: Any) -> None:
    provider = {"TemplateName": "t", "TemplateURL": "https://b.s3.amazonaws.com/t.yml"}
    with pytest.raises(ClientError) as error:
        sagemaker.create_project(
            ProjectName="s3", TemplateProviders=[{"CfnTemplateProvider": provider}]
        )
    code, text = refusal(error)
    assert code == "LocalCloudUnsupported"
    assert "TemplateProviders" in text
