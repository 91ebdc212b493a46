"""Persons' keys: made once, read by many, wrapped anew with each key-encryption key, and destroyed for ever."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from gateway.vault import frames
from gateway.vault.client import TooFast

Until = Callable[..., Awaitable[None]]


async def test_a_key_is_made_once_and_is_the_same_after_a_kill(vault: Any, client: Any) -> None:
    assert await client.person_keys(["acc_a", "acc_b"], make=False) == {}
    made = await client.person_keys(["acc_a", "acc_b", "acc_a"], make=True)
    assert {len(key) for key in made.values()} == {32}
    assert made["acc_a"] != made["acc_b"]
    vault.kill()
    vault.start()
    assert await client.person_keys(["acc_b", "acc_a", "acc_x"], make=False) == made


async def test_a_destroyed_key_is_gone_from_the_disk_and_never_made_again(vault: Any, client: Any) -> None:
    await client.person_keys(["acc_a", "acc_b"], make=True)
    wrapped = _wrapped(vault, "acc_a")
    assert wrapped in _files(vault)
    await client.destroy_person_key("acc_a")
    await client.destroy_person_key("acc_a")
    await client.destroy_person_key("acc_new")
    assert wrapped not in _files(vault)
    assert (await client.person_keys(["acc_a", "acc_b", "acc_new"], make=True)).keys() == {"acc_b"}
    assert [entry.result for entry in vault.audit("person.destroy")] == ["ok", "absent", "absent"]


async def test_no_key_stands_where_cards_do_nor_in_clear(vault: Any, client: Any) -> None:
    """A backup of the cards' file has no key of a person; a copy of their own file opens by the KEK alone."""
    key = (await client.person_keys(["acc_a"], make=True))["acc_a"]
    cards = b"".join(path.read_bytes() for path in vault.data.glob("vault.sqlite3*"))
    assert b"acc_a" not in cards
    assert key not in _files(vault)


async def test_the_audit_tells_who_had_which_key_made_read_or_destroyed(vault: Any, client: Any) -> None:
    await client.person_keys(["acc_a"], make=True)
    await client.person_keys(["acc_a", "acc_b"], make=True)
    await client.person_keys(["acc_b", "acc_a"], make=False)
    assert [entry.owner_id for entry in vault.audit("person.make")] == ["acc_a", "acc_b"]
    assert [entry.detail for entry in vault.audit("person.keys")] == ["acc_a", "acc_b acc_a"]


async def test_they_are_read_no_faster_than_they_may_be(new_vault: Any, new_client: Any) -> None:
    vault = new_vault(SLUICE_VAULT_PERSON_KEYS_PER_S="100").start()
    client, many = new_client(vault), [f"acc_{i}" for i in range(frames.PERSONS_MAX)]

    await client.person_keys(many, make=True)  # waits: a vault that was just started grants nothing yet
    with pytest.raises(TooFast):
        await new_client(vault, timeout_s=0.2).person_keys(many * 10)
    await client.destroy_person_key("acc_1")  # what is to be forgotten never waits


async def test_a_rotation_wraps_them_anew_and_the_old_key_may_go(vault: Any, client: Any, until: Until) -> None:
    many = [f"acc_{i}" for i in range(frames.PERSONS_MAX)]
    made = await client.person_keys(many, make=True)
    await client.destroy_person_key("acc_7")
    await client.rotate()
    await until(lambda: _rests(client))
    vault.stop()
    (vault.data / "secrets" / "vault.kek.1").unlink()
    vault.start()
    assert await client.person_keys(many, make=True) == {id: key for id, key in made.items() if id != "acc_7"}


async def test_a_rotation_that_was_killed_before_them_goes_on(vault: Any, client: Any, until: Until) -> None:
    made = await client.person_keys(["acc_a"], make=True)
    await client.rotate()
    await until(lambda: _rests(client))
    vault.kill()
    with closing(sqlite3.connect(vault.data / "vault.sqlite3")) as conn, conn:
        conn.execute("INSERT INTO keys (version, proof) SELECT 3, proof FROM keys WHERE version = 2")
    (vault.data / "secrets" / "vault.kek.3").write_bytes((vault.data / "secrets" / "vault.kek.2").read_bytes())
    (vault.data / "secrets" / "vault.kek.3").chmod(0o600)
    vault.start()
    await until(lambda: vault.said("vault.rotated")[1:] != [])
    vault.stop()
    (vault.data / "secrets" / "vault.kek.2").unlink()
    vault.start()
    assert await client.person_keys(["acc_a"], make=False) == made


async def test_a_row_that_was_moved_to_another_person_does_not_open(vault: Any, client: Any) -> None:
    await client.person_keys(["acc_a", "acc_b"], make=True)
    with closing(sqlite3.connect(vault.data / "persons.sqlite3")) as conn, conn:
        moved = "UPDATE persons SET wrapped = (SELECT wrapped FROM persons WHERE person = 'acc_b')"
        conn.execute(f"{moved} WHERE person = 'acc_a'")
    assert (await client.person_keys(["acc_a", "acc_b"], make=False)).keys() == {"acc_b"}
    assert [line["person_id"] for line in vault.said("person_key.damaged")] == ["acc_a"]


async def _rests(client: Any) -> bool:
    return not (await client.count()).rotating


def _wrapped(vault: Any, person_id: str) -> bytes:
    with closing(sqlite3.connect(vault.data / "persons.sqlite3")) as conn:
        found = conn.execute("SELECT wrapped FROM persons WHERE person = ?", (person_id,)).fetchone()
    return bytes(found[0])


def _files(vault: Any) -> bytes:
    return b"".join(path.read_bytes() for path in vault.data.glob("*.sqlite3*"))
