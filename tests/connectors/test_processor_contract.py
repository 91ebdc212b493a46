"""One suite for all processors, against the twins over real HTTP.

What each call does, and what is known after each way in which its answer can fail to come.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import aiohttp
import pytest

from connectors.processors.all import open_processors
from connectors.processors.contract import Answer, CardDetails, Charge, FollowUp, Processor, Query, Redirecting
from connectors.processors.settings import ProcessorSettings
from connectors.sandbox.faults import Fault
from connectors.sandbox.faults import Name as FaultName
from connectors.sandbox.ledger import Row
from connectors.sandbox.sandbox import Sandbox
from schemas.declines import DeclineCode
from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import PROCESSORS
from schemas.payments import Processor as Name

EUR = Money(1234, "EUR")
CARDS: dict[Name, CardDetails] = {
    "visa": CardDetails("4111111111111111", 12, 2031, "123"),
    "mastercard": CardDetails("5123450000000008", 1, 2039, "100"),
}
DECLINES: list[tuple[Name, CardDetails | None, Money, DeclineCode]] = [
    ("visa", CardDetails("4000000000009995", 12, 2031), EUR, "insufficient_funds"),
    ("visa", CardDetails("4000000000009979", 12, 2031), EUR, "lost_or_stolen"),
    ("visa", CardDetails("4111111111111111", 1, 2020), EUR, "expired_card"),
    ("mastercard", CardDetails("5123450000000008", 5, 2039), EUR, "generic_decline"),
    ("mastercard", CardDetails("5123450000000008", 8, 2028), EUR, "issuer_unavailable"),
    ("mastercard", CardDetails("5123450000000008", 1, 2039, "102"), EUR, "incorrect_cvc"),
    ("paypal", None, Money(5120, "USD"), "insufficient_funds"),
]
APPLYING: list[FaultName] = ["apply_then_silence", "apply_then_reset", "apply_then_500", "half_body", "garbage"]


class Desk:
    """A processor's client and its twin, and the shortest way to an approved payment."""

    def __init__(self, name: Name, processor: Processor, hasty: Processor, sandbox: Sandbox) -> None:
        self.name = name
        self.processor = processor
        self.hasty = hasty
        self.sandbox = sandbox

    async def charge(self, amount: Money = EUR, card: CardDetails | None = None) -> Charge:
        """A charge that may be authorized now: PayPal's payer has approved its order."""
        charge = Charge(new_id("op"), new_id("att"), amount, card or CARDS.get(self.name))
        if self.name != "paypal":
            return charge
        return Charge(charge.request_id, charge.reference, amount, order=await self._approved_order(charge))

    async def _approved_order(self, charge: Charge) -> str:
        paypal = cast(Redirecting, self.processor)
        opened = Charge(new_id("op"), charge.reference, charge.amount)
        answer = await paypal.create_order(opened, "http://localhost:1/back", "http://localhost:1/back?cancelled")
        assert answer.said == "succeeded"
        assert answer.redirect_url
        async with aiohttp.ClientSession() as payer:
            sent = payer.post(answer.redirect_url, data={"decision": "approve"}, allow_redirects=False)
            async with sent as response:
                assert response.headers["Location"].startswith("http://localhost:1/back?token=")
        assert answer.processor_reference
        return answer.processor_reference

    async def authorized(self, amount: Money = EUR, *, capture: bool = False) -> tuple[Charge, Answer]:
        charge = await self.charge(amount)
        answer = await self.processor.authorize(charge, capture=capture)
        assert answer.said == "succeeded"
        return charge, answer

    async def captured(self, amount: Money = EUR) -> tuple[FollowUp, Answer]:
        charge, answer = await self.authorized(amount)
        call = follow_up(charge, answer)
        taken = await self.processor.capture(call)
        assert taken.said == "succeeded"
        return call, taken

    def order(self, fault: FaultName, *, seconds: float | None = None, times: int | None = 1) -> None:
        """Let the next call that moves money meet a fault."""
        self.sandbox.order(Fault(self.name, fault, seconds=seconds, times=None if fault == "refuse" else times))

    def ledger(self) -> list[tuple[str, str, str, int, str]]:
        """Operation, our attempt, our request id, amount and status of each row, in order."""
        return [(r.operation, r.reference, r.request_id, r.amount, r.status) for r in self.rows()]

    def rows(self) -> list[Row]:
        return [row for row in self.sandbox.rows_after(0, 1000) if row.processor == self.name]


