"""What there is of a project, whatever state it is in: all of it, a half, or what was kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from scripts import buckets, roles, stacks
from scripts.account import Account, code_of
from scripts.buckets import Owner
from scripts.errors import ScriptError
from scripts.stacks import Stack

__all__ = ["Found", "Project", "belongs", "is_gone", "look", "projects"]

_KEY = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*-(?P<id>p-[a-z0-9]+)")
_ID = re.compile(r"p-[a-z0-9]+")
_ROLE_PATH = "/mlsystem/"
#: Of the account: a build ends after eight hours, so one that runs is not far behind.
_NEWEST_BUILDS = 1000
_BATCH = 100  # the most that BatchGetBuilds takes
LOG_PREFIXES = (
    "/aws/codebuild/", "/aws/sagemaker/Endpoints/", "/aws/vendedlogs/states/", "/aws/vpc/",
)  # fmt: skip
_GONE = frozenset(
    {
        "ExecutionDoesNotExist", "FileSystemNotFound", "NoSuchEntity", "NotFoundException",
        "PipelineNotFoundException", "RepositoryDoesNotExistException",
        "RepositoryNotFoundException", "ResourceNotFound", "ResourceNotFoundException",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Project:
    """What SageMaker says of a project."""

    name: str
    id: str
    status: str

    @property
    def is_busy(self) -> bool:
        """Whether SageMaker is at work on it."""
        return self.status == "Pending" or self.status.endswith("InProgress")


@dataclass(frozen=True)
class Found:
    """Everything of a project that exists, by the names with which it is deleted."""

    given: str
    project: Project | None = None
    key: str | None = None
    stack: Stack | None = None
    children: tuple[Stack, ...] = ()
    releases: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    endpoint_configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    model_packages: tuple[str, ...] = ()
    model_package_groups: tuple[str, ...] = ()
    image_repositories: tuple[str, ...] = ()
    report_groups: tuple[str, ...] = ()
    log_groups: tuple[str, ...] = ()
    artifact_bucket: str | None = None
    data_bucket: str | None = None
    file_systems: tuple[str, ...] = ()
    kms_keys: tuple[str, ...] = ()
    code_repository: str | None = None
    roles: tuple[str, ...] = ()


def is_gone(error: ClientError) -> bool:
    """Whether an error says that there is no such thing."""
    message = str(error)
    return code_of(error) in _GONE or (
        code_of(error) in {"ValidationException", "ValidationError"}
        and ("not find" in message or "does not exist" in message)
    )


def projects(account: Account) -> Iterator[Project]:
    """The projects that SageMaker knows and has not deleted."""
    sagemaker = account.client("sagemaker")
    token: dict[str, str] = {}
    while True:
        page = sagemaker.list_projects(**token)
        for item in page["ProjectSummaryList"]:
            if item["ProjectStatus"] != "DeleteCompleted":
                yield Project(item["ProjectName"], item["ProjectId"], item["ProjectStatus"])
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


def belongs(name: str, key: str, others: Iterable[str] = ()) -> bool:
    """Whether a name is of the project `key`, and not of another whose key begins with it."""

    def begins(other: str) -> bool:
        return name == other or name.startswith(f"{other}-")

    return begins(key) and not any(len(other) > len(key) and begins(other) for other in others)


def look(account: Account, given: str) -> Found:
    """All that there is; nothing is changed.

    Parameters
    ----------
    account
        Where to look.
    given
        A project's name or id in SageMaker, or its key, ``<model>-<id>``.

    Raises
    ------
    ScriptError
        When no project is meant by it, or more than one.
    """
    known = sorted(_keys_of_roles(account))
    project = next((each for each in projects(account) if given in (each.name, each.id)), None)
    match = _KEY.fullmatch(given)
    project_id = project.id if project else match["id"] if match else given
    if project is None and match is None and not _ID.fullmatch(given):
        raise ScriptError(
            f"Project {given}",
            f"none of that name in {account.region}",
            "a name or id is required, or <model>-<id> of a project that is deleted",
            f"Something is left of: {', '.join(known)}" if known else "",
        )
    key = given if match and project is None else None
    stack = _stack_of(account, project_id, key)
    if stack is not None:
        key = f"{stack.parameters['ModelName']}-{project_id}"
    key = key or _only(given, [each for each in known if each.endswith(f"-{project_id}")])
    if key is None:
        return Found(given, project)
    return _things(account, Found(given, project, key, stack), known)


def _keys_of_roles(account: Account) -> set[str]:
    found = account.pages("iam", "list_roles", "Roles", PathPrefix=_ROLE_PATH)
    return {role["Path"].removeprefix(_ROLE_PATH).strip("/") for role in found} - {""}


def _stack_of(account: Account, project_id: str, key: str | None) -> Stack | None:
    """The project's stack, made by Service Catalog, SageMaker or a person."""
    candidates = [
        stack
        for stack in stacks.all_stacks(account)
        if stack.parameters.get("SageMakerProjectId") == project_id
        and "ModelName" in stack.parameters
        and key in (None, f"{stack.parameters['ModelName']}-{project_id}")
    ]
    _only(project_id, [stack.name for stack in candidates])
    return candidates[0] if candidates else None


def _only(given: str, names: list[str]) -> str | None:
    if len(names) > 1:
        raise ScriptError(
            f"Project {given}", f"it can be {' or '.join(names)}", "one must be meant",
            "Give <model>-<id>",
        )  # fmt: skip
    return names[0] if names else None


