"""Access control of the warehouse: who may ask, one statement at a time, and what asking leads to."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from connectors.keyfiles import read_or_make
from connectors.warehouse import (
    SQL_READERS,
    WRITERS_READERS,
    QueryFailed,
    QueryRefused,
    WarehouseReader,
    address,
    load_quack,
    quoted,
    token,
)
from flows.analytics.settings import SqlSettings
from schemas.settings import Settings
from tests.flows.analytics.conftest import served_copy, served_warehouse
from tests.flows.analytics.test_statements import LEGITIMATE, REFUSED

BUSY = "SELECT count(*) FROM range(5000) a, range(40000) b WHERE a.range + b.range = 0"  # some seconds

# Let in, and answered by an error: there is nothing behind the name.
NOTHING_THERE = [
    "FROM '/etc/passwd'",
    "FROM '/etc/passwd.csv'",
    "FROM 'https://example.com/x.parquet'",
    "FROM 's3://bucket/x.parquet'",
    'FROM "/etc/passwd"',
    "SELECT * FROM settings",
    "FROM other.payments",
    "",
    ";",
]


# By a client that attached the warehouse as a catalog: Quack then sends other messages than whole statements.
ATTACHED = [
    "INSERT INTO remote.store.lags VALUES ('sql', 0, 0, now()::TIMESTAMP)",
    "INSERT INTO remote.store.lags SELECT 'sql', a, 0, now()::TIMESTAMP FROM range(5000) t(a)",
    "CREATE TABLE remote.mine AS SELECT 1",
    "CREATE SCHEMA remote.mine",
    "DROP VIEW remote.payments",
    "DELETE FROM remote.store.lags",
    "UPDATE remote.store.offsets SET next_offset = 0",
    "FROM remote.query('DROP VIEW payments')",
    "FROM quack_query_by_name('remote', 'DROP VIEW payments')",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSettings]:
    with served_copy(tmp_path_factory.mktemp("served")) as settings:
        yield settings


@pytest.fixture(scope="module")
def reader(served: SqlSettings) -> WarehouseReader:
    return WarehouseReader(served, "sql")


@pytest.mark.parametrize("sql", LEGITIMATE)
def test_a_question_is_answered(reader: WarehouseReader, sql: str) -> None:
    assert reader.query(sql).columns


@pytest.mark.parametrize("sql", REFUSED[::10], ids=lambda sql: sql[:60])
def test_an_attack_is_refused(reader: WarehouseReader, sql: str) -> None:
    with pytest.raises(QueryRefused, match=r"^refused: "):
        reader.query(sql)
    assert reader.query("SELECT count(*) FROM payments").rows == [(0,)]


@pytest.mark.parametrize("sql", NOTHING_THERE)
def test_no_name_leads_out_of_the_warehouse(reader: WarehouseReader, sql: str) -> None:
    with pytest.raises((QueryFailed, QueryRefused)):
        reader.query(sql)


@pytest.mark.parametrize("token", ["", "guess", "server-token", "wéird 'token"])
def test_nobody_comes_in_without_a_token(served: SqlSettings, token: str) -> None:
    con = duckdb.connect()
    load_quack(con)
    asked = f"FROM quack_query({quoted(address(served, 'sql'))}, 'SELECT 1', token = {quoted(token)})"
    with pytest.raises(duckdb.Error, match=r"token|Authentication failed"):
        con.execute(asked)


@pytest.mark.parametrize("view", ["pg_catalog.pg_class", "duckdb_views", "duckdb_functions()", "sqlite_master"])
def test_no_view_of_duckdb_itself_shows_a_token(served: SqlSettings, reader: WarehouseReader, view: str) -> None:
    shown = str(reader.query(f"FROM {view}").rows)
    assert not [name for name in SQL_READERS if token(served, name) in shown]


def test_the_dashboards_token_is_no_analysts(tmp_path: Path) -> None:
    """Nor the other way round: each process knows the tokens of its own readers."""
    with served_copy(tmp_path) as copy, served_warehouse(tmp_path) as warehouse:
        crossed = Settings(data=tmp_path, sql=warehouse.warehouse_url(), warehouse=copy.sql_url())
        for reader in ("sql", "dashboard"):
            with pytest.raises(QueryRefused, match="token"):
                WarehouseReader(crossed, reader).query("SELECT 1")


@pytest.mark.stack
def test_of_twenty_statements_at_once_one_runs(served: SqlSettings) -> None:
    """Each reader has one at a time, so that what runs at once is bounded by the number of readers."""
    readers = [WarehouseReader(served, "bench") for _ in range(20)]
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(one.query, BUSY) for one in readers]
        other = WarehouseReader(served, "sql").query("SELECT 1")
    errors = [error for each in asked if (error := each.exception())]
    assert len(errors) == 19
    assert all(re.match("refused: one statement at a time", str(error)) for error in errors)
    assert other.rows == [(1,)]
    assert WarehouseReader(served, "bench").query("SELECT 1").rows == [(1,)]


def test_each_reader_has_a_token_of_its_own(served: SqlSettings) -> None:
    tokens = {token(served, name) for name in (*SQL_READERS, *WRITERS_READERS)}
    assert len(tokens) == 6
    assert all(len(token) >= 32 for token in tokens)


def test_attaching_the_warehouse_writes_nothing(served: SqlSettings) -> None:
    con = duckdb.connect()
    load_quack(con)
    secret = read_or_make(served, "warehouse.sql.token", bytes).decode()
    con.execute(f"ATTACH {quoted(address(served, 'sql'))} AS remote (TYPE quack, TOKEN {quoted(secret)})")
    for attack in ATTACHED:
        with pytest.raises(duckdb.Error):
            con.execute(attack)
    assert WarehouseReader(served, "bench").query("FROM store.lags").rows == []
