"""How often an address was asked to confirm itself within the last hour, over all accounts that entered it."""

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of
from gateway.policy import HOUR_US


class RecipientRow(msgspec.Struct, frozen=True):
    """A row of `recipients`; times in microseconds of the steady clock.

    `hash`: keyed, of channel and address, so that neither an erased account nor a new one resets it. `recent`:
    JSON, when messages were asked for. `asked_at`: when one was last asked for, granted or not.
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


def _within(recent: str, now: int) -> list[int]:
    return [at for at in _times.decode(recent) if at > now - HOUR_US]
