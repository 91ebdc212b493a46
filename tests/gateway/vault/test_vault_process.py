"""The real process: its replies, to whom, and the entries of its audit."""

import asyncio
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, get_args

import pytest

from gateway.vault import client as vault_client
from gateway.vault import frames
from gateway.vault.client import BadCard, CardUnknown, VaultClient

NUMBER = "4111111111111111"

Clients = Callable[..., VaultClient]


async def test_a_card_goes_in_and_comes_out_for_its_owner_alone(client: Any) -> None:
    stored = await client.store("acc_a", NUMBER, 1, 2039)
    assert (stored.brand, stored.bin, stored.last4, stored.created) == ("visa", "411111", "1111", True)
    card = await client.see(stored.card_id, "acc_a")
    assert (card.number, card.exp_month, card.exp_year, card.cvc) == (NUMBER, 1, 2039, None)
    with pytest.raises(CardUnknown):
        await client.see(stored.card_id, "acc_b")
    with pytest.raises(BadCard):
        await client.store("acc_a", "4111111111111112", 1, 2039)
    await client.delete(stored.card_id, "acc_b")  # not hers: nothing happens
    await client.see(stored.card_id, "acc_a")
    await client.delete(stored.card_id, "acc_a")
    await client.delete(stored.card_id, "acc_a")
    with pytest.raises(CardUnknown):
        await client.see(stored.card_id, "acc_a")


async def test_a_digest_is_keyed_and_stays_the_same_after_a_restart(vault: Any, client: Any) -> None:
    body = b"x" * 65_536
    before = await client.digest(body)
    assert len(before) == 32
    assert await client.digest(body + b"x") != before
    vault.kill()
    vault.start()
    assert await client.digest(body) == before


async def test_many_calls_of_two_clients_share_the_vault(
    vault: Any, client: Any, new_client: Clients, number: Callable[[int], str]
) -> None:
    other = new_client(vault)
    mine = await asyncio.gather(*(client.store("acc_a", number(i), 1, 2039) for i in range(300)))
    theirs = await asyncio.gather(*(other.store("acc_b", number(i), 1, 2039) for i in range(300)))
    opened = await asyncio.gather(
        *(client.see(card.card_id, "acc_a") for card in mine),
        *(other.see(card.card_id, "acc_b") for card in theirs),
    )
    assert [card.number for card in opened] == [number(i) for i in range(300)] * 2
    assert (await client.count()).cards == 600


async def test_the_same_number_at_the_same_moment_is_one_card(
    vault: Any, client: Any, new_client: Clients
) -> None:
    clients = [new_client(vault) for _ in range(4)]
    stored = await asyncio.gather(*(each.store("acc_a", NUMBER, 1, 2039) for each in clients * 10))
    assert len({each.card_id for each in stored}) == 1
    assert [each.created for each in stored].count(True) == 1
    assert (await client.count()).cards == 1


async def test_every_touch_of_a_card_leaves_an_entry_in_the_audit(vault: Any, client: Any) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    await client.store("acc_a", NUMBER, 2, 2039)
    await client.see(card_id, "acc_a")
    with pytest.raises(CardUnknown):
        await client.see(card_id, "acc_b")
    with pytest.raises(BadCard):
        await client.store("acc_a", NUMBER[:-1] + "2", 2, 2039)
    await client.rotate()
    await client.delete(card_id, "acc_a")
    await client.delete(card_id, "acc_a")
    vault.stop()
    entries = vault.audit()
    assert [(entry.event, entry.card_id, entry.owner_id, entry.result) for entry in entries] == [
        ("audit.continue", None, None, "ok"),
        ("vault.start", None, None, "ok"),
        ("card.store", card_id, "acc_a", "created"),
        ("card.store", card_id, "acc_a", "updated"),
        ("card.open", card_id, "acc_a", "ok"),
        ("card.open", card_id, "acc_b", "NoSuchCard"),
        ("card.store", None, "acc_a", "InvalidNumber"),
        ("keys.rotate", None, None, "ok"),
        ("card.delete", card_id, "acc_a", "ok"),
        ("card.delete", card_id, "acc_a", "absent"),
        ("vault.stop", None, None, "ok"),
    ]
    assert {(entry.pid, entry.uid) for entry in entries[2:-1]} == {(os.getpid(), os.getuid())}
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


async def test_a_row_that_was_altered_is_unknown_to_the_caller_and_loud_in_the_audit(
    vault: Any, client: Any
) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    with closing(sqlite3.connect(vault.file, isolation_level=None)) as conn:
        conn.execute("UPDATE cards SET owner = 'acc_b'")
    with pytest.raises(CardUnknown):
        await client.see(card_id, "acc_b")
    assert [entry.result for entry in vault.audit("card.open")] == ["NotOpened"]


async def test_a_frame_may_come_byte_by_byte(vault: Any) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(vault.socket))
        for byte in frames.pack(frames.Ping(7)):
            peer.sendall(bytes([byte]))
        assert peer.recv(100) == frames.pack(frames.Done(7))


def test_every_code_has_an_error_of_its_own() -> None:
    assert set(vault_client.ERRORS) == set(get_args(frames.RefusalCode))
