"""studio.yml: who is offered which versions, and what stays when something is published."""

import pytest
from cfn import needs
from cfn.evaluation import ACCOUNT, EXPORTS, REGION, load
from cfn.statements import identity_documents

from local_cloud.policies import Policies, Request, decide

VERSIONS = 10


def versions(*names):
    given = {f"Version{number}": name for number, name in enumerate(names, start=1)}
    stack = needs.studio(**given)
    return stack.resources["Product"].properties["ProvisioningArtifactParameters"]


def identities(artifacts):
    """Return what Service Catalog tells a version by: its name and the address of its template."""
    return {(each["Name"], each["Info"]["LoadTemplateFromURL"]) for each in artifacts}


def test_before_anything_is_published_there_is_a_bucket_and_no_product():
    stack = needs.studio(Version1="none", CostCenter="a")
    assert stack.of_type("AWS::S3::Bucket")
    for kind in ("CloudFormationProduct", "PortfolioProductAssociation", "LaunchRoleConstraint",
                 "TagOptionAssociation"):  # fmt: skip
        assert stack.of_type(f"AWS::ServiceCatalog::{kind}") == []


def test_a_publication_adds_a_version_and_keeps_the_others():
    before = versions("2", "1")
    after = versions("3", "2", "1")
    assert identities(after) - identities(before) == {
        ("3", "https://templates.s3.eu-west-1.amazonaws.com/versions/3/pipeline.yml")
    }
    assert identities(before) < identities(after)


def test_versions_keep_their_ids():
    product = needs.studio().resources["Product"].properties
    assert product["ReplaceProvisioningArtifacts"] is False


def test_there_is_room_for_ten():
    names = [str(number) for number in range(VERSIONS)]
    assert [each["Name"] for each in versions(*names)] == names


def test_studio_shows_portfolio_and_product():
    stack = needs.studio()
    for name in ("Portfolio", "Product"):
        assert stack.resources[name].properties["Tags"] == [
            {"Key": "sagemaker:studio-visibility", "Value": "true"}
        ]


def test_projects_are_launched_with_our_own_role():
    stack = needs.studio()
    constraint = stack.resources["LaunchConstraint"]
    assert constraint.properties["RoleArn"] == stack.resources["LaunchRole"].arn
    assert constraint.attributes["DependsOn"] == "ProductAssociation"


