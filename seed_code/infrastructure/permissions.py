"""Who may do what: a role for each job, one for the endpoint, one for the workflow.

Each has the actions that it needs on the things of this project alone. A ``*`` stands where AWS
knows no resource for an action, or for the part of a name that a release chooses; the reason is
written beside it, and nothing but that ``*`` is acknowledged to cdk-nag.

Sources: `roles of SageMaker <https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html>`_,
`permissions of its API <https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html>`_,
`roles of Step Functions <https://docs.aws.amazon.com/step-functions/latest/dg/connect-sagemaker.html>`_,
`confused deputy <https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html>`_.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Acknowledgment, Aws, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import Construct

__all__ = [
    "Project",
    "endpoint_role",
    "evaluate_role",
    "prepare_role",
    "train_role",
    "workflow_role",
]

_RELEASES = "Any release's, within this project's bucket: releases are made after the role is"
_NAMES = "Any release's, of this project: their names start with the project's and the stage's"
_NO_RESOURCE = "AWS knows no resource for these actions"


@dataclass(frozen=True)
class Project:
    """What a project owns: values of the template's parameters."""

    name: str
    bucket: str
    key_arn: str
    repository: str
    boundary_arn: str
    """Permissions boundary of every role; may be what leaves the property out."""

    @property
    def role_path(self) -> str:
        """Where the project's roles are; whoever deploys may touch no others."""
        return f"/mlsystem/{self.name}/"

    @property
    def state_machine(self) -> str:
        """Name of the state machine, as in ``mlsystem.names``."""
        return f"{self.name}-training"

    @property
    def bucket_arn(self) -> str:
        """ARN of the data bucket."""
        return f"arn:{Aws.PARTITION}:s3:::{self.bucket}"

    @property
    def repository_arn(self) -> str:
        """ARN of the image's repository."""
        return _arn("ecr", f"repository/{self.repository}")

    def objects(self, *patterns: str) -> list[str]:
        """Return the ARNs of objects in the data bucket."""
        return [f"{self.bucket_arn}/{pattern}" for pattern in patterns]

    def sagemaker(self, kind: str, *names: str) -> list[str]:
        """Return the ARNs of things in SageMaker whose names begin with the project's."""
        return [_arn("sagemaker", f"{kind}/{self.name}{name}") for name in names]


@dataclass(frozen=True)
class _Grant:
    """Actions on resources; `why` says why a ``*`` is in the resources."""

    actions: Sequence[str]
    resources: Sequence[str]
    why: str = ""
    conditions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any("*" in resource for resource in self.resources) and not self.why:
            raise ValueError(f"{', '.join(self.actions)}: a * without a reason; say why")


# --- roles of jobs and endpoint -----------------------------------------------------------------


def prepare_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of PrepareData: reads data and settings, writes prepared data."""
    return _sagemaker_role(
        scope,
        project,
        "PrepareRole",
        [
            *_read(project, "data/", "releases/*/settings/"),
            _write(project, "releases/*/data/"),
            *_encryption(project),
            *_job_logs(project, "ProcessingJobs", "prepare"),
            *_image(project),
        ],
    )


def train_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of TrainModel: reads what it may learn from, never the test rows."""
    return _sagemaker_role(
        scope,
        project,
        "TrainRole",
        [
            *_read(
                project,
                "releases/*/data/train/",
                "releases/*/data/validation/",
                "releases/*/data/schema/",
            ),
            _write(project, "releases/*/model/"),
            *_encryption(project),
            *_job_logs(project, "TrainingJobs", "train"),
            *_image(project),
        ],
    )


def evaluate_role(scope: Construct, project: Project) -> iam.Role:
    """Return the role of EvaluateModel: reads data and models, writes its verdict."""
    return _sagemaker_role(
        scope,
        project,
        "EvaluateRole",
        [
            *_read(project, "releases/*/settings/", "releases/*/data/", "releases/*/model/"),
            _write(project, "releases/*/evaluation/"),
            *_encryption(project),
            *_job_logs(project, "ProcessingJobs", "evaluate"),
            *_image(project),
        ],
    )


