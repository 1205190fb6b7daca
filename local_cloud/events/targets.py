"""What a rule starts: pipelines and state machines with the target's role, topics by their policy.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local_cloud import topics
from local_cloud.errors import UnsupportedError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["TargetError", "check", "fire"]

_PRINCIPAL = "events.amazonaws.com"
_SERVICES = ("codepipeline", "states", "sns")
_WITH_ROLE = ("codepipeline", "states")
_MEMBERS = {"Id", "Arn", "RoleArn", "Input", "InputPath", "InputTransformer"}
_PLACE = re.compile(r"<([\w.-]+)>")

Target = Mapping[str, Any]


class TargetError(Exception):
    """A target cannot be reached, with the reason."""


def check(target: Target) -> str | None:
    """What EventBridge says against a target; ``None`` when it takes it.

    Raises
    ------
    UnsupportedError
        For a target, or a setting of one, that is not here.
    """
    service = _service(target)
    if service not in _SERVICES:
        raise UnsupportedError(
            "events:PutTargets",
            f"target {target['Arn']}",
            f"a target of {', '.join(_SERVICES)} is supported",
        )
    for name in sorted(set(target) - _MEMBERS):
        raise UnsupportedError(
            "events:PutTargets",
            f"{name} of target {target['Id']!r}",
            f"of a target's members {', '.join(sorted(_MEMBERS))} are supported",
        )
    if service in _WITH_ROLE and not target.get("RoleArn"):
        return f"RoleArn is required for target {target['Arn']}."
    return None


def fire(cloud: LocalCloud, target: Target, rule_arn: str, event: Mapping[str, Any]) -> None:
    """Start the target with an event.

    Raises
    ------
    TargetError
        When a topic's policy does not let EventBridge publish.
    botocore.exceptions.ClientError, TrustError
        When the target, or its role, refuses.
    """
    service = _service(target)
    text = _input(target, event)
    if service == "sns":
        _publish(cloud, target["Arn"], rule_arn, _message(text))
        return
    client = cloud.client(
        "stepfunctions" if service == "states" else service,
        role_arn=target["RoleArn"],
        service_principal=_PRINCIPAL,
        source_arn=rule_arn,
    )
    if service == "codepipeline":
        client.start_pipeline_execution(name=target["Arn"].rpartition(":")[2])
    else:
        name = f"{event['id']}_{uuid.uuid4()}"  # as EventBridge names executions
        client.start_execution(stateMachineArn=target["Arn"], name=name, input=text)


def _service(target: Target) -> str:
    parts = str(target["Arn"]).split(":")
    return parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - arn:aws:<service>


def _publish(cloud: LocalCloud, topic_arn: str, rule_arn: str, message: str) -> None:
    try:
        topics.publish(cloud, topic_arn, message, principal=_PRINCIPAL, source_arn=rule_arn)
    except topics.TopicError as error:
        raise TargetError(str(error)) from error


# ------------------------------------------------------------------------------ input


def _input(target: Target, event: Mapping[str, Any]) -> str:
    """What the target is given, as text."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_at(event, target["InputPath"]))
    transformer = target.get("InputTransformer")
    if transformer is None:
        return json.dumps(event)
    paths = transformer.get("InputPathsMap", {})
    values = {name: _at(event, path) for name, path in paths.items()}
    return _filled(transformer["InputTemplate"], values)


def _at(event: Any, path: str) -> Any:
    """The part of an event at ``$.detail.name``; an empty text where there is none."""
    for part in path.removeprefix("$").split("."):
        if part:
            event = event.get(part, "") if isinstance(event, Mapping) else ""
    return event


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """A template with its places filled: texts as they are within quotes, JSON elsewhere."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        found = values[match[1]]
        is_quoted = template.count('"', 0, match.start()) % 2 == 1
        if is_quoted:
            return json.dumps(found if isinstance(found, str) else json.dumps(found))[1:-1]
        return json.dumps(found)

    return _PLACE.sub(value, template)


def _message(text: str) -> str:
    """A template that is one JSON text is sent without its quotes."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
