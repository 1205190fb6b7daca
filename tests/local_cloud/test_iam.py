"""Calls are held to the policies of whoever makes them, through the API."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from local_cloud.cloud import LocalCloud
from local_cloud.errors import TrustError
from local_cloud.iam import Credentials

from .conftest import MakeRole, policy

SERVICE = "sagemaker.amazonaws.com"


@pytest.fixture(scope="module")
def bucket(cloud: LocalCloud) -> str:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket="data", Key="releases/r1/a.json", Body=b"{}")
    return "data"


def as_role(cloud: LocalCloud, service: str, role: str, principal: str = SERVICE) -> Any:
    return cloud.client(service, role_arn=role, service_principal=principal)


def with_credentials(service: Any, credentials: dict[str, str]) -> Any:
    return boto3.client(
        service,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def denial(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def is_allowed(operation: Any, **parameters: Any) -> bool:
    try:
        operation(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


def test_what_is_allowed_works_and_what_is_not_is_denied_as_aws_says(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    role = make_role(("s3:GetObject", f"arn:aws:s3:::{bucket}/releases/*"))
    s3 = as_role(cloud, "s3", role)
    assert s3.get_object(Bucket=bucket, Key="releases/r1/a.json")["Body"].read() == b"{}"
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="releases/r1/a.json", Body=b"changed")
    identity = f"arn:aws:sts::{cloud.account_id}:assumed-role/{role.rpartition('/')[2]}/sagemaker"
    target = f"arn:aws:s3:::{bucket}/releases/r1/a.json"
    code, message = denial(error)
    assert code == "AccessDenied"
    assert message == (
        f"User: {identity} is not authorized to perform: s3:PutObject on resource: {target} "
        "because no identity-based policy allows the s3:PutObject action"
    )
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    stored = cloud.client("s3").get_object(Bucket=bucket, Key="releases/r1/a.json")
    assert stored["Body"].read() == b"{}"


def test_a_permission_counts_at_once_and_is_gone_at_once(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    role = make_role()
    name = role.rpartition("/")[2]
    s3 = as_role(cloud, "s3", role)
    iam = cloud.client("iam")
    iam.put_role_policy(
        RoleName=name,
        PolicyName="list",
        PolicyDocument=policy(
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
        ),
    )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] >= 1
    iam.delete_role_policy(RoleName=name, PolicyName="list")
    with pytest.raises(ClientError, match="s3:ListBucket"):
        s3.list_objects_v2(Bucket=bucket)


def test_conditions_see_the_request(cloud: LocalCloud, make_role: MakeRole, bucket: str) -> None:
    role = make_role(
        statements=[
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "*",
                "Condition": {"StringLike": {"s3:prefix": "releases/*"}},
            }
        ]
    )
    s3 = as_role(cloud, "s3", role)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="releases/r1")["KeyCount"] == 1
    with pytest.raises(ClientError, match="s3:ListBucket"):
        s3.list_objects_v2(Bucket=bucket, Prefix="data/")
    with pytest.raises(ClientError, match="s3:ListBucket"):
        s3.list_objects_v2(Bucket=bucket)


def test_managed_policies_and_their_default_version_count(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    role = make_role()
    iam = cloud.client("iam")
    allow = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    arn = iam.create_policy(PolicyName="m", PolicyDocument=policy(allow))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role.rpartition("/")[2], PolicyArn=arn)
    s3 = as_role(cloud, "s3", role)
    s3.list_objects_v2(Bucket=bucket)
    iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=policy({**allow, "Effect": "Deny"}), SetAsDefault=True
    )
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        s3.list_objects_v2(Bucket=bucket)


def test_a_permissions_boundary_bounds(cloud: LocalCloud, make_role: MakeRole, bucket: str) -> None:
    allow = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    boundary = cloud.client("iam").create_policy(
        PolicyName="boundary", PolicyDocument=policy(allow)
    )["Policy"]["Arn"]
    role = make_role(("s3:*", "*"), PermissionsBoundary=boundary)
    s3 = as_role(cloud, "s3", role)
    s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(ClientError, match="no permissions boundary allows the s3:GetObject"):
        s3.get_object(Bucket=bucket, Key="releases/r1/a.json")


def test_a_deleted_role_may_nothing(cloud: LocalCloud, make_role: MakeRole, bucket: str) -> None:
    role = make_role(("s3:*", "*"))
    name = role.rpartition("/")[2]
    s3 = as_role(cloud, "s3", role)
    s3.list_objects_v2(Bucket=bucket)
    cloud.client("iam").delete_role_policy(RoleName=name, PolicyName="own")
    cloud.client("iam").delete_role(RoleName=name)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=bucket)


def test_tags_of_the_role_are_known(cloud: LocalCloud, make_role: MakeRole, bucket: str) -> None:
    role = make_role(
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/area}}/*"),
        Tags=[{"Key": "Area", "Value": "releases"}],
    )
    s3 = as_role(cloud, "s3", role)
    assert s3.get_object(Bucket=bucket, Key="releases/r1/a.json")


def test_an_unknown_call_of_a_role_is_refused_by_name(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    client = as_role(cloud, "sagemaker", make_role(("*", "*")))
    with pytest.raises(ClientError, match=r"sagemaker:ListNotebookInstances.*local_cloud/actions"):
        client.list_notebook_instances()


def test_an_unknown_condition_of_a_role_is_refused_by_name(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    condition = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    role = make_role(statements=[{**statement, "Condition": condition}])
    with pytest.raises(ClientError, match=r"LocalCloudUnsupported.*aws:ResourceTag/team"):
        as_role(cloud, "s3", role).list_objects_v2(Bucket=bucket)


# ------------------------------------------------------------------------------ passing roles


def test_a_role_is_passed_only_with_leave(cloud: LocalCloud, make_role: MakeRole) -> None:
    passed = make_role()
    sagemaker = f"arn:aws:sagemaker:{cloud.region}:{cloud.account_id}:training-job/*"
    create = ("sagemaker:CreateTrainingJob", sagemaker)
    wanted = f"iam:PassRole on resource: {passed}"
    without = as_role(cloud, "sagemaker", make_role(create))
    with pytest.raises(ClientError, match=wanted):
        without.create_training_job(**training_job("t1", passed))
    elsewhere = make_role(
        create,
        statements=[
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": passed,
                "Condition": {"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}},
            }
        ],
    )
    with pytest.raises(ClientError, match=wanted):
        as_role(cloud, "sagemaker", elsewhere).create_training_job(**training_job("t2", passed))


def test_tags_at_creation_need_their_own_permission(cloud: LocalCloud, make_role: MakeRole) -> None:
    passed = make_role()
    role = make_role(("sagemaker:CreateTrainingJob", "*"), ("iam:PassRole", passed))
    job = training_job("t3", passed) | {"Tags": [{"Key": "release", "Value": "r1"}]}
    with pytest.raises(ClientError, match="sagemaker:AddTags"):
        as_role(cloud, "sagemaker", role).create_training_job(**job)


def training_job(name: str, role: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


# ------------------------------------------------------------------------------ assuming roles


def test_the_trust_policy_decides_who_assumes(cloud: LocalCloud, make_role: MakeRole) -> None:
    closed = make_role(service=SERVICE)
    sts = cloud.client("sts")
    with pytest.raises(ClientError, match=r"not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=closed, RoleSessionName="me")
    with pytest.raises(ClientError, match=r"AccessDenied"):
        sts.assume_role(RoleArn=f"{closed}-nowhere", RoleSessionName="me")
    root = f"arn:aws:iam::{cloud.account_id}:root"
    opened = make_role(trust={"Effect": "Allow", "Principal": {"AWS": root}})
    credentials = sts.assume_role(RoleArn=opened, RoleSessionName="me")["Credentials"]
    identity = with_credentials("sts", credentials).get_caller_identity()["Arn"]
    assert identity.endswith(f"assumed-role/{opened.rpartition('/')[2]}/me")


def test_a_role_assumes_a_role_with_leave_of_both(cloud: LocalCloud, make_role: MakeRole) -> None:
    root = f"arn:aws:iam::{cloud.account_id}:root"
    target = make_role(trust={"Effect": "Allow", "Principal": {"AWS": root}})
    other = as_role(cloud, "sts", make_role())
    with pytest.raises(ClientError, match="no identity-based policy allows the sts:AssumeRole"):
        other.assume_role(RoleArn=target, RoleSessionName="me")
    allowed = as_role(cloud, "sts", make_role(("sts:AssumeRole", target)))
    assert allowed.assume_role(RoleArn=target, RoleSessionName="me")["Credentials"]
    caller = make_role()
    direct = make_role(trust={"Effect": "Allow", "Principal": {"AWS": caller}})
    assert as_role(cloud, "sts", caller).assume_role(RoleArn=direct, RoleSessionName="me")


def test_a_session_policy_takes_away(cloud: LocalCloud, make_role: MakeRole, bucket: str) -> None:
    root = f"arn:aws:iam::{cloud.account_id}:root"
    role = make_role(("s3:*", "*"), trust={"Effect": "Allow", "Principal": {"AWS": root}})
    credentials = cloud.client("sts").assume_role(
        RoleArn=role,
        RoleSessionName="me",
        Policy=policy({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}),
    )["Credentials"]
    s3 = with_credentials("s3", credentials)
    s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(ClientError, match="no session policy allows the s3:GetObject"):
        s3.get_object(Bucket=bucket, Key="releases/r1/a.json")


def test_a_confused_deputy_is_stopped(cloud: LocalCloud, make_role: MakeRole) -> None:
    machine = f"arn:aws:states:{cloud.region}:{cloud.account_id}:stateMachine:churn"
    role = make_role(
        trust={
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Condition": {
                "StringEquals": {"aws:SourceAccount": cloud.account_id},
                "ArnLike": {"aws:SourceArn": machine},
            },
        }
    )
    assert cloud.credentials(role, "states.amazonaws.com", source_arn=machine)
    for source in (f"{machine}-other", None):
        with pytest.raises(TrustError):
            cloud.credentials(role, "states.amazonaws.com", source_arn=source)


def test_the_token_belongs_to_the_key(cloud: LocalCloud, make_role: MakeRole) -> None:
    one = cloud.credentials(make_role(("sts:*", "*")), SERVICE)
    two = cloud.credentials(make_role(), SERVICE)
    mixed = Credentials(one.access_key, one.secret_key, two.session_token)
    client = boto3.client(
        "iam",
        aws_access_key_id=mixed.access_key,
        aws_secret_access_key=mixed.secret_key,
        aws_session_token=mixed.session_token,
    )
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client.list_roles()


# ------------------------------------------------------------------------------ resources' policies


def test_a_bucket_policy_denies_and_allows(cloud: LocalCloud, make_role: MakeRole) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(
        Bucket="guarded", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    s3.put_object(Bucket="guarded", Key="open/a", Body=b"a")
    s3.put_object(Bucket="guarded", Key="closed/a", Body=b"a")
    named, other = make_role(), make_role(("s3:*", "*"))
    s3.put_bucket_policy(
        Bucket="guarded",
        Policy=policy(
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::guarded", "arn:aws:s3:::guarded/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::guarded/closed/*",
            },
            {
                "Effect": "Allow",
                "Principal": {"AWS": named},
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::guarded/open/*",
            },
        ),
    )
    assert as_role(cloud, "s3", named).get_object(Bucket="guarded", Key="open/a")
    assert as_role(cloud, "s3", other).get_object(Bucket="guarded", Key="open/a")
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        as_role(cloud, "s3", other).get_object(Bucket="guarded", Key="closed/a")
    with pytest.raises(ClientError, match="no identity-based policy"):
        as_role(cloud, "s3", named).put_object(Bucket="guarded", Key="open/b", Body=b"")


def test_who_may_not_list_is_not_told_what_is_missing(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    blind = as_role(cloud, "s3", make_role(("s3:GetObject", "*")))
    seeing = as_role(cloud, "s3", make_role((["s3:GetObject", "s3:ListBucket"], "*")))
    with pytest.raises(ClientError, match="AccessDenied"):
        blind.get_object(Bucket=bucket, Key="nothing")
    with pytest.raises(ClientError, match="NoSuchKey"):
        seeing.get_object(Bucket=bucket, Key="nothing")


def test_encrypted_objects_need_their_key(cloud: LocalCloud, make_role: MakeRole) -> None:
    key = cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3 = cloud.client("s3")
    s3.create_bucket(
        Bucket="secret", CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    s3.put_bucket_encryption(
        Bucket="secret",
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": key,
                    },
                    "BucketKeyEnabled": True,
                }
            ]
        },
    )
    objects = ("s3:*", "*")
    neither = as_role(cloud, "s3", make_role(objects))
    writer = as_role(cloud, "s3", make_role(objects, ("kms:GenerateDataKey", key)))
    with pytest.raises(ClientError, match=rf"kms:GenerateDataKey on resource: {key}"):
        neither.put_object(Bucket="secret", Key="a", Body=b"a")
    writer.put_object(Bucket="secret", Key="a", Body=b"a")
    with pytest.raises(ClientError, match=rf"kms:Decrypt on resource: {key}"):
        writer.get_object(Bucket="secret", Key="a")
    with pytest.raises(ClientError, match=r"kms:GenerateDataKey|kms:Decrypt"):
        writer.copy_object(Bucket="secret", Key="b", CopySource="secret/a")
    reader = make_role(
        objects,
        statements=[
            {
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": key,
                "Condition": {
                    "StringEquals": {
                        "kms:ViaService": f"s3.{cloud.region}.amazonaws.com",
                        "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::secret",
                    }
                },
            }
        ],
    )
    assert as_role(cloud, "s3", reader).get_object(Bucket="secret", Key="a")["Body"].read() == b"a"
    with pytest.raises(ClientError, match="kms:Decrypt"):  # its condition wants S3 in between
        as_role(cloud, "kms", reader).decrypt(
            CiphertextBlob=cloud.client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        )


def test_a_key_policy_comes_first(cloud: LocalCloud, make_role: MakeRole) -> None:
    role = make_role(("kms:*", "*"))
    kms = cloud.client("kms")
    own = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    root = f"arn:aws:iam::{cloud.account_id}:root"
    opened = kms.create_key(Policy=policy({**own, "Principal": {"AWS": root}}))
    closed = kms.create_key(Policy=policy({**own, "Principal": {"AWS": f"{role}-other"}}))
    as_role(cloud, "kms", role).encrypt(KeyId=opened["KeyMetadata"]["KeyId"], Plaintext=b"x")
    with pytest.raises(ClientError, match="no resource-based policy allows the kms:Encrypt"):
        as_role(cloud, "kms", role).encrypt(KeyId=closed["KeyMetadata"]["Arn"], Plaintext=b"x")


def test_a_key_is_found_by_alias_and_by_what_it_encrypted(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    kms = cloud.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/churn", TargetKeyId=key["KeyId"])
    client = as_role(cloud, "kms", make_role((["kms:Encrypt", "kms:Decrypt"], key["Arn"])))
    blob = client.encrypt(KeyId="alias/churn", Plaintext=b"x")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_networks_are_told_apart_by_their_tags(cloud: LocalCloud, make_role: MakeRole) -> None:
    """By an association's id too, which carries no tags itself."""
    own = {"StringEquals": {"aws:ResourceTag/project": "mine"}}
    allowed = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": own}
    client = as_role(cloud, "ec2", make_role(statements=[allowed]))
    ec2 = cloud.client("ec2")
    for project, is_mine in (("mine", True), ("other", False)):
        tags = [{"Key": "project", "Value": project}]
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.create_tags(Resources=[vpc, subnet, table], Tags=tags)
        association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        which = {"AssociationId": association["AssociationId"]}
        assert is_allowed(client.disassociate_route_table, **which) is is_mine
        changes = {"VpcId": vpc, "EnableDnsSupport": {"Value": True}}
        assert is_allowed(client.modify_vpc_attribute, **changes) is is_mine


