"""Two vaults: the one that stands by has all that was answered, and takes over where the other one is gone."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.vault.client import VaultAway
from gateway.vault.isolation import socket_path
from gateway.vault.office import RELIEVED
from tests import patience
from tests.gateway.vault.conftest import RunningVault, SeeingClient
from tests.gateway.vault.pairs import Pair, checked, lines_of, opened

Number = Callable[[int], str]
NewVault = Callable[..., RunningVault]


async def open_all(client: SeeingClient, cards: list[str], operation: str) -> None:
    """Open each card for an operation of its own, some at a time; none may fail."""

    async def some(first: int) -> None:
        for i in range(first, len(cards), 8):
            await client.open(cards[i], "acc_a", f"op_{operation}{i}")

    await asyncio.gather(*(some(first) for first in range(8)))


async def test_killed_each_takes_over_from_the_other_and_nothing_that_was_answered_is_lost(
    tmp_path: Path, new_vault: NewVault, number: Number
) -> None:
    pair = Pair(tmp_path, new_vault).start()
    client = pair.client()
    cards = [(await client.store("acc_a", number(i), 1, 2039)).card_id for i in range(20)]
    before = await client.open(cards[0], "acc_a", "op_1", b"call")
    keys = await client.person_keys(["acc_a", "acc_b"], make=True)
    await client.destroy_person_key("acc_b")
    await client.delete(cards[19], "acc_a")
    pair.a.kill()
    again = await client.open(cards[0], "acc_a", "op_1", b"call")
    assert again.details == before.details, "its caller never heard of the first reply"
    assert await client.person_keys(["acc_a", "acc_b"], make=True) == {"acc_a": keys["acc_a"]}
    assert (await client.count()).cards == 19
    await open_all(client, cards[:19], "b")

    pair.a.launch()
    pair.until_joined("a")
    await client.store("acc_a", number(19), 1, 2039)
    pair.b.kill()
    await open_all(client, cards[:19], "a")
    assert (await client.count()).cards == 20
    assert await client.person_keys(["acc_a", "acc_b"], make=True) == {"acc_a": keys["acc_a"]}
    await client.close()
    assert set(opened(pair.a).values()) == {1}, "and the chain of both is one"
    assert [entry.detail for entry in checked(pair.a) if entry.event == "vault.start"] == [
        "a, term 2",
        "b, term 4",
        "a, term 6",
    ]


async def test_one_that_is_stopped_hands_over_with_its_last_entry(
    tmp_path: Path, new_vault: NewVault, number: Number
) -> None:
    pair = Pair(tmp_path, new_vault).start()
    client = pair.client()
    card_id = (await client.store("acc_a", number(1), 1, 2039)).card_id
    assert await asyncio.to_thread(pair.a.stop) == 0
    assert (await client.open(card_id, "acc_a", "op_1")).details.number == number(1)
    assert pair.row().serving == "b"
    await client.close()
    assert "vault.stop" in [entry.event for entry in checked(pair.b)]
    assert not pair.a.said("standby.silent")


async def test_one_that_was_frozen_answers_nothing_more_and_a_rotation_goes_on_at_the_other(
    tmp_path: Path, new_vault: NewVault, number: Number
) -> None:
    pair = Pair(tmp_path, new_vault).start()
    client, of_a = pair.client(), SeeingClient([pair.address("a")], pair.secret, patience.PATIENCE_S)
    cards = [(await client.store("acc_a", number(i), 1, 2039)).card_id for i in range(30)]
    await of_a.ping()
    await client.rotate()
    pair.a.process.send_signal(signal.SIGSTOP)
    late = asyncio.create_task(of_a.open(cards[0], "acc_a", "op_late"))
    await open_all(client, cards, "x")
    await patience.eventually(lambda: pair.row().serving == "b")
    pair.a.process.send_signal(signal.SIGCONT)
    assert await asyncio.to_thread(pair.a.process.wait, 60) == RELIEVED
    try:
        raise AssertionError(await late)
    except VaultAway:
        pass
    while (counts := await client.count()).rotating:  # noqa: ASYNC110 - another process rotates
        await asyncio.sleep(0.05)
    assert (counts.cards, counts.key_version, counts.left) == (30, 2, 0)

    pair.a.launch()
    pair.until_joined("a")
    assert (await client.see(cards[29], "acc_a")).number == number(29)
    await of_a.close()
    await client.close()
    assert set(opened(pair.b).values()) == {1}
    assert "op_late" not in opened(pair.b)
    assert lines_of(pair.a) == lines_of(pair.b), "what it alone had written was answered to nobody"


@asynccontextmanager
async def cable(path: Path, target: Path) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """A socket at `path` that leads to the one at `target`; what is cut are the writers that it yields."""
    ends: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(target)
        ends.extend((writer, there[1]))
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

    server = await asyncio.start_unix_server(lead, path)
    try:
        yield ends
    finally:
        server.close()


async def test_cut_off_from_each_other_the_one_that_serves_goes_on_and_the_other_does_not_begin(
    tmp_path: Path, new_vault: NewVault, number: Number
) -> None:
    between = socket_path(tmp_path / "cable")
    between.parent.mkdir(exist_ok=True)
    async with cable(between, socket_path(tmp_path / "a")) as ends:
        pair = await asyncio.to_thread(lambda: Pair(tmp_path, new_vault, other_of_b=between).start())
        client = pair.client()
        await client.store("acc_a", number(0), 1, 2039)
        ends[-1].transport.pause_reading()  # nothing of what b says arrives any more
        ends[-2].transport.pause_reading()
        card_id = (await client.store("acc_a", number(1), 1, 2039)).card_id
        assert (pair.row().serving, pair.row().standby) == ("a", "")
        for end in ends:
            end.transport.abort()
        await asyncio.to_thread(pair.until_joined, "b")
        pair.a.process.send_signal(signal.SIGKILL)
        assert (await client.see(card_id, "acc_a")).number == number(1)
        await client.close()


async def test_a_vault_without_the_newest_copy_never_takes_over(
    tmp_path: Path, new_vault: NewVault, number: Number
) -> None:
    pair = Pair(tmp_path, new_vault).start()
    client = pair.client(3.0)
    pair.b.kill()
    card_id = (await client.store("acc_a", number(0), 1, 2039)).card_id
    pair.a.kill()
    pair.b.launch()
    patience.until(lambda: pair.b.said("vault.stands_by"))
    try:
        raise AssertionError(await client.see(card_id, "acc_a"))
    except VaultAway:
        assert pair.row().serving == "a"
    pair.a.start()
    assert (await client.see(card_id, "acc_a")).number == number(0)
    await client.close()


def test_a_vault_with_other_keys_does_not_join(tmp_path: Path, new_vault: NewVault) -> None:
    pair = Pair(tmp_path, new_vault)
    pair.a.start()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "vault.client").write_bytes(pair.secret)
    for name in ("vault.hmac", "vault.kek.1"):
        (other / name).write_bytes(bytes(32))
        (other / name).chmod(0o600)
    pair.b.settings["SLUICE_VAULT_KEYS"] = str(other)
    pair.b.launch()
    patience.until(lambda: pair.b.said("standby.failed"))
    assert pair.b.said("standby.failed")[0]["error"] == "UnusableKey"
    assert pair.row().standby == ""


def test_cards_of_another_store_are_not_overwritten(tmp_path: Path, new_vault: NewVault) -> None:
    pair = Pair(tmp_path, new_vault)
    pair.a.start()
    (pair.b.data / "vault.standing").write_bytes(b'{"store_id":"store_other","term":1}')
    assert pair.b.launch().wait(60) == 1
    assert "nothing of it is overwritten" in pair.b.said("vault.refused")[0]["reason"]
