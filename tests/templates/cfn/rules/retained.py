"""What holds a user's work or cannot be deleted while full outlives its stack.

``RetainExceptOnCreate`` and not ``Retain``: a creation that fails leaves nothing behind.
"""

from collections.abc import Iterator

from cfn.evaluation import Stack

SOURCE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html"

GOOD = """
Resources:
  Key: {Type: AWS::KMS::Key, DeletionPolicy: RetainExceptOnCreate, UpdateReplacePolicy: Retain}
  Topic: {Type: AWS::SNS::Topic}
"""
BAD = """
Resources:
  Key: {Type: AWS::KMS::Key, DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
"""

_TYPES = {
    "AWS::CodeCommit::Repository",
    "AWS::EFS::FileSystem",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SageMaker::ModelPackageGroup",
}
#: CloudFormation deletes the stacks that it made with these roles with them; with the last one API
#: Gateway goes on writing the account's logs.
_ROLES = {"DeployRole", "ProductionRole", "ApiLogRole"}


def check(stack: Stack) -> Iterator[str]:
    """Yield what would be lost, and what would be left behind."""
    for resource in stack.resources.values():
        found = tuple(
            resource.attributes.get(name, "Delete")
            for name in ("DeletionPolicy", "UpdateReplacePolicy")
        )
        is_kept = resource.type in _TYPES or resource.logical_id in _ROLES
        wanted = ("RetainExceptOnCreate", "Retain") if is_kept else ("Delete", "Delete")
        if found != wanted:
            yield f"{resource.logical_id}: {found}; {wanted} is required"
