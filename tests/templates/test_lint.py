"""The templates are valid where SageMaker projects exist, and within every limit."""

import json

import boto3
import pytest
from cfn import needs, workflow
from cfn.evaluation import REGION, ROOT, load, policy_size
from cfn.statements import documents
from cfnlint import api
from cfnlint.config import ManualArgs
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

TEMPLATES = ["studio.yml", "pipeline.yml"]

#: Projects exist in these, and one of our resource types does not: docs/decisions/0019.
WITHOUT_CODECOMMIT = {
    "af-south-1", "ap-southeast-3", "eu-south-2", "il-central-1", "me-central-1",
}  # fmt: skip


def regions_with(types):
    """Return the public regions whose registry has all of `types` and where their services are."""
    session = boto3.Session()
    found = set()
    for partition in ("aws", "aws-us-gov"):
        regions = [
            set(session.get_available_regions(service, partition))
            for service in ("sagemaker", "servicecatalog", "codepipeline")
        ]
        for region in set.intersection(*regions):
            known = set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))
            if types <= known:
                found.add(region)
    return found


def our_types():
    return {resource["Type"] for name in TEMPLATES for resource in load(name)["Resources"].values()}


def test_projects_can_be_created_wherever_their_parts_exist():
    everywhere = regions_with({"AWS::SageMaker::Project"})
    ours = regions_with(our_types())
    assert len(ours) >= 20
    assert everywhere - ours == WITHOUT_CODECOMMIT


@pytest.mark.parametrize("name", TEMPLATES)
def test_cfn_lint_finds_nothing_in_any_region(name):
    regions = sorted(regions_with(our_types()))
    text = (ROOT / name).read_text(encoding="utf-8")
    matches = api.lint(text, config=ManualArgs(regions=regions))
    assert [f"{match.linenumber}: {match.message}" for match in matches] == []


def test_cfn_lint_finds_nothing_in_what_projects_deploy():
    regions = sorted(regions_with(our_types()))
    for name, template in workflow.templates().items():
        assert api.lint(json.dumps(template), config=ManualArgs(regions=regions)) == [], name


def test_cfn_lint_would_find_a_mistake():
    text = (ROOT / "studio.yml").read_text(encoding="utf-8")
    broken = text.replace("PrincipalType: IAM_PATTERN", "PrincipalKind: IAM_PATTERN")
    assert api.lint(broken, config=ManualArgs(regions=["eu-west-1"]))


# --- limits -------------------------------------------------------------------------------------


def test_the_templates_are_within_cloudformations_limits():
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    for name in TEMPLATES:
        assert (ROOT / name).stat().st_size <= 1_000_000
        document = load(name)
        assert len(document["Resources"]) <= 500
        assert len(document["Parameters"]) <= 180, "SageMaker's limit for S3 templates"
        assert len(document["Outputs"]) <= 200
        assert len(document["Description"]) <= 1024


def stacks():
    long = {"ModelName": "a" * 20, "SageMakerProjectId": "p-" + "a" * 18, "Production": "yes"}
    yield needs.project(**long)
    yield needs.project(**long, NetworkEgress="nat", NotificationEmail="a@b.de")
    key = f"{long['ModelName']}-{long['SageMakerProjectId']}"
    role = f"arn:aws:iam::123456789012:role/mlsystem/{key}/{'r' * 64}"
    yield needs.project(**long, ProductionAccessRoleArn=role, ProductionRoleArn=role)
    approver = f"arn:aws:iam::123456789012:role/aws-reserved/{'a' * 100}/{'r' * 64}"
    yield needs.project(**long, ProjectAccount="123456789012", ApproverRoleArn=approver)
    arns = {
        f"PrincipalArn{number}": f"arn:aws:iam::123456789012:role/service-role/{'r' * 64}"
        for number in range(1, 6)
    }
    others = ",".join(["444455556666"] * 20)
    yield needs.studio(**arns, TemplateBucketName="b" * 50, OtherAccounts=others)


def where_names_are_longest(body):
    """Return a policy as it is in the region and partition with the longest names."""
    text = (
        json.dumps(body).replace(REGION, "ap-southeast-99").replace("arn:aws:", "arn:aws-us-gov:")
    )
    return json.loads(text.replace(REGION.replace("-", ""), "apsoutheast99"))


def test_policies_are_within_iams_limits():
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    for stack in stacks():
        inline = {}
        for document in documents(stack):
            size = policy_size(where_names_are_longest(document.body))
            where = f"{document.where}: {size} characters"
            if document.kind == "trust":
                assert size <= 2_048, where
            elif document.resource.type == "AWS::IAM::ManagedPolicy":
                assert size <= 6_144, where
            elif document.kind == "identity":
                inline[document.resource.logical_id] = (
                    inline.get(document.resource.logical_id, 0) + size
                )
            else:
                assert size <= 20_000, where
        assert all(size <= 10_240 for size in inline.values()), inline


def test_a_role_has_no_more_managed_policies_than_iam_attaches():
    for stack in stacks():
        for role in stack.of_type("AWS::IAM::Role"):
            assert len(role.properties.get("ManagedPolicyArns", [])) <= 10
