"""What was asked of an account to confirm an address, and the queue of the messages that ask for it.

At most one row per account and channel: a new one takes the place of the one before, whose secret is worth nothing
then.
"""

from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import Connection, Index, bindparam, delete, null, select, update

from gateway.books import persons
from gateway.books.persons import CONFIRMATION_TEXTS
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, struct_of, table_of

SENDS_MAX = 1_000_000
GUESSES_MAX = 5  # of a code of six digits; then a new one is needed

ConfirmedChannel = Literal["email", "sms"]
CONFIRMED_CHANNELS: tuple[ConfirmedChannel, ...] = get_args(ConfirmedChannel)


class ConfirmationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `confirmations`; times in microseconds of the steady clock.

    `id`: of the message, the same whenever it is sent again. `address` is sealed (`persons`). `seed`: random;
    with the gateway's key it makes the token or code, and goes once that was sent. `secret_hash`: a keyed hash of
    the token or code. `guesses`: wrong codes. `sends`: how often the message was begun. `due_at`: when to send it;
    null once it was sent or given up.
    """

    account_id: str
    channel: ConfirmedChannel
    id: str
    address: str
    seed: bytes | None
    secret_hash: bytes
    guesses: Int32 = 0
    sends: Int32 = 0
    expires_at: Micros
    due_at: Micros | None


confirmations = table_of("confirmations", ConfirmationRow, primary_key=("account_id", "channel"))
_c = confirmations.c
Index("ix_confirmations_secret_hash", _c.secret_hash)
_is_waiting = _c.due_at.is_not(None)
Index("ix_confirmations_due_at", _c.channel, _c.due_at, sqlite_where=_is_waiting, postgresql_where=_is_waiting)

_this = (_c.account_id == bindparam("of_account_id")) & (_c.channel == bindparam("of_channel"))
_this_message = _this & (_c.id == bindparam("of_id"))
_put = Statement(
    lambda insert: (put := insert(confirmations)).on_conflict_do_update(
        index_elements=["account_id", "channel"],
        set_={
            name: put.excluded[name]
            for name in ConfirmationRow.__struct_fields__
            if name not in ("account_id", "channel")
        },
    )
)
_take = Statement(
    delete(confirmations)
    .where(_c.secret_hash == bindparam("of_hash"), _c.channel == "email", _c.expires_at > bindparam("now"))
    .returning(confirmations)
)
_guess = Statement(
    update(confirmations)
    .where(_this, _c.guesses < GUESSES_MAX, _c.expires_at > bindparam("now"))
    .values(guesses=_c.guesses + 1)
    .returning(confirmations)
)
_use = Statement(delete(confirmations).where(_this_message))
_forget = Statement(delete(confirmations).where(_this))
_forget_all = Statement(delete(confirmations).where(_c.account_id == bindparam("of_account_id")))
_due = Statement(
    select(confirmations)
    .where(
        _c.channel == bindparam("of_channel"),
        _is_waiting,
        _c.due_at <= bindparam("now"),
        _c.sends.between(bindparam("least_often"), bindparam("most_often")),
    )
    .order_by(_c.due_at)
    .limit(bindparam("most"))
)
_release = Statement(
    update(confirmations)
    .where(_c.channel == bindparam("of_channel"), _is_waiting, _c.due_at > bindparam("now"))
    .values(due_at=bindparam("now"))
)
_begin = Statement(
    update(confirmations)
    .where(_this_message, _c.due_at == bindparam("seen_at"))
    .values(due_at=bindparam("lease_until"), sends=_c.sends + 1)
)
_postpone = Statement(
    update(confirmations).where(_this_message, _is_waiting).values(due_at=bindparam("to_due_at"))
)
_end = Statement(update(confirmations).where(_this_message).values(due_at=null(), seed=null()))


def put(conn: Connection, row: ConfirmationRow) -> None:
    """Write what is asked of an account; what was asked before for this channel is worth nothing any more."""
    _put(conn, **msgspec.structs.asdict(persons.sealed_row(conn, CONFIRMATION_TEXTS, row)))


def take(conn: Connection, secret_hash: bytes, now: int) -> ConfirmationRow | None:
    """The mail's confirmation with a token of this hash, which is gone then; None where none is good at `now`."""
    return _opened(conn, _take(conn, of_hash=secret_hash, now=now).first())


def guess(conn: Connection, account_id: str, now: int) -> ConfirmationRow | None:
    """The phone's confirmation, with one guess less left; None where there is none at `now`, or no guess left."""
    return _opened(conn, _guess(conn, of_account_id=account_id, of_channel="sms", now=now).first())


def use(conn: Connection, row: ConfirmationRow) -> bool:
    """The phone's confirmation is gone; False where it was before, or another one has its place."""
    return _use(conn, **_named(row)).rowcount == 1


def forget(conn: Connection, account_id: str, channel: ConfirmedChannel) -> None:
    """Nothing is asked of this account for this channel any more."""
    _forget(conn, of_account_id=account_id, of_channel=channel)


def forget_all(conn: Connection, account_id: str) -> None:
    """Nothing is asked of this account any more."""
    _forget_all(conn, of_account_id=account_id)


def due(conn: Connection, channel: ConfirmedChannel, now: int, most: int, *, tried: bool) -> list[ConfirmationRow]:
    """The messages of a channel that are due, the longest first: those that were tried before, or the others."""
    least_often, most_often = (1, SENDS_MAX) if tried else (0, 0)
    found = _due(conn, of_channel=channel, now=now, most=most, least_often=least_often, most_often=most_often)
    return persons.opened_rows(conn, CONFIRMATION_TEXTS, [struct_of(ConfirmationRow, row) for row in found])


def release(conn: Connection, channel: ConfirmedChannel, now: int) -> None:
    """All messages of a channel are due at `now`: nobody has any of them in hand."""
    _release(conn, of_channel=channel, now=now)


def begin(conn: Connection, row: ConfirmationRow, lease_until: int) -> bool:
    """Take a message, which nobody else does until `lease_until`. False where it is not as `row` says any more."""
    values = _named(row) | {"seen_at": row.due_at, "lease_until": lease_until}
    return _begin(conn, **values).rowcount == 1


def postpone(conn: Connection, row: ConfirmationRow, due_at: int) -> None:
    """Send a message later."""
    _postpone(conn, to_due_at=due_at, **_named(row))


def end(conn: Connection, row: ConfirmationRow) -> None:
    """A message was sent, or is given up; its token cannot be made again."""
    _end(conn, **_named(row))


def _opened(conn: Connection, row: Any) -> ConfirmationRow | None:
    found = [struct_of(ConfirmationRow, row)] if row else []
    return next(iter(persons.opened_rows(conn, CONFIRMATION_TEXTS, found)), None)


def _named(row: ConfirmationRow) -> dict[str, str | int | None]:
    return {"of_account_id": row.account_id, "of_channel": row.channel, "of_id": row.id}
