"""`sluice prune`: says how many rows of which table went, and that of books that are not there."""

from collections.abc import Callable
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result
from sqlalchemy import Connection, insert, select, update

from gateway.books.clock import anchor, clocks
from gateway.books.idempotency import IdempotencyKey, idempotency_keys
from gateway.books.opening import migrate, run_once
from gateway.books.outbox import outbox
from gateway.books.pruning import PRUNABLES
from schemas.times import boot_micros, now_micros
from sluice.cli import main

DAY_US = 86_400_000_000


def prune(data: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["prune", *options], env={"SLUICE_DATA": str(data)})


def put_events(conn: Connection) -> None:
    """Three events, which Kafka has had for 40, 20 and 0 days."""
    event = {"topic": "t", "key": "k", "type": "t", "subject_id": "pay", "value": b"{}"}
    moments = [now_micros() - days * DAY_US for days in (40, 20, 0)]
    times = [{"event_id": str(at), "recorded_at": at, "published_at": at} for at in moments]
    conn.execute(insert(outbox), [event | told for told in times])


def test_events_older_than_that_go(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    run_once(url, put_events)
    assert "outbox                       1 rows" in prune(tmp_path).output
    assert "outbox                       1 rows" in prune(tmp_path, "--events-older-than", "7d").output
    assert prune(tmp_path, "--events-older-than", "7d").output.count(" 0 rows") == len(PRUNABLES)


def test_books_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    ran = prune(tmp_path)
    assert (ran.exit_code, ran.output.startswith(f"Error: no books at {tmp_path}/books.sqlite3")) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_an_age_that_is_none_is_refused(tmp_path: Path) -> None:
    assert prune(tmp_path, "--events-older-than", "a month").exit_code == 2


def test_keys_go_by_the_books_clock_whatever_the_wall_clock_says(
    tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    url = f"sqlite:///{tmp_path / 'books.sqlite3'}"
    migrate(url)
    pass_time(0)  # and afterwards this process has its own clock again
    run_once(url, lambda conn: put_keys(conn, now_micros() - DAY_US))
    assert "idempotency_keys             1 rows" in prune(tmp_path).output
    assert run_once(url, lambda conn: conn.execute(select(idempotency_keys.c.key)).scalars().all()) == ["young"]


def put_keys(conn: Connection, by_the_books: int) -> None:
    """Two answered keys, of an hour and of two days ago on books with that time."""
    anchor(conn)
    conn.execute(update(clocks).values(offset_us=by_the_books - boot_micros()))
    for key, age_us in (("young", DAY_US // 24), ("old", 2 * DAY_US)):
        row = IdempotencyKey(
            account_id="acc",
            key=key,
            fingerprint=b"",
            subject_id="pay",
            role="customer",
            ok_status=201,
            status=201,
            lease_until=by_the_books - age_us,
            created_at=by_the_books - age_us,
        )
        conn.execute(insert(idempotency_keys), [msgspec.structs.asdict(row)])
