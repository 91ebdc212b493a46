"""The list of payments as they stood: what the warehouse answers, against the rows that were written to it."""

from datetime import timedelta
from typing import Any

from connectors.warehouse import WarehouseReader
from dashboards import payment_past
from dashboards.look import Look
from dashboards.payment_filters import Filters, read_filters
from dashboards.payment_list import ROWS, ListPlace
from schemas.times import now

HOUR = timedelta(hours=1)


def shown(reader: WarehouseReader, look: Look, place: ListPlace, **query: str) -> list[Any]:
    tile = payment_past.past_tile(read_filters(query, is_staff=True), place, lambda _table, _look: None)
    return payment_past.listed(reader.query(tile.statement(look)))


def test_each_payment_as_it_stood_stands_on_one_page(shop: Any, reader: WarehouseReader) -> None:
    begins, count = now() - HOUR, 2 * ROWS + 5
    sold = [shop.payment(begins + timedelta(seconds=number // 2)) for number in range(count)]  # in pairs
    for payment in sold:
        shop.take(payment)
    at = begins + timedelta(seconds=count // 2 + 1)
    shop.refund(sold[-1], 1)  # two seconds after it, behind the moment that is looked at
    look, place, seen = Look("24h", at=at), ListPlace(begins, at), list[Any]()
    while True:
        rows = shown(reader, look, place)
        seen += rows[:ROWS]
        if len(rows) <= ROWS:
            break
        place = ListPlace(begins, at, payment_past.following(rows[:ROWS]))
    expected = sorted(sold, key=lambda payment: (payment.created_at, payment.id), reverse=True)
    assert [(row.id, row.amount, row.state, row.amount_refunded) for row in seen] == [
        (payment.id, payment.amount, payment.state, 0) for payment in expected
    ]
    assert seen[0].created_at == expected[0].created_at


def test_filters_of_the_past_find_what_was_sold(shop: Any, reader: WarehouseReader) -> None:
    sold = [shop.payment(now() - HOUR) for _ in range(60)]
    for payment in sold:
        shop.take(payment)
    one = next(payment for payment in sold if payment.method.last4)
    look, place = Look("24h", at=now()), ListPlace(now() - 2 * HOUR, now())
    for query, wanted in (
        ({"status": "failed"}, [p for p in sold if p.status == "failed"]),
        (
            {"state": "captured", "currency": "EUR"},
            [p for p in sold if (p.state, p.currency) == ("captured", "EUR")],
        ),
        ({"processor": "visa", "merchant": "acc_shop"}, [p for p in sold if p.processor == "visa"]),
        ({"risk": "block"}, [p for p in sold if p.risk and p.risk.outcome == "block"]),
        ({"q": str(one.method.last4)}, [p for p in sold if p.method.last4 == one.method.last4]),
        ({"q": one.id, "status": "pending"}, [one]),
        ({"q": "acc_'; --"}, []),
        ({"q": "cus_$since'", "merchant": "$zone"}, []),
    ):
        found = shown(reader, look, place, **query)
        assert {row.id for row in found[:ROWS]} <= {payment.id for payment in wanted}, query
        assert len(found) == min(len(wanted), ROWS + 1), query
    assert [row.amount for row in shown(reader, look, place, q=one.id)] == [one.amount]


def test_a_refunds_id_leads_to_its_payment(shop: Any, reader: WarehouseReader) -> None:
    payment = shop.payment(now() - HOUR, state="captured", currency="EUR", amount=500)
    shop.take(payment)
    shop.refund(payment, 200)
    ((refund_id,),) = reader.query("SELECT id FROM refunds").rows
    look = Look("24h", at=now())
    assert [row.amount_refunded for row in shown(reader, look, ListPlace(), q=refund_id)] == [200]


def test_what_the_warehouse_does_not_know_is_said() -> None:
    for text in ("order 17", "ada@example.com"):
        assert payment_past.why_not(read_filters({"q": text}, is_staff=True))
    assert payment_past.why_not(read_filters({"q": "4242"}, is_staff=True)) is None


def test_a_cursor_that_is_none_leads_to_the_first_page() -> None:
    def asked(cursor: str) -> str:
        return payment_past.past_tile(Filters(), ListPlace(cursor=cursor), lambda _table, _look: None).sql

    for cursor in ("²_at_pay_1", f"{'9' * 5_000}_at_pay_1", "_at_", "-1_at_x"):
        assert asked(cursor) == asked("")
