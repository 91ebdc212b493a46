"""What a payment went through, by its operations: how its history is told once its events are no longer kept.

Pure. Its events say more, and are kept for as long as the outbox is (docs/decisions/0026).
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import assert_never

import msgspec

from gateway.books.operations import Operation
from gateway.books.payments import PaymentRow
from schemas.states import PaymentState


class PastState(msgspec.Struct, frozen=True):
    """A state that a payment came to at `at` (microseconds UTC); `previous` is None of the first."""

    state: PaymentState
    previous: PaymentState | None
    at: int


def past_states(payment: PaymentRow, operations: Iterable[Operation]) -> list[PastState]:
    """The states of a payment in order, the present one last."""
    states: list[tuple[PaymentState, int]] = [("processing", payment.created_at)]
    if payment.risk_outcome == "review":  # at once, whether its issuer was asked before or after
        states.append(("in_review", payment.created_at))
    ended = [(o.finished_at, o) for o in operations if o.status == "succeeded" and o.finished_at is not None]
    for at, operation in sorted(ended, key=lambda pair: pair[0]):
        state = _state_after(payment, operation, states[-1][0])
        if state != states[-1][0] or state == "partially_captured":
            states.append((state, at))
    if payment.state != states[-1][0]:
        states.append((payment.state, payment.updated_at))
    return list(_with_previous(states))


def _with_previous(states: list[tuple[PaymentState, int]]) -> Iterator[PastState]:
    first, at = states[0]
    yield PastState(first, None, at)
    for (previous, _), (state, later) in pairwise(states):
        yield PastState(state, previous, later)


def _state_after(payment: PaymentRow, operation: Operation, before: PaymentState) -> PaymentState:
    """The state in which an operation that succeeded left the payment."""
    if before in ("captured", "voided", "declined", "failed"):
        return before
    match operation.kind:
        case "order":
            return "requires_action"
        case "authorize":
            return "in_review" if before == "in_review" and not payment.is_unsent() else "authorized"
        case "sale":
            return "captured"
        case "capture":
            return "captured" if operation.final else "partially_captured"
        case "void":
            return "captured" if before == "partially_captured" else "voided"
        case "refund" | "reversal":  # a reversal takes back a call whose end nobody told us
            return before
        case _:
            assert_never(operation.kind)
