"""`python -m benchmarks.shredding`: what a copy of the books from before an erasure tells after it; prints JSON.

A stack of its own. Somebody leaves canaries wherever a person may (mail, new mail, name, phone, postal address,
words). The books are copied (SQLite: by `.backup`, and the files as they are; PostgreSQL: by pg_dump) and searched
with every key and secret of that moment; then the person is erased, and the same copies are searched with every
key and secret of then. Ends with 1 unless all canaries are found before and none after, and all sums are equal.
"""

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import click
import msgspec
from sqlalchemy import Connection

from benchmarks import stack
from benchmarks.canary.canaries import Canaries, canaries, text_forms
from benchmarks.copies import Today, keys_of_today, rows_of_dump, rows_of_sqlite, sealed_texts, texts_of
from benchmarks.stack import Database
from gateway.books.opening import run_once
from gateway.keyed_hashes import keyed_hash

SUMS = (
    "SELECT account, sum(amount) FROM postings GROUP BY account ORDER BY account",
    "SELECT state, count(*), sum(amount), sum(amount_captured) FROM payments GROUP BY state ORDER BY state",
    "SELECT status, count(*), sum(amount) FROM refunds GROUP BY status ORDER BY status",
)


class CopyFigures(msgspec.Struct, frozen=True):
    """`hits`: how often each canary was found in a copy; `files`: in its raw bytes. `sealed`: texts of the person.

    `persons_keys`: how many were tried.
    """

    hits: dict[str, int]
    files: int
    sealed: int
    persons_keys: int


class ShreddingFigures(msgspec.Struct, frozen=True):
    """`guess`: whether the hash of the address in the copy fits a guess, by the keys that make it."""

    database: Database
    before: CopyFigures
    after: CopyFigures
    sums_equal: bool
    guess: dict[str, bool]

    def is_well(self) -> bool:
        """Whether all was there before, and nothing is left."""
        found = all(self.before.hits.values()) and not self.before.files
        return found and not sum(self.after.hits.values()) and not self.after.files and self.sums_equal


class Leaver(msgspec.Struct, frozen=True):
    """Who leaves canaries, and is erased: `token` of a session, and what is searched for by name."""

    account_id: str
    token: str
    marks: dict[str, str]


