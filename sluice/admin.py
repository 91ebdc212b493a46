"""`sluice admin`: admins and readers whom no admin makes, but who may read the secrets and write the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import msgspec

from connectors.keyfiles import SecretMissing, read_or_make
from connectors.settings import ChannelSettings
from gateway.books.accounts import EmailTaken
from gateway.books.audit import sealing
from gateway.books.clock import set_steady_clock
from gateway.books.key_ring import KeyRing
from gateway.books.opening import check_existing, open_books
from gateway.books.personal_books import PersonalBooks
from gateway.books.persons import LOOKUPS
from gateway.identity.confirmations import ConfirmationRules
from gateway.identity.links import link_url
from gateway.identity.registrations import make_admin
from gateway.identity.rights import RightsStay, name_reader
from gateway.refusals import InvalidFields, NoSuchObject
from gateway.settings import GatewaySettings
from schemas.settings import load
from sluice.cli import DATA
from sluice.momentary_vault import vault_at_hand


@click.group()
def admin() -> None:
    """Admins and readers, made on the machine itself."""


@admin.command()
@click.argument("email")
@DATA
def create(email: str, data: Path | None) -> None:
    """Make an admin's account, and print a link that sets a password and a second factor, once, within three days.

    The gateway may run meanwhile, or not.
    """
    settings = with_data(load(GatewaySettings), data)
    check_existing(settings.books_url())
    say_link(settings, email)


@admin.command()
@click.argument("email")
@click.option("--remove", is_flag=True, help="They are no reader any more.")
@DATA
def reader(email: str, remove: bool, data: Path | None) -> None:
    """Name the owner of an account a reader: they see all payments by SQL, without cards and payers.

    What they see changes within a second, while the gateway runs, or not.
    """
    settings = with_data(load(GatewaySettings), data)
    check_existing(settings.books_url())
    try:
        asyncio.run(_name(settings, email, named=not remove))
    except NoSuchObject:
        raise click.ClickException(f"no account has the address {email!r}") from None
    except RightsStay as refused:
        raise click.ClickException(refused.detail) from None
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
    click.echo(f"{email} is {'no reader any more' if remove else 'a reader'}")


def with_data(settings: GatewaySettings, data: Path | None) -> GatewaySettings:
    """The settings with another data directory, where one was named."""
    return msgspec.structs.replace(settings, data=data) if data else settings


def say_link(settings: GatewaySettings, email: str, vault_keys: Path | None = None) -> None:
    """Make an admin in the books, and print their link. Raises `click.ClickException` where that cannot be.

    `vault_keys`: where the vault's keys lie, if its settings do not say it.
    """
    try:
        link = asyncio.run(_make(settings, email, vault_keys))
    except EmailTaken:
        raise click.ClickException("an account has this address: have an admin change its role") from None
    except InvalidFields:
        raise click.ClickException(f"{email!r} is no e-mail address") from None
    except SecretMissing as missing:
        raise click.ClickException(str(missing)) from None
    click.echo(f"{email} is an admin. This link sets their password and second factor, once, within three days:")
    click.echo(link)


async def _make(settings: GatewaySettings, email: str, vault_keys: Path | None) -> str:
    rules = _rules(settings)
    async with books_at_hand(settings, vault_keys) as books:
        books.seal = sealing(rules.key)
        await set_steady_clock(books)  # a link ends by the books' clock, not by the wall's
        token = await make_admin(books, rules, email)
    return link_url(rules, "invitation", token)


async def _name(settings: GatewaySettings, email: str, *, named: bool) -> None:
    async with sealed_books(settings) as books:
        await books.write(name_reader, email, named)


@asynccontextmanager
async def sealed_books(settings: GatewaySettings) -> AsyncIterator[PersonalBooks]:
    """The same, for commands that do what the audit tells of. Raises `SecretMissing` without a gateway's key."""
    key = read_or_make(settings, "gateway.key", _no_key)
    async with books_at_hand(settings, None) as books:
        books.seal = sealing(key)
        await set_steady_clock(books)  # what ends goes by the books' clock, not by the wall's
        yield books


@asynccontextmanager
async def books_at_hand(settings: GatewaySettings, vault_keys: Path | None) -> AsyncIterator[PersonalBooks]:
    """The books, with persons' keys from the vault that `vault_at_hand` gives; raises what that raises."""
    async with vault_at_hand(settings, vault_keys) as vault:
        books = PersonalBooks(open_books(settings.books_url()), KeyRing(LOOKUPS), vault.person_keys)
        try:
            yield books
        finally:
            await books.close()


def _rules(settings: GatewaySettings) -> ConfirmationRules:
    channels = ChannelSettings(data=settings.data)
    key = read_or_make(settings, "gateway.key", _no_key)
    return ConfirmationRules(key, channels.limits(), channels, settings.public_url)


def _no_key() -> bytes:
    raise SecretMissing("the gateway has no key yet: start it once, or use `sluice init`")
