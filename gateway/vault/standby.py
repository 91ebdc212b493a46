"""A vault that stands by: it keeps the copy of the one that serves, until it may take over.

It may once it has heard nothing of the other one for `SILENT_S`, neither on their connection nor as beats at the
witness, and the witness names it as who has all that was answered. Whoever changes the witness first has it then.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import TypeVar

import structlog

from connectors.lasting import LastingTask, LastingThreads
from connectors.logs import LoggedOnce
from gateway.vault import copy_frames, frames
from gateway.vault.addresses import VaultAddress, VaultStreams
from gateway.vault.audit_copy import NotFollowing
from gateway.vault.audit_trail import AuditDamaged
from gateway.vault.cards import UnknownLayout
from gateway.vault.client_connection import NotProven, prove
from gateway.vault.copy_frames import COPIES
from gateway.vault.keys import KeyFiles, UnusableKey
from gateway.vault.office import BEAT_S, Office
from gateway.vault.proof import ClientSecret
from gateway.vault.standing import Standing, check_standing, keep_standing, standing_of
from gateway.vault.store_copy import StoreCopy, has_any
from gateway.vault.witness import Witness, WitnessAway, WitnessRow
from schemas.settings import BadSetting

SILENT_S = 2.0
CONNECTED_WITHIN_S = 1.0
AGAIN_S = 0.3
BEGUN_WITHIN_S = 30.0  # the one that serves may have to wait for the witness first
REFUSED_AGAIN_S = 5.0  # a copy that failed is made anew from its beginning
READ_BYTES = 256 * 1024

REFUSED_LOGGED_S = 60.0

AWAY = (OSError, TimeoutError)
REFUSED = (NotProven, frames.BadFrame, BadSetting)  # may pass: a secret or certificate is replaced just now

T = TypeVar("T")

log = structlog.get_logger()


class CopyFailed(Exception):
    """The copy's files cannot be written."""


class NotServing(ConnectionError):
    """Who answers there does not serve."""


# `KeyError`: of a table that only a later release knows.
FAULTS = (UnusableKey, NotFollowing, CopyFailed, AuditDamaged, UnknownLayout, KeyError, sqlite3.Error)


