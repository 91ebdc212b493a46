"""Access control of the warehouse: what readers may ask, and everything they may not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from connectors.keyfiles import read_or_make
from connectors.warehouse import (
    READERS,
    QueryFailed,
    QueryRefused,
    WarehouseReader,
    address,
    load_quack,
    quoted,
    token,
)
from flows.analytics.access_control import AccessControl
from flows.analytics.settings import AnalyticsSettings
from tests.flows.analytics.conftest import served_warehouse

LEGITIMATE = [
    "SELECT 1",
    "SELECT 1;",
    "select count(*) from payments where state = 'captured'",
    "FROM payments",
    "FROM payments SELECT id LIMIT 1",
    "VALUES (1), (2)",
    "WITH p AS (FROM payments) SELECT count(*) FROM p",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) FROM n",
    "SELECT id, row_number() OVER (PARTITION BY currency ORDER BY created_at) FROM payments",
    "SELECT id FROM payments QUALIFY row_number() OVER (ORDER BY id) = 1",
    "SELECT a.id FROM payments a JOIN risk b ON a.id = b.payment",
    "SELECT * FROM payments ASOF JOIN labels ON payments.created_at >= labels.recorded_at",
    "SELECT time_bucket(INTERVAL 5 minutes, minute), sum(amount) FROM payments_by_minute GROUP BY ALL",
    "SELECT count(*) FILTER (state = 'captured') / count(*) FROM payments",
    "SELECT features ->> 'velocity' FROM risk",
    "SELECT list_contains(reasons, 'velocity') FROM risk",
    "SELECT unnest([1, 2])",
    "FROM range(10)",
    "SELECT * FROM generate_series(1, 3)",
    "SELECT * FROM payments USING SAMPLE 10 ROWS",
    "SELECT now() - max(ingested_at) FROM payments",
    "SHOW TABLES",
    "SHOW ALL TABLES",
    "DESCRIBE payments",
    "DESCRIBE SELECT * FROM payments",
    "SUMMARIZE payments",
    "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'payments'",
    "SELECT view_name FROM duckdb_views()",
    "SELECT table_name FROM information_schema.tables",
    "/* a comment; DROP TABLE x */ SELECT 1 -- DROP TABLE y",
    "SELECT 'DROP TABLE payments; COPY TO'",
    'SELECT 1 AS "quack_stop"',
]

REFUSED = [
    # what changes something
    "DROP VIEW payments",
    "DELETE FROM store.payments",
    "UPDATE store.payments SET amount = 0",
    "INSERT INTO store.lags VALUES ('sql', 0, 0, now())",
    "TRUNCATE store.payments",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE OR REPLACE VIEW payments AS SELECT 1",
    "CREATE OR REPLACE MACRO authorize(a, b) AS true",
    "CREATE TEMP TABLE t AS SELECT 1",
    "ALTER TABLE store.payments DROP COLUMN amount",
    "COMMENT ON VIEW payments IS 'mine'",
    "MERGE INTO store.payments p USING store.payments q ON p.id = q.id WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM store.payments RETURNING *) FROM gone",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CALL quack_stop('quack:localhost:9494')",
    "CALL pragma_version()",
    # files, network, extensions
    "COPY payments TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.csv'",
    "COPY store.payments FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/stolen'",
    "IMPORT DATABASE '/tmp/stolen'",
    "ATTACH '/tmp/other.duckdb'",
    "DETACH warehouse",
    "USE system",
    "INSTALL spatial",
    "LOAD json",
    "FROM read_csv('/etc/passwd')",
    "FROM read_text('/etc/passwd')",
    "FROM Read_Text('/etc/passwd')",
    "FROM \"read_text\"('/etc/passwd')",
    "FROM main.read_blob('/etc/passwd')",
    "FROM read_json('/etc/passwd')",
    "FROM read_parquet('x.parquet')",
    "FROM read_duckdb('x.duckdb')",
    "FROM glob('/etc/*')",
    "FROM sniff_csv('/etc/passwd')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH x AS (FROM read_text('/etc/passwd')) FROM x",
    "SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "SELECT 1 ORDER BY (SELECT count(*) FROM glob('/*'))",
    "SELECT 1 LIMIT (SELECT count(*) FROM glob('/*'))",
    "SELECT 1 UNION ALL SELECT length(content) FROM read_text('/etc/passwd')",
    "SELECT x FROM (VALUES (1)) t(x), LATERAL (FROM glob('/*'))",
    "SELECT [(SELECT count(*) FROM glob('/*')) FOR x IN [1]]",
    "DESCRIBE FROM read_text('/etc/passwd')",
    "SUMMARIZE FROM glob('/etc/*')",
    # settings and secrets
    "SET memory_limit = '100GB'",
    "SET GLOBAL enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA version",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CREATE SECRET (TYPE quack, TOKEN 'x')",
    "FROM duckdb_secrets()",
    "FROM duckdb_settings()",
    "FROM which_secret('x', 'quack')",
    # the server itself
    "FROM quack_stop('quack:localhost:9494')",
    "FROM QUACK_STOP('quack:localhost:9494')",
    "FROM quack_serve('quack:localhost:9999', token = 'mine')",
    "FROM quack_query('quack:localhost:9494', 'SELECT 1', token = 'x')",
    "FROM quack_active_connections()",
    "FROM quack_server_list()",
    "FROM quack_clear_cache()",
    "FROM quack_identify(name = 'x')",
    "SELECT quack_check_token('a', 'b', 'b')",
    "SELECT authenticate('a', 'b', 'c')",
    "SELECT Authenticate('a', 'b', 'c')",
    "SELECT authorize('a', 'SELECT 1')",
    # functions with effects
    "SELECT write_log('x')",
    "SELECT WRITE_LOG('x')",
    "SELECT nextval('s')",
    "SELECT currval('s')",
    "SELECT setseed(0.5)",
    'SELECT "SetSeed"(0.5)',
    "SELECT system.main.setseed(0.5)",
    "SELECT ('s').nextval()",
    "SELECT sleep_ms(60000)",
    "SELECT pg_sleep(60)",
    "SELECT list_transform([1], x -> write_log('x'))",
    "SELECT max(nextval('s')) OVER ()",
    "FROM enable_logging()",
    "FROM checkpoint()",
    "FROM force_checkpoint()",
    "FROM truncate_duckdb_logs()",
    # text that becomes a statement
    "FROM query('SELECT 1')",
    "FROM query_table('payments')",
    "FROM query_table(['payments'])",
    "FROM json_execute_serialized_sql('{}')",
    # several at once, and tricks of spelling
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW payments",
    "SELECT 1;; DROP VIEW payments",
    "SELECT 1 /* ; */; DROP VIEW payments",
    "DROP/**/VIEW/**/payments",
    "-- SELECT\nDROP VIEW payments",
    "dRoP vIeW payments",
    "SELECT " + "1 + " * 40_000 + "1",
    "SELECT " + "(" * 30_000 + "1" + ")" * 30_000,
    "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(9_000)),
    "SELECT " + "[" * 3_000 + "1" + "]" * 3_000,
    "SELECT " + "(SELECT " * 3_000 + "1" + ")" * 3_000,
    "SELECT '" + "x" * 10_000_000 + "'",
    "not SQL at all",
    "PIVOT payments ON state USING count(*)",
    "SELECT repeat('x', 2000000000)",
]

# Let in, and answered by an error: there is nothing behind the name.
NOTHING_THERE = [
    "FROM '/etc/passwd'",
    "FROM '/etc/passwd.csv'",
    "FROM 'https://example.com/x.parquet'",
    "FROM 's3://bucket/x.parquet'",
    'FROM "/etc/passwd"',
    "SELECT * FROM settings",
    "SELECT getenv('HOME')",
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
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnalyticsSettings]:
    with served_warehouse(tmp_path_factory.mktemp("served")) as settings:
        yield settings


@pytest.fixture(scope="module")
def reader(served: AnalyticsSettings) -> WarehouseReader:
    return WarehouseReader(served, "sql")


@pytest.mark.parametrize("sql", LEGITIMATE)
def test_a_question_is_answered(reader: WarehouseReader, sql: str) -> None:
    assert reader.query(sql).columns


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:60])
def test_an_attack_is_refused(reader: WarehouseReader, sql: str) -> None:
    with pytest.raises(QueryRefused, match="only one SELECT"):
        reader.query(sql)
    assert reader.query("SELECT count(*) FROM payments").rows == [(0,)]


@pytest.mark.parametrize("sql", NOTHING_THERE)
def test_no_name_leads_out_of_the_warehouse(reader: WarehouseReader, sql: str) -> None:
    with pytest.raises((QueryFailed, QueryRefused)):
        reader.query(sql)


@pytest.mark.parametrize("token", ["", "guess", "server-token", "wéird 'token"])
def test_nobody_comes_in_without_a_token(served: AnalyticsSettings, token: str) -> None:
    con = duckdb.connect()
    load_quack(con)
    asked = f"FROM quack_query({quoted(address(served))}, 'SELECT 1', token = {quoted(token)})"
    with pytest.raises(duckdb.Error, match=r"token|Authentication failed"):
        con.execute(asked)


@pytest.mark.parametrize("view", ["pg_catalog.pg_settings", "duckdb_logs", "duckdb_databases", "sqlite_master"])
def test_no_view_of_duckdb_itself_shows_a_token(
    served: AnalyticsSettings, reader: WarehouseReader, view: str
) -> None:
    """They call functions that nobody may name, and are let in: a view has none in its tree."""
    shown = str(reader.query(f"FROM {view}").rows)
    assert not [name for name in READERS if token(served, name) in shown]


def test_a_clock_set_back_locks_nobody_out_for_hours(tmp_path: Path, set_clock: Callable[[float], None]) -> None:
    access = AccessControl({"sql": "token"}, tmp_path / "refused.json")
    access.lock_out("sql", 60)
    set_clock(-1)
    assert access.authenticate("connection", "token", "")


def test_who_asked_too_much_is_let_in_again_after_a_while(tmp_path: Path) -> None:
    def access() -> AccessControl:
        return AccessControl({"sql": "token"}, tmp_path / "refused.json")

    access().lock_out("sql", 600)
    assert not access().authenticate("connection", "token", "")
    access().lock_out("sql", 0)
    assert access().authenticate("connection", "token", "")


def test_each_reader_has_a_token_of_its_own(served: AnalyticsSettings) -> None:
    tokens = {read_or_make(served, f"warehouse.{name}.token", bytes) for name in ("sql", "dashboard", "bench")}
    assert len(tokens) == 3
    assert all(len(token) >= 32 for token in tokens)


def test_attaching_the_warehouse_writes_nothing(served: AnalyticsSettings) -> None:
    con = duckdb.connect()
    load_quack(con)
    secret = read_or_make(served, "warehouse.sql.token", bytes).decode()
    con.execute(f"ATTACH {quoted(address(served))} AS remote (TYPE quack, TOKEN {quoted(secret)})")
    for attack in ATTACHED:
        with pytest.raises(duckdb.Error):
            con.execute(attack)
