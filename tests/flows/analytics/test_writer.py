"""Batches of records into the warehouse: each event counts once, whatever is repeated, cut or mixed."""

from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from connectors.records import Record
from flows.analytics import writer
from schemas.alerts import Alert
from schemas.events import DeadLetter, new_event
from schemas.fraud import Label, ListEntry, Rule, Verdict
from schemas.notifications import Notification
from schemas.payments import AppliedRisk, LastRefusal, PaymentEvent
from schemas.times import now
from tests.flows.analytics.conftest import BIRTH, Kept, Log, completed, event, payment, refund_step, step

PAYMENTS = "payments.v1"


def verdict(payment: str, outcome: Any = "allow", **given: Any) -> Verdict:
    usual: dict[str, Any] = {
        "payment": payment,
        "instrument": "fp_1",
        "merchant": "acc_m",
        "outcome": outcome,
        "source": "model",
        "score": 0.25,
        "reasons": ["velocity", "amount"],
        "features": {"count_1h": 3.0},
        "model": "m1",
        "rules": "r1",
        "flow_sequence": 1,
        "input_partition": 2,
        "input_offset": 17,
        "latency_ms": 4.5,
        "occurred_at": BIRTH,
        "recorded_at": BIRTH,
    }
    return Verdict(**(usual | given))


def test_a_payment_is_one_row_as_it_stands_now(kept: Kept, kafka_log: Log) -> None:
    risk = AppliedRisk("flag", "rules", 0.75, ["velocity"], "m1", 12.5)
    kept.write(
        kafka_log.event(PAYMENTS, step(1, None, payment())),
        kafka_log.event(PAYMENTS, step(2, "processing", payment(state="captured", processor="visa", risk=risk))),
        kafka_log.event(PAYMENTS, completed(3, payment(state="captured"))),
    )
    columns = (
        "id, state, status, amount, amount_captured, processor, risk_outcome, risk_reasons, waited_ms, country"
    )
    assert kept.ask(f"SELECT {columns} FROM payments") == [
        ("pay_1", "captured", "succeeded", 1999, 1999, "visa", "flag", ["velocity"], 12.5, "DE")
    ]
    assert kept.ask("SELECT next_offset FROM store.offsets") == [(3,)]


def test_times_are_kept_in_utc_to_the_microsecond(kept: Kept, kafka_log: Log) -> None:
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    moment = BIRTH + timedelta(microseconds=123_456)
    late = payment(occurred_at=moment.astimezone(elsewhere), created_at=moment)
    kept.write(kafka_log.event(PAYMENTS, step(1, None, late)))
    assert kept.ask("SELECT occurred_at, created_at FROM payments") == [(moment.replace(tzinfo=None),) * 2]


def test_what_is_not_newer_is_dropped(kept: Kept, kafka_log: Log) -> None:
    first, second = step(1, None, payment()), step(2, "processing", payment(state="declined"))
    kept.write(kafka_log.event(PAYMENTS, second))
    kept.write(kafka_log.event(PAYMENTS, first), kafka_log.event(PAYMENTS, second))
    kept.write(kafka_log.event(PAYMENTS, first))
    assert kept.ask("SELECT state, sequence FROM payments") == [("declined", 2)]
    assert kept.ask("SELECT state, count, amount FROM payments_by_minute") == [("declined", 1, 1999)]


@pytest.mark.parametrize("together", [True, False])
def test_the_trace_of_a_payment_is_that_of_its_first_event(kept: Kept, kafka_log: Log, together: bool) -> None:
    first, later = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
    begun = {"pay_traced": f"00-{first}-00f067aa0ba902b7-01", "pay_malformed": first, "pay_untraced": None}
    records = []
    for id, traceparent in begun.items():
        initiated, captured = (
            step(1, None, payment(id=id)),
            step(2, "processing", payment(id=id, state="captured")),
        )
        begin = kafka_log.event(PAYMENTS, msgspec.structs.replace(initiated, traceparent=traceparent))
        end = msgspec.structs.replace(captured, traceparent=f"00-{later}-00f067aa0ba902b7-01")
        records += [begin, kafka_log.event(PAYMENTS, end), begin]  # the last one is a repeat
    for batch in [records] if together else [[record] for record in records]:
        kept.write(*batch)
    assert kept.ask("SELECT id, state, trace_id FROM payments ORDER BY id") == [
        ("pay_malformed", "captured", None),
        ("pay_traced", "captured", first),
        ("pay_untraced", "captured", None),
    ]


