"""The life of one payment, top-down: three commits, each a named recovery point.

received  the key is claimed, payment and `payment.initiated` are written; nothing was sent
judged    the verdict is applied, and the operation about to be sent is written
finished  the processor's answer is applied, the money posted, the client's answer stored

At a processor whose payer approves on its own page, an order is sent first, before any verdict; its payment is
`finished` until the payer is back. `approved` is the point from which it goes on to `judged`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import assert_never

import msgspec
from sqlalchemy import Connection

from gateway.books.engine import Outdated
from gateway.books.list_entries import count_hit
from gateway.books.operations import select_operation, select_operations
from gateway.books.payments import PaymentRow, existing_payment
from gateway.books.rules import count_hits
from gateway.books.verdicts import insert_verdict
from gateway.payments.changes import Effect, NextOperation, change_of, following
from gateway.payments.commit import Committed, apply, apply_to, commit
from gateway.payments.processor_calls import send
from gateway.payments.routing import candidates, needs_approval
from gateway.payments.stand_in import block_by_list, stand_in, would_decline
from gateway.policy import Policy
from gateway.runtime import Runtime
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk, ProcessorName
from schemas.times import now_micros


async def advance(
    runtime: Runtime, payment: PaymentRow, cvc: str | None, first: ProcessorName | None = None
) -> Committed:
    """Go on from the recovery point of a payment whose lease is ours, until it rests.

    `first`: the processor to ask first; None: the one that has its order, else by capability.
    """
    match payment.recovery_point:
        case "received" if needs_approval(payment):
            step = await runtime.books.write(open_order, runtime.policy, payment.id)
        case "received" | "approved":
            return await _judge_and_send(runtime, payment, cvc, first or candidates(payment)[0])
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
    """Write the operation that opens an order; the payment is judged once its payer has approved it.

    Nobody is sent to approve what a block entry names: it is declined at once.
    """
    before = existing_payment(conn, payment_id)
    if before.recovery_point != "received" or before.state != "processing":
        return Committed(before)
    if risk := block_by_list(conn, before):
        effect = _judged(conn, _with_risk(before, risk), risk, None)
        return commit(conn, policy, change_of(before, effect, policy, now_micros()))
    order = NextOperation("order", candidates(before)[0])
    return commit(conn, policy, change_of(before, Effect(before, order), policy, now_micros()))


async def _judge_and_send(
    runtime: Runtime, payment: PaymentRow, cvc: str | None, first: ProcessorName
) -> Committed:
    asked = perf_counter()
    verdict = await runtime.verdicts.wait(payment, runtime.settings.verdict_budget_ms / 1000)
    told = perf_counter()
    waited_s = told - asked
    runtime.verdict_metrics.observe(waited_s, is_told=verdict is not None)

    def judging() -> Awaitable[Committed]:
        return runtime.books.write(judge, runtime.policy, payment.id, verdict, waited_s * 1000, first)

    if await _will_block(runtime, payment, verdict):
        return await _as_slow_as_an_issuer(runtime, runtime.decline_times.pause(first, waited_s), judging)
    step = await judging()
    done = await execute(runtime, step, cvc)
    if step.to_send is not None:
        declined = done.payment.state == "declined"
        runtime.decline_times.note(first, waited_s, perf_counter() - told, declined=declined)
    return done


async def _will_block(runtime: Runtime, payment: PaymentRow, verdict: Verdict | None) -> bool:
    if verdict is not None:
        return verdict.outcome == "block"
    return await runtime.books.read(would_decline, payment)


async def _as_slow_as_an_issuer(
    runtime: Runtime, pause_s: float, decline: Callable[[], Awaitable[Committed]]
) -> Committed:
    """Commit a decline of our own when an issuer's would be, within the payment's lease."""
    began = perf_counter()
    pause_s = min(pause_s, runtime.settings.lease_s - runtime.settings.call_timeout_s)
    await asyncio.sleep(pause_s)
    done = await decline()
    runtime.decline_times.note_overrun(perf_counter() - began - pause_s)
    return done


def judge(
    conn: Connection,
    policy: Policy,
    payment_id: str,
    verdict: Verdict | None,
    waited_ms: float,
    first: ProcessorName | None = None,
) -> Committed:
    """Commit `judged`: apply the flow's verdict, or let the stand-in rules decide where there is none.

    `first`: as in `advance`; what was stopped since the payment came changes nothing for it. A payment that was
    judged before is left as it is: it is never judged, and never sent, a second time.
    """
    before = existing_payment(conn, payment_id)
    if before.recovery_point not in ("received", "approved") or before.state != "processing":
        return Committed(before)
    risk = _apply_verdict(conn, before, verdict, waited_ms) if verdict else stand_in(conn, policy, before)
    effect = _judged(conn, _with_risk(before, risk), risk, first)
    return commit(conn, policy, change_of(before, effect, policy, now_micros()))


def _with_risk(payment: PaymentRow, risk: AppliedRisk) -> PaymentRow:
    return msgspec.structs.replace(payment, risk=msgspec.json.encode(risk).decode(), risk_outcome=risk.outcome)


def _apply_verdict(conn: Connection, payment: PaymentRow, verdict: Verdict, waited_ms: float) -> AppliedRisk:
    insert_verdict(conn, verdict)
    if verdict.listed is not None:
        count_hit(conn, verdict.listed)
    count_hits(conn, verdict.rules_met, "live", payment.amount, payment.currency)
    count_hits(conn, verdict.shadow_met, "shadow", payment.amount, payment.currency)
    v, waited = verdict, round(waited_ms, 3)
    return AppliedRisk(v.outcome, v.source, v.score, v.reasons, v.model, waited, v.hold, v.counterfactual)


def _judged(conn: Connection, judged: PaymentRow, risk: AppliedRisk, first: ProcessorName | None) -> Effect:
    """What a verdict leads to: a decline, a review, or the operation that reserves or takes the money."""
    match risk.outcome:
        case "block":
            return Effect(msgspec.structs.replace(judged, state="declined", decline_code="blocked"))
        case "review" if risk.hold == "unsent":
            return Effect(msgspec.structs.replace(judged, state="in_review"))
        case "review":  # held for a person once the money is reserved
            at_once = False
        case "allow" | "flag":
            at_once = judged.capture == "automatic"
        case _:
            assert_never(risk.outcome)
    return Effect(judged, first_operation(conn, judged, first, at_once=at_once))


def first_operation(
    conn: Connection, payment: PaymentRow, first: ProcessorName | None, *, at_once: bool
) -> NextOperation:
    """The first operation of a payment at its issuer, by the processor `first` (None: by capability).

    `at_once`: it takes the money too, where one call can.
    """
    if needs_approval(payment):
        order, *_ = select_operations(conn, payment.id)
        return following("authorize", order)
    return NextOperation("sale" if at_once else "authorize", first or candidates(payment)[0])
