"""A file of list entries: put on their lists a batch at a time, while payments go on.

Each batch is a transaction. What is on a list already is renewed, so a file that broke off is simply sent again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from time import perf_counter
from typing import Literal, get_args

import msgspec
from sqlalchemy import Connection
from structlog import get_logger

from gateway.books.engine import Books
from gateway.books.list_entries import ListEntryRow
from gateway.books.list_values import EntryAsked, EntryFault, EntryRefused, ListValues, check_entry
from gateway.books.listings import entry_of, put_entries
from gateway.csv_lines import REFUSED_SHOWN, CsvLine, LineFault
from gateway.refusals import Refusal
from schemas.lists import LIST_KINDS, ListName
from schemas.times import from_micros, now_micros

COLUMNS = ("list", "kind", "value", "reason")  # `expires_at` may come along; of a file of ours others, too
LISTS: tuple[ListName, ...] = get_args(ListName)
ROOM_WITHIN_S = 10.0  # for Kafka to take what was put before
ROOM_PAUSE_S = 0.01
BEHIND = "Kafka is behind. What was taken stands: send the same file again."

LineCode = LineFault | EntryFault | Literal["list_unknown", "kind_unknown", "expires_at_invalid"]

log = get_logger()


class KafkaBehind(Refusal):
    """Kafka has not taken what was put before. What was put stands; the same file is to be sent again."""


class RefusedEntry(msgspec.Struct, frozen=True):
    """A line of a file that was not taken, and why: nothing of it is quoted."""

    line: int
    code: LineCode


class Imported(msgspec.Struct):
    """What became of a file. `taken`: lines that stand; `refused` shows the first 1,000 of `refused_count`."""

    taken: int = 0
    refused: list[RefusedEntry] = []
    refused_count: int = 0

    def refuse(self, line: int, code: LineCode) -> None:
        """Count a line that is not taken."""
        self.refused_count += 1
        if len(self.refused) < REFUSED_SHOWN:
            self.refused.append(RefusedEntry(line, code))


class EntryImport:
    """Puts the entries of a file on their lists, for the account `by`.

    `has_room`: whether Kafka has taken nearly all that was put before.
    """

    def __init__(self, books: Books, values: ListValues, by: str, has_room: Callable[[], bool]) -> None:
        self._books, self._values, self._by, self._has_room = books, values, by, has_room
        self.imported = Imported()

    async def take(self, batches: AsyncIterator[list[CsvLine]]) -> Imported:
        """Put all that can be meant; it rests as long as each batch took. Raises `KafkaBehind`."""
        try:
            async for batch in batches:
                await self._take(batch)
        finally:
            done = self.imported
            log.info("lists.imported", by=self._by, taken=done.taken, refused=done.refused_count)
        return self.imported

    async def _take(self, batch: list[CsvLine]) -> None:
        asked = [(line.number, entry) for line in batch if (entry := self._asked(line))]
        if not asked:
            await asyncio.sleep(0)
            return
        await self._await_room()
        began = perf_counter()
        refused = await self._books.write(self._put, asked)
        for number, fault in refused:
            self.imported.refuse(number, fault)
        self.imported.taken += len(asked) - len(refused)
        await asyncio.sleep(perf_counter() - began)

    def _asked(self, line: CsvLine) -> EntryAsked | None:
        if line.fault is not None:
            self.imported.refuse(line.number, line.fault)
            return None
        try:
            return _entry(line.fields)
        except EntryRefused as error:
            self.imported.refuse(line.number, error.fault)
        except _Unknown as error:
            self.imported.refuse(line.number, error.code)
        return None

    def _put(self, conn: Connection, asked: Iterable[tuple[int, EntryAsked]]) -> list[tuple[int, EntryFault]]:
        """Put entries, in the order of their values: two files that meet wait, and do not lock each other out."""
        refused: list[tuple[int, EntryFault]] = []
        rows: list[ListEntryRow] = []
        now = now_micros()
        for number, entry in asked:
            try:
                rows.append(entry_of(conn, self._values, entry, self._by, now))
            except EntryRefused as error:
                refused.append((number, error.fault))
        put_entries(conn, sorted(rows, key=lambda row: row.value))
        return refused

    async def _await_room(self) -> None:
        """Wait until Kafka has taken what was put before: no event of a payment stands behind a whole file."""
        for _ in range(int(ROOM_WITHIN_S / ROOM_PAUSE_S)):
            if self._has_room():
                return
            await asyncio.sleep(ROOM_PAUSE_S)
        raise KafkaBehind(BEHIND, retry_after_s=int(ROOM_WITHIN_S))


class _Unknown(Exception):
    def __init__(self, code: Literal["list_unknown", "kind_unknown", "expires_at_invalid"]) -> None:
        super().__init__(code)
        self.code = code


def _entry(fields: dict[str, str]) -> EntryAsked:
    """The entry in the fields of a line. Raises `EntryRefused` and `_Unknown`."""
    name = next((name for name in LISTS if name == fields["list"].strip().lower()), None)
    if name is None:
        raise _Unknown("list_unknown")
    kind = next((kind for kind in LIST_KINDS if kind == fields["kind"].strip().lower()), None)
    if kind is None:
        raise _Unknown("kind_unknown")
    ends = _moment(fields.get("expires_at", "").strip())
    entry = EntryAsked(name, kind, fields["value"].strip(), fields["reason"].strip(), ends)
    check_entry(entry, from_micros(now_micros()))
    return entry


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Unknown("expires_at_invalid") from None
    if moment.tzinfo is None:
        raise _Unknown("expires_at_invalid")
    return moment
