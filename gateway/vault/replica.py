"""The copy of everything at the vault that stands by, as the one that serves sees it.

Whatever is put on disk here is sent there, in order, and is there before anybody is answered. Where the other one
does not confirm it in time, the witness is told that nobody stands by, and only then is anything answered again.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import structlog

from connectors.lasting import LastingTask
from gateway.vault import copy_frames, frames, row_copies
from gateway.vault.audit import Audit, AuditError
from gateway.vault.audit_chain import entry_of, head_of
from gateway.vault.copy_frames import LINES_BYTES, ROWS_MAX, CopiedFile, RowChange
from gateway.vault.office import BEAT_S, Office
from gateway.vault.writer import Writer

CONFIRMED_WITHIN_S = 1.0
BEGUN_WITHIN_S = 600.0  # it may have to read all of its audit anew; nobody waits for that

FAULTS = (OSError, TimeoutError, sqlite3.Error, AuditError)

MakeFrame = Callable[[int], frames.Frame]  # of the id that it gets

log = structlog.get_logger()


class CopyLink(Protocol):
    """The connection of a vault that stands by."""

    def send(self, content: bytes) -> None:
        """Send bytes."""

    def abort(self) -> None:
        """Close it at once."""


class Standby:
    """A vault that stands by, or is about to. Each call may raise `ConnectionError` and `TimeoutError`."""

    def __init__(self, name: str, link: CopyLink) -> None:
        self.name, self._link = name, link
        self._ids = itertools.count(1)
        self._confirmed: dict[int, asyncio.Future[None]] = {}
        self.is_lost = False

    async def send(self, made: Sequence[MakeFrame], within_s: float = CONFIRMED_WITHIN_S) -> None:
        """Send frames; return once the last one, and so each before it, is on disk there."""
        if self.is_lost:
            raise ConnectionResetError
        last = 0
        for make in made:
            last = next(self._ids)
            self._link.send(frames.pack(make(last)))
        done = self._confirmed[last] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                await done
        finally:
            del self._confirmed[last]

    def confirm(self, frame_id: int) -> None:
        """It has this frame on disk."""
        if (done := self._confirmed.get(frame_id)) is not None and not done.done():
            done.set_result(None)

    def lose(self) -> None:
        """Its connection is gone."""
        self.is_lost = True
        self._link.abort()
        for done in self._confirmed.values():
            if not done.done():
                done.set_exception(ConnectionResetError())


class Replica:
    """At most one vault stands by. Made before the stores that write into it; `writers` and `audit` come after."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._standby: Standby | None = None
        self._joining: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._task: LastingTask | None = None
        self._closed = False
        self.writers: tuple[Writer, ...] = ()
        self.audit: Audit | None = None

    def begin(self) -> None:
        """Tell whoever stands by that we are there, from now on."""
        self._task = LastingTask(self._beat(), "vault replica")

    async def close(self) -> None:
        """Let go of whoever stands by, as one who may take over."""
        self._closed = True
        if self._task is not None:
            await self._task.stop()
        if self._standby is not None:
            self._standby.lose()

    async def send_rows(self, file: CopiedFile, changes: list[RowChange]) -> None:
        """As `CopyTarget`."""
        cuts = [changes[start : start + ROWS_MAX] for start in range(0, len(changes), ROWS_MAX)]
        await self._send([partial(_rows_frame, file, rows) for rows in cuts])

    async def send_wiped(self, file: CopiedFile) -> None:
        """As `CopyTarget`."""
        await self._send([lambda frame_id: copy_frames.CopyWiped(frame_id, file)])

    async def send_lines(self, lines: bytes) -> None:
        """Lines of the audit."""
        await self._send(_lines_frames(lines))

    def follow(self, asked: frames.Follow, link: CopyLink) -> Standby:
        """A vault wants to stand by: it takes the place of the one that did, under whatever name."""
        standby = Standby(asked.vault, link)
        if self._joining is not None:
            self._joining.cancel()
        self._joining = asyncio.create_task(self._join(standby, asked))
        return standby

    def lost(self, standby: Standby) -> None:
        """Its connection is gone."""
        self._leave(standby)

    async def _send(self, made: Sequence[MakeFrame]) -> None:
        standby = self._standby
        if standby is None:
            await self._office.alone()
            return
        if not made:
            return
        try:
            await standby.send(made)
        except (OSError, TimeoutError) as error:
            log.warning("standby.silent", vault=standby.name, error=type(error).__name__)
            self._drop(standby)
            await self._office.alone()

    def _drop(self, standby: Standby) -> None:
        standby.lose()
        if self._standby is standby:
            self._standby = None

    def _leave(self, standby: Standby) -> None:
        """Have the witness know at once, though nobody waits for an answer."""
        was_ours = self._standby is standby and not self._closed
        self._drop(standby)
        if was_ours:
            task = asyncio.create_task(self._office.alone())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _join(self, standby: Standby, asked: frames.Follow) -> None:
        try:
            await self._copy_all(standby, asked)
        except FAULTS as error:
            log.warning("standby.not_joined", vault=standby.name, error=type(error).__name__)
            self._leave(standby)

    async def _copy_all(self, standby: Standby, asked: frames.Follow) -> None:
        """Make the copy whole, while serving; from its first row on, all that is written goes there too."""
        assert self.audit is not None
        if self._standby is not None:
            self._drop(self._standby)
        await self._office.alone()  # while a copy is made nobody may take over
        store_id = self._office.row.store_id
        if asked.store_id not in ("", store_id):
            raise ConnectionRefusedError
        n = await self.audit.begin_copy([head_of(text) for text in asked.heads])
        await standby.send([lambda frame_id: copy_frames.CopyBegun(frame_id, store_id, n)], BEGUN_WITHIN_S)
        self._standby = standby
        log.info("standby.copying", vault=standby.name, audit_n=n)
        for writer in self.writers:
            await _copy_rows(writer)
        await self._copy_audit(standby, n)
        await self.audit.note("standby.join", detail=standby.name)  # with it go the lines that are left
        await standby.send([lambda frame_id: copy_frames.CopyWhole(frame_id, self._office.row.term + 1)])
        if await self._office.admit(standby.name, lambda: self._standby is standby):
            log.info("standby.joined", vault=standby.name, term=self._office.row.term)

    async def _copy_audit(self, standby: Standby, n: int) -> None:
        assert self.audit is not None
        while not await self.audit.copy_from(n, LINES_BYTES):
            lines = await self.audit.lines_after(n, LINES_BYTES)
            await standby.send(_lines_frames(lines))
            n = entry_of(lines[:-1].rpartition(b"\n")[2])[0].n

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if self._standby is not None:
                await self._send([copy_frames.CopyBeat])


async def _copy_rows(writer: Writer) -> None:
    """Send each row, some at a time between what else is written."""
    for table in row_copies.TABLES[writer.file]:
        if table.name in ("keys", "companions"):
            await writer.write(row_copies.touch_all, table)
            continue
        after: str | None = ""
        while after is not None:
            after = await writer.write(row_copies.touch_some, table, after)


def _rows_frame(file: CopiedFile, rows: list[RowChange], frame_id: int) -> frames.Frame:
    return copy_frames.CopyRows(frame_id, file, rows)


def _lines_frame(lines: bytes, frame_id: int) -> frames.Frame:
    return copy_frames.CopyLines(frame_id, lines)


def _lines_frames(lines: bytes) -> list[MakeFrame]:
    """Frames of about `LINES_BYTES` at most, of whole lines."""
    made: list[MakeFrame] = []
    while lines:
        end = lines.rfind(b"\n", 0, LINES_BYTES) + 1 or lines.find(b"\n") + 1
        made.append(partial(_lines_frame, lines[:end]))
        lines = lines[end:]
    return made
