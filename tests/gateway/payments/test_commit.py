"""What one transaction writes of a payment, and what of it is announced once it is committed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, create_engine

from connectors.processors.contract import Answer
from gateway.books.idempotency import (
    IdempotencyKey,
    IdempotentAnswer,
    KeyedRequest,
    KeyReused,
    RequestRunning,
    claim,
    idempotency_keys,
    select_answer,
    store_answer,
)
from gateway.books.operations import (
    Attempt,
    Operation,
    OperationKind,
    OperationOpen,
    OperationStatus,
    insert_attempt,
    insert_operation,
    select_attempts,
    select_operation,
    select_operations,
)
from gateway.books.outbox import OutboxRow, select_history
from gateway.books.payments import Outdated, PaymentRow, existing_payment, insert_payment, update_payment
from gateway.books.postings import post, select_entries
from gateway.books.reviews import ReviewRow, reviews
from gateway.books.tables import metadata
from gateway.books.verdicts import caps, spend
from gateway.payments.changes import Change, Effect, NextOperation, OperationPosting, OperationUpdate, change_of
from gateway.payments.commit import (
    Committed,
    OperationLine,
    apply,
    apply_to,
    claim_for,
    commit,
    open_reversal,
    receive,
    take_over,
)
from gateway.payments.views import payment_view, snapshot
from schemas.payments import AppliedRisk, PaymentEvent, TransactionCompleted
from schemas.times import from_micros, now_micros
from tests.gateway.payments import situations

MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
POLICY = msgspec.structs.replace(situations.POLICY, lease_us=MINUTE_US)
GONE = msgspec.structs.replace(POLICY, worker_id="wrk_gone", lease_us=0)  # its leases run out at once
REQUEST = KeyedRequest("acc_c", "key", b"same", "customer")
AT = 5 * DAY_US + 7_000  # microseconds UTC
TAKEN = (("due:visa", 500), ("due:acc_m", -500))
HELD = (("hold:visa", 500), ("hold:acc_m", -500))
RELEASED = (("hold:visa", -500), ("hold:acc_m", 500))
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
CAPTURE = NextOperation("capture", "visa", "att", "op", "ref", 300)


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as conn:
        yield conn
    engine.dispose()


def stored(conn: Connection, state: Any = "processing", **given: Any) -> PaymentRow:
    """A payment in the books."""
    row = situations.payment(state, **given)
    insert_payment(conn, row)
    return row


def sent(conn: Connection, kind: OperationKind, **given: Any) -> Operation:
    """An operation in the books."""
    row = situations.operation(kind, **({"parent_id": None, "parent_reference": None} | given))
    insert_operation(conn, row)
    return row


def running(conn: Connection, request: KeyedRequest = REQUEST, ok_status: int = 201, on: str = "pay") -> None:
    """A request that runs on a payment."""
    claim(conn, request, 0, now_micros() + MINUTE_US, subject_id=on, ok_status=ok_status)


def key_of(conn: Connection, request: KeyedRequest = REQUEST) -> IdempotencyKey:
    """The row of a request's key."""
    query = idempotency_keys.select().where(idempotency_keys.c.key == request.key)
    return IdempotencyKey(**conn.execute(query).one()._mapping)


def is_a_minute_away(moment: int | None) -> bool:
    """Whether a lease taken just now, or on a slow machine a little earlier, runs out then."""
    return moment is not None and 0 <= now_micros() + MINUTE_US - moment < MINUTE_US / 2


def lines(conn: Connection) -> list[OperationLine]:
    """The log lines that were announced."""
    return [fact for fact in conn.info.get("announced", []) if isinstance(fact, OperationLine)]


def at_rest(row: PaymentRow, **given: Any) -> Change:
    """The change that leaves a payment as it is, but for `given` fields of the change."""
    return Change(before=row, payment=msgspec.structs.replace(row, updated_at=AT), **given)


# --- receiving a request ------------------------------------------------------------------------------------


def new_payment(id: str = "pay", **given: Any) -> PaymentRow:
    """A payment as its route makes it."""
    fresh: dict[str, Any] = {"attempts": 0, "sequence": 0, "recovery_point": "received"}
    return msgspec.structs.replace(situations.payment(**(fresh | given)), id=id)


