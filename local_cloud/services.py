"""Which AWS services are here, and which of their operations are refused.

A service that is not in the table, and an operation that is refused, is answered with an error that
names it. The table is an allow list: what moto can store but nothing here executes (a composite
alarm that never fires, a metric filter that never counts) would be ignored silently, so it is
refused.
"""

from __future__ import annotations

from local_cloud.parity import Parity

__all__ = ["PARITY", "REFUSED", "SERVICES"]

#: Signing name of a request -> names of the services, as boto3 calls them, that share it.
SERVICES: dict[str, tuple[str, ...]] = {
    "apigateway": ("apigateway",),
    "application-autoscaling": ("application-autoscaling",),
    "codedeploy": ("codedeploy",),
    "cloudformation": ("cloudformation",),
    "codecommit": ("codecommit",),
    "events": ("events",),
    "sns": ("sns",),
    "ec2": ("ec2",),
    "codebuild": ("codebuild",),
    "codepipeline": ("codepipeline",),
    "ecr": ("ecr",),
    "elasticfilesystem": ("efs",),
    "iam": ("iam",),
    "kms": ("kms",),
    "lambda": ("lambda",),
    "logs": ("logs",),
    "monitoring": ("cloudwatch",),
    "s3": ("s3",),
    "sagemaker": ("sagemaker", "sagemaker-runtime"),
    "servicecatalog": ("servicecatalog",),
    "ssm": ("ssm",),
    "states": ("stepfunctions",),
    "sts": ("sts",),
}

_NO_ALARMS = "alarms of a metric or of metric math are the only ones here"
_NO_KEYS = "the administrator and roles are the only identities here"

_ONE_BUS = "the default bus is the only one, and an event is delivered at once"

#: Operation, as boto3 names service and operation -> why it is refused.
REFUSED: dict[tuple[str, str], str] = {
    ("cloudwatch", "PutAnomalyDetector"): _NO_ALARMS,
    ("cloudwatch", "PutCompositeAlarm"): _NO_ALARMS,
    ("cloudwatch", "PutMetricStream"): "no metric leaves the machine",
    ("events", "ActivateEventSource"): _ONE_BUS,
    ("events", "CreateApiDestination"): _ONE_BUS,
    ("events", "CreateArchive"): _ONE_BUS,
    ("events", "CreateConnection"): _ONE_BUS,
    ("events", "CreateEndpoint"): _ONE_BUS,
    ("events", "CreateEventBus"): _ONE_BUS,
    ("events", "CreatePartnerEventSource"): _ONE_BUS,
    ("events", "PutPartnerEvents"): _ONE_BUS,
    ("events", "PutPermission"): _ONE_BUS,
    ("events", "StartReplay"): _ONE_BUS,
    ("iam", "CreateAccessKey"): _NO_KEYS,
    ("iam", "CreateLoginProfile"): _NO_KEYS,
    ("iam", "CreateUser"): _NO_KEYS,
    ("logs", "PutDestination"): "no log line leaves the machine",
    ("logs", "PutMetricFilter"): "no metric is made from log lines",
    ("logs", "PutSubscriptionFilter"): "no log line is delivered elsewhere",
    ("logs", "StartQuery"): "Logs Insights is not here",
    ("s3", "PutBucketReplication"): "no object is copied elsewhere",
    ("sns", "CreatePlatformApplication"): "no message leaves the machine",
    ("sns", "CreatePlatformEndpoint"): "no message leaves the machine",
    ("ssm", "SendCommand"): "there is no managed node",
    ("ssm", "StartAutomationExecution"): "there is no automation",
    ("sts", "AssumeRoleWithSAML"): _NO_KEYS,
    ("sts", "AssumeRoleWithWebIdentity"): _NO_KEYS,
    ("sts", "GetFederationToken"): _NO_KEYS,
    ("sts", "GetSessionToken"): _NO_KEYS,
}

PARITY = [
    Parity("every other service", "refused", "The error names the service"),
    Parity("KMS", "exact", "Keys, aliases, encrypt, decrypt, data keys; key policies are enforced"),
    Parity("STS", "exact", "AssumeRole by trust policy and session policy; GetCallerIdentity"),
    Parity("STS", "refused", "Federation: SAML, web identity, session tokens of users"),
    Parity("Systems Manager", "exact", "Parameter Store"),
    Parity("Systems Manager", "refused", "Everything else"),
]
