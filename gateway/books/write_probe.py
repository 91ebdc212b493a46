"""Whether the books can be written: one row that is overwritten, as only a write can tell of a full disk.

Questions for readiness cause at most one write per `EVERY_S` in all, however many and whosever they are.
"""

import asyncio
from secrets import token_bytes
from time import monotonic

import msgspec
from sqlalchemy import Connection, bindparam

from gateway.books.engine import Books
from gateway.books.sql import Statement
from gateway.books.tables import Int32, Micros, table_of
from schemas.times import now_micros

EVERY_S = 1.0
ONLY = 1
BALLAST = 16 * 1024  # bytes


class ProbedWrite(msgspec.Struct, frozen=True):
    """The only row of `probed_writes`: when a gateway last wrote it, in microseconds UTC.

    `ballast` makes it about as large as what a payment writes: a full disk has room for a small row for a while.
    """

    id: Int32
    written_at: Micros
    ballast: bytes


probed_writes = table_of("probed_writes", ProbedWrite)
_overwrite = Statement(
    lambda insert: (
        insert(probed_writes)
        .values(id=ONLY, written_at=bindparam("at"), ballast=bindparam("bytes"))
        .on_conflict_do_update(
            index_elements=["id"], set_={"written_at": bindparam("at"), "ballast": bindparam("bytes")}
        )
    )
)


class WriteProbe:
    """Writes to `books` when it is asked, and answers with the last outcome for `EVERY_S`."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._began = -EVERY_S  # monotonic
        self._write: asyncio.Task[bool] | None = None

    async def answers(self) -> bool:
        """True once a write of the last `EVERY_S` is on disk; waits for a slow one. Raises what it raised."""
        if self._write is None or (self._write.done() and monotonic() - self._began >= EVERY_S):
            self._began = monotonic()
            self._write = asyncio.create_task(self._overwrite())
        return await asyncio.shield(self._write)  # whoever gives up waiting leaves the others theirs

    async def _overwrite(self) -> bool:
        await self._books.write(write_probe, now_micros())
        return True


def write_probe(conn: Connection, at: int) -> None:
    """Overwrite the row."""
    _overwrite(conn, at=at, bytes=token_bytes(BALLAST))  # PostgreSQL would compress others
