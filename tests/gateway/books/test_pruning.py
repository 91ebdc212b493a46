"""Pruning: what is old goes, all else stays, and no transaction of it is long."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select

from gateway.books import pruning
from gateway.books.accounts import Account, accounts
from gateway.books.authorization_codes import authorization_codes
from gateway.books.caps import caps
from gateway.books.clients import OAuthClient, add
from gateway.books.confirmations import ConfirmationRow, confirmations
from gateway.books.engine import Books
from gateway.books.idempotency import IdempotencyKey, idempotency_keys
from gateway.books.known_callers import KnownCaller, known_callers
from gateway.books.letters import LetterRow, letters
from gateway.books.links import OneTimeLink, one_time_links
from gateway.books.lookalikes import LookalikesRow, lookalikes
from gateway.books.opening import migrate, open_books
from gateway.books.outbox import OutboxRow, outbox
from gateway.books.pruning import PRUNABLES, prune
from gateway.books.recipients import RecipientRow, recipients
from gateway.books.sessions import (
    BrowserSessionToken,
    RefreshTokenRow,
    SessionRow,
    browser_session_tokens,
    refresh_tokens,
    sessions,
)
from gateway.books.sql_tokens import SqlTokenRow, sql_tokens
from gateway.books.tables import metadata
from gateway.policy import DAY_US, HOUR_US
from schemas.times import from_micros, now_micros
from tests.gateway.payments.stored import operation_in, payment_in

NOW = now_micros()
KEPT = {
    "idempotency_keys": {"young", "running"},
    "outbox": {"young", "late", "unpublished"},
    "refresh_tokens": {b"young"},
    "sessions": {"ses_young"},
    "browser_session_tokens": {b"young"},
    "authorization_codes": {b"young"},
    "one_time_links": {b"young"},
    "letters": {"young"},
    "known_callers": {b"young"},
    "caps": {"today"},
    "lookalikes": {"today"},
    "confirmations": {"young"},
    "recipients": {b"young"},
    "sql_tokens": {"young"},
}

CODE_TEXTS = ("parent_id", "redirect_uri", "scopes", "nonce", "code_challenge", "amr")


def day(ago: int) -> str:
    return from_micros(NOW - ago * DAY_US).date().isoformat()


def key(name: str, hours: int, status: int | None) -> dict[str, Any]:
    at = NOW - hours * HOUR_US
    row = IdempotencyKey(
        account_id="acc",
        key=name,
        fingerprint=b"",
        subject_id="pay",
        role="customer",
        ok_status=201,
        status=status,
        lease_until=at,
        created_at=at,
    )
    return msgspec.structs.asdict(row)


def event(name: str, recorded_days: int, published_days: int | None) -> dict[str, Any]:
    published_at = None if published_days is None else NOW - published_days * DAY_US
    at = NOW - recorded_days * DAY_US
    row = OutboxRow(0, name, "payments.v1", "fp", "payment.captured", "pay", 1, b"{}", None, at, published_at)
    return {field: value for field, value in msgspec.structs.asdict(row).items() if field != "id"}


def put_rows(conn: Connection) -> None:
    """Of each table something old, and what only looks like it."""
    keys = [key("old", 25, 201), key("young", 23, 201), key("running", 25, None)]
    events = [event("old", 40, 31), event("late", 40, 29), event("unpublished", 40, None), event("young", 1, 1)]
    conn.execute(insert(idempotency_keys), keys)
    conn.execute(insert(outbox), events)
    account = Account(id="acc", role="customer", email_key=None, name="A", created_at=1, updated_at=1, locale="en")
    conn.execute(insert(accounts), [msgspec.structs.asdict(account)])
    add(conn, OAuthClient(id="app", scopes="", created_at=1), None)
    for name, expires_at in (("old", NOW - 1), ("young", NOW + HOUR_US)):
        session = SessionRow(id=f"ses_{name}", account_id="acc", created_at=1, last_used_at=1)
        token = RefreshTokenRow(name.encode(), session.id, expires_at, None)
        known = KnownCaller(name.encode(), "acc", "address", token.expires_at)
        conn.execute(insert(known_callers), [msgspec.structs.asdict(known)])
        conn.execute(insert(sessions), [msgspec.structs.asdict(session)])
        conn.execute(insert(refresh_tokens), [msgspec.structs.asdict(token)])
        browser = BrowserSessionToken(name.encode(), session.id, expires_at, expires_at)
        conn.execute(insert(browser_session_tokens), [msgspec.structs.asdict(browser)])
        code = {"hash": name.encode(), "expires_at": expires_at - DAY_US, "auth_time": 1, "account_id": "acc"}
        conn.execute(insert(authorization_codes), [dict.fromkeys(CODE_TEXTS, "") | code | {"client_id": "app"}])
        link = OneTimeLink(name.encode(), "acc", "invitation", expires_at, None)
        conn.execute(insert(one_time_links), [msgspec.structs.asdict(link)])
        times = {"expires_at": expires_at, "due_at": 0}
        letter = LetterRow(id=name, account_id="acc", kind="email_taken", seed=None, recipient=b"", **times)
        conn.execute(insert(letters), [msgspec.structs.asdict(letter)])
        rest: dict[str, Any] = {"id": "", "address": "", "seed": b"", "secret_hash": b"", "due_at": 0}
        row = ConfirmationRow(account_id=name, channel="sms", expires_at=expires_at, **rest)
        conn.execute(insert(confirmations), [msgspec.structs.asdict(row)])
        ended: dict[str, Any] = {"id": name, "hash": name.encode(), "expires_at": expires_at - 90 * DAY_US}
        for_sql = SqlTokenRow(account_id="acc", name="", created_by="", created_at=1, **ended)
        conn.execute(insert(sql_tokens), [msgspec.structs.asdict(for_sql)])
        asked = RecipientRow(name.encode(), "[]", expires_at - HOUR_US)
        conn.execute(insert(recipients), [msgspec.structs.asdict(asked)])
    conn.execute(insert(caps), [{"subject": s, "currency": "EUR", "day": d, "used": 1} for s, d in DAYS])
    sent = [LookalikesRow(day, subject, "4111111111", "[]") for subject, day in DAYS]
    conn.execute(insert(lookalikes), [msgspec.structs.asdict(row) for row in sent])


DAYS = (("old", day(3)), ("today", day(0)))


def left(conn: Connection) -> dict[str, set[Any]]:
    named = {idempotency_keys: "key", outbox: "event_id", refresh_tokens: "hash", sessions: "id"}
    named |= {caps: "subject", lookalikes: "subject", confirmations: "account_id", recipients: "hash"}
    named |= {known_callers: "hash", browser_session_tokens: "hash", one_time_links: "hash", letters: "id"}
    named |= {authorization_codes: "hash", sql_tokens: "id"}
    return {table.name: set(conn.execute(select(table.c[column])).scalars()) for table, column in named.items()}


@pytest.mark.parametrize(("looked_at", "at_once"), [(1000, 100), (1, 1), (2, 1)])
async def test_what_is_old_goes_and_nothing_else(
    books: Books, monkeypatch: pytest.MonkeyPatch, looked_at: int, at_once: int
) -> None:
    monkeypatch.setattr(pruning, "LOOKED_AT", looked_at)
    monkeypatch.setattr(pruning, "AT_ONCE", at_once)
    await books.write(put_rows)
    removed = await prune(books)
    assert await books.read(left) == KEPT
    assert removed == dict.fromkeys(PRUNABLES, 1)
    assert set((await prune(books)).values()) == {0}


async def test_how_long_events_are_kept_is_given(books: Books) -> None:
    await books.write(put_rows)
    await prune(books, DAY_US)
    assert (await books.read(left))["outbox"] == {"unpublished"}


async def test_payments_and_their_money_stay(books: Books) -> None:
    def put(conn: Connection) -> None:
        payment_in(conn, "captured")
        operation_in(conn, "capture", status="succeeded", finished_at=1)

    await books.write(put)
    await prune(books, 0)
    for table in ("payments", "operations"):
        assert await books.read(lambda conn, t=table: len(conn.execute(select(metadata.tables[t])).all())) == 1


async def test_a_transaction_removes_few_rows(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [event(f"old {number}", 40, 31) for number in range(250)]
    await books.write(lambda conn: conn.execute(insert(outbox), many) and None)
    sizes: list[int] = []
    remove = pruning._remove

    def counted(conn: Connection, prunable: Any, keys: Any, before: Any) -> None:
        sizes.append(len(keys))
        remove(conn, prunable, keys, before)

    monkeypatch.setattr(pruning, "_remove", counted)
    await prune(books)
    assert sizes == [100, 100, 50]


async def test_a_file_uses_again_what_was_pruned(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    books = open_books(url)
    many = [event(f"old {number}", 40, 31) | {"value": b"x" * 1000} for number in range(500)]
    try:
        await books.write(lambda conn: conn.execute(insert(outbox), many) and None)
        size = await books.read(pages)
        await prune(books)
        await books.write(lambda conn: conn.execute(insert(outbox), many) and None)
        assert await books.read(pages) <= size * 1.05
    finally:
        await books.close()


def pages(conn: Connection) -> int:
    return int(conn.exec_driver_sql("PRAGMA page_count").scalar_one())
