"""An account's own sessions, as their owner sees and ends them."""

import msgspec
from sqlalchemy import Connection, bindparam, select

from gateway.books.clients import clients
from gateway.books.sessions import IDLE_MAX_US, SessionRow, revoke, sessions
from gateway.books.sql import Statement
from gateway.books.tables import ABOVE_ALL_IDS, struct_of
from schemas.times import steady_micros


class NamedSession(msgspec.Struct, frozen=True):
    """A session with the name of its OAuth client, which is empty where it has none."""

    row: SessionRow
    client_name: str


_c = sessions.c
_page = Statement(
    select(*_c, clients.c.name.label("client_name"))
    .outerjoin(clients, clients.c.id == _c.client_id)
    .where(
        _c.account_id == bindparam("of_account_id"),
        _c.revoked_at.is_(None),
        _c.id < bindparam("before_id"),
        _c.last_used_at > bindparam("idle_since"),
    )
    .order_by(_c.id.desc())
    .limit(bindparam("most"))
)
_owner_of = Statement(select(_c.account_id).where(_c.id == bindparam("session_id"), _c.revoked_at.is_(None)))


def select_living(
    conn: Connection, account_id: str, before_id: str | None, most: int, *, may_idle: bool
) -> list[NamedSession]:
    """An account's sessions that nobody ended, newest first, from below `before_id` on (None: from the newest).

    One that ran out by itself stands there until it is pruned, within a day. `may_idle`: staff's may not.
    """
    idle_since = 0 if may_idle else steady_micros() - IDLE_MAX_US
    found = _page(
        conn, of_account_id=account_id, before_id=before_id or ABOVE_ALL_IDS, idle_since=idle_since, most=most
    )
    return [NamedSession(struct_of(SessionRow, row[:-1]), row.client_name or "") for row in found]


def revoke_own(conn: Connection, account_id: str, session_id: str) -> bool:
    """End a session of an account, as `revoke` does; False where the account has no such one that lives."""
    if _owner_of(conn, session_id=session_id).scalar() != account_id:
        return False
    revoke(conn, session_id)
    return True
