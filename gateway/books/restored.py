"""Rows and events put back as the topics told of them, into books that lost them. Nothing of it is told again."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, insert, select, update

from gateway.books.accounts import accounts
from gateway.books.cards import cards
from gateway.books.operations import Attempt, Operation, attempts, operations
from gateway.books.outbox import OutboxRow, outbox
from gateway.books.payments import PaymentRow, payments
from gateway.books.sql import Statement
from gateway.books.verdicts import VerdictRow, insert_applied, verdicts
from schemas.fraud import Verdict
from schemas.payments import AppliedRisk
from schemas.times import to_micros

AT_ONCE = 500  # values of one question

_o = outbox.c


def _putting(table: Table, changing: Sequence[str]) -> Statement:
    return Statement(
        lambda insert: (put := insert(table)).on_conflict_do_update(
            index_elements=["id"], set_={name: put.excluded[name] for name in changing}
        )
    )


_of_payments = PaymentRow.__struct_fields__
_put_payment = _putting(payments, _of_payments[_of_payments.index("state") :])
_told = ("status", "processor_reference", "decline_code", "detail", "lease_until", "finished_at", "sequence")
_put_operation = _putting(operations, _told)
_put_attempt = Statement(lambda insert: insert(attempts).on_conflict_do_nothing())
_insert_event = Statement(insert(outbox).values({c.name: bindparam(c.name) for c in _o if c.name != "id"}))
_told_until = Statement(
    update(accounts)
    .where(accounts.c.id == bindparam("of_account_id"))
    .values(events=bindparam("told", type_=accounts.c.events.type))
)
_oldest = Statement(select(_o.recorded_at).order_by(_o.id).limit(1))
_applied = Statement(
    select(verdicts.c.id).where(verdicts.c.payment_id == bindparam("of_payment_id"), verdicts.c.applied.is_(True))
)


def oldest_event(conn: Connection) -> int | None:
    """When the first event was written that the books have (microseconds UTC); None: they have none."""
    found: int | None = _oldest(conn).scalar()
    return found


def missing_events(conn: Connection, event_ids: Collection[str]) -> set[str]:
    """Those of these events that the books do not have."""
    return _missing(conn, _o.event_id, event_ids)


def missing_accounts(conn: Connection, account_ids: Collection[str]) -> set[str]:
    """Those of these accounts that the books do not have."""
    return _missing(conn, accounts.c.id, account_ids)


def missing_cards(conn: Connection, card_ids: Collection[str]) -> set[str]:
    """Those of these cards that the books do not have."""
    return _missing(conn, cards.c.id, card_ids)


def note_published(conn: Connection, event_ids: Collection[str]) -> None:
    """Note of those of these events that the books have that Kafka has them too: no gateway sends them again."""
    for some in _parts(event_ids):
        waiting = _o.event_id.in_(some) & _o.published_at.is_(None)
        conn.execute(update(outbox).where(waiting).values(published_at=_o.recorded_at))


def _missing(conn: Connection, column: Any, ids: Collection[str]) -> set[str]:
    left = set(ids)
    for some in _parts(ids):
        left -= set(conn.execute(select(column).where(column.in_(some))).scalars())
    return left


def _parts(ids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def is_judged(conn: Connection, payment_id: str) -> bool:
    """Whether the books have the verdict that was applied to a payment."""
    return _applied(conn, of_payment_id=payment_id).first() is not None


def put_applied(conn: Connection, payment: PaymentRow, risk: AppliedRisk, verdict: Verdict | None) -> None:
    """Write the verdict that was applied to a payment; `verdict`: as the flow told of it, with its features."""
    row = VerdictRow(
        id=0,  # counted by the database
        payment_id=payment.id,
        applied=True,
        source=risk.source,
        outcome=risk.outcome,
        score=risk.score,
        model=risk.model,
        features=msgspec.json.encode(verdict.features).decode() if verdict else None,
        recorded_at=to_micros(verdict.recorded_at) if verdict else payment.updated_at,
    )
    insert_applied(conn, row)


def put_payment(conn: Connection, row: PaymentRow) -> None:
    """Write a payment, or what may change of it. Its texts are on no topic: there is nothing to seal."""
    _put_payment(conn, **msgspec.structs.asdict(row))


def put_operation(conn: Connection, operation: Operation) -> None:
    """Write an operation, or what its events tell of it."""
    _put_operation(conn, **msgspec.structs.asdict(operation))


def put_attempt(conn: Connection, attempt: Attempt) -> None:
    """Write an attempt, unless it is there."""
    _put_attempt(conn, **msgspec.structs.asdict(attempt))


def note_told(conn: Connection, account_id: str, sequence: int) -> None:
    """Note how many events there are of an account."""
    _told_until(conn, of_account_id=account_id, told=sequence)


def put_events(conn: Connection, rows: Iterable[OutboxRow]) -> None:
    """Write events that Kafka has, as published, in this order."""
    _insert_event.many(conn, [msgspec.structs.asdict(row) for row in rows])
