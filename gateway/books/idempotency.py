"""Idempotency keys: one unique INSERT claims a request, the stored bytes answer every repeat of it.

A key belongs to an account. While its lease lives, a repeat is told to wait; after it, whoever comes with the
same request takes over. The key of a payment's request is answered by the commit that finishes the payment.
"""

from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    bindparam,
    case,
    delete,
    select,
    update,
)

from gateway.books.metadata import Micros, metadata
from gateway.books.statement import Statement
from gateway.errors import IdempotencyKeyReused, RequestInProgress

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("payment", Text, index=True),
    Column("ok_status", Integer, nullable=False),  # the answer of a payment that waits for nobody: 201 or 200
    Column("status", Integer),  # null: still running
    Column("body", LargeBinary),
    Column("lease_until", Micros, nullable=False),
    Column("created_at", Micros, nullable=False),
)


class Claimed(msgspec.Struct, frozen=True):
    """The key is ours. `payment` is set where an earlier claim came that far before its lease ran out."""

    payment: str | None = None


class Replay(msgspec.Struct, frozen=True):
    """What a request was answered, byte by byte. `payment` is the one it ran on, if any."""

    status: int
    body: bytes
    payment: str | None = None


_column = idempotency_keys.c
_mine = (_column.account == bindparam("of_account")) & (_column.key == bindparam("of_key"))
_running = _column.status.is_(None)

_insert = Statement(lambda insert: insert(idempotency_keys).on_conflict_do_nothing())
_select = Statement(
    select(_column.fingerprint, _column.payment, _column.status, _column.body, _column.lease_until).where(_mine)
)
_take_over = Statement(
    update(idempotency_keys)
    .where(_mine, _running, _column.lease_until <= bindparam("now"))
    .values(lease_until=bindparam("lease"))
)
_store = Statement(
    update(idempotency_keys).where(_mine).values(status=bindparam("to_status"), body=bindparam("to_body"))
)
_release = Statement(delete(idempotency_keys).where(_mine, _running))
_answer_payment = Statement(
    update(idempotency_keys)
    .where(_column.payment == bindparam("of_payment"), _running)
    .values(
        status=case((bindparam("waits") == 1, 202), else_=_column.ok_status),
        body=bindparam("to_body"),
    )
    .returning(_column.status)
)


def claim(
    conn: Connection,
    account: str,
    key: str,
    fingerprint: bytes,
    now: int,
    lease_until: int,
    payment: str | None = None,
    ok_status: int = 201,
) -> Claimed | Replay:
    """Claim a key until `lease_until` (microseconds UTC), or read what its request was answered.

    Raises `IdempotencyKeyReused` for another request and `RequestInProgress` while someone holds the key.
    """
    inserted = _insert(
        conn,
        account=account,
        key=key,
        fingerprint=fingerprint,
        payment=payment,
        ok_status=ok_status,
        status=None,
        body=None,
        lease_until=lease_until,
        created_at=now,
    )
    if inserted.rowcount:
        return Claimed()
    return _known(conn, account, key, fingerprint, now, lease_until)


def _known(
    conn: Connection, account: str, key: str, fingerprint: bytes, now: int, lease_until: int
) -> Claimed | Replay:
    row = _select(conn, of_account=account, of_key=key).one()
    if replay := _replay(row, fingerprint):
        return replay
    if not _take_over(conn, of_account=account, of_key=key, now=now, lease=lease_until).rowcount:
        raise RequestInProgress(retry_after=1)
    return Claimed(row.payment)


def select_replay(conn: Connection, account: str, key: str, fingerprint: bytes) -> Replay | None:
    """What this request was answered; None where it is new or still running. Raises `IdempotencyKeyReused`."""
    row = _select(conn, of_account=account, of_key=key).first()
    return _replay(row, fingerprint) if row else None


def _replay(row: Row[Any], fingerprint: bytes) -> Replay | None:
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Replay(row.status, row.body, row.payment) if row.status is not None else None


def store_answer(conn: Connection, account: str, key: str, status: int, body: bytes) -> None:
    """Keep the answer of a request that is not a payment's."""
    _store(conn, of_account=account, of_key=key, to_status=status, to_body=body)


def release(conn: Connection, account: str, key: str) -> None:
    """Forget the claim of a request that was refused before it did anything."""
    _release(conn, of_account=account, of_key=key)


def answer_payment(conn: Connection, payment: str, body: bytes, *, waits: bool) -> int | None:
    """Answer the request that runs on a payment: 202 where it waits for someone; None where no one asks."""
    row = _answer_payment(conn, of_payment=payment, waits=int(waits), to_body=body).first()
    return row.status if row else None
