"""What an answer makes of an operation and its payment, without books or clock."""

from typing import Any, get_args

import pytest

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation, OperationKind
from gateway.books.payments import PaymentRow
from gateway.payments.consequences import close, consequence
from gateway.payments.terms import Terms
from schemas.states import STATES, PaymentState, can_become

TERMS = Terms("wrk", 15, 10, 60, (100, 500), 1, 1)
SENT_AT = 1000
KINDS: tuple[OperationKind, ...] = get_args(OperationKind)
SAID: tuple[CallResult, ...] = get_args(CallResult)


def payment(state: PaymentState = "processing", **given: Any) -> PaymentRow:
    return PaymentRow(
        id="pay",
        stream_key="fp",
        customer="acc_c",
        merchant="acc_m",
        amount=500,
        currency="EUR",
        method="card",
        brand="visa",
        occurred_at=0,
        created_at=0,
        updated_at=0,
        state=state,
        **({"capture": "automatic", "viewer": "customer", "attempts": 1} | given),
    )


def operation(kind: OperationKind, **given: Any) -> Operation:
    usual: dict[str, Any] = {"id": "op", "status": "sending", "amount": 500, "of": "op_before"} | given
    return Operation(
        payment="pay", attempt="att", processor="visa", kind=kind, currency="EUR", created_at=SENT_AT, **usual
    )


@pytest.mark.parametrize(("now", "due"), [(SENT_AT, 1070), (SENT_AT + 10, 1070), (SENT_AT + 500, 1560)])
def test_the_window_begins_at_the_end_of_the_calls_timeout(now: int, due: int) -> None:
    closed = close(operation("sale"), Answer("unknown"), payment(), TERMS, now)
    assert closed is not None
    assert (closed.status, closed.lease_until, closed.finished_at) == ("unknown", due, None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_given_up_and_can_still_take_money_is_watched(kind: OperationKind) -> None:
    closed = close(operation(kind, status="unknown"), Answer("not_found"), payment("authorized"), TERMS, SENT_AT)
    assert closed is not None
    assert closed.lease_until == (SENT_AT + 100 if kind in ("authorize", "sale", "capture") else None)


@pytest.mark.parametrize("said", ["declined", "failed"])
def test_a_no_to_what_has_to_be_taken_back_is_asked_again(said: CallResult) -> None:
    for kind, state, status in (
        ("reversal", "authorized", "unknown"),
        ("void", "failed", "unknown"),
        ("void", "authorized", said),
    ):
        closed = close(operation(kind), Answer(said), payment(state), TERMS, SENT_AT)  # type: ignore[arg-type]
        assert closed is not None
        assert closed.status == status


@pytest.mark.parametrize("before", ["succeeded", "declined", "failed"])
@pytest.mark.parametrize("said", SAID)
def test_after_its_end_only_an_approval_of_what_failed_counts(before: str, said: CallResult) -> None:
    closed = close(operation("sale", status=before), Answer(said), payment("failed"), TERMS, SENT_AT)
    assert (closed is not None) == (before == "failed" and said == "succeeded")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", SAID)
def test_no_answer_makes_an_impossible_change(kind: OperationKind, said: CallResult, state: PaymentState) -> None:
    """An answer may come at any time: recovery, a frozen worker and a watch all bring them late."""
    before, row = operation(kind), payment(state)
    closed = close(before, Answer(said), row, TERMS, SENT_AT)
    assert closed is not None
    for undone in (operation("sale", id="op_before", status="succeeded"), operation("capture", id="op_before")):
        after = consequence(row, closed, undone, [], Answer(said)).payment
        assert after.state == state or can_become(state, after.state), f"{state} -> {after.state}"


@pytest.mark.parametrize("state", sorted(set(STATES) - {"processing", "unknown"}))
@pytest.mark.parametrize("kind", ["authorize", "sale"])
def test_an_approval_nobody_waits_for_is_voided(kind: OperationKind, state: PaymentState) -> None:
    effect = consequence(payment(state), operation(kind, status="succeeded"), None, [], Answer("succeeded"))
    assert effect.payment.state == state
    assert effect.follow is not None
    assert (effect.follow.kind, effect.follow.of) == ("void", "op")


@pytest.mark.parametrize("state", ["captured", "voided", "authorized"])
def test_a_capture_that_is_not_wanted_any_more_is_taken_back(state: PaymentState) -> None:
    late = operation("capture", status="succeeded")
    other = [operation("void", id="op_other")] if state == "authorized" else []
    effect = consequence(payment(state), late, None, other, Answer("succeeded"))
    assert effect.payment.state == state
    assert effect.follow is not None
    assert (effect.follow.kind, effect.follow.of, effect.follow.amount) == ("reversal", late.id, 500)
