"""rm_s3.sh: a bucket with everything in it, unless somebody still has it."""

import json

import pytest

from scripts import buckets
from scripts.account import Account
from scripts.bucket_removal import Found, look, plan
from scripts.buckets import DeleteBucket, Owner, owner_of
from scripts.errors import ScriptError
from scripts.plan import carry_out


def make(s3, name, region, count=0):
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for number in range(count):
        s3.put_object(Bucket=name, Key=f"{number % 2}", Body=b"")


def names(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_versions_markers_and_unfinished_uploads_go_with_the_bucket(cloud, account, monkeypatch):
    monkeypatch.setattr(buckets, "_BATCH", 2)  # more than one request, without a thousand objects
    s3 = cloud.client("s3")
    make(s3, "full", cloud.region, count=5)
    s3.delete_object(Bucket="full", Key="0")
    s3.create_multipart_upload(Bucket="full", Key="unfinished")
    carry_out(plan(look(account, "full")), account, dry_run=True)
    assert "full" in names(s3)
    carry_out(plan(look(account, "full")), account, dry_run=False)
    assert "full" not in names(s3)
    DeleteBucket("full").run(account)  # once more does no harm


def test_a_bucket_that_is_not_there_is_nothing_to_do(account, capsys):
    carry_out(plan(look(account, "absent")), account, dry_run=False)
    assert capsys.readouterr().out == "nothing to do\n"


def test_a_stacks_bucket_is_refused_until_the_stack_is_gone(cloud, account):
    cloudformation = cloud.client("cloudformation")
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "owned"}}
    template = {"Resources": {"Bucket": {**bucket, "DeletionPolicy": "Retain"}}}
    cloudformation.create_stack(StackName="owner", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="owner", WaiterConfig={"Delay": 0.01, "MaxAttempts": 500}
    )
    with pytest.raises(ScriptError, match="Bucket owned: the stack owner has it"):
        plan(look(account, "owned"))
    cloudformation.delete_stack(StackName="owner")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="owner", WaiterConfig={"Delay": 0.01, "MaxAttempts": 500}
    )
    assert plan(look(account, "owned")).steps == (DeleteBucket("owned"),)


def test_somebody_elses_bucket_is_refused():
    with pytest.raises(ScriptError, match="it belongs to another account"):
        plan(Found("theirs", Owner.SOMEBODY_ELSE))


@pytest.mark.parametrize(("status", "owner"), [("403", Owner.SOMEBODY_ELSE), ("404", Owner.NOBODY)])
def test_whose_a_bucket_is_comes_from_s3s_answer(status, owner):
    class Session:
        def client(self, service):
            return self

        def head_bucket(self, **asked):
            assert asked == {"Bucket": "name", "ExpectedBucketOwner": "123456789012"}
            error = {"Error": {"Code": status}}
            raise buckets.ClientError(error, "HeadBucket")

    found = owner_of(Account(Session(), "123456789012", "eu-west-1", "aws"), "name")
    assert found is owner
