"""Verdicts: one row per payment is applied, the first writer wins; one that comes too late stands beside it.

With them the caps of the stand-in, which judges where no verdict comes: what may go through unjudged, per card and
per merchant, per currency and UTC day.
"""

from datetime import date

import msgspec
from sqlalchemy import Connection, Index, bindparam, insert, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, Minor, SerialId, table_of
from schemas.fraud import Outcome, Source, Verdict
from schemas.times import to_micros


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `verdicts`. `features`: JSON, null where the stand-in judged; `recorded_at`: microseconds UTC."""

    id: SerialId
    payment_id: str
    applied: bool
    source: Source
    outcome: Outcome
    score: float | None
    model: str | None
    features: str | None
    recorded_at: Micros


verdicts = table_of("verdicts", VerdictRow, sqlite_autoincrement=True)
_c = verdicts.c
Index("ix_verdicts_payment_id", _c.payment_id)
_applied = _c.applied.is_(True)
Index("uq_verdicts_applied", _c.payment_id, unique=True, sqlite_where=_applied, postgresql_where=_applied)

_insert = Statement(insert(verdicts).values({c.name: bindparam(c.name) for c in _c if c.name != "id"}))
_scored = Statement(
    select(_c.features, _c.score, _c.model)
    .where(_c.payment_id == bindparam("of_payment_id"), _c.features.is_not(None))
    .order_by(_c.applied.desc(), _c.id)
    .limit(1)
)


class ScoredVerdict(msgspec.Struct, frozen=True):
    """What the fraud flow saw of a payment; all null where it never answered."""

    features: dict[str, float] | None = None
    score: float | None = None
    model: str | None = None


def insert_verdict(conn: Connection, verdict: Verdict, *, applied: bool) -> None:
    """Store a verdict of the flow. Raises `IntegrityError` where another one is applied already."""
    _insert(
        conn,
        payment_id=verdict.payment,
        applied=applied,
        source=verdict.source,
        outcome=verdict.outcome,
        score=verdict.score,
        model=verdict.model,
        features=msgspec.json.encode(verdict.features).decode(),
        recorded_at=to_micros(verdict.recorded_at),
    )


def insert_late(conn: Connection, late: list[Verdict]) -> None:
    """Store verdicts that came after the stand-in had decided, beside the applied ones."""
    for verdict in late:
        insert_verdict(conn, verdict, applied=False)


def insert_stand_in(conn: Connection, payment_id: str, outcome: Outcome, now: int) -> None:
    """Store the stand-in's own verdict as the applied one."""
    _insert(
        conn,
        payment_id=payment_id,
        applied=True,
        source="stand_in",
        outcome=outcome,
        score=None,
        model=None,
        features=None,
        recorded_at=now,
    )


def select_scored(conn: Connection, payment_id: str) -> ScoredVerdict:
    """The features and score of a payment, from the applied verdict or else from a late one."""
    row = _scored(conn, of_payment_id=payment_id).first()
    if row is None:
        return ScoredVerdict()
    return ScoredVerdict(msgspec.json.decode(row.features, type=dict[str, float]), row.score, row.model)


class CapRow(msgspec.Struct, frozen=True):
    """A row of `caps`. `subject`: a card's fingerprint, a customer's or a merchant's id; `day`: ISO 8601, UTC."""

    subject: str
    currency: str
    day: str
    used: Minor


caps = table_of("caps", CapRow, primary_key=("subject", "currency", "day"))
_this_cap = (
    (caps.c.subject == bindparam("of_subject"))
    & (caps.c.currency == bindparam("of_currency"))
    & (caps.c.day == bindparam("of_day"))
)
_open = Statement(lambda insert: insert(caps).on_conflict_do_nothing())
_spend = Statement(
    update(caps)
    .where(_this_cap, caps.c.used + bindparam("amount") <= bindparam("cap"))
    .values(used=caps.c.used + bindparam("amount"))
)
_give_back = Statement(update(caps).where(_this_cap).values(used=caps.c.used - bindparam("amount")))


def spend(conn: Connection, subject: str, currency: str, day: date, amount: int, cap: int) -> bool:
    """Spend `amount` (minor units) of a cap, all of it or, past the cap, nothing."""
    of_day = day.isoformat()
    _open(conn, subject=subject, currency=currency, day=of_day, used=0)
    spent = _spend(conn, of_subject=subject, of_currency=currency, of_day=of_day, amount=amount, cap=cap)
    return bool(spent.rowcount)


def give_back(conn: Connection, subject: str, currency: str, day: date, amount: int) -> None:
    """Undo a `spend`."""
    _give_back(conn, of_subject=subject, of_currency=currency, of_day=day.isoformat(), amount=amount)
