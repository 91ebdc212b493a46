"""The life of one payment, top-down: three commits, each a named recovery point.

received  the key is claimed, payment and `payment.initiated` are written; nothing was sent
judged    the verdict is applied, and the operation about to be sent is written
finished  the processor's answer is applied, the money posted, the client's answer stored

At a processor whose payer approves on its own page, an order is sent first, before any verdict; its payment is
`finished` until the payer is back. `approved` is the point from which it goes on to `judged`.
"""

from time import perf_counter
from typing import assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import Outdated
from gateway.books.operations import select_operation, select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.verdicts import insert_verdict
from gateway.payments.changes import Effect, NextOperation, change_of, following
from gateway.payments.commit import Committed, apply, apply_to, commit
from gateway.payments.processor_calls import send
from gateway.payments.routing import candidates, needs_approval
from gateway.payments.stand_in import stand_in
from gateway.policy import Policy
from gateway.runtime import Runtime
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk
from schemas.times import now_micros


async def advance(runtime: Runtime, payment: PaymentRow, cvc: str | None) -> Committed:
    """Go on from the recovery point of a payment whose lease is ours, until it rests."""
    match payment.recovery_point:
        case "received" if needs_approval(payment):
            step = await runtime.books.write(open_order, runtime.policy, payment.id)
        case "received" | "approved":
            step = await _await_verdict(runtime, payment)
        case "judged" | "finished":  # its operations are asked for, never sent again
            return Committed(payment)
        case _:
            assert_never(payment.recovery_point)
    return await execute(runtime, step, cvc)


async def execute(runtime: Runtime, step: Committed, cvc: str | None = None) -> Committed:
    """Send what a commit left to send, apply the answer, and again, until nothing is left to send."""
    while step.to_send is not None:
        operation = step.to_send
        parent = None
        if operation.parent_id:
            parent = await runtime.books.read(select_operation, operation.parent_id)
        answer = await send(runtime, step.payment, operation, parent, cvc)
        try:
            step = await runtime.books.write(apply_to, runtime.policy, step.payment, operation, answer)
        except Outdated:  # recovery came to it meanwhile; an answer is never dropped
            step = await runtime.books.write(apply, runtime.policy, operation.id, answer)
    return step


def open_order(conn: Connection, policy: Policy, payment_id: str) -> Committed:
    """Write the operation that opens an order; the payment is judged once its payer has approved it."""
    before = existing_payment(conn, payment_id)
    if before.recovery_point != "received" or before.state != "processing":
        return Committed(before)
    order = NextOperation("order", candidates(before)[0])
    return commit(conn, policy, change_of(before, Effect(before, order), policy, now_micros()))


async def _await_verdict(runtime: Runtime, payment: PaymentRow) -> Committed:
    began = perf_counter()
    verdict = await runtime.verdicts.wait(payment, runtime.settings.verdict_budget_ms / 1000)
    waited_ms = (perf_counter() - began) * 1000
    return await runtime.books.write(judge, runtime.policy, payment.id, verdict, waited_ms)


def judge(
    conn: Connection, policy: Policy, payment_id: str, verdict: Verdict | None, waited_ms: float
) -> Committed:
    """Commit `judged`: apply the flow's verdict, or let the stand-in rules decide where there is none.

    A payment that was judged before is left as it is: it is never judged, and never sent, a second time.
    """
    before = existing_payment(conn, payment_id)
    if before.recovery_point not in ("received", "approved") or before.state != "processing":
        return Committed(before)
    risk = _apply_verdict(conn, verdict, waited_ms) if verdict else stand_in(conn, policy, before)
    judged = msgspec.structs.replace(before, risk=msgspec.json.encode(risk).decode(), risk_outcome=risk.outcome)
    return commit(conn, policy, change_of(before, _first_operation(conn, judged, risk), policy, now_micros()))


def _apply_verdict(conn: Connection, verdict: Verdict, waited_ms: float) -> AppliedRisk:
    insert_verdict(conn, verdict)
    waited_ms = round(waited_ms, 3)
    return AppliedRisk(verdict.outcome, verdict.source, verdict.score, verdict.reasons, verdict.model, waited_ms)


def _first_operation(conn: Connection, judged: PaymentRow, risk: AppliedRisk) -> Effect:
    """What a verdict leads to: a decline, or the operation that reserves or takes the money."""
    match risk.outcome:
        case "block":
            return Effect(msgspec.structs.replace(judged, state="declined", decline_code="blocked"))
        case "review":  # held for a person once the money is reserved
            at_once = False
        case "allow" | "flag":
            at_once = judged.capture == "automatic"
        case _:
            assert_never(risk.outcome)
    if needs_approval(judged):
        order, *_ = select_operations(conn, judged.id)
        return Effect(judged, following("authorize", order))
    return Effect(judged, NextOperation("sale" if at_once else "authorize", candidates(judged)[0]))
