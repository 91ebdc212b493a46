"""All processors, each way in which an answer can fail to come, and what is known after it."""

from collections.abc import AsyncIterator

import pytest

from connectors.processors.contract import Processor
from connectors.processors.registry import open_processors
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.faults import Fault
from connectors.sandbox.faults import ProcessorName as FaultName
from connectors.sandbox.sandbox import Sandbox
from schemas.ids import new_id
from schemas.payments import ProcessorName
from tests.connectors.desk import APPLYING, EUR, Desk, follow_up, query, until

# The sandbox's eight faults


async def test_refuse_means_nothing_was_sent(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    later = await desk.charge()
    desk.order("refuse")
    fresh = desk.hasty  # it has no open connection, whose end would be silence to it
    for said in [
        await fresh.authorize(later, capture=False),
        await fresh.capture(follow_up(charge, answer)),
        await fresh.void(follow_up(charge, answer)),
    ]:
        assert (said.result, said.sent) == ("failed", False)
    asked = await fresh.lookup(query(charge, "authorize"))
    assert (asked.result, asked.sent) == ("unknown", True)
    await desk.sandbox.clear()
    assert len(desk.rows()) == 1
    assert (await desk.processor.authorize(later, capture=False)).result == "succeeded"


async def test_silence_is_unknown_and_not_found(desk: Desk) -> None:
    charge = await desk.charge()
    desk.order("silence")
    answer = await desk.hasty.authorize(charge, capture=False)
    assert (answer.result, answer.sent) == ("unknown", True)
    assert (await desk.processor.lookup(query(charge, "authorize"))).result == "not_found"
    assert desk.rows() == []


@pytest.mark.parametrize("fault", APPLYING)
async def test_an_authorization_whose_answer_is_lost_is_unknown_then_found_then_reversed(
    desk: Desk, fault: FaultName
) -> None:
    charge = await desk.charge()
    desk.order(fault)
    client = desk.hasty if fault == "apply_then_silence" else desk.processor
    answer = await client.authorize(charge, capture=False)
    assert (answer.result, answer.sent) == ("unknown", True)
    assert len(desk.rows()) == 1, "sent once"
    found = await desk.processor.lookup(query(charge, "authorize"))
    assert (found.result, found.amount) == ("succeeded", EUR)
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).result == "succeeded"
    assert len(desk.rows()) == 2


async def test_a_reversal_whose_answer_is_lost_is_sent_again(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    asked, request_id = query(charge, "authorize"), new_id("op")
    desk.order("apply_then_reset")
    assert (await desk.processor.reverse(request_id, asked)).result == "unknown"
    assert (await desk.processor.reverse(request_id, asked)).result == "succeeded"
    assert len(desk.rows()) == 2


async def test_slow_lands_after_we_gave_up(desk: Desk) -> None:
    charge = await desk.charge()
    asked = query(charge, "authorize")
    desk.order("slow", seconds=600)
    assert (await desk.hasty.authorize(charge, capture=False)).result == "unknown"
    assert (await desk.processor.lookup(asked)).result == "not_found"
    await desk.sandbox.clear()
    await until("succeeded", lambda: desk.processor.lookup(asked))
    assert (await desk.processor.reverse(new_id("op"), asked)).result == "succeeded"


async def test_slow_within_the_timeout_is_a_success(desk: Desk) -> None:
    charge = await desk.charge()
    desk.order("slow", seconds=0.3)
    assert (await desk.processor.authorize(charge, capture=False)).result == "succeeded"


@pytest.mark.parametrize("fault", ["garbage", "apply_then_500", "half_body", "apply_then_reset"])
async def test_a_look_up_that_fails_says_nothing_of_the_call(desk: Desk, fault: FaultName) -> None:
    charge, _ = await desk.authorized()
    desk.sandbox.order(Fault(desk.name, fault, operation="lookup", times=1))
    assert (await desk.processor.lookup(query(charge, "authorize"))).result == "unknown"
    assert (await desk.processor.lookup(query(charge, "authorize"))).result == "succeeded"


# Credentials


@pytest.fixture
async def strangers(
    processor_settings: ProcessorSettings, sandbox: Sandbox
) -> AsyncIterator[dict[ProcessorName, Processor]]:
    wrong = ProcessorSettings(
        data=processor_settings.data,
        port_offset=processor_settings.port_offset,
        visa_secret="d3Jvbmc=",
        mastercard_password="wrong",
        paypal_secret="wrong",
    )
    opened = open_processors(wrong, 60)
    yield opened
    for processor in opened.values():
        await processor.close()


async def test_wrong_credentials_are_an_explicit_no_and_no_finding(
    desk: Desk, strangers: dict[ProcessorName, Processor]
) -> None:
    stranger = strangers[desk.name]
    charge, _ = await desk.authorized()
    later = await desk.charge()
    assert (await stranger.authorize(later, capture=False)).result == "failed"
    assert (await stranger.lookup(query(charge, "authorize"))).result == "unknown"
    assert len(desk.rows()) == 1
