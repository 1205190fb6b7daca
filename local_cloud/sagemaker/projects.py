"""Projects: products that Studio offers, launched in Service Catalog for whoever creates them.

Sources: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProject.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-projects-templates-custom.html
"""

from __future__ import annotations

import datetime as dt
import secrets
import string
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from moto.sagemaker.exceptions import ConflictException, ValidationError

from local_cloud.cloud import LocalCloud
from local_cloud.iam import Identity
from local_cloud.sagemaker.parameters import ANY, Parameters

__all__ = ["ACCEPTED", "Project", "Projects"]

_VALUES = {"Key": ANY, "Value": ANY}

#: What each operation honours.
ACCEPTED: dict[str, dict[str, Any]] = {
    "CreateProject": {
        "ProjectName": ANY,
        "ProjectDescription": ANY,
        "ServiceCatalogProvisioningDetails": {
            "ProductId": ANY,
            "ProvisioningArtifactId": ANY,
            "PathId": ANY,
            "ProvisioningParameters": _VALUES,
        },
        "Tags": ANY,
    },
    "UpdateProject": {
        "ProjectName": ANY,
        "ProjectDescription": ANY,
        "ServiceCatalogProvisioningUpdateDetails": {
            "ProvisioningArtifactId": ANY,
            "ProvisioningParameters": _VALUES,
        },
        "Tags": ANY,
    },
    "DeleteProject": {"ProjectName": ANY},
    "DescribeProject": {"ProjectName": ANY},
    "ListProjects": {
        "CreationTimeAfter": ANY,
        "CreationTimeBefore": ANY,
        "MaxResults": ANY,
        "NameContains": ANY,
        "SortBy": ANY,
        "SortOrder": ANY,
    },
}

_VISIBLE = {"Key": "sagemaker:studio-visibility", "Value": "true"}
_ALPHABET = string.ascii_lowercase + string.digits
_ID_CHARACTERS = 12
#: How the last operation on the launched product goes -> end of the project's status.
_STATUS = {"IN_PROGRESS": "InProgress", "SUCCEEDED": "Completed", "FAILED": "Failed"}


@dataclass
class Project:
    """A project and the product that was launched for it.

    Parameters
    ----------
    tags
        As given, and the two that SageMaker adds.
    details
        ServiceCatalogProvisioningDetails, as given last.
    parameter_names
        Parameters of the version that it has.
    operation, record_id
        ``Create``, ``Update`` or ``Delete``, and Service Catalog's record of it.
    """

    name: str
    id: str
    arn: str
    description: str
    tags: list[dict[str, str]]
    details: dict[str, Any]
    created_by: str
    parameter_names: frozenset[str]
    product_id: str = ""
    operation: str = "Create"
    record_id: str = ""
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    modified: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    def begin(self, operation: str, record: Mapping[str, Any]) -> None:
        """Write down what Service Catalog has begun."""
        self.operation, self.record_id = operation, record["RecordId"]
        self.product_id = record["ProvisionedProductId"]
        self.modified = dt.datetime.now(dt.UTC)

    def own_parameters(self) -> dict[str, str]:
        """The parameters that SageMaker fills in."""
        return {"SageMakerProjectName": self.name, "SageMakerProjectId": self.id}


