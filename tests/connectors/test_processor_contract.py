"""One suite for all processors, against the twins over real HTTP: what each call does."""

from typing import cast

import pytest

from connectors.processors.contract import Answer, CardDetails, Charge, FollowUp, RedirectProcessor
from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode
from tests.connectors.desk import CARDS, DECLINES, EUR, Desk, follow_up, query, refund_of

# What each call does


async def test_authorize(desk: Desk) -> None:
    charge = await desk.charge()
    answer = await desk.processor.authorize(charge, capture=False)
    assert answer == Answer("succeeded", answer.processor_reference, amount=EUR, detail=answer.detail)
    assert desk.ledger() == [("authorize", charge.reference, charge.request_id, 1234, "applied")]


AMOUNTS = [
    Money(1234, "JPY"),
    Money(1_000, "BHD"),
    Money(1, "EUR"),
    Money(4000, "USD"),
    Money(12_340, "CLF"),
    Money(12_345, "UYW"),
    Money(123_400, "HUF"),
    Money(123_401, "TWD"),
]


@pytest.mark.parametrize("amount", AMOUNTS, ids=lambda money: money.decimal() + money.currency)
async def test_amounts_have_the_decimals_that_currency_and_processor_take(desk: Desk, amount: Money) -> None:
    step = desk.processor.capabilities.step(amount.currency)
    if step is None or amount.amount % step:
        assert await refused(desk, amount) == "failed"
        return
    call, taken = await desk.captured(amount)
    assert taken.amount == amount
    found = await desk.processor.lookup(query(call, "capture"))
    assert (found.result, found.amount) == ("succeeded", amount)
    assert (await desk.processor.refund(refund_of(call, taken, amount))).amount == amount
    assert [row.amount for row in desk.rows()] == [amount.amount] * 3


async def refused(desk: Desk, amount: Money) -> str:
    """What the first call about an amount is answered that the gateway asks no processor for."""
    charge = Charge(new_id("op"), new_id("att"), amount, CARDS.get(desk.name))
    if desk.name != "paypal":
        return (await desk.processor.authorize(charge, capture=False)).result
    paypal = cast(RedirectProcessor, desk.processor)
    return (await paypal.create_order(charge, "http://localhost:1/back", "http://localhost:1/no")).result


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_a_sale_is_one_call(desks: dict[ProcessorName, Desk], name: ProcessorName) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    assert answer.amount == EUR
    assert desk.ledger() == [("sale", charge.reference, charge.request_id, 1234, "applied")]


async def test_paypal_never_captures_in_the_same_call(desks: dict[ProcessorName, Desk]) -> None:
    charge = await desks["paypal"].charge()
    with pytest.raises(ValueError, match="authorized, then captured"):
        await desks["paypal"].processor.authorize(charge, capture=True)


@pytest.mark.parametrize(("name", "card", "amount", "code"), DECLINES)
async def test_a_decline_says_why_and_is_found_again(
    desks: dict[ProcessorName, Desk],
    name: ProcessorName,
    card: CardDetails | None,
    amount: Money,
    code: DeclineCode,
) -> None:
    desk = desks[name]
    charge = await desk.charge(amount, card)
    answer = await desk.processor.authorize(charge, capture=False)
    assert (answer.result, answer.decline_code, answer.must_reverse) == ("declined", code, False)
    found = await desk.processor.lookup(query(charge, "authorize"))
    assert (found.result, found.decline_code) == ("declined", code)


