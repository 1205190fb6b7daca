"""CodeDeploy: an alias's traffic moves, hooks and alarms are asked, and it is taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import wait_for
from .deployments import NUMBERS, Place, revision, role

#: Longer than any test takes to stop it.
SLOW = "CodeDeployDefault.LambdaCanary10Percent30Minutes"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Five minutes last 1.5 seconds."""
    with LocalCloud(tmp_path_factory.mktemp("local"), wait_factor=0.005) as started:
        yield started


@pytest.fixture(scope="module")
def shared(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(cloud, tmp_path_factory.mktemp("codedeploy"))


@pytest.fixture
def place(shared: Place) -> Place:
    """The alias names version 1 alone, and nothing is being deployed."""
    shared.functions.update_alias(
        FunctionName=shared.function, Name="live", FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {}},
    )  # fmt: skip
    return shared


@pytest.fixture
def alarm(cloud: LocalCloud) -> Iterator[Callable[[str], str]]:
    """Give the name of an alarm that stays in a state."""
    client, made = cloud.client("cloudwatch"), []

    def make(state: str) -> str:
        name = f"alarm-{next(NUMBERS)}"
        client.put_metric_alarm(
            AlarmName=name, Namespace="n", MetricName=name, Statistic="Sum", Period=60,
            ComparisonOperator="GreaterThanThreshold", Threshold=1, EvaluationPeriods=1,
            TreatMissingData="ignore",
        )  # fmt: skip
        client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")
        made.append(name)
        return name

    yield make
    client.delete_alarms(AlarmNames=made)


def alarms(*names: str, **others: Any) -> dict[str, Any]:
    return {"enabled": True, "alarms": [{"name": name} for name in names], **others}


