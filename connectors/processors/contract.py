"""What every processor can be asked, and the one shape of its answers.

Each call that can move money carries our own request id, so that a call without an answer can be looked up or
reversed. No method raises for what a processor answers or fails to answer: that is an `Answer`.
"""

from typing import Literal, Protocol

import msgspec

from schemas.cards import Brand
from schemas.money import DECIMALS_MAX, Money, exponent
from schemas.payments import MethodType, ProcessorName
from schemas.states import DeclineCode

CallKind = Literal["authorize", "sale", "capture", "void", "refund", "reversal"]
CallResult = Literal["succeeded", "declined", "failed", "unknown", "not_found"]
Doubt = Literal["pending", "duplicate", "mismatch"]


class CardDetails(msgspec.Struct, frozen=True):
    """A card between the vault and a processor. Its text form shows none of its fields (PCI DSS 3.4.1)."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str | None = None

    def __repr__(self) -> str:
        return "CardDetails(…)"

    __str__ = __repr__


class Charge(msgspec.Struct, frozen=True):
    """The arguments of `authorize`. `reference` is our attempt's id, `request_id` this call's.

    `card` is set for card processors; `order_reference` is the processor's id of an order its payer approved.
    """

    request_id: str
    reference: str
    amount: Money
    card: CardDetails | None = None
    order_reference: str | None = None


class FollowUp(msgspec.Struct, frozen=True):
    """The arguments of `capture`, `void` and `refund`: a call on an earlier one, its parent.

    `parent_reference` is the processor's id of the parent, `parent_request_id` the id we sent with it.
    `parent_is_sale`: the parent authorized and captured at once; some wires void and refund a sale under another
    address than an authorization or a capture.
    `part`: which capture of its authorization this is, from 1. `final`: it is the last one, and what is left is
    released, where `Capabilities.final_capture_releases` by this very call.
    `rest`: of a void whose authorization was captured in part: only what is left, `amount`, is released.
    """

    request_id: str
    reference: str
    amount: Money
    parent_reference: str
    parent_request_id: str
    parent_is_sale: bool = False
    part: int = 1
    final: bool = True
    rest: bool = False


class Query(msgspec.Struct, frozen=True):
    """The arguments of `lookup` and `reverse`: a call whose answer was never read, known by our ids alone.

    `kind` is the call's. `order_reference` is the processor's id of its order and `parent_reference` that of the
    call it followed, if any.
    """

    request_id: str
    reference: str
    kind: CallKind
    amount: Money
    order_reference: str | None = None
    parent_reference: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """A processor's answer to one call.

    Explicit results are `succeeded`, `declined` (the issuer refused) and `failed` (a technical refusal: no money
    moved). `unknown` is a timeout, a reset after sending, or an unreadable answer. Only `lookup` returns
    `not_found` for a call the processor does not know, `reverse` where there is nothing to reverse, and
    `order_status` where nobody approved. `sent` is
    False only where no connection was established, so that nothing can have been applied. `must_reverse` comes
    with `declined` only: the bank approved, the processor's own checks did not, and the money stays reserved until
    a `reverse` of this call succeeds or finds nothing. `doubt` says why an answer that was read is `unknown` all
    the same: the processor has not decided yet (`pending`, with its own word for it in `pending_reason`), it has
    seen our id before (`duplicate`: what became of that call only a look-up tells), or it told of other money or
    ids (`mismatch`). None: no answer that counts. `processor_reference` is the id that later calls name. `amount`
    is what the processor moved by its own account. `detail` is for operators, scrubbed of card data.
    `audit_head` is none of the processor's: the vault's, where a card was opened for the call.
    """

    result: CallResult
    processor_reference: str | None = None
    decline_code: DeclineCode | None = None
    detail: str = ""
    sent: bool = True
    amount: Money | None = None
    redirect_url: str | None = None
    must_reverse: bool = False
    doubt: Doubt | None = None
    pending_reason: str | None = None
    audit_head: str | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What a processor can do. `brands` are the card brands it is the first choice for.

    `deduplicates`: a capture, void or refund sent again under its request id is applied once.
    `payer_approves`: the payer approves on the processor's own page before any authorization, so the processor is
    a `RedirectProcessor`.
    `captures_in_parts`: an authorization may be captured several times, up to its amount.
    `final_capture_releases`: the final capture itself frees what is left, at the processor.
    `releases_rest`: a void of what is left after a capture is a call. Where it is False there is none: what is
    left lapses with the hold, and such a void is `succeeded` without anything being sent.
    `currencies`: those it takes; None: all of ISO 4217. `decimals_max`: of an amount in currency units;
    `whole_units`: currencies that it takes no decimals of, whatever ISO 4217 says.
    """

    methods: frozenset[MethodType]
    brands: frozenset[Brand]
    deduplicates: bool
    payer_approves: bool
    captures_in_parts: bool
    final_capture_releases: bool
    releases_rest: bool
    currencies: frozenset[str] | None = None
    decimals_max: int = DECIMALS_MAX
    whole_units: frozenset[str] = frozenset()

    def step(self, currency: str) -> int | None:
        """What an amount must be a multiple of, in minor units: 100 for HUF at PayPal, 1 for EUR.

        None where the processor does not take the currency. Raises `UnknownCurrency`.
        """
        if self.currencies is not None and currency not in self.currencies:
            return None
        taken = 0 if currency in self.whole_units else self.decimals_max
        return int(10 ** max(0, exponent(currency) - taken))


class Processor(Protocol):
    """One vendor."""

    name: ProcessorName
    capabilities: Capabilities

    async def authorize(self, charge: Charge, *, capture: bool) -> Answer:
        """Reserve the money; with `capture`, take it in the same call."""

    async def capture(self, call: FollowUp) -> Answer:
        """Take the authorized amount, or a part of it."""

    async def void(self, call: FollowUp) -> Answer:
        """Release an authorization or what is left of it, or take back a sale that has not settled."""

    async def refund(self, call: FollowUp) -> Answer:
        """Give captured money back, or a part of it."""

    async def reverse(self, request_id: str, query: Query) -> Answer:
        """Take back the call of `query` by our ids alone, applied or not. `request_id` is this reversal's own.

        Repeating it is safe, under any id: a call that is reversed already is `succeeded`.
        """

    async def lookup(self, query: Query) -> Answer:
        """The answer of an earlier call as if it came now, or `not_found`; `unknown` where it cannot be found out.

        `sent` is always True: a look-up that failed says nothing about the call it asked for.
        """

    async def taken_back(self, query: Query) -> Answer:
        """What became of an authorization or a sale: `succeeded` where nothing of it is held or taken any more.

        `failed` where it stands, `not_found` where it moved nothing, `unknown` where it cannot be found out.
        """

    async def close(self) -> None:
        """Close the connections."""


class RedirectProcessor(Processor, Protocol):
    """A processor whose payer must approve on its own page first."""

    async def create_order(self, charge: Charge, return_url: str, cancel_url: str) -> Answer:
        """Open an order (deduplicated by request id); the answer has its id and `redirect_url`."""

    async def order_status(self, order_reference: str) -> Answer:
        """`succeeded` once the payer approved the order, `not_found` before, `failed` where the order is gone.

        `unknown` is no answer: the payer may have approved.
        """
