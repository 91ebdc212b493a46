"""The tiles about one payment, against what was written of it; of another one beside it nothing shows."""

from datetime import timedelta
from typing import Any

import pytest

from connectors.warehouse import Table
from dashboards import payment_tiles
from dashboards.look import Look
from dashboards.tile import Tile
from dashboards.wording import account_words
from schemas.fraud import Label, Verdict
from schemas.notifications import Notification
from schemas.operations import LedgerEntry, OperationEvent, ProcessorOperation
from schemas.payments import AppliedRisk, Payment
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.times import now
from schemas.topics import LABELS, NOTIFICATIONS, OPERATIONS, REVIEWS, RISK

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BLOCKED = AppliedRisk("block", "stand_in", 0.9, ["stand_in_new_cards"], "m1", waited_ms=250.0)


class Written:
    """Two payments, and the answers of the tiles about the first."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.reader = shop.reader()
        made = {"amount": 1000, "currency": "EUR", "state": "captured", "risk": BLOCKED}
        self.paid, self.other = (shop.payment(now(), **made) for _ in range(2))
        shop.take(self.paid, f"00-{TRACE}-00f067aa0ba902b7-01")
        shop.take(self.other)

    def table(self, tile: Tile, id: str = "") -> Table:
        return self.reader.query(tile.statement(Look("15m"), id or self.paid.id))

    def rows(self, tile: Tile) -> list[dict[str, Any]]:
        return self.table(tile).by_name()


@pytest.fixture
def written(shop: Any) -> Written:
    return Written(shop)


def _verdict(paid: Payment, after_s: int = 0, reasons: list[str] = [], **features: float) -> Verdict:  # noqa: B006
    at = paid.created_at + timedelta(seconds=after_s)
    about = (paid.id, "fp_1", paid.merchant, "review", "model", 0.58, reasons, features)
    return Verdict(*about, "m1", "r1", 1, 0, 1, 4.5, paid.occurred_at, at)  # type: ignore[arg-type]


def test_the_verdict_says_what_decided_and_what_came_late(written: Written) -> None:
    paid = written.paid
    written.shop.tell(RISK, "risk.verdict", paid.id, _verdict(paid, reasons=["new_device"], gap=1.0))
    label = Label(paid.id, "fp_1", "acc_shop", "fraud", "chargeback", 1000, "EUR", None, None, None, now(), now())
    written.shop.tell(LABELS, "label.recorded", paid.id, label)
    [row] = written.rows(payment_tiles.VERDICT)
    assert (row["outcome"], row["source"], row["waited_ms"]) == ("block", "stand_in", 250.0)
    assert (row["reasons"], row["check_outcome"], row["check_reasons"]) == (
        ["stand_in_new_cards"],
        "review",
        ["new_device"],
    )
    assert (row["check_ms"], row["label"], row["label_source"]) == (4.5, "fraud", "chargeback")


def test_features_that_the_verdict_names_come_first_and_then_the_unusual_ones(written: Written) -> None:
    paid = written.paid
    for number in range(4):
        usual = written.shop.payment(now(), id=f"{paid.id[:-1]}~{number}")  # of the same time, whenever that is
        made = _verdict(usual, -number, gap=float(number), count_1h=1.0, new_device=0.0)
        written.shop.tell(RISK, "risk.verdict", usual.id, made)
    own = _verdict(paid, 1, ["new_device"], gap=2.0, count_1h=9.0, new_device=0.0)
    written.shop.tell(RISK, "risk.verdict", paid.id, own)
    table = written.table(payment_tiles.FEATURES)
    assert table.rows == [
        ("new_device", 0.0, True, 0.0, 0.0),
        ("count_1h", 9.0, False, 1.0, 0.0),
        ("gap", 2.0, False, 0.5, 0.25),
    ]


def test_the_postings_are_all_there_and_come_to_nothing(written: Written) -> None:
    for number, paid in enumerate((written.paid, written.other)):
        for kind, amount in (("sale", 1000), ("refund", -400)):
            ids = (f"op_{kind}_{number}", paid.id, "att_1", 1, "acc_shop")
            call = ProcessorOperation(*ids, "visa", kind, "succeeded", abs(amount), "EUR", now())  # type: ignore[arg-type]
            entries = [LedgerEntry("due:visa", amount), LedgerEntry("due:acc_shop", -amount)]
            written.shop.tell(OPERATIONS, "operation.succeeded", call.id, OperationEvent(1, now(), call, entries))
    rows = written.rows(payment_tiles.LEDGER_TILE)
    assert sorted(row["amount"] for row in rows) == [-1000, -400, 400, 1000]
    assert {row["operation"] for row in rows} == {"op_sale_0", "op_refund_0"}


@pytest.mark.parametrize(
    ("kind", "party", "words"),
    [
        ("due", "visa", "Due from Visa"),
        ("hold", "paypal", "Held at PayPal"),
        ("due", "acc_1", "Due to the merchant"),
        ("hold", "acc_1", "Held for the merchant"),
        ("fees", "visa", "fees: visa"),
    ],
)
def test_an_account_of_the_ledger_is_named_in_words(kind: str, party: str, words: str) -> None:
    assert account_words(kind, party, "the merchant") == words


def test_its_messages_and_reviews_are_listed(written: Written) -> None:
    for paid in (written.paid, written.other):
        said = Notification(
            paid.id, "evt_1", 2, "refund", "sms", "+1…06", "suppressed", "quiet_hours", f"msg_{paid.id}", now()
        )
        written.shop.tell(NOTIFICATIONS, "notification.recorded", paid.id, said)
        about = (f"rev_{paid.id}", paid.id, "late", "acc_shop", 1000, "EUR", ["new_device"], now())
        review = PaymentReview(*about, "reject", "acc_ana", now())  # type: ignore[arg-type]
        written.shop.tell(REVIEWS, "review.decided", paid.id, ReviewEvent(2, now(), review))
    [message] = written.rows(payment_tiles.MESSAGES_TILE)
    assert (message["channel"], message["outcome"], message["reason"]) == ("sms", "suppressed", "quiet_hours")
    [review] = written.rows(payment_tiles.REVIEW)
    assert (review["id"], review["decision"], review["decided_by"]) == (
        f"rev_{written.paid.id}",
        "reject",
        "acc_ana",
    )


def test_its_origin_has_the_trace_that_the_log_knows_it_by(written: Written) -> None:
    [row] = written.rows(payment_tiles.ORIGIN)
    assert (row["trace_id"], row["country"], row["sequence"]) == (TRACE, "DE", 1)
    [other] = written.table(payment_tiles.ORIGIN, written.other.id).by_name()
    assert other["trace_id"] is None


def test_of_a_payment_that_nobody_knows_there_is_nothing(written: Written) -> None:
    assert not any(written.table(tile, "pay_' OR '1' = '1").rows for tile in payment_tiles.TILES)