def test_a_received_payment_is_written_for_this_worker_and_initiated(conn: Connection) -> None:
    payment = receive(conn, POLICY, REQUEST, new_payment())
    assert isinstance(payment, PaymentRow)
    assert is_a_minute_away(payment.lease_until)
    assert payment == existing_payment(conn, "pay")
    assert (payment.worker_id, payment.sequence, payment.recovery_point) == ("wrk", 1, "received")
    (event,) = select_history(conn, "pay")
    assert (event.type, event.sequence) == ("payment.initiated", 1)
    assert msgspec.json.decode(event.value, type=PaymentEvent).previous_state is None


def test_its_key_is_claimed_for_as_long_as_its_lease_and_answers_201(conn: Connection) -> None:
    payment = receive(conn, POLICY, REQUEST, new_payment())
    assert isinstance(payment, PaymentRow)
    key = key_of(conn)
    assert (key.subject_id, key.ok_status, key.role, key.lease_until) == (
        "pay",
        201,
        "customer",
        payment.lease_until,
    )


def test_an_answered_request_is_answered_again_and_writes_nothing(conn: Connection) -> None:
    receive(conn, POLICY, REQUEST, new_payment())
    answer = IdempotentAnswer(201, b"{}", "application/json", "pay")
    store_answer(conn, REQUEST, answer)
    assert receive(conn, POLICY, REQUEST, new_payment("pay_2")) == answer
    assert len(select_history(conn, "pay")) == 1


def test_a_key_is_not_lent_to_another_request(conn: Connection) -> None:
    receive(conn, POLICY, REQUEST, new_payment())
    other = msgspec.structs.replace(REQUEST, fingerprint=b"other")
    with pytest.raises(KeyReused):
        receive(conn, POLICY, other, new_payment("pay_2"))


def test_a_repeat_is_told_to_wait_while_the_worker_lives(conn: Connection) -> None:
    receive(conn, POLICY, REQUEST, new_payment())
    with pytest.raises(RequestRunning):
        receive(conn, POLICY, REQUEST, new_payment("pay_2"))


def test_a_repeat_takes_over_the_payment_of_a_worker_that_went_away(conn: Connection) -> None:
    receive(conn, GONE, REQUEST, new_payment())
    taken = receive(conn, POLICY, REQUEST, new_payment("pay_2"))
    assert isinstance(taken, PaymentRow)
    assert is_a_minute_away(taken.lease_until)
    assert taken == existing_payment(conn, "pay")
    assert (taken.id, taken.worker_id, taken.version) == ("pay", "wrk", 2)
    assert len(select_history(conn, "pay")) == 1
    with pytest.raises(RequestRunning):  # the key is this worker's now, too
        receive(conn, POLICY, REQUEST, new_payment("pay_3"))


@pytest.mark.parametrize("point", ["approved", "judged", "finished"])
def test_a_payment_that_went_further_is_answered_by_recovery(conn: Connection, point: Any) -> None:
    payment = receive(conn, GONE, REQUEST, new_payment())
    assert isinstance(payment, PaymentRow)
    update_payment(conn, msgspec.structs.replace(payment, recovery_point=point))
    with pytest.raises(RequestRunning) as refused:
        receive(conn, POLICY, REQUEST, new_payment("pay_2"))
    assert refused.value.retry_after_s == 1
    assert existing_payment(conn, "pay").worker_id == "wrk_gone"


def test_a_request_on_a_payment_claims_its_key_and_answers_200(conn: Connection) -> None:
    payment = stored(conn, "authorized")
    assert claim_for(conn, POLICY, REQUEST, "pay") == payment
    key = key_of(conn)
    assert is_a_minute_away(key.lease_until)
    assert (key.subject_id, key.ok_status) == ("pay", 200)
    with pytest.raises(RequestRunning):
        claim_for(conn, POLICY, REQUEST, "pay")
    answer = IdempotentAnswer(202, b"{}", "application/json", "pay")
    store_answer(conn, REQUEST, answer)
    assert claim_for(conn, POLICY, REQUEST, "pay") == answer


