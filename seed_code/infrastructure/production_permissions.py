"""Who may do what in production: a role for each function, the endpoint, and who moves traffic.

Sources: `roles of functions <https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html>`_,
`functions in a network <https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html>`_,
`functions with a file system <https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html>`_,
`role of CodeDeploy <https://docs.aws.amazon.com/codedeploy/latest/userguide/getting-started-create-service-role.html>`_,
`data capture <https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html>`_.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, CfnCondition
from aws_cdk import aws_iam as iam
from constructs import Construct

from infrastructure.grants import (
    NAMES,
    NO_RESOURCE,
    RELEASES,
    Grant,
    Project,
    arn,
    make_role,
    make_sagemaker_role,
    may_publish_metrics,
    may_pull_image,
    may_read,
    may_write,
    trusted,
)
from infrastructure.production_release import Release

__all__ = ["api_role", "assets_role", "endpoint_role", "guard_role", "shift_role"]

_STREAMS = "Every stream of the one group: Lambda names them"
_VERSIONS = "Every version of the function, and its alias: Lambda numbers them"


def endpoint_role(scope: Construct, project: Project, condition: CfnCondition) -> iam.Role:
    """Return the role of the endpoints: reads models, keeps what is asked and answered.

    It outlives a release, as the endpoint of the one before does while traffic moves.
    """
    group = arn("logs", f"log-group:/aws/sagemaker/Endpoints/{project.name}-prod-*")
    return make_sagemaker_role(
        scope,
        project,
        "EndpointRole",
        [
            Grant(["s3:GetObject"], project.objects("releases/*/model/*"), RELEASES),
            may_write(project, "releases/*/capture/"),
            Grant(
                ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], [project.data_key_arn]
            ),
            Grant(
                [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                [group],
                NAMES,
            ),
            may_publish_metrics("/aws/sagemaker/Endpoints"),
            *may_pull_image(project),
        ],
        condition=condition,
    )


def api_role(
    scope: Construct, release: Release, file_system_arn: str, access_point_arn: str
) -> iam.Role:
    """Return the role of the API's function: asks endpoints, reads assets."""
    project = release.project
    return _function_role(
        scope,
        project,
        "ApiRole",
        "api",
        [
            Grant(["sagemaker:InvokeEndpoint"], project.sagemaker("endpoint", "-prod-*"), NAMES),
            _files(file_system_arn, access_point_arn, "elasticfilesystem:ClientMount"),
            *_in_network(release.function_arn),
        ],
    )


def assets_role(
    scope: Construct, release: Release, file_system_arn: str, access_point_arn: str
) -> iam.Role:
    """Return the role of the function that prepares assets: reads releases, writes assets."""
    project = release.project
    return _function_role(
        scope,
        project,
        "AssetsRole",
        "assets",
        [
            Grant(["s3:GetObject"], project.objects("releases/*"), RELEASES),
            may_write(project, "releases/*/deployment/"),
            Grant(["kms:Decrypt", "kms:GenerateDataKey"], [project.data_key_arn]),
            _files(
                file_system_arn,
                access_point_arn,
                "elasticfilesystem:ClientMount",
                "elasticfilesystem:ClientWrite",
            ),
            *_in_network(arn("lambda", f"function:{project.name}-assets")),
        ],
    )


def guard_role(scope: Construct, release: Release) -> iam.Role:
    """Return the role of the hooks: asks the release, and says whether it may go on, or go."""
    project = release.project
    group = arn("codedeploy", f"deploymentgroup:{release.stack_name}/{release.stack_name}")
    return _function_role(
        scope,
        project,
        "GuardRole",
        "*",
        [
            *may_read(project, "releases/"),
            may_write(project, "releases/*/deployment/"),
            # Of what it reads and writes, and of the topic.
            Grant(["kms:Decrypt", "kms:GenerateDataKey"], [project.data_key_arn, project.key_arn]),
            Grant(
                ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"],
                [
                    *project.sagemaker("endpoint", "-prod-*"),
                    *project.sagemaker("endpoint-config", "-prod-*"),
                ],
                NAMES,
            ),
            Grant(["lambda:InvokeFunction"], [f"{release.function_arn}:*"], _VERSIONS),
            Grant(["codedeploy:PutLifecycleEventHookExecutionStatus"], [group]),
            Grant(["cloudwatch:GetMetricStatistics"], ["*"], NO_RESOURCE),
            Grant(["sns:Publish"], [release.topic_arn]),
        ],
    )


def shift_role(scope: Construct, release: Release) -> iam.Role:
    """Return CodeDeploy's role: moves the alias, calls the hooks, looks at the alarms."""
    project = release.project
    group = arn("codedeploy", f"deploymentgroup:{release.stack_name}/*")
    return make_role(
        scope,
        project,
        "ShiftRole",
        trusted("codedeploy.amazonaws.com", group),
        [
            Grant(
                [
                    "lambda:GetAlias",
                    "lambda:GetProvisionedConcurrencyConfig",
                    "lambda:UpdateAlias",
                ],
                [release.function_arn, f"{release.function_arn}:*"],
                _VERSIONS,
            ),
            Grant(
                ["lambda:InvokeFunction"],
                [
                    arn("lambda", f"function:CodeDeployHook_{project.name}-{name}")
                    for name in ("before", "after")
                ],
            ),
            Grant(
                ["cloudwatch:DescribeAlarms"],
                [arn("cloudwatch", "alarm:*")],
                "CodeDeploy looks for alarms among all",
            ),
        ],
    )


# --- what functions have in common --------------------------------------------------------------


def _function_role(
    scope: Construct, project: Project, name: str, log: str, grants: Sequence[Grant]
) -> iam.Role:
    """Return a role of functions whose log groups are `log`.

    Lambda does not document that it says for whom it assumes a role: the account is checked when it
    is said. Nobody can hand Lambda a role of another account.
    """
    principal = iam.ServicePrincipal(
        "lambda.amazonaws.com",
        conditions={"StringEqualsIfExists": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
    )
    group = arn("logs", f"log-group:/aws/lambda/{project.name}-{log}:*")
    return make_role(
        scope,
        project,
        name,
        principal,
        [Grant(["logs:CreateLogStream", "logs:PutLogEvents"], [group], _STREAMS), *grants],
    )


def _files(file_system_arn: str, access_point_arn: str, *actions: str) -> Grant:
    return Grant(
        actions,
        [file_system_arn],
        conditions={"StringEquals": {"elasticfilesystem:AccessPointArn": access_point_arn}},
    )


def _in_network(function_arn: str) -> list[Grant]:
    """What Lambda needs to put a function into a network; the function itself may not use it.

    Lambda deletes interfaces of any name, so their ARN ends in a ``*``.
    """
    change = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:UnassignPrivateIpAddresses",
    ]
    read = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    return [
        Grant(
            change,
            [arn("ec2", "*/*")],
            "Lambda names the interfaces, and asks for the subnets and groups that they are in",
        ),
        Grant(read, ["*"], NO_RESOURCE),
        Grant(
            [*change, *read],
            ["*"],
            "A refusal: nothing is excepted",
            {"ArnEquals": {"lambda:SourceFunctionArn": function_arn}},
            iam.Effect.DENY,
        ),
    ]
