"""What calls need, against the Service Authorization Reference."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from local_cloud.actions import _TABLES, Need, needs
from local_cloud.errors import UnsupportedError
from local_cloud.release_actions import DEPLOYMENT_GROUPS
from local_cloud.requests import Call
from local_cloud.services import SERVICES

REGION, ACCOUNT = "xx-local-1", "000000000000"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
CODEDEPLOY = f"arn:aws:codedeploy:{REGION}:{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/job"


def needed(service: str, operation: str, **parameters: Any) -> list[Need]:
    return needs(Call(service, operation, parameters), REGION, ACCOUNT)


def pairs(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    return [(need.action, need.resource) for need in needed(service, operation, **parameters)]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        (
            "s3",
            "GetObject",
            {"Bucket": "b", "Key": "a/b"},
            [("s3:GetObject", "arn:aws:s3:::b/a/b")],
        ),
        (
            "s3",
            "GetObject",
            {"Bucket": "b", "Key": "k", "VersionId": "1"},
            [("s3:GetObject", "arn:aws:s3:::b/k"), ("s3:GetObjectVersion", "arn:aws:s3:::b/k")],
        ),
        (
            "s3",
            "HeadObject",
            {"Bucket": "b", "Key": "k"},
            [("s3:GetObject", "arn:aws:s3:::b/k")],
        ),
        ("s3", "ListObjectsV2", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("s3", "HeadBucket", {"Bucket": "b"}, [("s3:ListBucket", "arn:aws:s3:::b")]),
        ("s3", "ListBuckets", {}, [("s3:ListAllMyBuckets", "*")]),
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k", "Tagging": "a=b", "ACL": "private"},
            [
                ("s3:PutObject", "arn:aws:s3:::b/k"),
                ("s3:PutObjectTagging", "arn:aws:s3:::b/k"),
                ("s3:PutObjectAcl", "arn:aws:s3:::b/k"),
            ],
        ),
        (
            "s3",
            "CopyObject",
            {"Bucket": "b", "Key": "k", "CopySource": "/a/x%20y?versionId=1"},
            [("s3:GetObject", "arn:aws:s3:::a/x y"), ("s3:PutObject", "arn:aws:s3:::b/k")],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "b", "Delete": {"Objects": [{"Key": "x"}, {"Key": "y"}]}},
            [("s3:DeleteObject", "arn:aws:s3:::b/x"), ("s3:DeleteObject", "arn:aws:s3:::b/y")],
        ),
        (
            "sagemaker",
            "CreateTrainingJob",
            {"TrainingJobName": "Churn-1", "RoleArn": ROLE, "Tags": [{"Key": "a", "Value": "b"}]},
            [
                ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/churn-1"),
                ("sagemaker:AddTags", f"{SAGEMAKER}:training-job/churn-1"),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "sagemaker",
            "CreateModel",
            {"ModelName": "m", "ExecutionRoleArn": ROLE},
            [("sagemaker:CreateModel", f"{SAGEMAKER}:model/m"), ("iam:PassRole", ROLE)],
        ),
        (
            "sagemaker",
            "CreateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c"},
            [
                ("sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/e"),
                ("sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint-config/c"),
            ],
        ),
        (
            "sagemaker",
            "CreateModelPackage",
            {"ModelPackageGroupName": "g"},
            [
                ("sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package/g/*"),
                ("sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package-group/g"),
            ],
        ),
        (
            "sagemaker",
            "UpdateModelPackage",
            {"ModelPackageArn": f"{SAGEMAKER}:model-package/g/3"},
            [("sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/g/3")],
        ),
        ("sagemaker", "ListModelPackages", {}, [("sagemaker:ListModelPackages", "*")]),
        (
            "sagemaker-runtime",
            "InvokeEndpoint",
            {"EndpointName": "e"},
            [("sagemaker:InvokeEndpoint", f"{SAGEMAKER}:endpoint/e")],
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "/g", "tags": {"a": "b"}},
            [
                (
                    "logs:CreateLogGroup",
                    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g:log-stream:",
                ),
                ("logs:TagResource", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g:log-stream:"),
            ],
        ),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "/g", "logStreamName": "s"},
            [("logs:PutLogEvents", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/g:log-stream:s")],
        ),
        (
            "stepfunctions",
            "CreateStateMachine",
            {"name": "m", "roleArn": ROLE, "definition": "{}"},
            [
                (
                    "states:CreateStateMachine",
                    f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m",
                ),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "ssm",
            "GetParameter",
            {"Name": "/churn/watermark"},
            [("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/churn/watermark")],
        ),
        ("sts", "GetCallerIdentity", {}, []),
        ("ecr", "GetAuthorizationToken", {}, [("ecr:GetAuthorizationToken", "*")]),
        (
            "cloudwatch",
            "PutMetricAlarm",
            {"AlarmName": "a", "Tags": [{"Key": "k", "Value": "v"}]},
            [
                ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:a"),
                ("cloudwatch:TagResource", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:a"),
            ],
        ),
        (
            "cloudwatch",
            "DescribeAlarms",
            {},
            [("cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:*")],
        ),
        (
            "cloudwatch",
            "PutDashboard",
            {"DashboardName": "d"},
            [("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/d")],
        ),
        (
            "codedeploy",
            "CreateDeployment",
            {"applicationName": "a", "deploymentGroupName": "g", "deploymentConfigName": "c"},
            [
                ("codedeploy:CreateDeployment", f"{CODEDEPLOY}:deploymentgroup:a/g"),
                ("codedeploy:GetDeploymentConfig", f"{CODEDEPLOY}:deploymentconfig:c"),
            ],
        ),
        (
            "codedeploy",
            "CreateDeploymentGroup",
            {"applicationName": "a", "deploymentGroupName": "g", "serviceRoleArn": ROLE},
            [
                ("codedeploy:CreateDeploymentGroup", f"{CODEDEPLOY}:deploymentgroup:a/g"),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "codedeploy",
            "PutLifecycleEventHookExecutionStatus",
            {"deploymentId": "d-known"},
            [
                (
                    "codedeploy:PutLifecycleEventHookExecutionStatus",
                    f"{CODEDEPLOY}:deploymentgroup:a/g",
                )
            ],
        ),
    ],
)
def test_needs(
    service: str,
    operation: str,
    parameters: dict[str, Any],
    expected: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DEPLOYMENT_GROUPS, "d-known", "a/g")
    assert pairs(service, operation, **parameters) == expected


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "p/"}, {"s3:prefix": ("p/",)}),
        (
            "sagemaker",
            "CreateTrainingJob",
            {
                "TrainingJobName": "t",
                "ResourceConfig": {"InstanceType": "ml.m5.large", "VolumeKmsKeyId": "k"},
                "VpcConfig": {"Subnets": ["s1", "s2"], "SecurityGroupIds": ["g"]},
                "EnableNetworkIsolation": True,
                "Tags": [{"Key": "Release", "Value": "r1"}],
            },
            {
                "aws:requesttag/release": ("r1",),
                "aws:tagkeys": ("Release",),
                "sagemaker:instancetypes": ("ml.m5.large",),
                "sagemaker:volumekmskey": ("k",),
                "sagemaker:vpcsubnets": ("s1", "s2"),
                "sagemaker:vpcsecuritygroupids": ("g",),
                "sagemaker:networkisolation": ("true",),
            },
        ),
        ("sagemaker", "CreateModel", {"ModelName": "m"}, {}),
        ("cloudwatch", "PutMetricData", {"Namespace": "n"}, {"cloudwatch:namespace": ("n",)}),
        (
            "cloudformation",
            "UpdateStack",
            {"StackName": "s", "TemplateURL": "https://a", "RoleARN": "arn:r"},
            {"cloudformation:templateurl": ("https://a",), "cloudformation:rolearn": ("arn:r",)},
        ),
        (
            "application-autoscaling",
            "RegisterScalableTarget",
            {"ServiceNamespace": "sagemaker"},
            {"application-autoscaling:service-namespace": ("sagemaker",)},
        ),
    ],
)
def test_context(
    service: str,
    operation: str,
    parameters: dict[str, Any],
    expected: dict[str, tuple[str, ...]],
) -> None:
    assert needed(service, operation, **parameters)[0].context == expected


def test_a_role_is_passed_to_the_service_that_gets_it() -> None:
    *_, passing = needed("sagemaker", "CreateModel", ModelName="m", ExecutionRoleArn=ROLE)
    assert passing == Need(
        "iam:PassRole", ROLE, {"iam:passedtoservice": ("sagemaker.amazonaws.com",)}
    )
    *_, passing = needed("stepfunctions", "UpdateStateMachine", stateMachineArn="a", roleArn=ROLE)
    assert passing.context == {"iam:passedtoservice": ("states.amazonaws.com",)}


def test_what_nobody_has_written_down_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"sagemaker:CreateNotebookInstance .* with a role"):
        needed("sagemaker", "CreateNotebookInstance")


#: Verb and kind are combined for every kind; these combinations do not exist.
IMAGINARY = {
    "DeleteProcessingJob", "DeleteTrainingJob", "DeleteTransformJob", "StopEndpoint",
    "StopEndpointConfig", "StopExperiment", "StopModel", "StopModelPackageGroup", "StopProject",
    "UpdateEndpointConfig", "UpdateModel", "UpdateModelPackageGroup", "UpdateProcessingJob",
    "UpdateTransformJob",
}  # fmt: skip


def test_every_operation_of_the_tables_exists() -> None:
    session = botocore.session.get_session()
    assert set(_TABLES) == {service for services in SERVICES.values() for service in services}
    for service, (_, rules) in _TABLES.items():
        known = session.get_service_model(service).operation_names
        assert set(rules) - set(known) - IMAGINARY == set(), service