def test_a_completed_transaction_counts_nothing(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.event(PAYMENTS, completed(2, payment(state="captured"))))
    assert kept.ask("FROM payments") == kept.ask("FROM payments_by_minute") == []
    assert kept.ask("SELECT next_offset FROM store.offsets") == [(1,)]


def test_a_refund_is_one_row_and_its_payment_says_what_was_given_back(kept: Kept, kafka_log: Log) -> None:
    paid = payment(state="captured", processor="visa")
    refunded = replace(paid, amount_refunded=500)
    events = [step(1, None, paid), refund_step(2, "pending", paid), refund_step(3, "succeeded", refunded)]
    for each in (*events, *events):
        kept.write(kafka_log.event(PAYMENTS, each))
    columns = "id, payment, amount, currency, status, decline_code, customer, merchant, processor, brand, sequence"
    assert kept.ask(f"SELECT {columns} FROM refunds") == [
        ("ref_1", "pay_1", 500, "EUR", "succeeded", None, "acc_customer", "acc_merchant", "visa", "visa", 3)
    ]
    assert kept.ask("SELECT state, status, amount_captured, amount_refunded FROM payments") == [
        ("captured", "succeeded", 1999, 500)
    ]
    sums = "SELECT state, count, amount, amount_captured, amount_refunded FROM"
    assert kept.ask(f"{sums} payments_by_minute") == [("captured", 1, 1999, 1999, 500)]
    assert (
        kept.ask(f"{sums} payments_by_hour")
        == kept.ask(f"{sums} payments_by_day")
        == [("captured", 1, 1999, 1999, 500)]
    )


def test_a_part_is_counted_where_no_state_changes(kept: Kept, kafka_log: Log) -> None:
    first = payment(state="partially_captured", amount_captured=500, amount_capturable=1499)
    second = replace(first, amount_captured=900, amount_capturable=1099)
    kept.write(kafka_log.event(PAYMENTS, step(1, "authorized", first)))
    kept.write(kafka_log.event(PAYMENTS, step(2, "partially_captured", second)))
    assert kept.ask("SELECT status, amount_captured, amount_capturable FROM payments") == [
        ("succeeded", 900, 1099)
    ]
    assert kept.ask("SELECT state, count, amount_captured FROM payments_by_minute") == [
        ("partially_captured", 1, 900)
    ]
    ended = replace(second, state="captured", amount_capturable=0)
    kept.write(kafka_log.event(PAYMENTS, step(3, "partially_captured", ended)))
    assert kept.ask("SELECT state, count, amount_captured FROM payments_by_minute") == [("captured", 1, 900)]


def test_a_refusal_is_told_and_nothing_else_changes(kept: Kept, kafka_log: Log) -> None:
    held = payment(state="authorized", amount_capturable=1999)
    refused = replace(held, last_refusal=LastRefusal("capture", "call_issuer", BIRTH))
    declined = PaymentEvent(2, "authorized", BIRTH, refused)
    kept.write(kafka_log.event(PAYMENTS, step(1, "processing", held)))
    kept.write(kafka_log.event(PAYMENTS, event("payment.capture_declined", declined)))
    columns = "state, amount_capturable, last_refusal_kind, last_refusal_code, decline_code"
    assert kept.ask(f"SELECT {columns} FROM payments") == [("authorized", 1999, "capture", "call_issuer", None)]
    assert kept.ask("SELECT state, count, amount_captured FROM payments_by_minute") == [("authorized", 1, 0)]


def test_the_first_verdict_of_a_payment_counts(kept: Kept, kafka_log: Log) -> None:
    kept.write(
        kafka_log.event("risk.v1", event("risk.verdict", verdict("pay_1", "block"))),
        kafka_log.event("risk.v1", event("risk.verdict", verdict("pay_1", "allow"))),
        kafka_log.event("risk.v1", event("risk.verdict", verdict("pay_2", score=None))),
    )
    later = verdict("pay_1", "review", recorded_at=BIRTH + timedelta(days=9))
    kept.write(kafka_log.event("risk.v1", event("risk.verdict", later)))
    applied = AppliedRisk("allow", "stand_in", waited_ms=250.5)
    kept.write(kafka_log.event(PAYMENTS, step(1, None, payment(risk=applied))))

    columns = "payment, outcome, score, reasons, features ->> 'count_1h', latency_ms, applied_source, waited_ms"
    assert kept.ask(f"SELECT {columns} FROM risk ORDER BY payment") == [
        ("pay_1", "block", 0.25, ["velocity", "amount"], "3.0", 4.5, "stand_in", 250.5),
        ("pay_2", "allow", None, ["velocity", "amount"], "3.0", 4.5, None, None),
    ]


