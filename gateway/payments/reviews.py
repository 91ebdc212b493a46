"""What people say about a payment: the decision of a review, and labels that the fraud model learns from."""

from typing import assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books.assignments import renew
from gateway.books.audit import Act, record
from gateway.books.idempotency import JSON, IdempotentAnswer, KeyedRequest, store_answer
from gateway.books.outbox import add_event
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.reviews import Review, select_undecided
from gateway.books.stops import stops_met
from gateway.books.verdicts import select_scored
from gateway.payments.captures import WrongState, authorization
from gateway.payments.changes import Effect, capture_at_once, change_of, following
from gateway.payments.commit import Committed, claim_for, commit
from gateway.payments.held import end_review
from gateway.payments.late_blocks import decide_late
from gateway.payments.lifecycle import first_operation
from gateway.payments.routing import first_processor, needs_approval
from gateway.policy import Policy
from schemas.fraud import Label, LabelValue
from schemas.payments import ProcessorName
from schemas.reviews import ReviewOutcome
from schemas.times import from_micros, now_micros
from schemas.topics import LABELS

EXPIRED = "expired"  # the reason of a decision that nobody took
LABEL_OF: dict[ReviewOutcome, LabelValue] = {"approve": "good", "reject": "fraud"}


class Decision(msgspec.Struct, frozen=True):
    """What a person decides about a review. `shown`: the body of the answer, which nothing changes any more."""

    review: Review
    outcome: ReviewOutcome
    reason: str
    decided_by: str
    shown: bytes


def begin_decision(
    conn: Connection, policy: Policy, request: KeyedRequest | None, decision: Decision
) -> Committed | IdempotentAnswer:
    """One commit: the key, the decision, the case, its label, and the operation that carries it out.

    approve → `authorized`, then the capture unless the merchant captures; reject → held until it is voided. Where
    the issuer was not asked yet: approve asks it now, reject voids at once. Of one that was taken before its block
    came, `late_blocks` tells. None: a request without a key. What else they have taken stays theirs for longer.
    Raises `WrongState` where it was decided before, by another request, `Assigned` where a colleague has taken it,
    `OperationOpen` where another operation is open, and `SalesStopped` where the issuer would be asked now and
    each processor is stopped: the review stays open.
    """
    payment_id = decision.review.payment_id
    if request is not None:
        claimed = claim_for(conn, policy, request, payment_id, body=decision.shown)
        if isinstance(claimed, IdempotentAnswer):
            return claimed
    step = _decide(conn, policy, decision)
    renew(conn, decision.decided_by)
    if request is None or step.to_send is not None or step.answer_to(request) is not None:
        return step
    answer = IdempotentAnswer(200, decision.shown, JSON)  # nothing changed that would have answered it
    store_answer(conn, request, answer)
    return msgspec.structs.replace(step, answers={(request.account_id, request.key): answer})


def _decide(conn: Connection, policy: Policy, decision: Decision) -> Committed:
    review, outcome = decision.review, decision.outcome
    payment, by = existing_payment(conn, review.payment_id), decision.decided_by
    if not end_review(conn, payment, review.id, outcome, decision.reason, by, now_micros()):
        raise WrongState
    decided = {"decision": outcome, "payment": review.payment_id}
    record(conn, Act("review_decided", by, review.id, decided))
    add_label(conn, payment, LABEL_OF[outcome], "review")
    if review.kind == "late":
        return decide_late(conn, policy, payment, outcome)
    effect = _of_unsent(conn, payment, outcome) if payment.is_unsent() else _of_held(conn, payment, outcome)
    return commit(conn, policy, change_of(payment, effect, policy, now_micros()))


def _of_held(conn: Connection, payment: PaymentRow, decision: ReviewOutcome) -> Effect:
    held = authorization(conn, payment.id)
    match decision:
        case "approve":
            released = msgspec.structs.replace(payment, state="authorized")
            return Effect(released, capture_at_once(payment, held))
        case "reject":
            return Effect(payment, following("void", held))
        case _:
            assert_never(decision)


def _of_unsent(conn: Connection, payment: PaymentRow, decision: ReviewOutcome) -> Effect:
    match decision:
        case "approve":  # held until the issuer answers; the CVC is gone
            first = None if needs_approval(payment) else _open_processor(conn, payment)
            return Effect(payment, first_operation(conn, payment, first, at_once=payment.capture == "automatic"))
        case "reject":
            return Effect(msgspec.structs.replace(payment, state="voided"))
        case _:
            assert_never(decision)


def _open_processor(conn: Connection, payment: PaymentRow) -> ProcessorName:
    return first_processor(payment, stops_met(conn, payment.merchant_id))


def expire_review(conn: Connection, policy: Policy, payment: PaymentRow) -> None:
    """Void a payment whose issuer was not asked and whose reviewer did not decide in time; it is no label."""
    review_id, now = select_undecided(conn, payment.id), now_micros()
    if review_id is not None and end_review(conn, payment, review_id, "reject", EXPIRED, None, now):
        voided = msgspec.structs.replace(payment, state="voided")
        commit(conn, policy, change_of(payment, Effect(voided), policy, now))


def add_label(conn: Connection, payment: PaymentRow, label: LabelValue, source: str) -> Label:
    """Write the event of a label, with the features the payment was judged by, where it was learned."""
    scored = select_scored(conn, payment.id)
    now = max(now_micros(), payment.occurred_at)  # the clock may have been set back since
    data = Label(
        payment=payment.id,
        instrument=payment.stream_key,
        merchant=payment.merchant_id,
        label=label,
        source=source,
        amount=payment.amount,
        currency=payment.currency,
        features=scored.features,
        score=scored.score,
        model=scored.model,
        occurred_at=from_micros(payment.occurred_at),
        recorded_at=from_micros(now),
        customer=payment.customer_id,
        bin=payment.bin,
        ip_hash=payment.ip_hash,
        ip_network_hash=payment.ip_network_hash,
        device_hash=payment.device_hash,
        email_domain_hash=payment.email_domain_hash,
    )
    add_event(
        conn,
        topic=LABELS.name,
        key=payment.stream_key,
        type="label.recorded",
        subject_id=payment.id,
        sequence=None,
        data=data,
        traceparent=payment.traceparent,
        now=now,
    )
    return data
