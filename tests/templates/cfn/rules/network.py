"""A network has no way in, says why each way out is there, and is logged."""

from collections.abc import Iterator

from cfn.evaluation import Stack

SOURCE = "https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html"

GOOD = """
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Log: {Type: AWS::EC2::FlowLog, Properties: {ResourceId: Vpc, ResourceType: VPC, TrafficType: ALL}}
"""
BAD = """
Resources:
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      SecurityGroupEgress: []
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0, Description: anybody}
"""


def check(stack: Stack) -> Iterator[str]:
    """Yield every open door."""
    logged = {
        log.properties["ResourceId"]
        for log in stack.of_type("AWS::EC2::FlowLog")
        if log.properties["TrafficType"] == "ALL"
    }
    for vpc in stack.of_type("AWS::EC2::VPC"):
        if vpc.name not in logged:
            yield f"{vpc.logical_id}: no flow log of all traffic; one is required"
    for subnet in stack.of_type("AWS::EC2::Subnet"):
        if subnet.properties.get("MapPublicIpOnLaunch") is not False:
            yield f"{subnet.logical_id}: public addresses by themselves; none may be given"
    yield from _groups(stack)


def _groups(stack: Stack) -> Iterator[str]:
    for group in stack.of_type("AWS::EC2::SecurityGroup"):
        if "SecurityGroupEgress" not in group.properties:
            yield f"{group.logical_id}: every way out; name the ones that are needed"
        for direction in ("SecurityGroupIngress", "SecurityGroupEgress"):
            for rule in group.properties.get(direction, []):
                where = f"{group.logical_id}/{direction}"
                if not rule.get("Description"):
                    yield f"{where}: no description; say what for"
                if rule["FromPort"] != rule["ToPort"]:
                    yield f"{where}: {rule['FromPort']}-{rule['ToPort']}; one port is enough"
                if direction == "SecurityGroupIngress" and "CidrIp" in rule:
                    yield f"{where}: from {rule['CidrIp']}; name a security group"
