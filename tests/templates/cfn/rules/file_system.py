"""A file system is mounted over TLS and through an access point that the world cannot write to."""

from collections.abc import Iterator

from cfn.evaluation import Stack

SOURCE = "https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html"

_FILES = """
Resources:
  Files:
    Type: AWS::EFS::FileSystem
    Properties:
      BackupPolicy: {{Status: ENABLED}}
      FileSystemPolicy:
        Statement:
          - Effect: Deny
            Principal: {{AWS: "*"}}
            Action: "*"
            Resource: "*"
            Condition: {{Bool: {{aws:SecureTransport: "false"}}}}
          - Effect: Deny
            Principal: {{AWS: "*"}}
            Action: [elasticfilesystem:ClientMount]
            Resource: "*"
            Condition: {{"Null": {{elasticfilesystem:AccessPointArn: "true"}}}}
  Point:
    Type: AWS::EFS::AccessPoint
    Properties:
      PosixUser: {{Uid: "1000", Gid: "1000"}}
      RootDirectory: {{Path: /a, CreationInfo: {{Permissions: "{permissions}"}}}}
"""
GOOD = _FILES.format(permissions="0750")
BAD = _FILES.format(permissions="0777")

_DENIED = (
    {"Bool": {"aws:SecureTransport": "false"}},
    {"Null": {"elasticfilesystem:AccessPointArn": "true"}},
)


def check(stack: Stack) -> Iterator[str]:
    """Yield what is open."""
    for files in stack.of_type("AWS::EFS::FileSystem"):
        statements = files.properties["FileSystemPolicy"]["Statement"]
        denied = [item["Condition"] for item in statements if item["Effect"] == "Deny"]
        for condition in _DENIED:
            if condition not in denied:
                yield f"{files.logical_id}: {condition} is not denied; it must be"
        if files.properties.get("BackupPolicy") != {"Status": "ENABLED"}:
            yield f"{files.logical_id}: no backup; it is required"
    for point in stack.of_type("AWS::EFS::AccessPoint"):
        permissions = point.properties["RootDirectory"]["CreationInfo"]["Permissions"]
        if int(permissions, 8) & 0o007:
            yield f"{point.logical_id}: {permissions}; others may have nothing"
        if point.properties["PosixUser"]["Uid"] == "0":
            yield f"{point.logical_id}: root; a user of its own is required"
