"""Argon2id, off the event loop, in a bounded pool."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from argon2 import Type, extract_parameters

from gateway.identity.passwords import NICER_FOR_KNOWN, NICER_FOR_STRANGERS, WAITING_MAX, Passwords, PasswordsBusy


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


async def test_the_work_is_what_owasp_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.passwords.MEMORY_KIB", 46 * 1024)
    passwords = Passwords()
    found = extract_parameters(await passwords.hash("correct horse battery"))
    passwords.close()
    assert found.type is Type.ID
    assert (found.memory_cost, found.time_cost, found.parallelism) == (46 * 1024, 1, 1)


async def test_the_right_password_and_no_other(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse battery")
    assert stored != await passwords.hash("correct horse battery")
    assert await passwords.verify(stored, "correct horse battery")
    assert not await passwords.verify(stored, "correct horse batterie")
    assert not await passwords.verify("no hash at all", "correct horse battery")


async def test_nobodys_password_opens_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "nobody's password")


async def test_more_than_may_wait_are_refused_and_room_comes_back(passwords: Passwords) -> None:
    attempts = [passwords.verify(None, "x") for _ in range(WAITING_MAX + 2)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [result for result in results if isinstance(result, PasswordsBusy)]
    assert len(refused) == 2
    assert refused[0].retry_after_s == 1
    assert not await passwords.verify(None, "x")


async def test_however_many_strangers_wait_a_known_one_does_not(passwords: Passwords) -> None:
    release = threading.Event()
    flood = [asyncio.create_task(passwords.strangers.run(release.wait)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(PasswordsBusy):
        await passwords.verify(None, "x")
    assert not await passwords.verify(None, "x", known=True)
    release.set()
    await asyncio.gather(*flood)


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux alone")
async def test_hashing_yields_to_what_serves_payments(passwords: Passwords) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    for lane, nicer in ((passwords.strangers, NICER_FOR_STRANGERS), (passwords.known, NICER_FOR_KNOWN)):
        assert await lane.run(os.getpriority, os.PRIO_PROCESS, 0) == ours + nicer
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours
