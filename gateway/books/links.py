"""One-time links: whoever has one may set an account's password, once."""

from typing import Literal

import msgspec
from sqlalchemy import Connection, ForeignKeyConstraint, Index, bindparam, delete, insert, select, update

from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of

LinkPurpose = Literal["password_reset", "invitation"]


class OneTimeLink(msgspec.Struct, frozen=True):
    """A row of `one_time_links`; times by the steady clock. `hash`: keyed, of the token in the link.

    `recipient`: keyed, of the e-mail address that it was mailed to; null where an operator handed it over.
    """

    hash: bytes
    account_id: str
    purpose: LinkPurpose
    expires_at: Micros
    used_at: Micros | None
    recipient: bytes | None = None


one_time_links = table_of(
    "one_time_links",
    OneTimeLink,
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_one_time_links_account"),
    primary_key=("hash",),
)
Index("ix_one_time_links_account_id", one_time_links.c.account_id, one_time_links.c.purpose)

_c = one_time_links.c
_good = (_c.hash == bindparam("of_hash")) & _c.used_at.is_(None) & (_c.expires_at > bindparam("now"))
_insert = Statement(insert(one_time_links))
_good_one = Statement(select(one_time_links).where(_good))
_use = Statement(update(one_time_links).where(_good).values(used_at=bindparam("now")).returning(one_time_links))
_forget = Statement(delete(one_time_links).where(_c.account_id == bindparam("of_account_id")))


def put(conn: Connection, link: OneTimeLink) -> None:
    """Write the newest link of an account; those of before are worth nothing any more, used or not."""
    forget(conn, link.account_id)
    _insert(conn, **msgspec.structs.asdict(link))


def good(conn: Connection, link_hash: bytes, now: int) -> OneTimeLink | None:
    """The link with that hash; None where it is not good at `now` (steady clock)."""
    row = _good_one(conn, of_hash=link_hash, now=now).first()
    return OneTimeLink(*row) if row else None


def use(conn: Connection, link_hash: bytes, now: int) -> OneTimeLink | None:
    """The same, and it is used up: of several that come with it at once, one gets it."""
    row = _use(conn, of_hash=link_hash, now=now).first()
    return OneTimeLink(*row) if row else None


def forget(conn: Connection, account_id: str) -> None:
    """No link of an account is good any more."""
    _forget(conn, of_account_id=account_id)
