"""Answers that come after a call was given up and done anew, through the books: nothing happens twice."""

from collections import Counter
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection

from connectors.processors.contract import Answer, CallResult
from gateway.books.engine import Outdated
from gateway.books.idempotency import KeyedRequest
from gateway.books.operations import Operation, select_operations
from gateway.books.payments import existing_payment
from gateway.books.postings import post, postings
from gateway.payments.captures import authorization, begin_capture, begin_void
from gateway.payments.commit import Committed, apply, apply_to, open_reversal
from gateway.payments.refunds import begin_refund
from schemas.operations import OperationKind
from tests.gateway.databases import run_in_greenlet
from tests.gateway.payments.stored import HELD, POLICY, operation_in, payment_in

KEYS = count(1)


@pytest.fixture(autouse=True)
def held_payment(conn: Connection) -> None:
    """A payment of 500 that is held at Visa, for its merchant to capture."""
    run_in_greenlet(_hold, {"conn": conn})


def _hold(conn: Connection) -> None:
    payment_in(conn, "authorized", capture="manual", recovery_point="finished")
    held = operation_in(conn, "authorize", id="op_held", status="succeeded", processor_reference="ref")
    post(conn, held, HELD, 0)


def new_request() -> KeyedRequest:
    return KeyedRequest("acc_m", f"key_{next(KEYS)}", b"same", "merchant")


def capture(conn: Connection, amount: int | None = None, *, final: bool = True) -> Operation:
    """The capture of a part that the merchant asked for, to be answered."""
    return sent(begin_capture(conn, POLICY, new_request(), "pay", amount, final=final))


def refund(conn: Connection, amount: int | None = None, request: KeyedRequest | None = None) -> Operation:
    """The first call of a refund that the merchant asked for, to be answered."""
    return sent(begin_refund(conn, POLICY, request or new_request(), "pay", amount, None))


def sent(begun: Any) -> Operation:
    """What a step left to send."""
    assert isinstance(begun, Committed)
    assert begun.to_send is not None
    return begun.to_send


def say(conn: Connection, operation: Operation, result: CallResult) -> Committed:
    """Apply an answer."""
    return apply(conn, POLICY, operation.id, Answer(result, f"ref_{operation.id}"))


def done(conn: Connection, operation: Operation) -> Committed:
    return say(conn, operation, "succeeded")


def given_up(conn: Connection, operation: Operation) -> Operation:
    """Give a call up that nobody answered or knows of; the one that is sent in its place."""
    say(conn, operation, "unknown")
    return sent(say(conn, operation, "not_found"))


def taking_back(conn: Connection, operation: Operation) -> Operation:
    """The reversal of an operation whose end is not known."""
    reversal = open_reversal(conn, POLICY, operation)
    assert reversal is not None
    return reversal


def balance(conn: Connection) -> dict[str, int]:
    """The sum of all postings per account, without those at zero."""
    sums: Counter[str] = Counter()
    for row in conn.execute(postings.select()):
        sums[row.account] += row.amount
    return {account: total for account, total in sums.items() if total}


def kinds(conn: Connection) -> list[OperationKind]:
    return [operation.kind for operation in select_operations(conn, "pay")]


def booked(due: int, hold: int) -> dict[str, int]:
    """The balance of what is due and what is held, at Visa and for the merchant."""
    amounts = {"due": due, "hold": hold}
    both = {f"{account}:visa": amount for account, amount in amounts.items()}
    return {k: v for k, v in (both | {f"{a}:acc_m": -amount for a, amount in amounts.items()}).items() if v}


# --- captures -----------------------------------------------------------------------------------------------


