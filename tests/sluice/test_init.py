"""`sluice init`: a production data directory, once, with every secret for its owner alone."""

import asyncio
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connectors.warehouse import SQL_READERS, WRITERS_READERS, tokens
from gateway.books import accounts
from gateway.books.accounts import Account
from gateway.identity.signing_keys import SigningKeys
from gateway.prints import open_prints
from gateway.settings import GatewaySettings
from gateway.vault.keys import KeyFiles
from gateway.vault.proof import client_secret
from gateway.vault.settings import VaultSettings
from sluice.admin import books_at_hand
from sluice.cli import main

EMAIL = "ada@example.com"


def init(data: Path, *options: str, given: str = "", **environment: str) -> Result:
    arguments = ["init", "--data", str(data), *options]
    return CliRunner().invoke(main, arguments, input=given, env={"SLUICE_PROFILE": "production"} | environment)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "sluice"


def keys_of(data: Path) -> Path:
    return data.with_name("sluice-vault-keys")


async def by_email(data: Path) -> Account | None:
    """The account, found and opened by the vault with the keys that were made."""
    async with books_at_hand(GatewaySettings(data=data), keys_of(data)) as books:
        return await books.read(accounts.by_email, EMAIL)


def test_everything_is_its_owners_alone_and_a_link_is_printed(data: Path) -> None:
    public = {"SLUICE_PUBLIC_URL": "https://pay.example"}
    ran = init(data, "--admin", EMAIL, **public)
    assert ran.exit_code == 0, ran.output
    made = [data, *data.rglob("*"), *keys_of(data).rglob("*"), keys_of(data)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600, 0o700}
    assert "https://pay.example/invitation?token=" in ran.output
    assert f"SLUICE_VAULT_KEYS={keys_of(data)}" in ran.output
    secrets = {path.read_bytes() for path in data.glob("secrets/*")}
    assert len(secrets) == len(list(data.glob("secrets/*")))
    assert not any(secret in ran.output.encode() for secret in secrets)


def test_production_finds_every_secret_that_it_does_not_make(data: Path) -> None:
    assert init(data, "--admin", EMAIL).exit_code == 0
    settings = GatewaySettings(data=data, profile="production", public_url="https://pay.example")
    assert SigningKeys(settings).current()
    open_prints(settings)
    client_secret(settings, None)
    tokens(settings, (*SQL_READERS, *WRITERS_READERS))
    vault = VaultSettings(data=data, profile="production", vault_keys=keys_of(data))
    keys = KeyFiles(vault)
    assert keys.newer_than(0) == 1
    keys.hashes(generate=False)


def test_the_first_admin_is_asked_for_and_confirmed(data: Path) -> None:
    assert init(data, given=f"{EMAIL}\n").exit_code == 0
    found = asyncio.run(by_email(data))
    assert found
    assert (found.email, found.role, found.password_hash) == (EMAIL, "admin", None)
    assert found.email_confirmed_at is not None


def test_what_exists_is_never_touched(data: Path, tmp_path: Path) -> None:
    assert init(data, "--admin", EMAIL).exit_code == 0
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    again = init(data, "--admin", "eve@example.com")
    assert (again.exit_code, "exists and is not empty" in again.output) == (1, True)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    other = init(tmp_path / "other", "--admin", EMAIL, SLUICE_VAULT_KEYS=str(keys_of(data)))
    assert (other.exit_code, (tmp_path / "other").exists()) == (1, False)


def test_an_address_that_is_none_makes_nothing(data: Path) -> None:
    assert init(data, "--admin", "nobody").exit_code == 1
    assert not data.exists()
