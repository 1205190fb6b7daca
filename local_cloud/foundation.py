"""What a workflow without a project needs before its first release: key, bucket, repository."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.images import Image, Registry

__all__ = ["Foundation", "lay"]


@dataclass(frozen=True)
class Foundation:
    """The ARNs and names that the workflow's template and input ask for."""

    bucket_name: str
    kms_key_arn: str
    repository_name: str
    image_uri: str


def lay(cloud: LocalCloud, project: str, image: Image) -> Foundation:
    """Make what `project` owns in the account and push its image."""
    made = cloud.client("kms").create_key(Description=project, Policy=_key_policy(cloud))
    key_arn = made["KeyMetadata"]["Arn"]
    bucket_name = f"{project}-{cloud.account_id}"
    s3 = cloud.client("s3")
    s3.create_bucket(
        Bucket=bucket_name, CreateBucketConfiguration={"LocationConstraint": cloud.region}
    )
    s3.put_bucket_encryption(
        Bucket=bucket_name,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {
                        "SSEAlgorithm": "aws:kms",
                        "KMSMasterKeyID": key_arn,
                    },
                    "BucketKeyEnabled": True,
                }
            ]
        },
    )
    cloud.client("ecr").create_repository(repositoryName=project, imageTagMutability="IMMUTABLE")
    image_uri = Registry(cloud).push(image, project, image.digest[:12])
    return Foundation(bucket_name, key_arn, project, image_uri)


def _key_policy(cloud: LocalCloud) -> str:
    """The policy that a key has by itself, and what CloudWatch Logs needs besides.

    Sources: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html,
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    logs = f"arn:aws:logs:{cloud.region}:{cloud.account_id}:log-group:*"
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{cloud.account_id}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{cloud.region}.amazonaws.com"},
            "Action": [
                "kms:Encrypt*",
                "kms:Decrypt*",
                "kms:ReEncrypt*",
                "kms:GenerateDataKey*",
                "kms:Describe*",
            ],
            "Resource": "*",
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": logs}},
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def upload(s3: Any, bucket_name: str, prefix: str, folder: Path, files: list[Path]) -> None:
    """Put `files` of `folder` below ``s3://<bucket_name>/<prefix>/``."""
    for path in files:
        s3.upload_file(str(path), bucket_name, f"{prefix}/{path.relative_to(folder).as_posix()}")
