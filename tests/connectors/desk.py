"""A processor's client before its twin: what the contract's tests ask, and what the ledger then says."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import cast

import aiohttp

from connectors.processors.contract import (
    Answer,
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

    async def authorized(self, amount: Money = EUR, *, capture: bool = False) -> tuple[Charge, Answer]:
        charge = await self.charge(amount)
        answer = await self.processor.authorize(charge, capture=capture)
        assert answer.result == "succeeded"
        return charge, answer

    async def captured(self, amount: Money = EUR) -> tuple[FollowUp, Answer]:
        charge, answer = await self.authorized(amount)
        call = follow_up(charge, answer)
        taken = await self.processor.capture(call)
        assert taken.result == "succeeded"
        return call, taken

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
