"""`sluice sql-tokens`: tokens for SQL, made, listed and revoked by whoever may write the books."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy import Connection

from connectors.keyfiles import SecretMissing
from gateway.books import accounts
from gateway.books.opening import check_existing
from gateway.books.personal_books import PersonalBooks
from gateway.books.sql_tokens import SqlTokenRow, list_tokens
from gateway.free_text import why_refused
from gateway.identity import contacts
from gateway.identity import sql_tokens as use_cases
from gateway.identity.registrations import COMMAND
from gateway.identity.sql_tokens import SqlTokenOrder, TooManyTokens
from gateway.refusals import FieldError, InvalidFields, NoSuchObject, NotAllowed
from gateway.settings import GatewaySettings
from schemas.settings import load
from schemas.times import from_micros, steady_micros
from sluice.admin import sealed_books, with_data
from sluice.cli import DATA, DURATION

AT_ONCE = 100  # rows of a list

T = TypeVar("T")


@click.group("sql-tokens")
def sql_tokens() -> None:
    """Tokens for SQL, on the machine itself; the gateway may run meanwhile, or not."""


@sql_tokens.command()
@click.argument("email")
@click.argument("name")
@click.option("--expires-in", "lasts", type=DURATION, help="When it ends; a year, where it is not said.")
@DATA
def create(email: str, name: str, lasts: timedelta | None, data: Path | None) -> None:
    """Make a token for the owner of an account, and say it: alone, on a line of standard output, this once.

    NAME says what it is for. What it sees follows from what its owner is whenever it is used.
    """

    async def work(books: PersonalBooks) -> tuple[SqlTokenRow, str]:
        return await books.write(_create, email, name, lasts)

    row, token = _run(data, work)
    until = f"{from_micros(row.expires_at):%Y-%m-%d %H:%M} UTC"
    click.echo(f"{row.id} is good until {until}; it is shown this once:", err=True)
    click.echo(token)


@sql_tokens.command("list")
@click.argument("email", required=False)
@DATA
def list_all(email: str | None, data: Path | None) -> None:
    """List the tokens of an account, or without EMAIL all of them, the newest first."""

    async def work(books: PersonalBooks) -> list[str]:
        account_id = await books.read(_account_id, email) if email else None
        return [_line(row) async for row in _rows(books, account_id)]

    for line in _run(data, work):
        click.echo(line)


@sql_tokens.command()
@click.argument("token_id")
@DATA
def revoke(token_id: str, data: Path | None) -> None:
    """End a token, by its id: a second later nothing is answered to it."""

    async def work(books: PersonalBooks) -> None:
        await books.write(use_cases.revoke, token_id, None, COMMAND)

    _run(data, work)
    click.echo(f"{token_id} is revoked")


def _run(data: Path | None, work: Callable[[PersonalBooks], Awaitable[T]]) -> T:
    """What `work` comes to on the books. Raises `click.ClickException` for what is refused."""
    settings = with_data(load(GatewaySettings), data)
    check_existing(settings.books_url())

    async def opened() -> T:
        async with sealed_books(settings) as books:
            return await work(books)

    try:
        return asyncio.run(opened())
    except InvalidFields as invalid:
        raise click.ClickException("; ".join(error.message for error in invalid.errors or [])) from None
    except (NoSuchObject, NotAllowed, TooManyTokens) as refused:
        raise click.ClickException(refused.detail) from None
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None


def _create(conn: Connection, email: str, name: str, lasts: timedelta | None) -> tuple[SqlTokenRow, str]:
    expires_at = None if lasts is None else steady_micros() + lasts // timedelta(microseconds=1)
    order = SqlTokenOrder(_account_id(conn, email), COMMAND, _checked(name), expires_at)
    return use_cases.create(conn, order)


def _checked(name: str) -> str:
    """A name as a body of the API may have it. Raises `InvalidFields`."""
    if why := why_refused(name):
        raise InvalidFields(FieldError("NAME", why))
    return contacts.name(name)


def _account_id(conn: Connection, email: str) -> str:
    found = accounts.bare_by_email(conn, contacts.email_key(email.strip()))
    if found is None:
        raise NoSuchObject("No account has this address.")
    return found.id


async def _rows(books: PersonalBooks, account_id: str | None) -> AsyncIterator[SqlTokenRow]:
    after_id: str | None = None
    while page := await books.browse(list_tokens, account_id, after_id, AT_ONCE):
        for row in page:
            yield row
        after_id = page[-1].id


def _line(row: SqlTokenRow) -> str:
    used = "never" if row.last_used_at is None else f"{from_micros(row.last_used_at):%Y-%m-%d %H:00}"
    ends = f"{from_micros(row.expires_at):%Y-%m-%d %H:%M}"
    state = "revoked" if row.revoked_at is not None else "ended" if row.expires_at <= steady_micros() else "good"
    return f"{row.id}  {row.account_id}  {state:7}  ends {ends}  used {used:16}  {row.name}"