@pytest.fixture(params=PROCESSORS)
def desk(
    request: pytest.FixtureRequest,
    processors: dict[Name, Processor],
    hasty: dict[Name, Processor],
    sandbox: Sandbox,
) -> Desk:
    return Desk(request.param, processors[request.param], hasty[request.param], sandbox)


@pytest.fixture
def desks(processors: dict[Name, Processor], hasty: dict[Name, Processor], sandbox: Sandbox) -> dict[Name, Desk]:
    return {name: Desk(name, processors[name], hasty[name], sandbox) for name in PROCESSORS}


def follow_up(charge: Charge, answer: Answer, amount: Money | None = None, *, sale: bool = False) -> FollowUp:
    assert answer.processor_reference
    of = answer.processor_reference
    return FollowUp(new_id("op"), charge.reference, amount or charge.amount, of, charge.request_id, sale)


def query(call: Charge | FollowUp, kind: str) -> Query:
    """As the gateway asks: a charge with its order, any other call with what it followed."""
    of = call.of if isinstance(call, FollowUp) else None
    order = call.order if isinstance(call, Charge) else None
    return Query(call.request_id, call.reference, kind, call.amount, order, of)  # type: ignore[arg-type]


async def until(said: str, ask: Callable[[], Awaitable[Answer]], within_s: float = 10) -> Answer:
    end = time.monotonic() + within_s
    while (answer := await ask()).said != said:
        assert time.monotonic() < end, answer
        await asyncio.sleep(0.05)
    return answer


# What each call does


async def test_authorize(desk: Desk) -> None:
    charge = await desk.charge()
    answer = await desk.processor.authorize(charge, capture=False)
    assert answer == Answer("succeeded", answer.processor_reference, amount=EUR, detail=answer.detail)
    assert desk.ledger() == [("authorize", charge.reference, charge.request_id, 1234, "applied")]


@pytest.mark.parametrize("amount", [Money(1234, "JPY"), Money(1_000, "BHD"), Money(1, "EUR"), Money(4000, "USD")])
async def test_amounts_have_their_currencys_decimals(desk: Desk, amount: Money) -> None:
    charge, answer = await desk.authorized(amount)
    assert answer.amount == amount
    await desk.processor.capture(follow_up(charge, answer))
    assert [row.amount for row in desk.rows()] == [amount.amount] * 2


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_a_sale_is_one_call(desks: dict[Name, Desk], name: Name) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    assert answer.amount == EUR
    assert desk.ledger() == [("sale", charge.reference, charge.request_id, 1234, "applied")]


async def test_paypal_never_captures_in_the_same_call(desks: dict[Name, Desk]) -> None:
    charge = await desks["paypal"].charge()
    with pytest.raises(ValueError, match="authorized, then captured"):
        await desks["paypal"].processor.authorize(charge, capture=True)


@pytest.mark.parametrize(("name", "card", "amount", "code"), DECLINES)
async def test_a_decline_says_why_and_is_found_again(
    desks: dict[Name, Desk], name: Name, card: CardDetails | None, amount: Money, code: DeclineCode
) -> None:
    desk = desks[name]
    charge = await desk.charge(amount, card)
    answer = await desk.processor.authorize(charge, capture=False)
    assert (answer.said, answer.decline_code, answer.reverse) == ("declined", code, False)
    found = await desk.processor.lookup(query(charge, "authorize"))
    assert (found.said, found.decline_code) == ("declined", code)