def test_a_taken_payment_is_this_workers_from_the_version_it_read(conn: Connection) -> None:
    read = stored(conn, worker_id="wrk_gone")
    taken = take_over(conn, POLICY, read)
    assert is_a_minute_away(taken.lease_until)
    assert taken == existing_payment(conn, "pay")
    assert (taken.worker_id, taken.version) == ("wrk", read.version + 1)
    with pytest.raises(Outdated):
        take_over(conn, POLICY, read)


# --- applying an answer -------------------------------------------------------------------------------------


def test_an_answer_to_no_operation_of_ours_is_refused(conn: Connection) -> None:
    with pytest.raises(LookupError, match="^'?op_none'?$"):
        apply(conn, POLICY, "op_none", Answer("succeeded"))


def test_an_approval_is_written_with_what_it_posts_and_tells(conn: Connection) -> None:
    stored(conn, processor="visa")
    sent(conn, "sale")
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
    assert select_entries(conn, "op") == TAKEN
    assert [row.type for row in select_history(conn, "pay")] == ["payment.captured", "transaction_completed"]


def test_an_answer_counts_from_now(conn: Connection) -> None:
    stored(conn)
    sent(conn, "sale")
    began = now_micros()
    assert began <= apply(conn, POLICY, "op", Answer("succeeded")).payment.updated_at <= now_micros()


def test_an_answer_applied_before_changes_nothing(conn: Connection) -> None:
    stored(conn)
    sent(conn, "sale")
    apply(conn, POLICY, "op", Answer("succeeded"))
    before, told = existing_payment(conn, "pay"), len(conn.info["announced"])
    for answer in (Answer("succeeded"), Answer("declined"), Answer("unknown")):
        assert apply(conn, POLICY, "op", answer) == Committed(before)
    assert existing_payment(conn, "pay") == before
    assert len(conn.info["announced"]) == told
    assert select_entries(conn, "op") == TAKEN


def test_an_answer_to_rows_that_changed_since_is_refused(conn: Connection) -> None:
    payment, operation = stored(conn), sent(conn, "sale")
    apply(conn, POLICY, "op", Answer("unknown"))
    with pytest.raises(Outdated):
        apply_to(conn, POLICY, payment, operation, Answer("succeeded"))
    newer = existing_payment(conn, "pay")
    with pytest.raises(Outdated):
        apply_to(conn, POLICY, newer, operation, Answer("succeeded"))


@pytest.mark.parametrize("kind", ["void", "reversal"])
def test_what_is_taken_back_undoes_what_the_books_say_was_posted(conn: Connection, kind: OperationKind) -> None:
    stored(conn, "authorized")
    parent = sent(conn, "authorize", id="op_before", status="succeeded")
    post(conn, parent, HELD, 0)
    sent(conn, kind, parent_id="op_before")
    apply(conn, POLICY, "op", Answer("succeeded"))
    assert select_entries(conn, "op") == RELEASED


def test_a_capture_posts_its_own_amount_and_leaves_its_parents_entries(conn: Connection) -> None:
    stored(conn, "authorized")
    parent = sent(conn, "authorize", id="op_before", status="succeeded")
    post(conn, parent, HELD, 0)
    sent(conn, "capture", parent_id="op_before", amount=300)
    apply(conn, POLICY, "op", Answer("succeeded"))
    assert select_entries(conn, "op") == (*RELEASED, ("due:visa", 300), ("due:acc_m", -300))
    assert select_entries(conn, "op_before") == HELD


def test_a_late_approval_waits_for_the_reversal_that_is_open(conn: Connection) -> None:
    stored(conn, "unknown")
    sent(conn, "sale", status="unknown")
    sent(conn, "reversal", id="op_back", parent_id="op")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("unknown", None)


def test_an_operation_in_doubt_is_not_in_its_own_way(conn: Connection) -> None:
    stored(conn, "authorized", capture="manual")
    sent(conn, "capture", status="unknown")
    running(conn)
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert step.payment.state == "captured"
    assert step.answer is not None
    assert step.answer.status == 201


def test_a_captures_reversal_leaves_the_capture_begun_beside_it_alone(conn: Connection) -> None:
    stored(conn, "authorized")
    sent(conn, "capture", id="op_late", status="failed")
    sent(conn, "capture", id="op_now", status="unknown")
    sent(conn, "reversal", parent_id="op_late")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("authorized", None)


