"""Card numbers sent today that share BIN and last four digits: by an account, from an address, by all.

Such numbers are 100,000 at most, and whoever may try them all finds the one that somebody's card has. So a few
distinct ones a day are taken; here they are counted, across restarts and gateways.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from gateway.books.sql import Statement
from gateway.books.tables import struct_of, table_of

ScopeKind = Literal["account", "address", "all"]


class LookalikesRow(msgspec.Struct, frozen=True):
    """A row of `lookalikes`. `day`: ISO 8601; `family`: BIN and last four; `numbers`: keyed prints, a JSON list.

    `subject`: an account's id, the keyed print of an address, or `all`. `closed`: an account's row that refused.
    """

    day: str
    subject: str
    family: str
    numbers: str
    closed: bool = False


class Scope(msgspec.Struct, frozen=True):
    """Whose distinct numbers are counted, `most` a day. `number`: the keyed print that this one counts by."""

    kind: ScopeKind
    subject: str
    number: str
    most: int


class SentToday(msgspec.Struct):
    """What a scope has of a family today."""

    scope: Scope
    numbers: list[str]
    closed: bool

    def is_full(self) -> bool:
        """Whether a further number is too many."""
        return len(self.numbers) >= self.scope.most


lookalikes = table_of("lookalikes", LookalikesRow, primary_key=("day", "subject", "family"))
_c = lookalikes.c
_this = (
    (_c.day == bindparam("of_day"))
    & (_c.subject == bindparam("of_subject"))
    & (_c.family == bindparam("of_family"))
)
_open = Statement(lambda insert: insert(lookalikes).on_conflict_do_nothing())
_lock = Statement(select(lookalikes).where(_this).with_for_update())
_keep = Statement(update(lookalikes).where(_this), ("numbers", "closed"))


def admit(conn: Connection, day: str, family: str, account: Scope, others: Sequence[Scope]) -> ScopeKind | None:
    """Count a number of `family` on `day`; None where it may be tokenized, else the scope that has too many.

    One that the account has sent before on that day counts no further. One that is refused closes the family for
    the account until the day ends, for every number: else 201 and 429 would tell, of all candidates, which is
    known.
    """
    own = _counted(conn, day, family, account)
    if own.closed:
        return account.kind
    if account.number in own.numbers:
        return None
    # Always in this order: two transactions that hold each other's row would wait for ever.
    counted = [own, *(_counted(conn, day, family, scope) for scope in others)]
    full = next((each.scope.kind for each in counted if each.is_full()), None)
    if full is not None:
        own.closed = True
        _write(conn, day, family, own)
        return full
    for each in counted:
        if each.scope.number not in each.numbers:
            each.numbers.append(each.scope.number)
            _write(conn, day, family, each)
    return None


def _counted(conn: Connection, day: str, family: str, scope: Scope) -> SentToday:
    """A scope's row, locked until the transaction ends."""
    _open(conn, day=day, subject=scope.subject, family=family, numbers="[]", closed=False)
    found = _lock(conn, of_day=day, of_subject=scope.subject, of_family=family).one()
    row = struct_of(LookalikesRow, found)
    return SentToday(scope, msgspec.json.decode(row.numbers, type=list[str]), row.closed)


def _write(conn: Connection, day: str, family: str, counted: SentToday) -> None:
    numbers = msgspec.json.encode(counted.numbers).decode()
    this = {"of_day": day, "of_subject": counted.scope.subject, "of_family": family}
    _keep(conn, numbers=numbers, closed=counted.closed, **this)
