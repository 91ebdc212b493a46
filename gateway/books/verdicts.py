"""Verdicts: one row per payment is applied, the first writer wins; one that comes too late stands beside it.

A late one that blocks is due until it was acted upon: its payment may be in the middle of a call.
"""

from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Index, bindparam, exists, func, insert, select, update

from gateway.books.payments import payments
from gateway.books.reviews import reviews
from gateway.books.sql import Statement
from gateway.books.tables import Micros, Minor, SerialId, table_of
from schemas.fraud import Outcome, Source, Verdict
from schemas.payments import ProcessorName
from schemas.times import to_micros


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `verdicts`. `features`: JSON, null where the stand-in judged; `recorded_at`: microseconds UTC.

    `spent`: what the stand-in spent of the caps of `spent_day` (ISO 8601), in euro cents. Of a late verdict,
    `reasons`: JSON (those of the applied one are on the payment); `due_at`: when it is acted upon (steady clock);
    null: nothing is to do.
    """

    id: SerialId
    payment_id: str
    applied: bool
    source: Source
    outcome: Outcome
    score: float | None
    model: str | None
    features: str | None
    recorded_at: Micros
    spent: Minor | None = None
    reasons: str | None = None
    due_at: Micros | None = None
    spent_day: str | None = None


verdicts = table_of("verdicts", VerdictRow, sqlite_autoincrement=True)
_c = verdicts.c
Index("ix_verdicts_payment_id", _c.payment_id)
_applied = _c.applied.is_(True)
_late = _c.applied.is_(False)
_is_due = _c.due_at.is_not(None)
Index("uq_verdicts_applied", _c.payment_id, unique=True, sqlite_where=_applied, postgresql_where=_applied)
Index("uq_verdicts_late", _c.payment_id, unique=True, sqlite_where=_late, postgresql_where=_late)
Index("ix_verdicts_due_at", _c.due_at, sqlite_where=_is_due, postgresql_where=_is_due)

_values: dict[str, Any] = {column.name: bindparam(column.name) for column in _c if column.name != "id"}
_insert = Statement(insert(verdicts).values(_values))
_insert_late = Statement(lambda insert: insert(verdicts).values(_values).on_conflict_do_nothing())
_spent = Statement(select(_c.spent, _c.spent_day).where(_c.payment_id == bindparam("of_payment_id"), _applied))
# Few are due, and all payments are at some processor: without a function around it SQLite goes through its index,
# and through the verdicts of every payment there (0.3 s of a million payments, twice a second).
_at = func.coalesce(payments.c.processor, "")
_due = Statement(
    select(_c.id, _c.payment_id, _c.reasons)
    .join(payments, payments.c.id == _c.payment_id)
    .where(_is_due, _c.due_at <= bindparam("now"), _at == bindparam("at_processor"))
    .order_by(_c.due_at)
    .limit(bindparam("most"))
)
_settle = Statement(
    update(verdicts).where(_c.id == bindparam("verdict_id"), _is_due).values(due_at=bindparam("again_at"))
)
_scored = Statement(
    select(_c.features, _c.score, _c.model)
    .where(_c.payment_id == bindparam("of_payment_id"), _c.features.is_not(None))
    .order_by(_c.applied.desc(), _c.id)
    .limit(1)
)

_blocked = Statement(
    select(_c.id).where(_c.payment_id == bindparam("of_payment_id"), _late, _c.outcome == bindparam("blocking"))
)

NEWEST = 20  # payments of a customer: so much does the question read, however many there are
_newest = (
    select(payments.c.id)
    .where(payments.c.customer_id == bindparam("of_customer_id"), payments.c.id >= bindparam("since_id"))
    .order_by(payments.c.id.desc())
    .limit(NEWEST)
)
_let_through = exists().where(reviews.c.payment_id == _c.payment_id, reviews.c.decision == "approve")
_held_by_flow = Statement(
    select(func.count().label("held")).where(
        _c.payment_id.in_(_newest),
        _c.source != "stand_in",
        (_c.outcome == "review") | (_c.outcome == "block"),
        ~_let_through,
    )
)


class ScoredVerdict(msgspec.Struct, frozen=True):
    """What the fraud flow saw of a payment; all null where it never answered."""

    features: dict[str, float] | None = None
    score: float | None = None
    model: str | None = None


class SpentCaps(msgspec.Struct, frozen=True):
    """What was spent of the two caps of a day, in euro cents."""

    cents: int
    day: date


class LateBlock(msgspec.Struct, frozen=True):
    """A verdict that blocks a payment which was judged before it came. `reasons`: JSON."""

    id: int
    payment_id: str
    reasons: str


def insert_verdict(conn: Connection, verdict: Verdict) -> None:
    """Store a verdict of the flow as the applied one. Raises `IntegrityError` where another one is."""
    _insert(conn, **_row(verdict, applied=True))


def insert_late(conn: Connection, verdict: Verdict, now: int | None) -> None:
    """Store a verdict that came too late beside the applied one, once; one that blocks is due at `now`.

    None: it was acted upon already.
    """
    reasons = msgspec.json.encode(verdict.reasons).decode()
    due_at = now if verdict.outcome == "block" else None
    _insert_late(conn, **_row(verdict, applied=False, reasons=reasons, due_at=due_at))


def insert_stand_in(
    conn: Connection, payment_id: str, outcome: Outcome, now: int, spent: SpentCaps | None = None
) -> None:
    """Store the stand-in's own verdict as the applied one, with what it spent of its caps."""
    row = VerdictRow(
        id=0,
        payment_id=payment_id,
        applied=True,
        source="stand_in",
        outcome=outcome,
        score=None,
        model=None,
        features=None,
        recorded_at=now,
        spent=spent.cents if spent else None,
        spent_day=spent.day.isoformat() if spent else None,
    )
    insert_applied(conn, row)


