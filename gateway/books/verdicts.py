"""Verdicts: one row per payment is applied, the first writer wins; one that comes too late stands beside it."""

import msgspec
from sqlalchemy import Boolean, Column, Connection, Float, Index, Table, Text, bindparam, insert, select

from gateway.books.metadata import Micros, Serial, metadata
from gateway.books.statement import Statement
from schemas.fraud import Verdict
from schemas.times import to_micros

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("payment", Text, nullable=False, index=True),
    Column("applied", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("score", Float),
    Column("model", Text),
    Column("features", Text),  # JSON; null where the stand-in judged
    Column("recorded_at", Micros, nullable=False),
    sqlite_autoincrement=True,
)
_applied = verdicts.c.applied.is_(True)
Index("uq_verdicts_applied", verdicts.c.payment, unique=True, sqlite_where=_applied, postgresql_where=_applied)

_c = verdicts.c
_insert = Statement(insert(verdicts).values({c.name: bindparam(c.name) for c in _c if c.name != "id"}))
_scored = Statement(
    select(_c.features, _c.score, _c.model)
    .where(_c.payment == bindparam("of"), _c.features.is_not(None))
    .order_by(_c.applied.desc(), _c.id)
    .limit(1)
)


class Scored(msgspec.Struct, frozen=True):
    """What the fraud flow saw of a payment; all null where it never answered."""

    features: dict[str, float] | None = None
    score: float | None = None
    model: str | None = None


def insert_verdict(conn: Connection, verdict: Verdict, *, applied: bool) -> None:
    """Store a verdict of the flow. Raises `IntegrityError` where another one is applied already."""
    _insert(
        conn,
        payment=verdict.payment,
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


def insert_stand_in(conn: Connection, payment: str, outcome: str, now: int) -> None:
    """Store the stand-in's own verdict as the applied one."""
    _insert(
        conn,
        payment=payment,
        applied=True,
        source="stand_in",
        outcome=outcome,
        score=None,
        model=None,
        features=None,
        recorded_at=now,
    )


def select_scored(conn: Connection, payment: str) -> Scored:
    """The features and score of a payment, from the applied verdict or else from a late one."""
    row = _scored(conn, of=payment).first()
    if row is None:
        return Scored()
    return Scored(msgspec.json.decode(row.features, type=dict[str, float]), row.score, row.model)
