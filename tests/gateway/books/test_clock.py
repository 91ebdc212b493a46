"""The books' clock: nobody can set it, and it goes on where it was."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from gateway.books import clock
from gateway.books.clock import STEP_US, Pace, Reading, anchor, furthest_apart, keep, keep_clock
from gateway.books.engine import Books
from schemas.times import STEADY, boot_micros, now_micros, steady_micros
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
    keep(conn, kept_us, STEADY.offset_us)
    monkeypatch.setattr(clock, "boot_id", lambda: machine and "a third")
    set_clock(-1)
    assert at(anchor(conn)) >= kept_us


@pytest.mark.parametrize("hours", [-1, 5])
def test_another_machine_joins_a_running_one_at_its_time_wherever_the_shared_clock_was_set_to(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    wall_us = now_micros() + int(hours * HOUR_US)  # set, after the first gateway began
    monkeypatch.setattr(clock, "boot_id", lambda: "first")
    anchor(conn)
    monkeypatch.setattr(clock, "_wall_micros", lambda conn: wall_us)
    keep(conn, steady_micros(), STEADY.offset_us)
    monkeypatch.setattr(clock, "boot_id", lambda: "another")
    wall_us += 3_000_000
    joined_us = at(anchor(conn)) - steady_micros()
    assert abs(joined_us - 3_000_000) < 1_000_000


def run_beside(pace: Pace, seconds: int, drift: float, shared_us: int = 0, ahead_us: float = 0.0) -> float:
    """How far a machine whose clock goes wrong by `drift` is ahead in the end."""
    for second in range(0, seconds, 10):
        ahead_us += drift * 10_000_000
        true_us = second * 1_000_000
        ahead_us += pace.correction_us(Reading(true_us + shared_us, int(true_us + ahead_us)))
    return ahead_us


@pytest.mark.parametrize("drift", [-500e-6, 0.0, 500e-6])
def test_a_machine_keeps_the_pace_of_the_shared_clock(drift: float) -> None:
    assert abs(run_beside(Pace(), 24 * 3600, drift)) <= 2 * abs(drift) * 10_000_000


def test_a_shared_clock_that_is_set_moves_no_machine() -> None:
    pace = Pace()
    ahead_us = run_beside(pace, 100, 0.0)
    assert run_beside(pace, 100, 0.0, 3 * HOUR_US, ahead_us) == ahead_us == 0


def test_a_correction_is_small() -> None:
    pace = Pace()
    assert pace.correction_us(Reading(0, 0)) == 0
    assert pace.correction_us(Reading(10_000_000, 10_900_000)) == -STEP_US
    assert pace.correction_us(Reading(20_000_000, 19_100_000)) == STEP_US


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
