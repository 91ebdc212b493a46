"""The stand-in's caps: what may go through unjudged, per card and per merchant, per currency and UTC day."""

from datetime import date

import msgspec
from sqlalchemy import Connection, bindparam, update

from gateway.books.sql import Statement
from gateway.books.tables import Minor, table_of


class CapRow(msgspec.Struct, frozen=True):
    """A row of `caps`. `subject`: a card's fingerprint, a customer's or a merchant's id; `day`: ISO 8601, UTC."""

    subject: str
    currency: str
    day: str
    used: Minor


caps = table_of("caps", CapRow, primary_key=("subject", "currency", "day"))
_c = caps.c
_row = (
    (_c.subject == bindparam("of_subject"))
    & (_c.currency == bindparam("of_currency"))
    & (_c.day == bindparam("of_day"))
)
_open = Statement(lambda insert: insert(caps).on_conflict_do_nothing())
_spend = Statement(
    update(caps)
    .where(_row, _c.used + bindparam("amount") <= bindparam("cap"))
    .values(used=_c.used + bindparam("amount"))
)
_give_back = Statement(update(caps).where(_row).values(used=_c.used - bindparam("amount")))


def spend(conn: Connection, subject: str, currency: str, day: date, amount: int, cap: int) -> bool:
    """Spend `amount` (minor units) of a cap, all of it or, past the cap, nothing."""
    of_day = day.isoformat()
    _open(conn, subject=subject, currency=currency, day=of_day, used=0)
    spent = _spend(conn, of_subject=subject, of_currency=currency, of_day=of_day, amount=amount, cap=cap)
    return bool(spent.rowcount)


def give_back(conn: Connection, subject: str, currency: str, day: date, amount: int) -> None:
    """Undo a `spend`."""
    _give_back(conn, of_subject=subject, of_currency=currency, of_day=day.isoformat(), amount=amount)
