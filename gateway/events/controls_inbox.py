"""Fraud controls from Kafka: a thread reads all of `controls.v1` from its beginning into the books.

The stand-in obeys the lists of the books, so what was told last counts while Kafka is away, after a restart too.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from time import monotonic
from typing import Any

from connectors.kafka_login import Bootstrap
from connectors.record_reader import RecordReader, places
from connectors.records import Record, read
from gateway.events.topic_inbox import TopicInbox
from schemas.controls import Control, ToldControl, ToldListing, id_of, impossible_field, is_of_list, replaces
from schemas.events import Event, Tombstone
from schemas.topics import CONTROLS

SOURCE = "/gateway"
BATCH = 100  # controls in one transaction, which runs on the event loop
MANY = 100  # records at once; then it rests for as long as they took, or payments would hardly get a turn
KEEP_MAX_S = 10.0  # how long the books may take for it; then all is read again


class ControlsInbox:
    """Reads `controls.v1`. `keep` is awaited with what it told, a batch at a time: each control as set last.

    A record without a value takes its control away. `keep_listings` is awaited with the entries of lists, and
    those taken away, as they come.

    `awaited_ids`: controls that this gateway has published, or is about to; before they stand there it is not
    ready, for the fraud flow could not obey them. `on_refused` is called with the field of a control that has an
    impossible value. What is no event at all the flows send to the dead letters.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        awaited_ids: Collection[str],
        keep: Callable[[list[ToldControl]], Coroutine[Any, Any, None]],
        keep_listings: Callable[[list[ToldListing]], Coroutine[Any, Any, None]],
        on_refused: Callable[[str], object],
    ) -> None:
        self._bootstrap = bootstrap
        self._awaited_ids = set(awaited_ids)
        self._keep = keep
        self._keep_listings = keep_listings
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._topic = TopicInbox(bootstrap, "controls", self._read_from_broker)

    async def ready(self) -> bool:
        """Whether the books have what was on the topic at the start, or Kafka is away."""
        return self._topic.is_caught_up()

    async def close(self) -> None:
        """Stop reading."""
        await self._topic.close()

    def _read_from_broker(self, topic: TopicInbox) -> None:
        reader = RecordReader(self._bootstrap, may_expire=[CONTROLS.name])
        try:
            for place in places(self._bootstrap, [CONTROLS.name]):
                reader.add(place)
            told: dict[str, ToldControl] = {}
            while not topic.stopping.is_set():
                records, began = reader.poll(), monotonic()
                listings: dict[str, ToldListing] = {}
                for control in self._obeyed(topic, records):
                    if is_of_list(control):
                        listings[id_of(control)] = control
                    elif replaces(control, told.get(id_of(control))):
                        told[id_of(control)] = control
                if listings:
                    self._wait_for(self._keep_listings(list(listings.values())))
                if len(records) >= MANY:
                    topic.stopping.wait(monotonic() - began)
                if reader.at_end() and (told or not (self._awaited_ids or topic.is_caught_up())):
                    self._hand_over(topic, list(told.values()))
                    told = {}
        finally:
            reader.close()

    def _obeyed(self, topic: TopicInbox, records: list[Record]) -> list[ToldControl]:
        events = [event for record in records if isinstance(event := read(record, SOURCE), Event)]
        controls = [event.data for event in events if isinstance(event.data, Control | Tombstone)]
        return [control for control in controls if self._can_be_meant(topic, control)]

    def _can_be_meant(self, topic: TopicInbox, control: ToldControl) -> bool:
        field = impossible_field(control)
        if field is not None:
            topic.in_loop(self._on_refused, field)
        return field is None

    def _hand_over(self, topic: TopicInbox, controls: list[ToldControl]) -> None:
        for first in range(0, len(controls), BATCH):
            self._wait_for(self._keep(controls[first : first + BATCH]))
        self._awaited_ids -= {id_of(control) for control in controls}
        if not self._awaited_ids:
            topic.catch_up()

    def _wait_for(self, keeping: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(keeping, self._loop).result(KEEP_MAX_S)
