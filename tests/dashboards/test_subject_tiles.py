"""The tiles about a customer, a card and a merchant, each against the payments that were written, counted here."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dashboards.look import Look
from dashboards.subject_tiles import COLUMN, Subject
from dashboards.tile import Tile
from dashboards.views import card, customer, merchant
from schemas.accounts import AccountChanged
from schemas.fraud import Label
from schemas.operations import LedgerEntry, OperationEvent, ProcessorOperation
from schemas.payments import Payment
from schemas.reviews import PaymentReview, ReviewEvent
from schemas.times import now
from schemas.topics import ACCOUNTS, LABELS, OPERATIONS, REVIEWS
from tests.dashboards.conftest import serving_shop
from tests.dashboards.sold import is_approved, is_refused

Rows = list[dict[str, Any]]
# Every second payment is theirs, or nearly: whose tile forgets its id counts the others too.
IDS: dict[Subject, Sequence[str]] = {
    "customer": ("acc_ada", "acc_' OR '1' = '1"),
    "card": ("ins_1", "ins_2", "ins_3"),
    "merchant": ("acc_shop", "acc_other"),
}
TOGETHER: list[tuple[Subject, Tile, str]] = [
    ("customer", customer.CARDS, "stream_key"),
    ("card", card.CUSTOMERS, "customer"),
    ("card", card.MERCHANTS, "merchant"),
    ("merchant", merchant.CUSTOMERS, "customer"),
]
PAGES: dict[Subject, Any] = {"customer": customer, "card": card, "merchant": merchant}


class Sold:
    """What was written, and the answers of the tiles to it."""

    def __init__(self, shop: Any) -> None:
        self.shop = shop
        self.reader = shop.reader()
        self.payments = [self._made(number) for number in range(48)]
        shop.take_all(self.payments)

    def _made(self, number: int) -> Payment:
        chance = random.Random(number)
        who = {kind: chance.choice(ids) for kind, ids in IDS.items()}
        made: Payment = self.shop.payment(
            now() - timedelta(minutes=number),
            customer=who["customer"],
            merchant=who["merchant"],
            stream_key=who["card"],
        )
        return msgspec.structs.replace(made, amount_refunded=made.amount_captured // 3)

    def of(self, subject: Subject) -> tuple[str, list[Payment]]:
        """An id that has to be quoted, where there is one, and its payments."""
        field = {"customer": "customer", "card": "stream_key", "merchant": "merchant"}[subject]
        id = IDS[subject][-1]
        return id, [paid for paid in self.payments if getattr(paid, field) == id]

    def rows(self, tile: Tile, id: str) -> Rows:
        return self.reader.query(tile.statement(Look("24h"), id)).by_name()


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sold]:
    with serving_shop(tmp_path_factory.mktemp("sold")) as shop:
        yield Sold(shop)


def test_its_tiles_count_its_own_payments_and_no_others(sold: Sold) -> None:
    frauds = sold.payments[::3]
    for paid in frauds:
        sold.shop.tell(LABELS, "label.recorded", paid.id, _label(paid))
    for subject in COLUMN:
        _check_counts(sold, subject, frauds)


def _check_counts(sold: Sold, subject: Subject, frauds: list[Payment]) -> None:
    id, own = sold.of(subject)
    page = PAGES[subject]
    figures = {row["currency"]: row for row in sold.rows(page.FIGURES, id)}
    assert {currency: row["payments"] for currency, row in figures.items()} == Counter(p.currency for p in own)
    for currency, row in figures.items():
        here = [paid for paid in own if paid.currency == currency]
        assert row["captured"] == sum(paid.amount_captured for paid in here)
        assert row["refunded"] == sum(paid.amount_refunded for paid in here)
        assert row["refused"] == sum(is_refused(paid) for paid in here)
        assert row["approved"] == sum(is_approved(paid) for paid in here)
        assert (row["frauds"], row["labels"]) == (sum(paid in frauds for paid in here),) * 2
    course = sold.rows(page.COURSE, id)
    assert Counter(paid.status for paid in own) == _summed(course, "status")
    assert [row["id"] for row in sold.rows(page.LATEST, id)] == [paid.id for paid in own][:15]
    refused = Counter(paid.decline_code for paid in own if paid.state in ("declined", "failed"))
    assert _summed(sold.rows(page.DECLINES, id), "reason") == refused


def test_what_was_used_together_is_counted(sold: Sold) -> None:
    for subject, tile, field in TOGETHER:
        id, own = sold.of(subject)
        used = sold.rows(tile, id)
        wanted = Counter(getattr(paid, field) for paid in own)
        assert _summed(used, "other") == wanted
        assert {row["distinct_ones"] for row in used} == {len(wanted)}
        assert sum(row["refused"] for row in used) == sum(map(is_refused, own))


def test_in_all_counts_whatever_the_time(sold: Sold) -> None:
    for subject, page in (("customer", customer), ("card", card)):
        id, own = sold.of(subject)  # type: ignore[arg-type]
        [ever] = sold.rows(page.EVER, id)
        assert ever["payments"] == len(own)
        assert ever["merchants"] == len({paid.merchant for paid in own})
        assert ever["first_at"] == min(paid.created_at for paid in own)


def test_only_open_reviews_of_its_own_payments_are_listed(sold: Sold) -> None:
    for number, paid in enumerate(sold.payments[:12]):
        sold.shop.tell(REVIEWS, "review.opened", paid.id, _review(number, paid))
    sold.shop.tell(REVIEWS, "review.decided", sold.payments[0].id, _review(0, sold.payments[0], "approve"))
    for subject in COLUMN:
        id, own = sold.of(subject)
        listed = {row["payment"] for row in sold.rows(PAGES[subject].REVIEWS, id)}
        assert listed == {paid.id for paid in sold.payments[1:12] if paid in own}


def test_a_merchant_has_a_name_and_a_balance(sold: Sold) -> None:
    paid = sold.payments[0]
    sold.shop.tell(ACCOUNTS, "account.changed", "acc_other", _named("acc_other", "Opal's"))
    call = ProcessorOperation(
        "op_1", paid.id, "att_1", 1, "acc_other", "visa", "sale", "succeeded", 700, "EUR", now()
    )
    entries = [LedgerEntry("due:visa", 700), LedgerEntry("due:acc_other", -700)]
    sold.shop.tell(OPERATIONS, "operation.succeeded", "op_1", OperationEvent(1, now(), call, entries))
    assert [row["trading_name"] for row in sold.rows(merchant.WHO, "acc_other")] == ["Opal's"]
    [owed] = sold.rows(merchant.BALANCE, "acc_other")
    assert (owed["kind"], owed["currency"], owed["amount"]) == ("due", "EUR", -700)
    names = {row["other"]: row["trading_name"] for row in sold.rows(card.MERCHANTS, sold.of("card")[0])}
    assert names == {"acc_other": "Opal's", "acc_shop": None}


def _summed(rows: Rows, by: str) -> Counter[Any]:
    return sum((Counter({row[by]: row["payments"]}) for row in rows), Counter())


def _label(paid: Payment) -> Label:
    return Label(
        paid.id,
        paid.stream_key,
        paid.merchant,
        "fraud",
        "analyst",
        paid.amount,
        paid.currency,
        None,
        None,
        None,
        paid.occurred_at,
        now(),
    )


def _review(number: int, paid: Payment, decision: Any = None) -> ReviewEvent:
    by, at = ("acc_ana", now()) if decision else (None, None)
    review = PaymentReview(
        f"rev_{number}",
        paid.id,
        "held",
        paid.merchant,
        paid.amount,
        paid.currency,
        ["new_device"],
        paid.created_at,
        decision,
        by,
        at,
    )
    return ReviewEvent(2 if decision else 1, now(), review)


def _named(id: str, name: str) -> AccountChanged:
    return AccountChanged(id, 1, "merchant", False, name, now())
