"""``upgrade_prj.sh``: brings projects to the newest published version, in place.

An update changes the project's stack only: repository, data, models and endpoints stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts import stacks
from scripts.account import Account
from scripts.errors import ScriptError
from scripts.plan import Plan
from scripts.project import Project, projects
from scripts.publication import EXPORT, NONE

__all__ = ["Candidate", "Newest", "UpdateProject", "look", "newest", "plan"]

_READY = ("CreateCompleted", "UpdateCompleted", "UpdateFailed")


@dataclass(frozen=True)
class Newest:
    """What is offered: the version, its id in Service Catalog, and its address for the S3 way."""

    version: str
    artifact_id: str
    template_url: str


@dataclass(frozen=True)
class Candidate:
    """A project and what its stack was last made with; the template's name when it came from S3.

    A project from before there was a Prod stage has no code for it, and stays without.
    """

    project: Project
    version: str | None
    s3_template: str | None = None
    has_production: bool = True


@dataclass(frozen=True)
class UpdateProject:
    """Update a project; parameters keep their values."""

    name: str
    version: str
    details: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"update the project {self.name} to version {self.version}"

    def run(self, account: Account) -> None:
        """Update it, and wait until it is updated.

        Raises
        ------
        ScriptError
            When the update fails, and the stack is as it was; or the portfolio does not name the
            caller, which Service Catalog asks of everybody, administrators too.
        """
        sagemaker = account.client("sagemaker")
        try:
            sagemaker.update_project(ProjectName=self.name, **dict(self.details))
        except ClientError as error:
            if "No launch paths" not in str(error):
                raise
            raise ScriptError(
                f"Project {self.name}",
                "Service Catalog does not offer its template to these credentials",
                "somebody who may create projects is required",
                "Use such a role, or add yours with scripts/build.sh",
            ) from error
        while (answer := sagemaker.describe_project(ProjectName=self.name))[
            "ProjectStatus"
        ] == "UpdateInProgress":
            account.pause()
        if answer["ProjectStatus"] != "UpdateCompleted":
            product = answer.get("ServiceCatalogProvisionedProductDetails", {})
            reason = product.get("ProvisionedProductStatusMessage", "no reason is given")
            raise ScriptError(
                f"Project {self.name}",
                f"{answer['ProjectStatus']}: {reason.rstrip('.')}",
                "UpdateCompleted was expected",
                "Its stack is as it was before; the stack's events say more",
            )


def newest(account: Account) -> Newest:
    """What the organization's stack offers.

    Raises
    ------
    ScriptError
        When nothing has been published in the region.
    """
    for export in account.pages("cloudformation", "list_exports", "Exports"):
        if export["Name"] == EXPORT:
            stack = stacks.find(account, export["ExportingStackId"])
            if stack is not None and stack.parameters["Version1"] != NONE:
                return _newest_of(account, stack.outputs, stack.parameters["Version1"])
    raise ScriptError(
        f"Region {account.region}",
        "nothing is published there",
        "a version to update to is required",
        "Publish one with scripts/build.sh",
    )


def _newest_of(account: Account, outputs: Any, version: str) -> Newest:
    artifacts = account.client("servicecatalog").list_provisioning_artifacts(
        ProductId=outputs["ProductId"]
    )["ProvisioningArtifactDetails"]
    bucket = outputs["TemplateBucketName"]
    return Newest(
        version=version,
        artifact_id=next(item["Id"] for item in artifacts if item["Name"] == version),
        template_url=(
            f"https://{bucket}.s3.{account.region}.{account.url_suffix}/templates/pipeline.yml"
        ),
    )


def look(account: Account, name: str | None) -> list[Candidate]:
    """The project of a name, or all; nothing is changed.

    Raises
    ------
    ScriptError
        When there is none of that name.
    """
    found = [each for each in projects(account) if name in (None, each.name, each.id)]
    if name is not None and not found:
        raise ScriptError(
            f"Project {name}",
            f"none of that name in {account.region}",
            "a project's name or id is required",
        )
    made = {
        stack.parameters["SageMakerProjectId"]: stack
        for stack in stacks.all_stacks(account)
        if "SageMakerProjectId" in stack.parameters
    }
    # What was made from another template is not ours to update.
    ours = [each for each in found if each.id in made]
    if name is not None and not ours:
        raise ScriptError(
            f"Project {name}",
            f"no stack with SageMakerProjectId {found[0].id}",
            "one that was made from this template is required",
        )
    return [
        Candidate(
            project,
            made[project.id].outputs.get("TemplateVersion"),
            _s3_template(account, project.name),
            "Production" in made[project.id].parameters,
        )
        for project in ours
    ]


def _s3_template(account: Account, name: str) -> str | None:
    details = account.client("sagemaker").describe_project(ProjectName=name)
    for each in details.get("TemplateProviderDetails", []):
        if "CfnTemplateProviderDetail" in each:
            return str(each["CfnTemplateProviderDetail"]["TemplateName"])
    return None


def plan(candidates: list[Candidate], offered: Newest) -> Plan:
    """Updates of those that have another version.

    Raises
    ------
    ScriptError
        When one of them cannot be updated now.
    """
    behind = [each for each in candidates if each.version != offered.version]
    for each in behind:
        if each.project.status not in _READY:
            raise ScriptError(
                f"Project {each.project.name}",
                each.project.status,
                f"one of {', '.join(_READY)}",
                "Start again when nothing goes on with it; remove it with scripts/rm_prj.sh if it"
                " was never completed",
            )
    steps = (
        UpdateProject(each.project.name, offered.version, _details(each, offered))
        for each in behind
    )
    current = (
        f"the project {each.project.name}, which has version {offered.version}"
        for each in candidates
        if each not in behind
    )
    return Plan(tuple(steps), tuple(current))


def _details(candidate: Candidate, offered: Newest) -> tuple[tuple[str, Any], ...]:
    if candidate.s3_template is None:
        chosen: dict[str, Any] = {"ProvisioningArtifactId": offered.artifact_id}
        if not candidate.has_production:
            chosen["ProvisioningParameters"] = [{"Key": "Production", "Value": "no"}]
        return (("ServiceCatalogProvisioningUpdateDetails", chosen),)
    provider = {"TemplateName": candidate.s3_template, "TemplateURL": offered.template_url}
    return (("TemplateProvidersToUpdate", [{"CfnTemplateProvider": provider}]),)
