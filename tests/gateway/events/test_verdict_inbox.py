"""Waiting for the fraud flow, over a real broker."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from connectors.kafka import producer
from connectors.record_reader import Bookmarks
from gateway.books.payments import PaymentRow
from gateway.events import verdict_checks, verdict_inbox
from gateway.events.verdict_inbox import MISSED_MAX, VerdictInbox, VerdictListener
from schemas.events import encode, new_event
from schemas.fraud import Outcome, Verdict
from schemas.ids import new_id
from schemas.times import from_micros, now, now_micros
from schemas.topics import RISK
from tests.gateway.payments import situations
from tests.gateway.payments.conftest import verdict
from tests.patience import eventually


class Flow:
    """Publishes verdicts in place of the fraud flow."""

    def __init__(self, bootstrap: str) -> None:
        self._producer: Producer = producer(bootstrap)

    def say(self, payment: PaymentRow, outcome: Outcome = "allow", /, **changed: Any) -> None:
        """Publish a verdict, with what it should not say `changed`, and return once the broker has it."""
        about = {"instrument": payment.stream_key, "merchant": payment.merchant_id}
        about |= {"occurred_at": from_micros(payment.occurred_at), **changed}
        told = msgspec.structs.replace(verdict(payment.id, outcome), **about)
        headers, value = encode(new_event("risk.verdict", "/test", told.payment, told, now()))
        self._producer.produce(RISK.name, value, told.payment, headers=headers)
        self._producer.flush(10)


class Heard:
    """What the inbox told its listener."""

    def __init__(self) -> None:
        self.late: list[Verdict] = []
        self.unclaimed: list[Verdict] = []
        self.refused: list[str] = []
        self.reached: list[Bookmarks] = []
        self.kept: Bookmarks = {}
        self.room = True
        self.asked_for_room = 0

    def listener(self) -> VerdictListener:
        return VerdictListener(
            on_late=self.late.extend,
            on_unclaimed=self.unclaimed.extend,
            on_refused=self.refused.append,
            kept_places=self.kept_places,
            on_reached=self.reached.append,
            has_room=self.has_room,
        )

    async def kept_places(self) -> Bookmarks:
        return self.kept

    def has_room(self) -> bool:
        self.asked_for_room += 1
        return self.room

    def blocked(self) -> set[str]:
        """The payments whose blocks nobody waited for."""
        return {verdict.payment for verdict in self.unclaimed}


def new_payment() -> PaymentRow:
    return msgspec.structs.replace(situations.payment(), id=new_id("pay"))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def verdicts(kafka: str, heard: Heard) -> AsyncIterator[VerdictInbox]:
    waiting = VerdictInbox(kafka, heard.listener())
    await eventually(waiting.ready)
    heard.refused.clear()  # what other tests forged
    yield waiting
    await waiting.close()


@pytest.fixture
def flow(kafka: str) -> Flow:
    return Flow(kafka)


async def test_a_verdict_ends_the_wait(verdicts: VerdictInbox, flow: Flow) -> None:
    payment = new_payment()
    waiting = asyncio.create_task(verdicts.wait(payment, 60))
    await asyncio.to_thread(flow.say, payment, "flag")
    verdict = await waiting
    assert verdict is not None
    assert verdict.outcome == "flag"


async def test_a_verdict_that_was_there_first_is_found(kafka: str, flow: Flow, heard: Heard) -> None:
    payment = new_payment()
    flow.say(payment)
    restarted = VerdictInbox(kafka, heard.listener())
    await eventually(restarted.ready)
    assert await restarted.wait(payment, 0.01) is not None
    await restarted.close()


async def test_a_late_verdict_is_handed_on(verdicts: VerdictInbox, flow: Flow, heard: Heard) -> None:
    payment = new_payment()
    assert await verdicts.wait(payment, 0.01) is None
    await asyncio.to_thread(flow.say, payment)
    await eventually(lambda: heard.late)
    assert [verdict.payment for verdict in heard.late] == [payment.id]


async def test_a_block_that_nobody_waits_for_is_handed_on(
    verdicts: VerdictInbox, flow: Flow, heard: Heard
) -> None:
    passed, blocked = new_payment(), new_payment()
    await asyncio.to_thread(flow.say, passed)
    await asyncio.to_thread(flow.say, blocked, "block")
    await eventually(lambda: blocked.id in [verdict.payment for verdict in heard.unclaimed])
    assert passed.id not in [verdict.payment for verdict in heard.unclaimed]
    assert (await verdicts.wait(blocked, 60)).outcome == "block"  # it may still come to wait


LATER = now() + timedelta(days=1)
IMPOSSIBLE = [
    ("payment", {"payment": "pay_\0"}),
    ("instrument", {"instrument": "x" * 1000}),
    ("merchant", {"merchant": "x" * 1000}),
    ("source", {"source": "stand_in"}),
    ("score", {"score": 1.5}),
    ("score", {"score": -1e300}),
    ("recorded_at", {"recorded_at": LATER}),
    ("reasons", {"reasons": ["x" * 1000]}),
    ("reasons", {"reasons": ["x"] * 1000}),
    ("reasons", {"reasons": ["\0"]}),
    ("features", {"features": {"x" * 1000: 1.0}}),
    ("features", {"features": {str(number): 1.0 for number in range(2000)}}),
    ("model", {"model": "x" * 1000}),
    ("model", {"model": "logistic\0"}),
    ("rules", {"rules": "x" * 1000}),
]
FORGED = [
    ("instrument", {"instrument": "fp_other"}),
    ("merchant", {"merchant": "acc_other"}),
    ("occurred_at", {"occurred_at": LATER}),
    *IMPOSSIBLE,
]


@pytest.mark.parametrize(("field", "changed"), FORGED)
async def test_a_verdict_that_does_not_fit_its_payment_is_refused_and_the_payment_waits_on(
    verdicts: VerdictInbox, flow: Flow, heard: Heard, field: str, changed: dict[str, Any]
) -> None:
    payment = new_payment()
    waiting = asyncio.create_task(verdicts.wait(payment, 60))
    await asyncio.to_thread(lambda: flow.say(payment, "allow", **changed))
    await eventually(lambda: heard.refused == [field])
    assert not waiting.done()
    await asyncio.to_thread(flow.say, payment, "block")
    assert (await waiting).outcome == "block"


@pytest.mark.parametrize(("field", "changed"), IMPOSSIBLE)
async def test_an_impossible_verdict_is_refused_before_its_payment_waits_and_not_remembered(
    verdicts: VerdictInbox, flow: Flow, heard: Heard, field: str, changed: dict[str, Any]
) -> None:
    payment = new_payment()
    await asyncio.to_thread(lambda: flow.say(payment, "block", **changed))
    await eventually(lambda: heard.refused)
    assert heard.refused == [field]
    assert payment.id not in {*verdicts._arrived, *(verdict.payment for verdict in heard.unclaimed)}


async def test_what_is_remembered_is_bounded_by_its_size(
    kafka: str, flow: Flow, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.events.verdict_inbox.REMEMBERED_BYTES", 100_000)
    inbox, payments = VerdictInbox(kafka, heard.listener()), [new_payment() for _ in range(5)]
    await eventually(inbox.ready)
    large = {f"{number:0200}": 1.0 for number in range(150)}
    await asyncio.to_thread(lambda: [flow.say(payment, features=large) for payment in payments])
    await eventually(lambda: payments[-1].id in inbox._arrived)
    assert payments[-2].id in inbox._arrived
    assert payments[0].id not in inbox._arrived
    await inbox.close()


async def test_a_forged_verdict_that_was_there_first_hides_no_other(
    verdicts: VerdictInbox, flow: Flow, heard: Heard
) -> None:
    payment = new_payment()
    await asyncio.to_thread(lambda: flow.say(payment, "allow", instrument="fp_other"))
    await asyncio.to_thread(flow.say, payment, "block")
    await eventually(lambda: payment.id in verdicts._arrived and len(verdicts._arrived[payment.id]) == 2)
    assert (await verdicts.wait(payment, 0)).outcome == "block"
    assert heard.refused == ["instrument"]


async def test_a_forged_verdict_is_not_late_either(verdicts: VerdictInbox, flow: Flow, heard: Heard) -> None:
    payment = new_payment()
    assert await verdicts.wait(payment, 0.01) is None
    await asyncio.to_thread(lambda: flow.say(payment, "block", merchant="acc_other"))
    await asyncio.to_thread(flow.say, payment, "flag")
    await eventually(lambda: heard.late)
    assert ([verdict.outcome for verdict in heard.late], heard.refused) == (["flag"], ["merchant"])


async def test_after_some_missed_verdicts_only_a_probe_waits(verdicts: VerdictInbox) -> None:
    for _ in range(MISSED_MAX):
        assert await verdicts.wait(new_payment(), 0.001) is None
    probe = asyncio.create_task(verdicts.wait(new_payment(), 60))
    await asyncio.sleep(0)
    assert await verdicts.wait(new_payment(), 60) is None
    assert not probe.done()
    probe.cancel()


@pytest.fixture
async def place(kafka: str, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Bookmarks:
    """How far a gateway had read that is away now."""
    monkeypatch.setattr(verdict_inbox, "TELL_EVERY_S", 0.0)
    heard = Heard()
    inbox = VerdictInbox(kafka, heard.listener())
    await eventually(lambda: heard.reached)
    await inbox.close()
    return heard.reached[-1]


@pytest.mark.parametrize("ahead_min", [11, 180])  # so long away, or a clock that was set while it was
async def test_a_block_that_was_written_while_no_gateway_ran_is_handed_on_however_late(
    kafka: str, flow: Flow, place: Bookmarks, ahead_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, heard = new_payment(), Heard()
    flow.say(payment, "block")
    heard.kept = place
    monkeypatch.setattr(verdict_inbox, "now_micros", lambda: now_micros() + ahead_min * 60_000_000)
    restarted = VerdictInbox(kafka, heard.listener())
    await eventually(lambda: payment.id in heard.blocked())
    await restarted.close()


async def test_of_a_payment_that_no_verdict_was_applied_to_it_is_found_however_late(
    kafka: str, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict_inbox, "TELL_EVERY_S", 0.0)
    payment, before, after = new_payment(), Heard(), Heard()
    flow.say(payment)
    killed = VerdictInbox(kafka, before.listener())
    await eventually(lambda: before.reached)
    await killed.close()
    after.kept = before.reached[-1]
    monkeypatch.setattr(verdict_inbox, "now_micros", lambda: now_micros() + 3_600_000_000)
    restarted = VerdictInbox(kafka, after.listener())
    await eventually(restarted.ready)
    assert await restarted.wait(payment, 0.01) is not None
    await restarted.close()


async def test_a_partition_that_was_added_meanwhile_is_read_from_its_start(
    kafka: str, flow: Flow, place: Bookmarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments, heard = [new_payment() for _ in range(20)], Heard()
    for payment in payments:
        flow.say(payment, "block")
    heard.kept = dict([next(iter(place.items()))])
    monkeypatch.setattr(verdict_inbox, "now_micros", lambda: now_micros() + 3_600_000_000)
    restarted = VerdictInbox(kafka, heard.listener())
    await eventually(lambda: {payment.id for payment in payments} <= heard.blocked())
    await restarted.close()


async def test_no_place_is_told_before_all_up_to_the_start_was_read(
    kafka: str, flow: Flow, place: Bookmarks
) -> None:
    """Else a gateway that is killed again and again would go back ten minutes more each time."""
    heard = Heard()
    heard.kept = place
    restarted = VerdictInbox(kafka, heard.listener())
    await eventually(lambda: heard.reached)
    assert all(mark.offset >= place[at].offset for at, mark in heard.reached[0].items())
    await restarted.close()


async def test_while_there_is_no_room_no_more_is_read(verdicts: VerdictInbox, flow: Flow, heard: Heard) -> None:
    first, second = new_payment(), new_payment()
    heard.room = False
    await asyncio.to_thread(flow.say, first, "block")
    await eventually(lambda: first.id in heard.blocked())
    await asyncio.to_thread(flow.say, second, "block")
    asked = heard.asked_for_room
    await eventually(lambda: heard.asked_for_room > asked + 5)
    assert second.id not in heard.blocked()
    heard.room = True
    await eventually(lambda: second.id in heard.blocked())


def test_what_was_recorded_before_our_clock_was_set_back_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_checks, "now_micros", lambda: now_micros() - 3_600_000_000)
    told = msgspec.structs.replace(verdict("pay_1", "block"), recorded_at=now())
    assert verdict_checks.impossible_field(told) is None


async def test_a_broken_broker_keeps_nobody_from_starting() -> None:
    alone = VerdictInbox("localhost:1", Heard().listener())
    assert await alone.wait(new_payment(), 0.01) is None
    await alone.close()