def insert_applied(conn: Connection, row: VerdictRow) -> None:
    """Store a row of the applied verdict; its id is counted. Raises `IntegrityError` where another one is."""
    _insert(conn, **msgspec.structs.asdict(row))


def _row(
    verdict: Verdict, *, applied: bool, reasons: str | None = None, due_at: int | None = None
) -> dict[str, object]:
    row = VerdictRow(
        id=0,  # counted by the database
        payment_id=verdict.payment,
        applied=applied,
        source=verdict.source,
        outcome=verdict.outcome,
        score=verdict.score,
        model=verdict.model,
        features=msgspec.json.encode(verdict.features).decode(),
        recorded_at=to_micros(verdict.recorded_at),
        reasons=reasons,
        due_at=due_at,
    )
    return msgspec.structs.asdict(row)


def select_spent(conn: Connection, payment_id: str) -> SpentCaps | None:
    """What the stand-in spent of its caps to let a payment through; None where it spent nothing."""
    row = _spent(conn, of_payment_id=payment_id).first()
    if row is None or not row.spent or row.spent_day is None:  # an earlier release kept no day
        return None
    return SpentCaps(row.spent, date.fromisoformat(row.spent_day))


def select_due_blocks(conn: Connection, processor: ProcessorName | None, now: int, most: int) -> list[LateBlock]:
    """Up to `most` late blocks of payments at a processor, due by `now` (steady clock), the oldest first.

    None: of payments for which no processor was asked.
    """
    return [LateBlock(*row) for row in _due(conn, now=now, at_processor=processor or "", most=most)]


def settle_block(conn: Connection, verdict_id: int, again_at: int | None = None) -> bool:
    """Note that a late block was acted upon, or when it is to be tried again; False where someone else did."""
    return bool(_settle(conn, verdict_id=verdict_id, again_at=again_at).rowcount)


def is_blocked_late(conn: Connection, payment_id: str) -> bool:
    """Whether a verdict that blocks a payment came after another one was applied, acted upon or not."""
    return _blocked(conn, of_payment_id=payment_id, blocking="block").first() is not None


def count_held_by_flow(conn: Connection, customer_id: str, since_id: str) -> int:
    """How many of a customer's newest payments since `since_id` the flow held or blocked, in time or late.

    What a person let through since does not count.
    """
    row = _held_by_flow(conn, of_customer_id=customer_id, since_id=since_id).first()
    return int(row.held) if row else 0


def select_scored(conn: Connection, payment_id: str) -> ScoredVerdict:
    """The features and score of a payment, from the applied verdict or else from a late one."""
    row = _scored(conn, of_payment_id=payment_id).first()
    if row is None:
        return ScoredVerdict()
    return ScoredVerdict(msgspec.json.decode(row.features, type=dict[str, float]), row.score, row.model)
