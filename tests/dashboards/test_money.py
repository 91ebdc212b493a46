"""The figures of the page Money against what was counted of the same sales, refunds and postings."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboards.look import Look
from dashboards.money_books import BALANCES_NOW, DIFFERENCES, LEDGER_MOVED, MONTH_MONEY
from dashboards.money_tiles import (
    BY_PROCESSOR,
    COURSE,
    LARGEST_PAYMENTS,
    LARGEST_REFUNDS,
    OPEN_MONEY,
    REFUND_FAILURES,
    REFUNDS_BY_CURRENCY,
    VOLUMES,
)
from dashboards.tile import Tile
from flows.analytics.ingest import ingest
from schemas.times import now
from tests.dashboards.conftest import Shop, serving_shop
from tests.dashboards.sellers import asked_by
from tests.dashboards.sold import Sold

MONTH_LONG = Look("30d")
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Sold]]:
    with serving_shop(tmp_path_factory.mktemp("money")) as shop:
        sold = Sold(shop.payment)
        write(shop, list(sold.sell(240)))
        yield shop, sold


def write(shop: Shop, told: list[Any]) -> None:
    shop.warehouse.write([ingest(shop._record(topic, event)) for topic, event in told])


@pytest.fixture
def sold(told: tuple[Shop, Sold]) -> Sold:
    return told[1]


@pytest.fixture
def ask(told: tuple[Shop, Sold]) -> Ask:
    reader = told[0].reader()

    def asked(tile: Tile, id: str = "", look: Look = MONTH_LONG, merchant: str = "") -> list[tuple[Any, ...]]:
        statement = tile.statement(look, id)
        return asked_by(told[0], merchant, statement) if merchant else reader.query(statement).rows

    return asked


def lately(moment: datetime) -> bool:
    return moment >= now() - timedelta(days=30, minutes=1)


def lately_by_hours(moment: datetime) -> bool:
    """As sums of more than a day are asked: by whole hours."""
    return moment >= (now() - timedelta(days=30)).replace(minute=0, second=0, microsecond=0)


def test_volumes_are_those_of_the_payments_made_in_the_time(ask: Ask, sold: Sold) -> None:
    for merchant in ("", "acc_shop"):
        look = Look("30d")
        counted: dict[str, Counter[str]] = {}
        by_processor: dict[Any, Counter[str]] = {}
        for p in sold.payments:
            if lately_by_hours(p.created_at) and merchant in ("", p.merchant):
                for sums in (
                    counted.setdefault(p.currency, Counter()),
                    by_processor.setdefault((p.currency, p.processor), Counter()),
                ):
                    sums.update(n=1, asked=p.amount, taken=p.amount_captured, back=p.amount_refunded)
                    sums.update(net=p.amount_captured - p.amount_refunded)
        columns = ("n", "asked", "taken", "back", "net")
        assert {row[0]: row[1:] for row in ask(VOLUMES, look=look, merchant=merchant)} == {
            currency: tuple(sums[name] for name in columns) for currency, sums in counted.items()
        }
        for currency in counted:
            rows = ask(BY_PROCESSOR, currency, look, merchant)
            assert {row[:2]: row[2:] for row in rows} == {
                key: tuple(sums[name] for name in columns)
                for key, sums in by_processor.items()
                if key[0] == currency
            }
            course = ask(COURSE, currency, look, merchant)
            assert [sum(row[at] for row in course) for at in (2, 3, 4)] == [
                counted[currency][name] for name in ("asked", "taken", "back")
            ]


def test_the_course_stands_on_the_clock_of_the_zone(ask: Ask) -> None:
    in_utc, in_tokyo = (ask(COURSE, "EUR", Look("30d", zone=zone)) for zone in ("UTC", "Asia/Tokyo"))
    assert {row[0].hour % 6 for row in in_tokyo} == {0}, "steps are those of the local day"
    assert sum(row[2] for row in in_utc) == sum(row[2] for row in in_tokyo)


def test_the_largest_are_of_one_currency(ask: Ask, sold: Sold) -> None:
    most = sorted(
        (p for p in sold.payments if p.currency == "EUR" and lately(p.created_at)), key=lambda p: -p.amount
    )
    assert [(row[0], row[4]) for row in ask(LARGEST_PAYMENTS, "EUR")] == [(p.id, p.amount) for p in most[:8]]
    refunded = {p.id for p, refund in sold.refunds if refund.currency == "EUR"}
    rows = ask(LARGEST_REFUNDS, "EUR")
    assert len(rows) == 8
    assert {row[0] for row in rows} <= refunded


def test_open_money_stands_by_its_age(ask: Ask, sold: Sold) -> None:
    counted: dict[Any, Counter[str]] = {}
    for what, currency, amount, at in _open(sold):
        age = (now() - at) / timedelta(days=1)
        bucket = "hour" if age < 1 / 24 else "day" if age < 1 else "week" if age < 7 else "older"
        counted.setdefault((what, currency), Counter()).update(amount=amount, n=1, **{bucket: 1})
    assert {row[:2]: row[2:8] for row in ask(OPEN_MONEY)} == {
        key: tuple(sums[name] for name in ("amount", "n", "hour", "day", "week", "older"))
        for key, sums in counted.items()
    }


def _open(sold: Sold) -> Iterator[tuple[str, str, int, datetime]]:
    for p in sold.payments:
        if p.amount_capturable:
            yield "held", p.currency, p.amount_capturable, p.created_at
        if p.state == "unknown":
            yield "unknown", p.currency, p.amount, p.created_at
    for _, refund in sold.refunds:
        if refund.status == "pending":
            yield "refund", refund.currency, refund.amount, refund.created_at


def test_refunds_are_counted_with_their_time_and_their_reasons(ask: Ask, sold: Sold) -> None:
    counted: dict[str, Counter[str]] = {}
    refused: Counter[Any] = Counter()
    for p, refund in sold.refunds:
        if lately(refund.created_at):
            counted.setdefault(refund.currency, Counter()).update({"n": 1, refund.status: 1})
            refused[refund.decline_code, p.processor, p.currency] += refund.status == "failed"
    rows = ask(REFUNDS_BY_CURRENCY)
    assert {row[0]: (row[1], row[3], row[5], row[7]) for row in rows} == {
        currency: (c["n"], c["succeeded"], c["pending"], c["failed"]) for currency, c in counted.items()
    }
    assert all(row[2::2][:3] == (250 * row[3], 250 * row[5], 250 * row[7]) for row in rows)
    assert {row[8] for row in rows if row[3]} == {2.0}, "the first refund of a payment takes two seconds"
    assert {row[:3]: row[3] for row in ask(REFUND_FAILURES)} == {key: n for key, n in refused.items() if n}


@pytest.mark.parametrize("merchant", ["", "acc_shop"])
def test_a_month_is_what_was_posted_in_it(ask: Ask, sold: Sold, merchant: str) -> None:
    first = now().date().replace(day=1)
    for month in (f"{first:%Y-%m}", f"{first - timedelta(days=1):%Y-%m}"):
        counted: dict[Any, Counter[str]] = {}
        for call, at, account, amount in sold.postings:
            if account == f"due:{call.processor}" and f"{at:%Y-%m}" == month and merchant in ("", call.merchant):
                name = {"sale": "captured", "capture": "captured", "refund": "refunded"}.get(call.kind, "undone")
                sign = 1 if name == "captured" else -1
                sums = counted.setdefault((call.processor, call.currency), Counter())
                sums.update({name: sign * amount, f"{name}_n": 1, "net": amount})
        columns = ("captured_n", "captured", "undone", "refunded_n", "refunded", "net")
        assert counted
        assert {row[:3]: row[3:] for row in ask(MONTH_MONEY, month, Look(), merchant)} == {
            (month, *key): tuple(sums[name] for name in columns) for key, sums in counted.items()
        }
    assert ask(MONTH_MONEY, "2026-13") == []


def test_balances_are_the_sums_of_all_postings(ask: Ask, sold: Sold) -> None:
    counted: Counter[Any] = Counter()
    for call, _, account, amount in sold.postings:
        counted[(*account.split(":"), call.currency)] += amount
    assert {(row[0], row[1], row[3]): row[4] for row in ask(BALANCES_NOW)} == {
        k: v for k, v in counted.items() if v
    }


def test_what_moved_comes_to_nothing(ask: Ask, sold: Sold) -> None:
    counted: Counter[Any] = Counter()
    for call, at, account, amount in sold.postings:
        if call.currency == "EUR" and lately(at):
            side, party = account.split(":")
            counted[side, "merchants" if party.startswith("acc_") else party, call.kind] += amount
    *accounts, together = ask(LEDGER_MOVED, "EUR")
    kinds = ("authorize", "sale", "capture", "void", "reversal", "refund")
    assert accounts
    for _, side, party, *moved in accounts:
        assert moved[:6] == [counted[side, party, kind] for kind in kinds]
        assert moved[6] == sum(moved[:6])
    assert together == ("EUR", None, None, *[0] * 7)


def test_ledger_and_payments_agree_until_something_is_missing(told: tuple[Shop, Sold], ask: Ask) -> None:
    shop, _ = told
    assert ask(DIFFERENCES) == []
    shop.take(shop.payment(now(), state="captured", processor="visa"))
    shop.take(shop.payment(now() + timedelta(minutes=20), state="captured", processor="visa"))
    assert ask(DIFFERENCES) == [], "their postings may still come, however late the warehouse hears of both topics"
    long_ago, given = datetime(2026, 1, 5, tzinfo=UTC), {"currency": "GBP", "amount": 700, "processor": "visa"}
    lost = shop.payment(long_ago, state="captured", **given)
    shop.take(lost)
    shop.refund(lost, 200)
    by_ledger, by_payments = zip(*(row[3:] for row in ask(DIFFERENCES)), strict=True)
    assert [row[:3] for row in ask(DIFFERENCES)] == [("visa", "GBP", "captured"), ("visa", "GBP", "refunded")]
    assert [b - a for a, b in zip(by_ledger, by_payments, strict=True)] == [700, 200]