@pytest.mark.parametrize("number", ["4000000000009235", "4100000000000019"])
@pytest.mark.parametrize("capture", [False, True])
async def test_a_decline_after_the_banks_yes_is_to_be_reversed(
    desks: dict[Name, Desk], number: str, capture: bool
) -> None:
    desk = desks["visa"]
    charge = await desk.charge(card=CardDetails(number, 12, 2031))
    answer = await desk.processor.authorize(charge, capture=capture)
    assert (answer.said, answer.decline_code, answer.reverse) == ("declined", "suspected_fraud", True)
    asked = query(charge, "sale" if capture else "authorize")
    found = await desk.processor.lookup(asked)
    assert (found.said, found.reverse) == ("declined", True)
    assert (await desk.processor.reverse(new_id("op"), asked)).said == "succeeded"
    assert [row.operation for row in desk.rows()] == ["authorize", "reversal"]


@pytest.mark.parametrize("month_year", [(1, 2037), (2, 2037)])
async def test_a_technical_no_is_failed(desks: dict[Name, Desk], month_year: tuple[int, int]) -> None:
    desk = desks["mastercard"]
    charge = await desk.charge(card=CardDetails("5123450000000008", *month_year))
    assert (await desk.processor.authorize(charge, capture=False)).said == "failed"


async def test_a_gateway_that_does_not_know_yet_is_asked_again(desks: dict[Name, Desk]) -> None:
    desk = desks["mastercard"]
    charge = await desk.charge(card=CardDetails("5123450000000008", 5, 2037))
    assert (await desk.processor.authorize(charge, capture=False)).said == "unknown"
    assert (await desk.processor.lookup(query(charge, "authorize"))).said == "succeeded"


async def test_capture(desk: Desk) -> None:
    call, answer = await desk.captured()
    assert answer.amount == EUR
    assert desk.ledger()[1:] == [("capture", call.reference, call.request_id, 1234, "applied")]


