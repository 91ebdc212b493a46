"""How often something happened within the last hour, over all accounts, gateways and restarts.

An address was asked to confirm itself, or was mailed a link; a network registered accounts, or asked for links; an
old password was tried.
"""

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of
from gateway.policy import HOUR_US, SECOND_US


class RecipientRow(msgspec.Struct, frozen=True):
    """A row of `recipients`; times in microseconds of the steady clock.

    `hash`: keyed, of what is counted and whose, so that neither an erased account nor a new one resets it.
    `recent`: JSON, when it was asked for. `asked_at`: when it was last asked for, granted or not.
    """

    hash: bytes
    recent: str
    asked_at: Micros


recipients = table_of("recipients", RecipientRow, primary_key=("hash",))
_c = recipients.c
_lock = Statement(
    lambda insert: (
        (put := insert(recipients))
        .on_conflict_do_update(index_elements=["hash"], set_={"asked_at": put.excluded.asked_at})
        .returning(_c.recent)
    )
)
_put = Statement(update(recipients).where(_c.hash == bindparam("of_hash")).values(recent=bindparam("to_recent")))
_recent = Statement(select(_c.recent).where(_c.hash == bindparam("of_hash")))

_times = msgspec.json.Decoder(list[int])


def lock(conn: Connection, recipient: bytes, now: int) -> list[int]:
    """When messages of the last hour were asked for; until this transaction ends, nobody else counts any."""
    return _within(_lock(conn, hash=recipient, recent="[]", asked_at=now).scalar(), now)


def keep(conn: Connection, recipient: bytes, times: list[int]) -> None:
    """Note when messages were asked for, of a recipient that is locked."""
    _put(conn, of_hash=recipient, to_recent=msgspec.json.encode(times).decode())


def count(conn: Connection, recipient: bytes, now: int) -> int:
    """How many messages were asked for in the hour before `now`."""
    return len(_within(_recent(conn, of_hash=recipient).scalar() or "[]", now))


def spend(conn: Connection, counted: bytes, now: int, most: int) -> int:
    """Count one more, at most `most` in an hour; 0, or where there were as many: seconds until there is room."""
    times = lock(conn, counted, now)
    if len(times) >= most:
        return 1 + (times[0] + HOUR_US - now) // SECOND_US
    keep(conn, counted, [*times, now])
    return 0


def _within(recent: str, now: int) -> list[int]:
    return [at for at in _times.decode(recent) if at > now - HOUR_US]
