"""Passwords: Argon2id in two threads, with a bounded queue in front, so that logins do not starve payments."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from connectors.lasting import LastingThreads
from gateway.refusals import Refusal

P = ParamSpec("P")
T = TypeVar("T")

# OWASP Password Storage Cheat Sheet: Argon2id with m = 46 MiB, t = 1, p = 1. 54 ms on the reference machine.
MEMORY_KIB = 47_104
THREADS = 2
WAITING_MAX = 64  # at 54 ms each on two threads, the last one waits under two seconds


class PasswordsBusy(Refusal):
    """Too many hashes wait for a thread."""


class Passwords:
    """Hashes and verifies off the event loop; for an unknown account it takes as long as for a known one."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=MEMORY_KIB, parallelism=1, type=Type.ID)
        self._threads = LastingThreads(THREADS, "passwords")
        self._waiting = 0
        self._reference = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters in it. Raises `PasswordsBusy` when too many wait."""
        return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` matches the hash `stored`; None: the account has no password or does not exist.

        Raises `PasswordsBusy` when too many wait.
        """
        right = await self._run(self._verify, stored or self._reference, password)
        return right and stored is not None

    def close(self) -> None:
        """End the threads; calls that still wait for one are cancelled."""
        self._threads.shutdown(cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= WAITING_MAX:
            raise PasswordsBusy("Too many people are logging in. Try again.", retry_after_s=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: fn(*args, **kwargs))
        finally:
            self._waiting -= 1
