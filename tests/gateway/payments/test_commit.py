"""What one transaction writes of a payment, and what of it is announced once it is committed."""

import re
from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest
from sqlalchemy import Connection

from connectors.processors.contract import Answer
from gateway.books.caps import caps, spend
from gateway.books.engine import Outdated
from gateway.books.idempotency import IdempotentAnswer, KeyedRequest, select_answer
from gateway.books.operations import (
    Attempt,
    Operation,
    OperationOpen,
    select_attempts,
    select_operation,
    select_operations,
)
from gateway.books.outbox import Unpublished, list_history
from gateway.books.payments import PaymentRow, existing_payment, insert_payment
from gateway.books.reviews import ReviewRow, reviews
from gateway.books.verdicts import SpentCaps, insert_stand_in
from gateway.payments.changes import Change, Effect, NextOperation, OperationPosting, OperationUpdate, change_of
from gateway.payments.closing import OperationLine
from gateway.payments.commit import (
    Committed,
    apply,
    commit,
    open_reversal,
    schedule_watch,
)
from gateway.payments.views import payment_view, snapshot
from schemas.operations import OperationStatus
from schemas.payments import AppliedRisk, LastRefusal, PaymentEvent, TransactionCompleted
from schemas.times import from_micros, steady_micros
from tests.gateway.payments import situations
from tests.gateway.payments.stored import (
    MINUTE_US,
    POLICY,
    REQUEST,
    TAKEN,
    is_a_minute_away,
    operation_in,
    payment_in,
    request_in,
)

DAY_US = 24 * 60 * MINUTE_US
AT = 5 * DAY_US + 7_000  # microseconds UTC
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
CAPTURE = NextOperation("capture", "visa", "att", "op", "ref", 300)


def lines(conn: Connection) -> list[OperationLine]:
    """The log lines that were announced."""
    return [fact for fact in conn.info.get("announced", []) if isinstance(fact, OperationLine)]


def is_id(prefix: str, id: str) -> bool:
    """Whether an id is one of ours with this prefix."""
    return bool(re.fullmatch(f"{prefix}_[0-9a-z]{{26}}", id))


def at_rest(row: PaymentRow, **given: Any) -> Change:
    """The change that leaves a payment as it is, but for `given` fields of the change."""
    return Change(before=row, payment=msgspec.structs.replace(row, updated_at=AT), **given)


# --- the operation to send next --------------------------------------------------------------------------------


def test_the_next_operation_is_in_the_books_before_it_is_sent(conn: Connection) -> None:
    row = payment_in(conn, "authorized")
    change = change_of(row, Effect(row, CAPTURE), POLICY, AT)
    step = commit(conn, POLICY, change)
    assert step.to_send is not None
    assert [step.to_send] == select_operations(conn, "pay")
    assert step.to_send == Operation(
        id=step.to_send.id,
        payment_id="pay",
        attempt_id="att",
        processor="visa",
        kind="capture",
        parent_id="op",
        parent_reference="ref",
        amount=300,
        currency="EUR",
        ordinal=row.version,
        worker_id="wrk",
        lease_until=step.to_send.lease_until,
        created_at=AT,
    )
    assert is_a_minute_away(step.to_send.lease_until)
    assert is_id("op", step.to_send.id)
    assert (step.answers, select_attempts(conn, "pay")) == ({}, [])


def test_an_operation_without_an_amount_is_for_the_whole_payment(conn: Connection) -> None:
    row = payment_in(conn, "authorized")
    whole = msgspec.structs.replace(CAPTURE, amount=0)
    step = commit(conn, POLICY, change_of(row, Effect(row, whole), POLICY, AT))
    assert step.to_send is not None
    assert step.to_send.amount == 500


def test_attempts_are_numbered_and_name_their_processor(conn: Connection) -> None:
    row = payment_in(conn, attempts=0)
    first = commit(conn, POLICY, change_of(row, Effect(row, NextOperation("sale", "visa")), POLICY, AT))
    assert first.to_send is not None
    second = apply(conn, POLICY, first.to_send.id, Answer("failed"))
    assert second.to_send is not None
    one, two = select_attempts(conn, "pay")
    assert one == Attempt(first.to_send.attempt_id, "pay", 1, "visa", AT)
    assert two == Attempt(second.to_send.attempt_id, "pay", 2, "mastercard", second.payment.updated_at)
    assert is_id("att", one.id)
    assert (first.to_send.parent_id, first.to_send.parent_reference, first.to_send.amount) == (None, None, 500)
    assert second.payment.attempts == 2