def test_labels_and_notifications_count_once_per_event(kept: Kept, kafka_log: Log) -> None:
    label = Label("pay_1", "fp_1", "acc_m", "fraud", "analyst", 5, "EUR", {"a": 1.0}, 0.5, "m1", BIRTH, BIRTH)
    message = Notification(
        "pay_1", "evt_9", 2, "transaction_completed", "email", "c…@x", "delivered", None, "m", BIRTH, BIRTH
    )
    again = msgspec.structs.replace(message, recorded_at=BIRTH + timedelta(days=9))
    labelled = new_event("label.recorded", "/gateway", "pay_1", label, BIRTH)
    told = new_event("notification.recorded", "/flows/notifications", "pay_1", message, BIRTH, "evt_told")
    told_again = new_event("notification.recorded", "/flows/notifications", "pay_1", again, BIRTH, "evt_told")
    kept.write(*(kafka_log.event("labels.v1", labelled) for _ in range(2)))
    kept.write(kafka_log.event("labels.v1", labelled), kafka_log.event("notifications.v1", told))
    kept.write(kafka_log.event("notifications.v1", told_again))

    assert kept.ask("SELECT payment, label, score FROM labels") == [("pay_1", "fraud", 0.5)]
    assert kept.ask("SELECT cause, channel, outcome, recorded_at FROM notifications") == [
        ("evt_9", "email", "delivered", BIRTH.replace(tzinfo=None))
    ]
    assert kept.ask("SELECT labels, frauds, brier FROM model_quality") == [(1, 1, 0.25)]


def test_quality_is_told_of_a_recipe_whatever_the_labels_it_had_learned(kept: Kept, kafka_log: Log) -> None:
    versions = ("logistic-19f9f7c0-new-0", "logistic-19f9f7c0-d02c568f-20", "logistic-19f9f7c0-0b62c887-41")
    for version in versions:
        label = Label("pay_1", "fp_1", "acc_m", "good", "analyst", 5, "EUR", {}, 0.5, version, BIRTH, BIRTH)
        kept.write(kafka_log.event("labels.v1", event("label.recorded", label)))
    assert kept.ask("SELECT model, labels, frauds, expected_frauds FROM model_quality") == [
        ("logistic-19f9f7c0", 3, 0, 1.5)
    ]


def test_of_a_control_the_last_word_counts(kept: Kept, kafka_log: Log) -> None:
    def rule(threshold: float, recorded_at: datetime = BIRTH + timedelta(hours=1)) -> Record:
        set_to = Rule("rule_1", "count_1h", threshold, "review", "busy", True, recorded_at)
        return kafka_log.event("controls.v1", event("control.rule", set_to))

    entry = ListEntry("list_1", "block", "instrument", "fp_9", "stolen", None, BIRTH)
    kept.write(rule(3), rule(4), kafka_log.event("controls.v1", event("control.list_entry", entry)))
    kept.write(rule(5))
    kept.write(rule(4, BIRTH))  # sent again from the outbox, after what came later
    assert kept.ask("SELECT id, kind, setting ->> 'threshold' FROM controls ORDER BY id") == [
        ("list_1", "list_entry", None),
        ("rule_1", "rule", "5.0"),
    ]


def test_a_tombstone_takes_a_control_away_and_nothing_else(kept: Kept, kafka_log: Log) -> None:
    def rule(threshold: float) -> Record:
        set_to = Rule("key", "count_1h", threshold, "review", "busy", True, BIRTH)
        return kafka_log.event("controls.v1", event("control.rule", set_to))

    def threshold() -> list[tuple[object, ...]]:
        return kept.ask("SELECT setting ->> 'threshold' FROM controls")

    kept.write(rule(3))
    kept.write(kafka_log.bytes("controls.v1", None))
    assert threshold() == []
    kept.write(rule(3), kafka_log.bytes("controls.v1", None), kafka_log.bytes("accounts.v1", None))
    assert threshold() == []
    kept.write(rule(3), kafka_log.bytes("controls.v1", None), rule(4))
    assert threshold() == [("4.0",)]
    assert kept.letters == []


def test_a_dead_letter_counts_once_however_many_flows_post_it(kept: Kept, kafka_log: Log) -> None:
    letter = DeadLetter(PAYMENTS, 3, 17, "missing header", None, BIRTH)
    posts = [
        new_event(
            "dead_letter", source, "x", msgspec.structs.replace(letter, recorded_at=BIRTH + later), BIRTH, "evt_x"
        )
        for source, later in (("/flows/fraud", timedelta(0)), ("/flows/analytics", timedelta(days=9)))
    ]
    for post in posts:
        kept.write(kafka_log.event("dead_letter.v1", post))
    assert kept.ask('SELECT topic, partition, "offset", reason FROM dead_letters') == [
        (PAYMENTS, 3, 17, "missing header")
    ]


