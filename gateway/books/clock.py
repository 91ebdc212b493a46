"""The books' clock: one steady clock for every gateway that was ever on them, so that what is due stays due.

Nobody can set it. A machine's row says where its own clock, which counts from its start, stands on it: a gateway
that starts again goes on where the last one was. After a start of the machine, and on another one, nothing but the
wall clock tells how long it took (docs/decisions/0027). On PostgreSQL that is the database's, whose pace all
machines follow (docs/decisions/0090).
"""

import asyncio

import msgspec
import structlog
from sqlalchemy import Connection, bindparam, case, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from gateway.books.engine import Books
from gateway.books.sql import Statement
from gateway.books.tables import Micros, table_of
from schemas.times import STEADY, boot_id, boot_micros, now_micros, steady_micros

EVERY_S = 10.0
JUMP_US = 1_000_000  # a wall clock that moved this far beside the steady one was set
STEP_US = 20_000  # what a clock is corrected by at once: ten times what it goes wrong in between
ROUND_TRIP_MAX_US = 100_000  # an answer that took longer tells too little of the database's time

log = structlog.get_logger()


class ClockRow(msgspec.Struct, frozen=True):
    """A row of `clocks`, one for each start of a machine; times in microseconds of the steady clock.

    `offset_us`: what the steady clock is ahead of the machine's own. `kept_us`: when a gateway last ran on it, and
    `wall_us` what the wall clock said then, the database's on PostgreSQL. `apart_us`: the furthest that the
    machine's wall clock was from the steady one, whichever was ahead.
    """

    boot_id: str
    offset_us: Micros
    kept_us: Micros
    apart_us: Micros = 0
    wall_us: Micros | None = None


class Reading(msgspec.Struct, frozen=True):
    """Two clocks at the same time: the wall clock that all gateways share, and this machine's steady one."""

    wall_us: int
    steady_us: int


class Pace:
    """How the steady clock keeps the pace of the shared one, wherever that was set to."""

    def __init__(self) -> None:
        self._since: Reading | None = None

    def correction_us(self, read: Reading) -> int:
        """What the steady clock is to be moved by; nothing where the shared one was set since it was read last."""
        if self._since is None:
            self._since = read
        ahead_us = (read.steady_us - self._since.steady_us) - (read.wall_us - self._since.wall_us)
        if abs(ahead_us) > JUMP_US:
            self._since = read
            return 0
        return -max(-STEP_US, min(STEP_US, ahead_us))


clocks = table_of("clocks", ClockRow, primary_key=("boot_id",))
_c = clocks.c
_offset = Statement(select(_c.offset_us).where(_c.boot_id == bindparam("of_boot_id")))
_newest_kept = Statement(select(_c.kept_us, _c.wall_us).order_by(_c.kept_us.desc()).limit(1))
_furthest_apart = Statement(select(func.max(_c.apart_us)))
_put = Statement(
    lambda insert: (put := insert(clocks)).on_conflict_do_update(
        index_elements=["boot_id"], set_={name: put.excluded[name] for name in ("offset_us", "kept_us", "wall_us")}
    )
)
_apart = bindparam("apart", type_=_c.apart_us.type)
_keep = Statement(
    update(clocks)
    .where(_c.boot_id == bindparam("of_boot_id"))
    .values(
        kept_us=bindparam("at"),
        wall_us=bindparam("wall"),
        offset_us=bindparam("offset"),
        apart_us=case((_c.apart_us < _apart, _apart), else_=_c.apart_us),
    )
)
_SERVER_TIME = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")


def anchor(conn: Connection) -> int:
    """What the books' steady clock is ahead of this machine's own (microseconds); it never goes back."""
    machine = boot_id()
    offset_us = _offset(conn, of_boot_id=machine).scalar()
    if offset_us is None or not machine:
        wall_us = _wall_micros(conn)
        offset_us = _time_at(conn, wall_us) - boot_micros()
        kept_us = boot_micros() + offset_us
        _put(conn, boot_id=machine, offset_us=offset_us, kept_us=kept_us, apart_us=0, wall_us=wall_us)
    return int(offset_us)


def _time_at(conn: Connection, wall_us: int) -> int:
    """The steady clock's time when the wall clock says this: as much later as that is since it was last kept."""
    last = _newest_kept(conn).first()
    if last is None:
        return wall_us
    kept_us: int = last.kept_us
    return max(wall_us, kept_us) if last.wall_us is None else kept_us + max(0, wall_us - last.wall_us)


def keep(conn: Connection, at: int, offset_us: int, apart_us: int = 0) -> Reading | None:
    """Note that a gateway of this machine runs at `at`, by the steady clock: none later starts before that.

    `apart_us`: how far the wall clock is from it, one way or the other; the furthest is kept. What is returned are
    the two clocks now, on PostgreSQL, if its answer came soon enough to tell.
    """
    asked_us = steady_micros()
    wall_us = _wall_micros(conn)
    took_us = steady_micros() - asked_us
    _keep(conn, of_boot_id=boot_id(), at=max(at, asked_us), wall=wall_us, offset=offset_us, apart=apart_us)
    is_shared = conn.dialect.name == "postgresql" and took_us <= ROUND_TRIP_MAX_US
    return Reading(wall_us, asked_us + took_us // 2) if is_shared else None


def furthest_apart(conn: Connection) -> int:
    """How far the wall clock ever was from the steady one (microseconds), on any machine of these books."""
    return max(_furthest_apart(conn).scalar() or 0, abs(_ahead_us()))


async def set_steady_clock(books: Books) -> None:
    """Anchor this process's steady clock where the books' is."""
    STEADY.offset_us = await books.write(anchor)


async def keep_clock(books: Books) -> None:
    """Keep the books' clock, for as long as the gateway runs, and log each jump of the wall clock."""
    ahead_us, pace = 0, Pace()
    while True:
        ahead_us = _hear_jump(ahead_us)
        try:
            read = await books.write(keep, steady_micros(), STEADY.offset_us, abs(ahead_us))
            STEADY.offset_us += pace.correction_us(read) if read else 0
        except SQLAlchemyError as error:  # such as a full disk
            log.warning("clock.not_kept", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


def _hear_jump(before_us: int) -> int:
    ahead_us = _ahead_us()
    if abs(ahead_us - before_us) > JUMP_US:
        log.warning("clock.jumped", seconds=round((ahead_us - before_us) / 1_000_000, 1))
    return ahead_us


def _ahead_us() -> int:
    """What the wall clock is ahead of the steady one now."""
    return now_micros() - steady_micros()


def _wall_micros(conn: Connection) -> int:
    if conn.dialect.name == "postgresql":
        return int(Statement(_SERVER_TIME)(conn).scalar())
    return now_micros()
