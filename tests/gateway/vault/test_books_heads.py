"""The vault keeps the head of every entry of the books' audit, whatever is killed or away meanwhile."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.books.audit import Act, EntryHash, list_hashes, record
from gateway.vault.audit_chain import Head, heads_in
from gateway.vault.client import VaultAway

HEAD = f"7:{'a' * 64}"
LOGOUT = Act("logout", "acc_a", "ses_a")


@pytest.fixture
def gateway_settings(gateway_settings: Any, vault: Any) -> Any:
    """A gateway whose vault is this test's own."""
    secret = vault.data / "secrets" / "vault.client"
    return msgspec.structs.replace(gateway_settings, vault=str(vault.socket), vault_client=secret)


def kept(vault: Any) -> list[Head]:
    """What it keeps, in its order."""
    return [head for entry in vault.audit("audit.head") for head in heads_in(entry)]


async def entries(gateway: Any) -> list[EntryHash]:
    return list(await gateway.runtime.books.read(list_hashes, 0, 1_000))


async def test_it_knows_which_head_was_the_last_across_kills(vault: Any, client: Any) -> None:
    assert await client.keep_heads([]) == ""
    assert await client.keep_heads([f"6:{'b' * 64}", HEAD]) == HEAD
    for lost in ((), ("opens.sqlite3", "opens.sqlite3-wal", "opens.sqlite3-shm")):
        vault.kill()
        for name in lost:  # it is made again from the audit
            (vault.data / "audit" / name).unlink(missing_ok=True)
        vault.start()
        assert await client.keep_heads([]) == HEAD
    assert kept(vault) == [Head(6, "b" * 64), Head(7, "a" * 64)]


@pytest.mark.parametrize(
    "head", ["", "7", f"0:{'a' * 64}", f"7:{'a' * 63}", f"7:{'A' * 64}", f"{10**12}:{'a' * 64}"]
)
async def test_what_is_no_head_is_not_kept(vault: Any, client: Any, head: str) -> None:
    with pytest.raises(VaultAway):
        await client.keep_heads([head])
    assert kept(vault) == []


async def test_each_entry_is_kept_at_once_and_none_twice_across_restarts(
    gateway_settings: Any, gateway: Any, vault: Any, until: Any
) -> None:
    for _ in range(3):
        await gateway.runtime.books.write(record, LOGOUT)
    await until(lambda: len(kept(vault)) == 3)
    vault.kill()
    vault.start()
    await gateway.runtime.books.write(record, LOGOUT)
    await until(lambda: len(kept(vault)) == 4)
    assert kept(vault) == await entries(gateway)


async def test_while_the_vault_is_away_work_goes_on_and_the_heads_follow(
    gateway: Any, vault: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.audit_heads.LATE_S", 0.0)
    monkeypatch.setattr("gateway.identity.audit_heads.PAUSE_S", 0.01)
    vault.kill()
    with capture_logs() as logged:
        for _ in range(100):
            await gateway.runtime.books.write(record, LOGOUT)
        await until(lambda: any(line["event"] == "audit_heads.late" for line in logged))
    assert seconds_late(gateway) > 0
    vault.start()
    await until(lambda: len(kept(vault)) == len(vault.audit("audit.head")) + 98)  # many in one entry
    assert kept(vault) == await entries(gateway)
    await until(lambda: seconds_late(gateway) == 0)


def seconds_late(gateway: Any) -> float:
    found = gateway.runtime.metrics.get_sample_value("sluice_audit_heads_late_seconds")
    assert found is not None
    return float(found)


async def test_books_that_were_cut_while_no_gateway_ran_are_noticed_at_the_next_start(
    gateway_settings: Any, vault: Any, until: Callable[..., Any]
) -> None:
    async with create_app(gateway_settings).test_app() as app:
        runtime = app.app.extensions["sluice"]  # type: ignore[attr-defined]
        for _ in range(3):
            await runtime.books.write(record, LOGOUT)
        await until(lambda: len(kept(vault)) == 3)
        await runtime.books.write(cut)
    with capture_logs() as logged:
        async with create_app(gateway_settings).test_app():
            await until(lambda: any(line["event"] == "audit_heads.contradicted" for line in logged))


def cut(conn: Connection) -> None:
    conn.execute(text("DELETE FROM audit WHERE n = 3"))
    conn.execute(text("DELETE FROM audit_heads"))


async def test_who_sends_the_same_heads_again_leaves_no_second_entry(vault: Any, client: Any) -> None:
    first, second = f"1:{'a' * 64}", f"2:{'b' * 64}"
    for heads in ([first], [first], [first, second], [first, second]):
        assert await client.keep_heads(heads) == heads[-1]
    assert kept(vault) == [Head(1, "a" * 64), Head(2, "b" * 64)]
