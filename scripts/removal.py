"""``rm_prj.sh``: removes a project and everything it made, and keeps what is the user's.

The order is that of what needs what: running releases would make stacks again, the stacks of
workflow, dev and production are deleted with their deploy roles, a full bucket or group cannot be
deleted. So releases are stopped first, and roles deleted last (docs/decisions/0016).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.account import Account
from scripts.buckets import DeleteBucket
from scripts.errors import ScriptError
from scripts.plan import Plan, Step
from scripts.project import Found, Project, is_gone, projects
from scripts.roles import DeleteRole
from scripts.stacks import DeleteStack, Stack

__all__ = ["Call", "DeleteProject", "plan"]

_KEY_DAYS = 30


@dataclass(frozen=True)
class Call:
    """One request that deletes one thing; that it is gone is fine."""

    does: str
    service: str
    operation: str
    arguments: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return self.does

    def run(self, account: Account) -> None:
        """Ask for it."""
        try:
            getattr(account.client(self.service), self.operation)(**dict(self.arguments))
        except ClientError as error:
            if not is_gone(error):
                raise


@dataclass(frozen=True)
class StopRelease:
    """Stop a running release, its queued actions and those that run."""

    pipeline: str
    release: str

    def __str__(self) -> str:
        return f"stop the release {self.release} of {self.pipeline}"

    def run(self, account: Account) -> None:
        """Stop it; that it has ended meanwhile is fine."""
        client = account.client("codepipeline")
        try:
            client.stop_pipeline_execution(
                pipelineName=self.pipeline,
                pipelineExecutionId=self.release,
                abandon=True,
                reason="The project is being removed",
            )
        except (
            client.exceptions.PipelineExecutionNotStoppableException,
            client.exceptions.DuplicatedStopRequestException,
        ):
            return


@dataclass(frozen=True)
class DeleteProject:
    """Delete a project in SageMaker, which deletes its stack."""

    name: str

    def __str__(self) -> str:
        return f"delete the project {self.name}"

    def run(self, account: Account) -> None:
        """Delete it, and wait until it is deleted.

        Raises
        ------
        ScriptError
            When SageMaker cannot delete it.
        """
        if self._now(account) is None:
            return
        account.client("sagemaker").delete_project(ProjectName=self.name)
        while (project := self._now(account)) is not None and project.status != "DeleteFailed":
            account.pause()
        if project is not None:
            raise ScriptError(
                f"Project {self.name}",
                f"{project.status}: {self._reason(account)}",
                "SageMaker must be able to delete it",
                "Start again: its stack is then deleted first",
            )

    def _now(self, account: Account) -> Project | None:
        return next((each for each in projects(account) if each.name == self.name), None)

    def _reason(self, account: Account) -> str:
        details = account.client("sagemaker").describe_project(ProjectName=self.name)
        product = details.get("ServiceCatalogProvisionedProductDetails", {})
        return str(product.get("ProvisionedProductStatusMessage", "no reason given")).rstrip(".")


def plan(found: Found, *, delete_data: bool = False, delete_code: bool = False) -> Plan:
    """What is deleted, in order, and what is kept.

    Raises
    ------
    ScriptError
        When something is going on with the project, or its stacks could not be deleted.
    """
    _require_quiet(found)
    _require_deploy_role(found)
    return Plan(
        steps=(
            *(StopRelease(str(found.key), release) for release in found.releases),
            *_stops(found),
            *(DeleteStack(stack.name) for stack in found.children),
            *_project(found),
            *_leftovers(found),
            *(_data(found) if delete_data else ()),
            *(_code(found) if delete_code else ()),
            *(DeleteRole(name) for name in found.roles),
        ),
        kept=tuple(_kept(found, delete_data=delete_data, delete_code=delete_code)),
    )


def _project(found: Found) -> list[Step]:
    project: list[Step] = [DeleteProject(found.project.name)] if found.project else []
    stack: list[Step] = [DeleteStack(found.stack.name)] if found.stack else []
    # A product that has gone cannot delete its stack; without a stack nothing can fail.
    failed_before = found.project is not None and found.project.status == "DeleteFailed"
    return [*stack, *project] if failed_before else [*project, *stack]


def _stops(found: Found) -> Iterator[Step]:
    """What a release has started goes on without it, and costs money."""
    for name in found.builds:
        yield Call(f"stop the build {name}", "codebuild", "stop_build", (("id", name),))
    for arn in found.executions:
        yield Call(
            f"stop the workflow {arn.rpartition(':')[2]}, and the job that it waits for",
            "stepfunctions",
            "stop_execution",
            (("executionArn", arn), ("cause", "The project is being removed")),
        )


def _leftovers(found: Found) -> Iterator[Step]:
    """What stacks keep, and what releases made without a stack."""
    for kind, operation, argument, names in (
        ("endpoint", "delete_endpoint", "EndpointName", found.endpoints),
        (
            "endpoint configuration", "delete_endpoint_config", "EndpointConfigName",
            found.endpoint_configs,
        ),
        ("model", "delete_model", "ModelName", found.models),
        ("model package", "delete_model_package", "ModelPackageName", found.model_packages),
        (
            "model package group", "delete_model_package_group", "ModelPackageGroupName",
            found.model_package_groups,
        ),
    ):  # fmt: skip
        for name in names:
            yield Call(f"delete the {kind} {name}", "sagemaker", operation, ((argument, name),))
    for name in found.image_repositories:
        yield Call(
            f"delete the image repository {name}", "ecr", "delete_repository",
            (("repositoryName", name), ("force", True)),
        )  # fmt: skip
    for arn in found.report_groups:
        yield Call(
            f"delete the reports {arn.rpartition('/')[2]}", "codebuild", "delete_report_group",
            (("arn", arn), ("deleteReports", True)),
        )  # fmt: skip
    if found.artifact_bucket:
        yield DeleteBucket(found.artifact_bucket)
    for name in found.log_groups:
        yield Call(
            f"delete the log group {name}", "logs", "delete_log_group", (("logGroupName", name),)
        )


def _data(found: Found) -> Iterator[Step]:
    if found.data_bucket:
        yield DeleteBucket(found.data_bucket)
    for name in found.file_systems:
        yield Call(
            f"delete the file system {name}", "efs", "delete_file_system", (("FileSystemId", name),)
        )
    for name in found.kms_keys:
        yield Call(
            f"schedule the key {name} for deletion in {_KEY_DAYS} days",
            "kms",
            "schedule_key_deletion",
            (("KeyId", name), ("PendingWindowInDays", _KEY_DAYS)),
        )


def _code(found: Found) -> Iterator[Step]:
    if found.code_repository:
        yield Call(
            f"delete the code repository {found.code_repository}",
            "codecommit",
            "delete_repository",
            (("repositoryName", found.code_repository),),
        )


def _kept(found: Found, *, delete_data: bool, delete_code: bool) -> Iterator[str]:
    if not delete_code and found.code_repository:
        yield f"the code repository {found.code_repository} (--delete-code deletes it)"
    if not delete_data:
        if found.data_bucket:
            yield f"the data bucket {found.data_bucket} (--delete-data deletes it)"
        for name in found.file_systems:
            yield f"the file system {name} (--delete-data deletes it)"
        for name in found.kms_keys:
            yield f"the key {name}, which encrypts them (--delete-data deletes it)"
    if found.file_systems:
        yield "backups of the file system, in AWS Backup"
    if found.key:
        yield "records of its jobs in SageMaker, and their logs in the groups /aws/sagemaker/*"
        yield "who used its buckets, in the organization's bucket of access logs"


# ------------------------------------------------------------------------------ refusals


def _require_quiet(found: Found) -> None:
    things: tuple[Project | Stack | None, ...] = (found.project, found.stack, *found.children)
    for thing in things:
        if thing is not None and thing.is_busy:
            raise ScriptError(
                f"{type(thing).__name__} {thing.name}",
                thing.status,
                "nothing may go on with it",
                "Start again when it has ended",
            )


def _require_deploy_role(found: Found) -> None:
    for stack in found.children:
        role = (stack.role_arn or "").rpartition("/")[2]
        if role and role not in found.roles:
            raise ScriptError(
                f"Stack {stack.name}",
                f"the role {stack.role_arn}, with which CloudFormation deletes it, is gone",
                "a role that may delete it is required",
                f"Delete it with another one: aws cloudformation delete-stack --stack-name"
                f" {stack.name} --role-arn <role>; then start again",
            )
