"""What Tab offers at the prompt."""

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from connectors.warehouse import QueryFailed, QueryRefused, Table
from sluice.console.catalog import ViewColumn, known_views, read_catalog
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


@pytest.mark.parametrize(
    ("before", "after", "offered"),
    [
        ("SELECT * FROM pay", "", {"payments"}),
        ("select * from payments join ", "", {"payments", "refunds"}),
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


def test_who_may_not_ask_duckdb_what_there_is_is_told_of_the_views_we_know() -> None:
    def ask(statement: str) -> Table:
        if "duckdb_columns" in statement:
            raise QueryRefused("refused")
        if statement != "DESCRIBE payments":
            raise QueryFailed("there is no such view")
        return Table(["column_name", "column_type", "null"], [("id", "VARCHAR", "YES")])

    assert {"payments", "refunds", "pipeline_health"} <= set(known_views())
    assert read_catalog(ask) == {"payments": [ViewColumn("id", "VARCHAR")]}
