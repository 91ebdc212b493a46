"""The gateways on the books: who lives, and whose events are taken over."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, select

from gateway.books.engine import WORKER
from gateway.books.outbox import add_event, outbox
from gateway.books.postgres import PostgresBooks
from gateway.books.workers import (
    FORGOTTEN_US,
    WorkerRow,
    another_lives,
    any_left_behind,
    enter,
    keep_others_away,
    leave,
    renew,
    take_over,
    workers,
)
from schemas.samples import INITIATED
from tests.gateway.databases import Databases, Kind

NOW = 10 * FORGOTTEN_US
LEASE_US = 15_000_000


def worker(conn: Connection, name: str, lease_until: int = NOW + LEASE_US) -> str:
    enter(conn, WorkerRow(f"wrk_{name}", name, lease_until), NOW)
    return f"wrk_{name}"


def write(conn: Connection, worker_id: str | None, subject_id: str, sequence: int) -> None:
    conn.info[WORKER] = worker_id
    data = msgspec.structs.replace(INITIATED, sequence=sequence)
    add_event(
        conn,
        topic="payments.v1",
        key="k",
        type="payment.initiated",
        subject_id=subject_id,
        sequence=sequence,
        data=data,
        traceparent=None,
        now=NOW,
    )


def owners(conn: Connection) -> list[str | None]:
    return list(conn.execute(select(outbox.c.worker_id).order_by(outbox.c.id)).scalars())


def names(conn: Connection) -> list[str]:
    return list(conn.execute(select(workers.c.name).order_by(workers.c.name)).scalars())


def test_a_start_takes_the_place_of_its_name_and_of_what_is_long_gone(conn: Connection) -> None:
    worker(conn, "old", NOW - FORGOTTEN_US - 1)
    worker(conn, "lapsed", NOW - 1)
    worker(conn, "a")
    enter(conn, WorkerRow("wrk_a2", "a", NOW + LEASE_US), NOW)
    assert names(conn) == ["a", "lapsed"]
    assert renew(conn, "wrk_a", NOW + LEASE_US) is None
    assert renew(conn, "wrk_a2", NOW + LEASE_US) == 0


def test_another_lives_while_its_lease_lasts(conn: Connection) -> None:
    own = worker(conn, "a")
    assert not another_lives(conn, own, NOW)
    other = worker(conn, "b")
    assert another_lives(conn, own, NOW)
    assert not another_lives(conn, own, NOW + LEASE_US)
    leave(conn, other)
    assert not another_lives(conn, own, NOW)


@pytest.mark.parametrize("lapsed_too", [True, False])
def test_what_is_nobodys_is_taken_and_what_has_an_owner_stays(conn: Connection, lapsed_too: bool) -> None:
    own, other = worker(conn, "a"), worker(conn, "b")
    write(conn, other, "pay_1", 1)
    assert not any_left_behind(conn, own, NOW, lapsed_too)
    write(conn, None, "pay_2", 1)
    write(conn, "wrk_gone", "pay_3", 1)
    assert any_left_behind(conn, own, NOW, lapsed_too)
    assert not take_over(conn, own, NOW, lapsed_too)
    assert owners(conn) == [other, own, own]
    assert renew(conn, other, NOW + LEASE_US) == 0


def test_what_a_lapsed_worker_has_is_taken_once_it_may_be_and_it_hears_of_it(conn: Connection) -> None:
    own, lapsed, idle = worker(conn, "a"), worker(conn, "b", NOW), worker(conn, "c", NOW)
    write(conn, lapsed, "pay_1", 1)
    assert not any_left_behind(conn, own, NOW, lapsed_too=False)
    assert not take_over(conn, own, NOW, lapsed_too=False)
    assert owners(conn) == [lapsed]
    assert any_left_behind(conn, own, NOW, lapsed_too=True)
    assert take_over(conn, own, NOW, lapsed_too=True) == [lapsed]
    assert owners(conn) == [own]
    assert (renew(conn, lapsed, NOW + 1), renew(conn, idle, NOW + 1)) == (1, 0)


def test_one_that_renewed_meanwhile_keeps_its_events(conn: Connection) -> None:
    own, other = worker(conn, "a"), worker(conn, "b", NOW)
    write(conn, other, "pay_1", 1)
    assert any_left_behind(conn, own, NOW, lapsed_too=True)
    renew(conn, other, NOW + LEASE_US)
    assert not take_over(conn, own, NOW, lapsed_too=True)
    assert owners(conn) == [other]


def test_an_event_says_whether_it_is_behind_one_of_another_worker(conn: Connection, database: Kind) -> None:
    own, other = worker(conn, "a"), worker(conn, "b")
    told = conn.info["announced"] = []
    write(conn, own, "pay_1", 1)
    write(conn, own, "pay_1", 2)
    write(conn, other, "pay_1", 3)
    write(conn, other, "pay_2", 1)
    conn.execute(outbox.update().values(published_at=NOW))
    write(conn, own, "pay_1", 4)
    is_shared = database == "postgres"
    assert [event.is_behind for event in told] == [False, False, is_shared, False, False]


@pytest.mark.postgres
async def test_no_gateway_begins_while_books_are_brought_back(databases: Databases, tmp_path: Path) -> None:
    url = databases.empty("postgres", tmp_path)
    books, steps, kept = PostgresBooks(url), list[str](), asyncio.Event()

    def bring_back(conn: Connection) -> None:
        keep_others_away(conn)
        kept.set()
        conn.exec_driver_sql("SELECT pg_sleep(0.3)")
        steps.append("brought back")

    def begin(conn: Connection) -> None:
        worker(conn, "late")
        steps.append("begun")

    bringing = asyncio.create_task(books.write(bring_back))
    await kept.wait()
    await books.write(begin)
    await bringing
    await books.close()
    databases.drop(url)
    assert steps == ["brought back", "begun"]
