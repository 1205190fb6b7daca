"""Stacks whose alias moves with CodeDeploy, under alarms of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_cloud.cloud import LocalCloud

from .cloudformation.conftest import Driver
from .conftest import MakeRole
from .function_account import FunctionAccount

#: What a role that deploys such a stack needs, and nothing else.
DEPLOYER = [
    "cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms",
    "cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards",
    "cloudwatch:TagResource", "cloudwatch:UntagResource", "codedeploy:CreateApplication",
    "codedeploy:DeleteApplication", "codedeploy:CreateDeploymentGroup",
    "codedeploy:UpdateDeploymentGroup", "codedeploy:DeleteDeploymentGroup",
    "codedeploy:CreateDeploymentConfig", "codedeploy:DeleteDeploymentConfig",
    "codedeploy:GetDeploymentConfig", "codedeploy:CreateDeployment", "codedeploy:GetDeployment",
    "codedeploy:TagResource", "codedeploy:UntagResource", "lambda:*", "ecr:*", "iam:CreateRole",
    "iam:DeleteRole", "iam:GetRole", "iam:PassRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy",
    "iam:GetRolePolicy",
]  # fmt: skip


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Five minutes last 1.5 seconds."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.005) as started:
        yield started


@pytest.fixture(scope="module")
def account(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> FunctionAccount:
    return FunctionAccount(cloud, tmp_path_factory.mktemp("context"))


@pytest.fixture(scope="module")
def stacks(cloud: LocalCloud) -> Driver:
    return Driver(cloud.client("cloudformation"))


@pytest.fixture(scope="module")
def deployer(make_role: MakeRole) -> str:
    return make_role((DEPLOYER, "*"), service="cloudformation.amazonaws.com")


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


def allowed(*actions: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(service: str, *actions: str) -> dict[str, Any]:
    trusted = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return resource(
        "AWS::IAM::Role",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trusted]},
        Policies=[{"PolicyName": "own", "PolicyDocument": allowed(*actions)}],
    )


def template(
    account: FunctionAccount, release: str, *, key: str, minutes: int = 5, threshold: float = 0
) -> dict[str, Any]:
    """A function, an alias that moves with CodeDeploy, and an alarm on the version's errors."""
    policy = {
        "ApplicationName": ref("Application"),
        "DeploymentGroupName": ref("Group"),
    }
    return {
        "Resources": {
            "Function": resource(
                "AWS::Lambda::Function",
                FunctionName=key,
                Role=account.role_arn,
                PackageType="Image",
                Code={"ImageUri": account.image_uri},
                Environment={"Variables": {"RELEASE": release}},
                Timeout=20,
                MemorySize=256,
            ),
            f"Version{release}": resource(
                "AWS::Lambda::Version", FunctionName=ref("Function"), Description=release
            ),
            "Live": {
                **resource(
                    "AWS::Lambda::Alias",
                    FunctionName=ref("Function"),
                    FunctionVersion=att(f"Version{release}", "Version"),
                    Name="live",
                ),
                "UpdatePolicy": {"CodeDeployLambdaAliasUpdate": policy},
            },
            "Errors": resource(
                "AWS::CloudWatch::Alarm",
                AlarmDescription=release,
                Namespace="AWS/Lambda",
                MetricName="Errors",
                Dimensions=[{"Name": "FunctionName", "Value": ref("Function")}],
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                ComparisonOperator="GreaterThanThreshold",
                Threshold=threshold,
                TreatMissingData="notBreaching",
                Tags=[{"Key": "release", "Value": release}],
            ),
            "Board": resource(
                "AWS::CloudWatch::Dashboard",
                DashboardName=key,
                DashboardBody=f'{{"widgets": [], "release": "{release}"}}',
                Tags=[{"Key": "release", "Value": release}],
            ),
            "DeployRole": role(
                "codedeploy", "lambda:GetAlias", "lambda:UpdateAlias", "cloudwatch:DescribeAlarms"
            ),
            "Application": resource(
                "AWS::CodeDeploy::Application",
                ComputePlatform="Lambda",
                Tags=[{"Key": "release", "Value": release}],
            ),
            "Strategy": resource(
                "AWS::CodeDeploy::DeploymentConfig",
                ComputePlatform="Lambda",
                TrafficRoutingConfig={
                    "Type": "TimeBasedCanary",
                    "TimeBasedCanary": {"CanaryPercentage": 50, "CanaryInterval": minutes},
                },
            ),
            "Group": resource(
                "AWS::CodeDeploy::DeploymentGroup",
                ApplicationName=ref("Application"),
                DeploymentConfigName=ref("Strategy"),
                ServiceRoleArn=att("DeployRole", "Arn"),
                DeploymentStyle={
                    "DeploymentType": "BLUE_GREEN",
                    "DeploymentOption": "WITH_TRAFFIC_CONTROL",
                },
                AlarmConfiguration={"Enabled": True, "Alarms": [{"Name": ref("Errors")}]},
                AutoRollbackConfiguration={
                    "Enabled": True,
                    "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"],
                },
                Tags=[{"Key": "release", "Value": release}],
            ),
        },
        "Outputs": {"Version": {"Value": att(f"Version{release}", "Version")}},
    }