def _things(account: Account, found: Found, known: list[str]) -> Found:
    key = str(found.key)

    def ours(items: Iterable[Any], name_of: Callable[[Any], str]) -> tuple[str, ...]:
        return tuple(sorted(name_of(item) for item in items if belongs(name_of(item), key, known)))

    def named(service: str, operation: str, result: str, field: str) -> tuple[str, ...]:
        return ours(account.pages(service, operation, result), lambda item: str(item[field]))

    groups = named(
        "sagemaker", "list_model_package_groups",
        "ModelPackageGroupSummaryList", "ModelPackageGroupName",
    )  # fmt: skip
    code = named("codecommit", "list_repositories", "repositories", "repositoryName")
    return Found(
        given=found.given,
        project=found.project,
        key=key,
        stack=found.stack,
        children=_children(account, key),
        releases=_releases(account, key),
        builds=tuple(_builds(account, key, known)),
        executions=tuple(_executions(account, key, known)),
        endpoints=named("sagemaker", "list_endpoints", "Endpoints", "EndpointName"),
        endpoint_configs=named(
            "sagemaker", "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"
        ),
        models=named("sagemaker", "list_models", "Models", "ModelName"),
        model_packages=tuple(
            item["ModelPackageArn"]
            for group in groups
            for item in account.pages(
                "sagemaker",
                "list_model_packages",
                "ModelPackageSummaryList",
                ModelPackageGroupName=group,
            )
        ),
        model_package_groups=groups,
        image_repositories=named("ecr", "describe_repositories", "repositories", "repositoryName"),
        report_groups=tuple(
            arn
            for arn in account.pages("codebuild", "list_report_groups", "reportGroups")
            if belongs(arn.rpartition("/")[2], key, known)
        ),
        log_groups=tuple(
            f"{prefix}{name}"
            for prefix in LOG_PREFIXES
            for name in ours(_log_groups(account, prefix, key), str)
        ),
        artifact_bucket=_bucket(account, f"{key}-artifacts"),
        data_bucket=_bucket(account, f"{key}-data"),
        file_systems=tuple(
            item["FileSystemId"]
            for item in account.pages("efs", "describe_file_systems", "FileSystems")
            if _is_tagged(item["Tags"], "Key", "Value", key)
        ),
        kms_keys=tuple(_kms_keys(account, key)),
        code_repository=key if key in code else None,
        roles=roles.names_at(account, f"{_ROLE_PATH}{key}/"),
    )


def _children(account: Account, key: str) -> tuple[Stack, ...]:
    """The stacks that releases make: with a role of the project, whatever it may be called."""
    made = (
        stack
        for stack in stacks.all_stacks(account)
        if stack.name.startswith(f"{key}-") and f":role{_ROLE_PATH}{key}/" in (stack.role_arn or "")
    )
    return tuple(sorted(made, key=lambda stack: stack.name))


def _releases(account: Account, key: str) -> tuple[str, ...]:
    try:
        executions = account.pages(
            "codepipeline", "list_pipeline_executions", "pipelineExecutionSummaries",
            pipelineName=key,
        )  # fmt: skip
        return tuple(
            item["pipelineExecutionId"]
            for item in executions
            if item["status"] in ("InProgress", "Stopping")
        )
    except ClientError as error:
        if is_gone(error):
            return ()
        raise


def _builds(account: Account, key: str, known: list[str]) -> Iterator[str]:
    """The builds that run: one goes on when its release is stopped, and its project deleted."""
    newest = islice(account.pages("codebuild", "list_builds", "ids"), _NEWEST_BUILDS)
    ours = [name for name in newest if belongs(name.partition(":")[0], key, known)]
    for start in range(0, len(ours), _BATCH):
        answer = account.client("codebuild").batch_get_builds(ids=ours[start : start + _BATCH])
        yield from (build["id"] for build in answer["builds"] if not build["buildComplete"])


def _executions(account: Account, key: str, known: list[str]) -> Iterator[str]:
    """The executions that run; the jobs that they wait for go on when their machine is deleted."""
    for machine in account.pages("stepfunctions", "list_state_machines", "stateMachines"):
        if belongs(machine["name"], key, known):
            running = account.pages(
                "stepfunctions", "list_executions", "executions",
                stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING",
            )  # fmt: skip
            yield from (item["executionArn"] for item in running)


def _log_groups(account: Account, prefix: str, key: str) -> Iterator[str]:
    groups = account.pages(
        "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"{prefix}{key}"
    )
    for group in groups:
        yield group["logGroupName"].removeprefix(prefix)


def _bucket(account: Account, name: str) -> str | None:
    return name if buckets.owner_of(account, name) is Owner.US else None


def _kms_keys(account: Account, key: str) -> Iterator[str]:
    kms = account.client("kms")
    for item in account.pages("kms", "list_keys", "Keys"):
        try:
            tags = list(account.pages("kms", "list_resource_tags", "Tags", KeyId=item["KeyId"]))
        except ClientError as error:
            if code_of(error) in {"AccessDeniedException", "AccessDenied"}:
                continue  # a key of somebody whose policy lets nobody else see it
            raise
        if _is_tagged(tags, "TagKey", "TagValue", key):
            state = kms.describe_key(KeyId=item["KeyId"])["KeyMetadata"]["KeyState"]
            if state != "PendingDeletion":
                yield item["KeyId"]


def _is_tagged(tags: list[dict[str, str]], name: str, value: str, key: str) -> bool:
    return any(tag[name] == "mlsystem-project" and tag[value] == key for tag in tags)
