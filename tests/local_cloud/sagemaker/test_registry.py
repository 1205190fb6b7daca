"""Models and model packages: only what is there, may be read, and was approved is deployed."""

import itertools

import pytest
from botocore.exceptions import ClientError

_NUMBERS = itertools.count()


@pytest.fixture
def group(account) -> str:
    """A new model package group."""
    name = f"Group-{next(_NUMBERS)}"
    account.client.create_model_package_group(ModelPackageGroupName=name)
    return name


def package(account, group: str, **changes) -> str:
    """Register a version; return its ARN."""
    url = account.put(f"packages/{group}.tar.gz", b"archive")
    inference = {
        "Containers": [{"Image": account.image_uri, "ModelDataUrl": url}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    answer = account.client.create_model_package(
        **{
            "ModelPackageGroupName": group,
            "InferenceSpecification": inference,
            "ModelApprovalStatus": "Approved",
            **changes,
        }
    )
    return str(answer["ModelPackageArn"])


def model_of(account, arn: str, **changes) -> None:
    account.client.create_model(
        **{
            "ModelName": f"m-{arn[-1]}-{abs(hash(arn))}",
            "ExecutionRoleArn": account.role_arn,
            "PrimaryContainer": {"ModelPackageName": arn},
            **changes,
        }
    )


# -------------------------------------------------------------------------------- packages


def test_versions_are_numbered_and_keep_what_was_said(account, group):
    quality = {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e"}}
    metrics = {"ModelQuality": quality}
    first = package(account, group)
    second = package(
        account, group, CustomerMetadataProperties={"auc": "0.9"}, ModelMetrics=metrics
    )
    assert first.endswith(f"model-package/{group.lower()}/1")
    assert second.endswith(f"model-package/{group.lower()}/2")
    described = account.client.describe_model_package(ModelPackageName=second)
    assert described["ModelPackageVersion"] == 2
    assert described["CustomerMetadataProperties"] == {"auc": "0.9"}
    assert described["ModelMetrics"] == metrics
    listed = account.client.list_model_packages(ModelPackageGroupName=group)
    arns = {entry["ModelPackageArn"] for entry in listed["ModelPackageSummaryList"]}
    assert arns == {first, second}


def test_number_of_a_deleted_version_is_not_given_again_while_a_later_one_is_there(account, group):
    first, second = package(account, group), package(account, group)
    account.client.delete_model_package(ModelPackageName=first)
    assert package(account, group).endswith("/3")
    assert second


def test_same_request_sent_again_makes_no_second_version(account, group):
    once = package(account, group, ClientToken="token-1")
    assert package(account, group, ClientToken="token-1") == once
    assert package(account, group, ClientToken="token-2") != once


def test_version_waits_for_approval_unless_told_otherwise(account, group):
    url = account.put("packages/pending.tar.gz", b"archive")
    container = {"Image": account.image_uri, "ModelDataUrl": url}
    inference = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    arn = account.client.create_model_package(
        ModelPackageGroupName=group, InferenceSpecification=inference
    )["ModelPackageArn"]
    described = account.client.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


@pytest.mark.parametrize("status", ["PendingManualApproval", "Rejected"])
def test_version_that_is_not_approved_is_not_deployed(account, group, status):
    arn = package(account, group, ModelApprovalStatus=status)
    with pytest.raises(ClientError, match=f"ValidationException.*approval status {status}"):
        model_of(account, arn)
    account.client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    model_of(account, arn)


def test_approval_that_is_withdrawn_stops_the_next_deployment(account, group):
    arn = package(account, group)
    model_of(account, arn, ModelName="withdrawn")
    account.client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    config = account.config("withdrawn")
    account.client.create_endpoint(EndpointName="withdrawn", EndpointConfigName=config)
    description = account.settled("withdrawn")
    assert description["EndpointStatus"] == "Failed"
    assert "approval status Rejected" in description["FailureReason"]


def test_package_serves_with_its_environment_and_the_models(account, group):
    url = account.put("packages/served.tar.gz", account.archive("packaged"))
    environment = {"LEVEL": "package", "KEPT": "yes"}
    container = {"Image": account.image_uri, "ModelDataUrl": url, "Environment": environment}
    inference = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    arn = package(account, group, InferenceSpecification=inference)
    primary = {"ModelPackageName": arn, "Environment": {"LEVEL": "model"}}
    model_of(account, arn, ModelName="packaged", PrimaryContainer=primary)
    endpoint = account.endpoint(account.config("packaged"))
    answer = account.ask(endpoint)
    assert answer["release"] == "packaged"
    assert answer["environment"]["LEVEL"] == "model"
    assert answer["environment"]["KEPT"] == "yes"


def test_update_leaves_what_it_does_not_mention(account, group):
    arn = package(account, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    client = account.client
    client.update_model_package(ModelPackageArn=arn, ApprovalDescription="by hand")
    client.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"c": "3"},
        CustomerMetadataPropertiesToRemove=["a"],
    )
    described = client.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "by hand"
    assert described["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    assert described["LastModifiedTime"]


def test_package_of_what_is_not_there_is_refused(account, group):
    container = {"Image": account.image_uri, "ModelDataUrl": "s3://data/no/such.tar.gz"}
    specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    with pytest.raises(ClientError, match="Could not find model data at s3://data/no/such"):
        package(account, group, InferenceSpecification=specification)
    container["Image"] = f"{account.image_uri.partition('@')[0]}:no"
    with pytest.raises(ClientError, match=r"Requested image .*:no not found"):
        package(account, group, InferenceSpecification=specification)


def test_groups(account, group):
    client = account.client
    with pytest.raises(ClientError, match="already exists"):
        client.create_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=r"ResourceNotFound.*no-such-group"):
        package(account, "no-such-group")
    with pytest.raises(ClientError, match="has the tags of its Model Package Group"):
        package(account, group, Tags=[{"Key": "a", "Value": "b"}])
    arn = package(account, group)
    with pytest.raises(ClientError, match=r"ConflictException.*has model packages"):
        client.delete_model_package_group(ModelPackageGroupName=group)
    client.delete_model_package(ModelPackageName=arn)
    with pytest.raises(ClientError, match="does not exist"):
        client.update_model_package(ModelPackageArn=arn, ApprovalDescription="x")
    client.delete_model_package_group(ModelPackageGroupName=group)


def test_group_given_by_arn(account, group):
    arn = account.client.describe_model_package_group(ModelPackageGroupName=group)
    assert package(account, arn["ModelPackageGroupArn"]).endswith(f"{group.lower()}/1")


def test_what_is_not_honoured_is_refused_by_name(account, group):
    with pytest.raises(ClientError, match=r"LocalCloudUnsupported.*parameter SkipModelValidation"):
        package(account, group, SkipModelValidation="All")


# -------------------------------------------------------------------------------- models


def test_model_is_described_as_it_was_made(account):
    name = account.model("x", EnableNetworkIsolation=True)
    described = account.client.describe_model(ModelName=name)
    assert described["EnableNetworkIsolation"] is True
    assert described["PrimaryContainer"]["Image"] == account.image_uri
    assert described["ExecutionRoleArn"] == account.role_arn
    assert "Containers" not in described
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        account.model("x", ModelName=name)
    account.client.delete_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model"):
        account.client.describe_model(ModelName=name)


def test_model_needs_image_and_data_that_exist(account):
    def container(**changes):
        return {"PrimaryContainer": {"Image": account.image_uri, **changes}}

    tag = f"{account.image_uri.partition('@')[0]}:none"
    with pytest.raises(ClientError, match=f"ValidationException.*Requested image {tag} not found"):
        account.model("x", **container(Image=tag))
    with pytest.raises(ClientError, match="Could not find model data at s3://data/nothing"):
        account.model("x", **container(ModelDataUrl="s3://data/nothing.tar.gz"))
    with pytest.raises(ClientError, match="exactly one"):
        account.model("x", Containers=[{"Image": account.image_uri}])


def test_model_needs_a_role_that_may_read_its_data_and_pull_its_image(account, make_role):
    ecr, s3 = ("ecr:*", "*"), ("s3:GetObject", "*")
    with pytest.raises(ClientError, match="Could not access model data"):
        account.model("x", ExecutionRoleArn=make_role(ecr))
    with pytest.raises(ClientError, match="ecr:BatchGetImage"):
        account.model("x", ExecutionRoleArn=make_role(s3, ("ecr:GetAuthorizationToken", "*")))
    with pytest.raises(ClientError, match="Could not assume role"):
        account.model("x", ExecutionRoleArn=make_role(ecr, s3, service="lambda.amazonaws.com"))
    account.model("x", ExecutionRoleArn=make_role(ecr, s3))
