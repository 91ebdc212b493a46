"""A request that begins a payment, or works on one, claims its key; a repeat waits, is answered, or takes over."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books.engine import Outdated
from gateway.books.idempotency import (
    IdempotencyKey,
    IdempotentAnswer,
    KeyReused,
    RequestRunning,
    idempotency_keys,
    store_answer,
)
from gateway.books.outbox import list_history
from gateway.books.payments import PaymentRow, existing_payment, update_payment
from gateway.payments.commit import claim_for, receive, take_over
from schemas.payments import PaymentEvent
from tests.gateway.payments import situations
from tests.gateway.payments.stored import POLICY, REQUEST, is_a_minute_away, payment_in

GONE = msgspec.structs.replace(POLICY, worker_id="wrk_gone", lease_us=0)  # its leases run out at once


def the_key(conn: Connection) -> IdempotencyKey:
    """The only row of `idempotency_keys`."""
    return IdempotencyKey(**conn.execute(idempotency_keys.select()).one()._mapping)


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
    (event,) = list_history(conn, "pay", 0, 100)
    assert (event.type, event.sequence) == ("payment.initiated", 1)
    assert msgspec.json.decode(event.value, type=PaymentEvent).previous_state is None


def test_its_key_is_claimed_for_as_long_as_its_lease_and_answers_201(conn: Connection) -> None:
    payment = receive(conn, POLICY, REQUEST, new_payment())
    assert isinstance(payment, PaymentRow)
    key = the_key(conn)
    assert (key.subject_id, key.ok_status, key.role, key.lease_until) == (
        "pay",
        201,
        "customer",
        payment.lease_until,
    )


def test_an_answered_request_is_answered_again_and_writes_nothing(conn: Connection) -> None:
    receive(conn, POLICY, REQUEST, new_payment())
    answer = IdempotentAnswer(201, b"{}", "application/json")
    store_answer(conn, REQUEST, answer)
    assert receive(conn, POLICY, REQUEST, new_payment("pay_2")) == answer
    assert len(list_history(conn, "pay", 0, 100)) == 1


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
    assert len(list_history(conn, "pay", 0, 100)) == 1
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
    payment = payment_in(conn, "authorized")
    assert claim_for(conn, POLICY, REQUEST, "pay") == payment
    key = the_key(conn)
    assert is_a_minute_away(key.lease_until)
    assert (key.subject_id, key.ok_status) == ("pay", 200)
    with pytest.raises(RequestRunning):
        claim_for(conn, POLICY, REQUEST, "pay")
    answer = IdempotentAnswer(202, b"{}", "application/json")
    store_answer(conn, REQUEST, answer)
    assert claim_for(conn, POLICY, REQUEST, "pay") == answer


def test_a_taken_payment_is_this_workers_from_the_version_it_read(conn: Connection) -> None:
    read = payment_in(conn, worker_id="wrk_gone")
    taken = take_over(conn, POLICY, read)
    assert is_a_minute_away(taken.lease_until)
    assert taken == existing_payment(conn, "pay")
    assert (taken.worker_id, taken.version) == ("wrk", read.version + 1)
    with pytest.raises(Outdated):
        take_over(conn, POLICY, read)
