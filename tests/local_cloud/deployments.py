"""A function with two versions, an alias, hooks, and an application that deploys them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud

from .conftest import policy, wait_for
from .function_account import FunctionAccount

#: A hook function leaves a note of what it was asked; the test answers for it.
HOOK = """\
import json, os

def handler(event, context):
    path = os.path.join(os.environ["NOTES"], event["LifecycleEventHookExecutionId"])
    with open(path + ".new", "w") as file:
        json.dump(event, file)
    os.rename(path + ".new", path + ".json")
"""
NUMBERS = itertools.count()
STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
EVERYTHING = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]


class Place:
    """A function with two versions, an alias, hooks, and an application that deploys them."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.client = cloud.client("codedeploy")
        self.functions = cloud.client("lambda")
        self.notes = folder / "notes"
        self.notes.mkdir()
        context = folder / "context"
        context.mkdir()
        (context / "hook.py").write_text(HOOK)
        account = FunctionAccount(cloud, context)
        self.function = account.make()
        for release in ("r1", "r2"):
            self.functions.update_function_configuration(
                FunctionName=self.function, Environment={"Variables": {"RELEASE": release}}
            )
            self.functions.publish_version(FunctionName=self.function)
        self.functions.create_alias(FunctionName=self.function, Name="live", FunctionVersion="1")
        self.hook = account.make(
            FunctionName="CodeDeployHook_test",
            ImageConfig={"Command": ["hook.handler"]},
            Environment={"Variables": {"NOTES": str(self.notes)}},
        )
        self.role_arn = role(
            cloud, ["lambda:GetAlias", "lambda:UpdateAlias", "lambda:InvokeFunction",
                    "cloudwatch:DescribeAlarms", "sns:Publish"]
        )  # fmt: skip
        self.client.create_application(applicationName="app", computePlatform="Lambda")

    def group(self, **settings: Any) -> str:
        name = f"group-{next(NUMBERS)}"
        self.client.create_deployment_group(
            applicationName="app",
            deploymentGroupName=name,
            serviceRoleArn=settings.pop("serviceRoleArn", self.role_arn),
            deploymentStyle=STYLE,
            **{
                "deploymentConfigName": "CodeDeployDefault.LambdaCanary10Percent5Minutes",
                "autoRollbackConfiguration": {"enabled": True, "events": EVERYTHING},
                **settings,
            },
        )
        return name

    def deploy(self, group: str, *hooks: str, target: str = "2", current: str = "1") -> str:
        answer = self.client.create_deployment(
            applicationName="app",
            deploymentGroupName=group,
            revision=revision(self.function, current, target, dict.fromkeys(hooks, self.hook)),
        )
        return str(answer["deploymentId"])

    def info(self, deployment_id: str) -> dict[str, Any]:
        found = self.client.get_deployment(deploymentId=deployment_id)
        return dict(found["deploymentInfo"])

    def wait(self, deployment_id: str, *statuses: str, seconds: float = 30.0) -> dict[str, Any]:
        wanted = statuses or ("Succeeded", "Failed", "Stopped")
        return dict(
            wait_for(
                lambda: found if (found := self.info(deployment_id))["status"] in wanted else None,
                seconds,
            )
        )

    def alias(self) -> tuple[str, dict[str, float]]:
        found = self.functions.get_alias(FunctionName=self.function, Name="live")
        weights = found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        return found["FunctionVersion"], weights

    def events(self, deployment_id: str) -> dict[str, str]:
        target = self.client.get_deployment_target(
            deploymentId=deployment_id, targetId=f"{self.function}:live"
        )["deploymentTarget"]["lambdaTarget"]
        return {event["lifecycleEventName"]: event["status"] for event in target["lifecycleEvents"]}

    def note(self, deployment_id: str, seen: frozenset[str] = frozenset()) -> str:
        """Id of the next hook execution of a deployment."""

        def found() -> str | None:
            info = self.info(deployment_id)
            assert info["status"] in {"Created", "InProgress"}, (info, self.log())
            for path in self.notes.glob("*.json"):
                if path.stem not in seen:
                    event = json.loads(path.read_text())
                    if event["DeploymentId"] == deployment_id:
                        return path.stem
            return None

        return str(wait_for(found, 30.0))

    def log(self) -> str:
        """What the hook function printed."""
        folder = self.cloud.root / "logs" / "aws" / "lambda" / self.hook
        return "".join(path.read_text() for path in folder.rglob("*.log"))

    def report(self, deployment_id: str, hook_id: str, status: str) -> None:
        self.client.put_lifecycle_event_hook_execution_status(
            deploymentId=deployment_id, lifecycleEventHookExecutionId=hook_id, status=status
        )


def revision(
    function: str, current: str, target: str, hooks: dict[str, str] | None = None
) -> dict[str, Any]:
    content = {
        "version": 0.0,
        "Resources": [
            {
                "function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Name": function, "Alias": "live", "CurrentVersion": current,
                        "TargetVersion": target,
                    },
                }
            }
        ],
        "Hooks": [{event: name} for event, name in (hooks or {}).items()],
    }  # fmt: skip
    return {"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(content)}}


def role(cloud: LocalCloud, actions: list[str]) -> str:
    iam, name = cloud.client("iam"), f"deploy-{next(NUMBERS)}"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "codedeploy.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allowed))
    return str(made["Role"]["Arn"])
