"""build.sh's plans carried out in a local account."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from scripts import publication
from scripts.errors import ScriptError
from scripts.plan import carry_out
from scripts.publication import Wish

ROOT = Path(__file__).parent.parent.parent
WISH = Wish("templates-1", "organization", "studio")
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


@pytest.fixture(scope="module")
def role(cloud):
    iam = cloud.client("iam")
    answer = iam.create_role(
        RoleName="studio", Path="/service-role/", AssumeRolePolicyDocument=TRUST
    )
    return answer["Role"]["Arn"]


@pytest.fixture(scope="module")
def sources():
    return publication.read_sources(ROOT)


@pytest.fixture(scope="module")
def build(account, role):
    def build(sources, wish=WISH, dry_run=False):
        plan = publication.plan(account, wish, sources, publication.look(account, wish, sources))
        carry_out(plan, account, dry_run=dry_run)
        return plan

    return build


@pytest.fixture
def first(build, sources):
    """The repository's version is the newest, whatever was published before."""
    build(sources)


def parameters(cloud):
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName="organization")["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}


def test_the_first_time_everything_is_made(cloud, first, sources, role):
    given = parameters(cloud)
    assert (given["Version1"], given["PrincipalArn1"]) == (sources.version, role)
    s3 = cloud.client("s3")
    for key, content in sources.objects.items():
        assert s3.get_object(Bucket="templates-1", Key=key)["Body"].read() == content
    offered = cloud.client("servicecatalog").search_products_as_admin()["ProductViewDetails"]
    assert [each["ProductViewSummary"]["Name"] for each in offered] == ["Machine learning project"]
    block = s3.get_public_access_block(Bucket="templates-1")["PublicAccessBlockConfiguration"]
    assert all(block.values())


def test_a_second_build_publishes_nothing(first, build, sources):
    assert build(sources).steps == ()


def test_a_dry_run_changes_nothing_and_the_build_after_it_adds_a_version(
    cloud, first, build, sources
):
    newer = replace(sources, version="2", seed_code=b"newer")
    before = parameters(cloud)
    assert build(newer, dry_run=True).steps
    assert parameters(cloud) == before
    assert before["Version1"] == sources.version
    build(newer)
    given = parameters(cloud)
    kept = [before[f"Version{number}"] for number in (1, 2)]
    assert [given[f"Version{number}"] for number in (1, 2, 3)] == ["2", *kept]
    assert build(newer).steps == ()


def test_the_s3_way_tells_the_domain_where_templates_lie(cloud, first, build, sources):
    sagemaker = cloud.client("sagemaker")
    arn = sagemaker.create_domain(
        DomainName="team", AuthMode="IAM", DefaultUserSettings={}, SubnetIds=["s"], VpcId="v"
    )["DomainArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "ml"}])
    wish = replace(WISH, domain=arn.rpartition("/")[2])
    build(sources, wish)
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    location = "s3://templates-1/templates/"
    assert tags == {"team": "ml", "sagemaker:projectS3TemplatesLocation": location}
    s3, place = cloud.client("s3"), {"Bucket": "templates-1", "Key": "templates/pipeline.yml"}
    assert s3.get_object(**place)["Body"].read().decode() == sources.pipeline
    visible = [{"Key": "sagemaker:studio-visibility", "Value": "true"}]
    assert s3.get_object_tagging(**place)["TagSet"] == visible
    assert parameters(cloud)["S3Templates"] == "yes"
    assert build(sources, wish).steps == ()


def test_other_accounts_stay_until_a_build_says_otherwise(first, account, build):
    for said in ("444455556666,777788889999", None, "none"):
        wish = replace(WISH, other_accounts=said)
        accounts = publication.other_accounts(account, wish)
        assert accounts == (said or "444455556666,777788889999")
        build(publication.read_sources(ROOT, None, accounts), wish)


def test_a_bucket_of_another_account_is_refused(cloud, build, sources):
    s3_backends["111111111111"]["aws"].create_bucket("theirs", cloud.region)
    with pytest.raises(ScriptError, match="Bucket theirs: it belongs to another account"):
        build(sources, replace(WISH, bucket="theirs"))


def test_a_domain_that_does_not_exist_is_refused(build, sources):
    with pytest.raises(ScriptError, match="Domain d-none: none of that id in xx-local-1"):
        build(sources, replace(WISH, domain="d-none"))


def test_an_update_that_fails_says_what_and_why(cloud, first, build, sources):
    place = {"LocationConstraint": cloud.region}
    cloud.client("s3").create_bucket(Bucket="taken", CreateBucketConfiguration=place)
    taken = "  Taken:\n    Type: AWS::S3::Bucket\n    Properties: {BucketName: taken}\n"
    broken = sources.studio.replace("Resources:\n", f"Resources:\n{taken}", 1)
    before = parameters(cloud)
    with pytest.raises(ScriptError, match=r"UPDATE_ROLLBACK_COMPLETE: Taken \(AWS::S3::Bucket\): "):
        build(replace(sources, studio=broken, version="3"))
    assert parameters(cloud) == before


def test_a_role_that_does_not_exist_is_refused(build, sources):
    for given in ("nobody", "arn:aws:iam::000000000000:role/nobody"):
        with pytest.raises(ScriptError, match="none in account 000000000000"):
            build(sources, replace(WISH, role=given))


def test_a_role_without_its_path_is_refused_with_the_whole_arn(build, sources, role):
    with pytest.raises(ScriptError, match=f"the role of that name is {role}"):
        build(sources, replace(WISH, role="arn:aws:iam::000000000000:role/studio"))
