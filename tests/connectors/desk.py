"""A processor's client before its twin: what the contract's tests ask, and what the ledger then says."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, assert_never, cast

import aiohttp
import msgspec

from connectors.processors.contract import (
    Answer,
    CallResult,
    CardDetails,
    Charge,
    FollowUp,
    Processor,
    Query,
    RedirectProcessor,
)
from connectors.sandbox.faults import Fault, FaultName
from connectors.sandbox.ledger import LedgerRow
from connectors.sandbox.sandbox import Sandbox
from schemas.ids import new_id
from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

FollowUpKind = Literal["capture", "void", "refund"]
EUR = Money(1234, "EUR")
CARDS: dict[ProcessorName, CardDetails] = {
    "visa": CardDetails("4111111111111111", 12, 2031, "123"),
    "mastercard": CardDetails("5123450000000008", 1, 2039, "100"),
}
DECLINES: list[tuple[ProcessorName, CardDetails | None, Money, DeclineCode]] = [
    ("visa", CardDetails("4000000000009995", 12, 2031), EUR, "insufficient_funds"),
    ("visa", CardDetails("4000000000009979", 12, 2031), EUR, "lost_or_stolen"),
    ("visa", CardDetails("4111111111111111", 1, 2020), EUR, "expired_card"),
    ("mastercard", CardDetails("5123450000000008", 5, 2039), EUR, "generic_decline"),
    ("mastercard", CardDetails("5123450000000008", 8, 2028), EUR, "issuer_unavailable"),
    ("mastercard", CardDetails("5123450000000008", 1, 2039, "102"), EUR, "incorrect_cvc"),
    ("paypal", None, Money(5120, "USD"), "insufficient_funds"),
]
# Approved, and then one call is refused: the call, card and amount, what it is answered, and whether that is kept.
Refusal = tuple[ProcessorName, FollowUpKind, CardDetails | None, Money, CallResult, DeclineCode | None, bool]
REFUSALS: list[Refusal] = [
    ("visa", "capture", CardDetails("4000000000000341", 12, 2031), EUR, "declined", "generic_decline", True),
    ("visa", "void", CardDetails("4000000000000606", 12, 2031), EUR, "declined", "generic_decline", True),
    ("visa", "refund", CardDetails("4000000000005126", 12, 2031), EUR, "declined", "generic_decline", True),
    ("mastercard", "capture", CardDetails("5123450000000008", 2, 2039), EUR, "declined", "generic_decline", True),
    ("mastercard", "void", CardDetails("5123450000000008", 3, 2039), EUR, "declined", "generic_decline", True),
    ("mastercard", "refund", CardDetails("5123450000000008", 4, 2039), EUR, "declined", "generic_decline", True),
    ("paypal", "capture", None, Money(5140, "EUR"), "declined", "invalid_account", True),
    ("paypal", "void", None, Money(5143, "EUR"), "failed", None, False),
    ("paypal", "refund", None, Money(5141, "EUR"), "failed", None, True),
    ("paypal", "refund", None, Money(5142, "EUR"), "declined", "invalid_account", False),
]
APPLYING: list[FaultName] = ["apply_then_silence", "apply_then_reset", "apply_then_500", "half_body", "garbage"]


class Desk:
    """A processor's client and its twin, and the shortest way to an approved payment."""

    def __init__(self, name: ProcessorName, processor: Processor, hasty: Processor, sandbox: Sandbox) -> None:
        self.name = name
        self.processor = processor
        self.hasty = hasty
        self.sandbox = sandbox

    async def charge(self, amount: Money = EUR, card: CardDetails | None = None) -> Charge:
        """A charge that may be authorized now: PayPal's payer has approved its order."""
        charge = Charge(new_id("op"), new_id("att"), amount, card or CARDS.get(self.name))
        if self.name != "paypal":
            return charge
        return Charge(
            charge.request_id, charge.reference, amount, order_reference=await self._approved_order(charge)
        )

    async def _approved_order(self, charge: Charge) -> str:
        paypal = cast(RedirectProcessor, self.processor)
        opened = Charge(new_id("op"), charge.reference, charge.amount)
        answer = await paypal.create_order(opened, "http://localhost:1/back", "http://localhost:1/back?cancelled")
        assert answer.result == "succeeded"
        assert answer.redirect_url
        async with aiohttp.ClientSession() as payer:
            sent = payer.post(answer.redirect_url, data={"decision": "approve"}, allow_redirects=False)
            async with sent as response:
                assert response.headers["Location"].startswith("http://localhost:1/back?token=")
        assert answer.processor_reference
        return answer.processor_reference

    async def authorized(
        self, amount: Money = EUR, *, capture: bool = False, card: CardDetails | None = None
    ) -> tuple[Charge, Answer]:
        charge = await self.charge(amount, card)
        answer = await self.processor.authorize(charge, capture=capture)
        assert answer.result == "succeeded"
        return charge, answer

    async def captured(self, amount: Money = EUR, *, card: CardDetails | None = None) -> tuple[FollowUp, Answer]:
        charge, answer = await self.authorized(amount, card=card)
        call = follow_up(charge, answer)
        taken = await self.processor.capture(call)
        assert taken.result == "succeeded"
        return call, taken

    async def parts(self, charge: Charge, answer: Answer, *amounts: int) -> list[tuple[FollowUp, Answer]]:
        """Captures of these amounts (minor units), none of them the last."""
        calls = [part_of(charge, answer, amount, number) for number, amount in enumerate(amounts, 1)]
        made = [(call, await self.processor.capture(call)) for call in calls]
        assert [taken.result for _, taken in made] == ["succeeded"] * len(made)
        return made

    async def ready(self, kind: FollowUpKind, amount: Money = EUR, card: CardDetails | None = None) -> FollowUp:
        """The next call of this kind, on a payment of its own."""
        if kind == "refund":
            return refund_of(*await self.captured(amount, card=card), amount)
        return follow_up(*await self.authorized(amount, card=card))

    def order(self, fault: FaultName, *, seconds: float | None = None, times: int | None = 1) -> None:
        """Let the next call that moves money meet a fault."""
        self.sandbox.order(Fault(self.name, fault, seconds=seconds, times=None if fault == "refuse" else times))

    def ledger(self) -> list[tuple[str, str, str, int, str]]:
        """Operation, our attempt, our request id, amount and status of each row, in order."""
        return [(r.operation, r.reference, r.request_id, r.amount, r.status) for r in self.rows()]

    def rows(self) -> list[LedgerRow]:
        return [row for row in self.sandbox.rows_after(0, 1000) if row.processor == self.name]


