"""The platform engineer's part: an account with Studio, and the template published in it.

Studio's roles are the account's own, so they are made here. All else is made by ``build.sh`` as it
is: the organization's stack, the template's version, who may create projects, who may approve.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from local_cloud import programs
from local_cloud.blueprint import Blueprint
from local_cloud.cloud import LocalCloud
from local_cloud.roles import make_role
from local_cloud.stack_outputs import outputs_of

__all__ = ["Organization", "publish", "seed"]

STACK = "ml-organization"
_SAGEMAKER = "sagemaker.amazonaws.com"
_PATH = "/service-role/"  # where SageMaker makes the roles of its domains
_POLL_SECONDS = "0.2"
#: A project's first commit comes from an archive of at most 20 MB.
_REPOSITORY_DATA_BYTES = 15_000_000

#: What AmazonSageMakerFullAccess gives a Studio role for projects.
_CREATE_PROJECTS = {
    "Action": ["sagemaker:*Project*", "sagemaker:*Tags", "servicecatalog:*"],
    "Resource": "*",
}
#: What the seed code's folder may hold beside it, and no project starts with.
_LEFT_BEHIND = shutil.ignore_patterns(
    ".*_cache", ".git", ".hypothesis", ".local", ".venv", "__pycache__", "cdk.out", "release"
)


@dataclass(frozen=True)
class Organization:
    """Roles of Studio, by what their users may do."""

    data_scientist: str
    approver: str


def seed(blueprint: Blueprint, folder: Path) -> bool:
    """Write to `folder` what a project of `blueprint` starts with: settings, data, our code.

    Returns
    -------
    Whether the data are there; too large ones are not, and must be uploaded to the bucket.
    """
    shutil.copytree(programs.SEED_CODE, folder, ignore=_LEFT_BEHIND)
    shutil.copyfile(blueprint.settings_path, folder / "project.yml")
    shutil.rmtree(folder / "data")
    found = blueprint.data_files()
    if sum(path.stat().st_size for path in found) > _REPOSITORY_DATA_BYTES:
        return False
    for path in found:
        target = folder / "data" / path.relative_to(blueprint.data_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return True


def publish(cloud: LocalCloud, seed_code: Path) -> Organization:
    """Publish the template with this seed code; return who works with it.

    Raises
    ------
    ProgramError
        ``build.sh`` refuses, for instance data that a repository cannot hold.
    """
    organization = Organization(
        make_role(cloud, "studio-data-scientist", _SAGEMAKER, _CREATE_PROJECTS, path=_PATH),
        make_role(cloud, "studio-approver", _SAGEMAKER, path=_PATH),
    )
    # Bucket names are one name space for everybody: account and region are in this one.
    bucket = f"ml-templates-{cloud.account_id}-{cloud.region}"
    programs.finish(
        programs.start(
            programs.REPOSITORY,
            "scripts", "build", bucket, STACK, cloud.region, organization.data_scientist,
            "--seed-code", str(seed_code), "--poll", _POLL_SECONDS,
            environment=cloud.environment(),
        )
    )  # fmt: skip
    outputs = outputs_of(cloud.client("cloudformation"), STACK)
    _attach(cloud, organization.data_scientist, outputs["MemberPolicyArn"])
    _attach(cloud, organization.approver, outputs["ApproverPolicyArn"])
    return organization


def _attach(cloud: LocalCloud, role_arn: str, policy_arn: str) -> None:
    role = role_arn.rpartition("/")[2]
    cloud.client("iam").attach_role_policy(RoleName=role, PolicyArn=policy_arn)
