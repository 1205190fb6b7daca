"""Who may do what: a role for each job, one for the endpoint, one for the workflow.

Each has the actions that it needs on the things of this project alone. A ``*`` stands where AWS
knows no resource for an action, or for the part of a name that a release chooses.

Sources: `roles of SageMaker <https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html>`_,
`permissions of its API <https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html>`_,
`roles of Step Functions <https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html>`_.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
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

__all__ = ["endpoint_role", "evaluate_role", "prepare_role", "train_role", "workflow_role"]


# --- roles of jobs and endpoint -----------------------------------------------------------------


def prepare_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of PrepareData: reads data and settings, writes prepared data."""
    return make_sagemaker_role(
        scope,
        project,
        "PrepareRole",
        [
            *may_read(project, "data/", "repository-data/", "releases/*/settings/"),
            may_write(project, "releases/*/data/"),
            *_encryption(project),
            *_job_logs(project, "ProcessingJobs", "prepare"),
            *may_pull_image(project),
        ],
    )


def train_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of TrainModel: reads what it may learn from, never the test rows."""
    return make_sagemaker_role(
        scope,
        project,
        "TrainRole",
        [
            *may_read(
                project,
                "releases/*/data/train/",
                "releases/*/data/validation/",
                "releases/*/data/schema/",
            ),
            may_write(project, "releases/*/model/"),
            *_encryption(project),
            *_job_logs(project, "TrainingJobs", "train"),
            *may_pull_image(project),
        ],
    )


def evaluate_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of EvaluateModel: reads data and models, writes its verdict."""
    return make_sagemaker_role(
        scope,
        project,
        "EvaluateRole",
        [
            *may_read(project, "releases/*/settings/", "releases/*/data/", "releases/*/model/"),
            may_write(project, "releases/*/evaluation/"),
            *_encryption(project),
            *_job_logs(project, "ProcessingJobs", "evaluate"),
            *may_pull_image(project),
        ],
    )


def endpoint_role(scope: Construct, project: Project, endpoint_name: str) -> iam.Role:
    """Return the role of the endpoint of that name: reads models, and nothing else."""
    group = arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint_name}")
    return make_sagemaker_role(
        scope,
        project,
        "EndpointRole",
        [
            Grant(["s3:GetObject"], project.objects("releases/*/model/*"), RELEASES),
            Grant(["kms:Decrypt", "kms:DescribeKey"], [project.key_arn]),
            Grant(
                [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                [group, f"{group}:*"],
                "Every log stream of the one group: SageMaker names them",
            ),
            may_publish_metrics("/aws/sagemaker/Endpoints"),
            *may_pull_image(project),
        ],
    )


def _encryption(project: Project) -> list[Grant]:
    """Objects in the bucket, and the volume of the job's machine.

    The grant for the volume carries no condition ``kms:GrantIsForAWSResource``: SageMaker is not
    among the services that set it.
    """
    return [
        Grant(
            [
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKey",
            ],
            [project.key_arn],
        )
    ]


def _job_logs(project: Project, kind: str, stage: str) -> list[Grant]:
    """The log group is the account's; a job's streams carry its name."""
    group = arn("logs", f"log-group:/aws/sagemaker/{kind}")
    return [
        Grant(
            ["logs:CreateLogGroup", "logs:DescribeLogStreams"],
            [group, f"{group}:*"],
            "CloudWatch Logs names a group by its streams, which SageMaker names",
        ),
        Grant(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"{group}:log-stream:{project.name}-{stage}-*"],
            NAMES,
        ),
        may_publish_metrics(f"/aws/sagemaker/{kind}"),
    ]


# --- role of the workflow -----------------------------------------------------------------------


def workflow_role(scope: Construct, project: Project, passed: Sequence[iam.Role]) -> iam.Role:
    """Return the role of the state machine, which may hand the roles `passed` to SageMaker."""
    machine = arn("states", f"stateMachine:{project.state_machine}")
    return make_role(
        scope,
        project,
        "WorkflowRole",
        trusted("states.amazonaws.com", machine),
        [
            *_jobs(project),
            *_registry(project),
            *_hosting(project),
            _tags(project),
            Grant(
                ["iam:PassRole"],
                [role.role_arn for role in passed],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            Grant(
                ["s3:GetObject"],
                project.objects("releases/*/evaluation/evaluation.json"),
                RELEASES,
            ),
            *_observation(),
        ],
    )


def _jobs(project: Project) -> list[Grant]:
    """Start, watch and stop; Step Functions hears of a job's end by rules that it manages."""
    rules = ("ProcessingJobs", "TrainingJobs")
    return [
        Grant(
            [
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:StopProcessingJob",
            ],
            project.sagemaker("processing-job", "-prepare-*", "-evaluate-*"),
            NAMES,
        ),
        Grant(
            [
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
            ],
            project.sagemaker("training-job", "-train-*"),
            NAMES,
        ),
        Grant(
            ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            [arn("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}Rule") for kind in rules],
        ),
    ]


def _registry(project: Project) -> list[Grant]:
    """Register a version; SageMaker reads archive and image with the permissions of the caller."""
    groups = project.sagemaker("model-package-group", "")
    versions = project.sagemaker("model-package", "/*")
    return [
        Grant(["sagemaker:CreateModelPackageGroup"], groups),
        Grant(
            ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"],
            [*groups, *versions],
            "Every version in the project's group: SageMaker numbers them",
        ),
        Grant(["s3:GetObject"], project.objects("releases/*/model/*"), RELEASES),
        Grant(
            ["kms:Decrypt"],
            [project.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{Aws.REGION}.{Aws.URL_SUFFIX}"}},
        ),
        Grant(["ecr:BatchGetImage", "ecr:DescribeImages"], [project.repository_arn]),
    ]


def _hosting(project: Project) -> list[Grant]:
    """The grant is for the endpoint's volumes, which AWS encrypts for who creates the endpoint."""
    configs = project.sagemaker("endpoint-config", "-config-*")
    endpoint = project.sagemaker("endpoint", "")
    return [
        Grant(["sagemaker:CreateModel"], project.sagemaker("model", "-model-*"), NAMES),
        Grant(["sagemaker:CreateEndpointConfig"], configs, NAMES),
        Grant(
            ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            [*endpoint, *configs],
            NAMES,
        ),
        Grant(["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], endpoint),
        Grant(["kms:CreateGrant", "kms:DescribeKey"], [project.key_arn]),
    ]


def _tags(project: Project) -> Grant:
    return Grant(
        ["sagemaker:AddTags", "sagemaker:ListTags"],
        [
            *project.sagemaker("processing-job", "-prepare-*", "-evaluate-*"),
            *project.sagemaker("training-job", "-train-*"),
            *project.sagemaker("model", "-model-*"),
            *project.sagemaker("endpoint-config", "-config-*"),
            *project.sagemaker("endpoint", ""),
            *project.sagemaker("model-package-group", ""),
        ],
        NAMES,
    )


def _observation() -> list[Grant]:
    """Source: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy."""
    return [
        Grant(
            [
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ],
            ["*"],
            f"{NO_RESOURCE}; Step Functions delivers the workflow's log with them",
        ),
        Grant(
            [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            ["*"],
            NO_RESOURCE,
        ),
    ]
