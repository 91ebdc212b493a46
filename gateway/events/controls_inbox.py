"""Fraud controls from Kafka: a thread reads all of `controls.v1` from its beginning into the books.

The stand-in obeys the lists of the books, so what was told last counts while Kafka is away, after a restart too.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import structlog

from connectors.kafka import is_listening
from connectors.lasting import LastingThread
from connectors.record_reader import RecordReader, places
from connectors.records import Record, read
from schemas.controls import Control, impossible_field, replaces
from schemas.events import Event
from schemas.fraud import ListEntry, Rule
from schemas.times import now
from schemas.topics import CONTROLS

SOURCE = "/gateway"
RETRY_S = 0.5  # between two attempts to reach Kafka
CATCH_UP_MAX_S = 10.0  # then the gateway is ready without Kafka
BATCH = 100  # controls in one transaction, which runs on the event loop
KEEP_MAX_S = 10.0  # how long the books may take for it; then all is read again

log = structlog.get_logger()


class ControlsInbox:
    """Reads `controls.v1`. `keep` is awaited with what it told, a batch at a time: each control as set last.

    `awaited_ids`: controls that this gateway has published, or is about to; before they stand there it is not
    ready, for the fraud flow could not obey them. `on_refused` is called with the field of a control that has an
    impossible value. What is no event at all the flows send to the dead letters.
    """

    def __init__(
        self,
        bootstrap: str,
        awaited_ids: Collection[str],
        keep: Callable[[list[Control]], Coroutine[Any, Any, None]],
        on_refused: Callable[[str], object],
    ) -> None:
        self._bootstrap = bootstrap
        self._awaited_ids = set(awaited_ids)
        self._keep = keep
        self._on_refused = on_refused
        self._loop = asyncio.get_running_loop()
        self._caught_up = asyncio.Event()
        self._stop = threading.Event()
        self._thread = LastingThread(self._read, "controls", self._stop)
        self._timer = self._loop.call_later(CATCH_UP_MAX_S, self._caught_up.set)

    async def ready(self) -> bool:
        """Whether the books have what was on the topic at the start, or Kafka is away."""
        return self._caught_up.is_set()

    async def close(self) -> None:
        """Stop reading; waits 1 s at most, because a client whose Kafka has just gone away blocks its thread."""
        self._stop.set()
        self._timer.cancel()
        await asyncio.to_thread(self._thread.join, 1.0)

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                if is_listening(self._bootstrap):
                    self._read_from_broker()
            except Exception as error:  # Kafka's, or the books': all is read again
                if not self._stop.is_set():
                    log.warning("controls.read_failed", error=type(error).__name__)
            self._stop.wait(RETRY_S)

    def _read_from_broker(self) -> None:
        reader = RecordReader(self._bootstrap, may_expire=[CONTROLS.name])
        try:
            for place in places(self._bootstrap, [CONTROLS.name]):
                reader.add(place)
            told: dict[str, Control] = {}
            while not self._stop.is_set():
                for control in self._obeyed(reader.poll()):
                    if replaces(control, told.get(control.id)):
                        told[control.id] = control
                if reader.at_end() and (told or not (self._awaited_ids or self._caught_up.is_set())):
                    self._hand_over(list(told.values()))
                    told = {}
        finally:
            reader.close()

    def _obeyed(self, records: list[Record]) -> list[Control]:
        events = [event for record in records if isinstance(event := read(record, SOURCE), Event)]
        controls = [event.data for event in events if isinstance(event.data, Rule | ListEntry)]
        return [control for control in controls if self._can_be_meant(control)]

    def _can_be_meant(self, control: Control) -> bool:
        field = impossible_field(control, now())
        if field is not None:
            self._loop.call_soon_threadsafe(self._on_refused, field)
        return field is None

    def _hand_over(self, controls: list[Control]) -> None:
        for first in range(0, len(controls), BATCH):
            keeping = asyncio.run_coroutine_threadsafe(self._keep(controls[first : first + BATCH]), self._loop)
            keeping.result(KEEP_MAX_S)
        self._awaited_ids -= {control.id for control in controls}
        if not self._awaited_ids:
            self._loop.call_soon_threadsafe(self._caught_up.set)
