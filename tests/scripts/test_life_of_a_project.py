"""A project in a local account: published, created, upgraded and removed, in every state.

Its template is a small one with what deletion is about: something goes, something is kept.
"""

import json
from pathlib import Path

import pytest

from scripts import project, publication, removal, upgrade
from scripts.errors import ScriptError
from scripts.plan import carry_out
from scripts.publication import Sources, Wish
from scripts.stacks import find

WISH = Wish("templates-1", "organization", "studio")
TEMPLATE = """
Parameters:
  ModelName: {Type: String, Default: churn}
  SageMakerProjectName: {Type: String}
  SageMakerProjectId: {Type: String}
Mappings:
  Published:
    Template:
      Version: "VERSION"
Resources:
  Log:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "/aws/codebuild/${ModelName}-${SageMakerProjectId}-build"}
  DataBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: RetainExceptOnCreate
    Properties: {BucketName: !Sub "${ModelName}-${SageMakerProjectId}-data"}
Outputs:
  TemplateVersion:
    Value: !FindInMap [Published, Template, Version]
"""


def statement(**fields):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **fields}]})


def trust(service):
    return statement(Principal={"Service": service}, Action="sts:AssumeRole")


@pytest.fixture(scope="module")
def member(cloud):
    iam = cloud.client("iam")
    arn = iam.create_role(
        RoleName="studio", AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com")
    )["Role"]["Arn"]
    may = statement(Action=["sagemaker:*", "servicecatalog:*"], Resource="*")
    iam.put_role_policy(RoleName="studio", PolicyName="own", PolicyDocument=may)
    return cloud.client("sagemaker", role_arn=arn, service_principal="sagemaker.amazonaws.com")


@pytest.fixture(scope="module")
def publish(account, member):
    studio = (Path(__file__).parents[2] / "studio.yml").read_text(encoding="utf-8")

    def publish(version):
        sources = Sources(studio, TEMPLATE.replace("VERSION", version), b"zip", version)
        found = publication.look(account, WISH, sources)
        carry_out(publication.plan(account, WISH, sources, found), account, dry_run=False)

    publish("v1")
    return publish


@pytest.fixture
def create(cloud, account, member, publish):
    """Create a project with what its pipeline would make, and give its key."""

    def create(name):
        offered = upgrade.newest(account)
        (product,) = cloud.client("servicecatalog").search_products_as_admin()["ProductViewDetails"]
        chosen = {
            "ProductId": product["ProductViewSummary"]["ProductId"],
            "ProvisioningArtifactId": offered.artifact_id,
        }
        made = member.create_project(ProjectName=name, ServiceCatalogProvisioningDetails=chosen)
        while status(member, name) in ("Pending", "CreateInProgress"):
            account.pause()
        assert status(member, name) == "CreateCompleted"
        key = f"churn-{made['ProjectId']}"
        leave_things(cloud, account, key)
        return key

    return create


def status(sagemaker, name):
    return sagemaker.describe_project(ProjectName=name)["ProjectStatus"]


def leave_things(cloud, account, key):
    iam, s3 = cloud.client("iam"), cloud.client("s3")
    role = iam.create_role(
        RoleName=f"{key}-deploy", Path=f"/mlsystem/{key}/",
        AssumeRolePolicyDocument=trust("cloudformation.amazonaws.com"),
    )["Role"]["Arn"]  # fmt: skip
    iam.put_role_policy(
        RoleName=f"{key}-deploy", PolicyName="own",
        PolicyDocument=statement(Action="*", Resource="*"),
    )  # fmt: skip
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{key}-dev"}}
    cloud.client("cloudformation").create_stack(
        StackName=f"{key}-dev", TemplateBody=json.dumps({"Resources": {"T": topic}}), RoleARN=role
    )
    while find(account, f"{key}-dev").is_busy:
        account.pause()
    place = {"LocationConstraint": cloud.region}
    s3.create_bucket(Bucket=f"{key}-artifacts", CreateBucketConfiguration=place)
    for bucket in (f"{key}-artifacts", f"{key}-data"):
        s3.put_object(Bucket=bucket, Key="data/a", Body=b"1")
    cloud.client("codecommit").create_repository(repositoryName=key)
    cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=key)
    cloud.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{key}-dev")
    cloud.client("kms").create_key(Tags=[{"TagKey": "mlsystem-project", "TagValue": key}])


def remove(account, given, **options):
    plan = removal.plan(project.look(account, given), **options)
    carry_out(plan, account, dry_run=False)
    return plan


def left(account, key):
    """What is still there, by kind, without what is empty."""
    found = project.look(account, key)
    given = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name for name, value in given.items() if value and name not in ("given", "key")}


KEPT = {"data_bucket", "code_repository", "kms_keys"}


def test_a_project_is_upgraded_in_place(cloud, account, create, publish):
    key = create("upgraded")
    publish("v2")
    offered = upgrade.newest(account)
    plan = upgrade.plan(upgrade.look(account, "upgraded"), offered)
    assert [str(step) for step in plan.steps] == ["update the project upgraded to version v2"]
    with pytest.raises(ScriptError, match="somebody who may create projects"):
        carry_out(plan, account, dry_run=False)
    catalog = cloud.client("servicecatalog")
    catalog.associate_principal_with_portfolio(
        PortfolioId=find(account, "organization").outputs["PortfolioId"],
        PrincipalARN=account.session.client("sts").get_caller_identity()["Arn"],
        PrincipalType="IAM",
    )
    carry_out(plan, account, dry_run=False)
    (candidate,) = upgrade.look(account, "upgraded")
    assert candidate.version == "v2"
    assert upgrade.plan([candidate], offered).steps == ()
    assert cloud.client("s3").get_object(Bucket=f"{key}-data", Key="data/a")
    remove(account, "upgraded", delete_data=True, delete_code=True)


def test_a_project_is_removed_and_what_is_kept_is_told(account, create):
    key = create("whole")
    plan = removal.plan(project.look(account, "whole"))
    carry_out(plan, account, dry_run=True)
    assert project.look(account, "whole").project.status == "CreateCompleted"
    carry_out(plan, account, dry_run=False)
    assert left(account, key) == KEPT
    assert sum(key in line for line in plan.kept) == 2
    assert remove(account, key).steps == ()
    remove(account, key, delete_data=True, delete_code=True)
    assert left(account, key) == set()


def test_what_studio_alone_deleted_is_finished(account, member, create):
    key = create("deleted")
    member.delete_project(ProjectName="deleted")
    while any(each.name == "deleted" for each in project.projects(account)):
        account.pause()
    assert {"children", "artifact_bucket", "roles"} < left(account, key)
    with pytest.raises(ScriptError, match=f"Something is left of: .*{key}"):
        project.look(account, "deleted")
    remove(account, key.removeprefix("churn-"))
    assert left(account, key) == KEPT


def test_child_stacks_may_be_gone_before(cloud, account, create):
    key = create("children-first")
    cloud.client("cloudformation").delete_stack(StackName=f"{key}-dev")
    while find(account, f"{key}-dev"):
        account.pause()
    remove(account, "children-first", delete_data=True, delete_code=True)
    assert left(account, key) == set()


def test_without_the_deploy_role_nothing_is_touched(cloud, account, create):
    key = create("roleless")
    removal.DeleteRole(f"{key}-deploy").run(account)
    with pytest.raises(ScriptError, match="--role-arn <role>"):
        remove(account, "roleless")
    assert project.look(account, "roleless").project.status == "CreateCompleted"


def test_a_typing_mistake_deletes_nothing(account):
    with pytest.raises(ScriptError, match="Project whoel: none of that name"):
        remove(account, "whoel")
