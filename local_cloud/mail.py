"""SNS: what a topic sends by e-mail is a file in the outbox, ``.local/mail``.

Each message is written as it would arrive, in the format of e-mail (RFC 5322), so that any mail
program opens it: ``<number>-<subject>.eml``, the newest with the highest number.

A subscription is confirmed at once. On AWS it waits until the recipient follows the link of a first
message; the only recipient here is whoever reads the outbox.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from __future__ import annotations

import email.policy
import itertools
import json
import re
import shutil
import threading
from email.message import EmailMessage
from email.utils import formataddr, localtime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.sns.models import SNSBackend, Subscription

from local_cloud.errors import UnsupportedError
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "install"]

PARITY = [
    Parity("SNS", "exact", "Topics, their policies and attributes; filter policies"),
    Parity(
        "SNS",
        "partial",
        "E-mail is a file in .local/mail; a subscription is confirmed at once, its first message"
        " says so; that a publisher may use the key of an encrypted topic is not checked",
    ),
    Parity(
        "SNS",
        "refused",
        "Subscriptions other than email and email-json, text messages, push notifications",
    ),
]

_PROTOCOLS = ("email", "email-json")
_SENDER = "no-reply@sns.amazonaws.com"
_SUBJECT = "AWS Notification Message"  # what AWS takes without one
_NAME_LENGTH = 60
#: Lines stay whole, as far as e-mail allows, so that an address can be copied out of the file.
_FORMAT = email.policy.default.clone(max_line_length=990)


def install(cloud: LocalCloud) -> None:
    """Deliver e-mail to an empty outbox until `cloud` stops."""
    outbox = _Outbox(cloud.root / "mail")

    def subscribe(self: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        if protocol not in _PROTOCOLS:
            raise UnsupportedError(
                "sns:Subscribe",
                f"protocol {protocol}",
                f"{' or '.join(_PROTOCOLS)} is supported",
            )
        is_new = self._find_subscription(topic_arn, endpoint, protocol) is None
        subscription = original_subscribe(self, topic_arn, endpoint, protocol)
        if is_new:
            outbox.put(subscription, "AWS Notification - Subscription Confirmation", _WELCOME)
        return subscription

    def publish(
        self: Subscription, message: str, message_id: str, subject: str | None = None, **more: Any
    ) -> None:
        if self.protocol not in _PROTOCOLS:  # of a service that subscribes without asking
            original_publish(self, message, message_id, subject, **more)
        elif _is_wanted(self, message, more.get("message_attributes")):
            if more.get("message_structure") == "json":
                message = self._parse_message_structure(message, self.protocol)
            outbox.put(self, subject or _SUBJECT, _body(self, message, message_id, subject))

    original_subscribe = cloud.replace(SNSBackend, "subscribe", subscribe)
    original_publish = cloud.replace(Subscription, "publish", publish)


_WELCOME = """\
You have been subscribed to the topic.
In a real account you would confirm it with a link in this message, and get nothing before you do.
"""


def _is_wanted(subscription: Subscription, message: str, attributes: Any) -> bool:
    matcher = subscription._filter_policy_matcher  # noqa: SLF001 - moto keeps it there
    return matcher is None or bool(matcher.matches(attributes, message))


def _body(subscription: Subscription, message: str, message_id: str, subject: str | None) -> str:
    if subscription.protocol == "email":
        return message
    fields = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic_arn,
        **({"Subject": subject} if subject else {}),
        "Message": message,
    }
    return json.dumps(fields, indent=2)


class _Outbox:
    """A folder of messages; what the last run left is removed."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def put(self, subscription: Subscription, subject: str, text: str) -> None:
        """Write a message, whole or not at all."""
        message = EmailMessage(_FORMAT)
        topic = subscription.topic
        message["From"] = formataddr((topic.display_name or "AWS Notifications", _SENDER))
        message["To"] = subscription.endpoint
        message["Subject"] = " ".join(subject.split())
        message["Date"] = localtime()
        message["X-Amz-Sns-Topic-Arn"] = topic.arn
        message.set_content(text)
        name = re.sub(r"[^A-Za-z0-9]+", "-", subject).strip("-")[:_NAME_LENGTH]
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{next(self._numbers):04d}-{name}.eml"
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(message.as_bytes())
            unfinished.replace(path)
