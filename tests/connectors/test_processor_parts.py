"""One suite for all processors: captures in parts, what they leave, and refunds of them."""

import msgspec
import pytest

from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import ProcessorName
from tests.connectors.desk import EUR, Desk, follow_up, part_of, query, refund_of, rest_of

# Captures


async def test_captures_in_parts_and_the_final_one_are_each_found(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    made = await desk.parts(charge, answer, 500, 300)
    final = part_of(charge, answer, 434, 3, final=True)
    made.append((final, await desk.processor.capture(final)))
    for call, taken in made:
        found = await desk.processor.lookup(query(call, "capture"))
        assert (taken.result, taken.amount) == ("succeeded", call.amount)
        assert (found.result, found.processor_reference, found.amount) == (
            "succeeded",
            taken.processor_reference,
            call.amount,
        )
    assert len({taken.processor_reference for _, taken in made}) == 3
    assert (await desk.processor.lookup(query(charge, "authorize"))).result == "succeeded"
    assert (await desk.processor.capture(part_of(charge, answer, 1, 4))).result == "failed"
    assert [row[3] for row in desk.ledger()] == [1234, 500, 300, 434]


async def test_parts_take_no_more_than_was_authorized(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.parts(charge, answer, 1000)
    assert (await desk.processor.capture(part_of(charge, answer, 235, 2))).result == "failed"
    assert (await desk.processor.capture(part_of(charge, answer, 234, 2, final=True))).result == "succeeded"
    assert (await desk.processor.void(rest_of(charge, answer, 1))).result == (
        "failed" if desk.processor.capabilities.releases_rest else "succeeded"
    )
    assert [row.amount for row in desk.rows()] == [1234, 1000, 234]


@pytest.mark.parametrize("name", ["mastercard", "paypal"])
async def test_a_part_sent_again_is_applied_once_where_the_wire_dedupes(
    desks: dict[ProcessorName, Desk], name: ProcessorName
) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized()
    made = await desk.parts(charge, answer, 500, 300)
    for call, taken in made:
        again = await desk.processor.capture(call)
        assert (again.result, again.processor_reference) == ("succeeded", taken.processor_reference)
    assert len(desk.rows()) == 3


async def test_the_part_that_is_taken_back_is_the_one_that_was_named(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    made = await desk.parts(charge, answer, 500, 300)
    rows = {row.request_id: row.id for row in desk.rows()}
    second = made[1][0]
    assert (await desk.processor.reverse(new_id("op"), query(second, "capture"))).result == "succeeded"
    taken_back = desk.rows()[-1]
    assert (taken_back.operation in ("void", "refund"), taken_back.of) == (True, rows[second.request_id])
    assert taken_back.amount == 300


# What captures leave


async def test_what_parts_left_is_released_once(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.parts(charge, answer, 500, 300)
    call = rest_of(charge, answer, 434)
    assert (await desk.processor.lookup(query(call, "void"))).result == "not_found"
    for _ in range(2):
        released = await desk.processor.void(call)
        assert (released.result, released.amount) == ("succeeded", Money(434, "EUR"))
    again = await desk.processor.void(rest_of(charge, answer, 434))
    assert again.result == "succeeded"
    found = await desk.processor.lookup(query(call, "void"))
    later = await desk.processor.capture(part_of(charge, answer, 100, 3))
    last = desk.rows()[-1]
    if desk.processor.capabilities.releases_rest:
        assert (found.result, found.amount, later.result) == ("succeeded", Money(434, "EUR"), "failed")
        assert last.operation in ("void", "reversal")
        assert (last.amount, last.request_id) == (434, call.request_id)
        assert len(desk.rows()) == 4
    else:
        assert (found.result, later.result) == ("not_found", "succeeded")
        assert "lapses" in released.detail
        assert [row.operation for row in desk.rows()] == ["authorize", "capture", "capture", "capture"]


async def test_what_is_released_leaves_the_captures_alone(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    [(call, taken)] = await desk.parts(charge, answer, 500)
    await desk.processor.void(rest_of(charge, answer, 734))
    for kind, asked in (("authorize", charge), ("capture", call)):
        assert (await desk.processor.lookup(query(asked, kind))).result == "succeeded"
    assert (await desk.processor.refund(refund_of(call, taken, Money(500, "EUR")))).result == "succeeded"


async def test_the_final_capture_of_less_leaves_what_is_released(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.parts(charge, answer, 500)
    final = part_of(charge, answer, 300, 2, final=True)
    assert (await desk.processor.capture(final)).result == "succeeded"
    released = await desk.processor.void(rest_of(charge, answer, 434))
    if desk.processor.capabilities.final_capture_releases:
        assert released.result == "failed"
        assert (await desk.processor.capture(part_of(charge, answer, 1, 3))).result == "failed"
    else:
        assert released.result == "succeeded"


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_a_void_of_the_whole_is_refused_once_a_part_is_captured(
    desks: dict[ProcessorName, Desk], name: ProcessorName
) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized()
    await desk.parts(charge, answer, 500)
    assert (await desk.processor.void(follow_up(charge, answer))).result == "failed"
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).result == "failed"
    assert len(desk.rows()) == 2


async def test_a_voided_authorization_is_not_captured(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.processor.void(follow_up(charge, answer))
    for call in (part_of(charge, answer, 1, 1), follow_up(charge, answer)):
        assert (await desk.processor.capture(call)).result == "failed"
    assert len(desk.rows()) == 2


# Refunds


async def test_refunds_of_parts_are_each_found_and_no_more_than_was_taken(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    (first, taken), (second, taken_too) = await desk.parts(charge, answer, 500, 300)
    refunds = [
        refund_of(first, taken, Money(200, "EUR")),
        refund_of(second, taken_too, Money(300, "EUR")),
        refund_of(first, taken, Money(300, "EUR")),
    ]
    references = []
    for call in refunds:
        said = await desk.processor.refund(call)
        assert (said.result, said.amount) == ("succeeded", call.amount)
        references.append(said.processor_reference)
    for call, reference in zip(refunds, references, strict=True):
        found = await desk.processor.lookup(query(call, "refund"))
        assert (found.result, found.processor_reference, found.amount) == ("succeeded", reference, call.amount)
    for capture, answered in ((first, taken), (second, taken_too)):
        assert (await desk.processor.refund(refund_of(capture, answered, Money(1, "EUR")))).result == "failed"
        assert (await desk.processor.lookup(query(capture, "capture"))).result == "succeeded"
    rows = [row for row in desk.rows() if row.operation == "refund"]
    assert sorted(row.amount for row in rows) == [200, 300, 300]


async def test_too_much_is_not_refunded_and_not_found(desk: Desk) -> None:
    call = msgspec.structs.replace(await desk.ready("refund"), amount=Money(1235, "EUR"))
    assert (await desk.processor.refund(call)).result == "failed"
    assert (await desk.processor.lookup(query(call, "refund"))).result == "not_found"
    assert len(desk.rows()) == 2


@pytest.mark.parametrize("name", ["mastercard", "paypal"])
async def test_a_refund_sent_again_is_applied_once_where_the_wire_dedupes(
    desks: dict[ProcessorName, Desk], name: ProcessorName
) -> None:
    desk = desks[name]
    call = await desk.ready("refund")
    first, again = await desk.processor.refund(call), await desk.processor.refund(call)
    assert (first.result, again.processor_reference) == ("succeeded", first.processor_reference)
    assert [row.operation for row in desk.rows()] == ["authorize", "capture", "refund"]


async def test_a_refund_that_is_looked_up_for_another_amount_is_no_success(desk: Desk) -> None:
    call = await desk.ready("refund")
    await desk.processor.refund(call)
    other = msgspec.structs.replace(call, amount=Money(1, EUR.currency))
    assert (await desk.processor.lookup(query(other, "refund"))).result == "unknown"