@pytest.mark.parametrize("number", ["4000000000009235", "4100000000000019"])
@pytest.mark.parametrize("capture", [False, True])
async def test_a_decline_after_the_banks_yes_is_to_be_reversed(
    desks: dict[ProcessorName, Desk], number: str, capture: bool
) -> None:
    desk = desks["visa"]
    charge = await desk.charge(card=CardDetails(number, 12, 2031))
    answer = await desk.processor.authorize(charge, capture=capture)
    assert (answer.result, answer.decline_code, answer.must_reverse) == ("declined", "suspected_fraud", True)
    asked = query(charge, "sale" if capture else "authorize")
    found = await desk.processor.lookup(asked)
    assert (found.result, found.must_reverse) == ("declined", True)
    assert (await desk.processor.reverse(new_id("op"), asked)).result == "succeeded"
    assert [row.operation for row in desk.rows()] == ["authorize", "reversal"]


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("visa", CardDetails("4000000000000119", 12, 2031)),
        ("mastercard", CardDetails("5123450000000008", 1, 2037)),
        ("mastercard", CardDetails("5123450000000008", 2, 2037)),
    ],
)
async def test_a_technical_no_is_failed(
    desks: dict[ProcessorName, Desk], name: ProcessorName, card: CardDetails
) -> None:
    desk = desks[name]
    charge = await desk.charge(card=card)
    assert (await desk.processor.authorize(charge, capture=False)).result == "failed"
    assert [row.status for row in desk.rows()] == []


async def test_a_gateway_that_does_not_know_yet_is_asked_again(desks: dict[ProcessorName, Desk]) -> None:
    desk = desks["mastercard"]
    charge = await desk.charge(card=CardDetails("5123450000000008", 5, 2037))
    assert (await desk.processor.authorize(charge, capture=False)).result == "unknown"
    assert (await desk.processor.lookup(query(charge, "authorize"))).result == "succeeded"


async def test_capture(desk: Desk) -> None:
    call, answer = await desk.captured()
    assert answer.amount == EUR
    assert desk.ledger()[1:] == [("capture", call.reference, call.request_id, 1234, "applied")]


