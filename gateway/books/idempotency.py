"""Idempotency keys: one unique INSERT claims a request, the stored bytes answer every repeat of it.

A key belongs to an account. While its lease lives, a repeat is told to wait; after it, whoever repeats the request
takes over. The key of a request that runs on a payment is answered by the commit that finishes the payment.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, Index, Row, bindparam, delete, select, update

from gateway.books.engine import Outdated
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from gateway.policy import wait_s
from gateway.refusals import Refusal

JSON = "application/json"


class KeyReused(Refusal):
    """The Idempotency-Key was used for another request."""


class RequestRunning(Refusal):
    """The first request with this Idempotency-Key is still running."""


class KeyedRequest(msgspec.Struct, frozen=True):
    """A request under an Idempotency-Key. `role`: whose view of a payment it is answered with."""

    account_id: str
    key: str
    fingerprint: bytes
    role: str


class IdempotentAnswer(msgspec.Struct, frozen=True):
    """What a request was answered, byte by byte."""

    status: int
    body: bytes
    media_type: str


class RunningRequest(msgspec.Struct, frozen=True):
    """A request that is not answered yet. `ok_status`: of its answer where the payment waits for nobody."""

    account_id: str
    key: str
    role: str
    ok_status: int


class Claimed(msgspec.Struct, frozen=True):
    """The key is ours. `subject_id` is set where an earlier claim came that far before its lease ran out."""

    subject_id: str | None = None


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `idempotency_keys`. Times in microseconds of the steady clock.

    `ok_status`: the answer of a payment that waits for nobody (201 or 200). `status`: null while running.
    """

    account_id: str
    key: str
    fingerprint: bytes
    subject_id: str | None
    role: str
    ok_status: Int32
    status: Int32 | None = None
    body: bytes | None = None
    media_type: str | None = None
    lease_until: Micros
    created_at: Micros


idempotency_keys = table_of("idempotency_keys", IdempotencyKey, primary_key=("account_id", "key"))
_c = idempotency_keys.c
Index("ix_idempotency_keys_subject_id", _c.subject_id)

_this_key = (_c.account_id == bindparam("of_account_id")) & (_c.key == bindparam("of_key"))
_is_running = _c.status.is_(None)

_insert = Statement(lambda insert: insert(idempotency_keys).on_conflict_do_nothing())
_select = Statement(
    select(_c.fingerprint, _c.subject_id, _c.status, _c.body, _c.media_type, _c.lease_until).where(_this_key)
)
_take_over = Statement(
    update(idempotency_keys)
    .where(_this_key, _is_running, _c.lease_until <= bindparam("now"))
    .values(lease_until=bindparam("to_lease"))
)
_running_on = Statement(
    select(_c.account_id, _c.key, _c.role, _c.ok_status).where(
        _c.subject_id == bindparam("of_subject_id"), _is_running
    )
)
_store = Statement(
    update(idempotency_keys)
    .where(_this_key, _is_running)
    .values(status=bindparam("to_status"), body=bindparam("to_body"), media_type=bindparam("to_media_type"))
)
_release = Statement(delete(idempotency_keys).where(_this_key, _is_running))


def claim(
    conn: Connection,
    request: KeyedRequest,
    now: int,
    lease_until: int,
    subject_id: str | None = None,
    ok_status: int = 201,
) -> Claimed | IdempotentAnswer:
    """Claim a key from `now` until `lease_until` (steady clock), or read what its request was answered.

    Raises `KeyReused` for another request and `RequestRunning` while someone holds the key.
    """
    row = IdempotencyKey(
        account_id=request.account_id,
        key=request.key,
        fingerprint=request.fingerprint,
        subject_id=subject_id,
        role=request.role,
        ok_status=ok_status,
        lease_until=lease_until,
        created_at=now,
    )
    if _insert(conn, **msgspec.structs.asdict(row)).rowcount:
        return Claimed()
    return _known(conn, request, now, lease_until)


def _known(conn: Connection, request: KeyedRequest, now: int, lease_until: int) -> Claimed | IdempotentAnswer:
    row = _select(conn, of_account_id=request.account_id, of_key=request.key).first()
    if row is None:  # released since the INSERT met it
        raise Outdated(request.key)
    if answer := _answer(row, request.fingerprint):
        return answer
    taken = _take_over(conn, of_account_id=request.account_id, of_key=request.key, now=now, to_lease=lease_until)
    if not taken.rowcount:
        raise RequestRunning(retry_after_s=wait_s(row.lease_until, now, lease_until - now))
    return Claimed(row.subject_id)


def select_answer(conn: Connection, request: KeyedRequest) -> IdempotentAnswer | None:
    """What this request was answered; None where it is new or still running. Raises `KeyReused`."""
    row = _select(conn, of_account_id=request.account_id, of_key=request.key).first()
    return _answer(row, request.fingerprint) if row else None


def _answer(row: Row[Any], fingerprint: bytes) -> IdempotentAnswer | None:
    if row.fingerprint != fingerprint:
        raise KeyReused
    if row.status is None:
        return None
    return IdempotentAnswer(row.status, row.body, row.media_type)


def select_running(conn: Connection, subject_id: str) -> list[RunningRequest]:
    """The requests that run on a payment."""
    return [RunningRequest(*row) for row in _running_on(conn, of_subject_id=subject_id)]


def store_answer(conn: Connection, request: KeyedRequest | RunningRequest, answer: IdempotentAnswer) -> None:
    """Keep the answer of a request; one that was answered before keeps its first."""
    _store(
        conn,
        of_account_id=request.account_id,
        of_key=request.key,
        to_status=answer.status,
        to_body=answer.body,
        to_media_type=answer.media_type,
    )


def release(conn: Connection, request: KeyedRequest) -> None:
    """Forget the claim of a request that was refused before it did anything."""
    _release(conn, of_account_id=request.account_id, of_key=request.key)