def test_an_operation_is_refused_while_another_is_open(conn: Connection) -> None:
    row = payment_in(conn, "authorized")
    operation_in(conn, "void")
    with pytest.raises(OperationOpen):
        commit(conn, POLICY, change_of(row, Effect(row, CAPTURE), POLICY, AT))


def test_a_capture_is_one_of_its_own_though_its_authorization_was_once_to_be_reversed(conn: Connection) -> None:
    row = payment_in(conn, "authorized")
    operation_in(conn, "authorize", status="succeeded")
    operation_in(conn, "reversal", id="op_back", parent_id="op", status="failed")
    step = commit(conn, POLICY, change_of(row, Effect(row, CAPTURE), POLICY, AT))
    assert step.to_send is not None
    assert step.to_send.kind == "capture"


# --- reversals -------------------------------------------------------------------------------------------------


def test_a_reversal_names_what_it_takes_back_by_our_id_and_theirs(conn: Connection) -> None:
    payment_in(conn, "unknown")
    sale = operation_in(conn, "sale", status="unknown", amount=300, processor_reference="ref")
    reversal = open_reversal(conn, POLICY, sale)
    assert reversal is not None
    assert is_a_minute_away(reversal.lease_until)
    assert reversal == select_operation(conn, reversal.id)
    assert (reversal.kind, reversal.status, reversal.amount) == ("reversal", "sending", 300)
    assert (reversal.attempt_id, reversal.processor) == ("att", "visa")
    assert (reversal.parent_id, reversal.parent_reference) == ("op", "ref")


@pytest.mark.parametrize("status", ["failed", "unknown", "declined"])
def test_a_reversal_begun_before_is_opened_again_under_its_id(conn: Connection, status: OperationStatus) -> None:
    payment_in(conn, "unknown")
    sale = operation_in(conn, "sale", status="unknown")
    operation_in(conn, "reversal", id="op_back", parent_id="op", status=status, finished_at=7, lease_until=8)
    again = open_reversal(conn, POLICY, sale)
    assert again is not None
    assert is_a_minute_away(again.lease_until)
    assert again == select_operation(conn, "op_back")
    assert (again.status, again.finished_at) == ("sending", None)
    assert len(select_operations(conn, "pay")) == 2


def test_a_reversal_that_succeeded_stays_as_it_is(conn: Connection) -> None:
    payment_in(conn, "unknown")
    sale = operation_in(conn, "sale", status="unknown")
    done = operation_in(conn, "reversal", id="op_back", parent_id="op", status="succeeded", finished_at=7)
    assert open_reversal(conn, POLICY, sale) == done == select_operation(conn, "op_back")


# --- what was given up and is watched -----------------------------------------------------------------------


def test_a_look_that_found_nothing_is_kept_and_the_next_one_due(conn: Connection) -> None:
    operation_in(conn, "sale", status="failed", lease_until=7)
    began = steady_micros()
    schedule_watch(conn, POLICY, "op", Answer("not_found"))
    found = select_operation(conn, "op")
    assert found is not None
    assert (found.status, found.checks) == ("failed", 1)
    assert found.lease_until is not None
    assert began <= found.lease_until - POLICY.watch_us[1] <= steady_micros()


@pytest.mark.parametrize("status", get_args(OperationStatus))
def test_only_what_was_given_up_is_watched(conn: Connection, status: OperationStatus) -> None:
    operation = operation_in(conn, "sale", status=status, lease_until=7)
    schedule_watch(conn, POLICY, "op", Answer("not_found"))
    schedule_watch(conn, POLICY, "op_none", Answer("not_found"))
    assert (select_operation(conn, "op") != operation) is (status == "failed")


# --- postings, reviews, caps -----------------------------------------------------------------------------------


def test_what_is_posted_is_dated_with_the_change(conn: Connection) -> None:
    row, operation = payment_in(conn), operation_in(conn, "sale", status="succeeded")
    commit(conn, POLICY, at_rest(row, postings=(OperationPosting(operation, TAKEN),)))
    found = conn.exec_driver_sql("SELECT source_kind, source_id, payment_id, currency, recorded_at FROM postings")
    assert set(found) == {("operation", "op", "pay", "EUR", AT)}


