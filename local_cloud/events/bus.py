"""The default bus: which rules an event matches, and when schedules fire."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.exceptions import JsonRESTError
from moto.events.models import EventsBackend, Rule, events_backends
from moto.s3 import models as s3_models
from moto.s3 import notifications

from local_cloud.errors import LocalCloudError, UnsupportedError
from local_cloud.events import targets
from local_cloud.events.schedules import ScheduleError, seconds_until_next
from local_cloud.parity import Parity

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["PARITY", "emit", "install"]

PARITY = [
    Parity(
        "EventBridge",
        "exact",
        "Rules of the default bus by pattern (exact, prefix, suffix, anything-but, exists,"
        " numeric, wildcard, $or, nested) and by schedule; PutEvents; targets: CodePipeline and"
        " Step Functions with the target's role, SNS by the topic's policy; Input, InputPath,"
        " InputTransformer",
    ),
    Parity(
        "EventBridge",
        "partial",
        "An event is delivered once, not retried; what failed is in .local/logs/events.log;"
        " schedules shrink by the factor of all waits; sources are S3 (Object Created), CodeCommit,"
        " CodePipeline, CodeBuild, CodeDeploy and alarms of CloudWatch",
    ),
    Parity(
        "EventBridge",
        "refused",
        "Other buses, archives, connections, API destinations, other targets, dead-letter queues",
    ),
]

#: Filters of patterns that are known.
_FILTERS = {
    "anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix",
    "wildcard",
}  # fmt: skip
_LOOK_SECONDS = 0.05
_LOG_LOCK = threading.Lock()


def install(cloud: LocalCloud) -> None:
    """Have rules of `cloud` match and fire, until it stops."""
    _check_rules(cloud)
    _take_events(cloud)
    _follow_objects(cloud)
    stopping = threading.Event()
    thread = threading.Thread(
        target=_fire_schedules, args=(cloud, stopping), name="schedules", daemon=True
    )
    thread.start()
    cloud.on_stop(thread.join)
    cloud.on_stop(stopping.set)


def emit(
    cloud: LocalCloud,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str] = (),
) -> str:
    """Put an event on the default bus; it is delivered behind the caller's back.

    Returns
    -------
    The event's id.
    """
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": cloud.account_id,
        "time": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": cloud.region,
        "resources": list(resources),
        "detail": dict(detail),
    }
    matching = [rule for rule in _rules(cloud) if _matches(rule, event)]
    for rule in matching:
        _deliver(cloud, rule, event)
    return str(event["id"])


def _rules(cloud: LocalCloud) -> list[Rule]:
    backend = events_backends[cloud.account_id][cloud.region]
    rules = list(backend.event_buses["default"].rules.values())
    return [rule for rule in rules if rule.state.startswith("ENABLED")]


def _matches(rule: Rule, event: Mapping[str, Any]) -> bool:
    pattern = rule.event_pattern
    return bool(pattern.get_pattern()) and bool(pattern.matches_event(event))


def _deliver(cloud: LocalCloud, rule: Rule, event: Mapping[str, Any]) -> None:
    for target in list(rule.targets):
        threading.Thread(
            target=_fire, args=(cloud, rule, target, event), name=f"rule {rule.name}", daemon=True
        ).start()


def _fire(cloud: LocalCloud, rule: Rule, target: Any, event: Mapping[str, Any]) -> None:
    try:
        targets.fire(cloud, target, rule.arn, event)
    except (ClientError, BotoCoreError, LocalCloudError, targets.TargetError) as error:
        _log(cloud, f"rule {rule.name}, target {target['Id']}, event {event['id']}: {error}")


def _log(cloud: LocalCloud, line: str) -> None:
    path = cloud.root / "logs" / "events.log"
    with _LOG_LOCK:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{line}\n")


# ------------------------------------------------------------------------------ rules


def _check_rules(cloud: LocalCloud) -> None:
    """What cannot match or fire here is refused when it is put."""

    def put_rule(self: EventsBackend, *arguments: Any, **options: Any) -> Any:
        expression = options.get("scheduled_expression")
        if expression:
            _check_schedule(expression)
        _check_pattern(options.get("event_pattern"))
        return original_rule(self, *arguments, **options)

    def put_targets(self: EventsBackend, name: str, event_bus_arn: Any, given: Any) -> None:
        for target in given:
            problem = targets.check(target)
            if problem:
                raise JsonRESTError("ValidationException", problem)
        original_targets(self, name, event_bus_arn, given)

    original_rule = cloud.replace(EventsBackend, "put_rule", put_rule)
    original_targets = cloud.replace(EventsBackend, "put_targets", put_targets)


def _check_schedule(expression: str) -> None:
    try:
        seconds_until_next(expression, dt.datetime.now(dt.UTC))
    except ScheduleError as error:
        text = f"Parameter ScheduleExpression is not valid. ({error})"
        raise JsonRESTError("ValidationException", text) from error


def _check_pattern(text: str | None) -> None:
    try:
        pattern = json.loads(text or "{}")
    except ValueError:
        return  # moto says what is wrong with it
    for name in _filters(pattern):
        if name not in _FILTERS:
            raise UnsupportedError(
                "events:PutRule",
                f"the filter {name!r} in the event pattern",
                f"one of {', '.join(sorted(_FILTERS))} is supported",
            )


def _filters(pattern: Any) -> list[str]:
    """Names of the filters in a pattern: the keys of objects within lists."""
    if not isinstance(pattern, Mapping):
        return []
    names: list[str] = []
    for key, value in pattern.items():
        items = value if isinstance(value, list) else []
        if key == "$or":
            names += [name for item in items for name in _filters(item)]
        else:
            names += [name for item in items if isinstance(item, Mapping) for name in item]
        names += _filters(value)
    return names


# ------------------------------------------------------------------------------ events


def _take_events(cloud: LocalCloud) -> None:
    def put_events(_: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [_entry(cloud, event) for event in events]

    cloud.replace(EventsBackend, "put_events", put_events)


def _entry(cloud: LocalCloud, event: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("Source", "DetailType", "Detail"):
        if not event.get(name):
            reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
    if event.get("EventBusName", "default").rpartition("/")[2] != "default":
        raise UnsupportedError(
            "events:PutEvents", f"bus {event['EventBusName']!r}", "the default bus is supported"
        )
    if event["Source"].startswith("aws."):
        reason = "Not authorized for the source."
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": reason}
    try:
        detail = json.loads(event["Detail"])
    except ValueError:
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    resources = event.get("Resources", [])
    return {"EventId": emit(cloud, event["Source"], event["DetailType"], detail, resources)}


def _follow_objects(cloud: LocalCloud) -> None:
    """Buckets with EventBridge notifications tell of new objects; other notifications are refused.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """

    def send_event(_: str, event_name: Any, bucket: Any, key: Any) -> None:
        configuration = bucket.notification_configuration
        name = str(getattr(event_name, "value", event_name))
        if configuration is not None and configuration.event_bridge is not None:
            _tell_object(cloud, name, bucket, key)

    def set_configuration(self: Any, given: Mapping[str, Any] | None) -> None:
        for name in set(given or {}) - {"EventBridgeConfiguration", "@xmlns"}:
            raise UnsupportedError(
                "s3:PutBucketNotificationConfiguration",
                name,
                "EventBridgeConfiguration is supported",
            )
        original(self, given)

    cloud.replace(notifications, "send_event", send_event)
    original = cloud.replace(
        s3_models.FakeBucket, "set_notification_configuration", set_configuration
    )


def _tell_object(cloud: LocalCloud, event_name: str, bucket: Any, key: Any) -> None:
    if not event_name.startswith("s3:ObjectCreated:"):
        return
    kinds = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}
    kind = event_name.rpartition(":")[2]
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {
            "key": key.name,
            "size": key.size,
            "etag": key.etag.replace('"', ""),
            **({"version-id": key.version_id} if bucket.is_versioned else {}),
            "sequencer": f"{time.time_ns():016X}",
        },
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": cloud.account_id,
        "source-ip-address": "127.0.0.1",
        "reason": kinds.get(kind, kind),
    }
    emit(cloud, "aws.s3", "Object Created", detail, [bucket.arn])


# ------------------------------------------------------------------------------ schedules


def _fire_schedules(cloud: LocalCloud, stopping: threading.Event) -> None:
    due: dict[tuple[str, str], float] = {}
    while not stopping.wait(_LOOK_SECONDS):
        scheduled = {
            (rule.arn, rule.scheduled_expression): rule
            for rule in _rules(cloud)
            if rule.scheduled_expression
        }
        due = {key: moment for key, moment in due.items() if key in scheduled}
        for key, rule in scheduled.items():
            if key in due and due[key] <= time.monotonic():
                _deliver(cloud, rule, _scheduled_event(cloud, rule))
                del due[key]
            if key not in due:
                seconds = seconds_until_next(key[1], dt.datetime.now(dt.UTC))
                due[key] = time.monotonic() + seconds * cloud.wait_factor


def _scheduled_event(cloud: LocalCloud, rule: Rule) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": cloud.account_id,
        "time": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": cloud.region,
        "resources": [rule.arn],
        "detail": {},
    }
