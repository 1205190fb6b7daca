"""A bucket is private, versioned, logged, and answers over TLS alone."""

from collections.abc import Iterator

from cfn.evaluation import Resource, Stack

SOURCE = "https://docs.aws.amazon.com/securityhub/latest/userguide/s3-controls.html"

_BUCKET = """
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: a
      VersioningConfiguration: {Status: Enabled}
      LifecycleConfiguration: {Rules: [{Id: a}]}
      LoggingConfiguration: {DestinationBucketName: b}
      OwnershipControls: {Rules: [{ObjectOwnership: BucketOwnerEnforced}]}
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        BlockPublicPolicy: true
        IgnorePublicAcls: true
        RestrictPublicBuckets: true
"""
GOOD = f"""
Resources:
{_BUCKET}
  Policy:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: a
      PolicyDocument:
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: s3:*
            Resource: [arn:aws:s3:::a, arn:aws:s3:::a/*]
            Condition: {{Bool: {{aws:SecureTransport: "false"}}}}
"""
BAD = f"""
Resources:
{_BUCKET}
"""

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_SINGLE = {
    "VersioningConfiguration": {"Status": "Enabled"},
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "PublicAccessBlockConfiguration": dict.fromkeys(_BLOCKS, True),
}
_PRESENT = ("LifecycleConfiguration", "LoggingConfiguration")


def check(stack: Stack) -> Iterator[str]:
    """Yield what a bucket lacks."""
    for bucket in stack.of_type("AWS::S3::Bucket"):
        for name, wanted in _SINGLE.items():
            if bucket.properties.get(name) != wanted:
                yield f"{bucket.logical_id}: {name} is {bucket.properties.get(name)}; {wanted}"
        for name in _PRESENT:
            is_log = name == "LoggingConfiguration" and bucket.logical_id == "AccessLogBucket"
            if name not in bucket.properties and not is_log:
                yield f"{bucket.logical_id}: no {name}; one is required"
        if "AccessControl" in bucket.properties:
            yield f"{bucket.logical_id}: AccessControl; ACLs are off"
        if not any(_denies_without_tls(policy, bucket) for policy in _policies(stack, bucket)):
            yield f"{bucket.logical_id}: no policy denies access without TLS; one is required"


def _policies(stack: Stack, bucket: Resource) -> Iterator[Resource]:
    for policy in stack.of_type("AWS::S3::BucketPolicy"):
        if policy.properties["Bucket"] == bucket.name:
            yield policy


def _denies_without_tls(policy: Resource, bucket: Resource) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] == "s3:*"
        and set(statement["Resource"]) == {bucket.arn, f"{bucket.arn}/*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy.properties["PolicyDocument"]["Statement"]
    )
