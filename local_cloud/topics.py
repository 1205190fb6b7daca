"""What services publish to topics of SNS: only where the topic's policy lets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moto.sns.models import sns_backends

from local_cloud.policies import Policies, Request, decide

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["TopicError", "publish"]

#: Services that publish as the account does, so that a topic without a policy takes their messages.
_OWNERS = frozenset({"cloudwatch.amazonaws.com"})


class TopicError(Exception):
    """A topic cannot be published to, with the reason."""


def publish(
    cloud: LocalCloud,
    topic_arn: str,
    message: str,
    *,
    principal: str,
    source_arn: str,
    subject: str = "",
) -> None:
    """Publish a message as a service.

    Parameters
    ----------
    cloud
        The account.
    topic_arn, message, subject
        What, where; without a subject it has none.
    principal
        The service, for instance ``events.amazonaws.com``.
    source_arn
        For which resource it works.

    Raises
    ------
    TopicError
        When the topic does not exist, or its policy does not let the service publish.
    """
    topic = sns_backends[cloud.account_id][cloud.region].topics.get(topic_arn)
    if topic is None:
        raise TopicError(f"{topic_arn}: the topic does not exist")
    owner = (cloud.account_id,)
    request = Request(
        "sns:Publish",
        topic_arn,
        {
            "aws:principalisawsservice": ("true",),
            "aws:principalservicename": (principal,),
            "aws:securetransport": ("true",),
            "aws:sourcearn": (source_arn,),
            "aws:sourceaccount": owner,
            **({"aws:sourceowner": owner} if principal in _OWNERS else {}),
        },
        frozenset({"aws:sourceowner", "aws:principalservicename"}),
        frozenset({principal}),
    )
    decision = decide(Policies((), resource=json.loads(topic.policy)), request)
    if not decision.allowed:
        raise TopicError(
            f"{topic_arn}: {principal} may not publish {decision.reason}; the topic's policy must"
            " allow it"
        )
    options = {"Subject": subject} if subject else {}
    cloud.client("sns").publish(TopicArn=topic_arn, Message=message, **options)
