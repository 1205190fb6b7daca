"""rm_prj.sh: its plans for projects in every state, and what it refuses."""

from dataclasses import replace

import pytest

from scripts.errors import ScriptError
from scripts.project import Found, Project, belongs
from scripts.removal import plan
from scripts.stacks import Stack

KEY = "churn-p-1"
DEPLOY = "arn:aws:iam::123456789012:role/mlsystem/churn-p-1/deploy"


def stack(name, status="CREATE_COMPLETE", role_arn=None):
    return Stack(name, f"arn:{name}", status, {}, {}, role_arn)


WHOLE = Found(
    given="churn",
    project=Project("churn", "p-1", "CreateCompleted"),
    key=KEY,
    stack=stack("SC-1"),
    children=(stack(f"{KEY}-dev", role_arn=DEPLOY), stack(f"{KEY}-workflow", role_arn=DEPLOY)),
    releases=("r1",),
    builds=(f"{KEY}-build:b1",),
    executions=(f"arn:aws:states:eu-west-1:123456789012:execution:{KEY}-training:e1",),
    endpoints=(KEY,),
    endpoint_configs=(f"{KEY}-config-r1",),
    models=(f"{KEY}-model-r1",),
    model_packages=("package-1",),
    model_package_groups=(KEY,),
    image_repositories=(f"{KEY}-container",),
    report_groups=(f"arn:aws:codebuild:eu-west-1:123456789012:report-group/{KEY}-build-tests",),
    log_groups=(f"/aws/vpc/{KEY}",),
    artifact_bucket=f"{KEY}-artifacts",
    data_bucket=f"{KEY}-data",
    file_systems=("fs-1",),
    kms_keys=("key-1",),
    code_repository=KEY,
    roles=("deploy",),
)


def lines(found, **options):
    return [str(step) for step in plan(found, **options).steps]


def test_a_whole_project_goes_in_the_order_of_what_needs_what():
    assert lines(WHOLE) == [
        "stop the release r1 of churn-p-1",
        "stop the build churn-p-1-build:b1",
        "stop the workflow e1, and the job that it waits for",
        "delete the stack churn-p-1-dev",
        "delete the stack churn-p-1-workflow",
        "delete the project churn",
        "delete the stack SC-1",
        "delete the endpoint churn-p-1",
        "delete the endpoint configuration churn-p-1-config-r1",
        "delete the model churn-p-1-model-r1",
        "delete the model package package-1",
        "delete the model package group churn-p-1",
        "delete the image repository churn-p-1-container",
        "delete the reports churn-p-1-build-tests",
        "empty and delete the bucket churn-p-1-artifacts",
        "delete the log group /aws/vpc/churn-p-1",
        "delete the role deploy",
    ]


def test_code_and_data_are_kept_and_named():
    kept = plan(WHOLE).kept
    for thing in ("code repository churn-p-1", "data bucket churn-p-1-data", "fs-1", "key-1"):
        assert any(thing in line for line in kept), thing


def test_data_go_when_asked_with_their_key_after_them_and_the_role_last():
    assert lines(WHOLE, delete_data=True)[-4:] == [
        "empty and delete the bucket churn-p-1-data",
        "delete the file system fs-1",
        "schedule the key key-1 for deletion in 30 days",
        "delete the role deploy",
    ]
    kept = plan(WHOLE, delete_data=True).kept
    assert any("code repository" in line for line in kept)
    assert not any("data bucket" in line or "key" in line for line in kept)


def test_code_goes_only_when_asked():
    assert "delete the code repository churn-p-1" in lines(WHOLE, delete_code=True)
    assert not any("code repository" in line for line in plan(WHOLE, delete_code=True).kept)
    assert not any("code repository" in line for line in lines(WHOLE, delete_data=True))


def test_what_was_deleted_in_studio_alone_is_finished():
    left = replace(WHOLE, project=None, stack=None, releases=(), builds=(), executions=())
    assert lines(left)[:3] == [
        "delete the stack churn-p-1-dev",
        "delete the stack churn-p-1-workflow",
        "delete the endpoint churn-p-1",
    ]
    assert lines(left)[-1] == "delete the role deploy"


def test_child_stacks_that_are_gone_are_no_hindrance():
    assert "delete the project churn" in lines(replace(WHOLE, children=()))


def test_a_half_created_project_goes_with_its_stack():
    half = Found(
        "churn", Project("churn", "p-1", "CreateFailed"), KEY, stack("SC-1", "ROLLBACK_FAILED")
    )
    assert lines(half) == ["delete the project churn", "delete the stack SC-1"]


def test_a_project_without_a_stack_is_only_taken_off_the_list():
    assert lines(Found("churn", Project("churn", "p-1", "CreateFailed"))) == [
        "delete the project churn"
    ]


def test_when_sagemaker_could_not_delete_it_the_stack_goes_first():
    failed = replace(WHOLE, project=Project("churn", "p-1", "DeleteFailed"), children=())
    found = lines(failed)
    assert found.index("delete the stack SC-1") < found.index("delete the project churn")


@pytest.mark.parametrize(
    "busy",
    [
        replace(WHOLE, project=Project("churn", "p-1", "CreateInProgress")),
        replace(WHOLE, project=Project("churn", "p-1", "Pending")),
        replace(WHOLE, stack=stack("SC-1", "UPDATE_IN_PROGRESS")),
        replace(WHOLE, children=(stack(f"{KEY}-dev", "CREATE_IN_PROGRESS", DEPLOY),)),
    ],
)
def test_nothing_is_deleted_while_something_goes_on(busy):
    with pytest.raises(ScriptError, match="nothing may go on with it"):
        plan(busy)


def test_without_the_deploy_role_nothing_is_begun():
    with pytest.raises(ScriptError, match="deploy, with which CloudFormation deletes it, is gone"):
        plan(replace(WHOLE, roles=("other",)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a-p-1", True),
        ("a-p-1-dev", True),
        ("a-p-12", False),
        ("a-p-12-dev", False),
        ("ba-p-1", False),
        ("a-p-1-b-p-2-dev", False),  # of the model a-p-1-b
    ],
)
def test_a_project_does_not_take_anothers_things(name, expected):
    assert belongs(name, "a-p-1", ["a-p-1", "a-p-1-b-p-2", "a"]) is expected
