"""Pruning: what nobody asks for any more goes, a few rows at a time. Payments and their money stay for ever.

A table is walked by its key, off the event loop, and what is old in it is deleted in transactions so small that no
payment waits for one. Nothing has to be kept for it: no index by time, no place from one run to the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, delete, exists, select, tuple_
from structlog import get_logger

from gateway.books.authorization_codes import authorization_codes
from gateway.books.caps import caps
from gateway.books.confirmations import confirmations
from gateway.books.engine import Books
from gateway.books.idempotency import idempotency_keys
from gateway.books.known_callers import known_callers
from gateway.books.letters import letters
from gateway.books.links import one_time_links
from gateway.books.lookalikes import lookalikes
from gateway.books.outbox import outbox
from gateway.books.recipients import recipients
from gateway.books.sessions import browser_session_tokens, refresh_tokens, sessions
from gateway.books.sql import Statement
from gateway.books.sql_tokens import sql_tokens
from gateway.policy import DAY_US, HOUR_US
from schemas.times import from_micros, now_micros, steady_micros

DAY_S = 24 * 3600.0
KEEP_KEYS_US = DAY_US
KEEP_EVENTS_US = 30 * DAY_US
KEEP_SQL_TOKENS_US = 90 * DAY_US  # after their end: who asks what became of one still finds it in a list
AFTER_START_S = 60.0  # a start has other things to do
LOOKED_AT = 1_000  # rows per look
AT_ONCE = 100  # rows per transaction
PAUSE_S = 0.01  # between two of them

Key = tuple[Any, ...]

log = get_logger()


class Prunable(msgspec.Struct, frozen=True):
    """A table to prune by its `key`, from `first` on.

    `walk` selects keys in order, and whether each row is old; `remove` deletes one that is. `by_age`: keys are
    in the order of age, so that nothing old follows where nothing is.
    """

    key: tuple[str, ...]
    first: Key
    by_age: bool
    walk: Statement
    remove: Statement


def _prunable(table: Table, old: ColumnElement[bool], first: Key, *, by_age: bool = False) -> Prunable:
    key: list[Column[Any]] = list(table.primary_key.columns)
    past = [bindparam(f"past_{column.name}", type_=column.type) for column in key]
    further = tuple_(*key) > tuple_(*past) if len(key) > 1 else key[0] > past[0]
    walk = select(*key, old.label("is_old")).where(further).order_by(*key).limit(bindparam("most"))
    this = [column == bindparam(f"of_{column.name}", type_=column.type) for column in key]
    names, remove = tuple(column.name for column in key), delete(table).where(*this, old)
    return Prunable(names, first, by_age, Statement(walk), Statement(remove))


def _before(column: Column[Any]) -> Any:
    """The moment that old rows are from before, in the column's own words."""
    return bindparam("before", type_=column.type)


