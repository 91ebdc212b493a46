"""The decisions about who sees what: complete, and held by views that tell of nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from flows.analytics import policy
from flows.analytics.names import nodes
from flows.analytics.policy import RoleViews, decisions
from flows.analytics.settings import WarehouseFile
from flows.analytics.warehouse import open_file
from schemas.accounts import SqlReader

MERCHANT = SqlReader("id", "acc_1", "own", "acc_mine")
READER = SqlReader("id", "acc_2", "without_cards")

JOINED = "FROM payments SEMI JOIN payments q USING (id) WHERE {}"
ONLY = "merchant='acc_mine'"

# Conditions whose plan depends on what DuckDB knows of all rows, where it may.
TELLING = [
    "amount > 1000000",
    "amount > 900000",
    "id > 'pay_y'",
    "decline_code IS NULL",
    "created_at > TIMESTAMP '2030-01-01'",
    "currency = 'XXX'",
    "decline_code LIKE 'z%'",
]


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("policy") / "kept.duckdb"
    with open_file(WarehouseFile(path, memory_mb=256, threads=1)) as con:
        con.execute("ATTACH ':memory:' AS nowhere")
        yield con


def test_every_view_and_column_has_a_decision(con: duckdb.DuckDBPyConnection) -> None:
    """What nobody decided about is not seen; `policy.toml` is where to decide."""
    rows = con.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
    )
    there = {(view, column) for view, column in rows.fetchall()}
    decided = [
        (name, column) for name, view in decisions().items() for column in view.decided() if not view.arguments
    ]
    assert sorted(decided) == sorted(there)


def test_whoever_sees_a_view_of_a_merchants_sees_only_rows_of_that_merchants() -> None:
    for name, view in decisions().items():
        if not view.columns(MERCHANT):
            continue
        made = RoleViews("kept").definitions(MERCHANT, [name])
        assert "= 'acc_mine' LIMIT" in made
        assert "acc_mine" not in RoleViews("kept").definitions(READER, [name])


@pytest.mark.parametrize("reader", [MERCHANT, READER])
def test_what_is_seen_has_the_types_of_the_views(con: duckdb.DuckDBPyConnection, reader: SqlReader) -> None:
    seen = policy_cursor(con, reader)
    views = {name for name in RoleViews("kept").seen(reader) if not decisions()[name].arguments}
    for name in views:
        types = {row[0]: row[1] for row in con.execute(f"DESCRIBE kept.main.{name}").fetchall()}
        shown = {row[0]: row[1] for row in seen.execute(f"DESCRIBE {name}").fetchall()}
        assert shown == {column: types[column] for column in shown}
        assert set(shown) == set(decisions()[name].columns(reader))


def test_a_merchants_id_is_no_sql() -> None:
    reader = SqlReader("id", "acc_1", "own", "x' OR true --")
    assert "= 'x'' OR true --' LIMIT" in RoleViews("kept").definitions(reader, ["payments"])


@pytest.mark.parametrize("condition", TELLING)
def test_no_plan_tells_of_rows_of_others(con: duckdb.DuckDBPyConnection, condition: str) -> None:
    """Where DuckDB answers at once because of what it knows of all rows, the time tells of them."""
    assert told(con, condition) == set()


def test_without_try_it_does(con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "OPAQUE", "{0}")
    assert any(told(con, condition) for condition in TELLING)


@pytest.mark.parametrize("condition", [*TELLING, "error(id) IS NULL", "replace(id, 'pay_', '')::INT > 0"])
@pytest.mark.parametrize("shape", ["FROM payments WHERE {}", JOINED])
def test_no_condition_is_looked_at_before_whose_row_it_is(
    con: duckdb.DuckDBPyConnection, shape: str, condition: str
) -> None:
    """All that DuckDB does below the LIMIT is to read the columns and compare the merchant."""
    cursor = policy_cursor(con, MERCHANT)
    [(_, text)] = cursor.execute(f"EXPLAIN (FORMAT json) {shape.format(condition)}").fetchall()
    limits = [node for node in nodes(msgspec.json.decode(text)) if node.get("name") == "STREAMING_LIMIT"]
    assert limits
    for limit in limits:
        below = [node for node in nodes(limit["children"]) if "name" in node]
        assert {node["name"].strip() for node in below} <= {"SEQ_SCAN", "PROJECTION"}
        assert [node["extra_info"]["Filters"] for node in below if "Filters" in node["extra_info"]] == [ONLY]


def policy_cursor(con: duckdb.DuckDBPyConnection, reader: SqlReader) -> duckdb.DuckDBPyConnection:
    """A connection with all views of a reader."""
    cursor, made = con.cursor(), RoleViews("kept")
    cursor.execute(f"USE nowhere;{made.definitions(reader, made.seen(reader))}")
    return cursor


def told(con: duckdb.DuckDBPyConnection, condition: str) -> set[str]:
    """In what the plans differ of a merchant's statement, by what another merchant has."""
    return set(plan_of(con, condition, 5, "pay_a")) ^ set(plan_of(con, condition, 2_000_000, "pay_z"))


def plan_of(con: duckdb.DuckDBPyConnection, condition: str, amount: int, payment_id: str) -> list[str]:
    """How a statement is run where another merchant has this one payment, without DuckDB's guesses of rows."""
    con.execute("CREATE OR REPLACE TABLE store.payments AS FROM store.payments LIMIT 0")
    con.execute(
        "INSERT INTO store.payments (id, merchant, amount, currency, created_at) VALUES"
        " ('pay_m', 'acc_mine', 7, 'EUR', TIMESTAMP '2026-01-01'),"
        f" ('{payment_id}', 'acc_other', {amount}, 'XXX', TIMESTAMP '2026-01-01')"
    )
    cursor = policy_cursor(con, MERCHANT)
    [(_, text)] = cursor.execute(f"EXPLAIN SELECT count(*) FROM payments WHERE {condition}").fetchall()
    return re.findall(r"[A-Z_]{4,}", text)


def test_the_page_says_who_sees_what() -> None:
    page = Path("docs/sql.md").read_text()
    rows = [
        f"| `{name}` | {_hidden(view, READER)} | {_hidden(view, MERCHANT)} |" for name, view in decisions().items()
    ]
    assert "\n".join(rows) in page


def _hidden(view: policy.ViewPolicy, reader: SqlReader) -> str:
    seen = view.columns(reader)
    if not seen:
        return "all of it"
    return ", ".join(f"`{column}`" for column in view.decided() if column not in seen) or "–"
