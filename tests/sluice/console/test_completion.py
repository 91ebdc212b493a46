"""What Tab offers at the prompt."""

from collections.abc import Iterator

import duckdb
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from connectors.warehouse import QueryRefused, Table
from flows.analytics.warehouse import make_schema
from sluice.console.catalog import COLUMNS, ViewColumn, meanings, read_catalog
from sluice.console.completion import SqlCompleter

CATALOG = {
    "payments": [
        ViewColumn("id", "VARCHAR"),
        ViewColumn("amount", "BIGINT"),
        ViewColumn("amount_captured", "BIGINT"),
    ],
    "refunds": [ViewColumn("id", "VARCHAR"), ViewColumn("amount", "BIGINT")],
}


@pytest.fixture(scope="module")
def completer() -> SqlCompleter:
    return SqlCompleter(CATALOG)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as con:
        yield con


@pytest.mark.parametrize(
    ("before", "after", "offered"),
    [
        ("SELECT * FROM pay", "", {"payments", "payments_as_of("}),
        ("select * from payments join ", "", {"payments", "payments_as_of(", "refunds"}),
        ("SELECT amou", " FROM payments", {"amount", "amount_captured"}),
        ("SELECT p.AMOU", " FROM payments AS p", {"amount", "amount_captured"}),
        ("SELECT amou", "", set()),
        ("SELECT quantile_c", "", {"quantile_cont"}),
        ("SELECT getv", "", set()),
        ("qual", "", {"QUALIFY"}),
        (".co", "", {".columns"}),
        (".columns re", "", {"refunds"}),
    ],
)
def test_a_word_is_completed_by_where_it_stands(
    completer: SqlCompleter, before: str, after: str, offered: set[str]
) -> None:
    document = Document(before + after, len(before))
    found = list(completer.get_completions(document, CompleteEvent()))
    assert {completion.text for completion in found} == offered
    assert len(found) == len(offered)


def test_who_may_not_ask_duckdb_what_there_is_is_told_of_what_they_see(con: duckdb.DuckDBPyConnection) -> None:
    asked = list[str]()

    def ask(statement: str) -> Table:
        asked.append(statement)
        if "duckdb_columns" in statement:
            raise QueryRefused("refused")
        return Table([], con.execute(statement).fetchall())

    con.execute("CREATE VIEW payments AS SELECT '' AS id")
    con.execute("CREATE VIEW operations AS SELECT '' AS merchant, 1 AS part")
    catalog = read_catalog(ask)
    assert catalog["payments"] == [ViewColumn("id", "VARCHAR", "pay_…")]
    assert [column.name for column in catalog["operations"]] == ["merchant", "part"]
    assert len(asked) == 3


def test_every_column_has_the_meaning_that_the_warehouse_tells(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("LOAD json")
    make_schema(con)
    told = {(view, column): meaning for view, column, _, meaning in con.execute(COLUMNS).fetchall()}
    assert meanings() == told
