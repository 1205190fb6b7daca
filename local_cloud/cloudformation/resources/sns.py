"""AWS::SNS: topics, their policies and subscriptions."""

from __future__ import annotations

from functools import partial
from typing import Any

from local_cloud.cloudformation.deployer import Deployer
from local_cloud.cloudformation.resources.calls import (
    ID,
    ITEM,
    Call,
    Code,
    Source,
    State,
    attr,
    given,
    item,
    prop,
)
from local_cloud.cloudformation.resources.parts import TAG_KEYS, Items, Setting, tags
from local_cloud.cloudformation.resources.resource_type import ResourceType

__all__ = ["TYPES"]

_call = partial(Call, "sns")
_MISSING = ("NotFound",)


def _attributes(*names: str) -> Source:
    """Properties as SNS's map of attributes; ``None`` when the template sets none."""

    def value(state: State) -> dict[str, Any] | None:
        found = {name: state.properties[name] for name in names if name in state.properties}
        return found or None

    return Source(value, names)


def _topic_arn(deployer: Deployer, name: str) -> str:
    return f"arn:aws:sns:{deployer.cloud.region}:{deployer.cloud.account_id}:{name}"


def _get_topic(deployer: Deployer, state: State) -> dict[str, Any]:
    arn = _topic_arn(deployer, state.properties["TopicName"])
    return deployer.call("sns", "GetTopicAttributes", {"TopicArn": arn})


def _topic_setting(name: str) -> Setting:
    return Setting(
        _call(
            "SetTopicAttributes",
            {"TopicArn": ID, "AttributeName": name, "AttributeValue": prop(name, default="")},
        ),
        made_with_resource=True,
    )


TOPIC = ResourceType(
    name="AWS::SNS::Topic",
    exists=Code(_get_topic, extra_operations=(("sns", "GetTopicAttributes"),)),
    create=_call(
        "CreateTopic",
        {
            "Name": prop("TopicName"),
            "Attributes": _attributes("DisplayName", "KmsMasterKeyId"),
            **given("Tags"),
        },
    ),
    made={"TopicArn": "TopicArn"},
    id=attr("TopicArn"),
    named="TopicName",
    longest_name=256,
    parts=(
        _topic_setting("DisplayName"),
        _topic_setting("KmsMasterKeyId"),
        tags(
            _call("TagResource", {"ResourceArn": ID, "Tags": ITEM}),
            _call("UntagResource", {"ResourceArn": ID, "TagKeys": TAG_KEYS}),
        ),
    ),
    delete=(_call("DeleteTopic", {"TopicArn": ID}),),
    missing=_MISSING,
)

#: What the owner of a topic may do when nobody has set a policy.
_OWNERS_ACTIONS = (
    "Publish", "RemovePermission", "SetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic",
    "GetTopicAttributes", "AddPermission", "Subscribe",
)  # fmt: skip


def _put_default_policy(deployer: Deployer, state: State) -> None:
    arn = state.item["TopicArn"]
    owner = {"StringEquals": {"AWS:SourceOwner": deployer.cloud.account_id}}
    policy = {
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [
            {
                "Effect": "Allow",
                "Sid": "__default_statement_ID",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{action}" for action in _OWNERS_ACTIONS],
                "Resource": arn,
                "Condition": owner,
            }
        ],
    }
    default = Call("sns", "SetTopicAttributes", {**_POLICY_OF_TOPIC, "AttributeValue": policy})
    default.run(deployer, state)


_POLICY_OF_TOPIC = {"TopicArn": item("TopicArn"), "AttributeName": "Policy"}


def _topics(state: State) -> list[dict[str, Any]]:
    topics = state.properties.get("Topics")
    document = state.properties.get("PolicyDocument")
    arns = topics if isinstance(topics, list) else []
    return [{"TopicArn": arn, "PolicyDocument": document} for arn in arns]


TOPIC_POLICY = ResourceType(
    name="AWS::SNS::TopicPolicy",
    id=Source(lambda state: state.name),
    parts=(
        Items(
            Source(_topics, ("Topics", "PolicyDocument")),
            _call(
                "SetTopicAttributes",
                {**_POLICY_OF_TOPIC, "AttributeValue": item("PolicyDocument")},
            ),
            Code(_put_default_policy, extra_operations=(("sns", "SetTopicAttributes"),)),
            key=("TopicArn",),
            undone_before_deletion=True,
        ),
    ),
    missing=_MISSING,
)

SUBSCRIPTION = ResourceType(
    name="AWS::SNS::Subscription",
    create=_call(
        "Subscribe",
        {
            **given("Endpoint", "Protocol", "TopicArn"),
            "Attributes": _attributes("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery"),
            "ReturnSubscriptionArn": True,
        },
    ),
    made={"Arn": "SubscriptionArn"},
    id=attr("Arn"),
    parts=tuple(
        Setting(
            _call(
                "SetSubscriptionAttributes",
                {
                    "SubscriptionArn": ID,
                    "AttributeName": name,
                    "AttributeValue": prop(name, default=default),
                },
            ),
            made_with_resource=True,
        )
        for name, default in (
            ("FilterPolicyScope", "MessageAttributes"),
            ("FilterPolicy", {}),
            ("RawMessageDelivery", False),
        )
    ),
    delete=(_call("Unsubscribe", {"SubscriptionArn": ID}),),
    missing=_MISSING,
)

TYPES = (TOPIC, TOPIC_POLICY, SUBSCRIPTION)
