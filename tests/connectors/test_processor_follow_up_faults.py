"""All processors, the eight faults on a capture in part, the void of the rest and a refund: what is known then.

Each test sends all three at once, on payments of their own, so that time-outs pass together.
"""

import asyncio
from functools import partial

import pytest

from connectors.processors.contract import Answer, FollowUp, Processor
from connectors.sandbox.faults import Fault, FaultName
from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import ProcessorName
from tests.connectors.desk import APPLYING, Desk, FollowUpKind, follow_up, part_of, query, rest_of, send, until

Calls = dict[FollowUpKind, FollowUp]


async def ready(desk: Desk) -> Calls:
    """A capture of a part, a void (of what another part left, where there is such a call), a refund of a part."""
    held, parted = await desk.authorized(), await desk.authorized()
    void = follow_up(*parted)
    if desk.processor.capabilities.releases_rest:
        await desk.parts(*parted, 1000)
        void = rest_of(*parted, 234)
    return {
        "capture": part_of(*held, 500, 1),
        "void": void,
        "refund": await desk.ready("refund", Money(300, "EUR")),
    }


async def each(processor: Processor, calls: Calls) -> list[Answer]:
    return list(await asyncio.gather(*(send(processor, kind, call) for kind, call in calls.items())))


async def found(processor: Processor, calls: Calls) -> list[str]:
    asked = (processor.lookup(query(call, kind)) for kind, call in calls.items())
    return [answer.result for answer in await asyncio.gather(*asked)]


async def test_refuse_means_nothing_was_sent(desk: Desk) -> None:
    calls = await ready(desk)
    before = len(desk.rows())
    desk.order("refuse")
    for answer in await each(desk.hasty, calls):
        assert (answer.result, answer.sent) == ("failed", False)
    await desk.sandbox.clear()
    assert len(desk.rows()) == before
    assert await found(desk.processor, calls) == ["not_found"] * 3


async def test_silence_is_unknown_and_not_found_and_may_be_sent_again(desk: Desk) -> None:
    calls = await ready(desk)
    before = len(desk.rows())
    desk.order("silence", times=3)
    assert [answer.result for answer in await each(desk.hasty, calls)] == ["unknown"] * 3
    assert await found(desk.processor, calls) == ["not_found"] * 3
    assert len(desk.rows()) == before
    assert [answer.result for answer in await each(desk.processor, calls)] == ["succeeded"] * 3
    assert len(desk.rows()) == before + 3


@pytest.mark.parametrize("fault", APPLYING)
async def test_what_was_applied_without_an_answer_is_found_and_sent_again_once(
    desk: Desk, fault: FaultName
) -> None:
    calls = await ready(desk)
    before = len(desk.rows())
    desk.order(fault, times=3)
    client = desk.hasty if fault == "apply_then_silence" else desk.processor
    assert [answer.result for answer in await each(client, calls)] == ["unknown"] * 3
    assert await found(desk.processor, calls) == ["succeeded"] * 3
    if desk.processor.capabilities.deduplicates:
        assert [answer.result for answer in await each(desk.processor, calls)] == ["succeeded"] * 3
    else:  # a void releases no more than there was, however often it is sent
        assert (await desk.processor.void(calls["void"])).result == "succeeded"
    assert len(desk.rows()) == before + 3


async def test_slow_lands_after_we_gave_up(desk: Desk) -> None:
    calls = await ready(desk)
    desk.order("slow", seconds=600, times=3)
    assert [answer.result for answer in await each(desk.hasty, calls)] == ["unknown"] * 3
    assert await found(desk.processor, calls) == ["not_found"] * 3
    await desk.sandbox.clear()
    for kind, call in calls.items():
        await until("succeeded", partial(desk.processor.lookup, query(call, kind)))


async def test_slow_within_the_timeout_is_a_success(desk: Desk) -> None:
    calls = await ready(desk)
    desk.order("slow", seconds=0.2, times=3)
    assert [answer.result for answer in await each(desk.processor, calls)] == ["succeeded"] * 3


@pytest.mark.parametrize("kind", ["capture", "refund"])
async def test_visa_takes_back_by_our_id_what_it_never_answered(
    desks: dict[ProcessorName, Desk], kind: FollowUpKind
) -> None:
    desk = desks["visa"]
    call = await desk.ready(kind)
    desk.order("apply_then_reset")
    await send(desk.processor, kind, call)
    for _ in range(2):
        assert (await desk.processor.reverse(new_id("op"), query(call, kind))).result == "succeeded"
    voids = [row for row in desk.rows() if row.operation == "void"]
    assert [row.amount for row in voids] == [1234]
    anew = await desk.ready(kind)
    assert (await desk.processor.reverse(new_id("op"), query(anew, kind))).result == "not_found"


@pytest.mark.parametrize("operation", ["capture", "void", "refund"])
async def test_a_fault_that_names_an_operation_is_met_by_it_on_every_wire(
    desk: Desk, operation: FollowUpKind
) -> None:
    calls = await ready(desk)
    desk.sandbox.order(Fault(desk.name, "apply_then_500", operation=operation))
    said = dict(zip(calls, await each(desk.processor, calls), strict=True))
    assert [kind for kind, answer in said.items() if answer.result == "unknown"] == [operation]
