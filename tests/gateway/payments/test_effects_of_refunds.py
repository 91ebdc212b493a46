"""What becomes of a payment and its refund by an answer, without books or clock."""

from itertools import product
from typing import Any, get_args

import msgspec
import pytest

from connectors.processors.contract import Answer, CallResult
from gateway.books.operations import Operation
from gateway.books.refunds import RefundRow
from gateway.payments.changes import Change, anew, following
from gateway.payments.effects import Situation
from gateway.payments.transitions import settle
from schemas.operations import OperationStatus
from schemas.payments import LastRefusal
from schemas.states import STATES, Status
from schemas.times import from_micros
from tests.gateway.payments.situations import NOW, POLICY, answered, operation, payment, refund

RESULTS: tuple[CallResult, ...] = get_args(CallResult)
CAPTURE = operation("capture", id="op_before", status="succeeded", amount=200)
SECOND = operation("capture", id="op_second", status="succeeded", amount=300)


def given_back(result: CallResult, part: Operation, **given: Any) -> Change:
    """What an answer to a call of a refund makes of a captured payment, of which all was captured in two parts."""
    usual: dict[str, Any] = {
        "operation": part,
        "operations": (CAPTURE, SECOND, part),
        "amount_captured": 500,
        "announced": "succeeded",
    }
    return answered("refund", result, "captured", **(usual | given))


def left(change: Change) -> tuple[Status, int, int, str | None]:
    """A refund as a change leaves it: status, amount, what of it was given back, and why not all."""
    assert change.refund is not None
    row = change.refund
    return row.status, row.amount, row.amount_refunded, row.decline_code


def has_ended(was: OperationStatus, result: CallResult) -> bool:
    """Whether the end of a call was known before this answer to it."""
    return was in ("succeeded", "declined") or (was == "failed" and result != "succeeded")


OPEN = [(was, result) for was in get_args(OperationStatus) for result in RESULTS if not has_ended(was, result)]


@pytest.mark.parametrize(("was", "result"), OPEN)
def test_a_refund_changes_no_state_and_gives_back_no_more_than_was_asked(
    was: OperationStatus, result: CallResult
) -> None:
    part = operation("refund", amount=200, status=was)
    for state, status in product(STATES, get_args(Status)):
        row = refund(300, status=status, amount_refunded=100)
        change = answered(
            "refund", result, state, operation=part, refund=row, amount_captured=500, amount_refunded=100
        )
        assert (change.payment.state, change.payment.amount_captured) == (state, 500)
        assert change.refund is not None
        more = 200 if result == "succeeded" and status == "pending" else 0
        left = (change.refund.amount_refunded, change.payment.amount_refunded)
        assert left == (100 + more, 100 + more), (state, status)


def test_a_call_of_no_refund_is_a_bug() -> None:
    found = Situation(payment("captured"), operation("refund"))
    with pytest.raises(AssertionError, match="names it"):
        settle(found, Answer("succeeded"), POLICY, NOW)


def test_a_refund_that_was_made_has_succeeded() -> None:
    change = given_back("succeeded", operation("refund", amount=200), refund=refund(200))
    assert left(change) == ("succeeded", 200, 200, None)
    assert (change.payment.amount_refunded, change.next, change.rests) == (200, None, True)
    assert (change.events, change.refused, change.waiting) == (("refund.succeeded",), False, False)


def test_a_refund_that_spans_captures_goes_on_with_the_next_one() -> None:
    part = operation("refund", amount=200, requested_by="acc_m")
    change = given_back("succeeded", part, refund=refund(400))
    assert left(change) == ("pending", 400, 200, None)
    assert (change.events, change.rests) == (("refund.pending",), False)
    of_second = following("refund", SECOND, 200)
    assert change.next == msgspec.structs.replace(of_second, refund_id="ref", requested_by="acc_m")


def test_a_refund_with_nothing_left_to_draw_on_ends_with_what_it_gave() -> None:
    part = operation("refund", amount=200)
    change = given_back("succeeded", part, refund=refund(400), operations=(CAPTURE, part))
    assert left(change) == ("succeeded", 200, 200, None)
    assert (change.next, change.events) == (None, ("refund.succeeded",))


@pytest.mark.parametrize(("result", "code"), [("declined", "expired_card"), ("failed", None)])
def test_a_refund_that_was_refused_has_failed_and_is_told(result: CallResult, code: Any) -> None:
    said = {"decline_code": code}
    change = given_back(result, operation("refund", amount=200), refund=refund(200), said=said)
    told = code or "processor_unavailable"
    assert left(change) == ("failed", 200, 0, told)
    assert (change.payment.amount_refunded, change.next) == (0, None)
    assert (change.events, change.refused) == (("refund.failed",), True)
    assert change.payment.refused() == LastRefusal("refund", told, from_micros(NOW))