_browsers, _codes = browser_session_tokens.c, authorization_codes.c
_keys, _tokens, _known = idempotency_keys.c, refresh_tokens.c, known_callers.c
_of_day, _sent_on = caps.c.day, lookalikes.c.day
PRUNABLES = {
    # One that is claimed for nothing but an answer, which never came, nobody but its client would ever answer.
    "idempotency_keys": _prunable(
        idempotency_keys,
        (_keys.status.is_not(None) | _keys.subject_id.is_(None)) & (_keys.created_at <= _before(_keys.created_at)),
        ("", ""),
    ),
    "outbox": _prunable(outbox, outbox.c.published_at <= _before(outbox.c.published_at), (0,), by_age=True),
    "refresh_tokens": _prunable(refresh_tokens, _tokens.expires_at <= _before(_tokens.expires_at), (b"",)),
    "browser_session_tokens": _prunable(
        browser_session_tokens, _browsers.expires_at <= _before(_browsers.expires_at), (b"",)
    ),
    "sessions": _prunable(
        sessions,
        ~exists().where(_tokens.session_id == sessions.c.id)
        & ~exists().where(_browsers.session_id == sessions.c.id),
        ("",),
    ),
    "authorization_codes": _prunable(authorization_codes, _codes.expires_at <= _before(_codes.expires_at), (b"",)),
    "one_time_links": _prunable(
        one_time_links, one_time_links.c.expires_at <= _before(one_time_links.c.expires_at), (b"",)
    ),
    "letters": _prunable(letters, letters.c.expires_at <= _before(letters.c.expires_at), ("",)),
    "known_callers": _prunable(known_callers, _known.expires_at <= _before(_known.expires_at), (b"",)),
    "caps": _prunable(caps, _of_day < _before(_of_day), ("", "")),
    "lookalikes": _prunable(lookalikes, _sent_on < _before(_sent_on), ("", "", ""), by_age=True),
    "confirmations": _prunable(
        confirmations, confirmations.c.expires_at <= _before(confirmations.c.expires_at), ("", "")
    ),
    "sql_tokens": _prunable(sql_tokens, sql_tokens.c.expires_at <= _before(sql_tokens.c.expires_at), ("",)),
    "recipients": _prunable(recipients, recipients.c.asked_at <= _before(recipients.c.asked_at), (b"",)),
}


async def prune_daily(books: Books, others: Mapping[str, Callable[[], Awaitable[int]]]) -> None:
    """Prune once a day, for as long as the gateway runs. `others` do so to what tells of it; how many, by name."""
    await asyncio.sleep(AFTER_START_S)
    while True:
        try:
            log.info("books.pruned", **await prune(books), **{name: await each() for name, each in others.items()})
        except Exception:
            log.exception("prune.failed")
        await asyncio.sleep(DAY_S)


async def prune(books: Books, keep_events_us: int = KEEP_EVENTS_US) -> dict[str, int]:
    """Delete what is old; how many rows of each table. `keep_events_us`: since Kafka took them."""
    now, steady = now_micros(), steady_micros()
    before: dict[str, Any] = {
        "idempotency_keys": steady - KEEP_KEYS_US,
        "outbox": now - keep_events_us,
        "refresh_tokens": steady,
        "browser_session_tokens": steady,
        "sessions": None,
        "authorization_codes": steady - DAY_US,  # one that comes again is known for a day
        "one_time_links": steady,
        "letters": steady,
        "known_callers": steady,
        "caps": from_micros(steady - DAY_US).date().isoformat(),
        "lookalikes": from_micros(steady - DAY_US).date().isoformat(),
        "confirmations": steady,
        "sql_tokens": steady - KEEP_SQL_TOKENS_US,
        "recipients": steady - HOUR_US,
    }
    return {name: await _prune(books, prunable, before[name]) for name, prunable in PRUNABLES.items()}


async def _prune(books: Books, prunable: Prunable, before: Any) -> int:
    past, removed = prunable.first, 0
    while True:
        seen = await books.browse(_look, prunable, past, before)
        old = [tuple(row[:-1]) for row in seen if row.is_old]
        for start in range(0, len(old), AT_ONCE):
            some = old[start : start + AT_ONCE]
            await books.write(_remove, prunable, some, before)
            removed += len(some)
            await asyncio.sleep(PAUSE_S)
        if len(seen) < LOOKED_AT or (prunable.by_age and not old):
            return removed
        past = tuple(seen[-1][:-1])


def _look(conn: Connection, prunable: Prunable, past: Key, before: Any) -> list[Any]:
    return prunable.walk(conn, before=before, most=LOOKED_AT, **_named(prunable, "past", past)).rows


def _remove(conn: Connection, prunable: Prunable, keys: Sequence[Key], before: Any) -> None:
    prunable.remove.many(conn, [{"before": before, **_named(prunable, "of", key)} for key in keys])


def _named(prunable: Prunable, prefix: str, key: Key) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in zip(prunable.key, key, strict=True)}
