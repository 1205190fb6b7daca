"""studio.yml deployed and published as an organization would, with small templates as versions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud

from .conftest import policy, wait_for

STUDIO = (Path(__file__).parents[2] / "studio.yml").read_text()
#: What a Studio execution role may do: the role's own part of the bargain.
STUDIO_ROLE_MAY = {
    "Effect": "Allow",
    "Action": ["sagemaker:*Project*", "sagemaker:*Tags", "servicecatalog:*"],
    "Resource": "*",
}

#: A project's resources are log groups, whose names the launch role knows.
PRODUCT: dict[str, Any] = {
    "Parameters": {
        "SageMakerProjectName": {"Type": "String"},
        "SageMakerProjectId": {"Type": "String"},
        "Days": {"Type": "Number", "Default": 1},
        "Folder": {"Type": "String", "Default": "/aws/codebuild/"},  # the launch role's only one
    },
    "Resources": {
        "Log": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": {"Fn::Sub": "${Folder}x-${SageMakerProjectId}-build"},
                "RetentionInDays": {"Ref": "Days"},
            },
        }
    },
    "Outputs": {
        "Group": {"Value": {"Ref": "Log"}},
        "Whose": {"Value": {"Ref": "SageMakerProjectName"}},
    },
}


class Organization:
    """The organization's stack, a bucket of templates, a Studio role, and the offered product."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.admin = cloud.client("servicecatalog")
        self._numbers = itertools.count()
        self._cloudformation = cloud.client("cloudformation")
        self._s3 = cloud.client("s3")
        place = {"LocationConstraint": cloud.region}
        self._s3.create_bucket(Bucket="platform", CreateBucketConfiguration=place)
        self._s3.put_object(Bucket="platform", Key="studio.yml", Body=STUDIO.encode())
        self.member = self.role("/service-role/", STUDIO_ROLE_MAY)
        self._versions: list[str] = []
        self._settle(self._cloudformation.create_stack(**self._stack()))
        self.version_ids = {"v1": self.publish("v1", PRODUCT)}

    def role(self, path: str, *statements: dict[str, Any], name: str = "studio") -> str:
        """ARN of a new role that SageMaker may assume."""
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        name = f"{name}-{next(self._numbers)}"
        iam = self.cloud.client("iam")
        role = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=policy(trust))
        document = policy(*statements)
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
        return str(role["Role"]["Arn"])

    def client(self, service: str, role_arn: str | None = None) -> Any:
        """boto3 client of a role, the member's without."""
        return self.cloud.client(
            service,
            role_arn=role_arn or self.member,
            service_principal="sagemaker.amazonaws.com",
        )

    def publish(self, version: str, template: dict[str, Any] | str, seed: bytes = b"") -> str:
        """Id of the version that the stack has after it was published, as build.sh does it."""
        text = template if isinstance(template, str) else json.dumps(template)
        for name, body in {"pipeline.yml": text.encode(), "seed_code.zip": seed}.items():
            self._s3.put_object(Bucket="templates", Key=f"versions/{version}/{name}", Body=body)
        self._versions.insert(0, version)
        self._settle(self._cloudformation.update_stack(**self._stack()))
        product = self.admin.describe_product_as_admin(Id=self.product_id)
        ids = {item["Name"]: item["Id"] for item in product["ProvisioningArtifactSummaries"]}
        return str(ids[version])

    @property
    def product_id(self) -> str:
        """Of the organization's product."""
        found = self.admin.describe_product_as_admin(Name="Machine learning project")
        return str(found["ProductViewDetail"]["ProductViewSummary"]["ProductId"])

    def stack(self, launched_id: str) -> dict[str, Any]:
        """The stack of a launched product."""
        name = f"SC-{self.cloud.account_id}-{launched_id}"
        return dict(self._cloudformation.describe_stacks(StackName=name)["Stacks"][0])

    def groups(self, project_id: str) -> dict[str, int]:
        """The log groups of a project, with their retention in days."""
        logs = self.cloud.client("logs")
        found = logs.describe_log_groups(logGroupNamePrefix=f"/aws/codebuild/x-{project_id}")
        return {
            group["logGroupName"].rpartition("-")[2]: group["retentionInDays"]
            for group in found["logGroups"]
        }

    def _stack(self) -> dict[str, Any]:
        given = {
            "TemplateBucketName": "templates",
            "PrincipalArn1": self.member,
            "PrincipalPattern1": "arn:aws:iam:::role/pattern/data-scientist-*",
            "CostCenter": "42",
            **{f"Version{n}": name for n, name in enumerate(self._versions, start=1)},
        }
        return {
            "StackName": "organization",
            "TemplateURL": f"https://platform.s3.{self.cloud.region}.amazonaws.com/studio.yml",
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
            ],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }

    def _settle(self, answer: dict[str, Any]) -> None:
        def settled() -> str | None:
            (stack,) = self._cloudformation.describe_stacks(StackName=answer["StackId"])["Stacks"]
            status = str(stack["StackStatus"])
            return None if status.endswith("_IN_PROGRESS") else status

        status = wait_for(settled, seconds=60)
        assert status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, self._failures()

    def _failures(self) -> list[str]:
        events = self._cloudformation.describe_stack_events(StackName="organization")
        return [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
            for event in events["StackEvents"]
            if event["ResourceStatus"].endswith("_FAILED")
        ]
