"""The account's alarms: looked at after every minute, with whoever is told when a state changes.

A minute, and with it every period, is as short as the factor of all waits makes it.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud import events, topics
from local_cloud.alarms.alarm import Alarm, Change
from local_cloud.alarms.evaluation import ALARM
from local_cloud.errors import LocalCloudError

if TYPE_CHECKING:
    from local_cloud.cloud import LocalCloud

__all__ = ["Alarms", "Handler"]

_PRINCIPAL = "cloudwatch.amazonaws.com"
#: So long after the end of a minute what happened in it is known: logs come in pieces.
_SETTLE_SECONDS = 0.4
_SHORTEST_SECONDS = 0.005
#: Minutes that are caught up with at the most when the machine was busy.
_MOST_MINUTES = 120
_MOST_HISTORY = 1000

#: Told of an alarm that is on: the action's ARN, and the alarm's name.
Handler = Callable[[str, str], None]


class Alarms:
    """Every alarm of an account.

    Parameters
    ----------
    cloud
        The account.
    """

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._lock = threading.RLock()
        self._alarms: dict[str, Alarm] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._history: list[dict[str, Any]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alarms", daemon=True)
        #: Service of an action's ARN -> who does it, each minute while the alarm is on.
        self.handlers: dict[str, Handler] = {}

    def start(self) -> None:
        """Begin to look at the alarms."""
        self._thread.start()

    def stop(self) -> None:
        """Look at nothing any more."""
        self._stopping.set()
        self._thread.join()

    # ---------------------------------------------------------------- operations

    def put(self, request: Mapping[str, Any]) -> None:
        """Make an alarm, or change one, whose state stays as it is.

        Raises
        ------
        QueryError
            When CloudWatch would not take it.
        UnsupportedError
            When it asks for what is not here.
        """
        alarm = Alarm(request, self.arn(request["AlarmName"]))
        with self._lock:
            before = self._alarms.get(alarm.name)
            if before is not None:
                alarm.current, alarm.transitioned = before.current, before.transitioned
            else:
                self._tags[alarm.arn] = {
                    tag["Key"]: tag["Value"] for tag in request.get("Tags") or []
                }
            self._alarms[alarm.name] = alarm
            verb = "created" if before is None else "updated"
            self._note(alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" {verb}', {})

    def delete(self, names: Iterable[str]) -> None:
        """Forget alarms; one that is not there is no error, as on AWS."""
        with self._lock:
            for name in names:
                alarm = self._alarms.pop(name, None)
                if alarm is not None:
                    del self._tags[alarm.arn]
                    self._note(alarm, "ConfigurationUpdate", f'Alarm "{name}" deleted', {})

    def find(self, name: str) -> Alarm | None:
        """The alarm of that name."""
        return self._alarms.get(name)

    def all(self) -> list[Alarm]:
        """Every alarm, by name."""
        with self._lock:
            return [self._alarms[name] for name in sorted(self._alarms)]

    def tags(self, arn: str) -> dict[str, str] | None:
        """Tags of an alarm or dashboard, which may be changed; ``None`` when there is none."""
        return self._tags.get(arn)

    def keep_dashboard(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        """Remember the tags of a new dashboard; one that is changed keeps its own."""
        self._tags.setdefault(arn, {tag["Key"]: tag["Value"] for tag in tags})

    def forget_dashboard(self, arn: str) -> None:
        """Forget the tags of a dashboard."""
        self._tags.pop(arn, None)

    def set_state(self, alarm: Alarm, change: Change) -> None:
        """Give an alarm a state until it is looked at the next time."""
        self._transition(alarm, change)

    def history(self) -> list[dict[str, Any]]:
        """What happened to alarms, newest first."""
        with self._lock:
            return list(reversed(self._history))

    def arn(self, name: str) -> str:
        """ARN of an alarm."""
        cloud = self._cloud
        return f"arn:aws:cloudwatch:{cloud.region}:{cloud.account_id}:alarm:{name}"

    # ---------------------------------------------------------------- looking

    def _watch(self) -> None:
        looked, seconds = self._settled_minute()
        while not self._stopping.wait(seconds):
            minute, seconds = self._settled_minute()
            for ended in range(max(looked, minute - _MOST_MINUTES) + 1, minute + 1):
                self._look(ended)
            looked = minute

    def _settled_minute(self) -> tuple[int, float]:
        """The minute of which something is yet to come, and seconds until it is the next one."""
        metrics, moment = self._cloud.metrics, time.time() - _SETTLE_SECONDS
        minute = metrics.minute_at(moment)
        return minute, max((minute + 1) * metrics.minute_seconds - moment, _SHORTEST_SECONDS)

    def _look(self, minute: int) -> None:
        """Evaluate every alarm with the periods that end where a minute begins."""
        for alarm in self.all():
            try:
                self._look_at(alarm, minute)
            except Exception as error:  # the others are looked at nevertheless
                self._write_down(error)

    def _look_at(self, alarm: Alarm, minute: int) -> None:
        change = alarm.evaluate(self._cloud.metrics, minute)
        if change.state != alarm.current.state:
            self._transition(alarm, change)
        elif change.state == ALARM:
            self._handle(alarm)

    def _write_down(self, error: Exception) -> None:
        """Append the traceback of an error that nobody expected to the cloud's log."""
        log = self._cloud.root / "logs" / "local_cloud.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)

    def _transition(self, alarm: Alarm, change: Change) -> None:
        with self._lock:
            if self._alarms.get(alarm.name) is not alarm:
                return
            before = alarm.current
            alarm.current = change
            if before.state != change.state:
                alarm.transitioned = change.time
            summary = f"Alarm updated from {before.state} to {change.state}"
            self._note(alarm, "StateUpdate", summary, _states(before, change))
        if before.state != change.state:
            _emit(self._cloud, alarm, before)
            self._handle(alarm)
            self._inform(alarm, before)

    # ---------------------------------------------------------------- telling

    def _handle(self, alarm: Alarm) -> None:
        for arn in alarm.actions(alarm.current.state):
            handler = self.handlers.get(_service(arn))
            if handler is not None:
                handler(arn, alarm.name)

    def _inform(self, alarm: Alarm, before: Change) -> None:
        topic_arns = [arn for arn in alarm.actions(alarm.current.state) if _service(arn) == "sns"]
        if topic_arns:
            message = _message(self._cloud, alarm, before)
            threading.Thread(
                target=self._publish,
                args=(alarm, alarm.current.state, topic_arns, message),
                name=f"alarm {alarm.name}",
                daemon=True,
            ).start()

    def _publish(self, alarm: Alarm, state: str, topic_arns: list[str], message: str) -> None:
        subject = f'{state}: "{alarm.name}" in {self._cloud.region}'
        for arn in topic_arns:
            try:
                topics.publish(
                    self._cloud,
                    arn,
                    message,
                    principal=_PRINCIPAL,
                    source_arn=alarm.arn,
                    subject=subject[:100],
                )
            except (topics.TopicError, BotoCoreError, ClientError, LocalCloudError) as error:
                outcome, failure = f"Failed to execute action {arn}", {"error": str(error)}
            else:
                outcome, failure = f"Successfully executed action {arn}", {}
            with self._lock:
                self._note(alarm, "Action", outcome, {"notificationResource": arn, **failure})

    def _note(self, alarm: Alarm, kind: str, summary: str, data: Mapping[str, Any]) -> None:
        self._history.append(
            {
                "AlarmName": alarm.name,
                "AlarmType": "MetricAlarm",
                "Timestamp": dt.datetime.now(dt.UTC),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": json.dumps({"version": "1.0", **data}),
            }
        )
        del self._history[:-_MOST_HISTORY]


