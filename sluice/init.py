"""`sluice init`: a production data directory with every secret in it, empty books, and a first admin."""

from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_bytes, token_hex, token_urlsafe

import click
import msgspec
from joserfc.jwk import ECKey

from connectors.kafka_login import new_password, password_file
from connectors.keyfiles import read_or_make
from connectors.private_files import keep_private
from connectors.warehouse import SQL_READERS, WRITERS_READERS
from gateway.books import accounts
from gateway.books.opening import migrate, run_once
from gateway.identity import contacts
from gateway.refusals import InvalidFields
from gateway.seed import SERVICES
from gateway.settings import GatewaySettings
from gateway.vault.settings import VaultSettings
from schemas.settings import load
from schemas.topic_rights import PRINCIPALS
from sluice.admin import say_link, with_data
from sluice.cli import DATA

Makers = Mapping[str, Callable[[], bytes]]

KEY_BYTES = 32
SECRETS: Makers = {
    "gateway.key": lambda: token_bytes(KEY_BYTES),
    "prints.key": lambda: token_bytes(KEY_BYTES),
    "gateway.pem": lambda: ECKey.generate_key("P-256").as_pem(private=True),
    "vault.client": lambda: token_hex(KEY_BYTES).encode(),
    "dashboard.cookie": lambda: token_urlsafe(KEY_BYTES).encode(),
    **{f"{name}.secret": lambda: token_urlsafe(KEY_BYTES).encode() for name in (*SERVICES, "dashboard")},
    **{password_file(principal): new_password for principal in PRINCIPALS},
    **{f"warehouse.{reader}.token": lambda: token_hex(16).encode() for reader in (*SQL_READERS, *WRITERS_READERS)},
}
VAULT_KEYS: Makers = {name: lambda: token_bytes(KEY_BYTES) for name in ("vault.hmac", "vault.kek.1")}

# What nobody can make up: whom we speak to, and by which name we are reached.
STILL_TO_SET = """\
Set before the start (.env.example tells of each):
  SLUICE_PROFILE=production
  SLUICE_DATA={data}
  SLUICE_VAULT_KEYS={vault_keys}
  SLUICE_PUBLIC_URL        https://… by which people and processors reach the gateway, now {public_url}
  SLUICE_DATABASE_URL      where the books are to be in PostgreSQL; now {books}
  SLUICE_MAIL_HOST, _USER, _FROM, with the password in {secrets}/mail.password
  SLUICE_SMS_URL, _ACCOUNT, _FROM, _COUNTRIES, with the token in {secrets}/sms.token
  SLUICE_VISA_…, SLUICE_MASTERCARD_…, SLUICE_PAYPAL_…    the processors' addresses and your credentials there
Keep {vault_keys} apart from the data, and a copy of both elsewhere: without these keys no card opens.
"""


@click.command()
@DATA
@click.option("--admin", "email", help="The e-mail address of the first admin; asked for where it is not given.")
def init(data: Path | None, email: str | None) -> None:
    """Make a data directory for production: every secret, empty books, and the first admin.

    What exists is never touched: a directory that holds anything is refused. The vault's keys lie apart, in
    SLUICE_VAULT_KEYS or beside the data directory.
    """
    settings = with_data(load(GatewaySettings, checked=False), data)
    vault_keys = load(VaultSettings, checked=False).vault_keys or settings.data.with_name(
        f"{settings.data.name}-vault-keys"
    )
    for folder in (settings.data, settings.secrets(), vault_keys):
        _refuse_existing(folder)
    email = _checked(email or click.prompt("The first admin's e-mail address"))
    keep_private(settings.data)
    _make_books(settings)
    _write(settings, settings.secrets(), SECRETS)
    _write(settings, vault_keys, VAULT_KEYS)
    say_link(settings, email, vault_keys)
    _say_rest(settings, vault_keys)


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.ClickException(f"{folder} exists and is not empty: nothing was changed")


def _checked(email: str) -> str:
    try:
        return contacts.email(email)
    except InvalidFields:
        raise click.ClickException(f"{email!r} is no e-mail address") from None


def _make_books(settings: GatewaySettings) -> None:
    """Empty books; those of a PostgreSQL that has an admin already are somebody's."""
    url = settings.books_url()
    migrate(url)
    if run_once(url, accounts.admins):
        raise click.ClickException("these books have an admin: `sluice admin create` makes a further one")


def _write(settings: GatewaySettings, folder: Path, makers: Makers) -> None:
    """Write secrets as the local profile would on first use: 0600, on disk, in a directory of 0700."""
    generating = msgspec.structs.replace(settings, profile="local", secrets_directory=folder)
    for name, make in makers.items():
        read_or_make(generating, name, make)


def _say_rest(settings: GatewaySettings, vault_keys: Path) -> None:
    fields = {
        "data": settings.data.resolve(),
        "vault_keys": vault_keys.resolve(),
        "secrets": settings.secrets(),
        "public_url": settings.public_url,
        "books": settings.books_url().partition("@")[2] or settings.books_url(),
    }
    click.echo()
    click.echo(STILL_TO_SET.format(**fields), nl=False)