def test_a_capture_in_flight_is_taken_whatever_is_taken_back_beside_it(conn: Connection) -> None:
    stored(conn, "authorized")
    sent(conn, "capture", id="op_late", status="succeeded")
    sent(conn, "reversal", id="op_back", parent_id="op_late")
    sent(conn, "capture")
    step = apply(conn, POLICY, "op", Answer("succeeded"))
    assert (step.payment.state, step.to_send) == ("captured", None)


def test_a_reversal_books_the_parent_it_found(conn: Connection) -> None:
    stored(conn, "unknown")
    sent(conn, "sale", id="op_before", status="unknown")
    sent(conn, "reversal", parent_id="op_before")
    assert apply(conn, POLICY, "op", Answer("succeeded")).payment.state == "voided"
    booked = select_operation(conn, "op_before")
    assert booked is not None
    assert booked.status == "succeeded"
    assert select_entries(conn, "op_before") == TAKEN
    assert [line.operation_id for line in lines(conn)] == ["op", "op_before"]


# --- the operation to send next -----------------------------------------------------------------------------


def test_the_next_operation_is_in_the_books_before_it_is_sent(conn: Connection) -> None:
    row = stored(conn, "authorized")
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
        worker_id="wrk",
        lease_until=AT + MINUTE_US,
        created_at=AT,
    )
    assert step.to_send.id.startswith("op_")
    assert (step.answer, select_attempts(conn, "pay")) == (None, [])


def test_an_operation_without_an_amount_is_for_the_whole_payment(conn: Connection) -> None:
    row = stored(conn, "authorized")
    whole = msgspec.structs.replace(CAPTURE, amount=0)
    step = commit(conn, POLICY, change_of(row, Effect(row, whole), POLICY, AT))
    assert step.to_send is not None
    assert step.to_send.amount == 500


def test_attempts_are_numbered_and_name_their_processor(conn: Connection) -> None:
    row = stored(conn, attempts=0)
    first = commit(conn, POLICY, change_of(row, Effect(row, NextOperation("sale", "visa")), POLICY, AT))
    assert first.to_send is not None
    second = apply(conn, POLICY, first.to_send.id, Answer("failed"))
    assert second.to_send is not None
    one, two = select_attempts(conn, "pay")
    assert one == Attempt(first.to_send.attempt_id, "pay", 1, "visa", AT)
    assert two == Attempt(second.to_send.attempt_id, "pay", 2, "mastercard", second.payment.updated_at)
    assert one.id.startswith("att_")
    assert second.payment.attempts == 2


def test_an_operation_is_refused_while_another_is_open(conn: Connection) -> None:
    row = stored(conn, "authorized")
    sent(conn, "void")
    with pytest.raises(OperationOpen):
        commit(conn, POLICY, change_of(row, Effect(row, CAPTURE), POLICY, AT))


def test_a_capture_is_one_of_its_own_though_its_authorization_was_once_to_be_reversed(conn: Connection) -> None:
    row = stored(conn, "authorized")
    sent(conn, "authorize", status="succeeded")
    sent(conn, "reversal", id="op_back", parent_id="op", status="failed")
    step = commit(conn, POLICY, change_of(row, Effect(row, CAPTURE), POLICY, AT))
    assert step.to_send is not None
    assert step.to_send.kind == "capture"


# --- reversals ----------------------------------------------------------------------------------------------


def test_a_reversal_names_what_it_takes_back_by_our_id_and_theirs(conn: Connection) -> None:
    stored(conn, "unknown")
    sale = sent(conn, "sale", status="unknown", amount=300, processor_reference="ref")
    reversal = open_reversal(conn, POLICY, sale)
    assert is_a_minute_away(reversal.lease_until)
    assert reversal == select_operation(conn, reversal.id)
    assert (reversal.kind, reversal.status, reversal.amount) == ("reversal", "sending", 300)
    assert (reversal.attempt_id, reversal.processor) == ("att", "visa")
    assert (reversal.parent_id, reversal.parent_reference) == ("op", "ref")


