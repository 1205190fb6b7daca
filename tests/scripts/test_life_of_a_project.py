"""A project of the real templates: created, refused, upgraded, and put back when that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from local_cloud.cloud import LocalCloud
from scripts import project, removal, upgrade
from scripts.account import Account
from scripts.errors import ScriptError
from scripts.plan import carry_out
from scripts.stacks import DeleteStack, find, settled
from scripts.template_text import entries

from .inventory import inventory
from .organization import (
    ROOT,
    WISH,
    Organization,
    Release,
    failures,
    newer,
    real_sources,
    reason,
)

# ------------------------------------------------------------------------------ bad values

RULES: dict[str, Any] = {
    name: yaml.safe_load(text)[name]
    for name, text in entries((ROOT / "pipeline.yml").read_text(), "Parameters").items()
}
#: Parameter -> a value that is not of its form.
BAD = {
    "ModelName": "Churn",
    "CodeProvider": "GitHub",
    "Branch": "a..b",
    "ConnectionArn": "arn:aws:codeconnections:eu-west-1:1:connection/x",
    "RepositoryId": "no-owner",
    "Production": "perhaps",
    "RetrainSchedule": "monthly",
    "NotificationEmail": "somebody",
    "BuildTimeoutMinutes": "4",
    "VpcCidr": "8.8.8.0/20",
    "NetworkEgress": "everywhere",
    "LogRetentionDays": "8",
    "ProductionAccessRoleArn": "arn:aws:iam::123456789012:role/Admin",
    "ProductionRoleArn": "123456789012",
    "ProjectAccount": "none",
    "ApproverRoleArn": "somebody",
    "SageMakerProjectName": "-a",
    "SageMakerProjectId": "no-id",
}
FILLED_IN = {"SageMakerProjectName", "SageMakerProjectId"}


@pytest.mark.parametrize("name", sorted(set(RULES) - FILLED_IN))
def test_a_parameter_that_is_refused_is_named(organization: Organization, name: str) -> None:
    made = organization.create(f"bad-{name}", **{name: BAD[name]})
    assert made["ProjectStatus"] == "CreateFailed"
    expected = f"Parameter {name} failed to satisfy constraint: "
    assert f"{expected}{RULES[name]['ConstraintDescription']}" in reason(made)


def too_long(name: str) -> str:
    """One character more than a parameter may have, and otherwise of its form."""
    tail = "@example.com" if name == "NotificationEmail" else ""
    head = {"SageMakerProjectId": "p-", "RepositoryId": "a/", "RetrainSchedule": "cron("}
    start, end = head.get(name, ""), ")" if name == "RetrainSchedule" else tail
    if name.endswith("RoleArn"):
        start = "arn:aws:iam::123456789012:role/mlsystem/a/"
    if name == "ConnectionArn":
        partition, rest = "a" * 200, ":codeconnections:eu:123456789012:connection/" + "0" * 36
        return f"arn:{partition}{rest}"
    return start + "a" * (RULES[name]["MaxLength"] + 1 - len(start + end)) + end


LONG = sorted(name for name, rule in RULES.items() if "MaxLength" in rule)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, too_long(name)) for name in LONG),
        *((name, BAD[name]) for name in sorted(FILLED_IN)),
    ],
)
def test_what_is_made_without_sagemaker_is_refused_too(
    cloud: LocalCloud, organization: Organization, name: str, value: str
) -> None:
    with pytest.raises(ClientError) as error:
        create_stack(cloud, "p-refused", **{name: value})
    expected = f"Parameter {name} failed to satisfy constraint: "
    assert f"{expected}{RULES[name]['ConstraintDescription']}" in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"CodeProvider": "CodeConnections"}, "ConnectionArn is none; CodeConnections needs a"),
        (
            {"ConnectionArn": f"arn:aws:codeconnections:eu-1:123456789012:connection/{'0' * 36}"},
            "A ConnectionArn with CodeProvider CodeCommit; it would not be used",
        ),
        (
            {"ProductionRoleArn": "arn:aws:iam::123456789012:role/mlsystem/a-p-1/r"},
            "ProductionAccessRoleArn is none and ProductionRoleArn is not",
        ),
    ],
)
def test_values_that_do_not_go_together_are_named(
    organization: Organization, values: dict[str, str], message: str
) -> None:
    made = organization.create(f"together-{'-'.join(values)}", **values)
    assert made["ProjectStatus"] == "CreateFailed"
    assert message in reason(made)


def test_a_project_name_that_is_taken_is_refused(organization: Organization) -> None:
    organization.create("taken", VpcCidr="8.8.8.0/20")  # one that failed keeps its name too
    with pytest.raises(ClientError, match="Project taken already exists; choose another name"):
        organization.create("taken")


# ------------------------------------------------------------------------------ names taken


def create_stack(cloud: LocalCloud, project_id: str, **values: str) -> str:
    """Id of a project's stack, made without SageMaker: its names are known before."""
    given = {"ModelName": "churn", "SageMakerProjectId": project_id, **values}
    host = f"{WISH.bucket}.s3.{cloud.region}.amazonaws.com"
    answer = cloud.client("cloudformation").create_stack(
        StackName=project_id,
        TemplateURL=f"https://{host}/versions/v1/pipeline.yml",
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    return str(answer["StackId"])


def take_repository(cloud: LocalCloud, key: str) -> None:
    cloud.client("codecommit").create_repository(repositoryName=key)


def take_registry(cloud: LocalCloud, key: str) -> None:
    cloud.client("ecr").create_repository(repositoryName=f"{key}-container")


def take_bucket(cloud: LocalCloud, key: str) -> None:
    """Somebody else's: of another account, which ours cannot see."""
    s3_backends["111111111111"]["aws"].create_bucket(f"{key}-data", cloud.region)


def take_log_group(cloud: LocalCloud, key: str) -> None:
    cloud.client("logs").create_log_group(logGroupName=f"/aws/codebuild/{key}-test")


@pytest.mark.parametrize(
    "taken",
    [
        (take_repository, "Repository", "already exists"),
        (take_registry, "ContainerRepository", "already exists"),
        (take_bucket, "DataBucket", "bucket name is not available"),
        (take_log_group, "TestLogGroup", "already exists"),
    ],
    ids=["repository", "registry", "somebody-elses-bucket", "log-group"],
)
def test_a_name_that_is_taken_leaves_everything_as_it_was(
    cloud: LocalCloud,
    account: Account,
    organization: Organization,
    taken: tuple[Callable[[LocalCloud, str], None], str, str],
) -> None:
    take, resource, why = taken
    project_id = f"p-{resource.lower()[:17]}"
    take(cloud, f"churn-{project_id}")
    before = inventory(cloud)
    stack = settled(account, create_stack(cloud, project_id))
    assert stack is not None
    said = failures(cloud, stack.id)
    assert said[0].startswith(f"{resource}: ")
    assert why in said[0]
    assert stack.status == "ROLLBACK_COMPLETE"
    DeleteStack(project_id).run(account)
    assert inventory(cloud) == before


# ------------------------------------------------------------------------------ upgrades


@pytest.fixture
def quiet(
    cloud: LocalCloud,
    account: Account,
    organization: Organization,
    synthesized: Path,
    tmp_path: Path,
) -> Callable[[str], str]:
    """Make a project that serves a model, and in which nothing goes on; give its key."""

    def make(name: str) -> str:
        organization.publish(real_sources())
        key = organization.created(name)
        events, codecommit = cloud.client("events"), cloud.client("codecommit")
        rules = [f"{key}-code", f"{key}-data"]
        for rule in rules:
            events.disable_rule(Name=rule)
        Release(organization, key, synthesized, tmp_path).make_dev()
        head = codecommit.get_branch(repositoryName=key, branchName="main")["branch"]["commitId"]
        ours = {"filePath": "notes.md", "fileContent": b"ours"}
        codecommit.create_commit(
            repositoryName=key, branchName="main", parentCommitId=head, putFiles=[ours]
        )
        for step in removal.plan(project.look(account, key)).steps:
            if str(step).startswith("stop "):
                step.run(account)
        for rule in rules:
            events.enable_rule(Name=rule)
        return key

    return make


@contextmanager
def offered_to_administrators(cloud: LocalCloud, account: Account) -> Iterator[None]:
    """Service Catalog updates only for somebody to whom it offers the product."""
    catalog, stack = cloud.client("servicecatalog"), find(account, WISH.stack)
    assert stack is not None
    arn = account.session.client("sts").get_caller_identity()["Arn"]
    which = {"PortfolioId": stack.outputs["PortfolioId"], "PrincipalARN": arn}
    catalog.associate_principal_with_portfolio(**which, PrincipalType="IAM")
    try:
        yield
    finally:
        catalog.disassociate_principal_from_portfolio(**which)


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The things that are there before and after, and are not the same."""
    assert set(before) == set(after)
    return {name for name in before if before[name] != after[name]}


OLD, NEW = "NoncurrentVersionExpiration: {NoncurrentDays: 365}", "NoncurrentDays: 180"


def test_a_project_is_upgraded_in_place(
    cloud: LocalCloud, account: Account, organization: Organization, quiet: Callable[[str], str]
) -> None:
    key = quiet("upgraded")
    sources = newer(real_sources(), "v2", OLD, f"NoncurrentVersionExpiration: {{{NEW}}}")
    organization.publish(sources)
    assert organization.publish(sources).steps == ()
    before, stack = inventory(cloud), organization.stack(key)
    plan = upgrade.plan(upgrade.look(account, "upgraded"), upgrade.newest(account))
    assert [str(step) for step in plan.steps] == ["update the project upgraded to version v2"]
    carry_out(plan, account, dry_run=True)
    assert inventory(cloud) == before
    with pytest.raises(ScriptError, match="somebody who may create projects"):
        carry_out(plan, account, dry_run=False)
    with offered_to_administrators(cloud, account):
        carry_out(plan, account, dry_run=False)

    after = inventory(cloud)
    bucket = f"s3 list_buckets {key}-data"
    assert bucket in changed(before, after)
    assert NEW.split(": ")[1] in str(after[bucket]["get_bucket_lifecycle_configuration"])
    for part in ("objects", "uploads", "get_bucket_policy"):
        assert before[bucket][part] == after[bucket][part]
    # Beside the bucket only records of the update: endpoint, models, code, images are the same.
    assert {name.split()[1] for name in changed(before, after) - {bucket}} <= RECORDS
    updated = organization.stack(key)
    assert (updated.id, updated.outputs["TemplateVersion"]) == (stack.id, "v2")
    offered = upgrade.newest(account)
    assert upgrade.plan(upgrade.look(account, "upgraded"), offered).steps == ()
    remove(account, "upgraded")


#: What tells of an update, and is not part of the project.
RECORDS = {"describe_stacks", "list_projects", "search_provisioned_products"}


def test_an_upgrade_that_fails_leaves_everything_as_it_was(
    cloud: LocalCloud, account: Account, organization: Organization, quiet: Callable[[str], str]
) -> None:
    key = quiet("unlucky")
    cloud.client("logs").create_log_group(logGroupName="/aws/codebuild/taken-p-taken")
    sources = newer(real_sources(), "v3", OLD, f"NoncurrentVersionExpiration: {{{NEW}}}")
    for old, new in CHANGES:
        sources = newer(sources, "v3", old, new)
    organization.publish(newer(sources, "v3", "Resources:\n", TAKEN))
    before, stack = inventory(cloud), organization.stack(key)
    plan = upgrade.plan(upgrade.look(account, "unlucky"), upgrade.newest(account))
    message = r"UpdateFailed: .*Taken.*already exists"
    with offered_to_administrators(cloud, account), pytest.raises(ScriptError, match=message):
        carry_out(plan, account, dry_run=False)
    after = inventory(cloud)
    assert {name.split()[1] for name in changed(before, after)} <= RECORDS
    rolled_back = organization.stack(key)
    assert (rolled_back.id, rolled_back.status) == (stack.id, "UPDATE_ROLLBACK_COMPLETE")
    assert rolled_back.outputs == stack.outputs
    assert failures(cloud, stack.id)[0].startswith("Taken: ")
    done = updates(cloud, stack.id)
    assert {
        "DataBucket",
        "BuildProject",
        "NotificationTopic",
        "TestProject",
        "CodeEventRule",
    } <= done
    remove(account, "unlucky")
    cloud.client("logs").delete_log_group(logGroupName="/aws/codebuild/taken-p-taken")


#: Changes in place, of several services, each of which must be taken back.
CHANGES = (
    ('DisplayName: !Sub "Project ${SageMakerProjectName}"', "DisplayName: Another"),
    ("Description: Sends golden requests to the dev endpoint", "Description: Another"),
    ("ComputeType: BUILD_GENERAL1_MEDIUM", "ComputeType: BUILD_GENERAL1_LARGE"),
    ("Description: A push to the branch starts a release", "Description: Another"),
)
#: The last resource that is made, whose name is taken.
TAKEN = """Resources:

  Taken:
    Type: AWS::Logs::LogGroup
    DependsOn: [Pipeline, CodeEventRule]
    Properties: {LogGroupName: /aws/codebuild/taken-p-taken}
"""


def updates(cloud: LocalCloud, stack_id: str) -> set[str]:
    """The resources that an update has changed, whatever came of it."""
    pages = cloud.client("cloudformation").get_paginator("describe_stack_events")
    events = [event for page in pages.paginate(StackName=stack_id) for event in page["StackEvents"]]
    return {
        event["LogicalResourceId"] for event in events
        if event["ResourceStatus"] == "UPDATE_COMPLETE"
    }  # fmt: skip


def remove(account: Account, given: str) -> None:
    found = project.look(account, given)
    carry_out(removal.plan(found, delete_data=True, delete_code=True), account, dry_run=False)
