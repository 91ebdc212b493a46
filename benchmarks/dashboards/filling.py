"""Data of a stack that ran for a month: a full warehouse, its copy for readers, and books of its newest payments.

A payment that stands in both has the same id there, and the same operations, postings, refunds and reviews.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection, Table

from benchmarks.full_books import indexed_afterwards
from benchmarks.warehouse import filling
from connectors.warehouse import quoted
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from gateway.books.opening import migrate, run_once
from gateway.books.operations import attempts, operations
from gateway.books.payments import payments
from gateway.books.postings import postings
from gateway.books.refunds import refunds
from gateway.books.reviews import review_reasons, reviews
from gateway.books.verdicts import verdicts

HERE = Path(__file__).parent
TABLES = (payments, attempts, operations, postings, verdicts, refunds, reviews, review_reasons)
AT_ONCE = 50_000  # rows read of the warehouse at a time
MEMORY_MB = 3_072  # the sums are of all entries at once
THREADS = 2
SINCE = """
SET VARIABLE since = (SELECT coalesce(min(created_at), now()::TIMESTAMP)
                      FROM (SELECT created_at FROM "full".store.standing ORDER BY created_at DESC LIMIT {}))
"""


SOME = """
SELECT id, reference, last4, customer_id AS customer, amount, currency FROM payments
WHERE reference LIKE 'order %' AND last4 IS NOT NULL AND state = 'captured' ORDER BY id LIMIT 1
"""


def is_filled(data: Path) -> bool:
    """Whether `fill` ended there."""
    return (data / "filled").exists()


def fill(data: Path, in_warehouse: int, in_books: int, until: float) -> bool:
    """Fill the data directory of a stack; whether it is full now, or `until` (`time.monotonic`, s) came first.

    What was begun is gone on with.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_filled(data):
        return True
    warehouse = data / "warehouse.duckdb"
    if filling.fill(warehouse, in_warehouse, until, [HERE / "calls.sql"]) < in_warehouse:
        return False
    _sum(warehouse)
    _books(data / "books.sqlite3", warehouse, in_books)
    shutil.copyfile(warehouse, data / "sql.duckdb")
    (data / "filled").touch()
    return time.monotonic() < until or is_filled(data)


def _sum(warehouse: Path) -> None:
    con = open_file(WarehouseFile(warehouse, MEMORY_MB, THREADS))
    try:
        con.execute((HERE / "sums.sql").read_text())
        con.execute("CHECKPOINT")
    finally:
        con.close()


def _books(path: Path, warehouse: Path, count: int) -> None:
    for half in path.parent.glob(f"{path.name}*"):  # of a run that was ended, with its log
        half.unlink()
    url = f"sqlite:///{path}"
    migrate(url)
    with duckdb.connect(config={"memory_limit": f"{MEMORY_MB}MB", "threads": THREADS}) as con:
        con.execute(f'ATTACH {quoted(str(warehouse))} AS "full" (READ_ONLY)')
        con.execute(SINCE.format(count))
        con.execute((HERE / "books.sql").read_text())
        run_once(url, lambda conn: _write(conn, con))


def _write(conn: Connection, con: duckdb.DuckDBPyConnection) -> None:
    with indexed_afterwards(conn, TABLES):
        for table in TABLES:
            for statement, rows in _rows(con, table):
                conn.exec_driver_sql(statement, rows)


def _rows(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows that a view of the table's name has, some at a time, and the statement that writes them."""
    found = con.execute(f"FROM {table.name}")
    names = [column[0] for column in found.description]
    places = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"
    while rows := found.fetchmany(AT_ONCE):
        yield statement, rows


def some_payment(books: Path) -> dict[str, Any]:
    """A payment of those that `fill` wrote, by card and with a reference: what a search may be for."""
    con = sqlite3.connect(f"file:{books}?mode=ro", uri=True)
    con.row_factory = sqlite3.Row
    try:
        return dict(con.execute(SOME).fetchone())
    finally:
        con.close()
