"""Keys of the erased are destroyed however often the gateway dies on the way; old rows are sealed at a start."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from gateway.books import accounts, sealing
from gateway.books.accounts import Account
from gateway.books.key_ring import KeyRing
from gateway.identity import erasure, person_chores
from gateway.settings import GatewaySettings
from gateway.vault.client import VaultAway, VaultClient
from tests.gateway.conftest import Gateway
from tests.gateway.post import Post, channels_of, served
from tests.patience import eventually


async def has_key(gateway: Gateway, account_id: str) -> bool:
    """Whether the vault has a key of an account."""
    return bool(await gateway.runtime.vault.person_keys([account_id]))


async def new_person(gateway: Gateway) -> tuple[str, str]:
    """Token and account id of somebody."""
    token = await gateway.sign_up()
    return token, (await gateway.ask("GET", "/v1/me", who=token)).json["id"]


async def test_an_erasure_destroys_the_key_before_it_is_answered(gateway: Gateway) -> None:
    token, account_id = await new_person(gateway)
    assert await has_key(gateway, account_id)
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    assert not await has_key(gateway, account_id)
    held = gateway.runtime.key_ring.find(account_id, make=True)
    assert held is not None
    assert held.key is None


@pytest.mark.parametrize("killed", [True, False])
async def test_what_was_not_destroyed_then_is_at_the_next_start(
    gateway_settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    post = Post(channels_of(gateway_settings))
    async with served(gateway_settings, post.settings) as gateway:
        token, account_id = await new_person(gateway)
        monkeypatch.setattr(VaultClient, "destroy_person_key", is_away)
        if killed:
            monkeypatch.setattr(erasure, "destroy_key", never)
        assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
        assert await has_key(gateway, account_id)
    monkeypatch.undo()
    async with served(gateway_settings, post.settings) as gateway:
        await eventually(lambda: _is_gone(gateway, account_id))
    await post.close()


async def is_away(*_: Any) -> None:
    """The vault was killed meanwhile."""
    raise VaultAway


async def never(*_: Any) -> None:
    """A kill before it began."""


async def test_a_key_that_an_earlier_copy_of_the_file_brings_back_is_destroyed_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, (token, account_id) = gateway.runtime, await new_person(gateway)
    key = await runtime.vault.person_keys([account_id])
    assert (await gateway.ask("DELETE", "/v1/me", who=token)).status == 204
    destroyed: list[str] = []

    async def earlier_keys(_person_ids: list[str]) -> dict[str, bytes]:
        return key

    async def destroy(person_id: str) -> None:
        destroyed.append(person_id)

    monkeypatch.setattr(runtime.vault, "person_keys", earlier_keys)
    monkeypatch.setattr(runtime.vault, "destroy_person_key", destroy)
    await person_chores._destroy_again(runtime.books, runtime.vault, runtime.key_ring)
    assert set(destroyed) == {account_id}  # the gateway, which has just started, may do it beside this test


async def _is_gone(gateway: Gateway, account_id: str) -> bool:
    return not await has_key(gateway, account_id)


async def test_rows_of_an_earlier_release_are_sealed_while_it_serves(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    books, vault = gateway.runtime.books, gateway.runtime.vault
    old = Account(
        id="acc_old",
        role="customer",
        email="old@example.com",
        email_key="old@example.com",
        name="Olivia Canary",
        password_hash=await gateway.runtime.passwords.hash("correct horse battery"),
        created_at=1,
        updated_at=1,
    )
    await books.write(_as_of_before, old)
    token = (await gateway.log_in("old@example.com", "correct horse battery")).json["access_token"]
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["name"] == "Olivia Canary"
    await person_chores._seal_all(books)
    data = gateway.runtime.settings.data
    assert b"Olivia" not in b"".join(path.read_bytes() for path in data.glob("books.sqlite3*"))
    assert (await gateway.ask("GET", "/v1/me", who=token)).json["name"] == "Olivia Canary"
    assert (await gateway.log_in("OLD@example.com", "correct horse battery")).status == 200
    assert await vault.person_keys(["acc_old"])


def _as_of_before(conn: Connection, account: Account) -> None:
    conn.execute(accounts.accounts.insert().values(**msgspec.structs.asdict(account)))
    conn.execute(sealing.sealings.delete())


async def test_a_fault_that_is_not_expected_ends_the_task(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(person_chores, "_seal_all", breaks)
    with pytest.raises(RuntimeError):
        await person_chores.keep_persons(gateway.runtime.books, gateway.runtime.vault, KeyRing(""))