class Projects:
    """The projects of one account, deleted ones too until their name is used again.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._projects: dict[str, Project] = {}
        self._lock = threading.RLock()

    def by_arn(self) -> dict[str, Project]:
        """Every project."""
        return {project.arn: project for project in list(self._projects.values())}

    def create(self, request: Parameters, access_key: str) -> dict[str, str]:
        """Launch a product for a new project.

        Raises
        ------
        ValidationError
            When the name is taken, Studio does not offer the product, or Service Catalog refuses.
        """
        details = request.get("ServiceCatalogProvisioningDetails")
        if not details:
            raise ValidationError("ServiceCatalogProvisioningDetails is required.")
        catalog = self._catalog(access_key)
        with self._lock:
            self._require_free(request["ProjectName"])
            version = self._version(catalog, details)
            names = _parameter_names(catalog, version)
            self._require_visible(details["ProductId"])
            project = self._new(request, names, self._identity(access_key))
            given = {**_values(details), **project.own_parameters()}
            record = _asked(
                catalog.provision_product,
                **version,
                ProvisionedProductName=f"{project.name}-{project.id}",
                ProvisioningParameters=_pairs(given),
                Tags=project.tags,
            )
            project.begin("Create", record)
            self._projects[project.name] = project
        return {"ProjectArn": project.arn, "ProjectId": project.id}

    def update(self, request: Parameters, access_key: str) -> dict[str, str]:
        """Bring a project to another version, in place; what is not given stays as it is."""
        with self._lock:
            project = self._changeable(request["ProjectName"])
            project.description = request.get("ProjectDescription", project.description)
            project.tags = _merged(project.tags, request.get("Tags", ()))
            changes = request.get("ServiceCatalogProvisioningUpdateDetails")
            if changes:
                self._relaunch(project, changes, self._catalog(access_key))
        return {"ProjectArn": project.arn}

    def _relaunch(self, project: Project, changes: Parameters, catalog: Any) -> None:
        details = {**project.details, **changes}
        version = self._version(catalog, details)
        names = _parameter_names(catalog, version)
        given = _values(changes)
        kept = (names & project.parameter_names) - set(given)
        record = _asked(
            catalog.update_provisioned_product,
            **version,
            ProvisionedProductId=project.product_id,
            ProvisioningParameters=[
                *_pairs(given),
                *({"Key": name, "UsePreviousValue": True} for name in sorted(kept)),
            ],
            Tags=project.tags,
        )
        values = _pairs({**_values(project.details), **given})
        project.details = {**details, **version, "ProvisioningParameters": values}
        project.parameter_names = names
        project.begin("Update", record)

    def delete(self, name: str, access_key: str) -> None:
        """Terminate the product of a project."""
        with self._lock:
            project = self._changeable(name)
            record = _asked(
                self._catalog(access_key).terminate_provisioned_product,
                ProvisionedProductId=project.product_id,
            )
            project.begin("Delete", record)

    def describe(self, name: str) -> dict[str, Any]:
        """Answer of DescribeProject."""
        project = self._project(name)
        status, message = self._status(project)
        launched = {
            "ProvisionedProductId": project.product_id,
            **({"ProvisionedProductStatusMessage": message} if message else {}),
        }
        return {
            **_summary(project, status),
            "ServiceCatalogProvisioningDetails": project.details,
            "ServiceCatalogProvisionedProductDetails": launched,
            "CreatedBy": {"IamIdentity": {"Arn": project.created_by}},
            "LastModifiedTime": project.modified,
        }

    def summaries(self, request: Parameters) -> dict[str, Any]:
        """Answer of ListProjects, the newest first."""
        by_name = request.get("SortBy") == "Name"
        found = sorted(
            (project for project in self._projects.values() if _is_wanted(project, request)),
            key=lambda project: project.name if by_name else project.created,
            reverse=request.get("SortOrder", "Ascending" if by_name else "Descending")
            == "Descending",
        )
        shown = found[: request.get("MaxResults")]
        return {"ProjectSummaryList": [_summary(_, self._status(_)[0]) for _ in shown]}

    # ---------------------------------------------------------------- parts

    def _new(self, request: Parameters, names: frozenset[str], creator: Identity) -> Project:
        name = request["ProjectName"]
        characters = (secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
        project_id = f"p-{''.join(characters)}"
        place = f"{self._cloud.region}:{self._cloud.account_id}"
        own = [
            {"Key": "sagemaker:project-name", "Value": name},
            {"Key": "sagemaker:project-id", "Value": project_id},
        ]
        return Project(
            name,
            project_id,
            f"arn:aws:sagemaker:{place}:project/{name.lower()}",
            request.get("ProjectDescription", ""),
            _merged(request.get("Tags", ()), own),
            request["ServiceCatalogProvisioningDetails"],
            creator.arn,
            names,
        )

    def _project(self, name: str) -> Project:
        project = self._projects.get(name)
        if project is None:
            raise ValidationError(f"Project {name} does not exist.")
        return project

    def _changeable(self, name: str) -> Project:
        project = self._project(name)
        status, _ = self._status(project)
        if status.endswith("InProgress"):
            raise ConflictException(f"Project {name} is in status {status}; wait for its end.")
        if status == "DeleteCompleted":
            raise ValidationError(f"Project {name} does not exist.")
        return project

    def _require_free(self, name: str) -> None:
        project = self._projects.get(name)
        if project is not None and self._status(project)[0] != "DeleteCompleted":
            raise ValidationError(
                f"Project {name} already exists; choose another name, or delete it first."
            )

    def _require_visible(self, product_id: str) -> None:
        client = self._cloud.client("servicecatalog")
        if _VISIBLE not in client.describe_product_as_admin(Id=product_id)["Tags"]:
            raise ValidationError(
                f"Product {product_id} is not visible in Studio; it needs the tag"
                f" {_VISIBLE['Key']} with the value {_VISIBLE['Value']}."
            )

    def _version(self, catalog: Any, details: Mapping[str, Any]) -> dict[str, str]:
        """The product, version and path of a request; without a version the newest is taken."""
        found = {
            name: details[name]
            for name in ("ProductId", "ProvisioningArtifactId", "PathId")
            if details.get(name)
        }
        if "ProvisioningArtifactId" in found:
            return found
        try:
            versions = catalog.describe_product(Id=details["ProductId"])["ProvisioningArtifacts"]
        except ClientError as error:
            raise _hidden(f"Product {details['ProductId']}", error) from error
        newest = max(versions, key=lambda version: version["CreatedTime"])
        return {**found, "ProvisioningArtifactId": newest["Id"]}

    def _status(self, project: Project) -> tuple[str, str]:
        """Status of a project, and why it failed."""
        client = self._cloud.client("servicecatalog")
        record = client.describe_record(Id=project.record_id)["RecordDetail"]
        errors = [error["Description"] for error in record["RecordErrors"]]
        return f"{project.operation}{_STATUS[record['Status']]}", "; ".join(errors)

    def _catalog(self, access_key: str) -> Any:
        """Service Catalog with the permissions of whoever asks."""
        credentials = self._identity(access_key).credentials
        return self._cloud.client_as("servicecatalog", credentials)

    def _identity(self, access_key: str) -> Identity:
        identity = self._cloud.account.identity(access_key)
        if identity is None:
            raise ValidationError("The security token included in the request is invalid.")
        return identity


def _asked(operation: Any, **parameters: Any) -> dict[str, Any]:
    """What Service Catalog has begun; its refusal is SageMaker's."""
    try:
        record: dict[str, Any] = operation(**parameters)["RecordDetail"]
    except ClientError as error:
        raise _refused(error) from error
    return record