async def test_capture_of_a_part(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    taken = await desk.processor.capture(follow_up(charge, answer, Money(234, "EUR")))
    assert (taken.said, taken.amount) == ("succeeded", Money(234, "EUR"))
    assert [row.amount for row in desk.rows()] == [1234, 234]


async def test_a_capture_of_too_much_fails(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    taken = await desk.processor.capture(follow_up(charge, answer, Money(1235, "EUR")))
    assert taken.said == "failed"
    assert len(desk.rows()) == 1


async def test_void_of_an_authorization(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    assert (await desk.processor.void(call)).said == "succeeded"
    [authorized, voided] = desk.rows()
    assert voided.operation in ("void", "reversal")
    assert (voided.of, voided.request_id, voided.amount) == (authorized.id, call.request_id, 1234)
    assert (await desk.processor.capture(follow_up(charge, answer))).said == "failed"


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_void_of_a_sale(desks: dict[Name, Desk], name: Name) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    assert (await desk.processor.void(follow_up(charge, answer, sale=True))).said == "succeeded"
    assert [row.operation for row in desk.rows()] == ["sale", "void"]


async def test_refunds_in_parts_and_no_more_than_was_taken(desk: Desk) -> None:
    call, taken = await desk.captured()
    assert taken.processor_reference
    for amount, said in [(1000, "succeeded"), (300, "failed"), (234, "succeeded")]:
        refund = FollowUp(
            new_id("op"), call.reference, Money(amount, "EUR"), taken.processor_reference, call.request_id
        )
        assert (await desk.processor.refund(refund)).said == said
    assert [row.amount for row in desk.rows() if row.operation == "refund"] == [1000, 234]


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_refund_of_a_sale(desks: dict[Name, Desk], name: Name) -> None:
    desk = desks[name]
    charge, answer = await desk.authorized(capture=True)
    refund = await desk.processor.refund(follow_up(charge, answer, Money(34, "EUR"), sale=True))
    assert (refund.said, refund.amount) == ("succeeded", Money(34, "EUR"))


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
        assert (found.said, found.processor_reference, found.amount) == (
            "succeeded",
            answer.processor_reference,
            call.amount,
        )


async def test_a_void_is_found_by_our_id(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    assert (await desk.processor.lookup(query(call, "void"))).said == "not_found"
    await desk.processor.void(call)
    assert (await desk.processor.lookup(query(call, "void"))).said == "succeeded"


async def test_what_was_never_sent_is_not_found(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    unsent = await desk.charge()
    assert (await desk.processor.lookup(query(unsent, "authorize"))).said == "not_found"
    for kind in ("capture", "void"):
        assert (await desk.processor.lookup(query(follow_up(charge, answer), kind))).said == "not_found"
    assert len(desk.rows()) == 1


async def test_the_same_id_for_another_amount_is_no_success(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    other = Charge(charge.request_id, charge.reference, Money(999, "EUR"), charge.card, charge.order)
    found = await desk.processor.lookup(query(other, "authorize"))
    assert found.said == "unknown"
    assert "amount" in found.detail


# Taking back by our id


async def test_reverse_takes_back_what_was_applied_once(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    asked, request_id = query(charge, "authorize"), new_id("op")
    assert (await desk.processor.reverse(request_id, asked)).said == "succeeded"
    assert (await desk.processor.reverse(request_id, asked)).said == "succeeded"
    assert (await desk.processor.reverse(new_id("op"), asked)).said == "succeeded"
    [authorized, reversed_] = desk.rows()
    assert reversed_.operation in ("void", "reversal")
    assert (reversed_.of, reversed_.request_id) == (authorized.id, request_id)


@pytest.mark.parametrize("name", ["visa", "mastercard"])
async def test_reverse_of_a_sale(desks: dict[Name, Desk], name: Name) -> None:
    desk = desks[name]
    charge, _ = await desk.authorized(capture=True)
    asked = query(charge, "sale")
    assert (await desk.processor.reverse(new_id("op"), asked)).said == "succeeded"
    assert (await desk.processor.reverse(new_id("op"), asked)).said == "succeeded"
    assert [row.operation for row in desk.rows()] == ["sale", "void"]


async def test_reverse_of_a_capture(desk: Desk) -> None:
    call, _ = await desk.captured()
    assert (await desk.processor.reverse(new_id("op"), query(call, "capture"))).said == "succeeded"
    assert [row.operation for row in desk.rows()][2] in ("void", "refund")


async def test_there_is_nothing_to_reverse(desk: Desk) -> None:
    charge = await desk.charge()
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).said == "not_found"
    if desk.name != "paypal":
        assert (await desk.processor.reverse(new_id("op"), query(charge, "sale"))).said == "not_found"
    assert desk.rows() == []


@pytest.mark.parametrize(("name", "card", "amount", "code"), DECLINES)
async def test_a_decline_leaves_nothing_to_reverse(
    desks: dict[Name, Desk], name: Name, card: CardDetails | None, amount: Money, code: DeclineCode
) -> None:
    desk = desks[name]
    charge = await desk.charge(amount, card)
    await desk.processor.authorize(charge, capture=False)
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).said == "not_found"


async def test_a_captured_authorization_is_not_reversed_behind_the_capture(desk: Desk) -> None:
    charge, answer = await desk.authorized()
    await desk.processor.capture(follow_up(charge, answer))
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).said == "failed"
    assert [row.operation for row in desk.rows()] == ["authorize", "capture"]


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
        assert (said.said, said.sent) == ("failed", False)
    asked = await fresh.lookup(query(charge, "authorize"))
    assert (asked.said, asked.sent) == ("unknown", True)
    await desk.sandbox.clear()
    assert len(desk.rows()) == 1
    assert (await desk.processor.authorize(later, capture=False)).said == "succeeded"


async def test_silence_is_unknown_and_not_found(desk: Desk) -> None:
    charge = await desk.charge()
    desk.order("silence")
    answer = await desk.hasty.authorize(charge, capture=False)
    assert (answer.said, answer.sent) == ("unknown", True)
    assert (await desk.processor.lookup(query(charge, "authorize"))).said == "not_found"
    assert desk.rows() == []


@pytest.mark.parametrize("fault", APPLYING)
async def test_an_authorization_whose_answer_is_lost_is_unknown_then_found_then_reversed(
    desk: Desk, fault: FaultName
) -> None:
    charge = await desk.charge()
    desk.order(fault)
    client = desk.hasty if fault == "apply_then_silence" else desk.processor
    answer = await client.authorize(charge, capture=False)
    assert (answer.said, answer.sent) == ("unknown", True)
    assert len(desk.rows()) == 1, "sent once"
    found = await desk.processor.lookup(query(charge, "authorize"))
    assert (found.said, found.amount) == ("succeeded", EUR)
    assert (await desk.processor.reverse(new_id("op"), query(charge, "authorize"))).said == "succeeded"
    assert len(desk.rows()) == 2


@pytest.mark.parametrize("fault", ["apply_then_reset", "apply_then_500", "half_body", "garbage"])
async def test_a_capture_whose_answer_is_lost_is_found_or_sent_again_once(desk: Desk, fault: FaultName) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    desk.order(fault)
    assert (await desk.processor.capture(call)).said == "unknown"
    found = await desk.processor.lookup(query(call, "capture"))
    assert (found.said, found.amount) == ("succeeded", EUR)
    if desk.processor.dedupes:
        again = await desk.processor.capture(call)
        assert (again.said, again.processor_reference) == ("succeeded", found.processor_reference)
    assert [row.operation for row in desk.rows()] == ["authorize", "capture"]


@pytest.mark.parametrize("fault", ["apply_then_reset", "apply_then_500"])
async def test_a_void_whose_answer_is_lost_is_found(desk: Desk, fault: FaultName) -> None:
    charge, answer = await desk.authorized()
    call = follow_up(charge, answer)
    desk.order(fault)
    assert (await desk.processor.void(call)).said == "unknown"
    assert (await desk.processor.lookup(query(call, "void"))).said == "succeeded"
    assert (await desk.processor.void(call)).said == "succeeded"
    assert len(desk.rows()) == 2


async def test_a_reversal_whose_answer_is_lost_is_sent_again(desk: Desk) -> None:
    charge, _ = await desk.authorized()
    asked, request_id = query(charge, "authorize"), new_id("op")
    desk.order("apply_then_reset")
    assert (await desk.processor.reverse(request_id, asked)).said == "unknown"
    assert (await desk.processor.reverse(request_id, asked)).said == "succeeded"
    assert len(desk.rows()) == 2


async def test_slow_lands_after_we_gave_up(desk: Desk) -> None:
    charge = await desk.charge()
    asked = query(charge, "authorize")
    desk.order("slow", seconds=1.5)
    assert (await desk.hasty.authorize(charge, capture=False)).said == "unknown"
    assert (await desk.processor.lookup(asked)).said == "not_found"
    await until("succeeded", lambda: desk.processor.lookup(asked))
    assert (await desk.processor.reverse(new_id("op"), asked)).said == "succeeded"


async def test_slow_within_the_timeout_is_a_success(desk: Desk) -> None:
    charge = await desk.charge()
    desk.order("slow", seconds=0.3)
    assert (await desk.processor.authorize(charge, capture=False)).said == "succeeded"


@pytest.mark.parametrize("fault", ["garbage", "apply_then_500", "half_body", "apply_then_reset"])
async def test_a_look_up_that_fails_says_nothing_of_the_call(desk: Desk, fault: FaultName) -> None:
    charge, _ = await desk.authorized()
    desk.sandbox.order(Fault(desk.name, fault, operation="lookup", times=1))
    assert (await desk.processor.lookup(query(charge, "authorize"))).said == "unknown"
    assert (await desk.processor.lookup(query(charge, "authorize"))).said == "succeeded"


# Credentials


@pytest.fixture
async def strangers(
    processor_settings: ProcessorSettings, sandbox: Sandbox
) -> AsyncIterator[dict[Name, Processor]]:
    wrong = ProcessorSettings(
        data=processor_settings.data,
        port_offset=processor_settings.port_offset,
        visa_secret="d3Jvbmc=",
        mastercard_password="wrong",
        paypal_secret="wrong",
    )
    opened = open_processors(wrong, 5)
    yield opened
    for processor in opened.values():
        await processor.close()


async def test_wrong_credentials_are_an_explicit_no_and_no_finding(
    desk: Desk, strangers: dict[Name, Processor]
) -> None:
    stranger = strangers[desk.name]
    charge, _ = await desk.authorized()
    later = await desk.charge()
    assert (await stranger.authorize(later, capture=False)).said == "failed"
    assert (await stranger.lookup(query(charge, "authorize"))).said == "unknown"
    assert len(desk.rows()) == 1
