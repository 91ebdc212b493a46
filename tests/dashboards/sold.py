"""Sales with faults, as the books tell of them, and what was told: tests count in it what a tile asks for.

Answers come late, sales are taken back, refunds are refused or hang, and one event in four is told twice.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from schemas.events import Event, new_event
from schemas.ids import new_id
from schemas.operations import OperationEvent, ProcessorOperation
from schemas.payments import Payment, PaymentEvent, Refund, RefundEvent
from schemas.states import STATUS, Status
from schemas.times import now
from tests.flows.analytics.lives import operated, operation

SHOPS = ("acc_shop", "acc_other")
Told = tuple[str, Event]


def is_approved(paid: Payment) -> bool:
    """Whether every page counts it as approved."""
    approved = ("authorized", "partially_captured", "captured", "in_review")
    return paid.processor is not None and paid.state in approved


def is_refused(paid: Payment) -> bool:
    """Whether every page counts it as refused: a processor was asked."""
    return paid.state in ("declined", "failed") and paid.decline_code != "blocked"


class Sold:
    """All payments, refunds, calls to processors and postings, as they stand in the end."""

    def __init__(self, payment: Any, seed: int = 7) -> None:
        """`payment(moment, **changes)` makes one."""
        self.payments: list[Payment] = []
        self.refunds: list[tuple[Payment, Refund]] = []
        self.postings: list[tuple[ProcessorOperation, datetime, str, int]] = []
        self._make, self._chance = payment, random.Random(seed)

    def sell(self, count: int) -> Iterator[Told]:
        """Make `count` payments of the last 40 days, and tell of them."""
        begin = now() - timedelta(minutes=5)
        for n in range(count):
            born = begin - timedelta(days=40) * (n / count)
            for told in self.one(born, n % 8):
                yield from [told] * self._chance.choice([1, 1, 1, 2])

    def one(self, born: datetime, fate: int) -> list[Told]:
        """Make one payment; `fate`: which of the eight ends it takes."""
        ends = ["captured"] * 4 + ["authorized", "partially_captured", "declined", "unknown"]
        given = {"state": ends[fate], "status": STATUS[ends[fate]], "merchant": self._chance.choice(SHOPS)}
        made = self._make(born, **given, amount=self._chance.randrange(1000, 90_000))
        taken = {"captured": made.amount, "partially_captured": 300}.get(made.state, 0)
        left = made.amount - taken if fate in (4, 5) else 0
        made = replace(made, amount_captured=taken, amount_capturable=left, processor=made.processor or "visa")
        told = [*self._calls(made, fate), *self._refunds(made, fate)]
        self._chance.shuffle(told)
        return told

    def _calls(self, made: Payment, fate: int) -> Iterator[Told]:
        whole = self._call(made, "sale", made.amount)
        match fate:
            case 0 | 1:
                yield self._told(1, whole, "due", made.amount)
            case 2:  # the answer is found later
                yield self._told(1, replace(whole, status="unknown"))
                yield self._told(2, whole, "due", made.amount)
            case 3:  # the first processor approves too late, and gives it back
                late = replace(self._call(made, "sale", made.amount), processor="paypal")
                yield self._told(1, late, "due", made.amount)
                yield self._told(1, replace(late, id=new_id("op"), kind="reversal"), "due", -made.amount)
                yield self._told(1, whole, "due", made.amount)
            case 4 | 5:
                yield self._told(1, replace(whole, kind="authorize"), "hold", made.amount)
            case 6:
                yield self._told(1, replace(whole, status="declined"))
            case 7:
                yield self._told(1, replace(whole, status="unknown"))
        if fate == 5:
            yield self._told(1, self._call(made, "capture", 300), "due", 300, off_hold=300)

    def _refunds(self, made: Payment, fate: int) -> Iterator[Told]:
        event = new_event(
            f"payment.{made.state}", "/", made.id, PaymentEvent(1, None, made.created_at, made), made.created_at
        )
        statuses: list[Status] = [["succeeded"], ["succeeded", "failed"], ["pending"], [], []][min(fate, 4)]  # type: ignore[assignment]
        stands, told = made, [("payments.v1", event)]
        for number, status in enumerate(statuses, start=2):
            asked = made.created_at + timedelta(seconds=60 * number)
            code = "call_issuer" if status == "failed" else None
            refund = Refund(
                new_id("ref"), 250, made.currency, status, code, asked, asked + timedelta(seconds=number)
            )
            if status == "succeeded":
                stands = replace(stands, amount_refunded=stands.amount_refunded + 250)
                told.append(self._told(1, self._call(made, "refund", 250), "due", -250))
            data = RefundEvent(number, made.state, refund.updated_at, stands, refund)
            told.append(("payments.v1", new_event(f"refund.{status}", "/", made.id, data, refund.updated_at)))
            self.refunds.append((made, refund))
        self.payments.append(stands)
        yield from told

    def _call(self, made: Payment, kind: Any, amount: int) -> ProcessorOperation:
        given = {"payment": made.id, "merchant": made.merchant, "processor": made.processor, "kind": kind}
        born = made.created_at
        return operation(
            id=new_id("op"), amount=amount, currency=made.currency, created_at=born, finished_at=born, **given
        )

    def _told(
        self, sequence: int, call: ProcessorOperation, side: str = "", amount: int = 0, off_hold: int = 0
    ) -> Told:
        moved = {f"{side}:{call.processor}": amount, f"{side}:{call.merchant}": -amount} if side else {}
        if off_hold:
            moved |= {f"hold:{call.processor}": -off_hold, f"hold:{call.merchant}": off_hold}
        event = operated(sequence, call, moved)
        assert isinstance(event.data, OperationEvent)
        at = event.data.recorded_at
        self.postings += [(call, at, account, minor) for account, minor in moved.items()]
        return "operations.v1", event
