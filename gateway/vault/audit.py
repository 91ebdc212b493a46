"""What the vault does, as entries of its audit: who waits for one goes on once it is on disk.

Entries are written in groups by a thread of their own, which waits for no card to be stored: however many wait,
they share one fsync. Where an entry cannot be written nothing is answered (PCI DSS 10.2.1, 10.3): `AuditError`.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from connectors.group_commit import GroupCommit, Work, WorkResult
from connectors.lasting import LastingThreads
from gateway.vault.audit_chain import AuditEvent, Head
from gateway.vault.audit_trail import AuditTrail, OpenRefused
from gateway.vault.isolation import Peer
from gateway.vault.opens import Opening

R = TypeVar("R")

GROUP_MAX = 256

SendLines = Callable[[bytes], Awaitable[None]]


class AuditError(Exception):
    """The entry is not on disk."""


class Audit:
    """The audit of one vault. Its methods may raise `AuditError`."""

    def __init__(self, trail: AuditTrail, send_lines: SendLines | None = None) -> None:
        """`send_lines` gets what is on disk; it returns once a vault that stands by, if any, has it as well."""
        self._trail, self._send_lines = trail, send_lines
        self._thread = LastingThreads(1, "vault audit")
        self._groups = GroupCommit(self._commit_group, GROUP_MAX)

    async def note(
        self, event: AuditEvent, result: str = "ok", peer: Peer | None = None, **about: str | None
    ) -> Head:
        """Write an entry; `peer` asked. `about` are further fields of `AuditEntry`."""
        who = {} if peer is None else _who(peer)
        return await self._write(lambda trail: trail.note(event, result, **who, **about))

    async def open_card(self, asked: Opening, peer: Peer) -> Head:
        """Write that an operation opens a card. Raises `OpenRefused` where it may not, which is an entry too."""
        return await self._write(lambda trail: trail.open_card(asked, **_who(peer)))

    async def keep_heads(self, heads: list[str], peer: Peer) -> Head | None:
        """Write heads of the books' audit; the one that was kept last, which none needs to be written for."""
        return await self._write(lambda trail: trail.keep_heads(heads, **_who(peer)))

    async def begin_copy(self, heads: list[Head]) -> int:
        """As `AuditTrail.begin_copy`."""
        return await self._in_thread(lambda trail: trail.begin_copy(heads))

    async def lines_after(self, n: int, most: int) -> bytes:
        """As `AuditTrail.lines_after`."""
        return await self._in_thread(lambda trail: trail.lines_after(n, most))

    async def copy_from(self, n: int, most: int) -> bool:
        """As `AuditTrail.copy_from`: what follows goes out with the next entry."""
        return await self._in_thread(lambda trail: trail.copy_from(n, most))

    async def close(self) -> None:
        """Write what waits, then close the files."""
        await self._groups.drain()
        self._thread.shutdown()
        self._trail.close()

    async def _write(self, work: Callable[[AuditTrail], R]) -> R:
        try:
            return await self._groups.write(work)
        except (OSError, sqlite3.Error) as error:
            raise AuditError(type(error).__name__) from None

    async def _commit_group(self, group: list[Work[AuditTrail]]) -> list[WorkResult]:
        results, lines = await self._in_thread(lambda trail: (_commit(trail, group), trail.take_lines()))
        if self._send_lines is not None:
            await self._send_lines(lines)
        return results

    async def _in_thread(self, work: Callable[[AuditTrail], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._trail)


def opened_audit(data: Path, days: float, opens_per_s: float, send_lines: SendLines | None = None) -> Audit:
    """The audit in `audit` of a data directory; a new one begins. Raises `AuditError` and `AuditDamaged`."""
    try:
        return Audit(AuditTrail(data / "audit", timedelta(days=days), opens_per_s), send_lines)
    except (OSError, sqlite3.Error) as error:
        raise AuditError(f"{data / 'audit'}: {error}") from None


def _commit(trail: AuditTrail, group: list[Work[AuditTrail]]) -> list[WorkResult]:
    try:
        trail.begin()
        results = [_result(trail, work) for work in group]
        trail.commit()
    except (OSError, sqlite3.Error):
        trail.undo()
        raise
    return results


def _result(trail: AuditTrail, work: Work[AuditTrail]) -> WorkResult:
    try:
        return work(trail), None
    except OpenRefused as refused:
        return None, refused


def _who(peer: Peer) -> dict[str, int | str | None]:
    return {"pid": peer.pid, "uid": peer.uid, "certificate": peer.certificate}
