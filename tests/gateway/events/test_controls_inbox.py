"""The gateway reads `controls.v1`, over a real broker; nobody else needs to be there."""

from collections.abc import AsyncIterator
from time import time_ns

import msgspec
import pytest
from confluent_kafka import Producer

from connectors.kafka import producer
from gateway.events.controls_inbox import BATCH, ControlsInbox
from schemas.controls import DEFAULTS, Control, ToldControl, ToldListing, id_of, kind_of
from schemas.events import Tombstone, encode, new_event
from schemas.fraud import ListEntry
from schemas.ids import new_id
from schemas.lists import FraudListing
from schemas.times import EPOCH, now
from schemas.topics import CONTROLS
from tests.patience import eventually


class Analyst:
    """Sets controls by record."""

    def __init__(self, bootstrap: str) -> None:
        self._producer: Producer = producer(bootstrap)

    def set(self, control: Control, value: bytes | None = None) -> None:
        """Write a control, or bytes that are none under its key; return once the broker has it."""
        event = new_event(f"control.{kind_of(control)}", "/test", control.id, control, now())
        headers, encoded = encode(event)
        self._producer.produce(CONTROLS.name, value or encoded, control.id, headers=headers)
        self._producer.flush(10)

    def take_away(self, control_id: str) -> None:
        """Write a record without a value or header, as any Kafka client does."""
        self._producer.produce(CONTROLS.name, None, control_id)
        self._producer.flush(10)


class Kept:
    """What the inbox told, in place of the books."""

    def __init__(self) -> None:
        self.controls: dict[str, ToldControl] = {}
        self.listings: list[ToldListing] = []
        self.refused: list[str] = []
        self.failures = 0
        self.largest = 0  # so many at a time

    async def keep(self, told: list[ToldControl]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is full")
        self.largest = max(self.largest, len(told))
        self.controls |= {id_of(control): control for control in told}

    async def keep_listings(self, told: list[ToldListing]) -> None:
        self.listings += told


@pytest.fixture
def analyst(kafka: str) -> Analyst:
    return Analyst(kafka)


@pytest.fixture
async def kept(kafka: str, analyst: Analyst) -> AsyncIterator[Kept]:
    made = Kept()
    inbox = ControlsInbox(kafka, (), made.keep, made.keep_listings, made.refused.append)
    await eventually(inbox.ready)
    yield made
    await inbox.close()


def entry() -> ListEntry:
    """An entry about an instrument that no other test knows."""
    return ListEntry(new_id("le"), "block", "instrument", f"fp_{time_ns()}", "stolen", None, EPOCH)


async def test_all_that_stood_there_at_the_start_is_known_before_it_is_ready(kafka: str, analyst: Analyst) -> None:
    told, changed = entry(), entry()
    for control in (told, changed, msgspec.structs.replace(changed, list="allow")):
        analyst.set(control)
    kept = Kept()
    inbox = ControlsInbox(kafka, (), kept.keep, kept.keep_listings, kept.refused.append)
    await eventually(inbox.ready)
    assert kept.controls[told.id] == told
    assert kept.controls[changed.id] == msgspec.structs.replace(changed, list="allow")
    await inbox.close()


async def test_what_is_told_again_does_not_hide_what_was_set_later(kafka: str, analyst: Analyst) -> None:
    told = entry()
    changed = msgspec.structs.replace(told, list="allow", recorded_at=now())
    for control in (told, changed, told):
        analyst.set(control)
    kept = Kept()
    inbox = ControlsInbox(kafka, (), kept.keep, kept.keep_listings, kept.refused.append)
    await eventually(inbox.ready)
    assert kept.controls[told.id] == changed
    await inbox.close()


async def test_a_change_arrives_and_what_cannot_be_meant_is_refused(kept: Kept, analyst: Analyst) -> None:
    told, nonsense = entry(), msgspec.structs.replace(DEFAULTS[0], id=new_id("rule"), expression="; nothing")
    analyst.set(nonsense)
    analyst.set(entry(), b"{ no JSON")
    analyst.set(told)
    await eventually(lambda: told.id in kept.controls)
    await eventually(lambda: kept.refused == ["expression"])
    assert nonsense.id not in kept.controls


async def test_a_tombstone_takes_a_control_away_and_one_that_is_gone_is_not_awaited(
    kept: Kept, kafka: str, analyst: Analyst
) -> None:
    told = entry()
    analyst.set(told)
    await eventually(lambda: kept.controls.get(told.id) == told)
    analyst.take_away(told.id)
    await eventually(lambda: isinstance(kept.controls[told.id], Tombstone))
    late = Kept()
    inbox = ControlsInbox(kafka, {told.id}, late.keep, late.keep_listings, late.refused.append)
    await eventually(inbox.ready)
    assert isinstance(late.controls[told.id], Tombstone)
    await inbox.close()


async def test_many_are_told_a_batch_at_a_time_and_all_before_it_is_ready(kafka: str, analyst: Analyst) -> None:
    many, kept = [entry() for _ in range(2 * BATCH + 1)], Kept()
    for control in many:
        analyst.set(control)
    inbox = ControlsInbox(kafka, (), kept.keep, kept.keep_listings, kept.refused.append)
    await eventually(inbox.ready)
    assert {control.id for control in many} <= kept.controls.keys()
    assert kept.largest == BATCH
    await inbox.close()


async def test_what_the_books_did_not_take_is_read_again(kept: Kept, analyst: Analyst) -> None:
    told, kept.failures = entry(), 1
    analyst.set(told)
    await eventually(lambda: told.id in kept.controls)
    assert kept.failures == 0


async def test_it_is_not_ready_before_its_own_rules_stand_there(kafka: str, analyst: Analyst) -> None:
    own, kept = entry(), Kept()
    inbox = ControlsInbox(kafka, {own.id}, kept.keep, kept.keep_listings, kept.refused.append)
    marker = entry()
    analyst.set(marker)
    await eventually(lambda: marker.id in kept.controls)
    assert not await inbox.ready()
    analyst.set(own)
    await eventually(inbox.ready)
    assert own.id in kept.controls
    await inbox.close()


async def test_without_kafka_the_inbox_waits_and_can_be_closed() -> None:
    kept = Kept()
    alone = ControlsInbox("localhost:1", (), kept.keep, kept.keep_listings, kept.refused.append)
    assert not await alone.ready()
    await alone.close()


async def test_entries_of_lists_are_told_in_pieces_each_as_it_stood_last_before_it_is_ready(
    kafka: str, analyst: Analyst
) -> None:
    one, gone = (FraudListing(new_id("lst"), 1, "block", "country", "DE", "acc_1", None, EPOCH) for _ in range(2))
    for control in (one, gone, msgspec.structs.replace(one, version=2), entry()):
        analyst.set(control)
    analyst.take_away(gone.id)
    kept = Kept()
    inbox = ControlsInbox(kafka, (), kept.keep, kept.keep_listings, kept.refused.append)
    await eventually(inbox.ready)
    last = {id_of(told): told for told in kept.listings}
    assert last[one.id] == msgspec.structs.replace(one, version=2)
    assert isinstance(last[gone.id], Tombstone)
    assert not {one.id, gone.id} & kept.controls.keys()
    await inbox.close()
