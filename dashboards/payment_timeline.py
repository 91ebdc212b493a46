"""What happened to a payment, in the order of time: its events, calls to processors, refunds and reviews."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from connectors.warehouse import Table
from dashboards import formats, staff
from dashboards.look import Look
from dashboards.payment_reading import ProcessorCall, ShownRefund, WholePayment
from dashboards.tables import Tone
from dashboards.wording import listed, processor_name, state_words, words

EVENTS = {
    "payment.initiated": "Asked for",
    "payment.requires_action": "Waits for the payer",
    "payment.approved": "Approved by the payer",
    "payment.in_review": "Held for a person",
    "payment.authorized": "Reserved",
    "payment.partially_captured": "Captured in part",
    "payment.captured": "Captured",
    "payment.voided": "Let go",
    "payment.declined": "Declined",
    "payment.failed": "Failed",
    "payment.unknown": "No answer: its end is being asked for",
    "payment.capture_declined": "The capture was refused",
    "payment.void_declined": "The void was refused",
    "refund.succeeded": "Refunded",
    "refund.failed": "The refund was refused",
    "transaction_completed": "The client was told",
}
TOLD_BY_OTHERS = frozenset({"refund.pending"})  # by the refund, which also says how much
KINDS = {"order": "Order", "authorize": "Authorization", "sale": "Sale", "capture": "Capture", "void": "Void"}
KINDS |= {"refund": "Refund", "reversal": "Reversal"}
ROUTED = {"named": "named by the client", "first_choice": "first choice", "failover": "the one before failed"}
CHOSEN = frozenset({"order", "authorize", "sale"})  # what follows goes where these went
TONES: dict[str, Tone] = {"succeeded": "succeeded", "sending": "pending", "unknown": "pending"}
DECIDED = {"approve": "Let through", "reject": "Rejected"}


class TimelineLine(msgspec.Struct, frozen=True):
    """One thing that happened. `words` are a processor's own, `source` says whose line it is."""

    at: datetime
    time: str
    source: str
    what: str
    state: str = ""
    tone: Tone = ""
    note: str = ""
    words: str = ""
    href: str = ""


def timeline(whole: WholePayment, reviews: Table | None, look: Look) -> list[TimelineLine]:
    """All lines, oldest first. `reviews`: as the tile about them has it; None where the warehouse is away."""
    lines = [*_events(whole, look), *_refunds(whole, look), *_reviews(reviews, look)]
    lines += [_call(call, look) for call in whole.calls]
    return sorted(lines, key=lambda line: line.at)


def _time(look: Look, at: datetime) -> str:
    return f"{look.shown(at)}.{at.microsecond // 1000:03}"


def _events(whole: WholePayment, look: Look) -> Iterator[TimelineLine]:
    for event in whole.events:
        if event.type not in TOLD_BY_OTHERS:
            what = EVENTS.get(event.type, words(event.type))
            time, state = _time(look, event.recorded_at), state_words(event.state)
            shown = state if state != what else ""  # nothing is said twice
            yield TimelineLine(event.recorded_at, time, "event", what, shown, event.status)


def _refunds(whole: WholePayment, look: Look) -> Iterator[TimelineLine]:
    for refund in whole.refunds:
        what = f"Refund of {formats.amount(refund.amount, refund.currency)} {refund.currency}"
        note, time = _why(refund), _time(look, refund.created_at)
        yield TimelineLine(
            refund.created_at, time, "refund", what, refund.status, refund.status, note, words=refund.id
        )


def _why(refund: ShownRefund) -> str:
    return " · ".join(filter(None, [refund.reason, words(refund.decline_code)]))


def _reviews(reviews: Table | None, look: Look) -> Iterator[TimelineLine]:
    for review in reviews.by_name() if reviews else ():
        href, reasons = f"reviews?review={review['id']}", listed(review["reasons"])
        opened = review["opened_at"]
        what = "Review opened" if review["kind"] == "held" else "Review opened: the block came late"
        yield TimelineLine(opened, _time(look, opened), "review", what, note=reasons, href=href)
        if ended := review["decided_at"]:
            by = f"by {staff.named(review['decided_by'])}" if review["decided_by"] else "by itself"
            done = DECIDED.get(review["decision"], "Ended")
            yield TimelineLine(ended, _time(look, ended), "review", f"Review: {done}", note=by, href=href)


def _call(call: ProcessorCall, look: Look) -> TimelineLine:
    what = f"{KINDS.get(call.kind, call.kind)} at {processor_name(call.processor)}"
    amount = formats.money(call.amount, call.currency)
    took = "open" if call.milliseconds is None else formats.millis(call.milliseconds)
    parts = [amount, took, words(call.decline_code), call.pending_reason]
    routed = ROUTED.get(call.routing_reason) if call.kind in CHOSEN else ""
    parts += [routed, f"asked by {staff.named(call.requested_by)}" if call.requested_by else ""]
    if call.asked_again_at:
        parts.append(f"asked again at {look.local(call.asked_again_at):%H:%M:%S}")
    return TimelineLine(
        call.created_at,
        _time(look, call.created_at),
        "processor",
        what,
        "no answer" if call.status == "unknown" else call.status,
        TONES.get(call.status, "failed"),
        " · ".join(filter(None, parts)),
        _own_words(call),
    )


def _own_words(call: ProcessorCall) -> str:
    reference = f"reference {call.processor_reference}" if call.processor_reference else ""
    return " · ".join(filter(None, [call.detail, reference, f"request {call.id}"]))