def _service(arn: str) -> str:
    return arn.split(":")[2]


def _states(before: Change, after: Change) -> dict[str, Any]:
    return {
        name: {"stateValue": change.state, "stateReason": change.reason}
        for name, change in (("oldState", before), ("newState", after))
    }


def _emit(cloud: LocalCloud, alarm: Alarm, before: Change) -> None:
    """Put the event on the bus.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """
    detail = {
        "alarmName": alarm.name,
        "configuration": {
            **({"description": alarm.request["AlarmDescription"]}
               if alarm.request.get("AlarmDescription") else {}),
            "metrics": alarm.metrics,
        },
        "previousState": _state(before),
        "state": _state(alarm.current),
    }  # fmt: skip
    events.emit(cloud, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, [alarm.arn])


def _state(change: Change) -> dict[str, Any]:
    data = {"reasonData": change.data} if change.data else {}
    return {"reason": change.reason, **data, "timestamp": _time(change.time), "value": change.state}


def _time(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _message(cloud: LocalCloud, alarm: Alarm, before: Change) -> str:
    """What a topic is sent.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    request = alarm.request
    metric = {"MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Unit", "Dimensions",
              "Period", "Metrics"}  # fmt: skip
    return json.dumps(
        {
            "AlarmName": alarm.name,
            "AlarmDescription": request.get("AlarmDescription"),
            "AWSAccountId": cloud.account_id,
            "AlarmConfigurationUpdatedTimestamp": _time(alarm.configured),
            "NewStateValue": alarm.current.state,
            "NewStateReason": alarm.current.reason,
            "StateChangeTime": _time(alarm.current.time),
            "Region": cloud.region,
            "AlarmArn": alarm.arn,
            "OldStateValue": before.state,
            "OKActions": request.get("OKActions") or [],
            "AlarmActions": request.get("AlarmActions") or [],
            "InsufficientDataActions": request.get("InsufficientDataActions") or [],
            "Trigger": {
                **{name: value for name, value in request.items() if name in metric},
                "EvaluationPeriods": alarm.rule.periods,
                "DatapointsToAlarm": alarm.rule.needed,
                "ComparisonOperator": alarm.rule.comparison,
                "Threshold": alarm.rule.threshold,
                "TreatMissingData": alarm.rule.missing,
            },
        }
    )
