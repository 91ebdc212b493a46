"""SQL tokens: who may have one, how many and how long, and what its owner sees by it at this moment."""

from secrets import token_urlsafe
from typing import assert_never

import msgspec
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from gateway.books import accounts, audit, sql_tokens
from gateway.books.audit import Act
from gateway.books.engine import Books, Outdated
from gateway.books.sql_tokens import SqlGrant, SqlTokenRow
from gateway.identity.logins import needs_second_factor
from gateway.identity.tokens import hash_secret
from gateway.policy import DAY_US, HOUR_US
from gateway.refusals import FieldError, InvalidFields, NoSuchObject, NotAllowed, Refusal
from gateway.roles import STAFF, Role, is_reader
from schemas.accounts import Sees, SqlReader
from schemas.ids import new_id
from schemas.times import from_micros, now_micros, steady_micros

FOUND_BY = "sqt_"  # scanners of leaked secrets; 43 characters follow
LASTS_MAX_US = 366 * DAY_US
LIVING_MAX = 20  # of an account
NOTED_US = HOUR_US  # between two notes that a token is used

log = structlog.get_logger()


class TooManyTokens(Refusal):
    """The account has as many living tokens as it may have."""


class SqlTokenOrder(msgspec.Struct, frozen=True):
    """A token that is asked for, for an account. `expires_at`: microseconds UTC; None: as late as may be."""

    account_id: str
    ordered_by: str
    name: str
    expires_at: int | None


def create(conn: Connection, order: SqlTokenOrder) -> tuple[SqlTokenRow, str]:
    """Make a token: its row, and itself, which is nowhere else.

    Raises `InvalidFields`, `NoSuchObject` without an account, `NotAllowed` where it would see nothing, and
    `TooManyTokens`.
    """
    now, account = steady_micros(), accounts.bare_to_change(conn, order.account_id)
    if account is None:
        raise NoSuchObject("There is no such account.")
    if seen_by(account.role, is_reader(account.role, account.extra_scopes)) is None:
        raise NotAllowed("Customers see nothing by SQL: an admin names who reads.")
    expires_at = _checked_end(order.expires_at, now)
    if sql_tokens.count_living(conn, account.id, now) >= LIVING_MAX:
        raise TooManyTokens(f"There are {LIVING_MAX} tokens: revoke one that nobody uses.")
    token = FOUND_BY + token_urlsafe(32)
    row = SqlTokenRow(
        id=new_id("stk"),
        account_id=account.id,
        hash=hash_secret(token),
        name=order.name,
        created_by=order.ordered_by,
        created_at=now_micros(),
        expires_at=expires_at,
    )
    sql_tokens.add(conn, row)
    detail = {"token": row.id, "expires_at": from_micros(expires_at).isoformat()}
    audit.record(conn, Act("sql_token_created", order.ordered_by, account.id, detail))
    return row, token


def revoke(conn: Connection, token_id: str, owner_id: str | None, revoked_by: str) -> None:
    """End a token of an account's (`owner_id` None: anybody's) at once; a repeat changes nothing.

    Raises `NoSuchObject`.
    """
    token = sql_tokens.bare_to_change(conn, token_id)
    if token is None or owner_id not in (None, token.account_id):
        raise NoSuchObject("There is no such token.")
    if sql_tokens.revoke(conn, token_id, now_micros(), steady_micros()):
        audit.record(conn, Act("sql_token_revoked", revoked_by, token.account_id, {"token": token_id}))


def seen_by(role: Role, reads: bool) -> Sees | None:
    """What an account sees by SQL; None: nothing. A reader sees payments of all, whoever they act for."""
    match role:
        case "admin" | "analyst":
            return "all"
        case "merchant" | "customer" if reads:
            return "without_cards"
        case "merchant":
            return "own"
        case "customer":
            return None
        case _:
            assert_never(role)


def reader_of(grant: SqlGrant, seeded_ids: set[str]) -> SqlReader | None:
    """Whose a token is, and what they see now; None where that is nothing.

    As in a session, staff see nothing before their address is confirmed and a second factor set (PCI DSS 8.4.1);
    `seeded_ids`: of the demo's own accounts, which need none.
    """
    if grant.role in STAFF and not _may_act(grant, seeded_ids):
        return None
    sees = seen_by(grant.role, is_reader(grant.role, grant.extra_scopes))
    if sees is None:
        return None
    merchant_id = grant.merchant_id or grant.account_id if sees == "own" else None
    return SqlReader(grant.token_id, grant.account_id, sees, merchant_id)


def is_use_due(grant: SqlGrant) -> bool:
    """Whether to note that a token is used now: it was not for an hour, by what the books say."""
    return grant.last_used_at is None or grant.last_used_at < now_micros() - NOTED_US


async def note_use(books: Books, token_id: str) -> None:
    """Keep that a token is used. Raises nothing: the next use is as good."""
    now = now_micros()
    try:
        await books.write(sql_tokens.note_use, token_id, now, now - NOTED_US)
    except (SQLAlchemyError, Outdated) as error:
        log.warning("sql_token_use.not_kept", token_id=token_id, reason=type(error).__name__)


def _may_act(grant: SqlGrant, seeded_ids: set[str]) -> bool:
    needs_one = needs_second_factor(grant.role, grant.account_id, seeded_ids)
    return grant.is_confirmed and (grant.has_second_factor or not needs_one)


def _checked_end(expires_at: int | None, now: int) -> int:
    """When a token ends, by the steady clock `now` is of. Raises `InvalidFields`."""
    latest = now + LASTS_MAX_US
    if expires_at is None:
        return latest
    if not now < expires_at <= latest:
        raise InvalidFields(FieldError("$.expires_at", "From now on, and a year ahead at most."))
    return expires_at