def test_an_unreadable_dead_letter_that_is_read_again_counts_once(kept: Kept) -> None:
    """As after a power cut took back the end of Kafka's log, and its reader went back by time."""
    unreadable = Record("dead_letter.v1", 2, 5, None, [], b"{", 0)
    for _ in range(2):
        kept.write(unreadable)
    assert kept.ask('SELECT topic, partition, "offset" FROM dead_letters') == [("dead_letter.v1", 2, 5)]


def test_every_appended_table_drops_the_repeat_of_a_flow_that_lost_its_store(kept: Kept, kafka_log: Log) -> None:
    """Months later, beside newer rows: what it writes again has a time of its own."""
    month = timedelta(days=30)

    def written(later: timedelta, outcome: Any) -> list[Record]:
        message = Notification("pay_1", "evt_9", 2, "refund", "sms", "", outcome, None, "m", BIRTH + later, BIRTH)
        label = Label("pay_1", "fp_1", "acc_m", "fraud", "analyst", 5, "EUR", {}, 0.5, "m1", BIRTH, BIRTH)
        judged = verdict("pay_1", recorded_at=BIRTH + later)
        letter = DeadLetter(PAYMENTS, 3, 17, "missing header", None, BIRTH + later)
        raised = Alert("alert_1", 1, "label_burst", "chargeback", outcome, {}, BIRTH, BIRTH)
        return [
            kafka_log.event("alerts.v1", new_event("alert.raised", "/", "alert_1", raised, BIRTH, "a")),
            kafka_log.event(
                "notifications.v1", new_event("notification.recorded", "/", "pay_1", message, BIRTH, "n")
            ),
            kafka_log.event("labels.v1", new_event("label.recorded", "/", "pay_1", label, BIRTH, "l")),
            kafka_log.event("risk.v1", new_event("risk.verdict", "/", "pay_1", judged, BIRTH, "v")),
            kafka_log.event("dead_letter.v1", new_event("dead_letter", "/", "x", letter, BIRTH, "d")),
        ]

    kept.write(*written(timedelta(0), "delivered"))
    newer = verdict("pay_2", occurred_at=BIRTH + month)
    kept.write(kafka_log.event("risk.v1", event("risk.verdict", newer)))
    kept.write(*written(3 * month, "failed"))
    counts = {table.name: kept.ask(f"SELECT count(*) FROM store.{table.name}") for table in writer.APPENDED}
    once = {"labels": [(1,)], "notifications": [(1,)], "dead_letters": [(1,)], "ledger": [(0,)]}
    assert counts == once | {"alerts": [(1,)], "verdicts": [(2,)]}
    assert kept.ask("SELECT outcome FROM notifications") == [("delivered",)]


def test_lag_and_age_are_told_by_partition(kept: Kept, kafka_log: Log) -> None:
    kept.write(kafka_log.event(PAYMENTS, step(1, None, payment()), partition=2))
    kept.warehouse.save_lag({(PAYMENTS, 2): 0, (PAYMENTS, 3): 7})
    health = "SELECT partition, next_offset, lag, age_ms < 60000 FROM pipeline_health ORDER BY partition"
    assert kept.ask(health) == [(2, 1, 0, True), (3, 0, 7, None)]
    kept.warehouse.save_lag({(PAYMENTS, 2): 1, (PAYMENTS, 3): 0})
    assert kept.ask("SELECT lag FROM pipeline_health ORDER BY partition") == [(1,), (0,)]


def test_nothing_is_written_of_a_batch_that_fails(
    kept: Kept, kafka_log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ADVANCE_OFFSETS", "INSERT INTO store.no_such_table {given}")
    with pytest.raises(Exception, match="no_such_table"):
        kept.write(kafka_log.event(PAYMENTS, step(1, None, payment())))
    assert kept.ask("FROM payments") == kept.ask("FROM payments_by_minute") == kept.ask("FROM store.offsets") == []


def test_rows_say_when_they_became_visible(kept: Kept, kafka_log: Log) -> None:
    before = now().replace(tzinfo=None)
    kept.write(kafka_log.event(PAYMENTS, step(1, None, payment())))
    [(ingested,)] = kept.ask("SELECT ingested_at FROM payments")
    assert before <= ingested <= now().replace(tzinfo=None)
