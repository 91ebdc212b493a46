"""Operations, attempts, ledger, balances, reviews, accounts and controls, as their views show them."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.records import Record
from schemas.accounts import AccountChanged, AccountErased
from schemas.fraud import ListEntry, Rule
from tests.flows.analytics.conftest import BIRTH, Kept, Log, event
from tests.flows.analytics.lives import operated, operation, review, reviewed

ID = "acc_01kaf3v1c8w2p6s9d4g7k0n5q3"  # made on 19 November 2025
OWED = {"due:visa": 1999, "due:acc_merchant": -1999}
BALANCES = "SELECT account, kind, party, currency, amount, entries FROM balances ORDER BY account"


def test_a_call_is_one_row_as_it_stands_and_what_it_moved_stays(kept: Kept, kafka_log: Log) -> None:
    silent = operation(status="unknown", finished_at=None, milliseconds=None)
    found = operation(milliseconds=61_000.5, processor_reference="765", part=2, final=False, parent="op_0")
    kept.write(kafka_log.event("operations.v1", operated(1, silent)))
    assert kept.ask("SELECT status, finished_at, milliseconds FROM operations") == [("unknown", None, None)]
    for _ in range(2):
        kept.write(kafka_log.event("operations.v1", operated(2, found, OWED)))
        kept.write(kafka_log.event("operations.v1", operated(1, silent)))
    columns = "id, payment, kind, status, milliseconds, processor_reference, part, final, parent, refund, sequence"
    assert kept.ask(f"SELECT {columns} FROM operations") == [
        ("op_1", "pay_1", "sale", "succeeded", 61_000.5, "765", 2, False, "op_0", None, 2)
    ]
    assert kept.ask("SELECT operation, sequence, number, merchant, kind, account, amount FROM ledger") == [
        ("op_1", 2, 0, "acc_merchant", "sale", "due:visa", 1999),
        ("op_1", 2, 1, "acc_merchant", "sale", "due:acc_merchant", -1999),
    ]
    assert kept.ask(BALANCES) == [
        ("due:acc_merchant", "due", "acc_merchant", "EUR", -1999, 1),
        ("due:visa", "due", "visa", "EUR", 1999, 1),
    ]


def test_what_two_events_of_a_call_move_counts_both_times_in_any_order(kept: Kept, kafka_log: Log) -> None:
    first, second = operated(1, operation(), OWED), operated(2, operation(), {"due:visa": -99, "hold:visa": 99})
    for batch in ((second, first), (second,)):
        kept.write(*(kafka_log.event("operations.v1", each) for each in batch))
    assert kept.ask("SELECT account, amount, entries FROM balances ORDER BY account") == [
        ("due:acc_merchant", -1999, 1),
        ("due:visa", 1900, 2),
        ("hold:visa", 99, 1),
    ]
    more = operation(id="op_2", amount=1)
    kept.write(kafka_log.event("operations.v1", operated(1, more, {"due:visa": 1, "due:acc_merchant": -1})))
    assert kept.ask("SELECT account, amount, entries FROM ledger_by_day ORDER BY account") == [
        ("due:acc_merchant", -2000, 2),
        ("due:visa", 1901, 3),
        ("hold:visa", 99, 1),
    ]


def test_two_currencies_of_an_account_have_a_balance_each(kept: Kept, kafka_log: Log) -> None:
    for currency in ("EUR", "JPY"):
        told = operation(id=f"op_{currency}", currency=currency)
        kept.write(kafka_log.event("operations.v1", operated(1, told, OWED)))
    assert [(row[0], row[3], row[4]) for row in kept.ask(f"{BALANCES}, currency")] == [
        ("due:acc_merchant", "EUR", -1999),
        ("due:acc_merchant", "JPY", -1999),
        ("due:visa", "EUR", 1999),
        ("due:visa", "JPY", 1999),
    ]


def test_an_attempt_is_what_became_of_its_authorization(kept: Kept, kafka_log: Log) -> None:
    later = BIRTH + timedelta(seconds=1)
    told = (
        operation(id="op_1", status="declined", decline_code="call_issuer"),
        operation(id="op_2", attempt="att_2", attempt_number=2, processor="mastercard", kind="authorize"),
        operation(
            id="op_3", attempt="att_2", attempt_number=2, processor="mastercard", kind="capture", amount=5,
            status="declined", decline_code="generic_decline", created_at=later,
        ),
        operation(id="op_4", attempt="att_3", payment="pay_2", processor="paypal", kind="order"),
    )  # fmt: skip
    kept.write(*(kafka_log.event("operations.v1", operated(1, each)) for each in told))
    columns = "id, payment, number, processor, amount, status, decline_code, operations"
    assert kept.ask(f"SELECT {columns} FROM attempts ORDER BY id") == [
        ("att_1", "pay_1", 1, "visa", 1999, "declined", "call_issuer", 1),
        ("att_2", "pay_1", 2, "mastercard", 1999, "succeeded", None, 2),
        ("att_3", "pay_2", 1, "paypal", 1999, "succeeded", None, 1),
    ]


@pytest.mark.parametrize(("decided_by", "status"), [("acc_analyst", "decided"), (None, "expired")])
def test_a_review_says_how_long_it_was_open_and_who_decided(
    kept: Kept, kafka_log: Log, decided_by: str | None, status: str
) -> None:
    opened = review()
    kept.write(kafka_log.event("reviews.v1", reviewed(1, opened)))
    assert kept.ask("SELECT status, decision, open_s > 0 FROM reviews") == [("open", None, True)]
    ended = replace(
        opened, decision="reject", decided_by=decided_by, decided_at=BIRTH + timedelta(milliseconds=90_500)
    )
    kept.write(*(kafka_log.event("reviews.v1", each) for each in (reviewed(2, ended), reviewed(1, opened))))
    assert kept.ask("SELECT payment, status, decision, decided_by, open_s, reasons FROM reviews") == [
        ("pay_1", status, "reject", decided_by, 90.5, ["velocity_10m"])
    ]


def test_a_merchant_has_its_trading_name_until_it_is_erased(kept: Kept, kafka_log: Log) -> None:
    def changed(sequence: int, name: str | None, **given: Any) -> Record:
        told = {"account": ID, "role": "merchant", "disabled": False, "recorded_at": BIRTH} | given
        return kafka_log.event(
            "accounts.v1",
            event("account.changed", AccountChanged(sequence=sequence, trading_name=name, **told)),
        )

    kept.write(changed(2, "Merle & Co."), changed(1, "Merle's Shop"), changed(1, None, account="acc_2"))
    merchants = "SELECT id, trading_name, since::DATE::VARCHAR, disabled FROM merchants"
    assert kept.ask(merchants) == [(ID, "Merle & Co.", "2025-11-19", False)]
    kept.write(changed(3, "Merle & Co.", disabled=True))
    assert kept.ask(merchants) == [(ID, "Merle & Co.", "2025-11-19", True)]
    assert kept.ask("SELECT id, role, disabled, erased, created_at IS NULL FROM accounts ORDER BY id DESC") == [
        ("acc_2", "merchant", False, False, True),
        (ID, "merchant", True, False, False),
    ]

    erased = kafka_log.event("accounts.v1", event("account.erased", AccountErased(ID, "merchant", BIRTH)))
    kept.write(erased, changed(3, "Merle & Co."))
    kept.write(changed(2, "Merle & Co."))
    assert kept.ask(merchants) == []
    assert kept.ask(f"SELECT disabled, erased FROM accounts WHERE id = '{ID}'") == [(True, True)]


def test_of_an_erased_account_no_name_is_left_in_the_tables(kept: Kept, kafka_log: Log) -> None:
    named = AccountChanged(ID, 1, "merchant", False, "Merle's Shop", BIRTH)
    kept.write(kafka_log.event("accounts.v1", event("account.changed", named)))
    kept.write(kafka_log.event("accounts.v1", event("account.erased", AccountErased(ID, "merchant", BIRTH))))
    assert kept.ask("SELECT trading_name FROM store.accounts") == [(None,)]


def test_controls_have_columns(kept: Kept, kafka_log: Log) -> None:
    rule = Rule("rule_1", "count_1h", 3, "review", "busy", True, BIRTH, "unsent")
    over = ListEntry("list_1", "block", "instrument", "ins_9", "stolen", BIRTH + timedelta(days=1), BIRTH)
    for_ever = ListEntry("list_2", "allow", "merchant", "acc_m", "ours", None, BIRTH)
    kept.write(
        kafka_log.event("controls.v1", event("control.rule", rule)),
        kafka_log.event("controls.v1", event("control.list_entry", over)),
        kafka_log.event("controls.v1", event("control.list_entry", for_ever)),
    )
    assert kept.ask("SELECT id, feature, threshold, outcome, hold, enabled, reason FROM rules") == [
        ("rule_1", "count_1h", 3.0, "review", "unsent", True, "busy")
    ]
    assert kept.ask("SELECT id, list, kind, value, expires_at FROM lists ORDER BY id") == [
        ("list_1", "block", "instrument", "ins_9", (BIRTH + timedelta(days=1)).replace(tzinfo=None)),
        ("list_2", "allow", "merchant", "acc_m", None),
    ]
