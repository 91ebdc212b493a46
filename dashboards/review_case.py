"""One case of the reviews as the gateway tells of it: its payment, why it is held, what happened to it."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from dashboards import chooser, formats
from dashboards.chooser import Found
from dashboards.gateway_calls import Api
from dashboards.look import Look
from dashboards.wording import listed, paid_with, processor_name, words

Facts = list[tuple[str, str]]
Decision = Literal["approve", "reject"]
DONE: dict[Decision, str] = {"approve": "Approved", "reject": "Rejected"}


class ShownReview(msgspec.Struct, frozen=True):
    """A review as the gateway shows it; amounts in minor units. From `decision` to `decided_at` null until then.

    `assigned_to`: the account that has taken it, until `assigned_until`.
    """

    id: str
    kind: Literal["held", "late"]
    payment: str
    amount: int
    currency: str
    reasons: list[str]
    opened_at: datetime
    decision: Decision | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    expected_loss: int | None = None
    assigned_to: str | None = None
    assigned_until: datetime | None = None

    def money(self) -> str:
        """What it is about, with its currency."""
        return formats.money(self.amount, self.currency)

    def loss(self) -> str:
        """What approving costs on average; a dash where no score is known."""
        return formats.NONE if self.expected_loss is None else formats.amount(self.expected_loss, self.currency)

    def why(self) -> str:
        """Its reasons as words."""
        return listed(self.reasons)


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


class CasePayment(msgspec.Struct, frozen=True):
    """What a case shows of a payment; amounts in minor units."""

    id: str
    status: str
    state: str
    amount: int
    currency: str
    customer: str
    merchant: str
    payment_method: PaidWith
    capture: str
    processor: str | None
    created_at: datetime
    attempts: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    reference: str | None = None
    description: str | None = None
    decline_code: str | None = None
    risk: Risk | None = None

    def money(self, minor: int) -> str:
        """An amount with its currency."""
        return formats.money(minor, self.currency)


class CaseEvent(msgspec.Struct, frozen=True):
    """An event of a payment."""

    type: str
    state: str
    recorded_at: datetime


class CaseOperation(msgspec.Struct, frozen=True):
    """A call to a processor; `milliseconds` null while it is open."""

    kind: str
    processor: str
    status: str
    created_at: datetime
    decline_code: str | None = None
    milliseconds: float | None = None


class HistoryLine(msgspec.Struct, frozen=True):
    """An event, or a call to a processor, as it is shown."""

    time: str
    what: str
    note: str


class Case(msgspec.Struct, frozen=True):
    """All that is known of a case."""

    review: ShownReview
    payment: CasePayment
    events: list[CaseEvent]
    operations: list[CaseOperation]

    def waits_for_processor(self) -> bool:
        """Whether a call to the processor is open, so that the decision is not carried out yet."""
        return any(operation.status in ("sending", "unknown") for operation in self.operations)

    def facts(self, look: Look) -> Facts:
        """What was paid, by whom and to whom; times by the clock of the look."""
        payment = self.payment
        return [
            ("Paid with", payment.payment_method.text()),
            ("Processor", processor_name(payment.processor)),
            ("Capture", payment.capture),
            ("Captured", payment.money(payment.amount_captured)),
            ("Refunded", payment.money(payment.amount_refunded)),
            ("Attempts", str(payment.attempts)),
            ("Customer", payment.customer),
            ("Merchant", payment.merchant),
            ("Reference", payment.reference or formats.NONE),
            ("Description", payment.description or formats.NONE),
            ("Created", look.shown(payment.created_at)),
        ]

    def judged(self) -> Facts:
        """Why it is held."""
        risk = self.payment.risk
        if risk is None:
            return [("Verdict", "It was not judged.")]
        return [
            ("Reasons", self.review.why() or formats.NONE),
            ("Outcome", risk.outcome),
            ("Score", formats.NONE if risk.score is None else f"{risk.score:.2f}"),
            ("Expected loss", self.review.loss()),
            ("Decided by", words(risk.source) or formats.NONE),
            ("Model", risk.model or formats.NONE),
            ("Waited", formats.millis(risk.waited_ms)),
            ("Issuer", "not asked yet" if risk.hold == "unsent" else "asked; the money is reserved"),
        ]

    def history(self, look: Look) -> list[HistoryLine]:
        """Events and calls, in the order of their times, by the clock of the look."""
        told = [(event.recorded_at, words(event.type), "") for event in self.events]
        called = [
            (call.created_at, f"{call.kind} at {processor_name(call.processor)}", _note(call))
            for call in self.operations
        ]
        lines = sorted(told + called, key=lambda line: line[0])
        return [HistoryLine(look.shown(at), what, note) for at, what, note in lines]


def read_case(api: Api, review_id: str) -> Case:
    """The case of this id, which may be any text. Raises as `Api.get`."""
    review: ShownReview = api.get(chooser.at("/v1/reviews", review_id), ShownReview)
    path = chooser.at("/v1/payments", review.payment)
    payment: CasePayment = api.get(path, CasePayment)
    return Case(
        review,
        payment,
        _all(api, f"{path}/events", CaseEvent),
        _all(api, f"{path}/operations", CaseOperation),
    )


def _all(api: Api, path: str, kind: Any) -> list[Any]:
    return list(api.get(path, Found[kind], limit=100).data)


def _note(call: CaseOperation) -> str:
    took = "" if call.milliseconds is None else formats.millis(call.milliseconds)
    return ", ".join(filter(None, [call.status, words(call.decline_code), took]))
