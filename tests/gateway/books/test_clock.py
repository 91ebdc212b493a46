"""The books' clock: nobody can set it, and it goes on where it was."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from gateway.books import clock
from gateway.books.clock import anchor, furthest_apart, keep, keep_clock
from gateway.books.engine import Books
from schemas.times import boot_micros, now_micros, steady_micros
from tests.gateway.databases import Kind
from tests.patience import eventually

HOUR_US = 3_600_000_000
SetClock = Callable[[float], None]


def at(offset_us: int) -> int:
    """What a steady clock says that was anchored there."""
    return boot_micros() + offset_us


@pytest.mark.parametrize("hours", [-1, 3])
def test_a_gateway_that_starts_again_goes_on_whatever_the_wall_clock_says(
    conn: Connection, set_clock: SetClock, hours: float
) -> None:
    first = anchor(conn)
    set_clock(hours)
    assert anchor(conn) == first


def test_books_nobody_was_on_begin_with_the_wall_clock(conn: Connection) -> None:
    assert abs(at(anchor(conn)) - now_micros()) < 60_000_000


@pytest.mark.parametrize("machine", ["another", ""])  # there are systems that do not name their starts
def test_after_a_start_of_the_machine_it_never_goes_back(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock, machine: str
) -> None:
    monkeypatch.setattr(clock, "boot_id", lambda: machine)
    anchor(conn)
    kept_us = steady_micros() + 2 * HOUR_US
    keep(conn, kept_us)
    monkeypatch.setattr(clock, "boot_id", lambda: machine and "a third")
    set_clock(-1)
    assert at(anchor(conn)) >= kept_us


def test_on_postgresql_the_wall_clock_is_the_servers(
    conn: Connection, database: Kind, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock
) -> None:
    began = now_micros()
    monkeypatch.setattr(clock, "boot_id", lambda: "another")
    set_clock(5)
    ahead_us = at(anchor(conn)) - began
    assert round(ahead_us / HOUR_US) == (0 if database == "postgres" else 5)


async def test_a_jump_is_logged_once(books: Books, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock) -> None:
    monkeypatch.setattr(clock, "EVERY_S", 0.01)
    with capture_logs() as logs:
        task = asyncio.create_task(keep_clock(books))
        await asyncio.sleep(0)
        set_clock(-1)
        await eventually(lambda: logs)
        await asyncio.sleep(0.05)
        task.cancel()
    (said,) = logs
    assert (said["event"], round(said["seconds"])) == ("clock.jumped", -3600)


async def test_how_far_the_wall_clock_was_away_is_kept(
    books: Books, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock
) -> None:
    monkeypatch.setattr(clock, "EVERY_S", 0.01)
    await books.write(anchor)
    task = asyncio.create_task(keep_clock(books))
    for hours, furthest in ((-1, 1), (3, 3), (-2, 3)):
        set_clock(hours)
        await eventually(partial(_has_kept, books, furthest))
    task.cancel()
    set_clock(0)
    assert round(await books.read(furthest_apart) / HOUR_US) == 3


async def _has_kept(books: Books, hours: int) -> bool:
    kept = await books.read(lambda conn: conn.execute(select(clock.clocks.c.apart_us)).scalar())
    return round((kept or 0) / HOUR_US) == hours
