"""What a workflow without a project needs before its first release: key, bucket, repository."""

from __future__ import annotations

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
    key_arn = cloud.client("kms").create_key(Description=project)["KeyMetadata"]["Arn"]
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


def upload(s3: Any, bucket_name: str, prefix: str, folder: Path, files: list[Path]) -> None:
    """Put `files` of `folder` below ``s3://<bucket_name>/<prefix>/``."""
    for path in files:
        s3.upload_file(str(path), bucket_name, f"{prefix}/{path.relative_to(folder).as_posix()}")
