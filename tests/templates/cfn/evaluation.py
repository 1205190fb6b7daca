"""What a CloudFormation template comes to with given parameters: names, ARNs and policies.

Enough of CloudFormation to read studio.yml, pipeline.yml and what the CDK synthesizes: parameters,
mappings, conditions and intrinsic functions. What a resource would get when it is made (an id, an
ARN without a name in it) is its logical id, so that one can see in a value where it comes from.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

__all__ = [
    "ACCOUNT",
    "REGION",
    "ROOT",
    "STACK",
    "Resource",
    "Stack",
    "evaluate",
    "load",
    "loads",
    "policy_size",
    "walk",
]

ROOT = Path(__file__).parents[3]
ACCOUNT = "123456789012"
REGION = "eu-west-1"
#: The stack of things that CloudFormation names after it.
STACK = "model-p-default-prod"
ZONES = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]

#: What the organization's stack exports.
EXPORTS = {
    "mlsystem-template-bucket": "templates",
    "mlsystem-access-log-bucket": "templates-access-logs",
    "mlsystem-deploy-boundary": (
        f"arn:aws:iam::{ACCOUNT}:policy/mlsystem-organization/mlsystem-deploy-boundary-{REGION}"
    ),
    "mlsystem-launch-role": f"arn:aws:iam::{ACCOUNT}:role/mlsystem-organization/LaunchRole",
    "mlsystem-permissions-boundary": (
        f"arn:aws:iam::{ACCOUNT}:policy/mlsystem-organization/"
        f"mlsystem-permissions-boundary-{REGION}"
    ),
}

#: Marks what ``AWS::NoValue`` takes away.
NONE = object()


@functools.cache
def load(path: Path | str) -> dict[str, Any]:
    """Return the template in a YAML or JSON file, intrinsic functions in their long form."""
    document: dict[str, Any] = cfn_yaml.load(str(ROOT / path))
    return document


def loads(text: str) -> dict[str, Any]:
    """Return the template in `text`."""
    document: dict[str, Any] = cfn_yaml.loads(text)
    return document


@dataclass(frozen=True)
class Resource:
    """A resource with everything evaluated."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    arn: str = ""


@dataclass(frozen=True)
class Stack:
    """What a template comes to."""

    resources: Mapping[str, Resource]
    outputs: Mapping[str, Any]
    exports: Mapping[str, Any]

    def of_type(self, *types: str) -> list[Resource]:
        """Return the resources of these types."""
        return [resource for resource in self.resources.values() if resource.type in types]


def evaluate(
    document: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
    exports: Mapping[str, str] = EXPORTS,
    account: str = ACCOUNT,
) -> Stack:
    """Return what `document` comes to; parameters that are not given have their defaults."""
    return _Evaluation(document, dict(parameters or {}), exports, account).stack()


# --- what resources are called ------------------------------------------------------------------

#: Type -> property that names it. Others get an id: here their logical id.
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CodeBuild::Project": "Name",
    "AWS::CodeCommit::Repository": "RepositoryName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentGroup": "DeploymentGroupName",
    "AWS::CodePipeline::Pipeline": "Name",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SSM::Parameter": "Name",
    "AWS::SageMaker::Endpoint": "EndpointName",
    "AWS::SageMaker::EndpointConfig": "EndpointConfigName",
    "AWS::SageMaker::Model": "ModelName",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}

