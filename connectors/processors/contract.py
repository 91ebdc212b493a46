"""What every processor can be asked, and the one shape of its answers.

Each call that can move money carries our own request id, so that silence can be looked up or reversed.
No method raises for what a processor says or fails to say: that is an `Answer`.
"""

from typing import Literal, Protocol

import msgspec

from schemas.money import Money
from schemas.payments import ProcessorName
from schemas.states import DeclineCode

Said = Literal["succeeded", "declined", "failed", "unknown", "not_found"]


class CardDetails(msgspec.Struct, frozen=True):
    """A card on its way from the vault to a processor. Its text form shows nothing of it (PCI DSS 3.4.1)."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str | None = None

    def __repr__(self) -> str:
        return "CardDetails(…)"

    __str__ = __repr__


class Charge(msgspec.Struct, frozen=True):
    """What `authorize` is asked. `reference` is our attempt's id, `request_id` this call's.

    `card` for card processors; `order` is the id PayPal gave an order that its payer approved.
    """

    request_id: str
    reference: str
    amount: Money
    card: CardDetails | None = None
    order: str | None = None


class FollowUp(msgspec.Struct, frozen=True):
    """What `capture`, `void` and `refund` are asked: a call on an earlier one.

    `of` is the processor's own reference of that earlier call, `of_request_id` the id we sent with it.
    `sale`: it authorized and captured at once, so taking it back is a void of a capture, where the wire
    tells these apart.
    """

    request_id: str
    reference: str
    amount: Money
    of: str
    of_request_id: str
    sale: bool = False


class Query(msgspec.Struct, frozen=True):
    """What `lookup` and `reverse` are asked: a call whose answer we never read, known by our ids alone.

    `kind` is the call's; `order` PayPal's order id; `of` the processor's reference the call followed, if any.
    """

    request_id: str
    reference: str
    kind: Literal["authorize", "sale", "capture", "void", "refund", "reversal"]
    amount: Money
    order: str | None = None
    of: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a processor said.

    `succeeded`, `declined` (the issuer's no) and `failed` (an explicit technical no: nothing was moved) are its
    word. `unknown` is silence, a reset after sending, or an answer nobody can read. `not_found` is said only by
    `lookup` (it knows no such call) and `reverse` (there is nothing to reverse).
    `sent` is False only where the connection never came about, so that nothing can have been applied.
    `reverse` comes with `declined` only: the bank approved, the processor's own checks did not, and the money
    stays reserved until a `reverse` of this call has succeeded (or found nothing).
    `processor_reference` is the id later calls name. `amount` is what the processor says it moved.
    `detail` is for operators, scrubbed of card data.
    """

    said: Said
    processor_reference: str | None = None
    decline_code: DeclineCode | None = None
    detail: str = ""
    sent: bool = True
    amount: Money | None = None
    redirect_url: str | None = None
    reverse: bool = False


class Processor(Protocol):
    """One vendor. `dedupes`: a capture, void or refund sent again under its request id is applied once."""

    name: ProcessorName
    dedupes: bool

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """Reserve the money; with `capture`, take it in the same call."""

    async def capture(self, call: FollowUp) -> Answer:
        """Take what was authorized, or a part of it."""

    async def void(self, call: FollowUp) -> Answer:
        """Release an authorization, or take back a sale that has not settled."""

    async def refund(self, call: FollowUp) -> Answer:
        """Give captured money back, or a part of it."""

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """Take back the call of `query` by our ids alone, applied or not. `request_id` is this reversal's own.

        Asking again does no harm, under any id: what is taken back already is `succeeded`.
        """

    async def lookup(self, query: Query) -> Answer:
        """What became of a call: its answer as if it came now, or `not_found`; `unknown` where nobody could say.

        Never says `sent=False`: a look-up that failed says nothing about the call it asked for.
        """

    async def close(self) -> None:
        """Close the connections."""


class Redirecting(Processor, Protocol):
    """A processor whose payer must approve on its own page first."""

    async def create_order(self, charge: Charge, return_url: str, cancel_url: str) -> Answer:
        """Open an order (deduplicated by request id); the answer has its id and `redirect_url`."""

    async def order(self, order: str) -> Answer:
        """`succeeded` once its payer approved it, `failed` where it was voided, else `unknown` for now."""
