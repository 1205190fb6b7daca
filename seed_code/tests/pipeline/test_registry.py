"""Which version is the champion, and what is written about versions."""

from __future__ import annotations

import datetime

import pytest

from mlsystem.errors import UserError
from pipeline import registry

GROUP = "churn-p-1"
ARN = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}"
NOW = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)


def version(number, release="r", since=""):
    known = {"release": release} | ({"in_production_since": since} if since else {})
    containers = [{"Image": "i", "ModelDataUrl": f"s3://b/releases/{release}/model/model.tar.gz"}]
    return {
        "number": number,
        "CustomerMetadataProperties": known,
        "InferenceSpecification": {"Containers": containers},
    }


def champion(aws, *versions):
    aws.packages(*versions)
    return registry.champion(registry.approved(aws("sagemaker"), GROUP))


def test_there_is_none_before_somebody_approves(aws):
    assert champion(aws) is None


def test_it_is_what_production_serves_and_not_what_is_newest(aws):
    """Release 3 was approved, and a guard took it back."""
    found = champion(
        aws, version(3), version(2, since="2026-11-20"), version(1, since="2026-11-01")
    )
    assert found.arn == f"{ARN}/2"


def test_after_a_return_it_is_the_earlier_release(aws):
    found = champion(aws, version(2, since="2026-11-01"), version(1, since="2026-11-20"))
    assert found.arn == f"{ARN}/1"


def test_where_nothing_was_in_production_it_is_the_newest(aws):
    assert champion(aws, version(2), version(1)).arn == f"{ARN}/2"


def test_one_without_an_archive_is_named(aws):
    found = champion(aws, {"number": 1, "InferenceSpecification": {"Containers": [{"Image": "i"}]}})
    with pytest.raises(UserError, match=f"{ARN}/1: approved, without an archive"):
        _ = found.archive_uri


def test_a_releases_version_is_found_whatever_its_status(aws):
    # Versions are read until it is found: the oldest is not.
    listed = [version(3, "r-3"), version(2, "r-2")]
    aws.packages(*listed, status=None)
    assert registry.of_release(aws("sagemaker"), GROUP, "r-2").arn == f"{ARN}/2"


def test_a_release_that_registered_none(aws):
    aws.packages(version(1, "r-1"), status=None)
    with pytest.raises(UserError, match="no version of release r-2"):
        registry.of_release(aws("sagemaker"), GROUP, "r-2")


def test_what_is_written(aws):
    package = registry.Package(f"{ARN}/1", "r", "", (), NOW)
    aws.answers(
        "sagemaker", "update_model_package", {"ModelPackageArn": package.arn},
        ModelPackageArn=package.arn, ModelApprovalStatus="Approved", ApprovalDescription="by Ada",
    )  # fmt: skip
    aws.answers(
        "sagemaker", "update_model_package", {"ModelPackageArn": package.arn},
        ModelPackageArn=package.arn,
        CustomerMetadataProperties={"in_production_since": "2026-11-20T09:00:00+00:00"},
    )  # fmt: skip
    registry.approve(aws("sagemaker"), package, "by Ada")
    registry.served(aws("sagemaker"), package, NOW)
