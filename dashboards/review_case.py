"""One case of the reviews as the gateway tells of it: its payment, why it is held, what happened to it."""

from datetime import datetime
from typing import Literal

import msgspec

from dashboards import chooser, formats
from dashboards.gateway_calls import Api
from dashboards.look import Look
from dashboards.payment_reading import OPEN, ListedPayment, PastEvent, ProcessorCall, read_calls, read_events
from dashboards.wording import listed, processor_name, words

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


class HistoryLine(msgspec.Struct, frozen=True):
    """An event, or a call to a processor, as it is shown."""

    time: str
    what: str
    note: str


class Case(msgspec.Struct, frozen=True):
    """All that is known of a case."""

    review: ShownReview
    payment: ListedPayment
    events: list[PastEvent]
    calls: list[ProcessorCall]

    def waits_for_processor(self) -> bool:
        """Whether a call to the processor is open, so that the decision is not carried out yet."""
        return any(call.status in OPEN for call in self.calls)

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
            ("Would have passed", risk.passing() or "with no amount that is known"),
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
            for call in self.calls
        ]
        lines = sorted(told + called, key=lambda line: line[0])
        return [HistoryLine(look.shown(at), what, note) for at, what, note in lines]


def read_case(api: Api, review_id: str) -> Case:
    """The case of this id, which may be any text. Raises as `Api.get`."""
    review: ShownReview = api.get(chooser.at("/v1/reviews", review_id), ShownReview)
    path = chooser.at("/v1/payments", review.payment)
    payment: ListedPayment = api.get(path, ListedPayment)
    return Case(review, payment, read_events(api, path), read_calls(api, path))


def _note(call: ProcessorCall) -> str:
    took = "" if call.milliseconds is None else formats.millis(call.milliseconds)
    return ", ".join(filter(None, [call.status, words(call.decline_code), took]))