def _parameter_names(catalog: Any, version: Mapping[str, str]) -> frozenset[str]:
    try:
        answer = catalog.describe_provisioning_parameters(**version)
    except ClientError as error:
        what = f"Provisioning artifact {version['ProvisioningArtifactId']}"
        raise _hidden(what, error) from error
    return frozenset(item["ParameterKey"] for item in answer["ProvisioningArtifactParameters"])


def _hidden(what: str, error: ClientError) -> ValidationError:
    """SageMaker does not tell what is missing from what the caller has no launch path to."""
    if error.response["Error"]["Code"] != "ResourceNotFoundException":
        return _refused(error)
    reason = error.response["Error"].get("Message")
    return ValidationError(f"{what} does not exist or access was denied. ({reason})")


def _refused(error: ClientError) -> ValidationError:
    found = error.response["Error"]
    return ValidationError(f"{found['Code']}: {found.get('Message')}")


def _values(details: Mapping[str, Any]) -> dict[str, str]:
    given = details.get("ProvisioningParameters", ())
    return {item["Key"]: item.get("Value", "") for item in given}


def _pairs(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _merged(tags: Iterable[dict[str, str]], more: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return list({tag["Key"]: tag for tag in [*tags, *more]}.values())


def _is_wanted(project: Project, request: Parameters) -> bool:
    created = project.created.timestamp()
    return (
        request.get("NameContains", "") in project.name
        and created >= request.get("CreationTimeAfter", created)
        and created <= request.get("CreationTimeBefore", created)
    )


def _summary(project: Project, status: str) -> dict[str, Any]:
    summary = {
        "ProjectName": project.name,
        "ProjectDescription": project.description or None,
        "ProjectArn": project.arn,
        "ProjectId": project.id,
        "CreationTime": project.created,
        "ProjectStatus": status,
    }
    return {name: value for name, value in summary.items() if value is not None}