@pytest.mark.parametrize("status", ["failed", "unknown", "declined"])
def test_a_reversal_begun_before_is_opened_again_under_its_id(conn: Connection, status: OperationStatus) -> None:
    stored(conn, "unknown")
    sale = sent(conn, "sale", status="unknown")
    sent(conn, "reversal", id="op_back", parent_id="op", status=status, finished_at=7, lease_until=8)
    again = open_reversal(conn, POLICY, sale)
    assert is_a_minute_away(again.lease_until)
    assert again == select_operation(conn, "op_back")
    assert (again.status, again.finished_at) == ("sending", None)
    assert len(select_operations(conn, "pay")) == 2


def test_a_reversal_that_succeeded_stays_as_it_is(conn: Connection) -> None:
    stored(conn, "voided")
    sale = sent(conn, "sale", status="succeeded")
    done = sent(conn, "reversal", id="op_back", parent_id="op", status="succeeded", finished_at=7)
    assert open_reversal(conn, POLICY, sale) == done == select_operation(conn, "op_back")


# --- postings, reviews, caps --------------------------------------------------------------------------------


def test_what_is_posted_is_dated_with_the_change(conn: Connection) -> None:
    row, operation = stored(conn), sent(conn, "sale")
    commit(conn, POLICY, at_rest(row, postings=(OperationPosting(operation, TAKEN),)))
    found = conn.exec_driver_sql("SELECT source_kind, source_id, payment_id, currency, recorded_at FROM postings")
    assert set(found) == {("operation", "op", "pay", "EUR", AT)}


def test_a_payment_that_must_be_seen_opens_one_review(conn: Connection) -> None:
    row = stored(conn, "in_review")
    commit(conn, POLICY, at_rest(row))
    assert conn.execute(reviews.select()).all() == []
    commit(conn, POLICY, at_rest(existing_payment(conn, "pay"), opens_review=True))
    review = ReviewRow(**conn.execute(reviews.select()).one()._mapping)
    assert review == ReviewRow(id=review.id, payment_id="pay", opened_at=AT)
    assert review.id.startswith("rev_")


def spent(conn: Connection, day: str = "1970-01-04") -> dict[str, int]:
    """What is used of the caps of a day, by subject (minor units)."""
    found = conn.execute(caps.select().where(caps.c.currency == "EUR", caps.c.day == day))
    return {row.subject: row.used for row in found}


def test_caps_are_given_back_to_card_and_merchant_on_the_day_they_were_spent(conn: Connection) -> None:
    created_at = 3 * DAY_US + 7
    row = msgspec.structs.replace(situations.payment("declined"), created_at=created_at)
    insert_payment(conn, row)
    day = from_micros(created_at).date()
    for subject in ("fp", "acc_m", "acc_other"):
        for on in (day, day + timedelta(days=2)):
            spend(conn, subject, "EUR", on, 700, 1000)
    commit(conn, POLICY, at_rest(row))
    assert spent(conn) == {"fp": 700, "acc_m": 700, "acc_other": 700}
    commit(conn, POLICY, at_rest(existing_payment(conn, "pay"), returns_caps=True))
    assert spent(conn) == {"fp": 200, "acc_m": 200, "acc_other": 700}
    assert set(spent(conn, "1970-01-06").values()) == {700}


# --- events -------------------------------------------------------------------------------------------------


def test_an_event_goes_to_the_payments_topic_under_its_stream_key(conn: Connection) -> None:
    row = stored(conn, traceparent=TRACEPARENT)
    after = msgspec.structs.replace(row, state="captured", sequence=5, updated_at=AT)
    commit(conn, POLICY, Change(before=row, payment=after, events=("payment.captured", "transaction_completed")))
    events = select_history(conn, "pay")
    assert {(e.topic, e.key, e.subject_id, e.traceparent, e.recorded_at) for e in events} == {
        ("payments.v1", "fp", "pay", TRACEPARENT, AT)
    }
    assert [(event.sequence, event.type) for event in events] == [
        (4, "payment.captured"),
        (5, "transaction_completed"),
    ]
    announced = [fact for fact in conn.info["announced"] if isinstance(fact, OutboxRow)]
    assert announced == events


