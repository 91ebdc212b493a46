"""Waiting for the fraud flow, over a real broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Producer

from connectors.kafka import producer
from gateway.events.verdict_inbox import MISSED_MAX, VerdictInbox
from schemas.events import encode, new_event
from schemas.fraud import Outcome, Verdict
from schemas.ids import new_id
from schemas.times import now
from schemas.topics import RISK
from tests.gateway.payments.conftest import verdict
from tests.patience import eventually


class Flow:
    """Publishes verdicts in place of the fraud flow."""

    def __init__(self, bootstrap: str) -> None:
        self._producer: Producer = producer(bootstrap)

    def say(self, payment: str, outcome: Outcome = "allow") -> None:
        """Publish a verdict and return once the broker has it."""
        headers, value = encode(new_event("risk.verdict", "/test", payment, verdict(payment, outcome), now()))
        self._producer.produce(RISK.name, value, payment, headers=headers)
        self._producer.flush(10)


@pytest.fixture
def late() -> list[Verdict]:
    """Verdicts that came after their payment gave up waiting."""
    return []


@pytest.fixture
async def verdicts(kafka: str, late: list[Verdict]) -> AsyncIterator[VerdictInbox]:
    waiting = VerdictInbox(kafka, late.extend)
    await eventually(waiting.ready)
    yield waiting
    await waiting.close()


@pytest.fixture
def flow(kafka: str) -> Flow:
    return Flow(kafka)


async def test_a_verdict_ends_the_wait(verdicts: VerdictInbox, flow: Flow) -> None:
    payment = new_id("pay")
    waiting = asyncio.create_task(verdicts.wait(payment, 60))
    await asyncio.to_thread(flow.say, payment, "flag")
    verdict = await waiting
    assert verdict is not None
    assert verdict.outcome == "flag"


async def test_a_verdict_that_was_there_first_is_found(kafka: str, flow: Flow) -> None:
    payment = new_id("pay")
    flow.say(payment)
    restarted = VerdictInbox(kafka, lambda late: None)
    await eventually(restarted.ready)
    assert await restarted.wait(payment, 0.01) is not None
    await restarted.close()


async def test_a_late_verdict_is_handed_on(verdicts: VerdictInbox, flow: Flow, late: list[Verdict]) -> None:
    payment = new_id("pay")
    assert await verdicts.wait(payment, 0.01) is None
    await asyncio.to_thread(flow.say, payment)
    await eventually(lambda: late)
    assert [verdict.payment for verdict in late] == [payment]


async def test_after_some_missed_verdicts_only_a_probe_waits(verdicts: VerdictInbox) -> None:
    for _ in range(MISSED_MAX):
        assert await verdicts.wait(new_id("pay"), 0.001) is None
    probe = asyncio.create_task(verdicts.wait(new_id("pay"), 60))
    await asyncio.sleep(0)
    assert await verdicts.wait(new_id("pay"), 60) is None
    assert not probe.done()
    probe.cancel()


async def test_a_broken_broker_keeps_nobody_from_starting() -> None:
    alone = VerdictInbox("localhost:1", lambda late: None)
    assert await alone.wait("pay", 0.01) is None
    await alone.close()
