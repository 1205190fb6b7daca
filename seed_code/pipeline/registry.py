"""The versions of the project's model package group, and what the registry says about each.

=========================== ======================================================================
what                        means
=========================== ======================================================================
``ModelApprovalStatus``     ``Approved``: a person let the release into production
``in_production_since``     when the version last began to answer there (ISO 8601, UTC)
=========================== ======================================================================

The *champion* is the approved version that began last: what production serves, also after a return
to an earlier release. A release that a person approved and a guard took back has no such time, so
it never counts as one. Where nothing was in production yet, it is the newest that was approved.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mlsystem.errors import UserError

__all__ = ["Package", "approve", "approved", "champion", "of_release", "served"]

_SINCE = "in_production_since"
_FIX = "Reject it in the registry, so that the version before it is the champion"


@dataclass(frozen=True)
class Package:
    """A version of the model package group."""

    arn: str
    release: str
    """The pipeline execution that made it; empty when no release did."""
    in_production_since: str
    """Empty when it never was."""
    containers: tuple[dict[str, Any], ...]
    created: datetime.datetime
    metric: str = ""
    """Of its gate; empty when no release made it."""
    value: str = ""

    @property
    def archive_uri(self) -> str:
        """Where its archive is; raises UserError when it has none."""
        uri = self.containers[0].get("ModelDataUrl") if self.containers else None
        if uri is None:
            raise UserError(
                self.arn, "approved, without an archive", "a version that a release has registered",
                _FIX,
            )  # fmt: skip
        return str(uri)


def approved(sagemaker: Any, group: str) -> list[Package]:
    """Return the approved versions of `group`, the newest first."""
    return list(_packages(sagemaker, group, "Approved"))


def champion(packages: list[Package]) -> Package | None:
    """Return what production serves, of approved `packages`, the newest first."""
    return max(packages, key=lambda package: package.in_production_since, default=None)


def of_release(sagemaker: Any, group: str, release: str) -> Package:
    """Return the version that `release` has registered.

    Raises
    ------
    UserError
        It has registered none.
    """
    for package in _packages(sagemaker, group):
        if package.release == release:
            return package
    raise UserError(
        f"model package group {group}", f"no version of release {release}",
        "the version that its training workflow registered", "Start the release again",
    )  # fmt: skip


def approve(sagemaker: Any, package: Package, description: str) -> None:
    """Record that a person approved `package`."""
    sagemaker.update_model_package(
        ModelPackageArn=package.arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription=description,
    )


def served(sagemaker: Any, package: Package, now: datetime.datetime) -> None:
    """Record that production answers with `package` since `now`."""
    sagemaker.update_model_package(
        ModelPackageArn=package.arn,
        CustomerMetadataProperties={_SINCE: now.astimezone(datetime.UTC).isoformat()},
    )


def _packages(
    sagemaker: Any, group: str, status: Literal["Approved"] | None = None
) -> Iterator[Package]:
    """Yield the versions, the newest first, each read when it is asked for."""
    narrowed = {"ModelApprovalStatus": status} if status else {}
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", **narrowed
    )
    for page in pages:
        for listed in page["ModelPackageSummaryList"]:
            yield _read(sagemaker, listed["ModelPackageArn"])


def _read(sagemaker: Any, arn: str) -> Package:
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    properties = found.get("CustomerMetadataProperties", {})
    return Package(
        arn=arn,
        release=properties.get("release", ""),
        in_production_since=properties.get(_SINCE, ""),
        containers=tuple(found.get("InferenceSpecification", {}).get("Containers", [])),
        created=found["CreationTime"],
        metric=properties.get("metric", ""),
        value=properties.get("value", ""),
    )
