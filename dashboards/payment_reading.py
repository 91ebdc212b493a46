"""Payments as the gateway tells of them: in a list, and one with its events, calls to processors and refunds."""

from datetime import datetime

import msgspec

from dashboards import chooser, formats
from dashboards.chooser import Found
from dashboards.gateway_calls import Api
from dashboards.session_checks import Person
from dashboards.wording import paid_with, processor_name, what_became, words
from schemas.fraud import Counterfactual
from schemas.states import Status

AT_MOST = 100  # lines of a kind: a payment with more has been captured and refunded in that many parts
OPEN = frozenset({"sending", "unknown"})


class PaidWith(msgspec.Struct, frozen=True):
    """The card, or PayPal."""

    type: str
    brand: str | None = None
    last4: str | None = None
    bin: str | None = None
    card: str | None = None
    instrument: str | None = None

    def text(self) -> str:
        """`Visa ···· 4242`."""
        return paid_with(self.type, self.brand, self.last4)


class Risk(msgspec.Struct, frozen=True):
    """The verdict that decided."""

    outcome: str
    source: str | None = None
    score: float | None = None
    reasons: list[str] = []
    model: str | None = None
    waited_ms: float | None = None
    hold: str | None = None
    counterfactual: Counterfactual | None = None

    def passing(self) -> str:
        """Up to which amount the payment would have passed; empty where no such amount is known."""
        passes = self.counterfactual
        return "" if passes is None else f"up to {formats.money(passes.amount, passes.currency)}"


class ListedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the gateway lists it; amounts in minor units, times UTC. `risk` is for staff."""

    id: str
    status: Status
    state: str
    amount: int
    currency: str
    customer: str
    merchant: str
    payment_method: PaidWith
    capture: str
    processor: str | None
    created_at: datetime
    updated_at: datetime
    attempts: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    reference: str | None = None
    description: str | None = None
    decline_code: str | None = None
    risk: Risk | None = None

    def what_became(self) -> str:
        """Why it did not go through, or what was captured or refunded where that is not all of it or nothing."""
        if self.decline_code:
            return words(self.decline_code)
        return what_became(self.amount, self.amount_captured, self.amount_refunded, self.currency)

    def money(self, minor: int) -> str:
        """An amount with its currency."""
        return formats.money(minor, self.currency)


class PastRefusal(msgspec.Struct, frozen=True):
    """What a processor refused last of a payment, which stayed as it was."""

    kind: str
    decline_code: str
    at: datetime


class ShownPayment(ListedPayment, frozen=True, kw_only=True):
    """A payment with all that moves money of it; amounts in minor units."""

    amount_capturable: int = 0
    last_refusal: PastRefusal | None = None
    pending_reason: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def refundable(self) -> int:
        """What was captured and not refunded yet."""
        return self.amount_captured - self.amount_refunded

    def by(self) -> str:
        """The processor's name."""
        return processor_name(self.processor, "The processor")


class PastEvent(msgspec.Struct, frozen=True):
    """An event of a payment."""

    type: str
    state: str
    status: Status
    recorded_at: datetime


class ProcessorCall(msgspec.Struct, frozen=True):
    """A call to a processor, in its own words. `id` is the request id it got; `milliseconds` null while open."""

    id: str
    kind: str
    processor: str
    status: str
    amount: int
    currency: str
    created_at: datetime
    routing_reason: str = ""
    requested_by: str | None = None
    refund: str | None = None
    processor_reference: str | None = None
    decline_code: str | None = None
    pending_reason: str | None = None
    asked_again_at: datetime | None = None
    detail: str = ""
    milliseconds: float | None = None
    finished_at: datetime | None = None


class ShownRefund(msgspec.Struct, frozen=True):
    """A refund; `amount` in minor units."""

    id: str
    amount: int
    currency: str
    status: Status
    created_at: datetime
    reason: str | None = None
    decline_code: str | None = None


class WholePayment(msgspec.Struct, frozen=True):
    """A payment with all that happened to it, oldest first. `knows_calls`: whoever reads it is told of `calls`."""

    payment: ShownPayment
    events: list[PastEvent]
    calls: list[ProcessorCall]
    refunds: list[ShownRefund]
    knows_calls: bool = True

    def open_call(self) -> ProcessorCall | None:
        """The call that has no end yet: until it has one, nothing else can be asked for."""
        return next((call for call in reversed(self.calls) if call.status in OPEN), None)

    def is_moving(self) -> bool:
        """Whether it may change by itself soon."""
        pending = any(refund.status == "pending" for refund in self.refunds)
        return self.payment.status == "pending" or pending or self.open_call() is not None

    def stand(self) -> tuple[object, ...]:
        """What a page that was drawn for it depends on."""
        paid, refunds = self.payment, tuple((refund.id, refund.status) for refund in self.refunds)
        amounts = paid.amount_capturable, paid.amount_captured, paid.amount_refunded
        return paid.state, amounts, paid.last_refusal, refunds, tuple((c.id, c.status) for c in self.calls)


def read_whole(api: Api, payment_id: str, person: Person) -> WholePayment:
    """The payment of this id, which may be any text, as the person is told of it. Raises as `Api.get`."""
    path = chooser.at("/v1/payments", payment_id)
    payment: ShownPayment = api.get(path, ShownPayment)
    events = read_events(api, path)
    calls = read_calls(api, path) if person.is_staff else []
    refunds = api.get("/v1/refunds", Found[ShownRefund], payment=payment.id, limit=AT_MOST).data
    refunds.sort(key=lambda refund: refund.created_at)
    return WholePayment(payment, events, calls, refunds, person.is_staff)


def read_events(api: Api, path: str) -> list[PastEvent]:
    """The events of the payment at `path`. Raises as `Api.get`."""
    found: list[PastEvent] = api.get(f"{path}/events", Found[PastEvent], limit=AT_MOST).data
    return found


def read_calls(api: Api, path: str) -> list[ProcessorCall]:
    """The calls to processors of the payment at `path`, which staff are told of. Raises as `Api.get`."""
    found: list[ProcessorCall] = api.get(f"{path}/operations", Found[ProcessorCall], limit=AT_MOST).data
    return found