def test_a_payment_that_must_be_seen_opens_one_review(conn: Connection) -> None:
    row = payment_in(conn, "in_review")
    commit(conn, POLICY, at_rest(row))
    assert conn.execute(reviews.select()).all() == []
    commit(conn, POLICY, at_rest(existing_payment(conn, "pay"), opens_review=True))
    review = ReviewRow(**conn.execute(reviews.select()).one()._mapping)
    assert review == ReviewRow(id=review.id, payment_id="pay", opened_at=AT, sequence=1)
    assert is_id("rev", review.id)


def spent(conn: Connection, day: str = "1970-01-04") -> dict[str, int]:
    """What is used of the caps of a day, by subject (euro cents)."""
    found = conn.execute(caps.select().where(caps.c.day == day))
    return {row.subject: row.used for row in found}


def test_caps_are_given_back_to_card_and_merchant_on_the_day_they_were_spent(conn: Connection) -> None:
    row = msgspec.structs.replace(situations.payment("declined"), created_at=5 * DAY_US)
    insert_payment(conn, row)
    day = from_micros(3 * DAY_US + 7).date()
    for subject in ("fp", "acc_m", "acc_other"):
        for on in (day, day + timedelta(days=2)):
            spend(conn, subject, on, 700, 1000)
    insert_stand_in(conn, "pay", "allow", AT, SpentCaps(500, day))
    commit(conn, POLICY, at_rest(row))
    assert spent(conn) == {"fp": 700, "acc_m": 700, "acc_other": 700}
    commit(conn, POLICY, at_rest(existing_payment(conn, "pay"), returns_caps=True))
    assert spent(conn) == {"fp": 200, "acc_m": 200, "acc_other": 700}
    assert set(spent(conn, "1970-01-06").values()) == {700}


# --- events ----------------------------------------------------------------------------------------------------


def test_an_event_goes_to_the_payments_topic_under_its_stream_key(conn: Connection) -> None:
    row = payment_in(conn, traceparent=TRACEPARENT)
    after = msgspec.structs.replace(row, state="captured", sequence=5, updated_at=AT)
    commit(conn, POLICY, Change(before=row, payment=after, events=("payment.captured", "transaction_completed")))
    events = list_history(conn, "pay", 0, 100)
    assert {(e.topic, e.key, e.subject_id, e.traceparent, e.recorded_at) for e in events} == {
        ("payments.v1", "fp", "pay", TRACEPARENT, AT)
    }
    assert [(event.sequence, event.type) for event in events] == [
        (4, "payment.captured"),
        (5, "transaction_completed"),
    ]
    announced = [fact.row for fact in conn.info["announced"] if isinstance(fact, Unpublished)]
    assert announced == events


def test_an_event_tells_where_the_payment_came_from_and_the_whole_of_it(conn: Connection) -> None:
    row = payment_in(conn, "unknown", announced="pending")
    after = msgspec.structs.replace(row, state="captured", announced="succeeded", sequence=5, updated_at=AT)
    commit(conn, POLICY, Change(before=row, payment=after, events=("payment.captured", "transaction_completed")))
    moved, completed = list_history(conn, "pay", 0, 100)
    at = from_micros(AT)
    assert msgspec.json.decode(moved.value, type=PaymentEvent) == PaymentEvent(4, "unknown", at, snapshot(after))
    assert msgspec.json.decode(completed.value, type=TransactionCompleted) == TransactionCompleted(
        5, "unknown", at, "succeeded", "pending", snapshot(after)
    )


def test_a_new_payment_came_from_nowhere(conn: Connection) -> None:
    row = payment_in(conn, "failed", sequence=2)
    commit(conn, POLICY, Change(before=None, payment=row, events=("payment.failed", "transaction_completed")))
    moved, completed = list_history(conn, "pay", 0, 100)
    assert msgspec.json.decode(moved.value, type=PaymentEvent).previous_state is None
    told = msgspec.json.decode(completed.value, type=TransactionCompleted)
    assert (told.previous_state, told.previous_status) == (None, None)


def test_a_change_without_events_tells_nobody(conn: Connection) -> None:
    commit(conn, POLICY, at_rest(payment_in(conn)))
    assert conn.info.get("announced", []) == list_history(conn, "pay", 0, 100) == []


# --- log lines -------------------------------------------------------------------------------------------------


def closed(conn: Connection, payment: PaymentRow, **given: Any) -> None:
    """Commit the end of a sale."""
    operation = operation_in(conn, "sale")
    ended = msgspec.structs.replace(operation, **given)
    commit(conn, POLICY, at_rest(payment, updates=(OperationUpdate(ended, "sending"),)))


