"""What stores or carries data is encrypted with a key of its owner's."""

from collections.abc import Iterator

from cfn.evaluation import Resource, Stack

SOURCE = "https://docs.aws.amazon.com/wellarchitected/latest/security-pillar/sec_protect_data_rest_encrypt.html"

GOOD = """
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {KmsMasterKeyId: key}}
  Logs: {Type: AWS::Logs::LogGroup, Properties: {KmsKeyId: key}}
  Files: {Type: AWS::EFS::FileSystem, Properties: {Encrypted: true, KmsKeyId: key}}
  Key: {Type: AWS::KMS::Key, Properties: {EnableKeyRotation: true}}
"""
BAD = """
Resources:
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: a}}
"""

#: Type -> path of the property that names the key, or that must be true.
_REQUIRED = {
    "AWS::CodeBuild::Project": ("EncryptionKey",),
    "AWS::CodePipeline::Pipeline": ("ArtifactStore", "EncryptionKey", "Id"),
    "AWS::ECR::Repository": ("EncryptionConfiguration", "KmsKey"),
    "AWS::EFS::FileSystem": ("KmsKeyId",),
    "AWS::KMS::Key": ("EnableKeyRotation",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
}
#: The bucket to which S3 delivers access logs, which it does with no other encryption.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
_ACCESS_LOGS = "AccessLogBucket"


def check(stack: Stack) -> Iterator[str]:
    """Yield what is not encrypted."""
    for resource in stack.resources.values():
        path = _REQUIRED.get(resource.type)
        if path is not None and not _at(resource.properties, path):
            yield f"{resource.logical_id}: no {'/'.join(path)}; {resource.type} needs one"
        if resource.type == "AWS::S3::Bucket":
            yield from _bucket(resource)


def _bucket(bucket: Resource) -> Iterator[str]:
    rules = bucket.properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration")
    default = rules[0]["ServerSideEncryptionByDefault"] if rules else {}
    wanted = "AES256" if bucket.logical_id == _ACCESS_LOGS else "aws:kms"
    if default.get("SSEAlgorithm") != wanted:
        yield f"{bucket.logical_id}: {default.get('SSEAlgorithm')}; {wanted} is required"
    elif wanted == "aws:kms" and "KMSMasterKeyID" not in default:
        yield f"{bucket.logical_id}: AWS's own key; a key of ours is required"


def _at(properties: object, path: tuple[str, ...]) -> object:
    for name in path:
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties
