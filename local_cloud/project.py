"""The data scientist's part: *Create project* in Studio, and what that made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from local_cloud.stack_outputs import outputs_of

__all__ = ["Project", "create"]

PRODUCT = "Machine learning project"
_SAGEMAKER = "sagemaker.amazonaws.com"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Project:
    """A project in Studio, with the outputs of its stack (pipeline.yml)."""

    name: str
    id: str
    stack_name: str
    outputs: dict[str, str]

    @property
    def stacks(self) -> list[str]:
        """Names of the stacks that the project has, or will have once its pipeline made them."""
        children = ("WorkflowStackName", "DevStackName", "ProdStackName")
        return [self.stack_name, *(self.outputs[name] for name in children if name in self.outputs)]


def create(
    cloud: LocalCloud,
    role_arn: str,
    name: str,
    form: Mapping[str, str],
    report: Callable[[str], None],
) -> Project:
    """Create a project with a role of Studio; return it when everything is made.

    Parameters
    ----------
    cloud
        The account.
    role_arn
        Of the user's Studio profile.
    name
        Of the project.
    form
        What is filled into Studio's form: parameters of pipeline.yml.
    report
        Hears how far it is.

    Raises
    ------
    LocalCloudError
        The creation failed; the message says which resource and why.
    """
    sagemaker = cloud.client("sagemaker", role_arn=role_arn, service_principal=_SAGEMAKER)
    sagemaker.create_project(
        ProjectName=name,
        ServiceCatalogProvisioningDetails={
            "ProductId": _product(cloud, role_arn),
            "ProvisioningParameters": [{"Key": key, "Value": value} for key, value in form.items()],
        },
    )
    while True:
        found = sagemaker.describe_project(ProjectName=name)
        if found["ProjectStatus"] not in ("Pending", "CreateInProgress"):
            break
        report(_progress(cloud, found))
        time.sleep(_POLL_SECONDS)
    if found["ProjectStatus"] != "CreateCompleted":
        raise LocalCloudError(
            f"project {name}",
            f"{found['ProjectStatus']}: {_reason(found)}",
            "CreateCompleted",
        )
    stack = _stack_name(cloud, found)
    return Project(
        name, found["ProjectId"], stack, outputs_of(cloud.client("cloudformation"), stack)
    )


def _product(cloud: LocalCloud, role_arn: str) -> str:
    """Id of the template, as Studio finds it for its user."""
    catalog = cloud.client("servicecatalog", role_arn=role_arn, service_principal=_SAGEMAKER)
    offered = catalog.search_products()["ProductViewSummaries"]
    return next(str(product["ProductId"]) for product in offered if product["Name"] == PRODUCT)


def _launched(project: dict[str, Any]) -> dict[str, Any]:
    return dict(project.get("ServiceCatalogProvisionedProductDetails", {}))


def _reason(project: dict[str, Any]) -> str:
    return str(_launched(project).get("ProvisionedProductStatusMessage", "no reason given"))


def _stack_name(cloud: LocalCloud, project: dict[str, Any]) -> str:
    """Name of the stack that Service Catalog makes: the launched product's."""
    return f"SC-{cloud.account_id}-{_launched(project).get('ProvisionedProductId')}"


def _progress(cloud: LocalCloud, project: dict[str, Any]) -> str:
    client = cloud.client("cloudformation")
    try:
        found = client.describe_stack_resources(StackName=_stack_name(cloud, project))
    except client.exceptions.ClientError:  # Service Catalog has not begun
        return "Creating the project"
    made = sum(item["ResourceStatus"] == "CREATE_COMPLETE" for item in found["StackResources"])
    return f"Creating the project: {made} resources"
