"""Passwords: Argon2id in processes of their own, in bounded queues, so that logins do not starve payments.

Who is known to an account has a lane of its own: a flood of strangers is not in its way (docs/decisions/0038).
"""

import asyncio

from connectors.lasting import LastingThreads
from gateway.identity.hasher import HashAnswer, HasherAway, HasherProcess, HashJob, done
from gateway.identity.password_rules import normal
from gateway.refusals import Refusal

# OWASP Password Storage Cheat Sheet: Argon2id with m = 46 MiB, t = 1, p = 1. 54 ms on the reference machine.
MEMORY_KIB = 47_104
WAITING_MAX = 32  # of a lane; at 54 ms each the last one waits under two seconds
# Of the known callers' lane: not for customers. Anybody can make a hundred accounts that know them.
RESERVED = 8
# Than what serves payments: where both want a processor, a tenth of its share, and a thirtieth.
NICER_FOR_KNOWN, NICER_FOR_STRANGERS = 10, 15


class PasswordsBusy(Refusal):
    """Too many hashes wait, or nobody can make one."""


class HashingLane:
    """A process that hashes, the thread that waits for it, and a bounded queue in front."""

    def __init__(self, thread: LastingThreads, nicer: int) -> None:
        self.waiting = 0
        self._thread = thread
        self._process = HasherProcess(nicer)

    async def run(self, job: HashJob, reserved: int = 0) -> HashAnswer:
        """The answer to a job. Raises `PasswordsBusy` when too many wait; the last `reserved` places stay free."""
        if self.waiting >= WAITING_MAX - reserved:
            raise PasswordsBusy("Too many people are logging in. Try again.", retry_after_s=1)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._process.ask, job)
        except HasherAway:
            raise PasswordsBusy(retry_after_s=1) from None
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the process and the thread; calls that still wait for it are cancelled."""
        self._process.close()
        self._thread.shutdown(cancel_futures=True)


class Passwords:
    """Hashes and verifies; for an unknown account it takes as long as for an account."""

    def __init__(self) -> None:
        self.strangers = HashingLane(LastingThreads(1, "passwords"), NICER_FOR_STRANGERS)
        self.known = HashingLane(LastingThreads(1, "passwords of known callers"), NICER_FOR_KNOWN)
        self._reference = done(HashJob("nobody's password", MEMORY_KIB)).hash

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters in it. Raises `PasswordsBusy` when too many wait."""
        return (await self.strangers.run(HashJob(normal(password), MEMORY_KIB))).hash

    async def verify(
        self, stored: str | None, password: str, *, known: bool = False, customer: bool = True
    ) -> bool:
        """Whether `password` matches the hash `stored`; None: the account has no password or does not exist.

        `known`: the account knows who asks; `customer`: it is one that anybody can make. A hash from before
        passwords were made normal is of what was typed: where that differs, both are tried. Raises `PasswordsBusy`
        when too many wait.
        """
        lane, reserved = (self.known, RESERVED if customer else 0) if known else (self.strangers, 0)
        right = False
        for typed in {normal(password), password}:
            answer = await lane.run(HashJob(typed, MEMORY_KIB, stored or self._reference), reserved)
            right = right or answer.right
        return right and stored is not None

    def close(self) -> None:
        """End the processes and threads; calls that still wait for one are cancelled."""
        self.strangers.close()
        self.known.close()
