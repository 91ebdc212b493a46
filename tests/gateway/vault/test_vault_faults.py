"""The vault under bad input, load, kill and freeze: nothing answered is lost, and no call waits for ever."""

import asyncio
import signal
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.vault import frames
from gateway.vault.addresses import UnixAddress
from gateway.vault.client import VaultAway, VaultClient

NUMBER = "4111111111111111"

Clients = Callable[..., VaultClient]
Until = Callable[..., Awaitable[None]]


@pytest.mark.parametrize(
    "nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\0\0\0\1\xc1", b"\0\0\0\2\x90\x90", b"\0\0\0\0"]
)
async def test_nonsense_ends_its_own_connection_only(vault: Any, client: Any, nonsense: bytes) -> None:
    await client.ping()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(60)
        stranger.connect(str(vault.socket))
        stranger.sendall(frames.pack(frames.Ping(1)) + nonsense)
        assert received(stranger) in (b"", frames.pack(frames.Done(1)))
    connection = client._connection
    await client.ping()
    assert client._connection is connection  # not even reconnected
    assert [set(each) & {"data", "body"} for each in vault.said("vault.frame_rejected")] == [set()]


async def test_a_peer_that_never_reads_is_not_read_from(vault: Any, client: Any) -> None:
    """Its replies would fill the vault's memory: its questions wait in the socket, and everybody else goes on."""
    questions = frames.pack(frames.Digest(1, b"")) * 1_000
    reply_bytes = len(frames.pack(frames.Digested(1, bytes(32))))
    taken = 0

    def flood(peer: socket.socket) -> None:
        nonlocal taken
        for _ in range(500):
            peer.sendall(questions)
            taken += 1_000

    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(2)
        vault.connect(peer)
        with pytest.raises(TimeoutError):
            flood(peer)
        await client.ping()
        peer.settimeout(60)
        replies = 0
        while replies < taken * reply_bytes:  # once it reads, it gets every answer
            replies += len(peer.recv(65_536))
    assert resident_mb(vault.process.pid) < 120


async def test_a_stuck_disk_holds_up_writes_alone_and_their_number_is_bounded(vault: Any, client: Any) -> None:
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    questions = frames.pack(frames.CountCards(1)) * 1_000

    def flood(peer: socket.socket) -> None:
        for _ in range(100):  # one megabyte
            peer.sendall(questions)

    with closing(sqlite3.connect(vault.file, isolation_level=None)) as conn, socket.socket(socket.AF_UNIX) as peer:
        conn.execute("BEGIN IMMEDIATE")  # the vault's writer waits for this one
        peer.settimeout(3)
        vault.connect(peer)
        with pytest.raises(TimeoutError):
            flood(peer)
        assert (await client.see(card_id, "acc_a")).number == NUMBER
        conn.execute("ROLLBACK")
    assert (await client.count()).cards == 1


async def test_kill_9_takes_the_calls_in_flight_and_nothing_that_was_answered(
    vault: Any, client: Any, number: Callable[[int], str], until: Until
) -> None:
    answered: dict[str, str] = {}

    async def keep_storing(worker: int) -> None:
        for i in range(worker, 10_000, 8):
            stored = await client.store("acc_a", number(i), 1, 2039)
            answered[stored.card_id] = number(i)

    workers = [asyncio.create_task(keep_storing(worker)) for worker in range(8)]
    await until(lambda: len(answered) >= 100)
    vault.kill()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    assert [type(each) for each in ended] == [VaultAway] * 8
    with pytest.raises(VaultAway):
        await client.ping()
    vault.start()
    opened = await asyncio.gather(*(client.see(card_id, "acc_a") for card_id in answered))  # the same client
    assert [card.number for card in opened] == list(answered.values())


async def test_a_frozen_vault_is_away_after_the_timeout_and_back_when_it_goes_on(
    vault: Any, new_client: Clients
) -> None:
    client = new_client(vault)
    card_id = (await client.store("acc_a", NUMBER, 1, 2039)).card_id
    client._timeout_s = 0.3
    vault.process.send_signal(signal.SIGSTOP)
    with pytest.raises(VaultAway):
        await client.see(card_id, "acc_a")
    with pytest.raises(VaultAway):
        await client.digest(b"another")
    vault.process.send_signal(signal.SIGCONT)
    client._timeout_s = 60
    for _ in range(20):  # late replies to the calls that gave up go to nobody
        assert (await client.see(card_id, "acc_a")).number == NUMBER


async def test_a_check_believes_an_answer_of_just_now_and_no_older_one(
    vault: Any, new_client: Clients, until: Until
) -> None:
    impatient = new_client(vault)
    await impatient.check()
    before = next(impatient._ids)
    impatient._replied_at = time.monotonic() + 60  # "just now", for as long as this test takes
    await impatient.check()
    assert next(impatient._ids) == before + 1  # no call was made
    impatient._replied_at = time.monotonic() - 0.02
    impatient._timeout_s = 0.3
    vault.process.send_signal(signal.SIGSTOP)
    with pytest.raises(VaultAway):
        await impatient.check()
    vault.process.send_signal(signal.SIGCONT)
    impatient._timeout_s = 60
    await impatient.check()
    impatient._replied_at = time.monotonic() + 60
    vault.kill()
    await until(lambda: impatient._connection is not None and impatient._connection.down)
    with pytest.raises(VaultAway):  # whatever it said just now
        await impatient.check()


async def test_a_caller_that_goes_away_leaves_nothing_behind(client: Any) -> None:
    await client.ping()
    connection = client._connection
    assert connection is not None
    asking = asyncio.create_task(client.store("acc_a", NUMBER, 1, 2039))
    await asyncio.sleep(0)
    [id] = connection._waiting
    asking.cancel()
    connection.data_received(frames.pack(frames.Done(id)))  # the reply comes at the very moment
    await asyncio.gather(asking, return_exceptions=True)
    assert connection._waiting == {}
    await client.ping()
    assert client._connection is connection


async def test_it_stops_cleanly_and_finishes_what_it_took(
    vault: Any, client: Any, number: Callable[[int], str], until: Until
) -> None:
    storing = [asyncio.create_task(client.store("acc_a", number(i), 1, 2039)) for i in range(200)]
    await until(lambda: vault.audit("card.store"))
    assert await asyncio.to_thread(vault.stop) == 0
    stored = await asyncio.gather(*storing)  # every one of them was answered
    vault.start()
    opened = await asyncio.gather(*(client.see(each.card_id, "acc_a") for each in stored))
    assert [card.number for card in opened] == [number(i) for i in range(200)]
    assert not [line for line in vault.log() if line["level"] in {"error", "critical"}]


async def test_nobody_there_is_away_at_once(tmp_path: Path) -> None:
    with pytest.raises(VaultAway):
        await VaultClient([UnixAddress(tmp_path / "vault.sock")], b"secret").ping()
    (tmp_path / "vault.sock").write_text("not a socket")
    with pytest.raises(VaultAway):
        await VaultClient([UnixAddress(tmp_path / "vault.sock")], b"secret").ping()


def received(peer: socket.socket) -> bytes:
    """Everything the peer says until it hangs up."""
    said = b""
    try:
        while data := peer.recv(1000):
            said += data
    except ConnectionResetError:
        pass
    return said


def resident_mb(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
