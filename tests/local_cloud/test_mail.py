"""What a topic sends by e-mail is a file that a mail program opens."""

from __future__ import annotations

import email
import json
import uuid
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.cloud import LocalCloud


@pytest.fixture
def sns(cloud: LocalCloud) -> Any:
    return cloud.client("sns")


@pytest.fixture
def topic(sns: Any) -> str:
    name = f"t-{uuid.uuid4().hex}"
    return str(sns.create_topic(Name=name, Attributes={"DisplayName": "Project one"})["TopicArn"])


def received(cloud: LocalCloud, topic: str) -> list[EmailMessage]:
    """The messages of a topic, in the order in which they came."""
    files = sorted((cloud.root / "mail").glob("*.eml"))
    messages = [email.message_from_bytes(path.read_bytes(), policy=default) for path in files]
    return [message for message in messages if message["X-Amz-Sns-Topic-Arn"] == topic]


def test_a_subscriber_reads_what_is_published(cloud: LocalCloud, sns: Any, topic: str) -> None:
    for _ in range(2):  # the second time nothing is new
        arn = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    found = sns.get_subscription_attributes(SubscriptionArn=arn["SubscriptionArn"])["Attributes"]
    assert found["PendingConfirmation"] == "false"
    text = "Modèle « churn »:\nno\ttabs lost, " + "no long line broken " * 20
    sns.publish(TopicArn=topic, Subject="APPROVAL NEEDED: one/two", Message=text)
    sns.publish(TopicArn=topic, Message="without a subject")
    welcome, message, plain = received(cloud, topic)
    assert "Subscription Confirmation" in welcome["Subject"]
    assert (message["To"], message["Subject"]) == ("a@example.com", "APPROVAL NEEDED: one/two")
    assert message["From"] == "Project one <no-reply@sns.amazonaws.com>"
    assert message.get_content() == f"{text}\n"
    assert plain["Subject"] == "AWS Notification Message"
    names = [path.name for path in (cloud.root / "mail").iterdir()]
    assert any(name.endswith("-APPROVAL-NEEDED-one-two.eml") for name in names), names
    assert all(name.endswith(".eml") for name in names)


def test_json_says_more(cloud: LocalCloud, sns: Any, topic: str) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email-json", Endpoint="a@example.com")
    texts = json.dumps({"default": "d", "email-json": "j"})
    sns.publish(TopicArn=topic, Subject="s", Message=texts, MessageStructure="json")
    *_, message = received(cloud, topic)
    body = json.loads(message.get_content())
    assert (body["Type"], body["Subject"], body["Message"]) == ("Notification", "s", "j")


def test_filters_and_the_end_of_a_subscription(cloud: LocalCloud, sns: Any, topic: str) -> None:
    arn = sns.subscribe(
        TopicArn=topic,
        Protocol="email",
        Endpoint="a@example.com",
        Attributes={"FilterPolicy": json.dumps({"kind": ["wanted"]})},
    )["SubscriptionArn"]
    for kind in ("unwanted", "wanted"):
        value = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=kind, MessageAttributes=value)
    sns.unsubscribe(SubscriptionArn=arn)
    sns.publish(TopicArn=topic, Message="late")
    assert [message.get_content() for message in received(cloud, topic)[1:]] == ["wanted\n"]


def test_a_subject_cannot_write_headers(cloud: LocalCloud, sns: Any, topic: str) -> None:
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    sns.publish(TopicArn=topic, Subject="a\nBcc: b@example.com", Message="m")
    *_, message = received(cloud, topic)
    assert (message["Bcc"], message["Subject"]) == (None, "a Bcc: b@example.com")


@pytest.mark.parametrize("protocol", ["https", "sms", "sqs", "lambda"])
def test_what_would_leave_the_machine_is_refused(sns: Any, topic: str, protocol: str) -> None:
    with pytest.raises(ClientError, match=f"protocol {protocol}"):
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint="https://example.com")
