"""build.sh: its plans, and the refusals before anything is done."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.account import Account, require_projects
from scripts.buckets import Owner, Upload, require_ours
from scripts.errors import ScriptError
from scripts.plan import carry_out
from scripts.publication import FIRST, Found, Sources, TagDomain, Wish, plan, read_sources
from scripts.stacks import CreateStack, Stack, UpdateStack
from scripts.template_text import part

ROOT = Path(__file__).parent.parent.parent
ACCOUNT = Account(None, "123456789012", "eu-west-1", "aws")
ROLE = "arn:aws:iam::123456789012:role/service-role/studio"
WISH = Wish("templates", "organization", "studio")
STUDIO = (ROOT / "studio.yml").read_text(encoding="utf-8")
SOURCES = Sources(STUDIO, "pipeline", b"zip", "v2")
KEYS = frozenset(SOURCES.objects)


def stack(status="UPDATE_COMPLETE", **parameters):
    given = {"TemplateBucketName": "templates", "S3Templates": "no", "PrincipalArn1": ROLE}
    return Stack("organization", "id", status, {**given, **parameters}, {})


def found(deployed=None, **options):
    return Found(ROLE, Owner.US if deployed else Owner.NOBODY, deployed, **options)


def steps(deployed=None, wish=WISH, **options):
    return plan(ACCOUNT, wish, SOURCES, found(deployed, **options)).steps


def published(*versions, **parameters):
    places = {f"Version{number}": name for number, name in enumerate(versions, start=1)}
    return stack(**places, **parameters)


# --- plans --------------------------------------------------------------------------------------


def test_the_first_time_the_bucket_then_the_objects_then_everything_else():
    first, *uploads, last = steps()
    assert first == CreateStack(
        "organization",
        part(STUDIO, FIRST),
        {"TemplateBucketName": "templates", "PrincipalArn1": ROLE},
    )
    assert [(each.key, each.content) for each in uploads] == list(SOURCES.objects.items())
    assert all(each.key.split("/")[0] in ("versions", "organization") for each in uploads)
    assert last.parameters == {"Version1": "v2"}
    assert last.kept == ("TemplateBucketName", "PrincipalArn1")
    assert last.template_url.startswith(
        "https://templates.s3.eu-west-1.amazonaws.com/organization/"
    )
    assert last.template_url.endswith(uploads[-1].key)


def test_a_second_build_without_a_change_does_nothing():
    assert steps(published("v2", "v1"), studio=STUDIO, keys=KEYS) == ()


def test_a_change_adds_a_version_and_moves_the_others_down():
    *uploads, update = steps(published("v1", "v0"), studio=STUDIO)
    assert {each.key for each in uploads} == KEYS
    assert update.parameters == {"Version1": "v2", "Version2": "v1", "Version3": "v0"}
    assert set(update.kept) == {"TemplateBucketName", "S3Templates", "PrincipalArn1"}


def test_the_eleventh_version_pushes_the_oldest_out():
    *_, update = steps(published(*(f"old{number}" for number in range(10))), studio=STUDIO)
    assert update.parameters["Version10"] == "old8"
    assert "old9" not in update.parameters.values()


def test_an_old_version_published_again_is_the_newest_and_there_once():
    (update,) = steps(published("v3", "v2", "v1"), studio=STUDIO, keys=KEYS)
    assert update.parameters == {"Version1": "v2", "Version2": "v3"}
    assert "Version3" in update.kept


def test_a_change_of_the_organizations_template_alone_is_an_update_without_a_version():
    old = frozenset(key for key in KEYS if key.startswith("versions/"))
    upload, update = steps(published("v2"), studio="an older one", keys=old)
    assert upload.key.startswith("organization/")
    assert update.parameters == {}
    assert "Version1" in update.kept


def test_another_comment_is_no_update():
    assert steps(published("v2"), studio=f"# old\n{STUDIO}", keys=KEYS) == ()


def test_an_interrupted_publication_goes_on_where_it_was():
    only_buckets = part(STUDIO, FIRST)
    one = frozenset(["versions/v2/seed_code.zip"])
    *uploads, update = steps(published("none"), studio=only_buckets, keys=one)
    assert {each.key for each in uploads} == KEYS - one
    assert isinstance(update, UpdateStack)


def test_what_the_new_template_no_longer_knows_is_not_kept():
    *_, update = steps(published("v1", Removed="1"), studio=STUDIO)
    assert "Removed" not in update.kept


def test_a_second_role_gets_a_place_of_its_own():
    other = ROLE.replace("studio", "other")
    (update,) = steps(published("v2", PrincipalArn1=other), studio=STUDIO, keys=KEYS)
    assert update.parameters == {"PrincipalArn2": ROLE}
    assert "PrincipalArn1" in update.kept


def test_nobody_loses_a_place():
    taken = {f"PrincipalArn{number}": f"{ROLE}{number}" for number in range(1, 6)}
    with pytest.raises(ScriptError, match="all taken"):
        steps(published("v2", **taken), studio=STUDIO, keys=KEYS)


def test_the_s3_way_is_switched_on_with_a_domain():
    wish = replace(WISH, domain="d-1")
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:domain/d-1"
    upload, update, tag = steps(published("v2"), wish, studio=STUDIO, keys=KEYS, domain_arn=arn)
    visible = (("sagemaker:studio-visibility", "true"),)
    assert upload == Upload("templates", "templates/pipeline.yml", b"pipeline", visible)
    assert update.parameters == {"S3Templates": "yes"}
    assert tag == TagDomain(arn, "s3://templates/templates/")


def test_what_the_command_line_says_of_the_account_is_set_and_otherwise_kept():
    wish = replace(WISH, other_accounts="444455556666", api_logs="no")
    (update,) = steps(published("v2"), wish, studio=STUDIO, keys=KEYS)
    assert update.parameters == {"OtherAccounts": "444455556666", "ApiLogs": "no"}
    said = published("v1", OtherAccounts="444455556666", ApiLogs="no")
    *_, update = steps(said, studio=STUDIO)
    assert {"OtherAccounts", "ApiLogs"} <= set(update.kept)
    (update,) = steps(
        published("v2", OtherAccounts="444455556666"),
        replace(WISH, other_accounts="none"), studio=STUDIO, keys=KEYS,
    )  # fmt: skip
    assert update.parameters == {"OtherAccounts": "none"}


def test_the_s3_way_stays_on_and_follows_the_newest_version():
    on = published("v2", S3Templates="yes")
    assert steps(on, studio=STUDIO, keys=KEYS, s3_template="pipeline") == ()
    (upload,) = steps(on, studio=STUDIO, keys=KEYS, s3_template="an older one")
    assert upload.key == "templates/pipeline.yml"


def test_a_dry_run_shows_the_plan_and_calls_nothing(capsys):
    # Any call would need the session, which is None.
    carry_out(plan(ACCOUNT, WISH, SOURCES, found()), ACCOUNT, dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("would create the stack organization (TemplateBucketName=templates")
    assert "would upload s3://templates/versions/v2/seed_code.zip (3 bytes)" in lines
    assert lines[-1] == "would update the stack organization (Version1=v2)"


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        ("CREATE_FAILED", "delete-stack --stack-name organization"),
        ("ROLLBACK_COMPLETE", "delete-stack"),
        ("ROLLBACK_FAILED", "delete-stack"),
        ("DELETE_FAILED", "delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name organization"),
        ("UPDATE_IN_PROGRESS", "Start again when it has ended"),
        ("REVIEW_IN_PROGRESS", "Start again when it has ended"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_refused_with_the_way_out(status, fix):
    with pytest.raises(ScriptError, match=status) as error:
        steps(stack(status))
    assert fix in str(error.value)


def test_a_failed_update_can_be_followed_by_another():
    assert steps(stack("UPDATE_ROLLBACK_COMPLETE"))


def test_a_bucket_that_no_stack_made_is_refused():
    with pytest.raises(ScriptError, match=r"no stack organization owns it.*rm_s3\.sh"):
        plan(ACCOUNT, WISH, SOURCES, replace(found(), owner=Owner.US))


def test_a_bucket_of_somebody_else_is_refused():
    with pytest.raises(ScriptError, match="Bucket templates: it belongs to another account"):
        require_ours("templates", Owner.SOMEBODY_ELSE)


def test_another_bucket_than_the_stacks_is_refused():
    with pytest.raises(ScriptError, match="Give templates-0 as S3_BUCKET_NAME"):
        steps(stack(TemplateBucketName="templates-0"))


def test_a_stack_of_something_else_is_refused():
    foreign = Stack("organization", "id", "CREATE_COMPLETE", {}, {})
    with pytest.raises(ScriptError, match=r"not made of studio\.yml"):
        steps(foreign)


def test_a_second_organization_stack_is_refused():
    with pytest.raises(ScriptError, match="Give first as STACK_NAME"):
        steps(exporting_stack="first")


@pytest.mark.parametrize("bucket", ["ab", "b" * 51])
def test_a_name_that_leaves_no_room_is_refused(bucket):
    with pytest.raises(ScriptError, match="3 to 50 are required"):
        steps(wish=replace(WISH, bucket=bucket))


@pytest.mark.parametrize("region", ["eu-west-9", "af-south-1", "us-iso-east-1"])
def test_a_region_without_projects_is_refused(region):
    with pytest.raises(ScriptError, match=f"Region {region}: it is not known to have"):
        require_projects(region)


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "xx-local-1"])
def test_a_region_with_projects_is_not(region):
    require_projects(region)


def test_what_is_published_carries_its_version():
    sources = read_sources(ROOT)
    assert f'Version: "{sources.version}"' in sources.pipeline
    assert sources == read_sources(ROOT)
    crossing = read_sources(ROOT, None, "444455556666")
    assert 'OtherAccounts: ["444455556666"]' in crossing.pipeline
    assert crossing.version != sources.version
