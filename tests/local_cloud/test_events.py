"""Rules match, schedules fire, and targets are started with the target's role."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud
from local_cloud.events.schedules import ScheduleError, seconds_until_next

from .conftest import MakeRole, policy, wait_for

NOW = dt.datetime(2024, 2, 28, 12, 34, 56, tzinfo=dt.UTC)  # a Wednesday
Listen = Callable[..., Callable[[], list[Any]]]


@pytest.fixture
def events(cloud: LocalCloud) -> Any:
    return cloud.client("events")


@pytest.fixture
def listen(cloud: LocalCloud, events: Any, make_role: MakeRole) -> Listen:
    """Put a rule whose target is a new state machine; give what it was started with."""

    def put(role: str | None = None, target: dict[str, Any] | None = None, **rule: Any) -> Any:
        name = f"rule-{uuid.uuid4().hex[:8]}"
        states = cloud.client("stepfunctions")
        machine = states.create_state_machine(
            name=name,
            definition='{"StartAt": "S", "States": {"S": {"Type": "Succeed"}}}',
            roleArn=make_role(service="states.amazonaws.com"),
        )["stateMachineArn"]
        role = role or make_role(("states:StartExecution", machine), service="events.amazonaws.com")
        if "EventPattern" in rule:
            rule["EventPattern"] = json.dumps(rule["EventPattern"])
        events.put_rule(Name=name, **rule)
        events.put_targets(
            Rule=name, Targets=[{"Id": "m", "Arn": machine, "RoleArn": role, **(target or {})}]
        )

        def inputs() -> list[Any]:
            found = states.list_executions(stateMachineArn=machine)["executions"]
            arns = [execution["executionArn"] for execution in found]
            return [
                json.loads(states.describe_execution(executionArn=arn)["input"]) for arn in arns
            ]

        return inputs

    return put


def send(events: Any, detail: dict[str, Any], source: str = "test") -> None:
    entry = {"Source": source, "DetailType": "Test", "Detail": json.dumps(detail)}
    answer = events.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer


def test_an_event_that_matches_starts_the_target(events: Any, listen: Listen) -> None:
    source = uuid.uuid4().hex
    pattern = {
        "source": [source],
        "detail": {
            "key": [{"prefix": "data/"}],
            "name": [{"suffix": ".csv"}],
            "state": [{"anything-but": ["OFF"]}],
            "count": [{"numeric": [">", 1, "<=", 5]}],
            "error": [{"exists": False}],
            "deep": {"er": ["x", "y"]},
        },
    }
    inputs = listen(EventPattern=pattern)
    good = {"key": "data/a", "name": "a.csv", "state": "ON", "count": 5, "deep": {"er": "y"}}
    for change in (
        {"key": "datum"},
        {"name": "a.tsv"},
        {"state": "OFF"},
        {"count": 1},
        {"error": "e"},
        {"deep": {"er": "z"}},
    ):
        send(events, {**good, **change}, source)
    send(events, good, "other")
    send(events, good, source)
    wait_for(inputs, 20)
    (event,) = inputs()
    assert event["detail"] == good
    assert (event["source"], event["detail-type"]) == (source, "Test")


def test_a_disabled_rule_fires_nothing(events: Any, listen: Listen) -> None:
    source = uuid.uuid4().hex
    silent = listen(EventPattern={"source": [source]}, State="DISABLED")
    loud = listen(EventPattern={"source": [source]})
    send(events, {"a": 1}, source)
    wait_for(loud, 20)
    assert silent() == []


def test_a_target_is_given_its_own_input(events: Any, listen: Listen) -> None:
    source = uuid.uuid4().hex
    transformer = {
        "InputPathsMap": {"release": "$.detail.release", "all": "$.detail"},
        "InputTemplate": '{"text": "Release <release>", "all": <all>}',
    }
    inputs = listen(EventPattern={"source": [source]}, target={"InputTransformer": transformer})
    send(events, {"release": 'r "1"'}, source)
    assert wait_for(inputs, 20) == [{"text": 'Release r "1"', "all": {"release": 'r "1"'}}]


def test_a_schedule_fires_again_and_again(events: Any, listen: Listen) -> None:
    inputs = listen(ScheduleExpression="rate(10 minutes)")  # 0.6 s with this cloud's factor
    first = wait_for(inputs, 60)[0]
    assert (first["source"], first["detail-type"]) == ("aws.events", "Scheduled Event")
    wait_for(lambda: len(inputs()) > 1, 60)


def test_a_role_that_may_not_is_told_of(
    cloud: LocalCloud, events: Any, listen: Listen, make_role: MakeRole
) -> None:
    source = uuid.uuid4().hex
    inputs = listen(
        role=make_role(service="events.amazonaws.com"), EventPattern={"source": [source]}
    )
    send(events, {"a": 1}, source)
    log = cloud.root / "logs" / "events.log"
    wait_for(lambda: log.exists() and "states:StartExecution" in log.read_text(), 20)
    assert inputs() == []


def test_an_object_in_a_bucket_with_notifications_is_told_of(
    cloud: LocalCloud, events: Any, listen: Listen
) -> None:
    s3 = cloud.client("s3")
    place = {"LocationConstraint": cloud.region}
    for bucket in ("told", "untold"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    s3.put_bucket_notification_configuration(
        Bucket="told", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    inputs = listen(
        EventPattern={
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"prefix": "data/"}]}},
        }
    )
    s3.put_object(Bucket="untold", Key="data/a", Body=b"1")
    s3.put_object(Bucket="told", Key="other/a", Body=b"1")
    s3.put_object(Bucket="told", Key="data/a", Body=b"12")
    (event,) = wait_for(inputs, 20)
    assert event["detail"]["bucket"] == {"name": "told"}
    assert (event["detail"]["object"]["key"], event["detail"]["object"]["size"]) == ("data/a", 2)
    s3.copy_object(Bucket="told", Key="data/b", CopySource="told/data/a")
    wait_for(lambda: len(inputs()) > 1, 20)


def test_a_topic_hears_when_its_policy_says_so(cloud: LocalCloud, events: Any) -> None:
    sns = cloud.client("sns")
    source = uuid.uuid4().hex
    allowed, closed = (sns.create_topic(Name=name)["TopicArn"] for name in ("open", "closed"))
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": allowed,
    }
    sns.set_topic_attributes(
        TopicArn=allowed, AttributeName="Policy", AttributeValue=policy(statement)
    )
    events.put_rule(Name="topics", EventPattern=json.dumps({"source": [source]}))
    template = {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '"It is <a>"'}
    events.put_targets(
        Rule="topics",
        Targets=[
            {"Id": "open", "Arn": allowed, "InputTransformer": template},
            {"Id": "closed", "Arn": closed},
        ],
    )
    send(events, {"a": 1}, source)
    from moto.sns.models import sns_backends

    sent = sns_backends[cloud.account_id][cloud.region].topics[allowed].sent_notifications
    wait_for(lambda: sent, 20)
    assert [message[1] for message in sent] == ["It is 1"]
    log = cloud.root / "logs" / "events.log"
    wait_for(lambda: log.exists() and f"{closed}: events.amazonaws.com may not" in log.read_text())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"Arn": "arn:aws:lambda:xx-local-1:000000000000:function:f"}, "lambda"),
        ({"Arn": "arn:aws:sqs:xx-local-1:000000000000:q"}, "sqs"),
        ({"Arn": "arn:aws:codepipeline:xx-local-1:000000000000:p"}, "RoleArn is required"),
        (
            {
                "Arn": "arn:aws:sns:xx-local-1:000000000000:t",
                "DeadLetterConfig": {"Arn": "arn:aws:sqs:xx-local-1:000000000000:q"},
            },
            "DeadLetterConfig",
        ),
    ],
)
def test_other_targets_are_refused(events: Any, target: dict[str, Any], message: str) -> None:
    events.put_rule(Name="refused", EventPattern='{"source": ["never"]}')
    with pytest.raises(ClientError, match=message):
        events.put_targets(Rule="refused", Targets=[{"Id": "t", **target}])
    assert events.list_targets_by_rule(Rule="refused")["Targets"] == []


def test_what_cannot_match_or_fire_is_refused(cloud: LocalCloud, events: Any) -> None:
    with pytest.raises(ClientError, match="sounds-like"):
        events.put_rule(Name="r", EventPattern='{"source": [{"sounds-like": "x"}]}')
    with pytest.raises(ClientError, match="ScheduleExpression"):
        events.put_rule(Name="r", ScheduleExpression="cron(0 6 L * ? *)")
    with pytest.raises(ClientError, match="default bus"):
        events.create_event_bus(Name="other")
    answer = events.put_events(Entries=[{"Source": "aws.s3", "DetailType": "x", "Detail": "{}"}])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    answer = events.put_events(Entries=[{"Source": "s", "DetailType": "x", "Detail": "{"}])
    assert answer["Entries"][0]["ErrorCode"] == "MalformedDetail"


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(12 hours)", 43_200),
        ("rate(7 days)", 604_800),
        ("cron(35 12 * * ? *)", 4),
        ("cron(0/15 * * * ? *)", 10 * 60 + 4),
        ("cron(0 6 ? * MON-FRI *)", 17 * 3_600 + 25 * 60 + 4),
        ("cron(0 0 1 MAR ? 2024)", 35 * 3_600 + 25 * 60 + 4),  # over the leap day
        ("cron(0 10,20 28 2 ? *)", 7 * 3_600 + 25 * 60 + 4),
    ],
)
def test_when_a_schedule_fires(expression: str, seconds: float) -> None:
    assert seconds_until_next(expression, NOW) == seconds


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(2 minute)",
        "cron(* * * * * *)",
        "cron(60 * * * ? *)",
        "cron(0 0 ? * 2#1 *)",
        "cron(0 0 31 2 ? *)",
        "cron(0 0 1 1 ? 2020)",
        "every day",
    ],
)
def test_what_is_no_schedule(expression: str) -> None:
    with pytest.raises(ScheduleError):
        seconds_until_next(expression, NOW)