#: Type -> ARN, from region (r), account (a), name (n) and path (p).
ARNS = {
    "AWS::ApiGateway::ApiKey": "arn:aws:apigateway:{r}::/apikeys/{n}",
    **{
        f"AWS::ApiGateway::{kind}": f"arn:aws:apigateway:{{r}}::/restapis/Api/{kind}/{{n}}"
        for kind in (
            "Deployment",
            "GatewayResponse",
            "Method",
            "Model",
            "RequestValidator",
            "Resource",
            "Stage",
        )
    },
    "AWS::ApiGateway::RestApi": "arn:aws:apigateway:{r}::/restapis/{n}",
    "AWS::ApiGateway::UsagePlan": "arn:aws:apigateway:{r}::/usageplans/{n}",
    "AWS::ApiGateway::UsagePlanKey": "arn:aws:apigateway:{r}::/usageplans/UsagePlan/keys/{n}",
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "arn:aws:application-autoscaling:{r}:{a}:scalable-target/{n}"
    ),
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{r}:{a}:alarm:{n}",
    "AWS::CodeBuild::Project": "arn:aws:codebuild:{r}:{a}:project/{n}",
    "AWS::CodeCommit::Repository": "arn:aws:codecommit:{r}:{a}:{n}",
    "AWS::CodeDeploy::Application": "arn:aws:codedeploy:{r}:{a}:application:{n}",
    "AWS::CodeDeploy::DeploymentConfig": "arn:aws:codedeploy:{r}:{a}:deploymentconfig:{s}-{n}",
    "AWS::CodeDeploy::DeploymentGroup": "arn:aws:codedeploy:{r}:{a}:deploymentgroup:{n}/{n}",
    "AWS::CodePipeline::Pipeline": "arn:aws:codepipeline:{r}:{a}:{n}",
    "AWS::EC2::EIP": "arn:aws:ec2:{r}:{a}:elastic-ip/{n}",
    "AWS::EC2::FlowLog": "arn:aws:ec2:{r}:{a}:vpc-flow-log/{n}",
    "AWS::EC2::InternetGateway": "arn:aws:ec2:{r}:{a}:internet-gateway/{n}",
    "AWS::EC2::NatGateway": "arn:aws:ec2:{r}:{a}:natgateway/{n}",
    "AWS::EC2::RouteTable": "arn:aws:ec2:{r}:{a}:route-table/{n}",
    "AWS::EC2::SecurityGroup": "arn:aws:ec2:{r}:{a}:security-group/{n}",
    "AWS::EC2::Subnet": "arn:aws:ec2:{r}:{a}:subnet/{n}",
    "AWS::EC2::VPC": "arn:aws:ec2:{r}:{a}:vpc/{n}",
    "AWS::EC2::VPCEndpoint": "arn:aws:ec2:{r}:{a}:vpc-endpoint/{n}",
    "AWS::ECR::Repository": "arn:aws:ecr:{r}:{a}:repository/{n}",
    "AWS::EFS::AccessPoint": "arn:aws:elasticfilesystem:{r}:{a}:access-point/{n}",
    "AWS::EFS::FileSystem": "arn:aws:elasticfilesystem:{r}:{a}:file-system/{n}",
    "AWS::Events::Rule": "arn:aws:events:{r}:{a}:rule/{n}",
    "AWS::IAM::ManagedPolicy": "arn:aws:iam::{a}:policy{p}{n}",
    "AWS::IAM::Role": "arn:aws:iam::{a}:role{p}{n}",
    "AWS::KMS::Alias": "arn:aws:kms:{r}:{a}:{n}",
    "AWS::KMS::Key": "arn:aws:kms:{r}:{a}:key/{n}",
    "AWS::Lambda::Alias": "arn:aws:lambda:{r}:{a}:function:model-p-default-api:live",
    "AWS::Lambda::Function": "arn:aws:lambda:{r}:{a}:function:{n}",
    "AWS::Lambda::Version": "arn:aws:lambda:{r}:{a}:function:model-p-default-api:1",
    "AWS::Logs::LogGroup": "arn:aws:logs:{r}:{a}:log-group:{n}",
    "AWS::S3::Bucket": "arn:aws:s3:::{n}",
    "AWS::SNS::Topic": "arn:aws:sns:{r}:{a}:{n}",
    "AWS::SSM::Parameter": "arn:aws:ssm:{r}:{a}:parameter{n}",
    "AWS::SageMaker::Endpoint": "arn:aws:sagemaker:{r}:{a}:endpoint/{n}",
    "AWS::SageMaker::EndpointConfig": "arn:aws:sagemaker:{r}:{a}:endpoint-config/{n}",
    "AWS::SageMaker::Model": "arn:aws:sagemaker:{r}:{a}:model/{n}",
    "AWS::SageMaker::ModelPackageGroup": "arn:aws:sagemaker:{r}:{a}:model-package-group/{n}",
    "AWS::StepFunctions::StateMachine": "arn:aws:states:{r}:{a}:stateMachine:{n}",
}

_REF_IS_ARN = {
    "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Version",
    "AWS::SNS::Topic",
    "AWS::SageMaker::Endpoint",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Model",
    "AWS::SageMaker::ModelPackageGroup",
    "AWS::StepFunctions::StateMachine",
}


# --- evaluation ---------------------------------------------------------------------------------