def test_nothing_is_attached_to_a_role_that_is_not_ours():
    for stack in (needs.studio(), needs.project()):
        for policy in stack.of_type("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
            assert not {"Roles", "Users", "Groups"} & set(policy.properties), policy.logical_id


def principals(**parameters):
    stack = needs.studio(PrincipalArn1="none", **parameters)
    return {
        (each.properties["PrincipalType"], each.properties["PrincipalARN"])
        for each in stack.of_type("AWS::ServiceCatalog::PortfolioPrincipalAssociation")
    }


def test_several_may_create_projects():
    role = "arn:aws:iam::123456789012:role/service-role/{}"
    pattern = "arn:aws:iam:::role/service-role/AmazonSageMaker-*"
    found = principals(
        PrincipalArn2=role.format("a"), PrincipalArn5=role.format("b"), PrincipalPattern1=pattern
    )
    assert found == {
        ("IAM", role.format("a")), ("IAM", role.format("b")), ("IAM_PATTERN", pattern),
    }  # fmt: skip


def test_somebody_must():
    (assertion,) = load("studio.yml")["Rules"]["SomebodyMayCreateProjects"]["Assertions"]
    assert "PrincipalArn1" in assertion["AssertDescription"]


def test_it_exports_what_projects_import():
    assert dict(needs.studio().exports) == EXPORTS


def test_what_deployments_make_stays_within_the_boundary_of_roles():
    studio = needs.studio().resources
    (statement,) = [
        each
        for each in studio["DeployBoundary"].properties["PolicyDocument"]["Statement"]
        if each["Sid"] == "OwnRolesWithinTheBoundary"
    ]
    inner = studio["PermissionsBoundary"]
    assert statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"] == inner.arn
    assert "iam:CreateRole" not in str(inner.properties["PolicyDocument"]), "roles make no roles"


def test_tags_are_chosen_for_the_user():
    stack = needs.studio(CostCenter="42")
    options = stack.of_type("AWS::ServiceCatalog::TagOption")
    tags = {each.properties["Key"]: each.properties["Value"] for each in options}
    assert tags == {"mlsystem-organization": "stack", "cost-center": "42"}
    keys = [each.properties["Key"] for each in options]
    assert len(keys) == len(set(keys)), "with two values Studio would have to ask, and cannot"


# --- the S3 way ---------------------------------------------------------------------------------


def test_without_the_s3_way_nothing_of_it_is_there():
    stack = needs.studio(S3Templates="no")
    assert "S3CreatorPolicy" not in stack.resources
    assert "CorsConfiguration" not in stack.resources["TemplateBucket"].properties
    assert "S3TemplatesLocation" not in stack.outputs
    assert trusted(stack) == ["servicecatalog.amazonaws.com"]
    (statement,) = stack.resources["TemplateBucketPolicy"].properties["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"


def trusted(stack):
    trust = stack.resources["LaunchRole"].properties["AssumeRolePolicyDocument"]
    return trust["Statement"][0]["Principal"]["Service"]


def test_the_s3_way_is_read_by_studio_alone():
    stack = needs.studio(S3Templates="yes")
    (rule,) = stack.resources["TemplateBucket"].properties["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == ["https://*.sagemaker.aws"]
    assert set(rule["AllowedMethods"]) == {"GET", "HEAD"}
    assert stack.outputs["S3TemplatesLocation"] == "s3://templates/templates/"
    assert "cloudformation.amazonaws.com" in trusted(stack)
    statements = stack.resources["TemplateBucketPolicy"].properties["PolicyDocument"]["Statement"]
    for statement in statements:
        if statement["Effect"] == "Allow":
            assert statement["Principal"] == {
                "AWS": ["arn:aws:iam::123456789012:role/service-role/studio"]
            }


@pytest.mark.parametrize("key", ["cloudformation:TemplateUrl", "cloudformation:RoleArn"])
def test_the_s3_way_creates_our_template_with_our_role_alone(key):
    statements = needs.studio().resources["S3CreatorPolicy"].properties["PolicyDocument"]
    create = statements["Statement"][0]
    assert "cloudformation:CreateStack" in create["Action"]
    assert key in {name for block in create["Condition"].values() for name in block}


# --- the way back -------------------------------------------------------------------------------

RECORDED = "https://churn-p-1-data.s3.eu-west-1.amazonaws.com/releases/r-1/deployment/prod.json"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/mlsystem/{{}}/ProductionRole"


@pytest.mark.parametrize(
    ("stack", "asked", "may"),
    [
        ("churn-p-1-prod", {"templateurl": RECORDED}, True),
        ("churn-p-1-prod", {"templateurl": RECORDED, "rolearn": ROLE.format("churn-p-1")}, True),
        ("churn-p-1-prod", {"templateurl": RECORDED, "rolearn": ROLE.format("churn-p-2")}, False),
        ("churn-p-1-prod", {}, False),  # a TemplateBody, or the template that the stack has
        ("churn-p-1-dev", {"templateurl": RECORDED}, False),
        ("churn-p-1-prod", {"templateurl": RECORDED.replace("churn-p-1", "churn-p-2")}, False),
        ("churn-p-1-prod", {"templateurl": RECORDED.replace("releases", "data")}, False),
        ("churn-p-1-prod", {"templateurl": RECORDED.replace("prod.json", "before.json")}, False),
        ("churn-p-1-prod", {"templateurl": RECORDED.replace("eu-west", "us-east")}, False),
    ],
)
def test_who_approves_deploys_what_a_release_of_the_project_recorded(stack, asked, may):
    context = {f"cloudformation:{key}": (value,) for key, value in asked.items()}
    assert (
        may_go_back(stack, {"aws:resourcetag/mlsystem-project": ("churn-p-1",), **context}) == may
    )


def test_who_approves_moves_no_production_to_another_project():
    asked = {"cloudformation:templateurl": (RECORDED,)}
    tagged = {"aws:resourcetag/mlsystem-project": ("churn-p-1",)}
    assert may_go_back("churn-p-1-prod", {**asked, **tagged})
    assert not may_go_back("churn-p-1-prod", asked)
    new = {"aws:requesttag/mlsystem-project": ("churn-p-2",)}
    assert not may_go_back("churn-p-1-prod", {**asked, **tagged, **new})


def may_go_back(stack, context):
    arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{stack}/1"
    keys = frozenset({"aws:resourcetag/*", "cloudformation:templateurl", "cloudformation:rolearn"})
    policies = Policies(identity=tuple(identity_documents(needs.studio(), "ApproverPolicy")))
    return decide(policies, Request("cloudformation:UpdateStack", arn, context, keys)).allowed