def alias(account: FunctionAccount, key: str) -> tuple[str, dict[str, float]]:
    found = account.client.get_alias(FunctionName=key, Name="live")
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get(
        "AdditionalVersionWeights", {}
    )


def deployments(account: FunctionAccount, stacks: Driver, key: str) -> list[str]:
    application = stacks.physical_ids(key)["Application"]
    client = account.cloud.client("codedeploy")
    return list(client.list_deployments(applicationName=application)["deployments"])


def test_an_alias_moves_with_codedeploy_when_it_is_updated_only(
    account: FunctionAccount, stacks: Driver, deployer: str
) -> None:
    key = "moves"
    made = stacks.create(key, template(account, "r1", key=key), RoleARN=deployer)
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert not deployments(account, stacks, key)  # nothing to move from
    seen: list[dict[str, float]] = []
    watcher = watch(lambda: seen.append(alias(account, key)[1]))
    updated = stacks.update(key, template(account, "r2", key=key), RoleARN=deployer)
    watcher()
    assert updated["StackStatus"] == "UPDATE_COMPLETE"
    assert {"2": 0.5} in seen
    assert alias(account, key) == ("2", {})
    assert len(deployments(account, stacks, key)) == 1
    # Version 1 went in the clean-up, after the traffic had.
    statuses = [(name, status) for name, status, _ in stacks.events(key)]
    assert statuses.index(("Live", "UPDATE_COMPLETE")) < statuses.index(
        ("Versionr1", "DELETE_COMPLETE")
    )
    cloudwatch = account.cloud.client("cloudwatch")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[stacks.physical_ids(key)["Errors"]])[
        "MetricAlarms"
    ]
    assert alarm["AlarmDescription"] == "r2"
    for arn in (
        alarm["AlarmArn"], cloudwatch.get_dashboard(DashboardName=key)["DashboardArn"],
    ):  # fmt: skip
        tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
        assert tags == [{"Key": "release", "Value": "r2"}]
    assert stacks.delete(key)["StackStatus"] == "DELETE_COMPLETE"
    assert not cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]