def test_an_event_tells_where_the_payment_came_from_and_the_whole_of_it(conn: Connection) -> None:
    row = stored(conn, "unknown", announced="pending")
    after = msgspec.structs.replace(row, state="captured", announced="succeeded", sequence=5, updated_at=AT)
    commit(conn, POLICY, Change(before=row, payment=after, events=("payment.captured", "transaction_completed")))
    moved, completed = select_history(conn, "pay")
    at = from_micros(AT)
    assert msgspec.json.decode(moved.value, type=PaymentEvent) == PaymentEvent(4, "unknown", at, snapshot(after))
    assert msgspec.json.decode(completed.value, type=TransactionCompleted) == TransactionCompleted(
        5, "unknown", at, "succeeded", "pending", snapshot(after)
    )


def test_a_change_without_events_tells_nobody(conn: Connection) -> None:
    commit(conn, POLICY, at_rest(stored(conn)))
    assert conn.info.get("announced", []) == select_history(conn, "pay") == []


# --- log lines ----------------------------------------------------------------------------------------------


def closed(conn: Connection, payment: PaymentRow, **given: Any) -> None:
    """Commit the end of a sale."""
    operation = sent(conn, "sale")
    ended = msgspec.structs.replace(operation, **given)
    commit(conn, POLICY, at_rest(payment, updates=(OperationUpdate(ended, "sending"),)))


def test_an_operation_that_ended_is_one_line_of_the_log(conn: Connection) -> None:
    row = stored(conn, traceparent=TRACEPARENT)
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
    closed(conn, stored(conn), status="succeeded", finished_at=situations.SENT_AT)
    assert [line.trace for line in lines(conn)] == [None]


def test_an_operation_without_an_end_is_not_in_the_log_yet(conn: Connection) -> None:
    closed(conn, stored(conn), status="unknown")
    assert lines(conn) == []
    found = select_operation(conn, "op")
    assert found is not None
    assert found.status == "unknown"


@pytest.mark.parametrize("kind", [Committed, OperationLine])
def test_what_was_committed_cannot_be_altered(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


# --- answers to requests ------------------------------------------------------------------------------------


def test_each_request_is_answered_in_the_view_of_its_role(conn: Connection) -> None:
    risk = msgspec.json.encode(AppliedRisk("allow", "rules", 0.5)).decode()
    row = stored(conn, "captured", risk=risk)
    by_customer, by_admin = REQUEST, KeyedRequest("acc_a", "key_2", b"same", "admin")
    running(conn, by_customer, ok_status=201)
    running(conn, by_admin, ok_status=200)
    step = commit(conn, POLICY, at_rest(row, answers=True))
    for request, status in ((by_customer, 201), (by_admin, 200)):
        body = msgspec.json.encode(payment_view(step.payment, request.role))
        assert select_answer(conn, request) == IdempotentAnswer(status, body, "application/json", "pay")
    assert step.answer in (select_answer(conn, by_customer), select_answer(conn, by_admin))


@pytest.mark.parametrize("ok_status", [200, 201])
def test_a_request_whose_payment_waits_is_answered_202(conn: Connection, ok_status: int) -> None:
    row = stored(conn, "unknown")
    running(conn, ok_status=ok_status)
    step = commit(conn, POLICY, at_rest(row, answers=True, waiting=True))
    assert step.answer is not None
    assert step.answer == select_answer(conn, REQUEST)
    assert step.answer.status == 202


def test_a_payment_that_does_not_rest_answers_nobody(conn: Connection) -> None:
    row = stored(conn)
    running(conn)
    assert commit(conn, POLICY, at_rest(row)).answer is None
    assert select_answer(conn, REQUEST) is None


def test_requests_on_other_payments_go_on(conn: Connection) -> None:
    row = stored(conn, "captured")
    running(conn, on="pay_other")
    assert commit(conn, POLICY, at_rest(row, answers=True)).answer is None
    assert select_answer(conn, REQUEST) is None


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_change_of_a_stale_payment_is_refused(conn: Connection) -> None:
    row = stored(conn)
    commit(conn, POLICY, at_rest(row))
    with pytest.raises(Outdated):
        commit(conn, POLICY, at_rest(row))


def test_a_change_of_a_stale_operation_is_refused(conn: Connection) -> None:
    row, operation = stored(conn), sent(conn, "sale", status="unknown")
    with pytest.raises(Outdated):
        commit(conn, POLICY, at_rest(row, updates=(OperationUpdate(operation, "sending"),)))
