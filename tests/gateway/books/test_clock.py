"""The books' clock: nobody can set it, and it goes on where it was."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from gateway.books import clock
from gateway.books.clock import anchor, keep, keep_clock
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