@click.command()
@click.option("--database", type=click.Choice(["sqlite", "postgres"]), default="sqlite", show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of the canaries.")
def main(database: Database, seed: int) -> None:
    """Leave, copy, erase, search; takes a minute."""
    with stack.running(database) as measured, tempfile.TemporaryDirectory() as folder:
        measured.await_ready("gateway", "vault", "sandbox")
        figures = asyncio.run(_measure(measured, database, canaries(seed), Path(folder)))
    click.echo(msgspec.json.format(msgspec.json.encode(figures)).decode())
    sys.exit(not figures.is_well())


async def _measure(measured: stack.Stack, database: Database, birds: Canaries, folder: Path) -> ShreddingFigures:
    async with aiohttp.ClientSession(measured.settings.url("gateway")) as session:
        person = await _leave_everywhere(session, birds, measured.replay.seed_password)
        copy_books(measured, folder)
        data, sums = measured.settings.data, await asyncio.to_thread(_sums, measured)
        before = searched(folder, person, keys_of_today(data))
        async with session.delete("/v1/me", headers=_bearer(person.token)) as answer:
            answer.raise_for_status()
        keys = keys_of_today(data)
        after = searched(folder, person, keys)
        equal = await asyncio.to_thread(_sums, measured) == sums
    return ShreddingFigures(database, before, after, equal, guesses(folder, birds.email, keys))


async def _leave_everywhere(session: aiohttp.ClientSession, birds: Canaries, seed_password: str) -> Leaver:
    """An account with two addresses and a card, payments with texts, a refund with a reason."""
    address = f"7 Canary Lane {birds.words}"
    new = {"email": birds.email, "password": birds.password, "name": birds.name, "phone": birds.phone}
    account = await ask(session, "POST", "/v1/accounts", new)
    token = await log_in(session, birds.email, birds.password)
    seller = await log_in(session, "merchant@example.com", seed_password)
    merchant = (await ask(session, "GET", "/v1/me", token=seller))["id"]
    await ask(session, "PATCH", "/v1/me", {"email": f"new.{birds.email}", "time_zone": "Europe/Vaduz"}, token)
    card = {"number": "4111111111111111", "exp_month": 1, "exp_year": 2039, "name": birds.name}
    card_id = (await ask(session, "POST", "/v1/cards", card, token))["id"]
    order = {"amount": 1_234, "currency": "EUR", "merchant": merchant, "description": f"for {birds.name}"}
    order |= {"metadata": {"ship to": address, "call": birds.phone}}
    paid = await ask(session, "POST", "/v1/payments", order | {"payment_method": _card(card_id)}, token)
    reason = {"amount": 34, "reason": f"{birds.name} sent it back from {address}"}
    await ask(session, "POST", f"/v1/payments/{paid['id']}/refunds", reason, seller)
    back = f"http://localhost/?who={quote(birds.email)}&where={quote(address)}"
    paypal = order | {"payment_method": {"type": "paypal"}, "return_url": back}
    await ask(session, "POST", "/v1/payments", paypal, token)
    await _act_for_themselves(session, birds, token)
    marks = {"mail": birds.email, "new mail": f"new.{birds.email}", "name": birds.name, "phone": birds.phone}
    return Leaver(account["id"], token, marks | {"address": address, "words": birds.words})


async def _act_for_themselves(session: aiohttp.ClientSession, birds: Canaries, token: str) -> None:
    """A mail with a link, a second factor, a refused login, an export: in tables of their own, and the audit."""
    wrong = {"email": birds.email, "password": f"not {birds.password}"}
    whoami = {"User-Agent": f"{birds.name} {birds.phone}"}
    for method, path, body, status in (
        ("POST", "/v1/password/reset", {"email": birds.email}, 202),
        ("POST", "/v1/me/totp", {}, 200),
        ("POST", "/v1/login", wrong, 401),
        ("GET", "/v1/me/export", None, 200),
    ):
        async with session.request(method, path, json=body, headers=_bearer(token) | whoami) as answer:
            assert answer.status == status, (path, await answer.text())


def copy_books(measured: stack.Stack, folder: Path) -> None:
    """Copy the books as an operator does, and their files as whoever steals them."""
    if measured.server is not None:
        (folder / "books.sql").write_text(measured.server.dump())
        return
    with (
        closing(sqlite3.connect(measured.settings.data / "books.sqlite3")) as books,
        closing(sqlite3.connect(folder / "copy.sqlite3")) as copy,
    ):
        books.backup(copy)
    for path in measured.settings.data.glob("books.sqlite3*"):
        shutil.copy(path, folder)


def searched(folder: Path, person: Leaver, keys: Today) -> CopyFigures:
    """What the copies in a folder tell of a person to whoever has these keys."""
    rows = list(_rows(folder))
    texts = [text.lower() for row in rows for text in texts_of(row, keys)]
    forms = {name: {form.lower() for form in (mark, quote(mark))} for name, mark in person.marks.items()}
    hits = {name: sum(any(form in text for form in some) for text in texts) for name, some in forms.items()}
    raw = b"".join(path.read_bytes() for path in folder.iterdir()).lower()
    files = sum(raw.count(form.lower()) for mark in person.marks.values() for form in text_forms(mark).values())
    return CopyFigures(hits, files, sum(sealed_texts(row, person.account_id) for row in rows), len(keys.persons))


def guesses(folder: Path, address: str, keys: Today) -> dict[str, bool]:
    """Whether somebody who guesses an address can tell that it is in a copy, by the keys that they have."""
    text = "\n".join(_rows(folder))
    by_secret = [keyed_hash(key, "email", address).hex() in text for key in keys.others]
    by_lookups = keyed_hash(keys.persons["lookups"], "email", address).hex() in text
    return {"by any secret": any(by_secret), "by today's persons.sqlite3": by_lookups}


async def ask(session: aiohttp.ClientSession, method: str, path: str, body: Any = None, token: str = "") -> Any:
    """The answer to a request that must be granted."""
    headers = _bearer(token) | ({"Idempotency-Key": uuid4().hex} if method == "POST" else {})
    async with session.request(method, path, json=body, headers=headers) as answer:
        assert answer.ok, (path, await answer.text())
        return await answer.json()


async def log_in(session: aiohttp.ClientSession, email: str, password: str) -> str:
    """An access token."""
    return str((await ask(session, "POST", "/v1/login", {"email": email, "password": password}))["access_token"])


def _rows(folder: Path) -> Iterator[str]:
    if (folder / "books.sql").exists():
        yield from rows_of_dump((folder / "books.sql").read_text())
    else:
        yield from rows_of_sqlite(folder / "copy.sqlite3")


def _sums(measured: stack.Stack) -> list[Any]:
    return run_once(measured.books_url(), _sums_in, readonly=True)


def _sums_in(conn: Connection) -> list[Any]:
    return [tuple(row) for query in SUMS for row in conn.exec_driver_sql(query)]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _card(card_id: str) -> dict[str, str]:
    return {"type": "card", "card": card_id, "cvc": "100"}


if __name__ == "__main__":
    main()
