"""Mails to the owner of an account about the account itself: a queue, from which each goes once it was sent.

No address and no token stands here: the mail goes to the address that the account has then, if that is still the
one it was meant for, and its link is made of the seed and the gateway's key.
"""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, delete, insert, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of

SENDS_MAX = 1_000_000

LetterKind = Literal[
    "password_reset",
    "invitation",
    "password_changed",
    "email_taken",
    "second_factor_set",
    "second_factor_removed",
    "recovery_code_used",
    "wrong_codes",
    "email_change_asked",
]


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `letters`; times by the steady clock.

    `id`: of the message, the same whenever it is sent again. `seed`: random, of the link's token; null where the
    letter has no link. `recipient`: keyed, of the address. `sends`: how often it was begun. `due_at`: when to send
    it, until `expires_at`.
    """

    id: str
    account_id: str
    kind: LetterKind
    seed: bytes | None
    recipient: bytes
    sends: Int32 = 0
    expires_at: Micros
    due_at: Micros


letters = table_of(
    "letters",
    LetterRow,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_letters_account"),
)
_c = letters.c
Index("ix_letters_due_at", _c.due_at)
Index("ix_letters_account_id", _c.account_id)

_this = _c.id == bindparam("of_id")
_of_account = _c.account_id == bindparam("of_account_id")
_insert = Statement(insert(letters))
_forget_links = Statement(delete(letters).where(_of_account, _c.seed.is_not(None)))
_forget_all = Statement(delete(letters).where(_of_account))
_due = Statement(
    select(letters)
    .where(_c.due_at <= bindparam("now"), _c.sends.between(bindparam("least_often"), bindparam("most_often")))
    .order_by(_c.due_at)
    .limit(bindparam("most"))
)
_release = Statement(update(letters).where(_c.due_at > bindparam("now")).values(due_at=bindparam("now")))
_begin = Statement(
    update(letters)
    .where(_this, _c.due_at == bindparam("seen_at"))
    .values(due_at=bindparam("lease_until"), sends=_c.sends + 1)
)
_postpone = Statement(update(letters).where(_this).values(due_at=bindparam("to_due_at")))
_end = Statement(delete(letters).where(_this))


def put(conn: Connection, row: LetterRow) -> None:
    """Have a letter sent. One with a link takes the place of those of before, whose links are worth nothing."""
    if row.seed is not None:
        _forget_links(conn, of_account_id=row.account_id)
    _insert(conn, **msgspec.structs.asdict(row))


def forget_all(conn: Connection, account_id: str) -> None:
    """Nothing is written to this account any more."""
    _forget_all(conn, of_account_id=account_id)


def due(conn: Connection, now: int, most: int, *, tried: bool) -> list[LetterRow]:
    """The letters that are due, the longest first: those that were tried before, or the others."""
    least_often, most_often = (1, SENDS_MAX) if tried else (0, 0)
    found = _due(conn, now=now, most=most, least_often=least_often, most_often=most_often)
    return [LetterRow(**row._asdict()) for row in found]


def release(conn: Connection, now: int) -> None:
    """All letters are due at `now`: nobody has any of them in hand."""
    _release(conn, now=now)


def begin(conn: Connection, row: LetterRow, lease_until: int) -> bool:
    """Take a letter, which nobody else does until `lease_until`. False where it is not as `row` says any more."""
    return _begin(conn, of_id=row.id, seen_at=row.due_at, lease_until=lease_until).rowcount == 1


def postpone(conn: Connection, row: LetterRow, due_at: int) -> None:
    """Send a letter later."""
    _postpone(conn, of_id=row.id, to_due_at=due_at)


def end(conn: Connection, row: LetterRow) -> None:
    """A letter was sent, or is given up."""
    _end(conn, of_id=row.id)
