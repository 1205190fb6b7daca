"""CloudWatch alarms in a started account: they look, change and tell."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud

from .conftest import MakeRole, policy, wait_for

NAMES = (f"alarm-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def cloudwatch(cloud: LocalCloud) -> Any:
    return cloud.client("cloudwatch")


@pytest.fixture
def namespace() -> str:
    return f"Test/{next(NAMES)}"


@pytest.fixture
def put(cloudwatch: Any, namespace: str) -> Iterator[Callable[..., str]]:
    """Give the name of a new alarm: more than five errors in a minute; gone after the test."""
    made: list[str] = []

    def put_alarm(**changes: Any) -> str:
        name = next(NAMES)
        metric: dict[str, Any] = {
            "Namespace": namespace, "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        }  # fmt: skip
        request: dict[str, Any] = {
            "AlarmName": name,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 5,
            "EvaluationPeriods": 1,
            "TreatMissingData": "notBreaching",
            **({} if "Metrics" in changes else metric),
            **changes,
        }
        cloudwatch.put_metric_alarm(**{k: v for k, v in request.items() if v is not None})
        made.append(name)
        return name

    yield put_alarm
    cloudwatch.delete_alarms(AlarmNames=made)


def described(cloudwatch: Any, name: str) -> dict[str, Any]:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return dict(alarm)


def wait_for_state(cloudwatch: Any, name: str, state: str) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        alarm = described(cloudwatch, name)
        return alarm if alarm["StateValue"] == state else None

    return dict(wait_for(reached))


def states(cloudwatch: Any, name: str) -> list[str]:
    """Every state that an alarm has come to, oldest first."""
    items = cloudwatch.describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )["AlarmHistoryItems"]
    return [json.loads(item["HistoryData"])["newState"]["stateValue"] for item in items]


def fail(cloud: LocalCloud, namespace: str, count: float = 6) -> None:
    cloud.metrics.record(namespace, {}, {"Errors": count})


# ------------------------------------------------------------------------------ states


def test_an_alarm_comes_on_and_goes_off_again(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str
) -> None:
    name = put()
    assert described(cloudwatch, name)["StateReason"].startswith(("Unchecked", "Threshold"))
    wait_for_state(cloudwatch, name, "OK")
    fail(cloud, namespace)
    wait_for(lambda: states(cloudwatch, name) == ["OK", "ALARM", "OK"])
    history = cloudwatch.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]
    on = next(item for item in history if "to ALARM" in item["HistorySummary"])
    reason = json.loads(on["HistoryData"])["newState"]["stateReason"]
    assert reason.startswith("Threshold Crossed: 1 out of the last 1 datapoint [6.0 (")
    assert "was greater than the threshold (5.0)" in reason


def test_an_alarm_without_data_says_so(cloudwatch: Any, put: Callable[..., str]) -> None:
    missing = put(TreatMissingData="missing")
    breaching = put(TreatMissingData="breaching", EvaluationPeriods=2)
    alarm = wait_for_state(cloudwatch, breaching, "ALARM")
    assert alarm["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints"
        " were treated as [Breaching]."
    )
    cloudwatch.set_alarm_state(AlarmName=missing, StateValue="OK", StateReason="test")
    alarm = wait_for_state(cloudwatch, missing, "INSUFFICIENT_DATA")
    assert alarm["StateReason"] in {
        "Insufficient Data: 1 datapoint was unknown.", "Unchecked: Initial alarm creation",
    }  # fmt: skip
    assert states(cloudwatch, missing) == ["OK", "INSUFFICIENT_DATA"]


def test_m_of_n_minutes_make_an_alarm(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str
) -> None:
    strict = put(EvaluationPeriods=50, DatapointsToAlarm=2)
    other = put(EvaluationPeriods=50, DatapointsToAlarm=3)
    now = time.time()
    for ago in (4, 8):
        cloud.metrics.record(
            namespace, {}, {"Errors": 6}, at=now - ago * cloud.metrics.minute_seconds
        )
    wait_for_state(cloudwatch, strict, "ALARM")
    assert described(cloudwatch, other)["StateValue"] != "ALARM"


def test_an_alarm_of_metric_math(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str
) -> None:
    def metric(name: str, dimensions: dict[str, str]) -> dict[str, Any]:
        pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        found = {"Namespace": namespace, "MetricName": name, "Dimensions": pairs}
        return {"Metric": found, "Period": 120, "Stat": "Sum"}

    version = {"Version": "2"}
    name = put(
        Threshold=0.5,
        Metrics=[
            {"Id": "rate", "Expression": "IF(asked >= 10, FILL(failed, 0) / asked, 0)"},
            {"Id": "asked", "MetricStat": metric("Asked", version), "ReturnData": False},
            {"Id": "failed", "MetricStat": metric("Failed", version), "ReturnData": False},
        ],
    )
    cloud.metrics.record(namespace, version, {"Asked": 9, "Failed": 9})  # too few to tell
    wait_for_state(cloudwatch, name, "OK")
    cloud.metrics.record(namespace, version, {"Asked": 30, "Failed": 20})
    alarm = wait_for_state(cloudwatch, name, "ALARM")
    assert "was greater than the threshold (0.5)" in alarm["StateReason"]


def test_an_updated_alarm_keeps_its_state(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str
) -> None:
    name = put(TreatMissingData="ignore")
    fail(cloud, namespace)
    wait_for_state(cloudwatch, name, "ALARM")
    put(AlarmName=name, TreatMissingData="ignore", AlarmDescription="again")
    alarm = described(cloudwatch, name)
    assert (alarm["StateValue"], alarm["AlarmDescription"]) == ("ALARM", "again")


# ------------------------------------------------------------------------------ telling


def test_whoever_is_told(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str, make_role: MakeRole
) -> None:
    sns, events = cloud.client("sns"), cloud.client("events")
    told = sns.create_topic(Name=next(NAMES))["TopicArn"]
    closed = sns.create_topic(Name=next(NAMES))["TopicArn"]
    other = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}
    sns.set_topic_attributes(
        TopicArn=closed,
        AttributeName="Policy",
        AttributeValue=policy({**other, "Action": "sns:Publish", "Resource": closed}),
    )
    events.put_rule(
        Name="alarms",
        EventPattern=json.dumps(
            {"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}
        ),
    )
    events.put_targets(Rule="alarms", Targets=[{"Id": "t", "Arn": closed}])
    name = put(AlarmActions=[told, closed], AlarmDescription="what to do")
    fail(cloud, namespace)

    def done() -> dict[str, str] | None:
        items = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="Action")
        summaries = {item["HistorySummary"] for item in items["AlarmHistoryItems"]}
        return {text.rpartition(" ")[2]: text for text in summaries} if len(summaries) > 1 else None

    summaries = wait_for(done)
    assert summaries[told] == f"Successfully executed action {told}"
    assert summaries[closed] == f"Failed to execute action {closed}"  # its policy is for others
    messages = sent(cloud, told)
    (message,) = [json.loads(text) for text in messages]
    assert message["AlarmName"] == name
    assert message["NewStateValue"] == "ALARM"
    assert message["Trigger"]["MetricName"] == "Errors"
    event = json.loads(wait_for(lambda: sent(cloud, closed))[0])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [message["AlarmArn"]]
    assert event["detail"]["configuration"]["metrics"][0]["metricStat"]["metric"]["name"]
    events.remove_targets(Rule="alarms", Ids=["t"])
    events.delete_rule(Name="alarms")


def sent(cloud: LocalCloud, topic_arn: str) -> list[str]:
    """Messages that a topic was sent."""
    from moto.sns.models import sns_backends

    topic = sns_backends[cloud.account_id][cloud.region].topics[topic_arn]
    return [notification[1] for notification in topic.sent_notifications]


def test_disabled_actions_are_not_done(
    cloud: LocalCloud, cloudwatch: Any, put: Callable[..., str], namespace: str
) -> None:
    topic = cloud.client("sns").create_topic(Name=next(NAMES))["TopicArn"]
    name = put(AlarmActions=[topic], TreatMissingData="ignore")
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    fail(cloud, namespace)
    wait_for_state(cloudwatch, name, "ALARM")
    assert not sent(cloud, topic)


# ------------------------------------------------------------------------------ metrics


def test_metrics_are_put_and_read(cloud: LocalCloud, cloudwatch: Any, namespace: str) -> None:
    now = dt.datetime.now(dt.UTC)
    dimensions = [{"Name": "Release", "Value": "r1"}]
    data = [
        {"MetricName": "Latency", "Dimensions": dimensions, "Unit": "Milliseconds",
         "Values": [10.0, 30.0], "Counts": [3, 1]},
        {"MetricName": "Asked", "Dimensions": dimensions, "StatisticValues":
            {"SampleCount": 4, "Sum": 8, "Minimum": 1, "Maximum": 3}},
    ]  # fmt: skip
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    between = {"StartTime": now - dt.timedelta(minutes=2), "EndTime": now + dt.timedelta(minutes=2)}
    statistics = cloudwatch.get_metric_statistics(
        Namespace=namespace, MetricName="Latency", Dimensions=dimensions, Period=3600,
        Statistics=["Average", "Maximum", "SampleCount"], Unit="Milliseconds", **between,
    )["Datapoints"]  # fmt: skip
    assert sum(point["SampleCount"] for point in statistics) == 4
    assert statistics[0]["Average"] == 15.0
    found = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": "twice", "Expression": "2 * asked", "Label": "double"},
            {
                "Id": "asked",
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {
                        "Namespace": namespace, "MetricName": "Asked", "Dimensions": dimensions,
                    },
                    "Period": 3600,
                    "Stat": "Sum",
                },
            },
        ],
        **between,
    )["MetricDataResults"]  # fmt: skip
    assert [(_["Id"], _["Label"], _["Values"]) for _ in found] == [("twice", "double", [16.0])]
    listed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "Release"}])
    assert {metric["MetricName"] for metric in listed["Metrics"]} == {"Latency", "Asked"}


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"Period": 10}, "LocalCloudUnsupported", "10 s"),
        ({"Statistic": None, "ExtendedStatistic": "tm90"}, "LocalCloudUnsupported", "tm90"),
        ({"ExtendedStatistic": "p90"}, "ValidationError", "not both"),
        ({"AlarmActions": ["arn:aws:lambda:xx:0:function:f"]}, "LocalCloudUnsupported", "lambda"),
        ({"DatapointsToAlarm": 2}, "ValidationError", "DatapointsToAlarm"),
        ({"TreatMissingData": "good"}, "ValidationError", "good"),
        ({"EvaluationPeriods": 1441}, "ValidationError", "86400"),
        ({"Metrics": [{"Id": "e", "Expression": "RATE(m)"}]}, "LocalCloudUnsupported", "RATE"),
        ({"Metrics": [{"Id": "e", "Expression": "m + 1"}]}, "ValidationError", "one metric"),
        ({"Metrics": [{"Id": "e", "Expression": "1 +"}]}, "ValidationError", "syntax error"),
    ],
)
def test_what_is_not_taken_is_named(
    put: Callable[..., str], changes: dict[str, Any], code: str, said: str
) -> None:
    with pytest.raises(ClientError) as caught:
        put(**changes)
    assert caught.value.response["Error"]["Code"] == code
    assert said in caught.value.response["Error"]["Message"]


def test_tags_of_an_alarm(cloudwatch: Any, put: Callable[..., str]) -> None:
    arn = described(cloudwatch, put(Tags=[{"Key": "a", "Value": "1"}]))["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
    tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "b", "Value": "2"}]


def test_a_dashboard_is_kept(cloudwatch: Any) -> None:
    body = json.dumps({"widgets": []})
    cloudwatch.put_dashboard(DashboardName="d", DashboardBody=body)
    assert cloudwatch.get_dashboard(DashboardName="d")["DashboardBody"] == body
