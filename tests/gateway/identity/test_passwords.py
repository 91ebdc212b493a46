"""Argon2id, in processes of its own, behind bounded queues."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from argon2 import Type, extract_parameters

from gateway.identity.hasher import HasherAway, HasherProcess, HashJob, done
from gateway.identity.passwords import NICER_FOR_STRANGERS, RESERVED, WAITING_MAX, Passwords, PasswordsBusy
from tests.patience import until


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def hasher() -> Iterator[HasherProcess]:
    made = HasherProcess(NICER_FOR_STRANGERS)
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
    stored = await passwords.hash("correct horse battery \n é")
    assert stored != await passwords.hash("correct horse battery \n é")
    for known in (True, False):
        assert await passwords.verify(stored, "correct horse battery \n é", known=known)
        assert not await passwords.verify(stored, "correct horse batterie", known=known)
    assert not await passwords.verify("no hash at all", "correct horse battery")


async def test_however_it_is_spelled_a_password_is_one(passwords: Passwords) -> None:
    """Each keyboard has its own é and its own digits (NIST SP 800-63B-4 §3.1.1.2)."""
    stored = await passwords.hash("cafe\u0301 battery １２３")
    assert await passwords.verify(stored, "caf\u00e9 battery 123")


async def test_a_hash_of_before_passwords_were_made_normal_still_fits(passwords: Passwords) -> None:
    typed = "cafe\u0301 battery １２３"
    stored = done(HashJob(typed, 64)).hash
    assert await passwords.verify(stored, typed)
    assert not await passwords.verify(stored, "caf\u00e9 battery 123")


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
    passwords.strangers.waiting = WAITING_MAX
    with pytest.raises(PasswordsBusy):
        await passwords.verify(None, "x")
    assert not await passwords.verify(None, "x", known=True)


async def test_however_many_known_customers_wait_there_is_room_for_staff(passwords: Passwords) -> None:
    """A hundred accounts are soon made, and each knows who made it."""
    passwords.known.waiting = WAITING_MAX - RESERVED
    with pytest.raises(PasswordsBusy):
        await passwords.verify(None, "x", known=True)
    assert not await passwords.verify(None, "x", known=True, customer=False)


def test_hashing_yields_to_what_serves_payments(hasher: HasherProcess) -> None:
    """By the priority of a process of its own; a core dump of it has no passwords, for there is none."""
    process = started(hasher)
    assert process.nice() == min(os.getpriority(os.PRIO_PROCESS, 0) + NICER_FOR_STRANGERS, 19)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_a_hasher_that_was_killed_is_started_again(hasher: HasherProcess) -> None:
    process = started(hasher)
    process.send_signal(signal.SIGKILL)
    assert started(hasher).pid != process.pid


def test_a_hasher_ends_with_its_input() -> None:
    """As it is closed by the death of whoever asks."""
    command = [sys.executable, "-m", "gateway.identity.hasher", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.communicate()[0] == b""
    assert process.returncode == 0


def test_a_hasher_that_hangs_holds_up_no_end(hasher: HasherProcess) -> None:
    started(hasher).suspend()
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(hasher.ask, JOB)
        until(lambda: hasher._turn.locked())
        hasher.close()
        with pytest.raises(HasherAway):
            asked.result()


JOB = HashJob("x", 64)


def started(hasher: HasherProcess) -> psutil.Process:
    """The process that does jobs for it now."""
    assert hasher.ask(JOB).hash
    assert hasher._process
    return psutil.Process(hasher._process.pid)
