"""Has the vault keep the hash of each entry of the books' audit, as soon as it is committed (PCI DSS 10.3.3).

Whoever rewrites the books, with every key of the gateway, then still has the vault's files against them. The vault
says which it kept last; what follows is read from the books, so nothing is forgotten by a kill, and nothing waits
in memory. Logins and reviews never wait for it: while the vault is away the heads follow once it is back, and that
they are late is measured and told (docs/decisions/0049).
"""

import asyncio
from contextlib import suppress
from time import monotonic

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from connectors.logs import LoggedOnce
from gateway.books.audit import EntryHash, list_hashes, newest_entry
from gateway.books.engine import Books
from gateway.metrics import AuditMetrics
from gateway.vault.client import VaultClient, VaultError
from gateway.vault.frames import HEADS_MAX

LOOKED_EVERY_S = 5.0  # for entries of another process: of a command, or a second gateway
PAUSE_S = 1.0  # after a failure
LATE_S = 60.0  # then whoever watches is told, once in this time

log = structlog.get_logger()


class AuditHeads:
    """Tells the vault. `wake` it where there are new entries."""

    def __init__(self, books: Books, vault: VaultClient, metrics: AuditMetrics) -> None:
        self._books, self._vault, self._metrics = books, vault, metrics
        self._kept: int | None = None  # the number of the last one; None: the vault has to be asked
        self._woken = asyncio.Event()
        self._behind_since: float | None = None  # monotonic
        self._once = LoggedOnce(LATE_S)

    def wake(self) -> None:
        """There are new entries."""
        self._woken.set()

    async def run(self) -> None:
        """Tell the vault of each entry, for as long as the gateway runs."""
        while True:
            try:
                await self._tell()
            except (VaultError, SQLAlchemyError) as error:
                self._kept = None  # it may have kept what it never answered for
                await self._note_late(type(error).__name__)
                await asyncio.sleep(PAUSE_S)
                continue
            with suppress(TimeoutError):  # not `wait_for`: in 3.11 that swallows a cancel that meets the wake
                async with asyncio.timeout(LOOKED_EVERY_S):
                    await self._woken.wait()

    async def _tell(self) -> None:
        self._woken.clear()
        if self._kept is None:
            self._kept = await self._last_kept()
        while hashes := await self._books.read(list_hashes, self._kept, HEADS_MAX):
            await self._vault.keep_heads([f"{each.n}:{each.hash}" for each in hashes])
            self._kept = hashes[-1].n
        self._behind_since = None
        self._metrics.show_late(0)

    async def _last_kept(self) -> int:
        """The number of the entry that the vault kept last, as far as the books have it too."""
        text = await self._vault.keep_heads([])
        if not text:
            return 0
        n, _, digest = text.partition(":")
        kept = EntryHash(int(n), digest)
        found = await self._books.read(_at_or_before, kept.n)
        if found != kept and self._once.is_due("contradicted"):
            log.error("audit_heads.contradicted", n=kept.n, newest=found.n)
        return min(found.n, kept.n)

    async def _note_late(self, reason: str) -> None:
        self._behind_since = self._behind_since or monotonic()
        seconds = monotonic() - self._behind_since
        self._metrics.show_late(seconds)
        if seconds >= LATE_S and self._once.is_due("late"):
            log.error("audit_heads.late", reason=reason, seconds=round(seconds))


def _at_or_before(conn: Connection, n: int) -> EntryHash:
    """Entry `n`; the newest one where there is no such number any more."""
    found = list_hashes(conn, n - 1, 1)
    return found[0] if found else newest_entry(conn)
