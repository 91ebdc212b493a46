"""The short form of `python -m benchmarks.dashboards`: data that agrees, and how much is read of it for an answer.

How long anything takes is measured there, on a machine that does nothing else.
"""

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.dashboards import filling, tiles
from connectors.warehouse import Table
from dashboards.look import Look
from dashboards.money_books import DIFFERENCES
from dashboards.payment_tiles import ORIGIN, VERDICT
from dashboards.tiles.headline import FIGURES, WAITS
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from schemas.ids import earliest_id
from schemas.times import now, to_micros

PAYMENTS, IN_BOOKS = 10_000, 2_000
LEFT_OVER = "SELECT max(abs(moved)) FROM (SELECT sum(amount) AS moved FROM ledger GROUP BY operation, currency)"
BLOCK = 122_880  # rows of a block of DuckDB, which reads it whole or not at all
ALL_BLOCKS = 9
ONE_A_SECOND = f"""
INSERT INTO store.payments (id, sequence, created_at, state, currency, amount, waited_ms)
SELECT 'pay_' || md5(range::VARCHAR), 1, now()::TIMESTAMP - to_microseconds(range * 750_000), 'captured', 'EUR', 1,
       5.0
FROM range({ALL_BLOCKS * BLOCK}) ORDER BY range DESC
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("filled")
    assert filling.fill(data, PAYMENTS, IN_BOOKS, float("inf"))
    return data


@pytest.fixture
def warehouse(filled: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    con = open_file(WarehouseFile(filled / "warehouse.duckdb", 512, 1))
    yield con
    con.close()


class Reader:
    """Reads a file as a reader of its process would."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def query(self, sql: str) -> Table:
        found = self._con.execute(sql)
        return Table([column[0] for column in found.description], found.fetchall())


def test_books_and_warehouse_tell_the_same_of_the_newest_payments(
    filled: Path, warehouse: duckdb.DuckDBPyConnection
) -> None:
    newest = f"SELECT id FROM payments ORDER BY created_at DESC LIMIT {IN_BOOKS}"
    with sqlite3.connect(filled / "books.sqlite3") as books:
        for table, view, column in (
            ("payments", "payments", "id"),
            ("operations", "operations", "payment"),
            ("postings", "ledger", "payment"),
            ("refunds", "refunds", "payment"),
            ("reviews", "reviews", "payment"),
        ):
            told = f"SELECT sum(amount), count(*) FROM {view} WHERE {column} IN ({newest})"
            sums = "NULL" if table == "reviews" else "sum(amount)"
            [(amount, count)] = books.execute(f"SELECT {sums}, count(*) FROM {table}").fetchall()
            [(told_amount, told_count)] = warehouse.execute(told).fetchall()
            assert count == told_count > 0, table
            assert amount in (None, told_amount), table


def test_ledger_and_payments_agree_in_what_was_written(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert warehouse.execute(DIFFERENCES.statement(Look("30d"))).fetchall() == []
    assert warehouse.execute(LEFT_OVER).fetchall() == [(0,)]
    warehouse.execute("BEGIN")  # the fault that the tile is there for
    warehouse.execute("UPDATE store.ledger_days SET amount = amount + 1 WHERE account = 'due:visa'")
    assert warehouse.execute(DIFFERENCES.statement(Look("30d"))).fetchall() != []
    warehouse.execute("ROLLBACK")


def test_every_tile_has_an_answer_about_what_was_written(warehouse: duckdb.DuckDBPyConnection) -> None:
    reader: Any = Reader(warehouse)
    ids = tiles.some_ids(reader)
    for tile in tiles.all_tiles():
        answer = reader.query(tile.statement(Look("90d"), tiles.id_for(tile, ids)))
        assert answer.columns, tile.name
    assert reader.query(VERDICT.statement(Look(), ids["payment"])).rows


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Nine blocks of payments, of a day and a bit each."""
    con = open_file(WarehouseFile(tmp_path_factory.mktemp("full") / "warehouse.duckdb", 512, 1))
    con.execute(ONE_A_SECOND)
    yield con
    con.close()


def blocks(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    """How many blocks of payments DuckDB reads for a statement."""
    [(_, plan)] = con.execute(f"EXPLAIN (ANALYZE, FORMAT json) {sql}").fetchall()

    def read(node: dict[str, Any]) -> int:
        is_of_payments = node.get("extra_info", {}).get("Table", "").endswith("payments")
        return (node["operator_rows_scanned"] if is_of_payments else 0) + sum(map(read, node["children"]))

    return round(read(json.loads(plan)) / BLOCK)


def test_what_is_compared_reads_no_days_between(full: duckdb.DuckDBPyConnection) -> None:
    whole = blocks(full, "SELECT max(waited_ms) FROM payments")
    assert whole == ALL_BLOCKS
    assert 3 <= blocks(full, WAITS.statement(Look("24h"))) <= 6  # two days, and that of a week ago


def test_figures_read_sums_and_no_payment(full: duckdb.DuckDBPyConnection) -> None:
    assert blocks(full, FIGURES.statement(Look("30d"))) == 0


def test_one_payment_is_looked_for_about_its_birth(full: duckdb.DuckDBPyConnection) -> None:
    born = to_micros(now() - timedelta(days=4))
    assert blocks(full, ORIGIN.statement(Look(), earliest_id("pay", born))) <= 4
    assert blocks(full, ORIGIN.statement(Look(), "pay_5_of_no_time")) == ALL_BLOCKS