def endpoint_role(scope: Construct, project: Project, endpoint_name: str) -> iam.Role:
    """Return the role of the endpoint of that name: reads models, and nothing else."""
    group = _arn("logs", f"log-group:/aws/sagemaker/Endpoints/{endpoint_name}")
    return _sagemaker_role(
        scope,
        project,
        "EndpointRole",
        [
            _Grant(["s3:GetObject"], project.objects("releases/*/model/*"), _RELEASES),
            _Grant(["kms:Decrypt", "kms:DescribeKey"], [project.key_arn]),
            _Grant(
                [
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                [group, f"{group}:*"],
                "Every log stream of the one group: SageMaker names them",
            ),
            _metrics("/aws/sagemaker/Endpoints"),
            *_image(project),
        ],
    )


def _read(project: Project, *folders: str) -> list[_Grant]:
    patterns = [f"{folder}*" for folder in folders]
    return [
        _Grant(["s3:GetObject"], project.objects(*patterns), _RELEASES),
        _Grant(
            ["s3:ListBucket"],
            [project.bucket_arn],
            conditions={"StringLike": {"s3:prefix": patterns}},
        ),
    ]


def _write(project: Project, folder: str) -> _Grant:
    actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
    return _Grant(actions, project.objects(f"{folder}*"), _RELEASES)


def _encryption(project: Project) -> list[_Grant]:
    """Objects in the bucket, and the volume of the job's machine.

    The grant for the volume carries no condition ``kms:GrantIsForAWSResource``: SageMaker is not
    among the services that set it.
    """
    return [
        _Grant(
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


def _job_logs(project: Project, kind: str, stage: str) -> list[_Grant]:
    """The log group is the account's; a job's streams carry its name."""
    group = _arn("logs", f"log-group:/aws/sagemaker/{kind}")
    return [
        _Grant(
            ["logs:CreateLogGroup", "logs:DescribeLogStreams"],
            [group, f"{group}:*"],
            "CloudWatch Logs names a group by its streams, which SageMaker names",
        ),
        _Grant(
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"{group}:log-stream:{project.name}-{stage}-*"],
            _NAMES,
        ),
        _metrics(f"/aws/sagemaker/{kind}"),
    ]


def _metrics(namespace: str) -> _Grant:
    return _Grant(
        ["cloudwatch:PutMetricData"],
        ["*"],
        "Metrics are not resources; the condition names the only namespace",
        {"StringEquals": {"cloudwatch:namespace": namespace}},
    )


def _image(project: Project) -> list[_Grant]:
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        _Grant(pull, [project.repository_arn]),
        _Grant(["ecr:GetAuthorizationToken"], ["*"], f"{_NO_RESOURCE}; it is the registry's"),
    ]


# --- role of the workflow -----------------------------------------------------------------------


def workflow_role(scope: Construct, project: Project, passed: Sequence[iam.Role]) -> iam.Role:
    """Return the role of the state machine, which may hand the roles `passed` to SageMaker."""
    machine = _arn("states", f"stateMachine:{project.state_machine}")
    return _role(
        scope,
        project,
        "WorkflowRole",
        _trusted("states.amazonaws.com", machine),
        [
            *_jobs(project),
            *_registry(project),
            *_hosting(project),
            _tags(project),
            _Grant(
                ["iam:PassRole"],
                [role.role_arn for role in passed],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            _Grant(
                ["s3:GetObject"],
                project.objects("releases/*/evaluation/evaluation.json"),
                _RELEASES,
            ),
            *_observation(),
        ],
    )


def _jobs(project: Project) -> list[_Grant]:
    """Start, watch and stop; Step Functions hears of a job's end by rules that it manages."""
    rules = ("ProcessingJobs", "TrainingJobs")
    return [
        _Grant(
            [
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:StopProcessingJob",
            ],
            project.sagemaker("processing-job", "-prepare-*", "-evaluate-*"),
            _NAMES,
        ),
        _Grant(
            [
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
            ],
            project.sagemaker("training-job", "-train-*"),
            _NAMES,
        ),
        _Grant(
            ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            [
                _arn("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}Rule")
                for kind in rules
            ],
        ),
    ]


def _registry(project: Project) -> list[_Grant]:
    """Register a version; SageMaker reads archive and image with the permissions of the caller."""
    groups = project.sagemaker("model-package-group", "")
    versions = project.sagemaker("model-package", "/*")
    return [
        _Grant(["sagemaker:CreateModelPackageGroup"], groups),
        _Grant(
            ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"],
            [*groups, *versions],
            "Every version in the project's group: SageMaker numbers them",
        ),
        _Grant(["s3:GetObject"], project.objects("releases/*/model/*"), _RELEASES),
        _Grant(
            ["kms:Decrypt"],
            [project.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{Aws.REGION}.{Aws.URL_SUFFIX}"}},
        ),
        _Grant(["ecr:BatchGetImage", "ecr:DescribeImages"], [project.repository_arn]),
    ]


def _hosting(project: Project) -> list[_Grant]:
    """The grant is for the endpoint's volumes, which AWS encrypts for who creates the endpoint."""
    configs = project.sagemaker("endpoint-config", "-config-*")
    endpoint = project.sagemaker("endpoint", "")
    return [
        _Grant(["sagemaker:CreateModel"], project.sagemaker("model", "-model-*"), _NAMES),
        _Grant(["sagemaker:CreateEndpointConfig"], configs, _NAMES),
        _Grant(
            ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            [*endpoint, *configs],
            _NAMES,
        ),
        _Grant(["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], endpoint),
        _Grant(["kms:CreateGrant", "kms:DescribeKey"], [project.key_arn]),
    ]


def _tags(project: Project) -> _Grant:
    return _Grant(
        ["sagemaker:AddTags", "sagemaker:ListTags"],
        [
            *project.sagemaker("processing-job", "-prepare-*", "-evaluate-*"),
            *project.sagemaker("training-job", "-train-*"),
            *project.sagemaker("model", "-model-*"),
            *project.sagemaker("endpoint-config", "-config-*"),
            *project.sagemaker("endpoint", ""),
            *project.sagemaker("model-package-group", ""),
        ],
        _NAMES,
    )


def _observation() -> list[_Grant]:
    """Source: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy."""
    return [
        _Grant(
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
            f"{_NO_RESOURCE}; Step Functions delivers the workflow's log with them",
        ),
        _Grant(
            [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            ["*"],
            _NO_RESOURCE,
        ),
    ]


# --- from grants to roles -----------------------------------------------------------------------


def _arn(service: str, rest: str) -> str:
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{rest}"


def _trusted(service: str, source_arn: str) -> iam.IPrincipal:
    """Return the service, on behalf of this account's things alone."""
    return iam.ServicePrincipal(
        service,
        conditions={
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": source_arn},
        },
    )


def _sagemaker_role(
    scope: Construct, project: Project, name: str, grants: Sequence[_Grant]
) -> iam.Role:
    principal = _trusted("sagemaker.amazonaws.com", _arn("sagemaker", "*"))
    return _role(scope, project, name, principal, grants)


def _role(
    scope: Construct,
    project: Project,
    name: str,
    principal: iam.IPrincipal,
    grants: Sequence[_Grant],
) -> iam.Role:
    statements = [
        iam.PolicyStatement(
            actions=list(grant.actions),
            resources=list(grant.resources),
            conditions=grant.conditions or None,
        )
        for grant in grants
    ]
    role = iam.Role(
        scope,
        name,
        assumed_by=principal,
        path=project.role_path,
        permissions_boundary=iam.ManagedPolicy.from_managed_policy_arn(
            scope, f"{name}Boundary", project.boundary_arn
        ),
        inline_policies={name: iam.PolicyDocument(statements=statements)},
    )
    for grant in grants:
        _acknowledge(role, grant)
    return role


def _acknowledge(role: iam.Role, grant: _Grant) -> None:
    for resource in grant.resources:
        if "*" in resource:
            finding = f"AwsSolutions-IAM5[Resource::{_as_in_template(role, resource)}]"
            acknowledgment = Acknowledgment(id=finding, reason=grant.why)
            Validations.of(role).acknowledge(acknowledgment)


def _as_in_template(role: iam.Role, text: str) -> str:
    """Return `text` as cdk-nag writes it: a parameter's value as ``<Name>``."""
    resolved = Stack.of(role).resolve(text)
    parts = resolved["Fn::Join"][1] if isinstance(resolved, dict) else [resolved]
    return "".join(f"<{part['Ref']}>" if isinstance(part, dict) else part for part in parts)