def test_a_stack_is_changed_by_the_template_that_its_tag_names(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    address = f"https://${{aws:ResourceTag/folder}}.s3.{cloud.region}.amazonaws.com/releases/*"
    condition = {"StringLike": {"cloudformation:TemplateUrl": address}}
    update = {"Effect": "Allow", "Action": "cloudformation:UpdateStack", "Resource": "*"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    role = make_role(statements=[{**update, "Condition": condition}, read])
    resource = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "a"}}
    stacks = cloud.client("cloudformation")
    body = json.dumps({"Resources": {"A": resource}})
    for name, folder in (("mine", bucket), ("other", "others")):
        tags = [{"Key": "folder", "Value": folder}]
        stacks.create_stack(StackName=name, TemplateBody=body, Tags=tags)
        stacks.get_waiter("stack_create_complete").wait(
            StackName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000}
        )
    for key in ("releases/prod.json", "data/prod.json"):
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body.encode())
    client = as_role(cloud, "cloudformation", role)
    url = f"https://{bucket}.s3.{cloud.region}.amazonaws.com/releases/prod.json"
    with pytest.raises(ClientError, match="No updates are to be performed"):  # so it is allowed
        client.update_stack(StackName="mine", TemplateURL=url)
    for name, asked in (
        ("mine", {"TemplateBody": body}),
        ("mine", {"UsePreviousTemplate": True}),
        ("mine", {"TemplateURL": url.replace("releases", "data")}),
        ("other", {"TemplateURL": url}),
    ):
        assert not is_allowed(client.update_stack, StackName=name, **asked), (name, asked)


