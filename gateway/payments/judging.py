"""The second commit of a payment: the verdict as applied, or the stand-in's, and the first operation to send."""

import msgspec
from sqlalchemy import Connection

from gateway.books.caps import give_back, spend
from gateway.books.operations import select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.verdicts import insert_stand_in, insert_verdict
from gateway.payments.effect import Effect, Follow, following
from gateway.payments.outcome import Step, proceed
from gateway.payments.routing import candidates
from gateway.payments.terms import Terms
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk
from schemas.times import from_micros, now_micros


def judge(conn: Connection, terms: Terms, payment: str, verdict: Verdict | None, waited_ms: float) -> Step:
    """Apply the flow's verdict, or let the stand-in rules decide where there is none.

    A payment that was judged before is left as it is: it is never judged, and never sent, a second time.
    """
    before = existing_payment(conn, payment)
    if before.recovery_point not in ("received", "approved") or before.state != "processing":
        return Step(before)
    risk = _applied(conn, terms, before, verdict, waited_ms)
    judged = msgspec.structs.replace(before, risk=msgspec.json.encode(risk).decode(), risk_outcome=risk.outcome)
    return proceed(conn, terms, before, _effect(conn, judged))


def _applied(
    conn: Connection, terms: Terms, payment: PaymentRow, verdict: Verdict | None, waited_ms: float
) -> AppliedRisk:
    if verdict is not None:
        insert_verdict(conn, verdict, applied=True)
        model = verdict.model
        return AppliedRisk(
            verdict.outcome, verdict.source, verdict.score, verdict.reasons, model, round(waited_ms, 3)
        )
    allowed = _spend_caps(conn, terms, payment)
    insert_stand_in(conn, payment.id, "allow" if allowed else "review", now_micros())
    if allowed:
        return AppliedRisk("allow", "stand_in")
    return AppliedRisk("review", "stand_in", reasons=["stand_in_cap"])


def _spend_caps(conn: Connection, terms: Terms, payment: PaymentRow) -> bool:
    day = from_micros(payment.created_at).date()
    currency, amount = payment.currency, payment.amount
    if not spend(conn, payment.stream_key, currency, day, amount, terms.card_cap):
        return False
    if spend(conn, payment.merchant, currency, day, amount, terms.merchant_cap):
        return True
    give_back(conn, payment.stream_key, currency, day, amount)
    return False


def _effect(conn: Connection, judged: PaymentRow) -> Effect:
    if judged.risk_outcome == "block":
        return Effect(msgspec.structs.replace(judged, state="declined", decline_code="blocked"))
    if judged.method == "paypal":
        order, *_ = select_operations(conn, judged.id)
        return Effect(judged, following("authorize", order))
    at_once = judged.capture == "automatic" and judged.risk_outcome != "review"
    return Effect(judged, Follow("sale" if at_once else "authorize", candidates(judged)[0]))