def test_an_operation_that_ended_is_one_line_of_the_log(conn: Connection) -> None:
    row = payment_in(conn, traceparent=TRACEPARENT)
    finished_at = situations.SENT_AT + 2_500
    closed(conn, row, status="declined", decline_code="expired_card", detail="no", finished_at=finished_at)
    assert lines(conn) == [
        OperationLine(
            event="operation.closed",
            timestamp=from_micros(AT),
            trace="a" * 32,
            operation_id="op",
            payment_id="pay",
            kind="sale",
            processor="visa",
            status="declined",
            milliseconds=2.5,
            decline_code="expired_card",
            detail="no",
        )
    ]


def test_a_payment_without_a_trace_has_none_in_the_log(conn: Connection) -> None:
    closed(conn, payment_in(conn), status="succeeded", finished_at=situations.SENT_AT)
    assert [line.trace for line in lines(conn)] == [None]


def test_an_operation_without_an_end_is_not_in_the_log_yet(conn: Connection) -> None:
    closed(conn, payment_in(conn), status="unknown")
    assert lines(conn) == []
    found = select_operation(conn, "op")
    assert found is not None
    assert found.status == "unknown"


@pytest.mark.parametrize("kind", [Committed, OperationLine])
def test_what_was_committed_cannot_be_altered(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


# --- answers to requests ---------------------------------------------------------------------------------------


def test_each_request_is_answered_in_the_view_of_its_role(conn: Connection) -> None:
    risk = msgspec.json.encode(AppliedRisk("allow", "rules", 0.5)).decode()
    row = payment_in(conn, "captured", risk=risk)
    by_customer, by_admin = REQUEST, KeyedRequest("acc_a", "key_2", b"same", "admin")
    request_in(conn, by_customer, ok_status=201)
    request_in(conn, by_admin, ok_status=200)
    step = commit(conn, POLICY, at_rest(row, rests=True))
    for request, status in ((by_customer, 201), (by_admin, 200)):
        body = msgspec.json.encode(payment_view(step.payment, request, POLICY.prints))
        answer = IdempotentAnswer(status, body, "application/json")
        assert select_answer(conn, request) == step.answer_to(request) == answer


@pytest.mark.parametrize("ok_status", [200, 201])
def test_a_request_whose_payment_waits_is_answered_202(conn: Connection, ok_status: int) -> None:
    row = payment_in(conn, "unknown")
    request_in(conn, ok_status=ok_status)
    step = commit(conn, POLICY, at_rest(row, rests=True, waiting=True))
    answer = step.answer_to(REQUEST)
    assert answer is not None
    assert answer == select_answer(conn, REQUEST)
    assert answer.status == 202


def test_only_a_change_that_was_refused_is_answered_so_whatever_was_refused_before(conn: Connection) -> None:
    refusal = msgspec.json.encode(LastRefusal("void", "expired_card", from_micros(AT))).decode()
    row = payment_in(conn, "authorized", last_refusal=refusal)
    request_in(conn, ok_status=200)
    answer = commit(conn, POLICY, at_rest(row, rests=True)).answer_to(REQUEST)
    assert answer is not None
    assert answer.status == 200


def test_a_payment_that_does_not_rest_answers_nobody(conn: Connection) -> None:
    row = payment_in(conn)
    request_in(conn)
    assert commit(conn, POLICY, at_rest(row)).answer_to(REQUEST) is None
    assert select_answer(conn, REQUEST) is None


def test_requests_on_other_payments_go_on(conn: Connection) -> None:
    row = payment_in(conn, "captured")
    request_in(conn, on="pay_other")
    assert commit(conn, POLICY, at_rest(row, rests=True)).answers == {}
    assert select_answer(conn, REQUEST) is None


# --- what is refused -------------------------------------------------------------------------------------------


def test_a_change_of_a_stale_payment_is_refused(conn: Connection) -> None:
    row = payment_in(conn)
    commit(conn, POLICY, at_rest(row))
    with pytest.raises(Outdated):
        commit(conn, POLICY, at_rest(row))


def test_a_change_of_a_stale_operation_is_refused(conn: Connection) -> None:
    row, operation = payment_in(conn), operation_in(conn, "sale", status="unknown")
    with pytest.raises(Outdated):
        commit(conn, POLICY, at_rest(row, updates=(OperationUpdate(operation, "sending"),)))