class _Received:
    """The frames of a connection, one by one."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._splitter = frames.Splitter(COPIES)
        self._waiting: deque[copy_frames.CopyFrame | frames.Challenge | frames.Done | frames.Refused] = deque()

    async def next(self) -> copy_frames.CopyFrame | frames.Challenge | frames.Done | frames.Refused:
        """The next one. Raises `ConnectionError` at the end, and `BadFrame`."""
        while not self._waiting:
            if not (data := await self._reader.read(READ_BYTES)):
                raise ConnectionResetError
            self._waiting.extend(self._splitter.feed(data))
        return self._waiting.popleft()


class Failover:
    """This vault beside another one. `name`: its own; `other`: where the other one is reached."""

    def __init__(
        self, data: Path, name: str, other: VaultAddress, secret: ClientSecret, witness: Witness, files: KeyFiles
    ) -> None:
        self._data, self._name, self._other, self._secret = data, name, other, secret
        self._witness, self._files = witness, files
        self._thread = LastingThreads(1, "vault copy")
        self._once = LoggedOnce(REFUSED_LOGGED_S)
        self._heard_at = monotonic()
        self._run_id = "run_" + token_hex(8)

    async def office(self) -> Office:
        """The office, once it is this vault's; until then it stands by. Raises `NotInPlace`, `SecretMissing`."""
        found = await self._read()
        check_standing(self._data, self._name, found, has_any(self._data))
        while found.serving != self._name:  # its own earlier process is not waited for
            found = await self._stand_by()
            if (office := await self._take(found)) is not None:
                return office
        return await self._take(found) or await self.office()

    async def _take(self, found: WitnessRow) -> Office | None:
        """The office, if nobody was faster."""
        row = WitnessRow(found.store_id, self._name, self._run_id, "", found.term + 1)
        while True:
            try:
                if not await self._witness.change(found.term, row) and not row.is_same_term(
                    await self._witness.read()
                ):
                    return None
                break
            except WitnessAway:
                await asyncio.sleep(AGAIN_S)
        await asyncio.to_thread(keep_standing, self._data, Standing(row.store_id, row.term, self._name))
        if found.serving != self._name:
            log.warning("vault.took_over", vault=self._name, before=found.serving, term=row.term)
        return Office(self._witness, row, self._data)

    async def _stand_by(self) -> WitnessRow:
        """Keep the copy until this vault may take over; what the witness says then."""
        log.info("vault.stands_by", vault=self._name, serving=str(self._other))
        following = LastingTask(self._follow(), "vault standby")
        try:
            return await self._may_take()
        finally:
            await following.stop()
            await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)  # what it was writing is

    async def _may_take(self) -> WitnessRow:
        seen, since = await self._read(), monotonic()
        while True:
            await asyncio.sleep(BEAT_S / 2)
            found = await self._read()
            if found != seen:
                seen, since = found, monotonic()
            is_silent = monotonic() - max(since, self._heard_at) >= SILENT_S
            if is_silent and found.standby == self._name and self._has_all(found):
                return found

    def _has_all(self, found: WitnessRow) -> bool:
        return standing_of(self._data) == Standing(found.store_id, found.term, self._name)

    async def _read(self) -> WitnessRow:
        while True:
            try:
                found = await self._witness.read()
            except WitnessAway as error:
                log.warning("witness.away", reason=str(error))
                await asyncio.sleep(SILENT_S)
                continue
            check_standing(self._data, self._name, found, has_cards=False)
            assert found is not None, "checked just now"
            return found

    async def _follow(self) -> None:
        """Keep the copy, from whoever answers there, for as long as this vault stands by."""
        while True:
            pause_s = AGAIN_S
            try:
                await self._follow_once()
            except AWAY:
                pass
            except REFUSED as error:
                if self._once.is_due(type(error).__name__):
                    log.error("vault.unproven", vault=str(self._other), error=type(error).__name__)
            except FAULTS as error:
                log.error("standby.failed", error=type(error).__name__, reason=_reason(error))
                pause_s = REFUSED_AGAIN_S
            await asyncio.sleep(pause_s)

    async def _follow_once(self) -> None:
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            streams = await self._other.open_streams()
        try:
            try:
                copy = await self._in_thread(lambda: StoreCopy(self._data, self._name, self._files))
            except OSError as error:
                raise CopyFailed(error.strerror) from None
            try:
                await self._copy_from(streams, copy)
            finally:
                await asyncio.shield(self._in_thread(copy.close))
        finally:
            streams.writer.transport.abort()

    async def _copy_from(self, streams: VaultStreams, copy: StoreCopy) -> None:
        received, ids = _Received(streams.reader), count(1)
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            await self._prove(streams, received, ids)
        heads = await self._in_thread(lambda: [str(head) for head in copy.heads()])
        asked = frames.Follow(next(ids), self._name, standing_of(self._data).store_id, heads)
        streams.writer.write(frames.pack(asked))
        within_s = BEGUN_WITHIN_S
        while True:
            async with asyncio.timeout(within_s):
                frame = await received.next()
            within_s = SILENT_S
            if not isinstance(frame, copy_frames.CopyFrame):
                raise NotServing
            self._heard_at = monotonic()
            try:
                await self._in_thread(partial(copy.apply, frame))
            except OSError as error:  # of the disk, not of the connection
                raise CopyFailed(error.strerror) from None
            self._heard_at = monotonic()
            streams.writer.write(frames.pack(frames.Copied(frame.id)))

    async def _prove(self, streams: VaultStreams, received: _Received, ids: Iterator[int]) -> None:
        if not self._other.is_vault(streams.writer.transport):
            raise NotServing

        async def ask(request: frames.Frame) -> frames.Frame:
            streams.writer.write(frames.pack(request))
            return await received.next()

        await prove(ask, self._secret, ids)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _reason(error: Exception) -> str | None:
    """What may be logged: a text of SQLite's could quote a value."""
    return None if isinstance(error, sqlite3.Error) else str(error)