def follow_up(charge: Charge, answer: Answer, amount: Money | None = None, *, sale: bool = False) -> FollowUp:
    assert answer.processor_reference
    of = answer.processor_reference
    return FollowUp(new_id("op"), charge.reference, amount or charge.amount, of, charge.request_id, sale)


def part_of(charge: Charge, answer: Answer, amount: int, number: int, *, final: bool = False) -> FollowUp:
    call = follow_up(charge, answer, Money(amount, charge.amount.currency))
    return msgspec.structs.replace(call, part=number, final=final)


def rest_of(charge: Charge, answer: Answer, amount: int) -> FollowUp:
    """The void of what captures left."""
    return msgspec.structs.replace(follow_up(charge, answer, Money(amount, charge.amount.currency)), rest=True)


def refund_of(capture: FollowUp, taken: Answer, amount: Money) -> FollowUp:
    assert taken.processor_reference
    return FollowUp(new_id("op"), capture.reference, amount, taken.processor_reference, capture.request_id)


async def send(processor: Processor, kind: FollowUpKind, call: FollowUp) -> Answer:
    match kind:
        case "capture":
            return await processor.capture(call)
        case "void":
            return await processor.void(call)
        case "refund":
            return await processor.refund(call)
        case _:
            assert_never(kind)


def query(call: Charge | FollowUp, kind: str) -> Query:
    """As the gateway asks: a charge with its order, any other call with what it followed."""
    of = call.parent_reference if isinstance(call, FollowUp) else None
    order = call.order_reference if isinstance(call, Charge) else None
    return Query(call.request_id, call.reference, kind, call.amount, order, of)  # type: ignore[arg-type]


async def until(said: str, ask: Callable[[], Awaitable[Answer]], within_s: float = 60) -> Answer:
    end = time.monotonic() + within_s
    while (answer := await ask()).result != said:
        assert time.monotonic() < end, answer
        await asyncio.sleep(0.05)
    return answer