def fails(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


# ------------------------------------------------------------------------------ moving


def test_a_canary_moves_in_two_steps(place: Place) -> None:
    deployment = place.deploy(place.group())
    wait_for(lambda: place.alias() == ("1", {"2": 0.1}))
    begun = time.monotonic()
    info = place.wait(deployment)
    assert time.monotonic() - begun > 1.0  # five minutes are 1.5 seconds
    assert (info["status"], place.alias()) == ("Succeeded", ("2", {}))
    assert info["deploymentOverview"]["Succeeded"] == 1
    assert place.events(deployment) == {"AllowTraffic": "Succeeded"}


def test_own_numbers_move_in_equal_steps(place: Place) -> None:
    name = f"linear-{next(NUMBERS)}"
    place.client.create_deployment_config(
        deploymentConfigName=name,
        computePlatform="Lambda",
        trafficRoutingConfig={
            "type": "TimeBasedLinear",
            "timeBasedLinear": {"linearPercentage": 40, "linearInterval": 1},
        },
    )
    seen: list[float] = []
    deployment = place.deploy(place.group(deploymentConfigName=name))

    def followed() -> bool:
        version, weights = place.alias()
        share = 1.0 if version == "2" else weights.get("2", 0.0)
        if share not in seen:
            seen.append(share)
        return share == 1.0

    wait_for(followed)
    assert [share for share in seen if share] == [0.4, 0.8, 1.0]
    assert place.wait(deployment)["status"] == "Succeeded"


def test_all_at_once(place: Place) -> None:
    group = place.group(deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce")
    assert place.wait(place.deploy(group))["status"] == "Succeeded"
    assert place.alias() == ("2", {})
    found = place.client.get_deployment_group(applicationName="app", deploymentGroupName=group)
    last = found["deploymentGroupInfo"]["lastSuccessfulDeployment"]
    assert last["status"] == "Succeeded"


# ------------------------------------------------------------------------------ hooks


def test_hooks_decide_before_and_after(place: Place) -> None:
    group = place.group(deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce")
    deployment = place.deploy(group, "BeforeAllowTraffic", "AfterAllowTraffic")
    before = place.note(deployment)
    assert place.alias() == ("1", {})  # nothing moves before the hook has spoken
    place.report(deployment, before, "Succeeded")
    after = place.note(deployment, frozenset({before}))
    assert place.alias() == ("2", {})
    assert fails(lambda: place.report(deployment, before, "Failed"))[0] == (
        "LifecycleEventAlreadyCompletedException"
    )
    place.report(deployment, after, "Failed")
    info = place.wait(deployment)
    assert info["status"] == "Failed"
    assert info["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    assert "AfterAllowTraffic reported Failed" in info["errorInformation"]["message"]
    rollback = place.wait(info["rollbackInfo"]["rollbackDeploymentId"])
    assert (rollback["status"], rollback["creator"]) == ("Succeeded", "codeDeployRollback")
    assert rollback["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment
    assert place.alias() == ("1", {})
    assert place.events(deployment) == {
        "BeforeAllowTraffic": "Succeeded", "AllowTraffic": "Succeeded",
        "AfterAllowTraffic": "Failed",
    }  # fmt: skip


def test_a_hook_that_says_no_keeps_the_traffic(place: Place) -> None:
    deployment = place.deploy(place.group(), "BeforeAllowTraffic")
    place.report(deployment, place.note(deployment), "Failed")
    info = place.wait(deployment)
    assert info["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    assert place.events(deployment) == {"BeforeAllowTraffic": "Failed", "AllowTraffic": "Skipped"}
    assert place.alias() == ("1", {})


def test_a_hook_that_says_nothing_fails_after_an_hour(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place.cloud, "wait_factor", 0.0002)  # an hour is 0.72 seconds
    deployment = place.deploy(place.group(), "BeforeAllowTraffic")
    info = place.wait(deployment)
    assert (info["status"], place.alias()) == ("Failed", ("1", {}))
    assert "did not report within an hour" in info["errorInformation"]["message"]


def test_a_hook_that_does_not_exist_fails(place: Place) -> None:
    answer = place.client.create_deployment(
        applicationName="app",
        deploymentGroupName=place.group(),
        revision=revision(place.function, "1", "2", {"BeforeAllowTraffic": "nobody"}),
    )
    info = place.wait(answer["deploymentId"])
    assert info["errorInformation"]["code"] == "INVALID_LAMBDA_FUNCTION"


# ------------------------------------------------------------------------------ alarms


def test_an_alarm_takes_the_canary_back(place: Place, alarm: Callable[[str], str]) -> None:
    name = alarm("OK")
    group = place.group(alarmConfiguration=alarms(name), deploymentConfigName=SLOW)
    deployment = place.deploy(group)
    wait_for(lambda: place.alias() == ("1", {"2": 0.1}))
    place.cloud.client("cloudwatch").set_alarm_state(
        AlarmName=name, StateValue="ALARM", StateReason="test"
    )
    info = place.wait(deployment)
    assert info["status"] == "Stopped"
    assert info["errorInformation"]["code"] == "ALARM_ACTIVE"
    assert info["errorInformation"]["message"].endswith(f"Activated alarms: <{name}>")
    assert place.wait(info["rollbackInfo"]["rollbackDeploymentId"])["status"] == "Succeeded"
    assert place.alias() == ("1", {})


def test_an_alarm_that_is_on_stops_it_before_anything_moves(
    place: Place, alarm: Callable[[str], str]
) -> None:
    group = place.group(alarmConfiguration=alarms(alarm("ALARM")))
    info = place.wait(place.deploy(group, "BeforeAllowTraffic"))
    assert info["errorInformation"]["code"] == "ALARM_ACTIVE"
    assert place.events(info["deploymentId"]) == {
        "BeforeAllowTraffic": "Skipped", "AllowTraffic": "Skipped",
    }  # fmt: skip


def test_an_alarm_that_does_not_exist_fails_unless_it_is_ignored(place: Place) -> None:
    group = place.group(alarmConfiguration=alarms("nobody"))
    info = place.wait(place.deploy(group))
    assert (info["status"], place.alias()) == ("Failed", ("1", {}))
    assert "<nobody>" in info["errorInformation"]["message"]
    place.client.update_deployment_group(
        applicationName="app",
        currentDeploymentGroupName=group,
        deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce",
        alarmConfiguration=alarms("nobody", ignorePollAlarmFailure=True),
    )
    assert place.wait(place.deploy(group))["status"] == "Succeeded"


def test_an_alarm_without_data_does_not_stop_it(place: Place, alarm: Callable[[str], str]) -> None:
    group = place.group(
        alarmConfiguration=alarms(alarm("INSUFFICIENT_DATA")),
        deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce",
    )
    assert place.wait(place.deploy(group))["status"] == "Succeeded"


# ------------------------------------------------------------------------------ stopping


@pytest.mark.parametrize("rolls_back", [True, False])
def test_it_is_stopped_where_it_stands_or_taken_back(place: Place, rolls_back: bool) -> None:
    deployment = place.deploy(place.group(deploymentConfigName=SLOW))
    wait_for(lambda: place.alias() == ("1", {"2": 0.1}))
    place.client.stop_deployment(deploymentId=deployment, autoRollbackEnabled=rolls_back)
    info = place.wait(deployment)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    if rolls_back:
        place.wait(info["rollbackInfo"]["rollbackDeploymentId"], "Succeeded")
    assert place.alias() == ("1", {} if rolls_back else {"2": 0.1})
    code, _ = fails(lambda: place.client.stop_deployment(deploymentId=deployment))
    assert code == "DeploymentAlreadyCompletedException"


def test_a_group_deploys_once_at_a_time(place: Place) -> None:
    group = place.group(deploymentConfigName=SLOW)
    deployment = place.deploy(group)
    code, message = fails(lambda: place.deploy(group))
    assert code == "DeploymentLimitExceededException"
    assert message.endswith(f"already has an active Deployment '{deployment}'")
    place.client.stop_deployment(deploymentId=deployment)
    place.wait(deployment)


# ------------------------------------------------------------------------------ failures


def test_an_alias_that_names_something_else(place: Place) -> None:
    info = place.wait(place.deploy(place.group(), current="2", target="1"))
    assert info["errorInformation"]["code"] == "INVALID_LAMBDA_CONFIGURATION"
    assert "does not match the current version" in info["errorInformation"]["message"]
    place.wait(info["rollbackInfo"]["rollbackDeploymentId"], "Succeeded")
    assert place.alias() == ("1", {})  # it was not moved, so it is not moved back


def test_a_version_that_does_not_exist(place: Place) -> None:
    info = place.wait(place.deploy(place.group(), target="9"))
    assert info["errorInformation"]["code"] == "INVALID_LAMBDA_FUNCTION"
    assert place.alias() == ("1", {})


def test_a_role_that_may_not_change_the_alias(place: Place) -> None:
    group = place.group(serviceRoleArn=role(place.cloud, ["lambda:GetAlias"]))
    info = place.wait(place.deploy(group))
    assert info["errorInformation"]["code"] == "IAM_ROLE_PERMISSIONS"
    assert "AWSLambda" in info["errorInformation"]["message"]


# ------------------------------------------------------------------------------ telling


def test_whoever_is_told(place: Place, alarm: Callable[[str], str]) -> None:
    topic = place.cloud.client("sns").create_topic(Name="deployments")["TopicArn"]
    kinds = ["DeploymentStart", "DeploymentStop", "DeploymentRollback", "DeploymentSuccess"]
    group = place.group(
        alarmConfiguration=alarms(alarm("ALARM")),
        triggerConfigurations=[
            {"triggerName": "t", "triggerTargetArn": topic, "triggerEvents": kinds}
        ],
    )
    deployment = place.deploy(group)

    def told() -> list[dict[str, Any]] | None:
        from moto.sns.models import sns_backends

        cloud = place.cloud
        kept = sns_backends[cloud.account_id][cloud.region].topics[topic].sent_notifications
        messages = [json.loads(item[1]) for item in kept]
        # started, stopped, taken back; and the rollback's own: started, succeeded
        return messages if len(messages) == 5 else None

    messages = wait_for(told)
    assert [message["status"] for message in messages] == [
        "INPROGRESS", "STOPPED", "STOPPED", "INPROGRESS", "SUCCEEDED",
    ]  # fmt: skip
    stopped = messages[1]
    assert stopped["deploymentId"] == deployment
    assert json.loads(stopped["errorInformation"])["ErrorCode"] == "ALARM_ACTIVE"
    assert json.loads(stopped["rollbackInformation"])["rollbackDeploymentId"]


# ------------------------------------------------------------------------------ refusals


def test_what_is_not_taken_is_named(place: Place) -> None:
    client = place.client
    group = place.group()
    unsupported = "LocalCloudUnsupported"
    bad = {"revisionType": "AppSpecContent", "appSpecContent": {"content": "version: 0.0"}}
    canary = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 100}}
    for call, code in [
        (lambda: client.create_application(applicationName="x"), unsupported),
        (lambda: client.create_application(applicationName="app", computePlatform="Lambda"),
         "ApplicationAlreadyExistsException"),
        (lambda: client.get_application(applicationName="x"), "ApplicationDoesNotExistException"),
        (lambda: client.create_deployment_group(applicationName="app", deploymentGroupName="x",
            serviceRoleArn=place.role_arn), "InvalidDeploymentStyleException"),
        (lambda: place.group(deploymentConfigName="x"), "DeploymentConfigDoesNotExistException"),
        (lambda: place.group(serviceRoleArn=f"{place.role_arn}x"), "InvalidRoleException"),
        (lambda: place.group(alarmConfiguration=alarms(*map(str, range(11)))),
         "AlarmsLimitExceededException"),
        (lambda: client.create_deployment_config(deploymentConfigName="x",
            computePlatform="Lambda", trafficRoutingConfig=canary),
         "InvalidTrafficRoutingConfigurationException"),
        (lambda: client.create_deployment(applicationName="app", deploymentGroupName=group,
            revision=bad), "InvalidRevisionException"),
        (lambda: client.create_deployment(applicationName="app", deploymentGroupName=group,
            revision={"revisionType": "S3"}), unsupported),
        (lambda: client.get_deployment(deploymentId="d-1"), "DeploymentDoesNotExistException"),
        (lambda: client.delete_deployment_config(
            deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce"),
         "InvalidOperationException"),
    ]:  # fmt: skip
        assert fails(call)[0] == code


def test_tags_of_an_application(place: Place) -> None:
    arn = f"arn:aws:codedeploy:{place.cloud.region}:{place.cloud.account_id}:application:app"
    place.client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    tags = place.client.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}]
    place.client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert not place.client.list_tags_for_resource(ResourceArn=arn)["Tags"]
