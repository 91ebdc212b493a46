"""SQL tokens: what people ask the warehouse with, and whose each one is, for the process that they ask."""

from datetime import datetime
from typing import Annotated

import msgspec
from quart import Blueprint
from sqlalchemy import Connection

from gateway.books.sql_tokens import SqlTokenRow, granted, list_tokens
from gateway.free_text import ContactText, Unstored, UnstoredToken
from gateway.identity import contacts, sql_tokens
from gateway.identity.logins import check_presence
from gateway.identity.sql_tokens import FOUND_BY, SqlTokenOrder, is_use_due, note_use, reader_of, seen_by
from gateway.identity.tokens import NotAuthenticated, hash_secret
from gateway.problems import Problem
from gateway.runtime import Runtime
from gateway.web.call import Call, Caller, Reply, identify
from gateway.web.endpoint import check_scope, endpoint, spend
from gateway.web.known_device import whence_of
from gateway.web.paging import Listing, Page, read_page
from schemas.accounts import SqlReader
from schemas.times import from_micros, steady_micros, to_micros

MANAGE = "sql_tokens:manage"

blueprint = Blueprint("sql_tokens", __name__)


class NewSqlToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`name`: what it is for. `expires_at`: a year ahead at most, and where nothing is said.

    `password`: needed ten minutes after the login, and of an app always.
    """

    name: ContactText
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    password: Unstored | None = None


class SqlTokenQuery(Page, frozen=True, forbid_unknown_fields=True):
    """`account`: whose; for admins anybody's. Without it one's own."""

    account: Annotated[str, msgspec.Meta(max_length=128)] | None = None


class SqlTokenCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token, as somebody came with it: an SQL token, or the access token of a person's session."""

    token: UnstoredToken


class SqlTokenView(msgspec.Struct, frozen=True, kw_only=True):
    """An SQL token, without itself. `expires_at`: when it ends, or ended. `last_used_at` may be an hour old."""

    id: str
    account: str
    name: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked: bool


class MadeSqlToken(SqlTokenView, frozen=True, kw_only=True):
    """An SQL token with itself, which is shown this once."""

    token: str


class SqlTokenList(Listing[SqlTokenView], frozen=True):
    """A page of SQL tokens, the newest first. `next_cursor` is null on the last one."""


@blueprint.post("/v1/sql-tokens")
@endpoint(
    scope=MANAGE,
    body=NewSqlToken,
    answers={201: MadeSqlToken},
    codes=("invalid_credentials", "not_confirmed", "not_found", "rate_limited", "unavailable", "wrong_state"),
)
async def create_sql_token(call: Call[NewSqlToken, None]) -> Reply:
    """Make a token of one's own to ask the warehouse in SQL with. It comes once.

    What it sees follows from what its owner is whenever it is used: a role, a merchant, a reader's name. Twenty
    are good at a time.
    """
    caller, body, runtime = call.caller, call.body, call.runtime
    spend(runtime, "sql_tokens", caller.actor_id)
    if not caller.is_confirmed:
        raise Problem("not_confirmed")
    await check_presence(runtime, caller.actor_id, caller.login_id(), body.password or "", whence_of(call.ip))
    order = SqlTokenOrder(
        caller.actor_id,
        caller.actor_id,
        contacts.name(body.name),
        to_micros(body.expires_at) if body.expires_at else None,
    )
    row, token = await runtime.books.write(sql_tokens.create, order)
    return Reply(201, MadeSqlToken(**msgspec.structs.asdict(_view(row)), token=token))


@blueprint.get("/v1/sql-tokens")
@endpoint(scope=MANAGE, query=SqlTokenQuery, answers={200: SqlTokenList})
async def list_sql_tokens(call: Call[None, SqlTokenQuery]) -> Reply:
    """List one's own SQL tokens, the newest first; as an admin those of any `account`."""
    caller = call.caller
    account_id = call.query.account or caller.actor_id
    if caller.role != "admin" and account_id != caller.actor_id:
        return Reply(200, SqlTokenList([], None))

    def page(conn: Connection, after_id: str | None, most: int) -> list[SqlTokenRow]:
        return list_tokens(conn, account_id, after_id, most)

    shown, cursor = await read_page(call, page, lambda row: row.id, str)
    return Reply(200, SqlTokenList([_view(row) for row in shown], cursor))


@blueprint.delete("/v1/sql-tokens/<sql_token>")
@endpoint(scope=MANAGE, answers={204: None}, codes=("not_found",))
async def revoke_sql_token(call: Call[None, None], sql_token_id: str) -> Reply:
    """End an SQL token of one's own, as an admin of anybody's: a second later nothing is answered to it."""
    caller = call.caller
    owner_id = None if caller.role == "admin" else caller.actor_id
    await call.runtime.books.write(sql_tokens.revoke, sql_token_id, owner_id, caller.actor_id)
    return Reply(204)


@blueprint.post("/v1/sql-tokens/check")
@endpoint(scope="sql_tokens:check", body=SqlTokenCheck, answers={200: SqlReader}, codes=("not_found",))
async def check_sql_token(call: Call[SqlTokenCheck, None]) -> Reply:
    """Say whose an SQL token is, and what they see now, to services only.

    An access token of a person is one as well, while their session lasts. It is a 404 where the token is unknown
    or has ended, and where its owner may not see anything any more.
    """
    runtime, token = call.runtime, call.body.token
    reader = await (_by_sql_token if token.startswith(FOUND_BY) else _by_access_token)(runtime, token)
    if reader is None:
        raise Problem("not_found")
    return Reply(200, reader)


async def _by_sql_token(runtime: Runtime, token: str) -> SqlReader | None:
    grant = await runtime.books.read(granted, hash_secret(token), steady_micros())
    reader = None if grant is None else reader_of(grant, runtime.seeded_ids)
    if grant is not None and reader is not None and is_use_due(grant):
        runtime.go_on(note_use(runtime.books, grant.token_id))
    return reader


async def _by_access_token(runtime: Runtime, token: str) -> SqlReader | None:
    """Who is logged in with it, where they may make SQL tokens: what such a token sees, they see without one."""
    try:
        caller = await identify(runtime, token)
        check_scope(MANAGE, caller)
    except (NotAuthenticated, Problem):
        return None
    return _in_session(caller)


def _in_session(caller: Caller) -> SqlReader | None:
    """What a person sees in a session; None where that is nothing, and for clients, which are nobody's session.

    A session is at the dashboards, where each page of a merchant's people is of the merchant's own: so is what
    they see there, also of one who was named a reader, and sees more by an SQL token.
    """
    match caller.role:
        case "service" | "nobody":
            return None
        case role:
            sees = seen_by(role, caller.is_reader and role != "merchant")
    if sees is None or not caller.session_id:
        return None
    merchant_id = caller.account_id if sees == "own" else None
    return SqlReader(caller.session_id, caller.actor_id, sees, merchant_id)


def _view(row: SqlTokenRow) -> SqlTokenView:
    return SqlTokenView(
        id=row.id,
        account=row.account_id,
        name=row.name,
        created_at=from_micros(row.created_at),
        expires_at=from_micros(row.expires_at),
        last_used_at=None if row.last_used_at is None else from_micros(row.last_used_at),
        revoked=row.revoked_at is not None,
    )
