"""What a payment went through, by its operations: how its history is told once its events are no longer kept.

Pure. Its events say more, and are kept for as long as the outbox is (docs/decisions/0026).
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import assert_never

import msgspec

from connectors.processors.registry import CAPABILITIES
from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from gateway.payments.changes import standing
from schemas.states import STATUS, PaymentState


class PastState(msgspec.Struct, frozen=True):
    """A state that a payment came to at `at` (microseconds UTC); `previous` is None of the first."""

    state: PaymentState
    previous: PaymentState | None
    at: int


def past_states(payment: PaymentRow, operations: Iterable[Operation]) -> list[PastState]:
    """The states of a payment in order, the present one last. `operations`: all it had, the oldest first."""
    order, led_on = _led_on(payment, operations)
    states = _until_sent(payment, order, led_on[0].created_at if led_on else payment.updated_at)
    taken = 0
    for operation in led_on:
        is_capture = operation.kind == "capture"
        if is_capture and states[-1][0] == "in_review":  # a person let it through
            states.append(("authorized", operation.created_at))
        taken += operation.amount if is_capture else 0
        state = _state_after(payment, operation, taken, states[-1][0])
        if state != states[-1][0] or (is_capture and state == "partially_captured"):
            states.append((state, _ended_at(operation)))
    if payment.state != states[-1][0]:
        states.append((payment.state, payment.updated_at))
    return list(_with_previous(states))


def _led_on(payment: PaymentRow, operations: Iterable[Operation]) -> tuple[Operation | None, list[Operation]]:
    """Its order, and the operations that led it on.

    Another processor's approval came too late, and so does any of a payment that failed. What was taken back led
    nowhere.
    """
    here = [o for o in standing(operations) if o.processor == payment.processor]
    order = next((o for o in here if o.kind == "order"), None)
    return order, [o for o in here if o.kind != "order" and payment.state != "failed"]


def _until_sent(payment: PaymentRow, order: Operation | None, sent_at: int) -> list[tuple[PaymentState, int]]:
    """The states before an issuer is asked. When its payer approved is told by no operation: by `sent_at`."""
    states: list[tuple[PaymentState, int]] = [("processing", payment.created_at)]
    if order is not None:
        states.append(("requires_action", _ended_at(order)))
        if payment.risk_outcome is not None:  # it is judged when its payer has approved
            states.append(("processing", sent_at))
    if payment.is_unsent():
        states.append(("in_review", states[-1][1]))
    return states


def _ended_at(operation: Operation) -> int:
    assert operation.finished_at is not None, "what succeeded has ended"
    return operation.finished_at


def _with_previous(states: list[tuple[PaymentState, int]]) -> Iterator[PastState]:
    first, at = states[0]
    yield PastState(first, None, at)
    for (previous, _), (state, later) in pairwise(states):
        yield PastState(state, previous, later)


def _state_after(payment: PaymentRow, operation: Operation, taken: int, before: PaymentState) -> PaymentState:
    """The state in which a success left the payment. `taken`: what was captured by then, in minor units."""
    if STATUS[before] == "failed" or before == "captured":
        return before
    match operation.kind:
        case "authorize":
            held = payment.risk_outcome == "review" and not payment.is_unsent()
            return "in_review" if held else "authorized"
        case "sale":
            return "captured"
        case "capture":
            releases = operation.final and CAPABILITIES[operation.processor].final_capture_releases
            return "captured" if releases or taken == payment.amount else "partially_captured"
        case "void":  # nothing is held any more: it has ended
            return payment.state
        case "order" | "refund" | "reversal":  # a reversal takes back a call whose end nobody told us
            return before
        case _:
            assert_never(operation.kind)
