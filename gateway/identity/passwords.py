"""Passwords: Argon2id off the event loop, at a lower priority, in bounded queues: logins do not starve payments.

Who is known to an account has a lane of its own: a flood of strangers is not in its way (docs/decisions/0038).
"""

import asyncio
import contextlib
import os
import sys
import threading
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
WAITING_MAX = 32  # of a lane; at 54 ms each the last one waits under two seconds
# Than the thread that serves payments: where both want a processor, a tenth of its share, and a thirtieth.
NICER_FOR_KNOWN, NICER_FOR_STRANGERS = 10, 15
NICEST = 19


class PasswordsBusy(Refusal):
    """Too many hashes wait for a thread."""


class HashingLane:
    """One thread that yields to those that serve requests, and a bounded queue in front of it."""

    def __init__(self, thread: LastingThreads, nicer: int) -> None:
        self.waiting = 0
        self._thread = thread
        thread.submit(yield_to_others, nicer)

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `fn` returns. Raises `PasswordsBusy` when too many wait."""
        if self.waiting >= WAITING_MAX:
            raise PasswordsBusy("Too many people are logging in. Try again.", retry_after_s=1)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: fn(*args, **kwargs))
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the thread; calls that still wait for it are cancelled."""
        self._thread.shutdown(cancel_futures=True)


class Passwords:
    """Hashes and verifies; for an unknown account it takes as long as for an account."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=MEMORY_KIB, parallelism=1, type=Type.ID)
        self.strangers = HashingLane(LastingThreads(1, "passwords"), NICER_FOR_STRANGERS)
        self.known = HashingLane(LastingThreads(1, "passwords of known callers"), NICER_FOR_KNOWN)
        self._reference = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters in it. Raises `PasswordsBusy` when too many wait."""
        return await self.strangers.run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str, *, known: bool = False) -> bool:
        """Whether `password` matches the hash `stored`; None: the account has no password or does not exist.

        `known`: the account knows who asks. Raises `PasswordsBusy` when too many wait.
        """
        lane = self.known if known else self.strangers
        right = await lane.run(self._verify, stored or self._reference, password)
        return right and stored is not None

    def close(self) -> None:
        """End the threads; calls that still wait for one are cancelled."""
        self.strangers.close()
        self.known.close()

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def yield_to_others(nicer: int) -> None:
    """Lower the priority of this thread by so much; only Linux has one for each thread."""
    if sys.platform != "linux":
        return
    nice = min(os.getpriority(os.PRIO_PROCESS, 0) + nicer, NICEST)
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then the bounds alone protect payments
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