class _Evaluation:
    def __init__(
        self,
        document: Mapping[str, Any],
        parameters: dict[str, Any],
        exports: Mapping[str, str],
        account: str,
    ) -> None:
        self._document = document
        self._exports = exports
        self._account = account
        declared = document.get("Parameters", {})
        unknown = set(parameters) - set(declared)
        assert not unknown, f"no such parameters: {sorted(unknown)}"
        defaults = {key: rule["Default"] for key, rule in declared.items() if "Default" in rule}
        self._parameters = {**defaults, **parameters}
        self._resources = document["Resources"]

    def stack(self) -> Stack:
        resources = {
            logical_id: self._resource(logical_id, body)
            for logical_id, body in self._resources.items()
            if self._holds(body)
        }
        outputs = {
            key: body for key, body in self._document.get("Outputs", {}).items()
            if self._holds(body)
        }  # fmt: skip
        return Stack(
            resources,
            {key: self.value(body["Value"]) for key, body in outputs.items()},
            {
                self.value(body["Export"]["Name"]): self.value(body["Value"])
                for body in outputs.values()
                if "Export" in body
            },
        )

    def _holds(self, body: Mapping[str, Any]) -> bool:
        return "Condition" not in body or self._condition(body["Condition"])

    def _resource(self, logical_id: str, body: Mapping[str, Any]) -> Resource:
        properties = self.value(body.get("Properties", {}))
        attributes = {key: body[key] for key in body if key not in {"Type", "Properties"}}
        return Resource(
            logical_id, body["Type"], properties, attributes,
            self._name(logical_id), self._arn(logical_id),
        )  # fmt: skip

    def _name(self, logical_id: str) -> str:
        body = self._resources[logical_id]
        given = body.get("Properties", {}).get(NAMES.get(body["Type"], ""))
        return logical_id if given is None else str(self.value(given))

    def _arn(self, logical_id: str) -> str:
        body = self._resources[logical_id]
        path = self.value(body.get("Properties", {}).get("Path", "/"))
        pattern = ARNS.get(body["Type"], "{n}")
        name = self._name(logical_id)
        return pattern.format(r=REGION, a=self._account, s=STACK, n=name, p=path)

    # --- values

    def value(self, node: Any) -> Any:
        if isinstance(node, Mapping):
            if len(node) == 1:
                ((function, argument),) = node.items()
                handler = _FUNCTIONS.get(function)
                if handler is not None:
                    return handler(self, argument)
            found = {str(key): self.value(item) for key, item in node.items()}
            return {key: item for key, item in found.items() if item is not NONE}
        if isinstance(node, list):
            return [item for item in map(self.value, node) if item is not NONE]
        return node

    def ref(self, name: str) -> Any:
        pseudo = {
            "AWS::AccountId": self._account,
            "AWS::NoValue": NONE,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackName": "stack",
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in pseudo:
            return pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        type_ = self._resources[name]["Type"]
        return self._arn(name) if type_ in _REF_IS_ARN else self._name(name)

    def attribute(self, argument: str | list[str]) -> str | list[str]:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        logical_id, attribute = parts
        if attribute in {"Arn", "ModelPackageGroupArn", "EndpointArn"}:
            stream = ":*" if self._resources[logical_id]["Type"] == "AWS::Logs::LogGroup" else ""
            return self._arn(logical_id) + stream
        if attribute in {"Name", "EndpointName"}:
            return self._name(logical_id)
        if attribute == "CidrBlock":
            return str(self.value(self._resources[logical_id]["Properties"]["CidrBlock"]))
        if attribute == "DnsEntries":
            return [f"Z0:{logical_id}.example.com"]
        return f"{logical_id}.{attribute}"

    def sub(self, argument: str | list[Any]) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def filled(found: re.Match[str]) -> str:
            name = found.group(1)
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in own:
                return str(self.value(own[name]))
            return str(self.attribute(name) if "." in name else self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", filled, text)

    def _condition(self, name: str) -> bool:
        return bool(self.value(self._document["Conditions"][name]))

    def choose(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self.value(yes if self._condition(condition) else no)

    def find_in_map(self, argument: list[Any]) -> Any:
        mapping, first, second = map(self.value, argument)
        return self._document["Mappings"][mapping][first][second]

    def import_value(self, argument: Any) -> str:
        return self._exports[self.value(argument)]


def _cidr(evaluation: _Evaluation, argument: list[Any]) -> list[str]:
    block, count, bits = (evaluation.value(item) for item in argument)
    subnets = ipaddress.ip_network(block).subnets(new_prefix=32 - int(bits))
    return [str(next(subnets)) for _ in range(int(count))]


_FUNCTIONS: dict[str, Callable[[_Evaluation, Any], Any]] = {
    "Condition": lambda self, argument: self._condition(argument),
    "Fn::And": lambda self, argument: all(map(self.value, argument)),
    "Fn::Cidr": _cidr,
    "Fn::Equals": lambda self, argument: len({str(self.value(item)) for item in argument}) == 1,
    "Fn::FindInMap": _Evaluation.find_in_map,
    "Fn::GetAZs": lambda self, argument: ZONES,
    "Fn::GetAtt": _Evaluation.attribute,
    "Fn::If": _Evaluation.choose,
    "Fn::ImportValue": _Evaluation.import_value,
    "Fn::Join": lambda self, argument: argument[0].join(map(str, self.value(argument[1]))),
    "Fn::Not": lambda self, argument: not self.value(argument[0]),
    "Fn::Or": lambda self, argument: any(map(self.value, argument)),
    "Fn::Select": lambda self, argument: self.value(argument[1])[int(argument[0])],
    "Fn::Split": lambda self, argument: str(self.value(argument[1])).split(argument[0]),
    "Fn::Sub": _Evaluation.sub,
    "Ref": _Evaluation.ref,
}


def policy_size(document: Mapping[str, Any]) -> int:
    """Return the characters of a policy as IAM counts them: without white space."""
    return len(json.dumps(document, separators=(",", ":")))


def walk(node: Any) -> Iterator[Any]:
    """Yield every value of a document, the outer before the inner."""
    yield node
    if isinstance(node, Mapping):
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)