async def test_capture_of_a_part(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    taken = await desk.processor.capture(follow_up(charge, answer, Money(234, "EUR")))
    assert (taken.result, taken.amount) == ("succeeded", Money(234, "EUR"))
    assert [row.amount for row in desk.rows()] == [1234, 234]


async def test_a_capture_of_too_much_fails(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    taken = await desk.processor.capture(follow_up(charge, answer, Money(1235, "EUR")))
    assert taken.result == "failed"
    assert len(desk.rows()) == 1


async def test_void_of_an_authorization(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    assert (await desk.processor.void(call)).result == "succeeded"
    [authorized, voided] = desk.rows()
    assert voided.operation in ("void", "reversal")
    assert (voided.of, voided.request_id, voided.amount) == (authorized.id, call.request_id, 1234)
    assert (await desk.processor.capture(follow_up(charge, answer))).result == "failed"


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_void_of_a_sale(desks: dict[ProcessorName, Desk], name: ProcessorName) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    assert (await desk.processor.void(follow_up(charge, answer, sale=True))).result == "succeeded"
    assert [row.operation for row in desk.rows()] == ["sale", "void"]


async def test_refunds_in_parts_and_no_more_than_was_taken(desk: Desk) -> None:
    call, taken = await desk.captured()
    assert taken.processor_reference
    for amount, said in [(1000, "succeeded"), (300, "failed"), (234, "succeeded")]:
        refund = FollowUp(
            new_id("op"), call.reference, Money(amount, "EUR"), taken.processor_reference, call.request_id
        )
        assert (await desk.processor.refund(refund)).result == said
    assert [row.amount for row in desk.rows() if row.operation == "refund"] == [1000, 234]


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_refund_of_a_sale(desks: dict[ProcessorName, Desk], name: ProcessorName) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    refund = await desk.processor.refund(follow_up(charge, answer, Money(34, "EUR"), sale=True))
    assert (refund.result, refund.amount) == ("succeeded", Money(34, "EUR"))


# Asking


async def test_each_call_is_found_by_our_id(desk: Desk) -> None:
    charge, authorized = await desk.authorized()
    capture = follow_up(charge, authorized, Money(1000, "EUR"))
    taken = await desk.processor.capture(capture)
    refund = FollowUp(
        new_id("op"), charge.reference, Money(300, "EUR"), taken.processor_reference or "", capture.request_id
    )
    refunded = await desk.processor.refund(refund)
    for call, kind, answer in [
        (charge, "authorize", authorized),
        (capture, "capture", taken),
        (refund, "refund", refunded),
    ]:
        found = await desk.processor.lookup(query(call, kind))
        assert (found.result, found.processor_reference, found.amount) == (
            "succeeded",
            answer.processor_reference,
            call.amount,
        )


async def test_a_void_is_found_by_our_id(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    assert (await desk.processor.lookup(query(call, "void"))).result == "not_found"
    await desk.processor.void(call)
    assert (await desk.processor.lookup(query(call, "void"))).result == "succeeded"


async def test_what_was_never_sent_is_not_found(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    unsent = await desk.charge()
    assert (await desk.processor.lookup(query(unsent, "authorize"))).result == "not_found"
    for kind in ("capture", "void"):
        assert (await desk.processor.lookup(query(follow_up(charge, answer), kind))).result == "not_found"
    assert len(desk.rows()) == 1


async def test_the_same_id_for_another_amount_is_no_success(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    other = Charge(charge.request_id, charge.reference, Money(999, "EUR"), charge.card, charge.order_reference)
    found = await desk.processor.lookup(query(other, "authorize"))
    assert found.result == "unknown"
    assert "amount" in found.detail


# Taking back by our id


async def test_reverse_takes_back_what_was_applied_once(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    asked, request_id = query(charge, "authorize"), new_id("op")
    assert (await desk.processor.reverse(request_id, asked)).result == "succeeded"
    assert (await desk.processor.reverse(request_id, asked)).result == "succeeded"
    assert (await desk.processor.reverse(new_id("op"), asked)).result == "succeeded"
    [authorized, reversed_] = desk.rows()
    assert reversed_.operation in ("void", "reversal")
    assert (reversed_.of, reversed_.request_id) == (authorized.id, request_id)


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_reverse_of_a_sale(desks: dict[ProcessorName, Desk], name: ProcessorName) -> None:
    desk = desks[name]
    charge, _ = await desk.authorized(capture=True)
    asked = query(charge, "sale")
    assert (await desk.processor.reverse(new_id("op"), asked)).result == "succeeded"
    assert (await desk.processor.reverse(new_id("op"), asked)).result == "succeeded"
    assert [row.operation for row in desk.rows()] == ["sale", "void"]


async def test_reverse_of_a_capture(desk: Desk) -> None:
    call, _ = await desk.captured()
    assert (await desk.processor.reverse(new_id("op"), query(call, "capture"))).result == "succeeded"
    assert [row.operation for row in desk.rows()][2] in ("void", "refund")


async def test_there_is_nothing_to_reverse(desk: Desk) -> None:
    charge = await desk.charge()
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).result == "not_found"
    if desk.name != "paypal":
        assert (await desk.processor.reverse(new_id("op"), query(charge, "sale"))).result == "not_found"
    assert desk.rows() == []


@pytest.mark.parametrize(("name", "card", "amount", "code"), DECLINES)
async def test_a_decline_leaves_nothing_to_reverse(
    desks: dict[ProcessorName, Desk],
    name: ProcessorName,
    card: CardDetails | None,
    amount: Money,
    code: DeclineCode,
) -> None:
    desk = desks[name]
    charge = await desk.charge(amount, card)
    await desk.processor.authorize(charge, capture=False)
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).result == "not_found"


async def test_a_captured_authorization_is_not_reversed_behind_the_capture(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.processor.capture(follow_up(charge, answer))
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).result == "failed"
    assert [row.operation for row in desk.rows()] == ["authorize", "capture"]


async def test_what_the_twin_answers_is_on_its_disk(desk: Desk, synced: list[str]) -> None:
    _, made = await desk.authorized()
    assert made.result == "succeeded"
    assert synced[-1].endswith("sandbox.sqlite3-wal")
