"""Every statement of docs/sql.md is answered with rows, where what it asks for happened."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.warehouse import WarehouseReader
from flows.analytics.ingest import ingest
from tests.flows.analytics import filled
from tests.flows.analytics.conftest import Kept, served_copy

PAGE = Path("docs/sql.md").read_text()
STATEMENTS = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    for statement in block.split(";\n")
    if statement.strip()
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseReader]:
    with served_copy(
        tmp_path_factory.mktemp("asked"), [ingest(record) for record in filled.records()]
    ) as settings:
        yield WarehouseReader(settings, "sql")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_of_the_page_is_answered_with_rows(reader: WarehouseReader, statement: str) -> None:
    assert reader.query(statement).rows


def test_the_page_answers_the_questions_that_are_asked_first() -> None:
    assert len(STATEMENTS) > 25
    asked = " ".join(STATEMENTS)
    views = (
        "balances",
        "ledger_by_day",
        "attempts",
        "operations",
        "reviews",
        "labels",
        "merchants",
        "rules",
        "lists",
    )
    assert [view for view in views if not re.search(rf"\b(FROM|JOIN) {view}\b", asked)] == []


def test_the_page_asks_for_each_column_of_a_view_once(kept: Kept) -> None:
    """The table behind a view may have its name."""
    [statement] = [statement for statement in STATEMENTS if "duckdb_columns()" in statement]
    assert [name for name, *_ in kept.ask(statement)] == [name for name, *_ in kept.ask("DESCRIBE payments")]


def test_what_is_owed_by_day_is_what_the_ledger_says(reader: WarehouseReader) -> None:
    [by_day] = [statement for statement in STATEMENTS if "due_by_then" in statement]
    [row] = reader.query(by_day).rows
    assert row[1:] == ("visa", "Merle's Shop", "EUR", 3998, -500, 0, 3498)


def test_what_fraud_cost_is_net_of_what_was_given_back(reader: WarehouseReader) -> None:
    [lost] = [statement for statement in STATEMENTS if "AS lost" in statement]
    [row] = reader.query(lost).rows
    assert row[1:] == ("analyst", "flag", "EUR", 1, 1499)
