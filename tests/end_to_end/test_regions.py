"""One account, two regions: what has a name of the whole account, or of the world, never collides.

An account of the local cloud has one region, so each region's names are made in an account of its
own, and compared.
"""

from __future__ import annotations

from pathlib import Path

from local_cloud import blueprint, organization, project
from local_cloud.cloud import LocalCloud


class Elsewhere(LocalCloud):
    """The account in another region."""

    region = "xx-local-2"


def global_names(kind: type[LocalCloud], root: Path) -> set[str]:
    """Names of roles, policies and buckets after the organization has published and created."""
    with kind(root, wait_factor=0.01) as cloud:
        seed = root / "seed_code"
        organization.seed(blueprint.find("churn"), seed)
        people = organization.publish(cloud, seed)
        form = {"ModelName": "churn"}
        born = project.create(cloud, people.data_scientist, "churn", form, lambda _: None)
        assert cloud.region in born.outputs["KmsKeyArn"]
        iam = cloud.client("iam")
        roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
        policies = {each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]}
        buckets = {each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]}
    people_of_the_account = {"studio-data-scientist", "studio-approver"}
    assert people_of_the_account < roles
    return (roles | policies | buckets) - people_of_the_account


def test_projects_of_one_name_in_two_regions_share_no_global_name(tmp_path):
    here = global_names(LocalCloud, tmp_path / "here")
    there = global_names(Elsewhere, tmp_path / "there")
    assert len(here) > 20
    assert not here & there