def test_an_object_that_is_written_once_stays_as_it_is(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    replaces = {"Null": {"s3:if-none-match": "true"}}
    client = as_role(
        cloud,
        "s3",
        make_role(statements=[write, {**write, "Effect": "Deny", "Condition": replaces}]),
    )
    once = {"Bucket": bucket, "Key": "once"}
    assert not is_allowed(client.put_object, **once, Body=b"a")
    client.put_object(**once, Body=b"a", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(**once, Body=b"b", IfNoneMatch="*")


def test_objects_are_told_apart_by_their_tags(
    cloud: LocalCloud, make_role: MakeRole, bucket: str
) -> None:
    tagged = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": tagged}
    client = as_role(cloud, "s3", make_role(statements=[allowed]))
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="tagged-yes", Body=b"a", Tagging="public=yes")
    s3.put_object(Bucket=bucket, Key="tagged-no", Body=b"a", Tagging="public=no")
    s3.put_object(Bucket=bucket, Key="untagged", Body=b"a")
    assert is_allowed(client.get_object, Bucket=bucket, Key="tagged-yes")
    assert not is_allowed(client.get_object, Bucket=bucket, Key="tagged-no")
    assert not is_allowed(client.get_object, Bucket=bucket, Key="untagged")


def test_policy_documents_of_cloudformation_count(cloud: LocalCloud, bucket: str) -> None:
    """They arrive as objects, not as text."""
    trust = {"Effect": "Allow", "Principal": {"Service": SERVICE}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "of-a-stack",
            "AssumeRolePolicyDocument": json.loads(policy(trust)),
            "Policies": [{"PolicyName": "own", "PolicyDocument": json.loads(policy(allow))}],
        },
    }
    stacks = cloud.client("cloudformation")
    stacks.create_stack(
        StackName="roles",
        TemplateBody=json.dumps({"Resources": {"Role": role}}),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName="roles", WaiterConfig={"Delay": 0.02, "MaxAttempts": 1000}
    )
    arn = f"arn:aws:iam::{cloud.account_id}:role/of-a-stack"
    as_role(cloud, "s3", arn).list_objects_v2(Bucket=bucket)
    with pytest.raises(ClientError, match="s3:ListAllMyBuckets"):
        as_role(cloud, "s3", arn).list_buckets()


def test_a_bucket_of_another_account_is_closed_to_everybody(
    cloud: LocalCloud, make_role: MakeRole
) -> None:
    s3_backends["111111111111"]["aws"].create_bucket("theirs", cloud.region)
    role = make_role(("s3:*", "*"))
    for s3 in (
        cloud.client("s3"),
        cloud.client("s3", role_arn=role, service_principal="sagemaker.amazonaws.com"),
    ):
        for ask in (s3.head_bucket, s3.list_objects_v2, s3.delete_bucket):
            with pytest.raises(ClientError) as error:
                ask(Bucket="theirs")
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="bucket name is not available"):
        cloud.client("s3").create_bucket(
            Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": cloud.region}
        )
