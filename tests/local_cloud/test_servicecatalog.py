"""Products that are offered, and launched as stacks."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import wait_for
from .organization import PRODUCT, STUDIO_ROLE_MAY, Organization


@pytest.fixture(scope="module")
def organization(cloud: LocalCloud) -> Organization:
    return Organization(cloud)


@pytest.fixture
def catalog(organization: Organization) -> Any:
    """Service Catalog as a member of the organization sees it."""
    return organization.client("servicecatalog")


def launch(organization: Organization, catalog: Any, **changes: Any) -> dict[str, Any]:
    """The record of a launch, when it has ended."""
    project_id = f"p-{uuid.uuid4().hex[:12]}"
    values = {"SageMakerProjectName": "a", "SageMakerProjectId": project_id}
    values |= changes.pop("values", {})
    asked = {
        "ProductId": organization.product_id,
        "ProvisioningArtifactId": organization.version_ids["v1"],
        "ProvisionedProductName": f"a-{project_id}",
        "ProvisioningParameters": [{"Key": key, "Value": value} for key, value in values.items()],
        "ProvisionToken": project_id,
        **changes,
    }
    return ended(catalog, catalog.provision_product(**asked))


def ended(catalog: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """A record, when nothing is going on any more."""

    def record() -> dict[str, Any] | None:
        found = catalog.describe_record(Id=answer["RecordDetail"]["RecordId"])["RecordDetail"]
        return dict(found) if found["Status"] != "IN_PROGRESS" else None

    return dict(wait_for(record, seconds=60))


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


def test_members_see_what_is_offered(organization: Organization, catalog: Any) -> None:
    [product] = catalog.search_products()["ProductViewSummaries"]
    assert (product["Name"], product["Owner"]) == ("Machine learning project", "Platform team")
    [path] = catalog.list_launch_paths(ProductId=product["ProductId"])["LaunchPathSummaries"]
    assert path["Name"] == "Machine learning projects"
    assert [constraint["Type"] for constraint in path["ConstraintSummaries"]] == ["LAUNCH"]
    described = catalog.describe_product(Id=product["ProductId"])
    assert organization.version_ids["v1"] in {v["Id"] for v in described["ProvisioningArtifacts"]}
    asked = catalog.describe_provisioning_parameters(
        ProductId=product["ProductId"], ProvisioningArtifactId=organization.version_ids["v1"]
    )
    defaults = {
        item["ParameterKey"]: item.get("DefaultValue")
        for item in asked["ProvisioningArtifactParameters"]
    }
    assert defaults == {
        "SageMakerProjectName": None,
        "SageMakerProjectId": None,
        "Days": "1",
        "Folder": "/aws/codebuild/",
    }


def test_a_launched_product_is_a_stack_made_with_the_launch_role(
    organization: Organization, catalog: Any
) -> None:
    record = launch(organization, catalog, Tags=[{"Key": "team", "Value": "ml"}])
    assert (record["Status"], record["RecordErrors"]) == ("SUCCEEDED", [])
    assert ":role/mlsystem-organization/" in record["LaunchRoleArn"]
    launched_id = record["ProvisionedProductId"]
    stack = organization.stack(launched_id)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags == {"team": "ml", "cost-center": "42", "mlsystem-organization": "organization"}
    detail = catalog.describe_provisioned_product(Id=launched_id)["ProvisionedProductDetail"]
    assert (detail["Status"], detail["LastSuccessfulProvisioningRecordId"]) == (
        "AVAILABLE",
        record["RecordId"],
    )
    outputs = catalog.get_provisioned_product_outputs(
        ProvisionedProductId=launched_id, OutputKeys=["Whose"]
    )["Outputs"]
    assert [(item["OutputKey"], item["OutputValue"]) for item in outputs] == [("Whose", "a")]
    found = catalog.search_provisioned_products(Filters={"SearchQuery": [f"id:{launched_id}"]})
    assert [item["PhysicalId"] for item in found["ProvisionedProducts"]] == [stack["StackId"]]


def test_the_administrator_is_no_principal(organization: Organization) -> None:
    with pytest.raises(ClientError) as error:
        launch(organization, organization.admin)
    assert refusal(error) == (
        "ResourceNotFoundException",
        f"No launch paths found for resource: {organization.product_id}",
    )
    assert organization.admin.search_products()["ProductViewSummaries"] == []


@pytest.mark.parametrize(
    ("path", "name", "is_admitted"),
    [
        ("/pattern/", "data-scientist", True),
        ("/", "data-scientist", False),
        ("/pattern/", "accountant", False),
    ],
)
def test_a_pattern_admits_roles_by_path_and_name(
    organization: Organization, path: str, name: str, is_admitted: bool
) -> None:
    role = organization.role(path, STUDIO_ROLE_MAY, name=name)
    found = organization.client("servicecatalog", role).search_products()
    assert bool(found["ProductViewSummaries"]) is is_admitted


def test_a_principal_needs_the_permission_too(organization: Organization) -> None:
    may_look = {"Effect": "Allow", "Action": "servicecatalog:Search*", "Resource": "*"}
    role = organization.role("/pattern/", may_look, name="data-scientist")
    with pytest.raises(ClientError) as error:
        launch(organization, organization.client("servicecatalog", role))
    code, message = refusal(error)
    assert code == "AccessDeniedException"
    assert "servicecatalog:ProvisionProduct" in message
    assert f":product/{organization.product_id}" in message


def test_what_fails_in_the_stack_is_told(organization: Organization, catalog: Any) -> None:
    first = launch(organization, catalog)
    taken = organization.stack(first["ProvisionedProductId"])["Parameters"]
    project_id = {item["ParameterKey"]: item["ParameterValue"] for item in taken}
    values = {"SageMakerProjectId": project_id["SageMakerProjectId"]}
    record = launch(organization, catalog, values=values)
    assert record["Status"] == "FAILED"
    [problem] = record["RecordErrors"]
    assert "ResourceLogicalId:Log, ResourceType:AWS::Logs::LogGroup" in problem["Description"]
    assert "already exists" in problem["Description"]
    launched_id = record["ProvisionedProductId"]
    detail = catalog.describe_provisioned_product(Id=launched_id)["ProvisionedProductDetail"]
    assert (detail["Status"], detail["StatusMessage"]) == ("ERROR", problem["Description"])


def test_what_the_launch_role_may_not_fails(organization: Organization, catalog: Any) -> None:
    record = launch(organization, catalog, values={"Folder": "/elsewhere/"})
    [problem] = record["RecordErrors"]
    assert "logs:CreateLogGroup" in problem["Description"]
    assert ":assumed-role/organization-LaunchRole" in problem["Description"]


def test_parameters_that_the_template_lacks_fail(organization: Organization, catalog: Any) -> None:
    record = launch(organization, catalog, values={"Colour": "red"})
    [problem] = record["RecordErrors"]
    assert "Colour" in problem["Description"]
    launched_id = record["ProvisionedProductId"]
    again = {"ProvisionedProductId": launched_id, "UpdateToken": "t"}
    with pytest.raises(ClientError, match="has no stack"):
        catalog.update_provisioned_product(**again)
    answer = catalog.terminate_provisioned_product(
        ProvisionedProductId=launched_id, TerminateToken="t"
    )
    assert ended(catalog, answer)["Status"] == "SUCCEEDED"


def test_an_update_changes_the_stack_in_place(organization: Organization, catalog: Any) -> None:
    launched = launch(organization, catalog)
    launched_id = launched["ProvisionedProductId"]
    before = organization.stack(launched_id)
    values = {item["ParameterKey"]: item["ParameterValue"] for item in before["Parameters"]}
    given = [
        {"Key": "SageMakerProjectName", "UsePreviousValue": True},
        {"Key": "SageMakerProjectId", "UsePreviousValue": True},
        {"Key": "Days", "Value": "7"},
    ]
    asked = {"ProvisionedProductId": launched_id, "ProvisioningParameters": given}
    for token in ("first", "again"):  # the second time nothing is left to do
        answer = catalog.update_provisioned_product(**asked, UpdateToken=token)
        assert ended(catalog, answer)["Status"] == "SUCCEEDED"
        assert organization.stack(launched_id)["StackId"] == before["StackId"]
        assert organization.groups(values["SageMakerProjectId"]) == {"build": 7}


def test_a_failed_update_leaves_what_was(organization: Organization, catalog: Any) -> None:
    launched = launch(organization, catalog)
    launched_id = launched["ProvisionedProductId"]
    given = [
        {"Key": "SageMakerProjectName", "UsePreviousValue": True},
        {"Key": "SageMakerProjectId", "UsePreviousValue": True},
        {"Key": "Folder", "Value": "/elsewhere/"},
    ]
    answer = catalog.update_provisioned_product(
        ProvisionedProductId=launched_id, ProvisioningParameters=given, UpdateToken="t"
    )
    assert ended(catalog, answer)["Status"] == "FAILED"
    detail = catalog.describe_provisioned_product(Id=launched_id)["ProvisionedProductDetail"]
    assert detail["Status"] == "TAINTED"
    assert detail["LastSuccessfulProvisioningRecordId"] == launched["RecordId"]
    assert "logs:CreateLogGroup" in detail["StatusMessage"]
    assert organization.stack(launched_id)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_termination_deletes_the_stack(organization: Organization, catalog: Any) -> None:
    launched_id = launch(organization, catalog)["ProvisionedProductId"]
    stack_id = organization.stack(launched_id)["StackId"]
    answer = catalog.terminate_provisioned_product(
        ProvisionedProductId=launched_id, TerminateToken="t"
    )
    assert ended(catalog, answer)["Status"] == "SUCCEEDED"
    client = organization.cloud.client("cloudformation")
    (stack,) = client.describe_stacks(StackName=stack_id)["Stacks"]
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="not found"):
        catalog.describe_provisioned_product(Id=launched_id)


def test_names_are_taken_once(organization: Organization, catalog: Any) -> None:
    record = launch(organization, catalog)
    with pytest.raises(ClientError, match="already exists"):
        launch(organization, catalog, ProvisionedProductName=record["ProvisionedProductName"])


def test_old_versions_stay_what_they_are(organization: Organization) -> None:
    newer = copy.deepcopy(PRODUCT)
    newer["Description"] = "Newer"
    version = organization.publish("newer", newer)
    listed = organization.admin.list_provisioning_artifacts(ProductId=organization.product_id)
    ids = [item["Id"] for item in listed["ProvisioningArtifactDetails"]]
    assert len(ids) == len(set(ids))
    assert {organization.version_ids["v1"], version} <= set(ids)


def test_a_role_that_cannot_be_assumed_fails_the_launch(
    organization: Organization, catalog: Any
) -> None:
    admin = organization.admin
    [portfolio] = [
        item["Id"]
        for item in admin.list_portfolios_for_product(ProductId=organization.product_id)[
            "PortfolioDetails"
        ]
    ]
    [constraint] = admin.list_constraints_for_portfolio(PortfolioId=portfolio)["ConstraintDetails"]
    which = {"Id": constraint["ConstraintId"]}
    before = admin.describe_constraint(**which)["ConstraintParameters"]
    admin.update_constraint(**which, Parameters='{"LocalRoleName": "nobody"}')
    try:
        record = launch(organization, catalog)
    finally:
        admin.update_constraint(**which, Parameters=before)
    [problem] = record["RecordErrors"]
    assert "Access denied while assuming the role" in problem["Description"]


@pytest.mark.parametrize(
    ("body", "said"),
    [(None, "can not be read from S3"), (b"Resources: 1", "Resources"), (b"\xff", "not UTF-8")],
)
def test_a_version_needs_a_template(
    organization: Organization, body: bytes | None, said: str
) -> None:
    key = uuid.uuid4().hex
    if body is not None:
        organization.cloud.client("s3").put_object(Bucket="templates", Key=key, Body=body)
    url = f"https://templates.s3.{organization.cloud.region}.amazonaws.com/{key}"
    with pytest.raises(ClientError, match=said):
        organization.admin.create_provisioning_artifact(
            ProductId=organization.product_id,
            Parameters={"Name": "bad", "Info": {"LoadTemplateFromURL": url}},
            IdempotencyToken=key,
        )


def test_what_is_in_use_stays(organization: Organization) -> None:
    admin = organization.admin
    product_id = organization.product_id
    [portfolio] = admin.list_portfolios_for_product(ProductId=product_id)["PortfolioDetails"]
    for refused in (
        lambda: admin.delete_product(Id=product_id),
        lambda: admin.delete_portfolio(Id=portfolio["Id"]),
        lambda: admin.disassociate_product_from_portfolio(
            ProductId=product_id, PortfolioId=portfolio["Id"]
        ),
        lambda: admin.delete_tag_option(
            Id=admin.list_tag_options()["TagOptionDetails"][0]["Id"],
        ),
    ):
        with pytest.raises(admin.exceptions.ResourceInUseException):
            refused()


def test_passing_a_launch_role_is_a_permission(organization: Organization) -> None:
    may = {"Effect": "Allow", "Action": "servicecatalog:*", "Resource": "*"}
    client = organization.client("servicecatalog", organization.role("/", may))
    [portfolio] = client.list_portfolios_for_product(ProductId=organization.product_id)[
        "PortfolioDetails"
    ]
    [constraint] = client.list_constraints_for_portfolio(PortfolioId=portfolio["Id"])[
        "ConstraintDetails"
    ]
    with pytest.raises(ClientError) as error:
        client.update_constraint(
            Id=constraint["ConstraintId"], Parameters='{"LocalRoleName": "mighty"}'
        )
    code, message = refusal(error)
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("create_constraint", {"Type": "NOTIFICATION", "PortfolioId": "p", "ProductId": "p"}),
        ("create_portfolio_share", {"PortfolioId": "p"}),
    ],
)
def test_what_is_not_here_is_refused_by_name(
    organization: Organization, operation: str, parameters: dict[str, Any]
) -> None:
    if operation == "create_constraint":
        parameters = {**parameters, "Parameters": "{}", "IdempotencyToken": "t"}
    with pytest.raises(ClientError) as error:
        getattr(organization.admin, operation)(**parameters)
    code, message = refusal(error)
    assert code == "LocalCloudUnsupported"
    assert "NOTIFICATION" in message or "CreatePortfolioShare" in message
