"""rm_prj.sh on whole projects of the real templates, in every state, by what an account has.

Each test compares everything that the account has before a project is made with what it has after
it was removed: the difference is what docs/decisions/0016 and docs/how-to/publish.md say is kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from scripts import project, removal
from scripts.account import Account
from scripts.errors import ScriptError
from scripts.plan import Plan, carry_out
from scripts.stacks import find, settled
from tests.local_cloud.conftest import wait_for

from .inventory import inventory, names
from .organization import (
    ROOT,
    WISH,
    Organization,
    Release,
    deploy,
    failures,
    newer,
    policy,
    real_sources,
    reason,
    trust,
)

MakeProject = Callable[[str], str]
SECONDS = 120.0
#: Of a project that has everything that the template can make.
OPTIONS = {
    "NetworkEgress": "nat",
    "NotificationEmail": "team@example.com",
    "Production": "yes",
}


@pytest.fixture
def whole(organization: Organization, synthesized: Path, tmp_path: Path) -> MakeProject:
    """Make a project with everything that releases leave, and give its key."""

    def make(name: str) -> str:
        key = organization.created(name, **OPTIONS)
        context = tmp_path / name
        context.mkdir()
        Release(organization, key, synthesized, context).make_everything()
        return key

    return make


def remove(account: Account, given: str, **options: bool) -> Plan:
    plan = removal.plan(project.look(account, given), **options)
    carry_out(plan, account, dry_run=False)
    return plan


def kept(outputs: Any, key: str) -> set[str]:
    """What the documents say is kept without options."""
    return {
        f"s3 list_buckets {key}-data",
        f"codecommit list_repositories {key}",
        f"efs describe_file_systems {outputs['FileSystemId']}",
        f"kms list_keys {outputs['KmsKeyArn'].rpartition('/')[2]}",
    }


#: Where SageMaker writes the logs of all projects' jobs.
SHARED = "logs describe_log_groups /aws/sagemaker/ProcessingJobs"


@contextmanager
def nothing_else_changes(cloud: LocalCloud) -> Iterator[Callable[[], set[str]]]:
    """Everything that was there stays; gives what is there besides."""
    before = inventory(cloud)
    yield lambda: names(cloud) - set(before) - {SHARED}
    now = inventory(cloud)
    assert {name: now.get(name) for name in before} == before


def running(cloud: LocalCloud, key: str) -> list[str]:
    """Names of jobs and builds of a project that go on."""
    jobs = cloud.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"]
    codebuild = cloud.client("codebuild")
    ids = codebuild.list_builds()["ids"]
    builds = codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
    names = [
        *(job["ProcessingJobName"] for job in jobs if job["ProcessingJobStatus"] == "InProgress"),
        *(build["id"] for build in builds if not build["buildComplete"]),
    ]
    return [name for name in names if name.startswith(key)]


def test_the_production_side_of_a_project_is_made_alone_and_removed(
    cloud: LocalCloud, account: Account, organization: Organization
) -> None:
    """As docs/how-to/production-account.md says; the project would be in another account."""
    key = "churn-p-elsewhere"
    with nothing_else_changes(cloud) as besides:
        outputs = make_production_side(cloud, account, key, "111122223333")
        services = {name.split()[0] for name in besides()}
        assert not services & {"codebuild", "codecommit", "codepipeline", "ecr", "events", "s3"}
        parameter = cloud.client("ssm").get_parameter(Name=f"/mlsystem/{key}-production")
        place = json.loads(parameter["Parameter"]["Value"])
        for name in ("AccessPointArn", "KmsKeyArn", "NotificationTopicArn", "VpcId"):
            assert place[name] == outputs[name]
        for role in (outputs["ProductionAccessRoleArn"], outputs["RollbackRoleArn"]):
            assert f":role/mlsystem/{key}/" in role
            with pytest.raises(ClientError, match="AccessDenied"):
                cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="an-administrator")

        remove(account, key)
        of_code = {f"s3 list_buckets {key}-data", f"codecommit list_repositories {key}"}
        assert besides() == kept(outputs, key) - of_code
        remove(account, key, delete_data=True)
        assert besides() == set()


def make_production_side(
    cloud: LocalCloud, account: Account, key: str, project_account: str
) -> Mapping[str, str]:
    model, _, number = key.partition("-p-")
    given = {
        "ModelName": model,
        "SageMakerProjectId": f"p-{number}",
        "ProjectAccount": project_account,
        "ApproverRoleArn": f"arn:aws:iam::{project_account}:role/service-role/approver",
    }
    host = f"{WISH.bucket}.s3.{cloud.region}.amazonaws.com"
    stack_id = cloud.client("cloudformation").create_stack(
        StackName=key,
        TemplateURL=f"https://{host}/versions/v1/pipeline.yml",
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )["StackId"]
    stack = settled(account, stack_id)
    assert stack is not None
    assert stack.status == "CREATE_COMPLETE", failures(cloud, stack_id)
    return stack.outputs


def test_a_whole_project_is_removed(
    cloud: LocalCloud,
    account: Account,
    organization: Organization,
    whole: MakeProject,
    capsys: pytest.CaptureFixture[str],
) -> None:
    neighbour = organization.created("neighbour")  # of the same model
    with nothing_else_changes(cloud) as besides:
        key = whole("whole")
        outputs = organization.outputs(key)
        wait_for(lambda: len(running(cloud, key)) == 2, SECONDS)  # a job and a build
        everything = inventory(cloud)

        plan = removal.plan(project.look(account, "whole"))
        carry_out(plan, account, dry_run=True)
        assert inventory(cloud) == everything

        carry_out(plan, account, dry_run=False)
        left = besides()
        assert left == kept(outputs, key)
        for name in (f"s3 list_buckets {key}-data", f"codecommit list_repositories {key}"):
            assert inventory(cloud)[name] == everything[name]  # every version, and every commit
        wait_for(lambda: not running(cloud, key), SECONDS)
        assert running(cloud, neighbour)
        for name in left:
            assert any(name.rpartition(" ")[2] in line for line in plan.kept), name

        capsys.readouterr()
        again = remove(account, key)
        assert again.steps == ()
        assert capsys.readouterr().out.startswith("nothing to do\n")
        assert again.kept == plan.kept

        remove(account, key, delete_code=True)
        assert besides() == kept(outputs, key) - {f"codecommit list_repositories {key}"}
        remove(account, key, delete_data=True)
        assert besides() == set()
        assert remove(account, key).steps == ()
    remove(account, "neighbour", delete_data=True, delete_code=True)


def test_what_studio_alone_deleted_is_finished(
    cloud: LocalCloud, account: Account, organization: Organization, whole: MakeProject
) -> None:
    with nothing_else_changes(cloud) as besides:
        key = whole("deleted")
        outputs = organization.outputs(key)
        organization.member.delete_project(ProjectName="deleted")
        deleted = organization.settled("deleted")
        assert deleted["ProjectStatus"] == "DeleteCompleted", reason(deleted)
        found = project.look(account, deleted["ProjectId"])
        assert [stack.name for stack in found.children] == [f"{key}-dev", f"{key}-workflow"]
        with pytest.raises(ScriptError, match=f"Something is left of: .*{key}"):
            project.look(account, "deleted")
        remove(account, deleted["ProjectId"])
        wait_for(lambda: not running(cloud, key), SECONDS)
        assert besides() == kept(outputs, key)
        remove(account, key, delete_data=True, delete_code=True)
        assert besides() == set()


def test_child_stacks_may_be_gone_before(
    cloud: LocalCloud, account: Account, organization: Organization, whole: MakeProject
) -> None:
    with nothing_else_changes(cloud) as besides:
        key = whole("children-first")
        outputs = organization.outputs(key)
        for name in ("dev", "workflow"):
            cloud.client("cloudformation").delete_stack(StackName=f"{key}-{name}")
            wait_for(lambda name=name: find(account, f"{key}-{name}") is None, SECONDS)
        remove(account, "children-first")
        assert besides() == kept(outputs, key)
        remove(account, key, delete_data=True, delete_code=True)
        assert besides() == set()


def test_without_the_deploy_role_nothing_is_touched(
    cloud: LocalCloud, account: Account, organization: Organization, synthesized: Path
) -> None:
    with nothing_else_changes(cloud) as besides:
        key = organization.created("roleless", NetworkEgress="endpoints")
        deploy(organization, key, "workflow", synthesized)
        role = organization.outputs(key)["DeployRoleArn"].rpartition("/")[2]
        everything = besides()
        removal.DeleteRole(role).run(account)
        with pytest.raises(ScriptError, match="--role-arn <role>") as error:
            remove(account, "roleless")
        assert besides() == everything - {f"iam list_roles {role}"}

        with somebody(cloud) as another:  # what the message says helps
            assert f"delete-stack --stack-name {key}-workflow" in str(error.value)
            cloud.client("cloudformation").delete_stack(
                StackName=f"{key}-workflow", RoleARN=another
            )
            wait_for(lambda: find(account, f"{key}-workflow") is None, SECONDS)
        remove(account, "roleless", delete_data=True, delete_code=True)
        assert besides() == set()


@contextmanager
def somebody(cloud: LocalCloud) -> Iterator[str]:
    """ARN of a role with which CloudFormation may do everything."""
    iam, names = cloud.client("iam"), {"RoleName": "somebody", "PolicyName": "own"}
    role = iam.create_role(RoleName="somebody", AssumeRolePolicyDocument=trust("cloudformation"))
    iam.put_role_policy(**names, PolicyDocument=policy(Action="*", Resource="*"))
    yield str(role["Role"]["Arn"])
    iam.delete_role_policy(**names)
    iam.delete_role(RoleName="somebody")


#: A resource whose name is taken: the last one that is made, when the pipeline runs already.
TAKEN = """Resources:

  Taken:
    Type: AWS::Logs::LogGroup
    DependsOn: [Pipeline, ScheduleRule]
    Properties: {LogGroupName: /aws/codebuild/taken-p-taken}
