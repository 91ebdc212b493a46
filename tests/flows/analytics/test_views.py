"""The public face of the warehouse: the columns that were promised, of files from before too."""

from pathlib import Path

import pytest
from msgspec.structs import replace

import flows.analytics.rows as rows
from flows.analytics.columns import columns
from schemas.accounts import AccountChanged
from schemas.payments import AppliedRisk
from tests.flows.analytics.conftest import BIRTH, HASHES, Kept, Log, event, payment, refund_step, step
from tests.flows.analytics.lives import labelled, operated, operation

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
    "verdicts": "payment, outcome, source, score, reasons, model",
    "notifications": "payment, channel, kind, outcome",
    "operations": "id, payment, attempt, attempt_number, merchant, processor, kind, status, amount, currency",
    "attempts": "id, payment, number, merchant, processor, currency, amount, status, decline_code",
    "ledger": "operation, sequence, number, payment, merchant, processor, kind, account, amount, currency",
    "balances": "account, kind, party, currency, amount",
    "reviews": "id, payment, kind, merchant, amount, currency, reasons, opened_at, decision, decided_by",
    "accounts": "id, role, disabled, erased",
    "merchants": "id, trading_name, since, disabled",
    "rules": "id, feature, threshold, outcome, hold, enabled",
    "lists": "id, list, kind, value, reason, expires_at",
    "model_quality": "hour, model, labels, frauds",
    "pipeline_health": "topic, partition, next_offset, lag, age_ms",
}

TABLES = {
    "payments": rows.WarehousePayment,
    "refunds": rows.WarehouseRefund,
    "operations": rows.WarehouseOperation,
    "ledger": rows.WarehouseLedgerEntry,
    "reviews": rows.WarehouseReview,
    "accounts": rows.WarehouseAccount,
    "verdicts": rows.WarehouseVerdict,
    "labels": rows.WarehouseLabel,
    "notifications": rows.WarehouseNotification,
    "controls": rows.WarehouseControl,
    "dead_letters": rows.WarehouseDeadLetter,
    "offsets": rows.PartitionPosition,
    "lags": rows.PartitionLag,
}
COMPUTED = {"offsets": ["told_at"], "payments": ["replaced_at", "customer_hash", "instrument_hash"]}


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_begins_with_the_columns_that_were_promised(kept: Kept, view: str) -> None:
    promised = PROMISED[view].split(", ")
    assert [column for column, *_ in kept.ask(f"DESCRIBE {view}")][: len(promised)] == promised


@pytest.mark.parametrize("table", TABLES)
def test_a_row_has_the_columns_of_its_table(kept: Kept, table: str) -> None:
    columns = [column for column, *_ in kept.ask(f"DESCRIBE store.{table}")]
    computed = {"ingested_at", *COMPUTED.get(table, ())}
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
    assert opened.ask(HASHES) == [(True, True)]
    captured = payment(state="captured")
    opened.write(kafka_log.event("payments.v1", step(2, "processing", captured)))
    opened.write(kafka_log.event("payments.v1", refund_step(3, "succeeded", replace(captured, amount_refunded=5))))
    assert opened.ask(newest) == [("captured", None, 0)]
    assert opened.ask(HASHES) == [(True, True)]
    assert opened.ask("SELECT status FROM refunds") == [("succeeded",)]
    opened.warehouse.close()


def test_a_file_from_before_captured_sums_has_them_from_its_payments(tmp_path: Path, kafka_log: Log) -> None:
    older = Kept(tmp_path)
    for id, state in (("pay_1", "captured"), ("pay_2", "captured"), ("pay_3", "declined")):
        older.write(kafka_log.event("payments.v1", step(1, None, payment(id=id))))
        older.write(kafka_log.event("payments.v1", step(2, "processing", payment(id=id, state=state))))
    older.fold()
    older.ask("DROP VIEW payments_by_day; DROP VIEW payments_by_hour; DROP VIEW payments_by_minute")
    older.ask("DROP TABLE store.payment_hours")
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
    assert opened.ask(sums.replace("minute", "hour")) == opened.ask(sums)
    opened.warehouse.close()


def test_a_file_from_before_an_aggregate_has_it_from_its_rows(tmp_path: Path, kafka_log: Log) -> None:
    older = Kept(tmp_path)
    judged = payment(state="captured", risk=AppliedRisk("flag", "model", 0.5))
    older.write(kafka_log.event("payments.v1", step(2, "processing", judged)))
    older.write(kafka_log.event("labels.v1", labelled("fraud")))
    older.write(kafka_log.event("operations.v1", operated(1, operation(attempt_number=2))))
    older.fold()
    older.ask("DROP VIEW risk_outcomes_by_minute; DROP VIEW model_quality; DROP VIEW operations_by_minute")
    for table in ("risk_minutes", "label_hours", "operation_minutes", "operation_changes"):
        older.ask(f"DROP TABLE store.{table}")
    older.warehouse.close()

    for frauds in (1, 2):  # the second start counts nothing again
        opened = Kept(tmp_path)
        opened.write(kafka_log.event("labels.v1", new := labelled("fraud", payment=f"pay_{frauds}")))
        opened.write(kafka_log.event("labels.v1", new))
        told_again = event("payment.captured", step(3, "captured", judged).data)
        opened.write(kafka_log.event("payments.v1", told_again))
        assert opened.ask("SELECT outcome, source, count, amount FROM risk_outcomes_by_minute") == [
            ("flag", "model", 1, 1999)
        ]
        assert opened.ask("SELECT labels, frauds, score_fraud, score_good, brier FROM model_quality") == [
            (1 + frauds, 1 + frauds, 0.5, None, 0.25)
        ]
        opened.write(kafka_log.event("operations.v1", operated(frauds, operation(attempt_number=2))))
        assert opened.ask(
            "SELECT processor, kind, status, was_unknown, took_over, count FROM operations_by_minute"
        ) == [("visa", "sale", "succeeded", frauds == 2, True, 1)]
        opened.warehouse.close()


def test_a_file_that_passed_a_topic_over_reads_it_from_its_beginning(tmp_path: Path, kafka_log: Log) -> None:
    older = Kept(tmp_path)
    changed = AccountChanged("acc_1", 1, "merchant", False, "Merle's Shop", BIRTH)
    older.write(kafka_log.event("accounts.v1", event("account.changed", changed)))
    older.write(kafka_log.event("payments.v1", step(1, None, payment())))
    older.ask("DROP VIEW merchants; DROP VIEW accounts; DROP TABLE store.accounts")
    older.warehouse.close()

    opened = Kept(tmp_path)
    assert list(opened.warehouse.bookmarks()) == [("payments.v1", 0)]
    opened.write(kafka_log.event("accounts.v1", event("account.changed", changed)))
    opened.warehouse.close()
    again = Kept(tmp_path)
    assert len(again.warehouse.bookmarks()) == 2, "it is read once"
    again.warehouse.close()


def test_the_columns_of_a_row_come_from_its_types() -> None:
    payments, labels = columns(rows.WarehousePayment), columns(rows.WarehouseLabel)
    assert str(payments["risk_reasons"]) == "list<item: string>"
    assert (str(payments["risk_score"]), str(payments["created_at"])) == ("double", "timestamp[us]")
    assert str(labels["label"]) == "string", "one of two words is text"
    assert labels["features"] is None, "it is a text of JSON"
    operations = columns(rows.WarehouseOperation)
    assert (str(operations["decline_code"]), str(operations["final"])) == ("string", "bool")
