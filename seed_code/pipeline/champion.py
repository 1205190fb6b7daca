"""The model to compare with: the newest version in the registry that somebody approved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlsystem.errors import UserError

__all__ = ["Champion", "find"]


@dataclass(frozen=True)
class Champion:
    """A version of the model package group, and where its archive is."""

    package_arn: str
    archive_uri: str


def find(sagemaker: Any, group: str) -> Champion | None:
    """Return the newest approved version of `group`, if there is any.

    Raises
    ------
    UserError
        That version has no archive.
    """
    found = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    if not found:
        return None
    package_arn = found[0]["ModelPackageArn"]
    package = sagemaker.describe_model_package(ModelPackageName=package_arn)
    containers = package.get("InferenceSpecification", {}).get("Containers", [])
    uri = containers[0].get("ModelDataUrl") if containers else None
    if uri is None:
        raise UserError(
            package_arn, "approved, without an archive", "a version that a release has registered",
            "Reject it in the registry, so that the version before it is the champion",
        )  # fmt: skip
    return Champion(package_arn, uri)
