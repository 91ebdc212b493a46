"""A processor's answer, applied to the books: whatever comes, and however late."""

import pytest
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.engine import Outdated
from gateway.books.operations import select_operation
from gateway.books.outbox import list_history
from gateway.books.payments import existing_payment
from gateway.books.postings import post
from gateway.payments.closing import OperationLine
from gateway.payments.commit import Committed, apply, apply_to
from schemas.operations import OperationKind
from schemas.times import now_micros
from tests.gateway.payments.stored import (
    HELD,
    POLICY,
    RELEASED,
    REQUEST,
    TAKEN,
    operation_in,
    payment_in,
    posted,
    request_in,
)


def test_an_answer_to_no_operation_of_ours_is_refused(conn: Connection) -> None:
    with pytest.raises(LookupError, match="op_none"):
        apply(conn, POLICY, "op_none", Answer("succeeded"))


def test_a_reversal_of_nothing_is_a_bug(conn: Connection) -> None:
    payment_in(conn)
    operation_in(conn, "reversal")
    with pytest.raises(AssertionError, match="names the operation"):
        apply(conn, POLICY, "op", Answer("succeeded"))


def test_an_approval_is_written_with_what_it_posts_and_tells(conn: Connection) -> None:
    payment_in(conn, processor="visa")
    operation_in(conn, "sale")
    step = apply(conn, POLICY, "op", Answer("succeeded", "ref"))
    written = existing_payment(conn, "pay")
    assert step == Committed(written)
    assert (written.state, written.amount_captured, written.version) == ("captured", 500, 2)
    closed = select_operation(conn, "op")
    assert closed is not None
    assert (closed.status, closed.processor_reference, closed.finished_at) == (
        "succeeded",
        "ref",
        written.updated_at,
    )
    assert posted(conn, "op") == TAKEN
    assert [row.type for row in list_history(conn, "pay", 0, 100)] == ["payment.captured", "transaction_completed"]


def test_an_answer_counts_from_now(conn: Connection) -> None:
    payment_in(conn)
    operation_in(conn, "sale")
    began = now_micros()
    assert began <= apply(conn, POLICY, "op", Answer("succeeded")).payment.updated_at <= now_micros()


def test_an_answer_applied_before_changes_nothing(conn: Connection) -> None:
    payment_in(conn)
    operation_in(conn, "sale")
    apply(conn, POLICY, "op", Answer("succeeded"))
    before, told = existing_payment(conn, "pay"), len(conn.info["announced"])
    for answer in (Answer("succeeded"), Answer("declined"), Answer("unknown")):
        assert apply(conn, POLICY, "op", answer) == Committed(before)
    assert existing_payment(conn, "pay") == before
    assert len(conn.info["announced"]) == told
    assert posted(conn, "op") == TAKEN


def test_an_answer_to_rows_that_changed_since_is_refused(conn: Connection) -> None:
    payment, operation = payment_in(conn), operation_in(conn, "sale")
    apply(conn, POLICY, "op", Answer("unknown"))
    with pytest.raises(Outdated):
        apply_to(conn, POLICY, payment, operation, Answer("succeeded"))
    newer = existing_payment(conn, "pay")
    with pytest.raises(Outdated):
        apply_to(conn, POLICY, newer, operation, Answer("succeeded"))


@pytest.mark.parametrize("kind", ["void", "reversal"])
def test_what_is_taken_back_undoes_what_the_books_say_was_posted(conn: Connection, kind: OperationKind) -> None:
    payment_in(conn, "authorized")
    parent = operation_in(conn, "authorize", id="op_before", status="succeeded")
    post(conn, parent, HELD, 0)
    operation_in(conn, kind, parent_id="op_before")
    apply(conn, POLICY, "op", Answer("succeeded"))
    assert posted(conn, "op") == RELEASED


def test_a_capture_posts_its_own_amount_and_leaves_its_parents_entries(conn: Connection) -> None:
    payment_in(conn, "authorized")
    parent = operation_in(conn, "authorize", id="op_before", status="succeeded")
    post(conn, parent, HELD, 0)
    operation_in(conn, "capture", parent_id="op_before", amount=300)
    apply(conn, POLICY, "op", Answer("succeeded"))
    taken, freed = (("due:visa", 300), ("due:acc_m", -300)), (("hold:visa", -300), ("hold:acc_m", 300))
    assert posted(conn, "op") == (*taken, *freed)
    assert posted(conn, "op_before") == HELD


def test_a_capture_whose_rest_is_not_released_yet_is_answered_with_202(conn: Connection) -> None:
    payment_in(conn, "authorized", capture="manual")
    parent = operation_in(conn, "authorize", id="op_before", status="succeeded")
    post(conn, parent, HELD, 0)
    operation_in(conn, "capture", parent_id="op_before", amount=300)
    request_in(conn, ok_status=200)
    release = apply(conn, POLICY, "op", Answer("succeeded")).to_send
    assert release is not None
    assert (release.kind, release.amount, release.requested_by) == ("void", 200, None)
    step = apply(conn, POLICY, release.id, Answer("declined", decline_code="expired_card"))
    answer, asked_again = step.answer_to(REQUEST), select_operation(conn, release.id)
    assert answer is not None
    assert asked_again is not None
    assert (answer.status, step.payment.state, asked_again.status) == (202, "partially_captured", "unknown")


def test_a_late_approval_waits_for_the_reversal_that_is_open(conn: Connection) -> None:
    payment_in(conn, "unknown")
    operation_in(conn, "sale", status="unknown")
    operation_in(conn, "reversal", id="op_back", parent_id="op")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("unknown", None)


def test_an_operation_in_doubt_is_not_in_its_own_way(conn: Connection) -> None:
    payment_in(conn, "authorized", capture="manual")
    operation_in(conn, "capture", status="unknown")
    request_in(conn)
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert step.payment.state == "captured"
    answer = step.answer_to(REQUEST)
    assert answer is not None
    assert answer.status == 201


def test_a_captures_reversal_leaves_the_capture_begun_beside_it_alone(conn: Connection) -> None:
    payment_in(conn, "authorized")
    operation_in(conn, "capture", id="op_late", status="failed")
    operation_in(conn, "capture", id="op_now", status="unknown")
    operation_in(conn, "reversal", parent_id="op_late")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("authorized", None)


def test_a_capture_in_flight_is_taken_whatever_is_taken_back_beside_it(conn: Connection) -> None:
    payment_in(conn, "authorized")
    operation_in(conn, "capture", id="op_late", status="succeeded")
    operation_in(conn, "reversal", id="op_back", parent_id="op_late")
    operation_in(conn, "capture")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("captured", None)


def test_a_reversal_books_the_parent_it_found(conn: Connection) -> None:
    payment_in(conn, "unknown")
    operation_in(conn, "sale", id="op_before", status="unknown")
    operation_in(conn, "reversal", parent_id="op_before")
    assert apply(conn, POLICY, "op", Answer("succeeded")).payment.state == "voided"
    booked = select_operation(conn, "op_before")
    assert booked is not None
    assert booked.status == "succeeded"
    assert posted(conn, "op_before") == TAKEN
    lines = [fact for fact in conn.info["announced"] if isinstance(fact, OperationLine)]
    assert [line.operation_id for line in lines] == ["op", "op_before"]
