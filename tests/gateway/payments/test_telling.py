"""What a transaction tells of operations and reviews: each end once, whole, and nothing of persons or cards."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from benchmarks.machine.told import mistold
from connectors.processors.contract import Answer
from gateway.books.engine import Outdated
from gateway.books.operations import select_operation, update_operation
from gateway.books.outbox import OutboxRow, list_history
from gateway.books.payments import existing_payment
from gateway.books.reviews import decide, select_review
from gateway.payments.changes import Effect, NextOperation, OperationPosting, OperationUpdate, change_of
from gateway.payments.commit import apply, commit, open_reversal
from gateway.payments.held import end_review, open_review
from gateway.payments.telling import operation_snapshot
from schemas.operations import LedgerEntry, OperationEvent
from schemas.reviews import ReviewEvent
from schemas.times import from_micros
from tests.gateway.payments import situations
from tests.gateway.payments.stored import HELD, POLICY, RELEASED, TAKEN, operation_in, payment_in
from tests.gateway.payments.test_commit import AT, TRACEPARENT, at_rest

CARD = "4111111111111111"


def told(conn: Connection, operation_id: str = "op") -> list[OperationEvent]:
    return [msgspec.json.decode(row.value, type=OperationEvent) for row in rows(conn, operation_id)]


def rows(conn: Connection, subject_id: str) -> list[OutboxRow]:
    return list_history(conn, subject_id, 0, 100)


def entries(*moved: tuple[str, int]) -> list[LedgerEntry]:
    return [LedgerEntry(account, amount) for account, amount in moved]


def test_the_end_of_an_operation_is_an_event_with_what_it_moved(conn: Connection) -> None:
    payment_in(conn, traceparent=TRACEPARENT)
    operation_in(conn, "sale", requested_by="acc_c")
    done = apply(conn, POLICY, "op", Answer("succeeded", "their_id", detail="AUTHORIZED")).payment
    (row,), (event,) = rows(conn, "op"), told(conn)
    assert (row.topic, row.key, row.type) == ("operations.v1", "fp", "operation.succeeded")
    assert (row.traceparent, row.recorded_at, row.sequence) == (TRACEPARENT, done.updated_at, 1)
    assert (event.sequence, event.recorded_at) == (1, from_micros(done.updated_at))
    assert event.entries == entries(*TAKEN)
    assert event.operation.finished_at == event.recorded_at
    shown = msgspec.structs.asdict(event.operation)
    assert {name: shown[name] for name in ("payment", "attempt", "attempt_number", "merchant", "status")} == {
        "payment": "pay",
        "attempt": "att",
        "attempt_number": 1,
        "merchant": "acc_m",
        "status": "succeeded",
    }
    assert (shown["requested_by"], shown["processor_reference"], shown["detail"]) == (
        "acc_c",
        "their_id",
        "AUTHORIZED",
    )
    assert shown["milliseconds"] == pytest.approx((done.updated_at - situations.SENT_AT) / 1000)


def test_an_operation_at_a_second_processor_is_of_the_second_attempt(conn: Connection) -> None:
    row = payment_in(conn, attempts=0)
    sale = change_of(row, Effect(row, NextOperation("sale", "visa")), POLICY, AT)
    first = commit(conn, POLICY, sale)
    assert first.to_send is not None
    second = apply(conn, POLICY, first.to_send.id, Answer("failed"))
    assert second.to_send is not None
    apply(conn, POLICY, second.to_send.id, Answer("declined"))
    numbers = [told(conn, o.id)[0].operation.attempt_number for o in (first.to_send, second.to_send)]
    assert numbers == [1, 2]


def test_what_stays_in_doubt_is_told_once(conn: Connection) -> None:
    payment_in(conn)
    operation_in(conn, "sale")
    for _ in range(3):
        apply(conn, POLICY, "op", Answer("unknown"))
    assert [event.operation.status for event in told(conn)] == ["unknown"]
    assert told(conn)[0].operation.milliseconds is None
    apply(conn, POLICY, "op", Answer("succeeded"))
    assert [(event.sequence, len(event.entries)) for event in told(conn)] == [(1, 0), (2, 2)]


def test_a_reversal_that_is_sent_again_is_told_of_each_time_it_ends(conn: Connection) -> None:
    payment_in(conn, "unknown")
    sale = operation_in(conn, "sale", status="unknown")
    for _ in range(2):
        reversal = open_reversal(conn, POLICY, sale)
        assert reversal is not None
        apply(conn, POLICY, reversal.id, Answer("not_found"))
    assert [(e.sequence, e.operation.status) for e in told(conn, reversal.id)] == [(1, "failed"), (2, "failed")]
    assert told(conn) == []


def test_a_capture_that_counts_once_its_reversal_was_refused_tells_what_it_frees_then(conn: Connection) -> None:
    payment_in(conn, "authorized", capture="manual")
    operation_in(conn, "authorize", id="op_hold", status="succeeded", finished_at=1)
    capture = operation_in(
        conn, "capture", parent_id="op_hold", parent_reference="ref", status="unknown", requested_by="acc_m"
    )
    reversal = open_reversal(conn, POLICY, capture)
    assert reversal is not None
    apply(conn, POLICY, "op", Answer("succeeded"))  # taken, and perhaps given back: it frees nothing yet
    apply(conn, POLICY, reversal.id, Answer("not_found"))
    assert existing_payment(conn, "pay").state == "captured"
    assert [(e.sequence, e.entries) for e in told(conn)] == [(1, entries(*TAKEN)), (2, entries(*RELEASED))]


def test_a_reversal_tells_of_both_what_it_took_back_and_that_it_had_happened(conn: Connection) -> None:
    payment_in(conn, "unknown")
    sale = operation_in(conn, "sale", status="unknown")
    reversal = open_reversal(conn, POLICY, sale)
    assert reversal is not None
    apply(conn, POLICY, reversal.id, Answer("succeeded"))
    assert told(conn)[0].entries == entries(*TAKEN)
    assert told(conn, reversal.id)[0].entries == entries(*((account, -amount) for account, amount in TAKEN))
    assert list(mistold(conn, "pay")) == []


def test_who_read_an_operation_before_it_was_told_of_reads_it_anew(conn: Connection) -> None:
    operation = operation_in(conn, "sale", status="unknown")
    update_operation(conn, operation, "unknown", told=True)
    with pytest.raises(Outdated):
        update_operation(conn, operation, "unknown", told=True)


def test_of_books_of_before_an_operation_tells_all_that_was_posted_for_it(conn: Connection) -> None:
    row = payment_in(conn, "authorized")
    hold = operation_in(conn, "authorize", status="succeeded", finished_at=1)
    commit(conn, POLICY, at_rest(row, postings=(OperationPosting(hold, HELD),)))
    conn.exec_driver_sql("UPDATE operations SET sequence = 0")
    conn.exec_driver_sql("DELETE FROM outbox WHERE subject_id = 'op'")
    again = existing_payment(conn, "pay")
    known = select_operation(conn, "op")
    assert known is not None
    commit(conn, POLICY, at_rest(again, postings=(OperationPosting(known, RELEASED),)))
    assert [event.entries for event in told(conn)] == [entries(*HELD, *RELEASED)]


@pytest.mark.parametrize(
    "words", [f"declined {CARD}", '{"securityCode": "737"}', "to ada@example.com", '"expirationYear": 2039, "x"']
)
def test_no_card_no_code_and_no_address_is_told_whatever_a_vendor_says(conn: Connection, words: str) -> None:
    payment_in(conn)
    operation = operation_in(conn, "sale", status="succeeded", detail=words, processor_reference=CARD)
    ended = OperationUpdate(operation, "succeeded")
    ended = msgspec.structs.replace(ended, operation=msgspec.structs.replace(operation, finished_at=AT))
    commit(conn, POLICY, at_rest(existing_payment(conn, "pay"), updates=(ended,)))
    (row,) = rows(conn, "op")
    for secret in (CARD, "737", "ada@example.com", "2039"):
        assert secret.encode() not in row.value


def test_an_operation_is_told_with_all_it_has_but_what_is_our_own_matter(conn: Connection) -> None:
    row, operation = situations.payment(), situations.operation("refund", status="unknown", replaces_id="op_0")
    shown = msgspec.structs.asdict(operation_snapshot(row, operation, 3))
    own = {"ordinal", "checks", "pending_reason", "worker_id", "lease_until", "audit_head", "sequence"}
    ours = {"payment_id", "attempt_id", "parent_id", "refund_id", "replaces_id", "parent_reference"}
    assert set(operation.__struct_fields__) - own - ours <= set(shown)
    assert (shown["parent"], shown["refund"], shown["replaces"]) == ("op_before", "ref", "op_0")


# --- reviews ---------------------------------------------------------------------------------------------------


def review_in(conn: Connection, **given: Any) -> str:
    risk = b'{"outcome":"review","source":"rules","score":0.5,"reasons":["held"]}'.decode()
    return open_review(conn, payment_in(conn, "in_review", risk=risk), AT, **given)


def reviews_told(conn: Connection, review_id: str) -> list[ReviewEvent]:
    return [msgspec.json.decode(row.value, type=ReviewEvent) for row in rows(conn, review_id)]


@pytest.mark.parametrize(("by", "type"), [("acc_a", "review.decided"), (None, "review.expired")])
def test_a_review_is_told_of_when_it_is_opened_and_when_it_ends(
    conn: Connection, by: str | None, type: str
) -> None:
    review_id = review_in(conn)
    payment = existing_payment(conn, "pay")
    assert end_review(conn, payment, review_id, "reject", "seen at 1 Main Street", by, AT + 1)
    assert not end_review(conn, payment, review_id, "approve", "no", "acc_b", AT + 2)
    first, last = reviews_told(conn, review_id)
    assert [row.type for row in rows(conn, review_id)] == ["review.opened", type]
    assert {(row.topic, row.key) for row in rows(conn, review_id)} == {("reviews.v1", "pay")}
    assert (first.sequence, first.review.decision, first.review.decided_at) == (1, None, None)
    assert (last.sequence, last.review.decision, last.review.decided_by) == (2, "reject", by)
    assert last.review.reasons == ["held"]
    assert not any(b"Main Street" in row.value for row in rows(conn, review_id))


def test_a_late_one_has_the_reasons_of_its_block(conn: Connection) -> None:
    review_id = review_in(conn, kind="late", reasons='["stolen"]')
    (event,) = reviews_told(conn, review_id)
    assert (event.review.kind, event.review.reasons, event.review.amount) == ("late", ["stolen"], 500)


def test_a_review_of_before_is_told_of_whole_when_it_is_decided(conn: Connection) -> None:
    review_id = review_in(conn)
    conn.exec_driver_sql("UPDATE reviews SET sequence = 0")
    conn.exec_driver_sql("DELETE FROM outbox")
    end_review(conn, existing_payment(conn, "pay"), review_id, "approve", "known", "acc_a", AT + 1)
    assert [(event.sequence, event.review.decision) for event in reviews_told(conn, review_id)] == [
        (1, None),
        (2, "approve"),
    ]


def test_who_decides_what_was_told_of_meanwhile_reads_it_anew(conn: Connection) -> None:
    review = select_review(conn, review_in(conn))
    assert review is not None
    conn.exec_driver_sql("UPDATE reviews SET sequence = 2")
    with pytest.raises(Outdated):
        decide(conn, review, "approve", "known", "acc_a", AT)
