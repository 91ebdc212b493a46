"""The caps of the stand-in, which judges where no verdict comes: what may go through unjudged.

One per subject and UTC day, in euro cents, whatever the currency of the payment. The day's SMS that ask for a
confirmation are a cap too, of messages, and so are the mails that somebody wanted an account with a taken address,
the labels of a source or merchant, and the alerts about one thing.
"""

from datetime import date

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Minor, table_of

SMS = "confirmation_sms"
EMAIL_TAKEN = "email_taken"


class CapRow(msgspec.Struct, frozen=True):
    """A row of `caps`. `subject`: a payment's `stream_key`, a merchant's id, `SMS`, `EMAIL_TAKEN` of an account.

    `day`: ISO 8601, by the steady clock; `used`: cents, or messages.
    """

    subject: str
    day: str
    used: Minor


caps = table_of("caps", CapRow, primary_key=("subject", "day"))
_this_cap = (caps.c.subject == bindparam("of_subject")) & (caps.c.day == bindparam("of_day"))
_open = Statement(lambda insert: insert(caps).on_conflict_do_nothing())
_spend = Statement(
    update(caps)
    .where(_this_cap, caps.c.used + bindparam("cents") <= bindparam("cap"))
    .values(used=caps.c.used + bindparam("cents"))
)
_since = Statement(
    select(caps.c.day, caps.c.used).where(
        caps.c.subject == bindparam("of_subject"), caps.c.day >= bindparam("since")
    )
)
_give_back = Statement(update(caps).where(_this_cap).values(used=caps.c.used - bindparam("cents")))


def spend(conn: Connection, subject: str, day: date, cents: int, cap: int) -> bool:
    """Spend euro cents of a cap, all of them or, past the cap, nothing."""
    of_day = day.isoformat()
    _open(conn, subject=subject, day=of_day, used=0)
    return bool(_spend(conn, of_subject=subject, of_day=of_day, cents=cents, cap=cap).rowcount)


def spent_since(conn: Connection, subject: str, day: date) -> dict[str, int]:
    """What was used of a subject's caps since `day`, by days in ISO 8601."""
    found = _since(conn, of_subject=subject, since=day.isoformat())
    return {row.day: row.used for row in found}


def give_back(conn: Connection, subject: str, day: date, cents: int) -> None:
    """Undo a `spend`."""
    _give_back(conn, of_subject=subject, of_day=day.isoformat(), cents=cents)
