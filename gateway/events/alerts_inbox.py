"""Alerts from Kafka: a thread reads all of `alerts.v1`, what other gateways and the fraud flow raised as well."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from connectors.dead_letters import KafkaAway
from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from connectors.records import Record, read
from gateway.events.topic_inbox import TopicInbox
from schemas.alerts import Alert
from schemas.events import Event
from schemas.times import as_utc
from schemas.topics import ALERTS

SOURCE = "/gateway"
ALERTS_KEPT = 2_000  # the newest; a day has a few
ALERT_BYTES = 4_000  # of JSON; a larger one is of nobody who raises alerts


class RaisedAlert(msgspec.Struct, frozen=True):
    """An alert as it stands: its newest event, and when its first one was written."""

    alert: Alert
    raised_at: datetime

    @property
    def place(self) -> tuple[datetime, str]:
        """What a list of alerts is sorted by."""
        return self.raised_at, self.alert.id


class AlertsInbox:
    """The newest alerts. `on_raised` is called with the kind of each that is raised after the start.

    `on_refused` is called with the field of one that cannot be meant.
    """

    def __init__(
        self, bootstrap: Bootstrap, on_raised: Callable[[str], object], on_refused: Callable[[str], object]
    ) -> None:
        self._bootstrap = bootstrap
        self._on_raised = on_raised
        self._on_refused = on_refused
        self._alerts: dict[str, RaisedAlert] = {}
        self._was_read = asyncio.Event()
        self._topic = TopicInbox(bootstrap, "alerts", self._read_from_broker)

    def newest(self) -> list[RaisedAlert]:
        """All that are kept, the newest first. Raises `KafkaAway` until the topic was read once to its end."""
        if not self._was_read.is_set():
            raise KafkaAway
        return sorted(self._alerts.values(), key=lambda raised: raised.place, reverse=True)

    def kinds_standing(self, since: datetime) -> list[str]:
        """The kinds of those raised since a moment that are not over, as far as they are known."""
        return [
            raised.alert.kind
            for raised in self._alerts.values()
            if raised.alert.over_at is None and raised.raised_at >= since
        ]

    async def close(self) -> None:
        """Stop reading."""
        await self._topic.close()

    def _read_from_broker(self, topic: TopicInbox) -> None:
        reader = RecordReader(self._bootstrap, may_expire=[ALERTS.name])
        try:
            for place in places(self._bootstrap, [ALERTS.name]):
                reader.add(place)
            while not topic.stopping.is_set():
                if found := _alerts_in(reader.poll()):
                    topic.in_loop(self._keep, found)
                if reader.at_end() and not self._was_read.is_set():
                    topic.in_loop(self._was_read.set)
        finally:
            reader.close()

    def _keep(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            if field := _impossible_field(alert):
                self._on_refused(field)
            else:
                self._put(alert)
        for oldest in sorted(self._alerts.values(), key=lambda raised: raised.place)[:-ALERTS_KEPT]:
            del self._alerts[oldest.alert.id]

    def _put(self, alert: Alert) -> None:
        before = self._alerts.get(alert.id)
        if before is not None and before.alert.sequence >= alert.sequence:
            return
        if before is None and self._was_read.is_set():
            self._on_raised(alert.kind)
        raised_at = as_utc(alert.recorded_at) if before is None else before.raised_at
        self._alerts[alert.id] = RaisedAlert(alert, raised_at)


def _alerts_in(records: list[Record]) -> list[Alert]:
    events = [event for record in records if isinstance(event := read(record, SOURCE), Event)]
    return [event.data for event in events if isinstance(event.data, Alert)]


def _impossible_field(alert: Alert) -> str | None:
    """The field of an alert that nobody can have meant: whoever can write to Kafka may say anything."""
    return "size" if len(msgspec.json.encode(alert)) > ALERT_BYTES else None