def test_a_refund_of_which_a_part_was_given_has_succeeded_with_that_part() -> None:
    row = refund(400, amount_refunded=200)
    change = given_back("declined", operation("refund", amount=200), refund=row, amount_refunded=200)
    assert left(change) == ("succeeded", 200, 200, "processor_unavailable")
    assert (change.payment.amount_refunded, change.events) == (200, ("refund.succeeded",))
    assert change.refused is False, "money moved: a 402 would have its client ask for all of it again"


def test_silence_leaves_a_refund_pending() -> None:
    change = given_back("unknown", operation("refund", amount=200), refund=refund(200))
    assert left(change) == ("pending", 200, 0, None)
    assert (change.waiting, change.rests, change.events, change.next) == (True, True, (), None)


def test_a_refund_that_never_arrived_is_done_anew() -> None:
    part = operation("refund", amount=200, requested_by="acc_m")
    change = given_back("not_found", part, refund=refund(200))
    assert (left(change), change.next, change.events) == (("pending", 200, 0, None), anew(part), ())


@pytest.mark.parametrize(
    ("row", "given"),
    [
        (refund(200), {"replaced": True}),
        (refund(200), {"other_open": (operation("refund", id="op_again"),)}),
        (refund(200, status="failed"), {}),
        (refund(200, status="succeeded", amount_refunded=200), {}),
        (refund(200, amount_refunded=100), {}),
    ],
)
def test_a_refund_that_is_found_too_late_is_taken_back(row: RefundRow, given: dict[str, Any]) -> None:
    part = operation("refund", amount=200, status="failed")
    change = given_back("succeeded", part, refund=row, **given)
    assert change.next == following("reversal", change.updates[0].operation, 200)
    assert (change.refund, change.payment.amount_refunded, change.events) == (row, 0, ())


def test_a_reversal_of_another_call_is_in_no_refunds_way() -> None:
    back = operation("reversal", id="op_back", parent_id="op_other")
    change = given_back("succeeded", operation("refund", amount=200), refund=refund(200), other_open=(back,))
    assert left(change) == ("succeeded", 200, 200, None)


def test_a_refund_whose_own_reversal_is_open_waits_for_its_end() -> None:
    back = operation("reversal", id="op_back", parent_id="op")
    change = given_back("succeeded", operation("refund", amount=200), refund=refund(200), other_open=(back,))
    assert (left(change), change.next, change.waiting) == (("pending", 200, 0, None), None, True)


# --- reversals ----------------------------------------------------------------------------------------------


def reversed_(result: CallResult, part: Operation, row: RefundRow, **given: Any) -> Change:
    """What the answer to the reversal of a refund's call makes of a captured payment."""
    return answered("reversal", result, "captured", parent=part, refund=row, amount_captured=500, **given)


def test_a_refund_that_was_taken_back_is_done_anew_unless_it_was() -> None:
    part = operation("refund", id="op_before", amount=200, status="unknown", parent_id="op_first")
    assert reversed_("succeeded", part, refund(200)).next == anew(part)
    out = (operation("refund", id="op_again"),)
    for given in ({"replaced": True}, {"other_open": out}):
        assert reversed_("succeeded", part, refund(200), **given).next is None
    ended = refund(200, status="succeeded", amount_refunded=200)
    change = reversed_("succeeded", part, ended)
    assert (change.next, change.refund) == (None, ended)


def test_a_refund_whose_reversal_found_nothing_is_as_it_came() -> None:
    arrived = operation("refund", id="op_before", amount=200, status="succeeded")
    assert left(reversed_("not_found", arrived, refund(200))) == ("succeeded", 200, 200, None)
    again = reversed_("not_found", arrived, refund(200), replaced=True)
    assert (left(again), again.payment.amount_refunded) == (("pending", 200, 0, None), 0)
    for status in ("unknown", "declined"):
        gone = operation("refund", id="op_before", amount=200, status=status)
        assert left(reversed_("not_found", gone, refund(200))) == ("pending", 200, 0, None)


def test_a_refunds_reversal_without_an_end_leaves_it_open() -> None:
    part = operation("refund", id="op_before", amount=200, status="unknown")
    change = reversed_("unknown", part, refund(200))
    assert (left(change), change.next, change.waiting) == (("pending", 200, 0, None), None, True)
