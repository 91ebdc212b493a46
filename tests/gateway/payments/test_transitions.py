"""What a processor's answer makes of an operation and its payment, without books or clock."""

from itertools import product
from typing import Any, get_args

import pytest

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation
from gateway.payments.effects import Situation
from gateway.payments.transitions import close, settle, watched
from schemas.operations import OperationKind, OperationStatus
from schemas.states import STATES, can_become
from tests.gateway.payments.situations import NOW, POLICY, SENT_AT, answered, operation, payment

KINDS: tuple[OperationKind, ...] = get_args(OperationKind)
RESULTS: tuple[CallResult, ...] = get_args(CallResult)
GIVEN: list[dict[str, Any]] = [
    {},
    {"requested_by": "acc_m", "final": False},
    {"amount_captured": 200, "replaced": True},
    {"amount_captured": 400, "amount_refunded": 100, "other_open": (operation("void", id="op_other"),)},
]


def closed(before: Operation, result: CallResult, now: int = NOW) -> Operation:
    """An operation as an answer leaves it."""
    found = close(before, Answer(result), POLICY, now)
    assert found is not None
    return found


# --- the operation ------------------------------------------------------------------------------------------


def test_an_answer_is_kept_on_its_operation() -> None:
    answer = Answer("declined", "their-ref", "expired_card", "x" * 201)
    found = close(operation("sale"), answer, POLICY, NOW)
    assert found is not None
    assert (found.status, found.decline_code) == ("declined", "expired_card")
    assert found.processor_reference == "their-ref"
    assert (found.detail, found.lease_until, found.finished_at) == ("x" * 200, None, NOW)


def test_a_reference_once_told_is_not_forgotten() -> None:
    assert closed(operation("sale", processor_reference="told"), "unknown").processor_reference == "told"


@pytest.mark.parametrize(("now", "due"), [(SENT_AT, 1070), (SENT_AT + 10, 1070), (SENT_AT + 500, 1560)])
def test_the_window_begins_at_the_end_of_the_calls_timeout(now: int, due: int) -> None:
    found = closed(operation("sale"), "unknown", now=now)
    assert (found.status, found.lease_until, found.finished_at) == ("unknown", due, None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_given_up_and_can_still_move_money_is_watched(kind: OperationKind) -> None:
    found = closed(operation(kind, status="unknown"), "not_found")
    assert found.status == "failed"
    assert found.lease_until == (NOW + 100 if kind in ("authorize", "sale", "capture", "refund") else None)


@pytest.mark.parametrize(("checks", "result", "after"), [(0, "not_found", 1), (0, "unknown", 0), (1, "failed", 2)])
def test_a_watch_ends_with_its_last_look_and_silence_is_none(checks: int, result: CallResult, after: int) -> None:
    found = watched(operation("sale", status="failed", checks=checks), Answer(result), POLICY, NOW)
    assert (found.checks, found.lease_until) == (after, {0: NOW + 100, 1: NOW + 500}.get(after))


def test_silence_about_an_order_leaves_no_doubt() -> None:
    assert closed(operation("order"), "unknown").status == "failed"


@pytest.mark.parametrize("result", ["declined", "failed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_no_to_what_has_to_be_taken_back_is_asked_again(kind: OperationKind, result: CallResult) -> None:
    must_succeed = kind in ("void", "reversal")
    for amount in (500, 200):  # of all that is held, of a rest
        assert closed(operation(kind, amount=amount), result).status == ("unknown" if must_succeed else result)


@pytest.mark.parametrize("result", ["declined", "failed"])
def test_a_no_to_what_somebody_asked_for_ends_it(result: CallResult) -> None:
    assert closed(operation("void", requested_by="acc_m"), result).status == result
    assert closed(operation("reversal", requested_by="acc_m", amount=200), result).status == "unknown"


@pytest.mark.parametrize("status", get_args(OperationStatus))
@pytest.mark.parametrize("result", RESULTS)
def test_after_its_end_only_an_approval_of_what_failed_counts(status: OperationStatus, result: CallResult) -> None:
    found = Situation(payment("failed"), operation("sale", status=status))
    counts = status in ("sending", "unknown") or (status == "failed" and result == "succeeded")
    assert (settle(found, Answer(result), POLICY, NOW) is not None) == counts


# --- the payment --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("result", RESULTS)
def test_no_answer_makes_an_impossible_change(kind: OperationKind, result: CallResult) -> None:
    """An answer may come at any time: recovery, a frozen worker and a watch all bring them late."""
    parents = (operation("sale", id="op_before", status="succeeded"), operation("capture", id="op_before"))
    for state, parent, given in product(STATES, parents, GIVEN):
        after = answered(kind, result, state, parent=parent, **given).payment
        assert after.state == state or can_become(state, after.state), f"{state} -> {after.state}"
        assert 0 <= after.amount_refunded <= max(after.amount_captured, given.get("amount_refunded", 500))


# --- who is told --------------------------------------------------------------------------------------------


def test_an_answer_is_waited_for_while_anything_is_open() -> None:
    assert answered("sale", "succeeded", "processing").waiting is False
    other = (operation("reversal", id="op_back", parent_id="op_other"),)
    assert answered("sale", "succeeded", "processing", other_open=other).waiting is True
    assert answered("void", "unknown", "captured", capture="manual").waiting is True


def test_while_another_call_is_out_nobody_is_answered_and_no_rest_is_come_to() -> None:
    given: dict[str, Any] = {"parent": operation("capture", id="op_before", status="succeeded")}
    out = (operation("refund", id="op_out"),)
    change = answered("reversal", "succeeded", "captured", other_open=out, **given)
    assert (change.rests, change.payment.recovery_point, change.payment.updated_at) == (False, "judged", NOW)
    for other in (operation("refund", id="op_out", status="unknown"), operation("reversal", id="op_out")):
        assert answered("reversal", "succeeded", "captured", other_open=(other,), **given).rests is True