def test_an_alarm_takes_the_release_back_and_the_stack_with_it(
    account: FunctionAccount, stacks: Driver, deployer: str
) -> None:
    key = "taken-back"
    stacks.create(key, template(account, "r1", key=key), RoleARN=deployer)

    def break_the_canary() -> None:
        if alias(account, key)[1]:
            account.invoke(f"{key}:2", {"raise": "bad release"})

    watcher = watch(break_the_canary)
    changed = template(account, "r2", key=key, minutes=60)
    stack = stacks.update(key, changed, RoleARN=deployer)
    watcher()
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    reason = stacks.reasons(key, "UPDATE_FAILED")["Live"]
    assert "ALARM_ACTIVE" in reason
    assert reason.endswith("Rollback successful")
    assert alias(account, key) == ("1", {})
    forward, back = sorted(
        (account.cloud.client("codedeploy").get_deployment(deploymentId=_)["deploymentInfo"]
         for _ in deployments(account, stacks, key)),
        key=lambda info: info["createTime"],
    )  # fmt: skip
    assert (forward["status"], back["creator"]) == ("Stopped", "codeDeployRollback")
    versions = account.client.list_versions_by_function(FunctionName=key)["Versions"]
    assert [item["Version"] for item in versions] == ["$LATEST", "1"]


def test_a_later_failure_moves_the_alias_back_without_a_deployment(
    account: FunctionAccount, stacks: Driver, deployer: str
) -> None:
    key = "back-at-once"
    stacks.create(key, template(account, "r1", key=key, minutes=1), RoleARN=deployer)
    changed = template(account, "r2", key=key, minutes=1)
    changed["Resources"]["Late"] = {
        "DependsOn": "Live",
        **resource("AWS::CodeDeploy::Application", ApplicationName="taken",
                   ComputePlatform="Lambda"),
    }  # fmt: skip
    account.cloud.client("codedeploy").create_application(
        applicationName="taken", computePlatform="Lambda"
    )
    stack = stacks.update(key, changed, RoleARN=deployer)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert alias(account, key) == ("1", {})
    assert len(deployments(account, stacks, key)) == 1  # the way forward


def test_a_deployment_that_somebody_else_began_is_in_the_way(
    account: FunctionAccount, stacks: Driver, deployer: str
) -> None:
    key = "in-the-way"
    stacks.create(key, template(account, "r1", key=key, minutes=60), RoleARN=deployer)
    client = account.cloud.client("codedeploy")
    ids = stacks.physical_ids(key)
    account.client.update_function_configuration(FunctionName=key, Timeout=19)
    account.client.publish_version(FunctionName=key, Description="by hand")
    content = (
        '{"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties":'
        f' {{"Name": "{key}", "Alias": "live", "CurrentVersion": "1", "TargetVersion": "2"}}}}}}]}}'
    )
    other = client.create_deployment(
        applicationName=ids["Application"],
        deploymentGroupName=ids["Group"],
        revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
    )["deploymentId"]
    stack = stacks.update(key, template(account, "r2", key=key, minutes=60), RoleARN=deployer)
    client.stop_deployment(deploymentId=other)
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert "A conflicting deployment is in progress" in stacks.reasons(key, "UPDATE_FAILED")["Live"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"CodeDeployLambdaAliasUpdate": {"ApplicationName": "a"}}, "DeploymentGroupName"),
        ({"CodeDeployLambdaAliasUpdate": {"ApplicationName": "a", "DeploymentGroupName": "g",
                                          "Colour": "red"}}, "Colour"),
        ({"AutoScalingRollingUpdate": {}}, "AutoScalingRollingUpdate is not part of"),
        ({"CodeDeployLambdaAliasUpdate": {"ApplicationName": {"Ref": "Nobody"},
                                          "DeploymentGroupName": "g"}}, "Nobody"),
    ],
)  # fmt: skip
def test_a_policy_that_says_something_else_is_refused(
    account: FunctionAccount, stacks: Driver, change: dict[str, Any], said: str
) -> None:
    wrong = template(account, "r1", key="wrong")
    wrong["Resources"]["Live"]["UpdatePolicy"] = change
    with pytest.raises(Exception, match=said):
        stacks.create("wrong", wrong)


def watch(look: Callable[[], object]) -> Callable[[], None]:
    """Look again and again until the returned function is called."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(0.05):
            look()

    thread = threading.Thread(target=loop)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    return stop
