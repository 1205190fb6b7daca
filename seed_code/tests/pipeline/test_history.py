"""What a person sees before going back: approved releases, and what production answered."""

import datetime
import math

from pipeline import history

KEY = "churn-p-1"
NOW = datetime.datetime(2026, 5, 1, 9, 30, tzinfo=datetime.UTC)


def version(number, **known):
    return {"number": number, "CustomerMetadataProperties": known}


def serves(aws, release):
    described = {
        "StackName": f"{KEY}-prod", "StackStatus": "UPDATE_COMPLETE", "CreationTime": 0,
        "Outputs": [{"OutputKey": "ServingRelease", "OutputValue": release}],
    }  # fmt: skip
    aws.answers("cloudformation", "describe_stacks", {"Stacks": [described]})


def test_approved_releases_say_how_good_they_are_and_which_one_serves(aws):
    serves(aws, "r-2")
    aws.packages(
        version(3, release="r-3", metric="roc_auc", value="0.93"),
        version(2, release="r-2", metric="roc_auc", value="0.91", in_production_since="2026-04"),
        version(1, by="hand"),
    )
    newest, serving = history.approved(KEY, aws)
    assert (newest.release, newest.metric, newest.value) == ("r-3", "roc_auc", 0.93)
    assert (newest.in_production_since, newest.serves) == ("", False)
    assert (serving.release, serving.in_production_since, serving.serves) == (
        "r-2",
        "2026-04",
        True,
    )


def test_a_version_without_a_metric_is_shown_too(aws):
    serves(aws, "r-1")
    aws.packages(version(1, release="r-1"))
    (only,) = history.approved(KEY, aws)
    assert math.isnan(only.value)


def test_traffic_is_told_by_release_and_metric(aws):
    begin = NOW - datetime.timedelta(hours=2)
    metrics = ["Requests", "ModelErrors", "ClientErrors", "Latency"]
    asked = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "MLSystem", "MetricName": metric,
                    "Dimensions": [
                        {"Name": "Project", "Value": KEY}, {"Name": "Release", "Value": release},
                    ],
                },
                "Period": 120, "Stat": "p99" if metric == "Latency" else "Sum",
            },
        }
        for number, (release, metric) in enumerate(
            (release, metric) for release in ("r-2", "r-1") for metric in metrics
        )
    ]  # fmt: skip
    results = [
        {"Id": "q0", "Timestamps": [begin, NOW], "Values": [40.0, 30.0]},
        {"Id": "q7", "Timestamps": [NOW], "Values": [12.5]},
    ]
    aws.answers(
        "cloudwatch", "get_metric_data", {"MetricDataResults": results},
        MetricDataQueries=asked, StartTime=begin, EndTime=NOW, ScanBy="TimestampAscending",
    )  # fmt: skip
    assert history.traffic(KEY, ["r-2", "r-1"], aws, NOW, hours=2) == [
        history.Measured("r-2", "Requests", begin, 40.0),
        history.Measured("r-2", "Requests", NOW, 30.0),
        history.Measured("r-1", "Latency", NOW, 12.5),
    ]
