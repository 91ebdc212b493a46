"""The model: what was asked, what was answered, and so what may have become of the money.

It knows nothing of the core. A request that was answered `yes` happened once, with `no` it did not, and with
anything else (202, no answer, a worker that died) it happened once or not at all.
"""

from itertools import combinations
from typing import Any, Literal

import msgspec

from benchmarks.machine.world import Judgement
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest
from schemas.payments import ProcessorName

Verb = Literal["create", "capture", "void", "refund"]
Happened = Literal["yes", "no", "maybe"]
ENDED = ("captured", "voided", "declined", "failed")


class RefusedReply(msgspec.Struct, frozen=True):
    """The domain's no, by the name of its class: nothing was written."""

    name: str


Reply = IdempotentAnswer | RefusedReply | None  # None: whoever asked heard nothing


class Request(msgspec.Struct, kw_only=True):
    """Something asked of a payment under a key. `amount` in minor units; None: all there is."""

    keyed: KeyedRequest
    verb: Verb
    amount: int | None = None
    final: bool = True
    answer: IdempotentAnswer | None = None
    refused: bool = False
    replies: int = 0

    def hear(self, reply: Reply) -> None:
        """Take a reply. Raises `AssertionError` where the request was answered otherwise before."""
        match reply:
            case IdempotentAnswer():
                assert self.answer in (None, reply), f"{self.keyed.key} was answered {self.answer} and {reply}"
                self.answer, self.refused = reply, False
            case RefusedReply():  # a repeat of one that is open is refused too, and says nothing of the first
                self.refused = self.refused or not self.replies
            case None:
                self.refused = False
        self.replies += 1

    def happened(self) -> Happened:
        """Whether it moved money (a void: released it), as far as whoever asked can know."""
        if self.refused:
            return "no"
        if self.answer is None or self.answer.status == 202:
            return "maybe"
        return "yes" if self.answer.status in (200, 201) else "no"

    def said(self) -> Any:
        """The body of the answer; nothing of one that was refused by the processor."""
        answered = self.answer is not None and self.answer.status in (200, 201, 202)
        return msgspec.json.decode(self.answer.body) if answered and self.answer else {}


class PaymentModel(msgspec.Struct, kw_only=True):
    """A payment as its client knows it. `amount` in minor units; `card` None: by PayPal."""

    create: Request
    amount: int
    automatic: bool
    card: str | None
    wanted: ProcessorName | None
    verdict: Judgement | None
    id: str | None = None
    requests: list[Request] = []
    decided: set[str] = set()

    def processor(self) -> ProcessorName:
        """Who takes it, unless another one has to."""
        return self.wanted or ("paypal" if self.card is None else "visa" if "visa" in self.card else "mastercard")

    def of(self, verb: Verb) -> list[Request]:
        """What was asked of it."""
        return [request for request in self.requests if request.verb == verb]

    def may_be_captured(self) -> set[int]:
        """Every amount that may have been captured, in minor units."""
        captures = self.of("capture")
        if any(c.amount is None and c.happened() == "yes" for c in captures):
            return {self.amount}
        sums = _sums(captures)
        sums |= {self.amount} if any(c.amount is None and c.happened() != "no" for c in captures) else set()
        sums |= {self.amount} if self.automatic else set()
        return {taken for taken in sums if taken <= self.amount}

    def may_be_refunded(self) -> set[int] | None:
        """Every amount that may have been given back; None: any."""
        refunds = self.of("refund")
        open_ended = [r for r in refunds if r.amount is None and not r.said() and r.happened() == "maybe"]
        # Given back by several calls, a refund may be refused after the first: it is what was given back by then.
        in_parts = [r for r in refunds if r.happened() != "yes" and not r.refused and len(self.of("capture")) > 1]
        return None if open_ended or in_parts else _sums(refunds)

    def never_lets_go(self) -> bool:
        """Whether its issuer refuses to release anything: what is not captured stays held until it lapses."""
        return self.card is not None and self.card.endswith("no_void")


def _sums(requests: list[Request]) -> set[int]:
    certain = sum(_amount(r) for r in requests if r.happened() == "yes")
    doubtful = [_amount(r) for r in requests if r.happened() == "maybe"]
    picked = (chosen for n in range(len(doubtful) + 1) for chosen in combinations(doubtful, n))
    return {certain + sum(chosen) for chosen in picked}


def _amount(request: Request) -> int:
    told = request.said().get("amount") if request.verb == "refund" else None
    return int(told or request.amount or 0)
