"""One's own sessions: where somebody is logged in, and the end of any of them."""

from datetime import datetime
from typing import Literal

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books import audit, own_sessions
from gateway.books.audit import Act
from gateway.books.own_sessions import NamedSession
from gateway.books.sessions import SessionKind
from gateway.refusals import NoSuchObject
from gateway.roles import STAFF
from gateway.web.call import Call, Reply
from gateway.web.endpoint import endpoint
from gateway.web.paging import Listing, Page, read_page
from schemas.times import from_micros, now_micros, steady_micros

blueprint = Blueprint("sessions", __name__)


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session. `kind`: by `POST /v1/login`, in a browser on our own pages, or an app's that began there.

    `device`: as "Firefox on Linux", empty where it did not say; `client`: the app's name. `last_used_at` may be a
    minute old. `current`: the one that asks.
    """

    id: str
    object: Literal["session"] = "session"
    kind: SessionKind
    device: str
    client: str | None
    second_factor: bool
    created_at: datetime
    last_used_at: datetime
    current: bool


@blueprint.get("/v1/me/sessions")
@endpoint(scope="account", query=Page, answers={200: Listing[SessionView]})
async def list_sessions(call: Call[None, Page]) -> Reply:
    """List one's own sessions that can be used, newest first."""
    account_id, may_idle = call.caller.actor_id, call.caller.role not in STAFF

    def select(conn: Connection, before_id: str | None, most: int) -> list[NamedSession]:
        return own_sessions.select_living(conn, account_id, before_id, most, may_idle=may_idle)

    shown, cursor = await read_page(call, select, lambda found: found.row.id, str)
    return Reply(200, Listing([_view(found, call.caller.session_id) for found in shown], cursor))


@blueprint.delete("/v1/me/sessions/<session>")
@endpoint(scope="sessions", answers={204: None}, codes=("not_found",))
async def end_session(call: Call[None, None], session_id: str) -> Reply:
    """End a session of one's own at once, and those of apps that began in it."""
    await call.runtime.books.write(_end, call.caller.actor_id, session_id)
    return Reply(204)


def _end(conn: Connection, account_id: str, session_id: str) -> None:
    if not own_sessions.revoke_own(conn, account_id, session_id):
        raise NoSuchObject
    audit.record(conn, Act("session_revoked", account_id, session_id))


def _view(found: NamedSession, current_id: str) -> SessionView:
    row = found.row
    ago_us = steady_micros() - row.last_used_at
    return SessionView(
        id=row.id,
        kind=row.kind,
        device=row.device,
        client=found.client_name or None,
        second_factor=row.second_factor_at is not None,
        created_at=from_micros(row.created_at),
        last_used_at=from_micros(now_micros() - ago_us),
        current=row.id == current_id,
    )