def test_a_capture_found_late_is_taken_back_and_never_done_a_third_time(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    done(conn, given_up(conn, first))
    back = sent(done(conn, first))
    assert (back.kind, back.parent_id, back.amount) == ("reversal", first.id, 300)
    step = done(conn, back)
    assert (step.to_send, step.payment.state, step.payment.amount_captured) == (None, "partially_captured", 300)
    assert balance(conn) == booked(300, 200)


def test_a_capture_that_is_to_be_taken_back_leaves_the_hold_to_the_one_that_counts(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    again = given_up(conn, first)
    back = sent(done(conn, first))  # found while the one in its place is out
    done(conn, again)
    assert balance(conn) == booked(600, 200)
    done(conn, back)
    assert balance(conn) == booked(300, 200)


def test_a_rest_that_was_released_stays_released_when_a_late_capture_is_taken_back(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    done(conn, given_up(conn, first))
    void = sent(begin_void(conn, POLICY, new_request(), "pay", as_payer=False))
    back = sent(done(conn, first))
    assert done(conn, void).payment.state == "captured"
    done(conn, back)
    assert balance(conn) == booked(300, 0)


def test_a_capture_whose_reversal_found_nothing_takes_its_part_off_the_hold_then(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    say(conn, first, "unknown")
    back = taking_back(conn, first)
    done(conn, first)
    assert balance(conn) == booked(300, 500)
    step = say(conn, back, "not_found")
    assert (step.payment.state, step.payment.amount_captured) == ("partially_captured", 300)
    assert balance(conn) == booked(300, 200)


def test_the_authorization_that_decided_the_payment_is_captured(conn: Connection) -> None:
    """An earlier attempt's approval came late, and its void is still to be answered."""
    later = operation_in(conn, "authorize", id="op_later", status="succeeded")
    assert authorization(conn, "pay") == later


def test_a_capture_that_was_taken_back_has_its_number_for_its_successor(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    say(conn, first, "unknown")
    again = sent(done(conn, taking_back(conn, first)))
    done(conn, again)
    assert (first.part, again.part, capture(conn, 200).part) == (1, 1, 2)


@pytest.mark.parametrize("first_taken_back_first", [True, False])
def test_of_two_captures_that_were_both_taken_back_a_third_is_done(
    conn: Connection, first_taken_back_first: bool
) -> None:
    first = capture(conn, 300, final=False)
    again = given_up(conn, first)
    say(conn, again, "unknown")
    reversals = [sent(done(conn, first)), taking_back(conn, again)]
    for reversal in reversals if first_taken_back_first else reversed(reversals):
        done(conn, reversal)
    *_, third = select_operations(conn, "pay")
    assert (third.kind, third.replaces_id, third.status) == ("capture", again.id, "sending")
    done(conn, third)
    assert balance(conn) == booked(300, 200)


# --- what another request asked for -------------------------------------------------------------------------


def test_a_refund_in_flight_is_answered_by_its_own_answer(conn: Connection) -> None:
    first = capture(conn, 300, final=False)
    done(conn, given_up(conn, first))
    asked = new_request()
    giving = refund(conn, 100, asked)
    back = sent(done(conn, first))
    step = done(conn, back)
    assert (step.answers, step.payment.recovery_point) == ({}, "judged")
    answer = done(conn, giving).answer_to(asked)
    assert answer is not None
    assert answer.status == 201
    assert b'"object":"refund"' in answer.body
    assert balance(conn) == booked(200, 200)


def test_a_refund_of_several_calls_goes_round_the_capture_that_is_being_taken_back(conn: Connection) -> None:
    first = capture(conn, 200, final=False)
    counted = given_up(conn, first)
    done(conn, counted)
    second = capture(conn, 300)
    done(conn, second)
    giving = refund(conn, 400)
    assert (giving.parent_id, giving.amount) == (counted.id, 200)
    back = sent(done(conn, first))
    rest = sent(done(conn, giving))
    assert (rest.parent_id, rest.amount) == (second.id, 200)
    done(conn, back)
    assert done(conn, rest).payment.amount_refunded == 400
    assert balance(conn) == booked(100, 0)


# --- refunds ------------------------------------------------------------------------------------------------


def test_a_refund_found_late_is_taken_back_and_never_done_a_third_time(conn: Connection) -> None:
    done(conn, capture(conn))
    first = refund(conn, 100)
    done(conn, given_up(conn, first))
    back = sent(done(conn, first))
    assert (back.kind, back.parent_id, back.amount) == ("reversal", first.id, 100)
    step = done(conn, back)
    assert (step.to_send, step.payment.amount_refunded) == (None, 100)
    assert kinds(conn).count("refund") == 2
    assert balance(conn) == booked(400, 0)


def test_of_a_refund_that_a_reversal_found_and_its_successor_one_stays(conn: Connection) -> None:
    done(conn, capture(conn))
    first = refund(conn, 100)
    say(conn, first, "unknown")
    again = sent(done(conn, taking_back(conn, first)))
    assert (again.kind, again.replaces_id, again.refund_id) == ("refund", first.id, first.refund_id)
    assert done(conn, again).payment.amount_refunded == 100
    assert balance(conn) == booked(400, 0)


def test_a_refund_whose_reversal_found_nothing_stands(conn: Connection) -> None:
    done(conn, capture(conn))
    first = refund(conn, 100)
    say(conn, first, "unknown")
    back = taking_back(conn, first)
    assert done(conn, first).payment.amount_refunded == 0
    step = say(conn, back, "not_found")
    assert (step.payment.amount_refunded, step.to_send) == (100, None)
    assert kinds(conn).count("refund") == 1


@pytest.mark.parametrize("first_taken_back_first", [True, False])
def test_of_two_refunds_that_were_both_taken_back_a_third_is_done(
    conn: Connection, first_taken_back_first: bool
) -> None:
    done(conn, capture(conn))
    first = refund(conn, 100)
    again = given_up(conn, first)
    say(conn, again, "unknown")
    reversals = [sent(done(conn, first)), taking_back(conn, again)]
    for reversal in reversals if first_taken_back_first else reversed(reversals):
        done(conn, reversal)
    *_, third = select_operations(conn, "pay")
    assert (third.kind, third.replaces_id, third.status) == ("refund", again.id, "sending")
    assert done(conn, third).payment.amount_refunded == 100
    assert balance(conn) == booked(400, 0)


# --- voids --------------------------------------------------------------------------------------------------


def test_the_void_of_an_approval_that_came_late_is_never_given_up(conn: Connection) -> None:
    """Elsewhere, while the payment is captured in parts: money that nobody asked for stays reserved there."""
    done(conn, capture(conn, 300, final=False))
    late = operation_in(conn, "authorize", id="op_late", status="failed", processor="mastercard")
    void = sent(done(conn, late))
    step = say(conn, void, "declined")
    assert step.payment.refused() is None
    assert [o.status for o in select_operations(conn, "pay") if o.id == void.id] == ["unknown"]
    done(conn, void)
    assert existing_payment(conn, "pay").state == "partially_captured"
    assert balance(conn) == booked(300, 200)


@pytest.mark.parametrize("result", ["succeeded", "declined"])
def test_what_was_answered_after_it_was_looked_up_is_not_reversed(conn: Connection, result: CallResult) -> None:
    asked = capture(conn, 300)
    say(conn, asked, "unknown")
    say(conn, asked, result)
    assert open_reversal(conn, POLICY, asked) is None
    assert "reversal" not in kinds(conn)


def test_an_answer_that_did_not_see_the_reversal_is_applied_anew(conn: Connection) -> None:
    asked = capture(conn, 300)
    say(conn, asked, "unknown")
    payment, (_, known) = existing_payment(conn, "pay"), select_operations(conn, "pay")
    taking_back(conn, asked)
    with pytest.raises(Outdated):
        apply_to(conn, POLICY, payment, known, Answer("succeeded"))