"""


def test_a_half_created_project_is_removed(
    cloud: LocalCloud, account: Account, organization: Organization
) -> None:
    """Its pipeline has run, so that buckets are full and the stack cannot roll back by itself."""
    cloud.client("logs").create_log_group(logGroupName="/aws/codebuild/taken-p-taken")
    sources = real_sources()
    organization.publish(newer(sources, "half", "Resources:\n", TAKEN))
    with nothing_else_changes(cloud) as besides:
        made = organization.create("half")
        assert made["ProjectStatus"] == "CreateFailed"
        assert "Taken" in reason(made)
        assert "already exists" in reason(made)
        remove(account, "half", delete_data=True, delete_code=True)
        assert besides() == set()
        assert remove(account, f"churn-{made['ProjectId']}").steps == ()
    organization.publish(sources)


def test_a_project_that_was_rolled_back_is_only_taken_off_the_list(
    cloud: LocalCloud, account: Account, organization: Organization
) -> None:
    with nothing_else_changes(cloud) as besides:
        made = organization.create("refused", VpcCidr="8.8.8.0/20")
        assert made["ProjectStatus"] == "CreateFailed"
        assert "VpcCidr" in reason(made)
        done = rm_prj(cloud, "refused")
        assert done.stdout.splitlines()[0] == "delete the project refused"
        assert besides() == set()
        again = rm_prj(cloud, "refused", check=False)
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr.startswith("Project refused: none of that name in xx-local-1; ")


def rm_prj(
    cloud: LocalCloud, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """What the script itself says, called as a person calls it."""
    packages = os.pathsep.join(path for path in sys.path if "site-packages" in path)
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "scripts" / "rm_prj.sh", *arguments, "--region", cloud.region, "--poll", "0.05"],
        env={**os.environ, "PATH": python, "PYTHONPATH": packages},
        check=check,
        capture_output=True,
        text=True,
    )


def test_a_typing_mistake_deletes_nothing(account: Account) -> None:
    with pytest.raises(ScriptError, match="Project whoel: none of that name"):
        project.look(account, "whoel")
