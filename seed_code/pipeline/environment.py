"""What pipeline.yml tells a build: environment variables, each of them required."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from mlsystem.errors import UserError

__all__ = [
    "AcceptanceEnvironment",
    "ApprovalEnvironment",
    "BuildEnvironment",
    "ProductionEnvironment",
    "read",
]

_FIX = "pipeline.yml sets it for builds that the pipeline starts"


@dataclass(frozen=True)
class BuildEnvironment:
    """Of the Build stage. A field is the variable of its name, in upper case."""

    project_key: str
    """What every name of the project begins with."""
    release: str
    """The pipeline execution's id."""
    retrain: Literal["when-changed", "always"]
    sagemaker_project_name: str
    sagemaker_project_id: str
    pipeline_name: str
    data_bucket: str
    kms_key_arn: str
    container_repository: str
    container_repository_uri: str
    model_package_group: str
    permissions_boundary_arn: str
    production: Literal["yes", "no"]
    """Whether the pipeline has a Prod stage."""
    api_repository: str
    api_repository_uri: str


@dataclass(frozen=True)
class AcceptanceEnvironment:
    """Of the test in the Dev stage."""

    project_key: str
    release: str
    data_bucket: str
    endpoint_name: str


@dataclass(frozen=True)
class ProductionEnvironment:
    """Of the programs in the Prod stage."""

    project_key: str
    release: str
    pipeline_name: str
    model_package_group: str
    production_access_role_arn: str
    """Role to assume in the account that production is in, or ``none`` when it is this one."""


@dataclass(frozen=True)
class ApprovalEnvironment(ProductionEnvironment):
    """Of the first of them, which is also given what Build wrote."""

    build: str = field(metadata={"variable": "CODEBUILD_SRC_DIR_Build"})
    """Folder of that artifact; CodeBuild names the variable after it."""


E = TypeVar(
    "E", BuildEnvironment, AcceptanceEnvironment, ProductionEnvironment, ApprovalEnvironment
)


def read(kind: type[E], variables: Mapping[str, str]) -> E:
    """Return the environment of that `kind`.

    Raises
    ------
    UserError
        A variable is missing, empty, or not one of the values that it may have.
    """
    accepted = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        name = each.metadata.get("variable", each.name.upper())
        value = variables.get(name, "")
        choices = typing.get_args(accepted[each.name])
        if not value:
            raise UserError(f"environment variable {name}", "not set", "a value", _FIX)
        if choices and value not in choices:
            raise UserError(f"environment variable {name}", repr(value), " or ".join(choices))
        values[each.name] = value
    return kind(**values)
