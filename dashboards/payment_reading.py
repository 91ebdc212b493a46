"""One payment as the gateway knows it: how it stands, its events, its calls to processors, and its refunds."""

from datetime import datetime
from typing import Literal

import msgspec

from dashboards import chooser
from dashboards.chooser import Found
from dashboards.gateway_calls import Api
from dashboards.review_case import CasePayment
from dashboards.wording import processor_name

AT_MOST = 100  # lines of a kind: a payment with more has been captured and given back in that many parts
OPEN = frozenset({"sending", "unknown"})


class PastRefusal(msgspec.Struct, frozen=True):
    """What a processor refused last of a payment, which stayed as it was."""

    kind: str
    decline_code: str
    at: datetime


class ShownPayment(CasePayment, frozen=True):
    """A payment with all that moves money of it; amounts in minor units."""

    amount_capturable: int = 0
    updated_at: datetime | None = None
    last_refusal: PastRefusal | None = None
    pending_reason: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def refundable(self) -> int:
        """What was taken and not given back yet."""
        return self.amount_captured - self.amount_refunded

    def by(self) -> str:
        """The processor's name."""
        return processor_name(self.processor, "The processor")


class PastEvent(msgspec.Struct, frozen=True):
    """An event; `previous_state` null where it is the first."""

    type: str
    state: str
    status: Literal["pending", "succeeded", "failed"]
    recorded_at: datetime
    previous_state: str | None = None


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
    status: Literal["pending", "succeeded", "failed"]
    created_at: datetime
    reason: str | None = None
    decline_code: str | None = None


class WholePayment(msgspec.Struct, frozen=True):
    """A payment with all that happened to it, oldest first."""

    payment: ShownPayment
    events: list[PastEvent]
    calls: list[ProcessorCall]
    refunds: list[ShownRefund]

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


def read_whole(api: Api, payment_id: str) -> WholePayment:
    """The payment of this id, which may be any text. Raises as `Api.get`."""
    path = chooser.at("/v1/payments", payment_id)
    payment: ShownPayment = api.get(path, ShownPayment)
    events = api.get(f"{path}/events", Found[PastEvent], limit=AT_MOST).data
    calls = api.get(f"{path}/operations", Found[ProcessorCall], limit=AT_MOST).data
    refunds = api.get("/v1/refunds", Found[ShownRefund], payment=payment.id, limit=AT_MOST).data
    return WholePayment(payment, events, calls, sorted(refunds, key=lambda refund: refund.created_at))
