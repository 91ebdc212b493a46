"""The public face of the warehouse: the columns that were promised, and documentation that is true."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import flows.analytics.rows as rows
from connectors.warehouse import WarehouseReader
from flows.analytics.columns import columns
from schemas.settings import Settings
from tests.flows.analytics.conftest import Kept, Log, payment, refund_step, served_copy, step

DOCUMENT = Path("docs/sql.md").read_text()
STATEMENTS = [
    statement
    for block in re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
    for statement in block.split(";\n")
    if statement
]

PROMISED = {
    "payments": (
        "id, status, state, amount, amount_captured, amount_refunded, currency, customer, merchant, processor, "
        "brand, country, risk_outcome, risk_score, decline_code, occurred_at, created_at, updated_at"
    ),
    "payments_by_minute": "minute, currency, processor, state, count, amount",
    "payments_by_hour": "hour, currency, processor, state, count, amount",
    "payments_by_day": "day, currency, processor, state, count, amount",
    "refunds": (
        "id, payment, amount, currency, status, decline_code, customer, merchant, processor, brand, "
        "created_at, updated_at"
    ),
    "risk": "payment, outcome, source, score, reasons, model",
    "notifications": "payment, channel, kind, outcome",
    "pipeline_health": "topic, partition, next_offset, lag, age_ms",
}

TABLES = {
    "payments": rows.WarehousePayment,
    "refunds": rows.WarehouseRefund,
    "verdicts": rows.WarehouseVerdict,
    "labels": rows.WarehouseLabel,
    "notifications": rows.WarehouseNotification,
    "controls": rows.WarehouseControl,
    "dead_letters": rows.WarehouseDeadLetter,
    "offsets": rows.PartitionPosition,
    "lags": rows.PartitionLag,
}


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_begins_with_the_columns_that_were_promised(kept: Kept, view: str) -> None:
    promised = PROMISED[view].split(", ")
    assert [column for column, *_ in kept.ask(f"DESCRIBE {view}")][: len(promised)] == promised


@pytest.mark.parametrize("table", TABLES)
def test_a_row_has_the_columns_of_its_table(kept: Kept, table: str) -> None:
    columns = [column for column, *_ in kept.ask(f"DESCRIBE store.{table}")]
    computed = {"ingested_at", "told_at"} if table == "offsets" else {"ingested_at"}
    assert {*TABLES[table].__struct_fields__} | computed == set(columns)
    if table == "lags":  # whose rows go in by position
        assert columns == ["topic", "partition", "lag", "ingested_at"]


def test_a_file_from_before_the_newest_columns_opens_and_is_written_on(tmp_path: Path, kafka_log: Log) -> None:
    """Those after `instrument`: a column is added at the end of the view."""
    older = Kept(tmp_path)
    columns = [column for column, *_ in older.ask("DESCRIBE payments")]
    older.write(kafka_log.event("payments.v1", step(1, None, payment())))
    older.ask("DROP VIEW payments")
    for column in columns[columns.index("instrument") + 1 :]:
        older.ask(f"ALTER TABLE store.payments DROP COLUMN IF EXISTS {column}")
    older.warehouse.close()

    opened = Kept(tmp_path)
    newest = "SELECT state, trace_id, amount_capturable FROM payments"
    assert opened.ask(newest) == [("processing", None, 0)]
    captured = payment(state="captured")
    opened.write(kafka_log.event("payments.v1", step(2, "processing", captured)))
    opened.write(kafka_log.event("payments.v1", refund_step(3, "succeeded", replace(captured, amount_refunded=5))))
    assert opened.ask(newest) == [("captured", None, 0)]
    assert opened.ask("SELECT status FROM refunds") == [("succeeded",)]
    opened.warehouse.close()


def test_a_file_from_before_captured_sums_has_them_from_its_payments(tmp_path: Path, kafka_log: Log) -> None:
    older = Kept(tmp_path)
    for id, state in (("pay_1", "captured"), ("pay_2", "captured"), ("pay_3", "declined")):
        older.write(kafka_log.event("payments.v1", step(1, None, payment(id=id))))
        older.write(kafka_log.event("payments.v1", step(2, "processing", payment(id=id, state=state))))
    older.ask("DROP VIEW payments_by_day; DROP VIEW payments_by_hour; DROP VIEW payments_by_minute")
    for column in ("amount_captured", "amount_refunded"):
        older.ask(f"ALTER TABLE store.payment_minutes DROP COLUMN {column}")
    older.warehouse.close()

    sums = "SELECT state, count, amount_captured, amount_refunded FROM payments_by_minute ORDER BY state"
    for _ in range(2):  # the second start finds nothing to do
        opened = Kept(tmp_path)
        assert opened.ask(sums) == [("captured", 2, 3998, 0), ("declined", 1, 0, 0)]
        opened.warehouse.close()
    opened = Kept(tmp_path)
    given_back = payment(state="captured", amount_refunded=99)
    opened.write(kafka_log.event("payments.v1", refund_step(3, "succeeded", given_back)))
    opened.write(kafka_log.event("payments.v1", step(1, None, payment(id="pay_4"))))
    assert opened.ask(sums) == [("captured", 2, 3998, 99), ("declined", 1, 0, 0), ("processing", 1, 0, 0)]
    opened.warehouse.close()


def test_the_columns_of_a_row_come_from_its_types() -> None:
    payments, labels = columns(rows.WarehousePayment), columns(rows.WarehouseLabel)
    assert str(payments["risk_reasons"]) == "list<item: string>"
    assert (str(payments["risk_score"]), str(payments["created_at"])) == ("double", "timestamp[us]")
    assert str(labels["label"]) == "string", "one of two words is text"
    assert labels["features"] is None, "it is a text of JSON"


def test_every_column_is_documented_in_the_warehouse_and_on_the_page(kept: Kept) -> None:
    views = kept.ask("SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    assert len(views) == 13
    for view, about in views:
        assert f"### {view}\n\n{about}\n" in DOCUMENT
        section = DOCUMENT.split(f"### {view}\n")[1].split("\n###")[0]
        columns = kept.ask(
            "SELECT column_name, data_type, comment FROM duckdb_columns()"
            f" WHERE schema_name = 'main' AND table_name = '{view}' ORDER BY column_index"
        )
        documented = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.+) \|$", section, re.MULTILINE)
        assert documented == columns


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with served_copy(tmp_path_factory.mktemp("documented")) as served:
        yield served


def test_every_statement_of_the_page_is_answered(settings: Settings) -> None:
    reader = WarehouseReader(settings, "sql")
    assert len(STATEMENTS) >= 10
    for statement in STATEMENTS:
        assert reader.query(statement).columns


def test_the_page_asks_for_each_column_of_a_view_once(kept: Kept) -> None:
    """The table behind a view may have its name."""
    [statement] = [statement for statement in STATEMENTS if "duckdb_columns()" in statement]
    assert [name for name, *_ in kept.ask(statement)] == [name for name, *_ in kept.ask("DESCRIBE payments")]
