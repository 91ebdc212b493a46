"""The audit of payments that the fraud flow did not judge: each planted fault is found."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from benchmarks.scorer_audit import audit
from sluice.reconcile.ledger import ProcessorRecord

TABLES = (
    "CREATE TABLE payments (id, stream_key, merchant_id, amount_captured, risk)",
    "CREATE TABLE verdicts (payment_id, applied, source, outcome, spent, spent_day)",
    "CREATE TABLE attempts (id, payment_id)",
    "CREATE TABLE caps (subject, day, used)",
)


@pytest.fixture
def conn() -> Iterator[Connection]:
    with create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:")).connect() as made:
        for table in TABLES:
            made.exec_driver_sql(table)
        yield made


def put(
    conn: Connection, number: int, source: str | None = "stand_in", spent: int | None = 600, **row: Any
) -> None:
    """A payment of 6.00 that was captured, with the verdict of `source`."""
    payment = (f"pay_{number}", row.get("card", "ins_1"), "acc_1", 600, row.get("risk", "{}"))
    conn.exec_driver_sql("INSERT INTO payments VALUES (?, ?, ?, ?, ?)", payment)
    conn.exec_driver_sql("INSERT INTO attempts VALUES (?, ?)", (f"att_{number}", f"pay_{number}"))
    if source:
        verdict = (f"pay_{number}", True, source, "allow", spent, "2026-11-27" if spent else None)
        conn.exec_driver_sql("INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", verdict)


def sale(number: int, operation: str = "sale", of: int | None = None) -> ProcessorRecord:
    return ProcessorRecord(
        number, "visa", operation, f"att_{number % 10}", f"op_{number}", 600, "EUR", "applied", "", of
    )


def test_what_is_judged_and_within_its_caps_is_clean(conn: Connection) -> None:
    put(conn, 1)
    put(conn, 2, "model", None)
    put(conn, 3)
    found = audit(conn, [sale(1), sale(2), sale(3), sale(13, "void", of=3)], 600, 600)
    assert found.is_clean()
    assert (found.most_of_a_card, found.most_of_a_merchant) == (600, 600)
    assert found.verdicts == {"stand_in": 2, "model": 1}


def test_a_capture_without_a_verdict_is_found(conn: Connection) -> None:
    put(conn, 1, None)
    assert audit(conn, [sale(1)], 600, 600).unjudged == ["pay_1"]


def test_a_stand_in_without_a_budget_is_found_unless_a_list_allows(conn: Connection) -> None:
    put(conn, 1, spent=None)
    put(conn, 2, spent=None, risk='{"reasons":["allow_list"]}')
    assert audit(conn, [], 600, 600).unmetered == ["pay_1"]


def test_one_cent_above_a_cap_is_found_at_the_processors_and_in_the_books(conn: Connection) -> None:
    put(conn, 1)
    put(conn, 2)
    conn.exec_driver_sql("INSERT INTO caps VALUES ('ins_1', '2026-11-27', 1200)")
    found = audit(conn, [sale(1), sale(2)], 1199, 1200)
    assert found.over_cap == {"ins_1 2026-11-27": 1}
    assert found.used_over == {"ins_1": 1}
