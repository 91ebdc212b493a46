"""Keys rotate while cards are opened and stored, and a killed rotation continues."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.vault.client import NoKey, VaultClient
from gateway.vault.frames import CardCounts
from sluice.keys import keys

Until = Callable[..., Awaitable[None]]
Numbers = Callable[[int], str]
CARDS = 1_000


async def stored(client: Any, number: Numbers, count: int = CARDS) -> dict[str, str]:
    """Number by token of `count` new cards."""
    cards = {}
    for start in range(0, count, 100):  # more at once and the last would wait for the disk past the timeout
        numbers = [number(i) for i in range(start, min(start + 100, count))]
        made = await asyncio.gather(*(client.store("acc_a", each, 1, 2039) for each in numbers))
        cards |= {card.card_id: each for card, each in zip(made, numbers, strict=True)}
    return cards


async def rotated(client: Any) -> CardCounts:
    """The counts once no rotation is running."""
    async with asyncio.timeout(60):
        counts = await client.count()
        while counts.rotating:
            await asyncio.sleep(0.01)
            counts = await client.count()
        return counts


async def test_a_rotation_under_load_fails_no_read_and_the_old_key_may_go(
    vault: Any, client: Any, new_client: Callable[..., VaultClient], number: Numbers
) -> None:
    cards = await stored(client, number)
    done = asyncio.Event()
    reader, writer = new_client(vault), new_client(vault)

    async def keep_reading() -> int:
        reads = 0
        while not done.is_set():
            for card_id in list(cards)[reads % 7 :: 50]:
                assert (await reader.see(card_id, "acc_a")).number == cards[card_id]
                reads += 1
        return reads

    async def keep_storing() -> None:
        for i in range(CARDS, CARDS + 1_000):
            card_id = (await writer.store("acc_a", number(i), 1, 2039)).card_id
            cards[card_id] = number(i)
            if done.is_set():
                break

    load = [asyncio.create_task(keep_reading()), asyncio.create_task(keep_storing())]
    begun = await client.rotate()
    assert (begun.key_version, begun.rotating) == (2, True)
    await rotated(client)
    done.set()
    reads, _ = await asyncio.gather(*load)
    assert reads > 0
    assert (await client.count()).left == 0
    assert vault.stop() == 0
    (vault.data / "secrets" / "vault.kek.1").unlink()
    vault.start()
    for card_id, expected in cards.items():
        assert (await client.see(card_id, "acc_a")).number == expected


async def test_a_rotation_that_was_killed_goes_on_at_the_next_start(
    vault: Any, client: Any, number: Numbers
) -> None:
    cards = await stored(client, number)
    for version in range(2, 12):
        await client.rotate()
        vault.kill()
        if left_under(vault.file, version - 1):  # else it was faster than the kill: once more
            break
        vault.start()
    assert left_under(vault.file, version - 1)
    vault.start()
    counts = await rotated(client)
    assert (counts.key_version, counts.left) == (version, 0)
    assert vault.said("vault.rotated")[-1]["cards"] == len(cards)
    for card_id in list(cards)[::100]:
        assert (await client.see(card_id, "acc_a")).number == cards[card_id]


async def test_two_calls_at_once_are_one_rotation(vault: Any, client: Any, number: Numbers) -> None:
    await stored(client, number, 500)
    begun = await asyncio.gather(*(client.rotate() for _ in range(5)))
    assert {counts.key_version for counts in begun} == {2}
    await rotated(client)
    assert len(vault.said("vault.rotated")) == 1


async def test_production_rotates_to_the_key_it_was_given(
    new_vault: Any, new_client: Callable[..., VaultClient], tmp_path: Path, number: Numbers
) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    put(directory / "vault.hmac")
    put(directory / "vault.kek.1")
    (tmp_path / "client").write_text(token_hex(32))
    given = {"SLUICE_PROFILE": "production", "SLUICE_VAULT_KEYS": str(directory)}
    vault = new_vault(**given, SLUICE_VAULT_CLIENT=str(tmp_path / "client")).start()
    client = new_client(vault, (tmp_path / "client").read_bytes().strip())
    card_id = next(iter(await stored(client, number, 1)))
    with pytest.raises(NoKey):
        await client.rotate()
    assert "vault.kek.2" in vault.said("vault.request_refused")[-1]["detail"]
    put(directory / "vault.kek.2")
    await client.rotate()
    await rotated(client)
    (directory / "vault.kek.1").unlink()
    vault.kill()
    vault.start()
    assert (await client.see(card_id, "acc_a")).number == number(0)
    assert sorted(path.name for path in directory.iterdir()) == ["vault.hmac", "vault.kek.2"]


async def test_the_command_shows_the_end_of_it(vault: Any, client: Any, number: Numbers) -> None:
    await stored(client, number, 300)
    result = await asyncio.to_thread(CliRunner().invoke, keys, ["rotate", "--data", str(vault.data)])
    assert result.exit_code == 0, result.output
    assert "300 cards are under key version 2" in result.output
    assert (await client.count()).left == 0


async def test_the_command_says_what_it_could_not_open(vault: Any, client: Any, number: Numbers) -> None:
    await stored(client, number, 3)
    with closing(sqlite3.connect(vault.file, isolation_level=None)) as conn:
        conn.execute("UPDATE cards SET owner = 'acc_b' WHERE card = (SELECT min(card) FROM cards)")
    for version in (2, 3):  # nor does it hold up the next one
        result = await asyncio.to_thread(CliRunner().invoke, keys, ["rotate", "--data", str(vault.data)])
        assert result.exit_code == 1
        assert "1 of 3 cards are still under an older key" in result.output
        assert (await client.count()).key_version == version
    assert vault.said("vault.rotate")[-1]["result"] == "NotOpened"


def test_the_command_needs_a_vault(tmp_path: Path) -> None:
    result = CliRunner().invoke(keys, ["rotate", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "no vault answers" in result.output


def left_under(file: Path, version: int) -> int:
    """How many cards of the vault's file are under this key version."""
    with closing(sqlite3.connect(file)) as conn:
        return int(conn.execute("SELECT count(*) FROM cards WHERE kek = ?", (version,)).fetchone()[0])


def put(path: Path) -> None:
    """A key file."""
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
