"""What people decide about a payment that waits for them; the fraud model learns from it."""

from typing import assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books.assignments import renew
from gateway.books.audit import Act, record
from gateway.books.idempotency import JSON, IdempotentAnswer, KeyedRequest, store_answer
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.reviews import Review, select_undecided
from gateway.books.stops import stops_met
from gateway.payments.captures import WrongState, authorization
from gateway.payments.changes import Effect, capture_at_once, change_of, following
from gateway.payments.commit import Committed, claim_for, commit
from gateway.payments.held import end_review
from gateway.payments.labels import LabelAsked, take_label
from gateway.payments.late_blocks import decide_late
from gateway.payments.lifecycle import first_operation
from gateway.payments.routing import first_processor, needs_approval
from gateway.policy import Policy
from schemas.fraud import LabelValue
from schemas.payments import ProcessorName
from schemas.reviews import ReviewOutcome
from schemas.times import now_micros

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
    take_label(conn, policy, LabelAsked(payment, LABEL_OF[outcome], "review", by, bounded=False))
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
